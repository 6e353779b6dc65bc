// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Gone {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Gone { iova, size } = self;
        let (iova, size) = (step.size("iova", iova)?, step.some_bytes(size)?);
        let Some(leaves) = step.leaves(iova, size)? else { return Ok(()) };
        step.case.found.checks += 1;
        let Some(leaf) = leaves.first() else { return Ok(()) };
        let title = format!(
            "the IOMMU's page table still has an entry of {} at iova {:#x}, expected none in {} from {iova:#x} on",
            Size(leaf.page_size),
            leaf.iova,
            amount(size)
        );
        let problem = Problem::new(Code::NotGone, step.planned.outcome_at.clone(), title);
        Err(End::Failed(problem.label("expected nothing mapped after this")))
    }
}
