// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the events of a run go: journal, progress, and at the end the reports.

use std::path::{Path, PathBuf};
use std::{collections::HashSet, io, iter, sync::Arc};

use super::{Course, Failure, Outputs, Reports, Resumed, reports::not_written};
use crate::event::{Event, PlannedCase, RunFinished, RunStarted};
use crate::report::run::{Run, State};
use crate::{engine::Schedule, model::Exit, model::Verdict, plan::Plan, report::journal, report::progress::Progress};

/// The reports of a run for which no case is selected: empty ones, rather than those of an earlier run. The journal of an earlier run
/// stays, since a mistake in a filter is no reason to lose what is known.
pub fn nothing(outputs: &Outputs, journal: &Path, started: RunStarted, course: &Course) -> Result<Exit, Failure> {
    let reports = outputs.reports(journal)?;
    let events = [Event::RunStarted(started), Event::RunFinished(RunFinished::default())];
    let mut journals = Vec::new();
    if journal.exists() {
        eprintln!("{}", stays(journal));
    } else {
        let writer = journal::Writer::create(journal);
        writer.and_then(|mut writer| events.iter().try_for_each(|event| writer.on(event))).map_err(not_written)?;
        journals.push(journal);
    }
    reports.finish(Arc::new(Run::from_events(events.to_vec())), &journals, |_| course.exit(Exit::NothingRan, 0))
}

/// The ids of the cases that ran, by a journal; none if there is no such journal.
fn ran(journal: &Path) -> HashSet<String> {
    let run = journal::Text::open(journal).and_then(Run::of).unwrap_or_default();
    let ran = run.cases.iter().filter(|case| case.state == State::Finished && case.verdict != Verdict::Skipped);
    ran.map(|case| run.id(case)).collect()
}

/// What becomes of an earlier run's journal where this one has nothing to write into it.
fn stays(journal: &Path) -> String {
    format!(
        "vfiospec: {0} is of an earlier run, and stays as it is; `vfiospec report {0}` reports on that",
        journal.display()
    )
}

pub struct Output {
    pub(super) journal_path: PathBuf,
    reports: Reports,
    /// Opened with the first event: until then what an earlier run left stays.
    journal: Option<journal::Writer>,
    progress: Progress,
    /// The ids of the cases that ran in the run before, by the journal that this one replaces.
    ran_last_time: HashSet<String>,
    /// Whether the journal holds an earlier part of the run.
    goes_on: bool,
}

impl Output {
    /// Notes where everything goes, and finds what cannot be written. Files change with the first event only.
    pub fn create(outputs: &Outputs, journal: &Path, resumed: Option<&Resumed>) -> Result<Output, Failure> {
        let reports = outputs.reports(journal)?;
        let mut progress = Progress::stderr(outputs.verbose);
        let past = resumed.map(|resumed| resumed.events.as_slice()).unwrap_or_default();
        past.iter().for_each(|event| progress.recall(event));
        Ok(Output {
            journal_path: journal.to_owned(),
            reports: reports.clone(),
            journal: None,
            progress,
            ran_last_time: if past.is_empty() { ran(journal) } else { HashSet::new() },
            goes_on: !past.is_empty(),
        })
    }

    /// One event, to the journal first; what is not of it is only shown.
    pub fn on(&mut self, event: Event) -> io::Result<()> {
        if !matches!(event, Event::Called { .. } | Event::Exploring { .. } | Event::Busy { .. } | Event::Kept) {
            self.journal()?.on(&event)?;
        }
        self.progress.on(&event);
        Ok(())
    }

    /// The journal, which takes the place of an earlier run's now, or goes on.
    fn journal(&mut self) -> io::Result<&mut journal::Writer> {
        if self.journal.is_none() {
            self.reports.remove_earlier();
            let opened = if self.goes_on {
                journal::Writer::go_on(&self.journal_path)
            } else {
                journal::Writer::create(&self.journal_path)
            };
            self.journal = Some(opened?);
        }
        Ok(self.journal.as_mut().expect("opened just now"))
    }

    /// Leaves the terminal to something else, until the next event.
    pub fn pause(&mut self) {
        self.progress.clear();
    }

    /// A line for the person who watches.
    pub fn say(&mut self, line: &str) {
        self.progress.say(line);
    }

    /// Whether the reports leave the standard output to people.
    pub fn stdout_is_free(&self) -> bool {
        self.reports.stdout_is_free()
    }

    /// Whether nothing has happened, in this part of the run.
    pub fn is_empty(&self) -> bool {
        self.journal.is_none()
    }

    /// Makes the reports of what the journal holds and prints the summary; returns the exit code of the run.
    pub fn finish(self, course: &Course) -> Result<Exit, Failure> {
        self.progress.clear();
        let text = match self.journal {
            Some(journal) => Ok(journal.into_text()),
            None => journal::Text::open(&self.journal_path),
        };
        let mut run = text.and_then(Run::of).map_err(not_written)?;
        run.ran_last_time = self.ran_last_time;
        let judge = |run: &Run| course.exit(run.exit(), run.counts().flaky);
        self.reports.finish(Arc::new(run), &[&self.journal_path], judge)
    }

    /// A run came to its end without an event, for this reason or by Ctrl-C. The reports say that none of its cases ran: whoever reads
    /// them, such as Jenkins, is not to take an earlier run's for this one's. The journal of an earlier run stays. Of a run that was to go
    /// on, the reports say how far it had come.
    pub fn not_begun(self, begun: Begun, why: Option<&str>) {
        self.progress.clear();
        let stopped = why.map(|why| format!("the run did not begin: {why}"));
        let end = Event::RunFinished(RunFinished { millis: 0, interrupted: stopped.is_none(), stopped });
        let planned = begun.planned.into_iter().map(Event::CasePlanned);
        let run = if self.goes_on {
            journal::Text::open(&self.journal_path).and_then(Run::of)
        } else {
            Ok(Run::from_events(iter::once(Event::RunStarted(begun.started)).chain(planned).chain([end])))
        };
        let run = match run {
            Ok(run) => run,
            Err(error) => return eprintln!("vfiospec: {error}"),
        };
        for (format, path) in self.reports.write(&Arc::new(run)).0 {
            eprintln!("vfiospec: the {format} says that nothing was run now: {}", path.display());
        }
        if !self.goes_on && self.journal_path.exists() {
            eprintln!("{}", stays(&self.journal_path));
        }
    }
}

/// What a run would have begun with.
pub struct Begun {
    pub started: RunStarted,
    pub planned: Vec<PlannedCase>,
}

impl Begun {
    /// The cases of a schedule, in the order of the plan.
    pub fn new(started: RunStarted, plan: &Plan, schedule: &Schedule) -> Begun {
        let mut order = schedule.order.clone();
        order.sort_unstable();
        Begun { started, planned: order.into_iter().map(|case| plan.cases[case as usize].id.clone()).collect() }
    }
}
