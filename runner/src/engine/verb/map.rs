// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{prelude::*, space::access};

impl Act for Map {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Map { region, iova, size, offset, access: allowed, ioas } = self;
        let memory = &step.memory(region).mapping;
        let (offset, size) = step.stretch(memory, region, offset, size)?;
        let target = step.target(iova, size)?;
        let (vaddr, access) = (memory.addr().wrapping_add(offset), access(*allowed));
        let got = match target {
            Some(iova) => step.with_iommu(ioas, |iommu| iommu.map(vaddr, iova, size, access).map(|()| iova))?,
            None => step.space(ioas)?.map_anywhere(vaddr, size, access),
        };
        step.mapped(target, size, got, [("vaddr", Value::from(vaddr))])?;
        step.enter(ioas, got, size, access)?;
        if let (Ok(iova), Some(open)) = (got, step.device) {
            let space = step.space_of(ioas)?;
            step.case.leaves.pinned(&mut step.case.ledger, open, space, (iova, vaddr, size));
        }
        Ok(())
    }
}
