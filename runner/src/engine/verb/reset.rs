// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{device::Changed, failure::End},
    language::verb::{NoArguments, Reset},
};

impl Act for Reset {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Reset(NoArguments {}) = self;
        let open = step.open()?;
        step.case.device.changes(Changed::Shown, open);
        step.done(open.session.device().reset())
    }
}
