// SPDX-License-Identifier: MIT OR Apache-2.0
//! What kmemleak finds, where the lab's kernel has it: memory of the kernel that nothing points to any more
//! (`Documentation/dev-tools/kmemleak.rst`).
//!
//! A scan takes seconds, or a minute under emulation, and finds only memory that is older than five seconds. So it is made now and then, and
//! at the end of the run. When the memory was allocated says which case it was, whose result is then revised.

use std::time::{Duration, Instant};
use std::{collections::BTreeMap, collections::BTreeSet, fs, io, panic::resume_unwind, thread};

use super::observers::{broken, unchecked};
use crate::{
    event::{CaseResult, Observation, PlannedCase},
    host::facts,
    model::{Observed, Verdict},
};

const FILE: &str = "/sys/kernel/debug/kmemleak";

/// Has the kernel's clock, in the unit that kmemleak uses.
const CLOCK: &str = "/proc/timer_list";

/// How long cases run between two scans: a guest that dies takes no more with it.
const EVERY: Duration = Duration::from_secs(600);

/// How often is said that a scan goes on.
const BEAT: Duration = Duration::from_secs(1);

/// Younger memory is not reported (MSECS_MIN_AGE in `mm/kmemleak.c`).
const AGE: Duration = Duration::from_millis(5500);

/// As many functions say where memory was allocated.
const FUNCTIONS: usize = 6;

/// The cases that ran, and what kmemleak may find of them.
#[derive(Debug)]
pub struct Leaks {
    scanned: Instant,
    /// When each case began, by the kernel's clock.
    begun: Vec<(u64, u32)>,
    /// How many of these began before the last look.
    looked: usize,
    /// The results of all of them.
    results: BTreeMap<u32, CaseResult>,
}

impl Leaks {
    /// `None` outside of the lab, where other programs make the kernel lose memory too, and on a kernel without kmemleak.
    pub fn watch() -> Option<Leaks> {
        if !facts::is_lab_guest() {
            return None;
        }
        // What was lost before the first case is not of a case.
        fs::write(FILE, "clear").ok()?;
        Some(Leaks { scanned: Instant::now(), begun: Vec::new(), looked: 0, results: BTreeMap::new() })
    }

    /// A case begins.
    pub fn begin(&mut self, case: u32) {
        if let Some(now) = fs::read_to_string(CLOCK).ok().and_then(|text| jiffies(&text)) {
            self.begun.push((now, case));
        }
    }

    /// A case has ended with this result.
    pub fn ended(&mut self, result: &CaseResult) {
        self.results.insert(result.case, result.clone());
    }

    /// Whether it is time to look.
    pub fn is_due(&self) -> bool {
        self.scanned.elapsed() > EVERY
    }

    /// Waits until all that is lost is old enough to be found.
    pub fn wait(&self) {
        thread::sleep(AGE);
    }

    /// Looks now, and says meanwhile that it does. Returns what each case lost, as its observer saw it. If the kernel does not scan, as
    /// kmemleak stops for good when it runs out of memory, nothing is known of the cases since the last look.
    pub fn look(&mut self, beat: &mut dyn FnMut() -> io::Result<()>) -> io::Result<Vec<(u32, Observation)>> {
        let scanned = thread::scope(|scope| {
            let scan = scope.spawn(scan);
            while !scan.is_finished() {
                beat()?;
                thread::sleep(BEAT);
            }
            Ok::<_, io::Error>(scan.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })?;
        self.scanned = Instant::now();
        let found = scanned.map(|leaks| self.blame(&leaks));
        let since = std::mem::replace(&mut self.looked, self.begun.len());
        Ok(found.unwrap_or_else(|error| {
            let cases: BTreeSet<u32> = self.begun[since..].iter().map(|(_, case)| *case).collect();
            cases.into_iter().map(|case| (case, unchecked("kmemleak", format!("it does not scan: {error}")))).collect()
        }))
    }

    fn blame(&self, leaks: &[Leak]) -> Vec<(u32, Observation)> {
        let mut all: BTreeMap<u32, (&Leak, usize)> = BTreeMap::new();
        for leak in leaks {
            if let Some((_, case)) = self.begun.iter().rfind(|(begin, _)| *begin <= leak.jiffies) {
                all.entry(*case).or_insert((leak, 0)).1 += 1;
            }
        }
        let seen = |(case, (Leak { bytes, functions, .. }, count)): (u32, (&Leak, usize))| {
            let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
            let what = format!("the kernel lost {bytes} bytes that it allocated in {}{more}", functions.join(", "));
            (case, broken("kmemleak", what))
        };
        all.into_iter().map(seen).collect()
    }

    /// The result of a case that lost memory: it fails if it had not done so already.
    pub fn revised(&mut self, planned: &PlannedCase, seen: Observation) -> Option<CaseResult> {
        let result = self.results.get_mut(&planned.case)?;
        let (what, lost) = (seen.detail.clone().unwrap_or_default(), seen.state == Observed::Broken);
        result.observers.push(seen);
        if lost && matches!(result.verdict, Verdict::Passed | Verdict::Skipped | Verdict::Flaky) {
            let place = format!("{}:{}", planned.file, planned.line);
            result.verdict = Verdict::Failed;
            result.detail = Some(format!("error[kernel-log]: {what}\n  --> {place}"));
            (result.message, result.at, result.carets) = (Some(what), Some(place), Vec::new());
        }
        Some(result.clone())
    }
}

fn scan() -> io::Result<Vec<Leak>> {
    // The first scan notes what new memory holds, and the second one reports it if that has not changed.
    for _ in 0..2 {
        fs::write(FILE, "scan")?;
    }
    let text = fs::read_to_string(FILE)?;
    // What was reported is not reported again.
    fs::write(FILE, "clear")?;
    Ok(leaks(&text))
}

/// The clock in the text of `/proc/timer_list`.
fn jiffies(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.trim().strip_prefix("jiffies: ")?.parse().ok())
}

