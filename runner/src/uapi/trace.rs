// SPDX-License-Identifier: MIT OR Apache-2.0
//! The calls that were made, decoded, one line each in the spirit of strace.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{borrow::Cow, cell::Cell, collections::VecDeque, fmt};

use serde::{Deserialize, Serialize};

use super::{inject, signal};
use crate::model::Errno;

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// How long this thread has been in its calls by now.
pub fn spent() -> Duration {
    SPENT.get()
}

/// How many calls are kept; a case that makes more loses its oldest ones.
const KEPT: usize = 10_000;

/// One call, decoded: `VFIO_IOMMU_MAP_DMA(argsz=32, flags=READ|WRITE, …) = 0`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// The request's or system call's name, as in the headers.
    pub name: Cow<'static, str>,
    /// What went in: `field=value`, separated by commas.
    pub fields: String,
    /// What came out: the value, then the fields that the kernel wrote; or `-1` and the errno.
    pub result: String,
    pub failed: bool,
}

/// The lines of the calls that were made.
#[derive(Debug, Default)]
pub struct Trace {
    pub lines: Vec<String>,
    /// The indices of the lines whose calls failed.
    pub failed: Vec<u32>,
}

impl Call {
    fn is_same(&self, other: &Call) -> bool {
        (&self.name, &self.fields, &self.result) == (&other.name, &other.fields, &other.result)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) = {}", self.name, self.fields, self.result)
    }
}

/// A place in the trace: what came after it is [`Tracer::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// Records calls; clones share one record, also from thread to thread. It keeps the last 10 000 and counts the others.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    calls: VecDeque<Call>,
    /// Calls that made room for others since the last take.
    dropped: u64,
    /// The number of the first call that is kept, counted from the first one ever.
    first: u64,
    live: Option<fn(&Call)>,
}

impl Tracer {
    pub fn new() -> Tracer {
        Tracer::default()
    }

    /// From now on each call is also passed to `live` at once.
    pub fn tell(&self, live: fn(&Call)) {
        self.record_now().live = Some(live);
    }

    /// Makes a call and records it: `fields` is what goes in, `shown` turns what came out into `0 {size=0x1000}`.
    pub fn call<T>(
        &self,
        name: &'static str,
        fields: String,
        run: impl FnOnce() -> Result<T, Errno>,
        shown: impl FnOnce(&T) -> String,
    ) -> Result<T, Errno> {
        self.made(name, fields, || (run(), false), shown)
    }

    /// The same for a call that also says whether an allocation was made to fail in it.
    fn made<T>(
        &self,
        name: &'static str,
        fields: String,
        run: impl FnOnce() -> (Result<T, Errno>, bool),
        shown: impl FnOnce(&T) -> String,
    ) -> Result<T, Errno> {
        let waiting = signal::wait();
        let begin = Instant::now();
        let (outcome, injected) = run();
        SPENT.set(SPENT.get() + begin.elapsed());
        drop(waiting);
        let mut result = match &outcome {
            Ok(value) => shown(value),
            Err(errno) => format!("-1 {errno}"),
        };
        if injected {
            result += ", where an allocation was made to fail";
        }
        self.record(Call { name: name.into(), fields, result, failed: outcome.is_err() });
        outcome
    }

    /// Makes an ioctl, a read or a write and records it, as [`Tracer::call`] does, with the file that it is on. An allocation may be made to
    /// fail in it.
    pub fn on_file<T>(
        &self,
        fd: BorrowedFd,
        name: &'static str,
        fields: String,
        run: impl FnOnce() -> Result<T, Errno>,
        shown: impl FnOnce(&T) -> String,
    ) -> Result<T, Errno> {
        let comma = if fields.is_empty() { "" } else { ", " };
        self.of_file(name, format!("fd={}{comma}{fields}", fd.as_raw_fd()), run, shown)
    }

    /// The same for an mmap of a file, which is named where the call has it.
    pub fn of_file<T>(
        &self,
        name: &'static str,
        fields: String,
        run: impl FnOnce() -> Result<T, Errno>,
        shown: impl FnOnce(&T) -> String,
    ) -> Result<T, Errno> {
        self.made(name, fields, || inject::around(run), shown)
    }

    /// Passes on something that is no call, where calls are passed on at once. It is not recorded.
    pub fn show(&self, what: impl FnOnce() -> Call) {
        let live = self.record_now().live;
        if let Some(live) = live {
            live(&what());
        }
    }

