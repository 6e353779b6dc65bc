//! Steps are on devices that the case has, one after the other or at the same time.

use super::{Checker, regions::Fit};
use crate::language::{Case, Diagnostic, Name, Parallel, Path, Segment, Step, Target, text::suggest};
use crate::model::code::Code;

impl Checker<'_> {
    /// A step is on one of the case's devices.
    pub(super) fn devices(&mut self, path: &Path, case: &Case, step: &Step, verb: &str) {
        let Some(name) = &step.device else { return };
        let at = path.join("device");
        if !Step::takes_device(verb) {
            return self.say(
                Diagnostic::error(Code::MisplacedKey, at, format!("`device` does not go with `{verb}`"))
                    .at(Target::Key)
                    .label("expected beside a verb on one device")
                    .help("memory is mapped for all devices of a case"),
            );
        }
        let single = case.devices.iter().filter(|(_, role)| role.0 != "all").map(|(name, _)| name);
        let known: Vec<&str> = single.chain(["device"]).collect();
        if case.devices.iter().any(|(all, role)| *all == name.0 && role.0 == "all") {
            self.say(
                Diagnostic::error(Code::UnknownDevice, at, format!("`{name}` is several devices"))
                    .label(suggest::expected_one_of(known.iter().copied()))
                    .help(format!("`parallel: {{ on: [{name}], steps: […] }}` runs steps on each of them")),
            );
        } else if !known.contains(&name.0.as_str()) {
            self.unknown_device(at, name, &known);
        }
    }

    /// A `parallel` has two branches or more, and holds no other.
    pub(super) fn parallel(&mut self, path: &Path, case: &Case, parallel: &Parallel) {
        let Parallel { branches, times, r#as, on, steps } = parallel;
        let within =
            path.segments().iter().filter(|segment| matches!(segment, Segment::Key(key) if **key == *"parallel"));
        if within.count() > 1 {
            self.say(
                Diagnostic::error(Code::TooDeep, path.clone(), "a `parallel` within a `parallel`")
                    .at(Target::Key)
                    .label("expected steps that run one after the other"),
            );
        }
        if steps.iter().chain(branches.iter().flatten()).any(calls) {
            self.say(
                Diagnostic::error(Code::TooDeep, path.clone(), "a `call` within a `parallel`")
                    .at(Target::Key)
                    .label("expected steps of the case's own"),
            );
        }
        let ways = [("branches", !branches.is_empty()), ("times", times.is_some()), ("on", !on.is_empty())];
        let written: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        match written.as_slice() {
            [] => self.say(
                Diagnostic::error(Code::MissingKey, path.clone(), "`parallel` does not say what runs at the same time")
                    .at(Target::Key)
                    .label("expected `branches`, or `steps` with `times` or `on`"),
            ),
            [_] => {}
            [first, second, ..] => self.say(
                Diagnostic::error(Code::TwoForms, path.join(*second), format!("`{second}` beside `{first}`"))
                    .at(Target::Key)
                    .label("expected one of `branches`, `times` and `on`")
                    .note(path.join(*first), Target::Key, "this says already what runs at the same time"),
            ),
        }
        for (key, is_misplaced) in
            [("steps", !steps.is_empty() && !branches.is_empty()), ("as", r#as.is_some() && times.is_none())]
        {
            if is_misplaced {
                let beside = if key == "as" { "`times`" } else { "`times` or `on`" };
                self.say(
                    Diagnostic::error(Code::MisplacedKey, path.join(key), format!("`{key}` goes only with {beside}"))
                        .at(Target::Key)
                        .label(format!("expected {beside} beside it")),
                );
            }
        }
        let empty = branches.iter().position(Vec::is_empty).map(|index| path.join("branches").join(index));
        let empty = empty.or_else(|| (branches.is_empty() && steps.is_empty()).then(|| path.clone()));
        if let Some(at) = empty {
            self.say(
                Diagnostic::error(Code::NothingToDo, at, "a `parallel` that does nothing")
                    .label("expected at least one step"),
            );
        }
        if branches.len() == 1 {
            self.say(
                Diagnostic::error(Code::NothingToDo, path.join("branches"), "one branch has nothing beside it")
                    .at(Target::Key)
                    .label("expected two or more"),
            );
        }
        if let Some(times) = times.as_ref().and_then(|times| times.literal())
            && let Some(expected) = Fit::Rounds.refuses(*times)
        {
            self.say(Diagnostic::error(Code::BadSize, path.join("times"), "`times` is 0").label(expected));
        }
        let known: Vec<&str> = case.devices.keys().chain(["device"]).collect();
        for (index, name) in on.iter().enumerate() {
            if !known.contains(&name.0.as_str()) {
                self.unknown_device(path.join("on").join(index), name, &known);
            }
        }
    }

    fn unknown_device(&mut self, at: Path, name: &Name, known: &[&str]) {
        let mut problem = Diagnostic::error(Code::UnknownDevice, at, format!("no device is called `{name}`"))
            .label(suggest::expected_one_of(known.iter().copied()));
        problem.help.extend(suggest::did_you_mean(&name.0, known.iter().copied()));
        if problem.help.is_empty() {
            problem = problem.help(format!("`devices: {{ {name}: any }}` on the case gives it another device"));
        }
        self.say(problem);
    }
}

/// Whether a step calls a procedure, or holds one that does.
fn calls(step: &Step) -> bool {
    step.call.is_some() || step.nested(&Path::root()).into_iter().any(|(_, steps)| steps.iter().any(calls))
}