#[derive(Debug, PartialEq, Eq)]
struct Leak {
    bytes: u64,
    jiffies: u64,
    /// The innermost functions of those that allocated it, without what allocates for all.
    functions: Vec<String>,
}

/// What kmemleak's file lists.
fn leaks(text: &str) -> Vec<Leak> {
    let mut all = Vec::new();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("(size ").filter(|_| line.starts_with("unreferenced object")) {
            let bytes = rest.split(')').next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
            all.push(Leak { bytes, jiffies: 0, functions: Vec::new() });
            continue;
        }
        let Some(leak) = all.last_mut() else { continue };
        if let Some((_, rest)) = line.split_once(", jiffies ") {
            leak.jiffies = rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
        } else if let Some((function, _)) = line.trim().split_once("+0x") {
            // Before Linux 6.8 an address in brackets stood before it.
            let function = function.rsplit(' ').next().unwrap_or(function);
            let allocates = ["kmalloc", "kmem_cache", "kmemleak"].iter().any(|name| function.contains(name));
            if leak.functions.len() < FUNCTIONS && !allocates {
                leak.functions.push(function.to_owned());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
unreferenced object 0xffff888103a3a000 (size 64):
  comm \"swapper/0\", pid 1, jiffies 4294667300
  hex dump (first 32 bytes):
    00 01 00 00 00 00 ad de 22 01 00 00 00 00 ad de  ........\".......
  backtrace (crc 5cd2b1a7):
    __kmalloc_cache_noprof+0x2c1/0x390
    early+0x12/0x30
unreferenced object 0xffff888103a3b000 (size 192):
  comm \"vfiospec\", pid 77, jiffies 4294901234 (age 12.345s)
  backtrace (crc 0):
    [<00000000a1b2c3d4>] kmem_cache_alloc+0x2c1/0x390
    [<00000000a1b2c3d5>] iopt_alloc_area_pages+0x55/0x90
    iommufd_ioas_map+0x10/0x20
unreferenced object 0xffff888103a3c000 (size 8):
  comm \"vfiospec\", pid 77, jiffies 4294901300
  backtrace (crc 0):
    iommufd_ioas_copy+0x10/0x20
";

    fn after(begun: &[(u64, u32)]) -> Leaks {
        let result = |case| CaseResult::new(case, Verdict::Passed, Duration::ZERO);
        let results = begun.iter().map(|(_, case)| (*case, result(*case))).collect();
        Leaks { scanned: Instant::now(), begun: begun.to_vec(), looked: 0, results }
    }

    #[test]
    fn memory_is_of_the_case_that_ran_when_it_was_allocated() {
        let all = leaks(TEXT);
        let blamed = |begun: &[(u64, u32)]| {
            let seen = after(begun).blame(&all);
            seen.into_iter().map(|(case, seen)| (case, seen.detail.unwrap())).collect::<Vec<_>>()
        };
        let map = "the kernel lost 192 bytes that it allocated in iopt_alloc_area_pages, iommufd_ioas_map";
        let copy = "the kernel lost 8 bytes that it allocated in iommufd_ioas_copy";
        assert_eq!(blamed(&[(4294900000, 7), (4294902000, 8)]), [(7, format!("{map}, and 1 more"))]);
        let both = [(3, map.to_owned()), (7, copy.to_owned())];
        assert_eq!(blamed(&[(4294900000, 7), (4294901000, 3), (4294901250, 7)]), both, "a case may run twice");
        assert_eq!(blamed(&[(4294902000, 8)]), [], "what was lost before the first case is not of a case");
        assert_eq!(leaks(""), []);
    }

    #[test]
    fn a_case_that_lost_memory_has_not_passed() {
        let planned = PlannedCase { case: 7, ..PlannedCase::default() };
        let mut found = after(&[(1, 7), (2, 8)]);
        let revised = found.revised(&planned, broken("kmemleak", "it lost some".into())).unwrap();
        assert_eq!((revised.verdict, revised.message.as_deref()), (Verdict::Failed, Some("it lost some")));
        assert_eq!(revised.observers.len(), 1);
        let again = found.revised(&planned, broken("kmemleak", "it lost more".into())).unwrap();
        assert_eq!((again.message.as_deref(), again.observers.len()), (Some("it lost some"), 2));
    }

    #[test]
    fn the_clock_is_the_one_of_the_first_processor() {
        let text = "Timer List Version: v0.10\n  .nr_events      : 1\njiffies: 4294901234\n";
        assert_eq!(jiffies(text), Some(4294901234));
        assert_eq!(jiffies("now at 12 nsecs"), None);
    }
}
