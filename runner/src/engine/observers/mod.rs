// SPDX-License-Identifier: MIT OR Apache-2.0
//! What watches every case beside its own checks: the process and the host have to be after it as they were before.
//!
//! An [`Observer`] is a file here and a row of [`ALL`].

mod huge_pages;
mod locked_memory;
mod open_files;
mod page_pins;
mod pinned_memory;
pub mod taint;

use std::{collections::BTreeMap, thread, time::Duration};

use crate::{
    event::Observation,
    host::facts::{self, ProcessMemory},
    model::Observed,
};

/// All that is looked at before and after each case, in the order of the results. Open files come last: others open some when they
/// look for the first time.
const ALL: [&dyn Observer; 5] = [
    &locked_memory::LockedMemory,
    &pinned_memory::PinnedMemory,
    &huge_pages::HugePages,
    &page_pins::PagePins,
    &open_files::OpenFiles,
];

/// What goes back with a delay (a batch of pages that another processor still holds) gets this long.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The bytes of huge pages that the engine keeps for later cases, by page size.
pub type Kept = BTreeMap<u64, u64>;

/// What several observers read.
struct Shared<'k> {
    kept: &'k Kept,
    memory: Option<ProcessMemory>,
}

/// What an observer counted, by a key of its own.
type State = BTreeMap<u64, u64>;

/// What an observer counted, or why it could not.
type Look = Result<State, &'static str>;

/// Looks at one thing that a case has to leave as it found it.
trait Observer: Sync {
    /// As results name it.
    fn name(&self) -> &'static str;

    /// How it is now, or why that is unknown.
    fn look(&self, shared: &Shared) -> Look;

    /// What is wrong with how it is now.
    fn wrong(&self, before: &State, now: &State) -> Option<String>;

    /// Whether the kernel may put it right a moment later.
    fn may_lag(&self) -> bool {
        false
    }
}

/// The process and the host before a case; see [`Baseline::compare`].
pub struct Baseline(Vec<Look>);

impl Baseline {
    pub fn take(kept: &Kept) -> Baseline {
        let shared = Shared { kept, memory: facts::process_memory() };
        Baseline(ALL.iter().map(|observer| observer.look(&shared)).collect())
    }

    /// What has changed since, and how it is now.
    pub fn compare(&self, kept: &Kept) -> (Vec<Observation>, Baseline) {
        let mut now = Baseline::take(kept);
        let late = |(observer, (before, now)): (&&dyn Observer, (&Look, &Look))| {
            observer.may_lag() && observation(*observer, before, now).state == Observed::Broken
        };
        if ALL.iter().zip(self.0.iter().zip(&now.0)).any(late) {
            thread::sleep(PATIENCE);
            now = Baseline::take(kept);
        }
        (self.against(&now), now)
    }

    fn against(&self, now: &Baseline) -> Vec<Observation> {
        let both = ALL.iter().zip(self.0.iter().zip(&now.0));
        both.map(|(observer, (before, now))| observation(*observer, before, now)).collect()
    }
}

fn observation(observer: &dyn Observer, before: &Look, now: &Look) -> Observation {
    match (before, now) {
        (Ok(before), Ok(now)) => match observer.wrong(before, now) {
            None => held(observer.name()),
            Some(what) => broken(observer.name(), what),
        },
        (Err(why), _) | (_, Err(why)) => unchecked(observer.name(), (*why).to_owned()),
    }
}

pub fn held(observer: &str) -> Observation {
    Observation { observer: observer.into(), state: Observed::Held, detail: None, by: Vec::new() }
}

pub fn broken(observer: &str, what: String) -> Observation {
    Observation { observer: observer.into(), state: Observed::Broken, detail: Some(what), by: Vec::new() }
}

pub fn unchecked(observer: &str, why: String) -> Observation {
    Observation { observer: observer.into(), state: Observed::Unchecked, detail: Some(why), by: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_before_is_held_and_what_is_not_is_broken() {
        let (held, broken, blind) = (Observed::Held, Observed::Broken, Observed::Unchecked);
        let states =
            |before: &Baseline, now: &Baseline| before.against(now).iter().map(|seen| seen.state).collect::<Vec<_>>();
        // Pins are counted for the whole host, and this is not the lab's.
        let here = Baseline::take(&Kept::new());
        assert_eq!(states(&here, &here), [held, held, held, blind, held]);
        let counts = |counts: [(u64, u64); 5]| Baseline(counts.map(|count| Ok(State::from([count]))).to_vec());
        let before = counts([(0, 8192), (0, 8192), (1 << 30, 1), (0, 5), (0, 9)]);
        let worse = counts([(0, 8192), (0, 12288), (2 << 20, 1), (0, 6), (0, 10)]);
        assert_eq!(states(&before, &worse), [held, broken, broken, broken, broken]);
        // What others freed or let go of is fine.
        let better = counts([(0, 8192), (0, 8192), (1 << 30, 2), (0, 4), (0, 9)]);
        assert_eq!(states(&before, &better), [held; 5]);
    }
}
