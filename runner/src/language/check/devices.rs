// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step is on a device that the case has.

use super::Checker;
use crate::language::{Case, Diagnostic, Name, Path, Step, Target, text::suggest, verb::unknown_device};
use crate::model::code::Code;

impl Checker<'_> {
    /// A step is on one of the case's devices.
    pub(super) fn devices(&mut self, path: &Path, case: &Case, step: &Step) {
        let Some(name) = &step.device else { return };
        let at = path.join("device");
        if step.verb.about().space {
            if name.0 != "device" && !case.apart.contains(name) && case.devices.get(&name.0).is_some() {
                let title = format!("`{name}` has no address space of its own");
                self.say(
                    Diagnostic::error(Code::MisplacedKey, at.clone(), title)
                        .label("expected a device that is `apart`, or no `device`")
                        .help(format!("the devices of a case share an address space; `apart: [{name}]` on the case gives it one of its own")),
                );
            }
        } else if !step.verb.about().device {
            return self.say(
                Diagnostic::error(Code::MisplacedKey, at, format!("`device` does not go with `{}`", step.verb.name()))
                    .at(Target::Key)
                    .label("expected beside a verb on one device"),
            );
        }
        self.single_device(at, case, name);
    }

    /// A name is that of one of the case's devices.
    pub(super) fn single_device(&mut self, at: Path, case: &Case, name: &Name) {
        let single = case.devices.iter().filter(|(_, role)| role.0 != "all").map(|(name, _)| name);
        let known: Vec<&str> = single.chain(["device"]).collect();
        if case.devices.iter().any(|(all, role)| *all == name.0 && role.0 == "all") {
            self.say(
                Diagnostic::error(Code::UnknownDevice, at, format!("`{name}` is several devices"))
                    .label(suggest::expected_one_of(known.iter().copied()))
                    .help(format!("`parallel: {{ on: [{name}], steps: […] }}` runs steps on each of them")),
            );
        } else if !known.contains(&name.0.as_str()) {
            self.say(unknown_device(at, name, &known));
        }
    }
}
