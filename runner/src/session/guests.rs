// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guests of one run in the lab. Those that run at the same time share the cases; one that dies is followed by a fresh one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    thread,
};

use super::{Begun, Course, Failure, Output, Reached, Resumed, interrupt, print};
use crate::event::{CaseResult, DeviceUsed, Event, PlannedCase, RunFinished, RunStarted};
use crate::host::pstore;
use crate::lab::{Guest, JOURNAL_PORT, Job, LabError, Next, Prepared};
use crate::model::{Capability, Exit, Verdict, count};
use crate::report::terminal::Terminal;
use crate::{engine::Schedule, engine::schedule::Burden, engine::schedule::died, plan::Plan, plan::Setup, sanitize};

/// Where a guest has its scenarios.
pub const SCENARIOS: &str = "/vfiospec/scenarios.json";
const SCHEDULE: &str = "/vfiospec/schedule.json";
/// How long a guest may be silent once all its cases have their results: it gives its devices back, which a kernel that took harm may never end.
const GIVING_BACK: Duration = Duration::from_secs(20);
/// How often Ctrl-C is looked for.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// How many guests in a row may die of a case, without one case that ends by itself.
const MOST_DEATHS: u32 = 10;
/// How many guests in a row may die without a case to blame.
const MOST_IN_VAIN: u32 = 2;
/// With fewer cases for each, the boot of another guest costs more time than it saves.
const CASES_WORTH_A_GUEST: usize = 100;
/// How many cases that are not slow take as long as one that is, at least.
const SLOW_WEIGHT: usize = 10;
/// How many guests a processor has work for while devices reset.
const RESETTING_GUESTS_A_PROCESSOR: usize = 2;

pub struct LabRun<'a> {
    pub prepared: &'a Prepared,
    /// What is the same for every guest.
    pub job: Job,
    pub plan: &'a Plan,
    /// What the plan was made from: each guest gets the scenarios that its cases need.
    pub setup: &'a Setup,
    pub schedule: Schedule,
    /// How many guests share the cases, if the user says it.
    pub guests: Option<usize>,
    /// What this host knows better than its guests.
    pub host: RunStarted,
    /// The run that this one goes on with.
    pub resumed: Option<Resumed>,
    pub output: Output,
    /// The folder for the kernel's coverage, if the kernel counts which of its lines run.
    pub coverage: Option<PathBuf>,
    /// How much longer than its case may take a guest may be silent before it counts as hung.
    pub silence: Duration,
    pub interrupt: &'a AtomicBool,
}

