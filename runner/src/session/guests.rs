// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guests of one run in the lab: usually one, and a fresh one after each that died.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Begun, Course, Failure, Output, Resumed};
use crate::engine::schedule::{Past, died};
use crate::event::{CaseResult, Event, RunFinished, RunStarted};
use crate::lab::{Guest, JOURNAL_PORT, Job, LabError, Next, Prepared};
use crate::model::{Exit, count};
use crate::{engine::Schedule, host::pstore, plan::Plan, sanitize};

const SCHEDULE: &str = "/vfiospec/schedule.json";
/// How often Ctrl-C is looked for.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// How many guests in a row may die of a case, without one case that ends by itself.
const MOST_DEATHS: u32 = 10;
/// How many guests in a row may die without a case to blame.
const MOST_IN_VAIN: u32 = 2;

pub struct LabRun<'a> {
    pub prepared: &'a Prepared,
    /// What is the same for every guest.
    pub job: Job,
    pub plan: &'a Plan,
    pub schedule: Schedule,
    /// What this host knows better than its guest.
    pub host: RunStarted,
    pub resumed: Option<Resumed>,
    pub output: Output,
    /// How much longer than its case may take a guest may be silent before it counts as hung.
    pub silence: Duration,
    pub interrupt: &'a AtomicBool,
    pub begun: Instant,
    /// Why the run has not begun, as long as it has not.
    pub why: Option<String>,
}

enum End {
    Finished(u8),
    /// It died, was killed or hung: what happened, if it is known, and the end of its console.
    Died {
        why: Option<String>,
        console: String,
    },
    Refused(Failure),
    Interrupted,
}

