// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker process as the runner sees it: what they say to each other, and how it ends.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    last_step::{Doing, LastStep},
    schedule::Schedule,
    worker::{FromWorker, ToWorker},
};
use crate::{event::CaseResult, plan::Setup};

/// How long a worker may take to end its case by itself once it was interrupted.
const GRACE: Duration = Duration::from_secs(2);
/// How long a killed worker may do nothing before it counts as held by the kernel.
const DEATH: Duration = Duration::from_secs(5);
/// How long a killed worker may be at work in the kernel, such as to pin or to free a page of 1 GiB on a machine that has much to do.
const DYING: Duration = Duration::from_secs(30);
/// How often the interrupt flag is looked at.
const TICK: Duration = Duration::from_millis(50);

/// What became of a case that a worker was given.
pub enum Outcome {
    Finished(Box<CaseResult>),
    /// The worker died or cannot be understood, and is gone.
    Lost(String),
    TimedOut(TimedOut),
    Interrupted,
}

pub struct TimedOut {
    /// What it was doing.
    pub step: Option<Doing>,
    /// The result that the worker sent when it was interrupted; `None` if it had to be killed.
    pub told: Option<Box<CaseResult>>,
    /// It waited for neither kernel nor device: vfiospec itself was busy.
    pub ours: bool,
    /// Where in the kernel a worker stays that cannot be killed.
    pub stuck: Option<String>,
}

/// What a worker tells while it runs a case.
pub enum Told {
    /// A call that it made, if it was started to tell them.
    Called(String),
    /// Calls that it is about to make and that nobody wrote down, as a scenario.
    Exploring(String),
    /// The case did not pass. The worker waits until this has been heard, and has taken nothing back by then.
    Kept,
}

pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<ChildStdout>,
    last_step: LastStep,
    /// It is running a case.
    busy: bool,
    /// The text and the place of its first panic.
    panicked: Option<String>,
    /// The calls that it is making and that nobody wrote down, as a scenario.
    pub exploring: Option<String>,
    /// It was killed, and did not die.
    stuck: bool,
}

impl Worker {
    pub fn start(setup: &Setup, Schedule { trace, ask, keep, .. }: &Schedule) -> io::Result<Worker> {
        let mut worker = Worker::spawn(Command::new("/proc/self/exe").arg0("vfiospec").arg("worker"))?;
        let (setup, last_step) = (setup.clone(), worker.last_step.number());
        worker.say(&ToWorker::Setup { setup, last_step, trace: *trace, ask: *ask, keep: *keep })?;
        Ok(worker)
    }

    fn spawn(command: &mut Command) -> io::Result<Worker> {
        let last_step = LastStep::new()?;
        // Ctrl-C is for the runner, which then decides: the worker gets a process group of its own.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn()?;
        let output = Lines::new(child.stdout.take().expect("it is piped"));
        let input = child.stdin.take();
        Ok(Worker { child, input, output, last_step, busy: false, panicked: None, exploring: None, stuck: false })
    }

    fn say(&mut self, message: &ToWorker) -> io::Result<()> {
        let mut line = serde_json::to_vec(message).expect("these types always have a JSON form");
        line.push(b'\n');
        self.input.as_mut().expect("open until the worker is dropped").write_all(&line)
    }

    /// Has it run a case: the one of this number, which is `at` in what it was set up with. `told` hears what it tells meanwhile.
    pub fn run(
        &mut self,
        case: u32,
        at: u32,
        timeout: Duration,
        interrupt: &AtomicBool,
        told: &mut dyn FnMut(Told),
    ) -> Outcome {
        self.last_step.clear();
        self.exploring = None;
        // If this fails, the worker is dead, which the loop below finds.
        let _ = self.say(&ToWorker::Run { case, at });
        self.busy = true;
        let mut deadline = Instant::now() + timeout;
        // Set once the worker was interrupted: when to kill it, its processor time, and what it was doing. After the
        // interrupt come steps that clean up.
        let mut late: Option<(Instant, Times, Option<Doing>)> = None;
        loop {
            match self.output.next(TICK) {
                Next::Line(line) => {
                    match serde_json::from_slice(&line) {
                        Ok(FromWorker::Called { call }) => told(Told::Called(call)),
                        Ok(FromWorker::Exploring { scenario }) => {
                            self.exploring = Some(scenario.clone());
                            told(Told::Exploring(scenario));
                        }
                        Ok(FromWorker::Kept) => {
                            let since = Instant::now();
                            told(Told::Kept);
                            deadline += since.elapsed();
                            late.iter_mut().for_each(|(until, ..)| *until += since.elapsed());
                            let _ = self.say(&ToWorker::GoOn);
                        }
                        // It ends now. A panic of one thread makes others panic.
                        Ok(FromWorker::Panicked { what }) => _ = self.panicked.get_or_insert(what),
                        Ok(FromWorker::Finished(result)) if result.case == case => {
                            self.busy = false;
                            return Outcome::Finished(result);
                        }
                        Ok(FromWorker::Interrupted { result, ours }) if result.case == case => {
                            self.busy = false;
                            let step = late.and_then(|(_, _, step)| step);
                            return Outcome::TimedOut(TimedOut { step, told: Some(result), ours, stuck: None });
                        }
                        Ok(FromWorker::Finished(result) | FromWorker::Interrupted { result, .. }) => {
                            let other = result.case;
                            return self.lost(format!("the worker gave a result of case {other} for case {case}"));
                        }
                        Err(error) => {
                            let line = String::from_utf8_lossy(&line);
                            return self.lost(format!("failed to understand the worker: {error}: {line}"));
                        }
                    }
                }
                Next::Nothing => {}
                Next::End => {
                    let step = late.map_or_else(|| self.last_step.last(), |(_, _, step)| step);
                    let place = step.map(|step| format!(" in {step}")).unwrap_or_default();
                    let status = self.kill(true).map_or("and cannot be waited for".to_owned(), ended);
                    let panic = self.panicked.take().map(|what| format!(": {what}")).unwrap_or_default();
                    return Outcome::Lost(format!("the worker died{place}: {status}{panic}"));
                }
            }
            if interrupt.load(Ordering::Relaxed) {
                return Outcome::Interrupted;
            }
            let now = Instant::now();
            match &late {
                None if now >= deadline => {
                    late = Some((now + GRACE, Times::of(self.child.id()).unwrap_or_default(), self.last_step.last()));
                    self.interrupt();
                }
                Some((until, before, step)) if now >= *until => {
                    let ours = !in_kernel(self.child.id(), before);
                    let stack = kernel_stack(self.child.id());
                    let stuck = self.kill(false).is_none().then_some(stack);
                    return Outcome::TimedOut(TimedOut { step: step.clone(), told: None, ours, stuck });
                }
                _ => {}
            }
        }
    }