impl LabRun<'_> {
    /// Runs to the end, in as many guests as it takes, and returns the exit code; `begun` is what it begins with.
    pub fn run(self, begun: Begun, course: &Course) -> Result<u8, Failure> {
        let LabRun { prepared, mut job, plan, setup, mut schedule, guests, host, mut resumed, output, .. } = self;
        let LabRun { coverage, silence, interrupt, .. } = self;
        let planned = begun.planned.clone();
        let blamed = match &mut resumed {
            Some(resumed) => resumed.go_on(&mut schedule, &host.boot, course.retry_died),
            None => Vec::new(),
        };
        let guests = guests.unwrap_or_else(|| as_many_as_help(&schedule, &setup.devices, prepared.room()));
        let lanes = schedule.dealt(guests, |case| {
            let planned = &plan.cases[case as usize];
            let weight = if planned.is_slow() { SLOW_WEIGHT } else { 1 };
            Burden { scenario: planned.scenario, kind: planned.case, weight }
        });
        if let Err(error) = prepared.check_room(lanes.len()) {
            output.not_begun(begun, error.reason());
            return Err(error.into());
        }
        job.crowded = lanes.len() > 1 && lanes.len() * prepared.cpus() > processors();
        let record = Record {
            output,
            host,
            planned,
            lanes: lanes.len(),
            resumed,
            blamed,
            began: None,
            stopped: None,
            why: None,
            reached: Reached::default(),
        };
        let record = Mutex::new(record);
        let all = Guests { prepared, job, plan, setup, silence, interrupt, record, ending: AtomicBool::new(false) };
        let ends: Vec<_> = thread::scope(|scope| {
            let lanes: Vec<_> =
                lanes.into_iter().map(|schedule| scope.spawn(|| Lane::new(&all, schedule).run())).collect();
            lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let mut record = all.record.into_inner().unwrap_or_else(PoisonError::into_inner);
        let exit = match ends.into_iter().collect::<Result<Vec<_>, _>>().and_then(|ends| Ok(record.finish(&ends)?)) {
            Ok(exit) => exit,
            Err(Broken::Journal(error)) => {
                eprintln!("vfiospec: failed to write the journal: {error}");
                Some(Exit::ReportNotWritten as u8)
            }
            // What is known by now is reported all the same.
            Err(Broken::Lab(error)) if !record.output.is_empty() => {
                eprintln!("vfiospec: {error}");
                Some(error.exit as u8)
            }
            Err(Broken::Lab(error)) => {
                record.output.not_begun(begun, error.reason());
                return Err(error.into());
            }
            // It does not go on where it is another run, and changes nothing.
            Err(Broken::Refused(failure)) => return Err(failure),
        };
        if record.output.is_empty() {
            let why = record.why.as_deref().unwrap_or("the guest ended early");
            let interrupted = exit == Some(Exit::Interrupted as u8);
            record.output.not_begun(begun, (!interrupted).then_some(why));
            return Ok(exit.unwrap_or(Exit::NoVerdict as u8));
        }
        let to_stdout = record.output.stdout_is_free();
        let mut judged = record.output.finish(course)?;
        if let Some(folder) = coverage {
            let terminal = if to_stdout { Terminal::detect(&io::stdout()) } else { Terminal::detect(&io::stderr()) };
            match record.reached.write(&folder, prepared, interrupt, &terminal) {
                Ok(text) if to_stdout => print(&text)?,
                Ok(text) => eprint!("{text}"),
                Err(failure) => {
                    eprintln!("vfiospec: {failure}");
                    judged = failure.exit;
                }
            }
        }
        Ok(match exit {
            Some(exit) if judged != Exit::Failed || exit != Exit::NoVerdict as u8 => exit,
            _ => judged as u8,
        })
    }
}

/// How many guests end a run soonest. A function-level reset takes 100 ms (pcie_flr in drivers/pci/pci.c), at each opening and closing of
/// the device: while one guest waits for it, another works. Without resets there is nothing to wait for.
fn as_many_as_help(schedule: &Schedule, devices: &[DeviceUsed], room: usize) -> usize {
    // With several guests, calls would be shown mixed up, and cases would go on behind the first failure.
    if schedule.trace || schedule.fail_fast {
        return 1;
    }
    let resets = devices.iter().any(|device| device.capabilities.contains(&Capability::Flr));
    let a_processor = if resets { RESETTING_GUESTS_A_PROCESSOR } else { 1 };
    (schedule.order.len() / CASES_WORTH_A_GUEST).min(a_processor * processors()).min(room)
}

/// The processors of this machine that this process may use.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What all guests of a run have in common.
struct Guests<'a> {
    prepared: &'a Prepared,
    job: Job,
    plan: &'a Plan,
    setup: &'a Setup,
    silence: Duration,
    interrupt: &'a AtomicBool,
    record: Mutex<Record>,
    /// Set when the run ends before all cases have run.
    ending: AtomicBool,
}

impl Guests<'_> {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the guests have told.
struct Record {
    output: Output,
    host: RunStarted,
    planned: Vec<PlannedCase>,
    lanes: usize,
    resumed: Option<Resumed>,
    /// Results of the cases that ended the run that this one goes on with.
    blamed: Vec<CaseResult>,
    /// When the run began.
    began: Option<Instant>,
    /// Why it ends early.
    stopped: Option<String>,
    /// Why it has not begun.
    why: Option<String>,
    /// Which lines of the kernel ran.
    reached: Reached,
}

impl Record {
    /// The first guest that runs begins the run, or goes on with an earlier one; a failure if it is on another machine than that.
    fn begin(&mut self, started: RunStarted, lab: &str) -> io::Result<Option<Failure>> {
        if self.began.is_some() {
            return Ok(None);
        }
        let RunStarted { boot, scenarios, shuffle, lab_iommu, again, host, .. } = self.host.clone();
        let lab = if self.lanes > 1 { format!("{lab}, {} guests", self.lanes) } else { lab.to_owned() };
        let started = RunStarted { lab: Some(lab), lab_iommu, boot, scenarios, shuffle, again, host, ..started };
        if let Some(resumed) = &self.resumed {
            if let Err(failure) = resumed.same_machine(&started, &started.devices) {
                return Ok(Some(failure));
            }
            self.output.on(Event::RunResumed(started))?;
        } else {
            self.output.on(Event::RunStarted(started))?;
            std::mem::take(&mut self.planned)
                .into_iter()
                .try_for_each(|case| self.output.on(Event::CasePlanned(case)))?;
        }
        std::mem::take(&mut self.blamed)
            .into_iter()
            .try_for_each(|result| self.output.on(Event::CaseFinished(result)))?;
        self.began = Some(Instant::now());
        Ok(None)
    }

