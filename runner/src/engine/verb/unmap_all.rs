// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for UnmapAll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let UnmapAll(InIoas { ioas }) = self;
        let got = step.with_iommu(ioas, |iommu| iommu.unmap_all())?;
        step.gave_bytes(got)?;
        let space = step.space_of(ioas)?;
        step.case.ledger.changed();
        let reported = got.map_or(Ok(()), |bytes| step.case.ledger.unmapped_all(space, bytes));
        step.reported(reported)
    }
}