    /// A thread that panicked leaves whole calls behind.
    fn record_now(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record(&self, call: Call) {
        let live = self.record_now().live;
        if let Some(live) = live {
            live(&call);
        }
        self.keep(call);
    }

    /// Records a call that another process made, and passed on already.
    pub fn keep(&self, call: Call) {
        let mut record = self.record_now();
        if record.calls.len() == KEPT {
            record.calls.pop_front();
            record.dropped += 1;
            record.first += 1;
        }
        record.calls.push_back(call);
    }

    pub fn mark(&self) -> Mark {
        let record = self.record_now();
        Mark(record.first + record.calls.len() as u64)
    }

    /// The calls after a mark that are still kept.
    pub fn since(&self, mark: Mark) -> Vec<Call> {
        let record = self.record_now();
        record.calls.iter().skip(mark.0.saturating_sub(record.first) as usize).cloned().collect()
    }

    /// The lines of the calls after a mark that are still kept.
    pub fn lines_since(&self, mark: Mark) -> Vec<String> {
        lines(&self.since(mark))
    }

    /// All lines so far, and starts anew. If calls were dropped, the first line says how many.
    pub fn take(&self) -> Trace {
        let mut current = self.record_now();
        let first = current.first + current.calls.len() as u64;
        let anew = Record { first, live: current.live, ..Record::default() };
        let mut record = std::mem::replace(&mut *current, anew);
        let calls = record.calls.make_contiguous();
        let head = (record.dropped > 0).then(|| format!("… {} earlier calls are not kept", record.dropped));
        let failed = head.iter().map(|_| false).chain(calls.chunk_by(Call::is_same).map(|calls| calls[0].failed));
        let failed = (0..).zip(failed).filter_map(|(line, failed)| failed.then_some(line)).collect();
        Trace { failed, lines: head.into_iter().chain(lines(calls)).collect() }
    }
}

/// How a call is shown that returns nothing but success.
pub(super) fn zero<T>(_: &T) -> String {
    "0".into()
}

/// A line for each call. Equal calls in a row, as polling makes them, are one line with their number.
fn lines(calls: &[Call]) -> Vec<String> {
    let lines = calls.chunk_by(Call::is_same).map(|calls| match calls {
        [only] => only.to_string(),
        _ => format!("{} ({} times)", calls[0], calls.len()),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: usize) -> Call {
        Call { name: "VFIO_DEVICE_RESET".into(), fields: number.to_string(), result: "0".into(), failed: false }
    }

    #[test]
    fn a_call_is_one_line_with_its_outcome() {
        let tracer = Tracer::new();
        let good = tracer.call("A", "x=1".into(), || Ok(4096u64), |size| format!("0 {{size={size:#x}}}"));
        let bad = tracer.clone().call("B", String::new(), || Err::<(), _>(Errno(libc::EINVAL)), |()| "0".into());
        assert_eq!((good, bad), (Ok(4096), Err(Errno(libc::EINVAL))));
        assert_eq!(tracer.take().lines, ["A(x=1) = 0 {size=0x1000}", "B() = -1 EINVAL (invalid argument)"]);
        assert!(tracer.take().lines.is_empty());
    }

    #[test]
    fn polling_is_one_line() {
        let tracer = Tracer::new();
        [1, 2, 2, 2, 1].map(call).into_iter().for_each(|call| tracer.record(call));
        let lines = ["VFIO_DEVICE_RESET(1) = 0", "VFIO_DEVICE_RESET(2) = 0 (3 times)", "VFIO_DEVICE_RESET(1) = 0"];
        assert_eq!(tracer.take().lines, lines);
    }

    #[test]
    fn it_keeps_the_last_calls_and_says_how_many_are_missing() {
        let tracer = Tracer::new();
        (0..KEPT + 3).for_each(|number| tracer.record(call(number)));
        let mark = tracer.mark();
        tracer.record(call(7));
        assert_eq!(tracer.since(mark).len(), 1);
        let lines = tracer.take().lines;
        assert_eq!(lines.len(), KEPT + 1);
        assert_eq!(lines[0], "… 4 earlier calls are not kept");
        assert_eq!(lines[1], "VFIO_DEVICE_RESET(4) = 0");
        tracer.record(call(8));
        assert_eq!(tracer.since(mark).len(), 1, "a mark holds beyond a take");
    }
}