    /// Ends the run; returns the exit code where the events alone do not say it.
    fn finish(&mut self, ends: &[Ended]) -> io::Result<Option<u8>> {
        let interrupted = ends.contains(&Ended::Interrupted);
        let early = ends.iter().find_map(|end| if let Ended::Early(code) = end { Some(*code) } else { None });
        if let (Some(resumed), true) = (&self.resumed, ends.is_empty()) {
            // Nothing was left to do.
            self.output.on(Event::RunResumed(resumed.past.started.clone()))?;
            std::mem::take(&mut self.blamed)
                .into_iter()
                .try_for_each(|result| self.output.on(Event::CaseFinished(result)))?;
            self.output.on(Event::RunFinished(RunFinished::default()))?;
        } else if let (Some(began), None) = (self.began, early) {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let stopped = self.stopped.take().filter(|_| !interrupted);
            self.output.on(Event::RunFinished(RunFinished { millis, interrupted, stopped }))?;
        }
        Ok(match early {
            _ if interrupted => Some(Exit::Interrupted as u8),
            Some(_) if self.began.is_some() => Some(Exit::NoVerdict as u8),
            Some(code) => Some(code),
            None => ends.contains(&Ended::NoVerdict).then_some(Exit::NoVerdict as u8),
        })
    }
}

/// One guest after another, and the cases that are theirs.
struct Lane<'a> {
    all: &'a Guests<'a>,
    schedule: Schedule,
    /// The case that has begun and not ended, and when it began.
    running: Option<(u32, Instant)>,
    /// How long the guest's console was then, in bytes.
    console: u64,
    /// The calls that it is making and that nobody wrote down, as a scenario.
    exploring: Option<String>,
    /// The attempts at it that have ended.
    attempts: Vec<CaseResult>,
    done: HashSet<u32>,
    /// Whether a guest has told that its run ended.
    is_finished: bool,
}

/// How a lane ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// Its cases have their results, or the run was stopped.
    Well,
    /// The results stand, but a kernel that dies when a device is given back has not done well.
    NoVerdict,
    Interrupted,
    /// The command of a guest ended before its cases did, with this code.
    Early(u8),
}

/// How a guest ended.
enum End {
    Finished(u8),
    /// It died, was killed or hung: what happened, if it is known, and the end of its console.
    Died {
        why: Option<String>,
        console: String,
    },
    /// It is another machine than the run began on.
    Refused(Failure),
    Interrupted,
    /// Another lane ended the run.
    Dismissed,
}

impl<'a> Lane<'a> {
    fn new(all: &'a Guests<'a>, schedule: Schedule) -> Self {
        // This side writes the beginning and the plan: a guest may die before it has sent them.
        let schedule = Schedule { resumes: true, ..schedule };
        Lane {
            all,
            schedule,
            running: None,
            console: 0,
            exploring: None,
            attempts: Vec::new(),
            done: HashSet::new(),
            is_finished: false,
        }
    }

    /// Runs guest after guest. What breaks one lane ends the run.
    fn run(mut self) -> Result<Ended, Broken> {
        let end = self.guests();
        if !matches!(end, Ok(Ended::Well | Ended::NoVerdict)) {
            self.all.ending.store(true, Ordering::Relaxed);
        }
        end
    }

