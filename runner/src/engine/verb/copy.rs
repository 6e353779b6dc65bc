// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running, space::access};
use crate::{
    engine::failure::End,
    language::verb::IoasCopy,
    uapi::iommufd::{self, IoasRange},
};

impl Act for IoasCopy {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IoasCopy { from_iova, from_ioas, size, iova, access: allowed, ioas } = self;
        let own = step.own()?;
        let from = step.object("from_ioas", from_ioas)?.unwrap_or(own.id());
        let (from_iova, size) = (step.size("from_iova", from_iova)?, step.size("size", size)?);
        let target = step.target(iova, size)?;
        let ioas = step.object("ioas", ioas)?.unwrap_or(own.id());
        let (access, source) = (access(*allowed), IoasRange { ioas: from, iova: from_iova, length: size });
        let got = iommufd::ioas_copy(own.fd(), source, ioas, target, access, step.case.tracer);
        step.mapped(target, size, got, [])?;
        let mappings = &mut step.case.mappings;
        match got {
            Ok(iova) if ioas == own.id() && from == ioas => mappings.copied(from_iova, iova, size, access),
            Ok(_) if ioas == own.id() => {
                mappings.lose("what is copied from another address space is not followed".into());
            }
            _ => mappings.touched(),
        }
        Ok(())
    }
}
