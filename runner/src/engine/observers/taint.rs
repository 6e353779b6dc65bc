// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's taint mask.

use super::{broken, held, unchecked};
use crate::{engine::log, event::Observation};

/// What the kernel's taint mask says of a case (`Documentation/admin-guide/tainted-kernels.rst`).
///
/// A case that allows a warning allows the mark that the first warning leaves.
pub fn observe(before: Option<u64>, after: Option<u64>, lines: &[String], allowed: &[String]) -> Observation {
    const LETTERS: &[u8] = b"PFSRMBUDAWCIOELKXTNJ";
    const WARNED: u64 = 1 << 9;
    let (Some(before), Some(after)) = (before, after) else {
        return unchecked("taint", "/proc/sys/kernel/tainted cannot be read".into());
    };
    let mut new = after & !before;
    if log::allows_a_splat(lines, allowed) {
        new &= !WARNED;
    }
    if new == 0 {
        return held("taint");
    }
    let letter =
        |bit: usize| LETTERS.get(bit).map_or_else(|| format!("bit {bit}"), |&letter| char::from(letter).into());
    let letters: Vec<String> = (0..64).filter(|bit| new & 1 << bit != 0).map(letter).collect();
    broken(
        "taint",
        format!("the kernel became tainted: {} (its mask was {before}, and is {after})", letters.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;

    #[test]
    fn a_new_mark_on_the_kernel_is_told_by_its_letter() {
        let told = |before, after| observe(Some(before), Some(after), &[], &[]).detail.unwrap_or_default();
        assert_eq!(told(0, 512), "the kernel became tainted: W (its mask was 0, and is 512)");
        assert_eq!(
            told(1, 1 | 1 << 7 | 1 << 30),
            "the kernel became tainted: D, bit 30 (its mask was 1, and is 1073741953)"
        );
        assert_eq!(observe(Some(513), Some(513), &[], &[]), held("taint"));
        assert_eq!(observe(None, Some(0), &[], &[]).state, Observed::Unchecked);
    }

    #[test]
    fn a_warning_that_a_case_allows_may_leave_its_mark() {
        let lines = ["WARNING: drivers/iommu/x.c:1 at f".to_owned()];
        let allowed = ["WARNING: drivers/iommu/".to_owned()];
        assert_eq!(observe(Some(0), Some(512), &lines, &allowed), held("taint"));
        assert_eq!(observe(Some(0), Some(512), &lines, &[]).state, Observed::Broken);
        assert_eq!(observe(Some(0), Some(512 | 128), &lines, &allowed).state, Observed::Broken);
    }
}
