//! What watches every case beside its own checks: the process and the host have to be after it as they were before.

use std::{collections::BTreeMap, thread, time::Duration};

use super::log;
use crate::{
    event::Observation,
    host::facts::{self, ProcessMemory},
    lab,
    language::Size,
    model::Observed,
};

/// Pages that go back with a delay (a batch that another processor still holds) get this long.
const PATIENCE: Duration = Duration::from_millis(200);

/// The process and the host before a case; see [`Baseline::compare`].
pub struct Baseline {
    memory: Option<ProcessMemory>,
    huge_pages: BTreeMap<u64, u64>,
    files: Option<usize>,
    page_pins: Option<i64>,
}

impl Baseline {
    /// How it is now. `kept` are the bytes of huge pages that the engine keeps for later cases, by page size.
    pub fn take(kept: &BTreeMap<u64, u64>) -> Baseline {
        Baseline {
            memory: facts::process_memory(),
            huge_pages: huge_pages(kept),
            files: facts::open_files(),
            page_pins: page_pins(),
        }
    }

    /// What has changed since, and how it is now.
    pub fn compare(&self, kept: &BTreeMap<u64, u64>) -> (Vec<Observation>, Baseline) {
        let mut now = Baseline::take(kept);
        if self.missing_huge_pages(&now).is_some() || self.more_pins(&now).is_some_and(|more| more > 0) {
            thread::sleep(PATIENCE);
            let Baseline { huge_pages, page_pins, .. } = Baseline::take(kept);
            now = Baseline { huge_pages, page_pins, ..now };
        }
        (self.against(&now), now)
    }

    fn against(&self, now: &Baseline) -> Vec<Observation> {
        let mut seen = Vec::new();
        for (observer, field, of) in [
            ("locked_memory", "VmLck", (|memory| memory.locked) as fn(ProcessMemory) -> u64),
            ("pinned_memory", "VmPin", |memory| memory.pinned),
        ] {
            seen.push(match (self.memory.map(of), now.memory.map(of)) {
                (Some(before), Some(after)) if before == after => held(observer),
                (Some(before), Some(after)) => broken(
                    observer,
                    format!("{field} of the process is {}, and was {} before the case", Size(after), Size(before)),
                ),
                _ => unchecked(observer, format!("/proc/self/status has no {field}")),
            });
        }
        seen.push(match self.missing_huge_pages(now) {
            None => held("huge_pages"),
            Some((page, missing)) => broken(
                "huge_pages",
                format!("{missing} huge pages of {} are no longer free that were before the case", Size(page)),
            ),
        });
        seen.push(match (self.files, now.files) {
            (Some(before), Some(after)) if before == after => held("open_files"),
            (Some(before), Some(after)) => {
                broken("open_files", format!("{after} files are open, and {before} were before the case"))
            }
            _ => unchecked("open_files", "/proc/self/fd cannot be read".into()),
        });
        seen.push(match self.more_pins(now) {
            Some(0) => held("page_pins"),
            Some(more) => {
                broken("page_pins", format!("{more} pages that were pinned for a device have not been let go of"))
            }
            None => unchecked("page_pins", "it is told for the whole host, where others may pin pages, too".into()),
        });
        seen
    }

    /// Huge pages that did not come back, the smallest size first. Others may free some meanwhile, and that is no news.
    fn missing_huge_pages(&self, now: &Baseline) -> Option<(u64, u64)> {
        let fewer = |(page, before): (&u64, &u64)| {
            let after = now.huge_pages.get(page).copied().unwrap_or(0);
            before.checked_sub(after).filter(|missing| *missing > 0).map(|missing| (*page, missing))
        };
        self.huge_pages.iter().find_map(fewer)
    }

    /// How many more pins there are than before.
    fn more_pins(&self, now: &Baseline) -> Option<i64> {
        Some(now.page_pins?.wrapping_sub(self.page_pins?).max(0))
    }
}

