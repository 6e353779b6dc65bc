// SPDX-License-Identifier: MIT OR Apache-2.0
//! Huge pages that are free and not reserved, or kept by the engine for later cases, by their size in bytes.

use super::{Look, Observer, Shared, State};
use crate::{host::facts, language::Size};

pub struct HugePages;

impl Observer for HugePages {
    fn name(&self) -> &'static str {
        "huge_pages"
    }

    fn look(&self, shared: &Shared) -> Look {
        let mut pages = facts::free_huge_pages();
        for (page, free) in &mut pages {
            *free += shared.kept.get(page).map_or(0, |bytes| bytes.div_ceil(*page));
        }
        Ok(pages)
    }

    /// Pages that did not come back, the smallest size first. Others may free some meanwhile, which is fine.
    fn wrong(&self, before: &State, now: &State) -> Option<String> {
        let missing = |(page, before): (&u64, &u64)| {
            let missing = before.saturating_sub(now.get(page).copied().unwrap_or(0));
            (missing > 0).then(|| {
                format!("{missing} huge pages of {} are no longer free that were before the case", Size(*page))
            })
        };
        before.iter().find_map(missing)
    }

    fn may_lag(&self) -> bool {
        true
    }
}