    fn interrupt(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
    }

    fn lost(&mut self, message: String) -> Outcome {
        self.kill(false);
        Outcome::Lost(message)
    }

    /// Kills it and waits for its end; `None` if it does not come. One that is `dying` gets a moment to end by itself: its own
    /// status says more than our SIGKILL.
    fn kill(&mut self, dying: bool) -> Option<ExitStatus> {
        self.input = None;
        let begin = Instant::now();
        let mercy = if dying { TICK } else { Duration::ZERO };
        let (mut worked, mut last) = (begin, None);
        loop {
            let times = Times::of(forked(self.child.id()).pop().unwrap_or(self.child.id()));
            if times != last {
                (worked, last) = (Instant::now(), times);
            }
            let may_die = worked.elapsed() < DEATH && begin.elapsed() < DYING;
            match self.child.try_wait() {
                // Those that it forked end with it, unless the kernel holds them: then they hold the device.
                Ok(Some(status)) if forked(self.child.id()).is_empty() => return Some(status),
                Ok(Some(_)) if may_die => thread::sleep(Duration::from_millis(2)),
                Ok(None) if may_die => {
                    if begin.elapsed() >= mercy {
                        let _ = self.child.kill();
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                _ => {
                    self.stuck = true;
                    return None;
                }
            }
        }
    }
}

impl Worker {
    /// Lets it close its devices and exit, by closing its input; one that does not is killed. Returns false if it cannot be killed, and so
    /// holds its devices.
    pub fn end(&mut self) -> bool {
        if self.stuck {
            return false;
        }
        self.input = None;
        if self.busy {
            self.interrupt();
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                _ => return true,
            }
        }
        self.kill(false);
        !self.stuck
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a worker says, line by line.
struct Lines<R> {
    pipe: R,
    /// What was read and is not yet handed out.
    read: Vec<u8>,
    /// How many of these bytes are known to hold no end of a line.
    searched: usize,
}

enum Next {
    Line(Vec<u8>),
    /// Nothing in time.
    Nothing,
    /// It will say nothing any more.
    End,
}

impl<R: Read + AsFd> Lines<R> {
    fn new(pipe: R) -> Lines<R> {
        Lines { pipe, read: Vec::new(), searched: 0 }
    }

    fn next(&mut self, patience: Duration) -> Next {
        let until = Instant::now() + patience;
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(self.searched + end + 1);
                self.searched = 0;
                return Next::Line(std::mem::replace(&mut self.read, rest));
            }
            self.searched = self.read.len();
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            let mut pipe = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            match poll(&mut pipe, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => return Next::Nothing,
                _ => {}
            }
            let mut piece = [0; 16 << 10];
            match self.pipe.read(&mut piece) {
                Ok(0) | Err(_) => return Next::End,
                Ok(length) => self.read.extend(&piece[..length]),
            }
        }
    }
}

/// How a process ended, in words.
fn ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match Signal::try_from(signal) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, Some(101)) => "it panicked, which is a bug in vfiospec".to_owned(),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}

/// The processor time of a process, in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    user: u64,
    kernel: u64,
}

