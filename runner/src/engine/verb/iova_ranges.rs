// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::engine::devices::ranges;

impl Act for IovaRanges {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IovaRanges(InIoas { ioas }) = self;
        let got = step.with_iommu(ioas, |iommu| iommu.iova_ranges())?;
        step.gave(got, |found| ranges(&found))
    }
}
