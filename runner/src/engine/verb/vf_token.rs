// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for VfToken {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let VfToken { token } = self;
        let device = step.vfio()?;
        let token = step.token(token)?.ok_or_else(|| step.no_token(""))?;
        step.changes(Changed::More)?;
        step.done(device.set_vf_token(&token))
    }
}