    fn guests(&mut self) -> Result<Ended, Broken> {
        let (mut deaths, mut in_vain) = (0, 0);
        loop {
            let (job, numbers) = self.job();
            let mut guest = Guest::boot(self.all.prepared, &job, self.all.interrupt).map_err(Broken::Lab)?;
            let before = self.done.len();
            let end = self.follow(&mut guest, &numbers)?;
            match &end {
                End::Finished(_) => self.all.record().reached.told(guest.counters()),
                End::Died { .. } | End::Refused(_) | End::Interrupted | End::Dismissed => {
                    self.all.record().reached.lost()
                }
            }
            let (why, console) = match end {
                End::Finished(_) if self.is_finished => return Ok(Ended::Well),
                End::Finished(code) => {
                    let words = guest.last_words();
                    let ours = words.find("vfiospec: ").map_or(words.as_str(), |at| &words[at..]);
                    eprintln!("vfiospec: the run in the guest ended early; its console says:\n{}", indent(ours));
                    let why = ours.lines().next().map(|line| line.trim_start_matches("vfiospec: ").to_owned());
                    self.all.record().why = why;
                    return Ok(Ended::Early(code));
                }
                End::Refused(failure) => return Err(Broken::Refused(failure)),
                // A guest is not asked to end: it is taken away, and its run ends here.
                End::Interrupted => return Ok(Ended::Interrupted),
                End::Dismissed => return Ok(Ended::Well),
                End::Died { why, console } => (why, console),
            };
            drop(guest);
            if self.done.len() > before {
                (deaths, in_vain) = (0, 0);
            }
            let to_blame = self.blame(why.as_deref(), &console)?;
            if to_blame {
                (deaths, in_vain) = (deaths + 1, 0);
            } else {
                in_vain += 1;
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                eprintln!("vfiospec: the guest died{why}; its console says:\n{}", indent(&console));
            }
            self.schedule.order.retain(|case| !self.done.contains(case));
            self.schedule.attempts = std::mem::take(&mut self.attempts);
            let left = self.schedule.order.len();
            let stopped = match (to_blame, left) {
                _ if self.is_finished => return Ok(Ended::NoVerdict),
                (true, 0) => return Ok(Ended::Well),
                (false, 0) => return Ok(Ended::NoVerdict),
                (true, _) if self.schedule.fail_fast => "a case did not pass (--fail-fast)".to_owned(),
                _ if deaths >= MOST_DEATHS => format!("{deaths} guests in a row died of a case"),
                _ if in_vain >= MOST_IN_VAIN => format!("{in_vain} guests in a row died without running a case"),
                _ => {
                    let line = format!("lab: the guest died; a fresh one runs the {} left", count(left, "case"));
                    self.all.record().output.say(&line);
                    continue;
                }
            };
            let mut record = self.all.record();
            if record.began.is_some() {
                record.output.say(&format!("vfiospec: stopping: {stopped}"));
            } else {
                record.why = Some(stopped.clone());
            }
            record.stopped = Some(stopped);
            self.all.ending.store(true, Ordering::Relaxed);
            return Ok(Ended::Well);
        }
    }

    /// The job of a guest that runs the cases which are left, with the scenarios that they need: to read them all takes a guest under
    /// emulation seconds. Returns the number of each case by its number in the guest's plan, too.
    fn job(&self) -> (Job, HashMap<u32, u32>) {
        let Guests { plan, setup, .. } = self.all;
        let (setup, numbers) = setup.narrowed(plan, &self.schedule.order);
        let there = |case: u32| numbers[case as usize];
        let schedule = self.schedule.renumbered(there);
        let mut job = self.all.job.clone();
        let scenarios = serde_json::to_vec(&setup.scenarios).expect("texts have a JSON form");
        let schedule = serde_json::to_vec(&schedule).expect("a schedule has a JSON form");
        job.files.extend([(SCENARIOS.into(), scenarios), (SCHEDULE.into(), schedule)]);
        job.argv
            .extend(["--scenarios", SCENARIOS, "--schedule", SCHEDULE, "--events", JOURNAL_PORT].map(str::to_owned));
        (job, self.schedule.order.iter().map(|case| (there(*case), *case)).collect())
    }

