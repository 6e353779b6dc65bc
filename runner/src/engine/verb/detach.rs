// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::failure::End,
    language::verb::{Detach, NoArguments},
};

impl Act for Detach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Detach(NoArguments {}) = self;
        step.own()?;
        step.moved();
        let got = step.open()?.session.device().detach();
        step.done(got)
    }
}
