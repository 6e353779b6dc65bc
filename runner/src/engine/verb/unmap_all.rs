// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::failure::End,
    language::verb::{InIoas, UnmapAll},
};

impl Act for UnmapAll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let UnmapAll(InIoas { ioas }) = self;
        let got = step.with_iommu(ioas, |iommu| iommu.unmap_all())?;
        step.gave_bytes(got)?;
        step.case.mappings.touched();
        match got {
            Ok(bytes) if ioas.is_none() => {
                let reported = step.case.mappings.unmapped_all(bytes);
                step.reported(reported)
            }
            _ => Ok(()),
        }
    }
}
