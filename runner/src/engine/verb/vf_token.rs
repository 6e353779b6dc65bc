// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{device::Changed, failure::End},
    language::verb::VfToken,
};

impl Act for VfToken {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let VfToken { token } = self;
        let open = step.open()?;
        let token = step.token(token)?.ok_or_else(|| step.no_token(""))?;
        step.case.device.changed = Changed::More;
        step.done(open.session.device().set_vf_token(&token))
    }
}
