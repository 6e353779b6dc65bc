// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of IOMMUFD that a case names are made in it, and only the backend iommufd has them.

use super::{Checker, form::saved};
use crate::language::verb::{Key, Where};
use crate::language::{Diagnostic, Name, Path, Placed, Target, expected_one_of, join};
use crate::{language::text::suggest, model::BackendName, model::code::Code};

impl Checker<'_> {
    /// What only IOMMUFD has is said of cases of the backend iommufd alone.
    pub(super) fn only_iommufd(&mut self, Placed { step, path, .. }: &Placed, backends: &[BackendName]) {
        let others = backends.iter().filter(|backend| !backend.has_objects());
        let others: Vec<&str> = others.map(|backend| backend.as_str()).collect();
        if others.is_empty() {
            return;
        }
        let verb = step.verb.name();
        let verb = step.verb.about().iommufd.then(|| (path.join(verb), Target::Key, format!("`{verb}`")));
        let mut keys = step.keys().filter_map(|(below, key)| match key {
            Key::Object(_) => Some((below.of(path), Target::Key, format!("`{}`", below.last()))),
            Key::Place(Where::Kernel) => Some((below.of(path), Target::Value, format!("`{}: kernel`", below.last()))),
            Key::Place(Where::At(_))
            | Key::Size(..)
            | Key::Region(_)
            | Key::Text(_)
            | Key::File(_)
            | Key::Opened(_)
            | Key::Interrupt(_)
            | Key::Truth(_)
            | Key::Count(_)
            | Key::Ranges(_)
            | Key::Fields(_)
            | Key::Tail(_)
            | Key::Arguments(_)
            | Key::Word => None,
        });
        if let Some((at, target, what)) = verb.or_else(|| keys.next()) {
            self.say(
                Diagnostic::error(Code::OnlyIommufd, at, format!("{what} is only for the backend iommufd"))
                    .at(target)
                    .label(format!("expected a case of iommufd alone, and it runs on {} too", join(others, "and")))
                    .help("add `backends: [iommufd]` to the case"),
            );
        }
    }

    pub(super) fn known_object(&mut self, at: Path, name: &Name, steps: &[Placed]) {
        let made = saved(steps, |about| about.makes_object);
        if made.contains(&name.0.as_str()) {
            return;
        }
        let expected = match made.is_empty() {
            true => "expected an earlier `ioas`, `hwpt` or `attach` with `save`".to_owned(),
            false => expected_one_of(made.iter().copied()),
        };
        let mut problem =
            Diagnostic::error(Code::UnknownObject, at, format!("no object is called `{name}`")).label(expected);
        problem.help.extend(suggest::did_you_mean(&name.0, made.iter().copied()));
        self.say(problem);
    }
}
