// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{engine::failure::End, language::verb::Unmap};

impl Act for Unmap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Unmap { iova, size, ioas } = self;
        let (iova, size) = (step.size("iova", iova)?, step.size("size", size)?);
        let got = step.with_iommu(ioas, |iommu| iommu.unmap(iova, size))?;
        step.gave_bytes(got)?;
        if ioas.is_some() {
            return Ok(());
        }
        let backend = step.open()?.session.true_name();
        let mappings = &mut step.case.mappings;
        let reported = match got {
            Ok(bytes) => mappings.unmapped(backend, iova, size, bytes),
            Err(errno) => {
                mappings.not_unmapped(backend, iova, size, errno);
                Ok(())
            }
        };
        step.reported(reported)
    }
}