    /// Takes in what a guest says, record by record; `numbers` are its numbers of cases and ours.
    fn follow(&mut self, guest: &mut Guest, numbers: &HashMap<u32, u32>) -> io::Result<End> {
        let mut heard = Instant::now();
        let all = self.all;
        // While a person has the guest's console.
        let mut attached = None;
        let interrupted = || all.interrupt.load(Ordering::Relaxed);
        loop {
            match guest.next_line(TICK) {
                Next::Line(line) => {
                    heard = Instant::now();
                    attached = None;
                    let told = serde_json::from_str::<Event>(&line).map_err(|error| error.to_string());
                    let told = told.and_then(|event| {
                        event
                            .renumbered(|case| numbers.get(&case).copied())
                            .ok_or_else(|| "it has no such case".to_owned())
                    });
                    match told {
                        Ok(Event::RunResumed(started)) => {
                            if let Some(failure) = all.record().begin(started, guest.description())? {
                                return Ok(End::Refused(failure));
                            }
                        }
                        Ok(Event::Kept) => {
                            all.record().output.pause();
                            eprintln!(
                                "vfiospec: the case did not pass, and this is the guest as it left it: its device is open by a process of \
                                 this run, on vfio-pci; `exit` or Ctrl-A X ends it"
                            );
                            match guest.attach(interrupt::flag()) {
                                Ok(console) => attached = Some(console),
                                Err(error) => {
                                    let why = format!("failed to have its console: {error}");
                                    return Ok(End::Died { why: Some(why), console: guest.last_words() });
                                }
                            }
                        }
                        Ok(mut event) => {
                            match &mut event {
                                Event::CaseStarted { .. } => self.console = guest.console_length(),
                                Event::CaseFinished(result) | Event::CaseAttempted(result)
                                    if matches!(result.verdict, Verdict::Failed | Verdict::Error) =>
                                {
                                    result.console = guest.console_since(self.console);
                                }
                                _ => {}
                            }
                            self.on(event)?;
                        }
                        Err(error) => {
                            let why = format!("failed to understand the guest: {error}: {line}");
                            return Ok(End::Died { why: Some(why), console: guest.last_words() });
                        }
                    }
                    // Quick cases leave no pause to look in.
                    if interrupted() && !self.is_finished {
                        return Ok(End::Interrupted);
                    }
                    if all.ending.load(Ordering::Relaxed) && !self.is_finished {
                        return Ok(End::Dismissed);
                    }
                }
                Next::Counted => heard = Instant::now(),
                Next::Finished { code } => return Ok(End::Finished(code)),
                Next::Died { console_tail } => return Ok(End::Died { why: None, console: console_tail }),
                Next::TimedOut if interrupted() => return Ok(End::Interrupted),
                Next::TimedOut if all.ending.load(Ordering::Relaxed) => return Ok(End::Dismissed),
                Next::TimedOut if attached.is_none() && heard.elapsed() > self.patience() => {
                    let why = format!("nothing was heard of it for {} s", heard.elapsed().as_secs());
                    return Ok(End::Died { why: Some(why), console: guest.last_words() });
                }
                Next::TimedOut => {}
            }
        }
    }

    /// One event of the guest.
    fn on(&mut self, event: Event) -> io::Result<()> {
        match &event {
            Event::CaseStarted { case } => (self.running, self.exploring) = (Some((*case, Instant::now())), None),
            Event::CaseAttempted(attempt) => self.attempts.push(attempt.clone()),
            Event::CaseFinished(result) => {
                self.running = None;
                self.attempts.clear();
                self.done.insert(result.case);
            }
            Event::RunFinished(finished) => {
                // The run ends when all its guests have ended.
                self.is_finished = true;
                if let Some(stopped) = &finished.stopped {
                    self.all.record().stopped = Some(stopped.clone());
                    self.all.ending.store(true, Ordering::Relaxed);
                }
                return Ok(());
            }
            Event::Exploring { scenario, .. } => {
                self.exploring = Some(scenario.clone());
                return Ok(());
            }
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::CasePlanned(_)
            | Event::Called { .. }
            | Event::Busy { .. }
            | Event::Kept => {}
        }
        self.all.record().output.on(event)
    }

    /// How long a guest may be silent now.
    fn patience(&self) -> Duration {
        if self.is_finished {
            return GIVING_BACK.min(self.all.silence);
        }
        let running = self.running.and_then(|(case, _)| self.all.plan.cases.get(case as usize));
        running.map_or(Duration::ZERO, |case| case.timeout) + self.all.silence
    }

    /// Gives the case that was running when the guest died its result; false if none was.
    fn blame(&mut self, why: Option<&str>, console: &str) -> io::Result<bool> {
        let Some((case, since)) = self.running.take() else { return Ok(false) };
        let reasons: Vec<&str> = why.into_iter().chain(pstore::cause(console)).collect();
        let reason = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
        let message = format!("the guest died while this case ran{reason}");
        let planned = &self.all.plan.cases[case as usize].id;
        let at = format!("{}:{}", planned.file, planned.line);
        let result = CaseResult {
            detail: Some(format!("{message}\n  --> {at}\nits console ends with:\n{}", indent(console))),
            at: Some(at),
            console: console.lines().map(str::to_owned).collect(),
            micros: u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX),
            scenario: self.exploring.take(),
            ..died(case, message)
        };
        let attempts = std::mem::take(&mut self.attempts);
        self.on(Event::CaseFinished(self.schedule.sum_up(attempts, result)))?;
        Ok(true)
    }
}

/// Why there is no next guest.
enum Broken {
    Journal(io::Error),
    Lab(LabError),
    /// The guest is another machine than the run began on.
    Refused(Failure),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Journal(error)
    }
}

/// A guest's console, below a sentence that says what it is.
pub(super) fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", sanitize::text(line))).collect()
}
