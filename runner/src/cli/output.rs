//! Where the events of a run go: journal, progress, and at the end the reports.

use std::{
    io::{self, Write},
    iter,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::{cases::Course, resume::Resumed};
use crate::{
    engine::Schedule,
    event::{CaseResult, Event, PlannedCase, RunFinished, RunStarted},
    model::Exit,
    plan::Plan,
    report::{
        file::{self, write_atomic},
        format::{FORMATS, Format},
        journal,
        progress::Progress,
        run::Run,
        summary,
        terminal::Terminal,
    },
};

/// Prints what a verb was asked for.
pub fn print(text: &str) -> Exit {
    to_stdout(&mut |out| out.write_all(text.as_bytes()))
}

fn to_stdout(content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Exit {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match content(&mut out).and_then(|()| out.flush()) {
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
#[command(mut_arg("junit", |option| option.default_value("reports/out/junit.xml")))]
pub struct Outputs {
    #[command(flatten)]
    reports: Reports,

    /// Where to write the journal: every event as a line of JSON, from which all reports are made
    #[arg(long, value_name = "FILE", default_value = JOURNAL)]
    pub journal: PathBuf,

    /// Print a line for every case, not only for failures
    #[arg(short, long)]
    pub verbose: bool,
}

/// Which reports to write, and where: an option for each of [`FORMATS`]. `-` is the standard output.
#[derive(Debug, Clone)]
pub struct Reports(Vec<(&'static Format, PathBuf)>);

impl Args for Reports {
    fn augment_args(command: Command) -> Command {
        let option = |format: &Format| {
            let option = Arg::new(format.option).long(format.option).value_name("FILE").help(format.help);
            option.value_parser(value_parser!(PathBuf))
        };
        command.args(FORMATS.iter().map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Reports {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Reports, clap::Error> {
        let asked = |format: &'static Format| Some((format, matches.get_one::<PathBuf>(format.option)?.clone()));
        Ok(Reports(FORMATS.iter().filter_map(asked).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Reports {
    /// Refuses what does not fit together, on standard error: `journals` must survive, and so must scenarios.
    pub fn check(&self, journals: &[&Path]) -> Result<(), Exit> {
        // `-` is the standard input among journals.
        let files = journals.iter().filter(|path| path.as_os_str() != "-");
        let mut named: Vec<(&str, &Path)> = files.map(|path| ("journal", *path)).collect();
        for (format, path) in &self.0 {
            let place = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
            if let Some((other, _)) = named.iter().find(|(_, known)| place(known) == place(path)) {
                eprintln!("vfiospec: --{} and --{other} both name {}", format.option, path.display());
                eprintln!("  help: give each a file of its own");
                return Err(Exit::Usage);
            }
            named.push((format.option, path));
        }
        self.0.iter().try_for_each(|(_, path)| no_scenario(path))
    }

    /// Finds out whether each can be written, and changes nothing that is there.
    fn probe(&self) -> Result<(), Exit> {
        for (format, path) in self.files() {
            if let Err(error) = file::probe(path) {
                eprintln!("vfiospec: {error}");
                eprintln!("  help: name another file with --{}", format.option);
                return Err(Exit::ReportNotWritten);
            }
        }
        Ok(())
    }

    /// Takes away what an earlier run left, so that nobody takes it for the new one's, should that be killed.
    fn remove_earlier(&self) {
        for (_, path) in self.files().filter(|(_, path)| path.is_file()) {
            let _ = std::fs::remove_file(path); // it is written over at the end
        }
    }

    /// Those that are no standard output.
    fn files(&self) -> impl Iterator<Item = (&'static Format, &Path)> {
        let all = self.0.iter().map(|(format, path)| (*format, path.as_path()));
        all.filter(|(_, path)| path.as_os_str() != "-")
    }

    /// Writes them; gives the files that were written, and whether all were.
    fn write(&self, run: &Arc<Run>) -> (Vec<(&'static str, &Path)>, Exit) {
        let mut files: Vec<(&str, &Path)> = Vec::new();
        let mut written = Exit::Ok;
        for (format, path) in &self.0 {
            if path.as_os_str() == "-" {
                let exit = to_stdout(&mut |out| (format.write)(run, out));
                if exit != Exit::Ok {
                    written = exit;
                }
                continue;
            }
            match write_atomic(path, |out| (format.write)(run, out)) {
                Ok(()) => files.push((format.name, path)),
                Err(error) => {
                    eprintln!("vfiospec: {error}");
                    written = Exit::ReportNotWritten;
                }
            }
        }
        (files, written)
    }

    /// Writes the reports, prints the summary and gives the exit code that `judge` finds for the run.
    pub fn finish(&self, run: Arc<Run>, journals: &[&Path], judge: impl FnOnce(&Run) -> Exit) -> Exit {
        let (mut files, written) = self.write(&run);
        let stdout_is_taken = self.files().count() < self.0.len();
        files.extend(journals.iter().map(|path| ("journal", *path)));
        // What is read by another program is kept clean: the summary goes beside it.
        let terminal = if stdout_is_taken { Terminal::detect(&io::stderr()) } else { Terminal::detect(&io::stdout()) };
        let printed = match summary::render(&run, &terminal, &files) {
            Ok(text) if stdout_is_taken => {
                eprint!("{text}");
                Exit::Ok
            }
            Ok(text) => print(&text),
            Err(error) => {
                eprintln!("vfiospec: {error}");
                Exit::ReportNotWritten
            }
        };
        match (written, printed) {
            (Exit::Ok, Exit::Ok) => judge(&run),
            (Exit::Ok, exit) | (exit, _) => exit,
        }
    }
}

impl Outputs {
    /// These, with the journal of a run that is resumed.
    pub fn with_journal(&self, resumed: Option<&Path>) -> Outputs {
        Outputs { journal: resumed.map_or_else(|| self.journal.clone(), Path::to_owned), ..self.clone() }
    }

    /// The reports, once it is known that they and the journal can be written: found before an hour's run rather than after it. Says on
    /// standard error what cannot. Nothing that is there is changed: it is of an earlier run, and a mistake is no reason to lose it.
    fn reports(&self) -> Result<Reports, Exit> {
        if self.journal.as_os_str() == "-" {
            eprintln!(
                "vfiospec: the journal cannot go to the standard output: the reports are made of what is read back from it"
            );
            eprintln!("  help: name a file with --journal; `--json -` prints the results for a program");
            return Err(Exit::Usage);
        }
        no_scenario(&self.journal)?;
        let reports = self.reports.clone();
        reports.check(&[&self.journal])?;
        if let Err(error) = journal::Writer::probe(&self.journal) {
            eprintln!("vfiospec: {error}");
            eprintln!("  help: name another file with --journal");
            return Err(Exit::ReportNotWritten);
        }
        reports.probe()?;
        Ok(reports)
    }
}

/// Refuses to write over a scenario.
fn no_scenario(file: &Path) -> Result<(), Exit> {
    if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        eprintln!("vfiospec: {} looks like a scenario, and would be overwritten", file.display());
        eprintln!("  help: a report ends in .xml, .html, .tap or .json, a journal in .jsonl");
        return Err(Exit::Usage);
    }
    Ok(())
}

/// The reports of a run for which no case is selected: empty ones, rather than those of an earlier run. The journal of an earlier run
/// stays, since a mistake in a filter is no reason to lose what is known.
pub fn nothing(outputs: &Outputs, started: RunStarted, course: &Course) -> Result<Exit, Exit> {
    let reports = outputs.reports()?;
    let events = [Event::RunStarted(started), Event::RunFinished(RunFinished::default())];
    let mut journals = Vec::new();
    if outputs.journal.exists() {
        eprintln!("{}", stays(&outputs.journal));
    } else {
        let told = journal::Writer::create(&outputs.journal);
        if let Err(error) = told.and_then(|mut journal| events.iter().try_for_each(|event| journal.on(event))) {
            eprintln!("vfiospec: {error}");
            return Err(Exit::ReportNotWritten);
        }
        journals.push(outputs.journal.as_path());
    }
    Ok(reports.finish(Arc::new(Run::from_events(events.to_vec())), &journals, |_| course.exit(Exit::NothingRan, 0)))
}

/// What becomes of an earlier run's journal where this one has nothing to write into it.
fn stays(journal: &Path) -> String {
    format!(
        "vfiospec: {0} is of an earlier run, and stays as it is; `vfiospec report {0}` reports on that",
        journal.display()
    )
}

/// Takes the events of one run.
pub struct Output {
    journal_path: PathBuf,
    reports: Reports,
    /// Opened with the first event: until then what an earlier run left stays.
    journal: Option<journal::Writer>,
    progress: Progress,
    /// What happened, without the texts of results: those are in the journal.
    events: Vec<Event>,
    /// How many of the events are of an earlier part of the run.
    before: usize,
}

impl Output {
    /// Takes note of where everything goes; says on standard error what cannot be written. Files change with the first event only.
    pub fn create(outputs: &Outputs, resumed: Option<&Resumed>) -> Result<Output, Exit> {
        let reports = outputs.reports()?;
        let mut progress = Progress::stderr(outputs.verbose);
        let past = resumed.map(|resumed| resumed.events.as_slice()).unwrap_or_default();
        past.iter().for_each(|event| progress.recall(event));
        Ok(Output {
            journal_path: outputs.journal.clone(),
            reports,
            journal: None,
            progress,
            before: past.len(),
            events: past.iter().cloned().map(without_texts).collect(),
        })
    }

    /// One event, to the journal first; a call that was made is only shown.
    pub fn on(&mut self, event: Event) -> io::Result<()> {
        let is_kept = !matches!(event, Event::Called { .. });
        if is_kept {
            self.journal()?.on(&event)?;
        }
        self.progress.on(&event);
        if is_kept {
            self.events.push(without_texts(event));
        }
        Ok(())
    }

    /// The journal, which takes the place of an earlier run's now, or goes on.
    fn journal(&mut self) -> io::Result<&mut journal::Writer> {
        if self.journal.is_none() {
            self.reports.remove_earlier();
            let opened = match self.before {
                0 => journal::Writer::create(&self.journal_path),
                _ => journal::Writer::go_on(&self.journal_path),
            };
            self.journal = Some(opened?);
        }
        Ok(self.journal.as_mut().expect("opened just now"))
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

    /// All that happened so far; of results no more than verdict, time and whether the host died.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Makes the reports of what the journal holds, prints the summary and gives the exit code of the run.
    pub fn finish(self, course: &Course) -> Exit {
        self.progress.clear();
        let text = match self.journal {
            Some(journal) => Ok(journal.into_text()),
            None => journal::Text::open(&self.journal_path),
        };
        match text.and_then(Run::of) {
            Ok(run) => {
                let judge = |run: &Run| course.exit(run.exit(), run.counts().flaky);
                self.reports.finish(Arc::new(run), &[&self.journal_path], judge)
            }
            Err(error) => {
                eprintln!("vfiospec: {error}");
                Exit::ReportNotWritten
            }
        }
    }

    /// A run came to its end without an event, for this reason or by Ctrl-C. The reports say that none of its cases ran: whoever reads
    /// them, such as Jenkins, is not to take an earlier run's for this one's. The journal of an earlier run stays. Of a run that was to go
    /// on, the reports say how far it had come.
    pub fn not_begun(self, begun: Begun, why: Option<&str>) {
        self.progress.clear();
        let stopped = why.map(|why| format!("the run did not begin: {why}"));
        let end = Event::RunFinished(RunFinished { millis: 0, interrupted: stopped.is_none(), stopped });
        let planned = begun.planned.into_iter().map(Event::CasePlanned);
        let run = match self.before {
            0 => Ok(Run::from_events(iter::once(Event::RunStarted(begun.started)).chain(planned).chain([end]))),
            _ => journal::Text::open(&self.journal_path).and_then(Run::of),
        };
        let run = match run {
            Ok(run) => run,
            Err(error) => return eprintln!("vfiospec: {error}"),
        };
        for (format, path) in self.reports.write(&Arc::new(run)).0 {
            eprintln!("vfiospec: the {format} says that nothing was run now: {}", path.display());
        }
        if self.before == 0 && self.journal_path.exists() {
            eprintln!("{}", stays(&self.journal_path));
        }
    }
}

/// What a run would have begun with.
pub struct Begun {
    /// With what and where.
    pub started: RunStarted,
    /// Its cases.
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

fn without_texts(event: Event) -> Event {
    match event {
        Event::CaseFinished(CaseResult { case, verdict, micros, died, .. }) => {
            Event::CaseFinished(CaseResult { micros, died, ..CaseResult::new(case, verdict, Default::default()) })
        }
        other => other,
    }
}
