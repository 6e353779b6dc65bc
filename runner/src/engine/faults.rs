// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults of the IOMMU that a case expects to find in the kernel's log, and how often the kernel says so.

use std::{
    collections::{BTreeSet, VecDeque},
    thread,
    time::{Duration, Instant},
};

use super::{failure::Problem, last_step::Doing, log};
use crate::model::code::Code;
use crate::{
    event::Unchecked,
    host::{facts, kmsg::Window},
    language::Path,
};

/// How long the kernel counts the lines that it logs about faults (`DEFAULT_RATELIMIT_INTERVAL` in include/linux/ratelimit_types.h), and some more.
const INTERVAL: Duration = Duration::from_millis(5100);
/// How many lines of them it logs meanwhile (`DEFAULT_RATELIMIT_BURST` there).
const BURST: u32 = 10;
/// What one fault takes of these at most: VT-d counts the line that begins the report, the fault, and the look for a next one
/// (`dmar_fault` in drivers/iommu/intel/dmar.c).
const ONE: u32 = 3;
/// How long after the last step a fault may take to be logged: it comes by interrupt.
const LATE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(5);

/// How long ago that was, by the kernel's ticks.
fn since(moment: Duration) -> Duration {
    facts::ticked().saturating_sub(moment)
}

/// The faults that this process has seen in the kernel's log.
pub struct Faults {
    /// When it began, by the kernel's ticks, as all times here.
    begin: Duration,
    seen: VecDeque<(Duration, u32)>,
    /// The cases that have waited, by the numbers of their scenarios, their own, and their devices.
    waited: BTreeSet<(usize, usize, Option<usize>)>,
    /// Whether the kernel was certain to log a fault when the case began.
    certain: bool,
}

impl Faults {
    pub fn new() -> Faults {
        Faults { begin: facts::ticked(), seen: VecDeque::new(), waited: BTreeSet::new(), certain: true }
    }

    /// Waits until the kernel is certain to log the next fault, but only once for each case on each device. On further backends the fault is
    /// expected too, but waiting again on each would take minutes.
    pub fn wait(&mut self, case: (usize, usize, Option<usize>), say: &mut dyn FnMut(Doing)) {
        let is_first = self.waited.insert(case);
        self.certain = self.is_certain();
        if is_first && !self.certain {
            self.wait_for_it(say);
            self.certain = true;
        }
    }

    fn is_certain(&self) -> bool {
        let lines = self.seen.iter().filter(|(at, _)| since(*at) < INTERVAL).map(|(_, lines)| lines);
        // The kernel may have logged faults before this process began, which nobody counted.
        let knows_before = since(self.begin) >= INTERVAL;
        knows_before && lines.sum::<u32>() + ONE <= BURST
    }

    fn wait_for_it(&mut self, say: &mut dyn FnMut(Doing)) {
        while let Some(rest) = INTERVAL.checked_sub(since(self.begin)).filter(|rest| !rest.is_zero()) {
            say("waiting until the kernel is certain to log faults".to_owned().into());
            thread::sleep(rest);
        }
        while let Some((oldest, _)) = self.seen.front() {
            let age = since(*oldest);
            if age >= INTERVAL {
                self.seen.pop_front();
                continue;
            }
            if self.seen.iter().map(|(_, lines)| lines).sum::<u32>() + ONE <= BURST {
                return;
            }
            say("waiting until the kernel logs faults again".to_owned().into());
            thread::sleep(INTERVAL - age);
        }
    }

    /// Remembers the lines that count against the kernel's limit.
    pub fn remember(&mut self, lines: &[String]) {
        let count: u32 = lines.iter().map(|line| log::costs(line)).sum();
        if count > 0 {
            self.seen.push_back((facts::ticked(), count));
        }
    }

    /// Waits for a fault that was caused just now, as long as none is among the lines.
    pub fn await_one(&self, window: &mut Window, lines: &mut Vec<String>) {
        let until = Instant::now() + LATE;
        while !lines.iter().any(|line| log::is_fault(line)) && Instant::now() < until {
            thread::sleep(TICK);
            let more = window.records().unwrap_or_default();
            lines.extend(more.into_iter().map(|record| record.text));
        }
    }

    /// What is wrong if no fault was logged; unchecked if the log, or what the kernel has logged before, is not known.
    pub fn missing(
        &self,
        window: Option<&Window>,
        lines: &[String],
        at: Path,
    ) -> Option<Result<Box<Problem>, Unchecked>> {
        if lines.iter().any(|line| log::is_fault(line)) {
            return None;
        }
        let unknown = |reason: &str| {
            Some(Err(Unchecked { what: "IOMMU fault".into(), reason: reason.to_owned(), by_choice: false }))
        };
        match window {
            None => unknown("/dev/kmsg cannot be read, which takes root"),
            Some(window) if window.lost() => {
                unknown("lines of the kernel's log were overwritten before they could be read")
            }
            Some(_) if !self.certain => unknown(
                "the kernel logs few faults in five seconds, and had logged as many just before; on another backend the case waited",
            ),
            Some(_) => Some(Ok(Problem::new(Code::NoFault, at, "the kernel logged no fault of the IOMMU")
                .label("expected one while this case ran"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_process_does_not_trust_the_kernels_limit_before_it_has_watched_for_an_interval() {
        let fault = ["DMAR: [DMA Write NO_PASID] Request device [00:03.0] fault addr 0x0".to_owned()];
        let mut faults = Faults::new();
        assert!(!faults.is_certain());
        faults.remember(&fault);
        assert!(!faults.is_certain(), "others may have used up the limit before");
        // The kernel's clock may be younger than the interval, so the process cannot be made older here.
        faults.begin = faults.begin.saturating_sub(INTERVAL);
        if since(faults.begin) >= INTERVAL {
            assert!(faults.is_certain());
            (0..BURST).for_each(|_| faults.remember(&fault));
            assert!(!faults.is_certain(), "it was used up by what this process saw");
        }
    }
}