/// How many times pages are pinned, where nobody else pins any.
fn page_pins() -> Option<i64> {
    if lab::is_guest() { facts::page_pins() } else { None }
}

/// Huge pages that are free or ours to give, by their size.
fn huge_pages(kept: &BTreeMap<u64, u64>) -> BTreeMap<u64, u64> {
    let mut pages = facts::free_huge_pages();
    for (page, free) in &mut pages {
        *free += kept.get(page).map_or(0, |bytes| bytes.div_ceil(*page));
    }
    pages
}

/// What the kernel's taint mask tells (`Documentation/admin-guide/tainted-kernels.rst`).
///
/// A case that allows a warning allows the mark that the first warning leaves.
pub fn taint(before: Option<u64>, after: Option<u64>, lines: &[String], allowed: &[String]) -> Observation {
    /// By bit.
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

/// It looked, and all was right.
pub fn held(observer: &str) -> Observation {
    Observation { observer: observer.into(), state: Observed::Held, detail: None }
}

/// It saw what must not be.
pub fn broken(observer: &str, what: String) -> Observation {
    Observation { observer: observer.into(), state: Observed::Broken, detail: Some(what) }
}

/// It could not look.
pub fn unchecked(observer: &str, why: String) -> Observation {
    Observation { observer: observer.into(), state: Observed::Unchecked, detail: Some(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_mark_on_the_kernel_is_told_by_its_letter() {
        let told = |before, after| taint(Some(before), Some(after), &[], &[]).detail.unwrap_or_default();
        assert_eq!(told(0, 512), "the kernel became tainted: W (its mask was 0, and is 512)");
        assert_eq!(
            told(1, 1 | 1 << 7 | 1 << 30),
            "the kernel became tainted: D, bit 30 (its mask was 1, and is 1073741953)"
        );
        assert_eq!(taint(Some(513), Some(513), &[], &[]), held("taint"));
        assert_eq!(taint(None, Some(0), &[], &[]).state, Observed::Unchecked);
    }

    #[test]
    fn a_warning_that_a_case_allows_may_leave_its_mark() {
        let lines = ["WARNING: drivers/iommu/x.c:1 at f".to_owned()];
        let allowed = ["WARNING: drivers/iommu/".to_owned()];
        assert_eq!(taint(Some(0), Some(512), &lines, &allowed), held("taint"));
        assert_eq!(taint(Some(0), Some(512), &lines, &[]).state, Observed::Broken);
        assert_eq!(taint(Some(0), Some(512 | 128), &lines, &allowed).state, Observed::Broken);
    }

    #[test]
    fn what_is_as_before_is_held_and_what_is_not_is_broken() {
        let (held, broken, blind) = (Observed::Held, Observed::Broken, Observed::Unchecked);
        let states =
            |before: &Baseline, now: &Baseline| before.against(now).iter().map(|seen| seen.state).collect::<Vec<_>>();
        // Pins are told for the whole host, and this is none of the lab's.
        let before = Baseline::take(&BTreeMap::new());
        assert_eq!(states(&before, &before), [held, held, held, held, blind]);
        let more = |memory: ProcessMemory| ProcessMemory { locked: memory.locked, pinned: memory.pinned + 4096 };
        let now = Baseline {
            memory: before.memory.map(more),
            huge_pages: BTreeMap::new(),
            files: before.files.map(|n| n + 1),
            page_pins: Some(1),
        };
        let before = Baseline { huge_pages: BTreeMap::from([(1 << 30, 1)]), page_pins: Some(0), ..before };
        assert_eq!(states(&before, &now), [held, broken, broken, broken, broken]);
        // What was freed or let go of by others is no news.
        let now = Baseline {
            huge_pages: BTreeMap::from([(1 << 30, 2)]),
            page_pins: Some(-1),
            ..Baseline::take(&BTreeMap::new())
        };
        let seen = states(&before, &now);
        assert_eq!([seen[2], seen[4]], [held, held]);
    }
}
