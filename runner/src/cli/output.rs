//! Where the events of a run go: journal, progress, and at the end the reports.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, cases::Course, resume::Resumed};
use crate::{
    event::{Event, RunFinished, RunStarted},
    report::{file::write_atomic, journal, junit, progress::Progress, run::Run, summary, terminal::Terminal},
};

/// Prints what a verb was asked for.
pub fn print(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok, // `vfiospec list | head`
        Err(error) => {
            eprintln!("vfiospec: failed to write to the standard output: {error}");
            Exit::ReportNotWritten
        }
    }
}

/// Where the journal is unless the user says otherwise.
pub const JOURNAL: &str = "reports/out/journal.jsonl";

/// Where results go, as `run` and `lab run` take it.
#[derive(Debug, Clone, Args)]
pub struct Outputs {
    /// Where to write the JUnit XML
    #[arg(long, value_name = "FILE", default_value = "reports/out/junit.xml")]
    pub junit: PathBuf,

    /// Where to write the journal: every event as a line of JSON, from which all reports are made
    #[arg(long, value_name = "FILE", default_value = JOURNAL)]
    pub journal: PathBuf,

    /// Print a line for every case, not only for failures
    #[arg(short, long)]
    pub verbose: bool,
}

impl Outputs {
    /// These, with the journal of a run that is resumed.
    pub fn with_journal(&self, resumed: Option<&Path>) -> Outputs {
        Outputs { journal: resumed.map_or_else(|| self.journal.clone(), Path::to_owned), ..self.clone() }
    }
}

/// The reports of a run for which no case is selected: empty ones, rather than those of an earlier run.
pub fn nothing(outputs: &Outputs, started: RunStarted, course: &Course) -> Result<Exit, Exit> {
    let mut output = Output::create(outputs, None)?;
    let told = output.on(Event::RunStarted(started));
    let told = told.and_then(|()| output.on(Event::RunFinished(RunFinished::default())));
    match told {
        Ok(()) => Ok(output.finish(course)),
        Err(error) => {
            eprintln!("vfiospec: failed to write the journal {}: {error}", outputs.journal.display());
            Err(Exit::ReportNotWritten)
        }
    }
}

/// Takes the events of one run.
pub struct Output {
    outputs: Outputs,
    journal: journal::Writer,
    progress: Progress,
    events: Vec<Event>,
    /// How many of the events are of an earlier part of the run.
    before: usize,
}

impl Output {
    /// Begins the journal; says on standard error if it cannot be written.
    pub fn create(outputs: &Outputs, resumed: Option<&Resumed>) -> Result<Output, Exit> {
        if outputs.junit == outputs.journal {
            eprintln!("vfiospec: --junit and --journal both name {}", outputs.junit.display());
            eprintln!("  help: give each a file of its own");
            return Err(Exit::Usage);
        }
        for file in [&outputs.junit, &outputs.journal] {
            if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                eprintln!("vfiospec: {} looks like a scenario, and would be overwritten", file.display());
                eprintln!("  help: a report ends in .xml, a journal in .jsonl");
                return Err(Exit::Usage);
            }
        }
        let journal = match resumed {
            Some(_) => journal::Writer::go_on(&outputs.journal),
            None => journal::Writer::create(&outputs.journal),
        };
        let journal = journal.map_err(|error| {
            eprintln!("vfiospec: {error}");
            Exit::ReportNotWritten
        })?;
        // Found before an hour's run rather than after it; and a report of an earlier run must not be taken for this one's.
        let probed = write_atomic(&outputs.junit, b"").map(|()| std::fs::remove_file(&outputs.junit));
        if let Err(error) = probed {
            eprintln!("vfiospec: {error}");
            eprintln!("  help: name another file with --junit");
            return Err(Exit::ReportNotWritten);
        }
        let mut progress = Progress::stderr(outputs.verbose);
        let events = resumed.map(|resumed| resumed.events.clone()).unwrap_or_default();
        for event in &events {
            progress.recall(event);
        }
        Ok(Output { outputs: outputs.clone(), journal, progress, before: events.len(), events })
    }

    /// One event, to the journal first.
    pub fn on(&mut self, event: Event) -> io::Result<()> {
        self.journal.on(&event)?;
        let _ = self.progress.on(&event); // a terminal that is gone stops nothing
        self.events.push(event);
        Ok(())
    }

    /// A line for the person who watches.
    pub fn say(&mut self, line: &str) {
        self.progress.say(line);
    }

    /// Whether the run has told its end.
    pub fn is_finished(&self) -> bool {
        matches!(self.now().last(), Some(Event::RunFinished(_)))
    }

    /// What happened in this part of the run.
    fn now(&self) -> &[Event] {
        &self.events[self.before..]
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.now().is_empty()
    }

    /// The case that has begun and not ended, since the run began or went on.
    pub fn running(&self) -> Option<u32> {
        for event in self.now().iter().rev() {
            match event {
                Event::CaseStarted { case } => return Some(*case),
                Event::CaseAttempted(_) => {}
                _ => return None,
            }
        }
        None
    }

    /// All that happened so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Writes the reports, prints the summary and gives the exit code of the run.
    pub fn finish(self, course: &Course) -> Exit {
        self.progress.clear();
        let run = Run::from_events(self.events);
        let written = junit::write(&run, &self.outputs.junit);
        let mut files: Vec<(&str, &Path)> = Vec::new();
        if written.is_ok() {
            files.push(("JUnit", &self.outputs.junit));
        }
        files.push(("journal", &self.outputs.journal));
        let printed = print(&summary::render(&run, &Terminal::detect(&io::stdout()), &files));
        match written {
            Ok(()) if printed != Exit::Ok => printed,
            Ok(()) => course.exit(Exit::of(&run), run.counts().flaky),
            Err(error) => {
                eprintln!("vfiospec: {error}");
                Exit::ReportNotWritten
            }
        }
    }
}
