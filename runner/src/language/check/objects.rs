//! The objects of IOMMUFD that a case names are made in it, and only the backend iommufd has them.

use super::Checker;
use crate::{
    language::{Case, Diagnostic, Object, Placed, Step, Target, Where, expected_one_of, join, text::suggest},
    model::{BackendName, code::Code},
};

impl Checker<'_> {
    pub(super) fn objects(
        &mut self,
        Placed { step, path, .. }: &Placed,
        case: &Case,
        steps: &[Placed],
        verb: &'static str,
        backends: &[BackendName],
    ) {
        let kernel = step.target().filter(|(_, target)| **target == Where::Kernel);
        let only_iommufd = match Step::is_of_iommufd(verb) {
            true => Some((path.join(verb), Target::Key, format!("`{verb}`"))),
            false => None,
        };
        let objects = step.objects();
        let ids = objects.iter().map(|(verb, key, _)| (path.join(*verb).join(*key), Target::Key, format!("`{key}`")));
        let kernel = kernel.map(|(verb, _)| (path.join(verb).join("iova"), Target::Value, "`iova: kernel`".to_owned()));
        let others =
            backends.iter().filter(|&&backend| backend != BackendName::Iommufd).map(|backend| backend.as_str());
        let others: Vec<&str> = others.collect();
        if !others.is_empty()
            && let Some((at, target, what)) = only_iommufd.into_iter().chain(ids).chain(kernel).next()
        {
            self.say(
                Diagnostic::error(Code::OnlyIommufd, at, format!("{what} is only for the backend iommufd"))
                    .at(target)
                    .label(format!("expected a case of iommufd alone, and it runs on {} too", join(others, "and")))
                    .help("add `backends: [iommufd]` to the case"),
            );
        }
        for (key, missing) in [
            ("dirty_tracking", step.dirty_tracking.as_ref().is_some_and(|verb| verb.hwpt.is_none())),
            ("dirty_bitmap", step.dirty_bitmap.as_ref().is_some_and(|verb| verb.hwpt.is_none())),
        ] {
            if missing && backends.contains(&BackendName::Iommufd) {
                self.say(
                    Diagnostic::error(Code::MissingKey, path.join(key), format!("`{key}` without `hwpt`"))
                        .at(Target::Key)
                        .label("expected `hwpt` beside its other keys: on iommufd it is a page table that notes what is written")
                        .help("make one with `- hwpt: { flags: [dirty_tracking] }` and `save`"),
                );
            }
        }
        for (verb, key, object) in objects {
            let Object::Named(name) = object else { continue };
            let made = steps.iter().map(|placed| placed.step).filter(|step| step.makes_object());
            let made: Vec<&str> = made.filter_map(|step| step.save.as_ref()).map(|name| name.0.as_str()).collect();
            if !made.contains(&name.0.as_str()) {
                let expected = match made.is_empty() {
                    true => "expected the name that an `ioas`, `hwpt` or `attach` was saved under, and there is none"
                        .to_owned(),
                    false => expected_one_of(made.iter().copied()),
                };
                let at = path.join(verb).join(key);
                let mut problem =
                    Diagnostic::error(Code::UnknownObject, at, format!("no object is called `{name}`")).label(expected);
                problem.help.extend(suggest::did_you_mean(&name.0, made.iter().copied()));
                self.say(problem);
            }
        }
        if let Some(map) = &step.map_file
            && let Some(region) = case.regions.get(&map.region.0)
            && !region.memory.has_file()
        {
            let at = path.join("map_file").join("region");
            let title = format!("region `{}` has no file to map", map.region);
            self.say(
                Diagnostic::error(Code::NoFile, at, title)
                    .label(format!("expected `memory: memfd`, `file` or `dmabuf`, it is `{}`", region.memory.as_str()))
                    .help("memory without a file is mapped by its address, with `map`"),
            );
        }
    }
}
