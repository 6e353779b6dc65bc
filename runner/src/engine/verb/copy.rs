// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{prelude::*, space::access};
use crate::uapi::iommufd::IoasRange;

impl Act for IoasCopy {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IoasCopy { from_iova, from_ioas, size, iova, access: allowed, ioas } = self;
        let (own, from) = step.ioas("from_ioas", from_ioas)?;
        let (from_iova, size) = (step.size("from_iova", from_iova)?, step.size("size", size)?);
        let target = step.target(iova, size)?;
        let (_, ioas) = step.ioas("ioas", ioas)?;
        let (access, source) = (access(*allowed), IoasRange { ioas: from, iova: from_iova, length: size });
        let got = iommufd::ioas_copy(own.fd(), source, ioas, target, access, step.case.tracer);
        step.mapped(target, size, got, [])?;
        match got {
            Ok(iova) => step.case.ledger.copied((Some(from), from_iova), (Some(ioas), iova), size, access),
            Err(_) => step.case.ledger.changed(),
        }
        Ok(())
    }
}
