// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Unmap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Unmap { iova, size, ioas } = self;
        let (iova, size) = (step.size("iova", iova)?, step.size("size", size)?);
        let got = step.with_iommu(ioas, |iommu| iommu.unmap(iova, size))?;
        step.gave_bytes(got)?;
        let space = step.space_of(ioas)?;
        let reported = match got {
            Ok(bytes) => step.case.ledger.unmapped(space, iova, size, bytes),
            Err(errno) => {
                step.case.ledger.not_unmapped(space, iova, size, errno);
                Ok(())
            }
        };
        step.reported(reported)
    }
}
