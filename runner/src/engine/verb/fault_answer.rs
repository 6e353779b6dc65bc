// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::fault;

impl Act for FaultAnswer {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let FaultAnswer { on, cookie, code } = self;
        let cookie = step.small("cookie", cookie)?;
        let got = fault::answer(step.file(on)?.0, cookie, *code == FaultCode::Success, step.case.tracer);
        step.done(got)
    }
}