impl LabRun<'_> {
    /// Runs to the end, in as many guests as it takes, and returns the exit code; `begun` is what it begins with.
    pub fn run(mut self, begun: Begun, course: &Course) -> Result<u8, Failure> {
        let ended = self.guests(course.retry_died);
        let end = match ended {
            Ok(end) => end,
            Err(Broken::Journal(error)) => {
                eprintln!("vfiospec: failed to write the journal: {error}");
                Some(Exit::ReportNotWritten as u8)
            }
            // What is known by now is reported all the same.
            Err(Broken::Lab(error)) if !self.output.is_empty() => {
                eprintln!("vfiospec: {error}");
                Some(error.exit as u8)
            }
            Err(Broken::Lab(error)) => {
                self.output.not_begun(begun, error.reason());
                return Err(error.into());
            }
            // It does not go on where it is another run, and changes nothing.
            Err(Broken::Refused(failure)) => return Err(failure),
        };
        if self.output.is_empty() {
            let why = self.why.as_deref().unwrap_or("the guest ended early");
            let interrupted = end == Some(Exit::Interrupted as u8);
            self.output.not_begun(begun, (!interrupted).then_some(why));
            return Ok(end.unwrap_or(Exit::NoVerdict as u8));
        }
        let exit = self.output.finish(course)?;
        Ok(match end {
            Some(end) if exit != Exit::Failed || end != Exit::NoVerdict as u8 => end,
            _ => exit as u8,
        })
    }

    /// Runs guest after guest; returns the exit code where the events alone do not determine it.
    fn guests(&mut self, retry_died: bool) -> Result<Option<u8>, Broken> {
        let mut blamed = match &mut self.resumed {
            Some(resumed) => resumed.go_on(&mut self.schedule, &self.host.boot, retry_died),
            None => Vec::new(),
        };
        if let (true, Some(resumed)) = (self.schedule.order.is_empty(), &self.resumed) {
            self.output.on(Event::RunResumed(resumed.past.started.clone()))?;
            blamed.into_iter().try_for_each(|result| self.output.on(Event::CaseFinished(result)))?;
            self.output.on(Event::RunFinished(RunFinished::default()))?;
            return Ok(None);
        }
        // This side writes the beginning and the plan: a guest may die before it has sent them.
        self.schedule.resumes = true;
        let (mut deaths, mut in_vain) = (0, 0);
        loop {
            let mut job = self.job.clone();
            let schedule = serde_json::to_vec(&self.schedule).expect("a schedule has a JSON form");
            job.files.push((SCHEDULE.into(), schedule));
            job.argv.extend(["--schedule", SCHEDULE, "--events", JOURNAL_PORT].map(str::to_owned));
            let mut guest = Guest::boot(self.prepared, &job, self.interrupt).map_err(Broken::Lab)?;
            let begin = Instant::now();
            let before = self.output.events().len();
            let end = self.follow(&mut guest, &mut blamed)?;
            let millis = begin.elapsed().as_millis() as u64;
            let (why, console) = match end {
                End::Finished(_) if self.output.is_finished() => return Ok(None),
                End::Finished(code) => {
                    let words = guest.last_words();
                    let ours = words.find("vfiospec: ").map_or(words.as_str(), |at| &words[at..]);
                    eprintln!("vfiospec: the run in the guest ended early; its console says:\n{}", indent(ours));
                    self.why = ours.lines().next().map(|line| line.trim_start_matches("vfiospec: ").to_owned());
                    return Ok(Some(if self.output.is_empty() { code } else { Exit::NoVerdict as u8 }));
                }
                End::Refused(failure) => return Err(Broken::Refused(failure)),
                End::Interrupted if self.output.is_empty() => return Ok(Some(Exit::Interrupted as u8)),
                End::Interrupted => {
                    // A guest is not asked to end: it is taken away, and its run ends here.
                    self.output.on(Event::RunFinished(RunFinished { millis, interrupted: true, stopped: None }))?;
                    return Ok(Some(Exit::Interrupted as u8));
                }
                End::Died { why, console } => (why, console),
            };
            drop(guest);
            let of_its_own = self.output.events()[before..].iter().any(|event| matches!(event, Event::CaseFinished(_)));
            if of_its_own {
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
            if self.output.is_finished() {
                // All results stand, but a kernel that dies when a device is given back has not done well.
                return Ok(Some(Exit::NoVerdict as u8));
            }
            if !self.output.is_empty() {
                self.schedule.go_on(&Past::of(self.output.events()));
            }
            let left = self.schedule.order.len();
            let stopped = match (to_blame, left) {
                (true, 0) => None,
                (false, 0) => return Ok(Some(Exit::NoVerdict as u8)),
                (true, _) if self.schedule.fail_fast => Some("a case did not pass (--fail-fast)".to_owned()),
                _ if deaths >= MOST_DEATHS => Some(format!("{deaths} guests in a row died of a case")),
                _ if in_vain >= MOST_IN_VAIN => Some(format!("{in_vain} guests in a row died without running a case")),
                _ => {
                    self.output.say(&format!("lab: the guest died; a fresh one runs the {} left", count(left, "case")));
                    continue;
                }
            };
            if self.output.is_empty() {
                self.why = stopped;
                return Ok(None);
            }
            if let Some(why) = &stopped {
                self.output.say(&format!("vfiospec: stopping: {why}"));
            }
            self.output.on(Event::RunFinished(RunFinished { millis, interrupted: false, stopped }))?;
            return Ok(None);
        }
    }

    /// Takes in what a guest says, record by record.
    fn follow(&mut self, guest: &mut Guest, blamed: &mut Vec<CaseResult>) -> io::Result<End> {
        let mut heard = Instant::now();
        loop {
            match guest.next_line(TICK) {
                Next::Line(line) => {
                    heard = Instant::now();
                    match serde_json::from_str::<Event>(&line) {
                        Ok(Event::RunResumed(started)) => {
                            if let Some(failure) = self.begin(started, guest.description(), blamed)? {
                                return Ok(End::Refused(failure));
                            }
                        }
                        Ok(event) => {
                            if matches!(event, Event::CaseStarted { .. }) {
                                self.begun = Instant::now();
                            }
                            self.output.on(event)?;
                        }
                        Err(error) => {
                            let why = format!("failed to understand the guest: {error}: {line}");
                            return Ok(End::Died { why: Some(why), console: guest.last_words() });
                        }
                    }
                    // Quick cases leave no pause to look in.
                    if self.interrupt.load(Ordering::Relaxed) && !self.output.is_finished() {
                        return Ok(End::Interrupted);
                    }
                }
                Next::Finished { code } => return Ok(End::Finished(code)),
                Next::Died { console_tail } => return Ok(End::Died { why: None, console: console_tail }),
                Next::TimedOut if self.interrupt.load(Ordering::Relaxed) => return Ok(End::Interrupted),
                Next::TimedOut if heard.elapsed() > self.patience() => {
                    let why = format!("nothing was heard of it for {} s", heard.elapsed().as_secs());
                    return Ok(End::Died { why: Some(why), console: guest.last_words() });
                }
                Next::TimedOut => {}
            }
        }
    }

    fn patience(&self) -> Duration {
        let running = self.output.running().and_then(|case| self.plan.cases.get(case as usize));
        running.map_or(Duration::ZERO, |case| case.timeout) + self.silence
    }

    /// A guest has begun: the first one begins the run, or goes on with an earlier one, and the others go on.
    fn begin(&mut self, started: RunStarted, lab: &str, blamed: &mut Vec<CaseResult>) -> io::Result<Option<Failure>> {
        let RunStarted { boot, shuffle, lab_iommu, again, .. } = self.host.clone();
        let started = RunStarted { lab: Some(lab.to_owned()), lab_iommu, boot, shuffle, again, ..started };
        if !self.output.is_empty() {
            return self.output.on(Event::RunResumed(started)).map(|()| None);
        }
        if let Some(resumed) = &self.resumed {
            if let Err(failure) = resumed.same_machine(&started, &started.devices) {
                return Ok(Some(failure));
            }
            self.output.on(Event::RunResumed(started))?;
            std::mem::take(blamed).into_iter().try_for_each(|result| self.output.on(Event::CaseFinished(result)))?;
            return Ok(None);
        }
        self.output.on(Event::RunStarted(started))?;
        let mut planned = self.schedule.order.clone();
        planned.sort_unstable();
        for case in planned {
            self.output.on(Event::CasePlanned(self.plan.cases[case as usize].id.clone()))?;
        }
        Ok(None)
    }

    /// Gives the case that was running when the guest died its result; false where none was.
    fn blame(&mut self, why: Option<&str>, console: &str) -> io::Result<bool> {
        let Some(case) = self.output.running() else { return Ok(false) };
        let attempts = Past::of(self.output.events()).attempts;
        let attempts = attempts.into_iter().filter(|attempt| attempt.case == case).collect();
        let reasons: Vec<&str> = why.into_iter().chain(pstore::cause(console)).collect();
        let reason = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
        let message = format!("the guest died while this case ran{reason}");
        let planned = &self.plan.cases[case as usize].id;
        let at = format!("{}:{}", planned.file, planned.line);
        let result = CaseResult {
            detail: Some(format!("{message}\n  --> {at}\nits console ends with:\n{}", indent(console))),
            at: Some(at),
            micros: self.begun.elapsed().as_micros() as u64,
            ..died(case, message)
        };
        self.output.on(Event::CaseFinished(self.schedule.sum_up(attempts, result)))?;
        Ok(true)
    }
}

enum Broken {
    Journal(io::Error),
    Lab(LabError),
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
