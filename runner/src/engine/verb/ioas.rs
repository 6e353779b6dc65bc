// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Ioas {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Ioas(NoArguments {}) = self;
        let got = iommufd::ioas_alloc(step.own()?.fd(), step.case.tracer);
        got.iter().for_each(|id| step.case.ledger.made_space(*id));
        step.made(got)
    }
}
