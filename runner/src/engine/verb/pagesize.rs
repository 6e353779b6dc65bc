// SPDX-License-Identifier: MIT OR Apache-2.0
use std::collections::BTreeSet;

use super::prelude::*;

impl Act for Pagesize {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Pagesize { iova, size, is } = self;
        let written = &step.planned.outcome_at;
        let (iova, size) = (step.size("iova", iova)?, step.some_bytes(size)?);
        let expected = step.case.size(is, written)?;
        if step.case.options.skip_pagesize {
            step.not_checked("the scenario sets skip_pagesize for the backend".to_owned(), true);
            return Ok(());
        }
        let Some(leaves) = step.leaves(iova, size)? else { return Ok(()) };
        let Some(leaves) = leaves.iter().map(|leaf| Some((leaf, leaf.entry_size?))).collect::<Option<Vec<_>>>() else {
            step.not_checked("the IOMMU is told ranges, which have no page size".to_owned(), false);
            return Ok(());
        };
        step.case.found.checks += 1;
        let covered: u64 = leaves.iter().map(|(leaf, _)| overlap(leaf.iova, leaf.page_size, iova, size)).sum();
        let title = match leaves.iter().find(|(_, entry)| *entry != expected) {
            Some((leaf, _)) => {
                let sizes: BTreeSet<u64> = leaves.iter().map(|(_, entry)| *entry).collect();
                let sizes: Vec<_> = sizes.into_iter().map(|size| Size(size).to_string()).collect();
                let (sizes, expected) = (sizes.join(" and "), Size(expected));
                format!("the page size is {sizes} (at iova {:#x}), expected {expected}", leaf.iova)
            }
            None if covered < size => {
                let (size, covered) = (amount(size), amount(covered));
                format!("the IOMMU's page table has entries for {covered} of the {size} at iova {iova:#x}")
            }
            None => return Ok(()),
        };
        let problem = Problem::new(Code::Pagesize, written.clone(), title);
        Err(End::Failed(problem.label(format!("expected {} on {}", Size(expected), step.case.backend))))
    }
}

/// How many bytes of a range a leaf covers.
fn overlap(leaf: u64, page_size: u64, iova: u64, size: u64) -> u64 {
    let end = leaf.saturating_add(page_size).min(iova.saturating_add(size));
    end.saturating_sub(leaf.max(iova))
}
