// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::backend::IovaRange;

impl Act for AllowIovas {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let AllowIovas { ioas, ranges } = self;
        let (own, ioas) = step.ioas("ioas", ioas)?;
        let mut allowed = Vec::new();
        for (index, AllowedRange { start, last }) in ranges.iter().enumerate() {
            let at = step.at("ranges").join(index);
            let start = step.case.size(start, &at.join("start"))?;
            allowed.push(IovaRange { start, last: step.case.size(last, &at.join("last"))? });
        }
        if ioas == own.id() {
            step.changes(Changed::More)?;
        }
        step.done(iommufd::ioas_allow_iovas(own.fd(), ioas, &allowed, step.case.tracer))
    }
}