impl Times {
    fn of(pid: u32) -> Option<Times> {
        Times::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Fields 14 and 15 (`Documentation/filesystems/proc.rst`), counted behind the name, which may hold anything.
    fn parse(stat: &str) -> Option<Times> {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(Times { user: fields.next()?.parse().ok()?, kernel: fields.next()?.parse().ok()? })
    }
}

/// Whether a worker waits for the kernel: a thread of it is in a system call or cannot be interrupted, or it used the processor there
/// rather than in its own code. So it is taken to be where nothing can be read. One that forked another process waits for that one.
fn in_kernel(worker: u32, before: &Times) -> bool {
    let read = |thread: &str, file: &str| fs::read_to_string(format!("{thread}/{file}")).ok();
    let (pid, before) = match forked(worker).pop() {
        Some(forked) => (forked, &Times::default()),
        None => (worker, before),
    };
    let mut threads = threads(pid).peekable();
    if threads.peek().is_none() {
        return true;
    }
    let waits = |thread: String| {
        let in_call = read(&thread, "syscall").is_none_or(|text| text.starts_with(|c: char| c.is_ascii_digit()));
        let uninterruptible =
            read(&thread, "stat").is_some_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, s)| s.starts_with('D')));
        in_call || uninterruptible
    };
    let busy = |now: Times| now.kernel.saturating_sub(before.kernel) >= now.user.saturating_sub(before.user);
    threads.any(waits) || Times::of(pid).is_none_or(busy)
}

/// The processes that a worker forked, the last one last; they are in its process group. Those that are dead do not count.
fn forked(worker: u32) -> Vec<u32> {
    let is_of_worker = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ')).into_iter().flatten();
        let (state, group) = (fields.next(), fields.nth(1).and_then(|group| group.parse().ok()));
        *pid != worker && group == Some(worker) && !matches!(state, Some("Z" | "X"))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<u32> =
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_of_worker).collect();
    found.sort_unstable();
    found
}

/// The threads of a process, as folders of /proc.
fn threads(pid: u32) -> impl Iterator<Item = String> {
    let folder = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    folder.map(|thread| thread.path().to_string_lossy().into_owned())
}

/// Where in the kernel the threads of a worker are, and of those that it forked, for a report; says so where that cannot be read.
fn kernel_stack(worker: u32) -> String {
    let mut text = String::new();
    for thread in std::iter::once(worker).chain(forked(worker)).flat_map(threads) {
        let file = format!("{thread}/stack");
        match fs::read_to_string(&file) {
            Ok(stack) if stack.trim().is_empty() => {}
            Ok(stack) => {
                let _ = writeln!(text, "{file}:\n{}", stack.trim_end());
            }
            Err(error) => {
                let _ = writeln!(text, "failed to read {file}: {error}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(Times::parse(stat), Some(Times { user: 150, kernel: 25 }));
        assert_eq!(Times::parse("nothing"), None);
        assert!(Times::of(std::process::id()).is_some());
    }

    #[test]
    fn a_panic_shows_its_text_and_its_place() {
        let what = "index out of bounds at runner/src/engine/a.rs:7:9".to_owned();
        let line = serde_json::to_string(&FromWorker::Panicked { what }).unwrap();
        let mut worker = Worker::spawn(Command::new("sh").args(["-c", &format!("echo '{line}'; exit 101")])).unwrap();
        worker.last_step.say(&Doing { what: "map".into(), place: Some("a.yaml:7".into()), scenario: None });
        let outcome = worker.run(0, 0, Duration::from_secs(60), &AtomicBool::new(false), &mut drop);
        let Outcome::Lost(message) = outcome else { panic!("it ended without a result") };
        assert!(
            message.ends_with(
                "it panicked, which is a bug in vfiospec: index out of bounds at runner/src/engine/a.rs:7:9"
            ),
            "{message}"
        );
    }

    #[test]
    fn lines_are_handed_out_one_by_one_however_they_arrive() {
        let (pipe, mut end) = std::io::pipe().unwrap();
        let mut lines = Lines::new(pipe);
        let mut next = || match lines.next(Duration::ZERO) {
            Next::Line(line) => String::from_utf8(line).unwrap(),
            Next::Nothing => "nothing".into(),
            Next::End => "end".into(),
        };
        end.write_all(b"a\nb").unwrap();
        assert_eq!([next(), next()], ["a\n", "nothing"]);
        end.write_all(b"c\n\nd").unwrap();
        assert_eq!([next(), next(), next()], ["bc\n", "\n", "nothing"]);
        drop(end);
        assert_eq!(next(), "end");
    }

    #[test]
    fn a_process_that_sleeps_waits_for_the_kernel_and_one_that_computes_does_not() {
        let mut sleeps = Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let mut computes = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh starts");
        let before = [&sleeps, &computes].map(|child| Times::of(child.id()).unwrap_or_default());
        // However little of a processor it gets, it is seen to compute in the end.
        while in_kernel(computes.id(), &before[1]) {
            thread::yield_now();
        }
        let sleeps_in_kernel = in_kernel(sleeps.id(), &before[0]);
        for child in [&mut sleeps, &mut computes] {
            child.kill().and_then(|()| child.wait()).expect("it ends");
        }
        assert!(sleeps_in_kernel);
    }
}
