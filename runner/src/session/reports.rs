// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where results go: the reports that a run or `report` writes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum, value_parser};

use super::Failure;
use crate::report::{FORMATS, Style, format::Format, journal, run::Run, summary, terminal::Terminal};
use crate::{file, file::place, model::Exit};

/// Where the journal is unless the user says otherwise.
pub const JOURNAL: &str = "reports/out/journal.jsonl";

/// Where results go, as `run` and `lab run` take it.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("junit", |option| option.default_value("reports/out/junit.xml")))]
pub struct Outputs {
    #[command(flatten)]
    reports: Reports,

    /// Where to write the journal: every event as a line of JSON, from which all reports are made [default: reports/out/journal.jsonl]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Print a line for every case, not only for failures
    #[arg(short, long)]
    pub verbose: bool,
}

impl Outputs {
    /// The journal: that of the run that is resumed, or where `--journal` says.
    pub fn journal(&self, resumed: Option<&Path>) -> Result<PathBuf, Failure> {
        match (&self.journal, resumed) {
            (Some(journal), Some(resumed)) if place(journal) != place(resumed) => {
                let what = format!("--resume goes on in {}, not in {}", resumed.display(), journal.display());
                Err(Failure::usage(what, "leave --journal out: a run that goes on is told in its own journal"))
            }
            (_, Some(path)) => Ok(path.to_owned()),
            (Some(path), None) => Ok(path.clone()),
            (None, None) => Ok(JOURNAL.into()),
        }
    }

    /// The same reports of another run, whose journal is this.
    pub fn with_journal(&self, journal: PathBuf) -> Outputs {
        Outputs { journal: Some(journal), ..self.clone() }
    }

    /// Writes the reports of several runs as one, and prints its summary.
    pub fn finish(&self, run: Arc<Run>, journals: &[&Path]) -> Result<Exit, Failure> {
        self.reports.finish(run, journals, Run::exit)
    }

    /// The reports, once it is known that they and the journal can be written: better found before an hour's run than after it. Changes no
    /// file: what is there is an earlier run's, and a mistake is no reason to lose it.
    pub(super) fn reports(&self, journal: &Path) -> Result<&Reports, Failure> {
        if journal.as_os_str() == "-" {
            return Err(Failure::usage(
                "the journal cannot go to the standard output: the reports are made of what is read back from it",
                "name a file with --journal; `--json -` prints the results for a program",
            ));
        }
        no_scenario(journal)?;
        self.reports.check(&[journal])?;
        journal::Writer::probe(journal).map_err(|error| not_written(error).help("name another file with --journal"))?;
        for (format, path) in self.reports.files() {
            let help = format!("name another file with --{}", format.option);
            file::probe(path).map_err(|error| not_written(error).help(help))?;
        }
        Ok(&self.reports)
    }
}

/// Which reports to write, and where: an option for each of [`FORMATS`]. `-` is the standard output.
#[derive(Debug, Clone)]
pub struct Reports {
    files: Vec<(&'static Format, PathBuf)>,
    style: Style,
}

/// The options of [`Style`].
const ATTACHMENTS: &str = "attachments";
const FLAKY: &str = "flaky-failures";
const JUNIT_STYLE: &str = "junit-style";

/// Which readers JUnit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum JunitStyle {
    /// What the schema of Jenkins' xunit plugin allows, and so every reader takes: only suites have properties
    Xunit,
    /// Each case has properties, too: what it covers, its tags and more. Jenkins' junit plugin reads them; its xunit plugin refuses the file
    Properties,
}

impl Args for Reports {
    fn augment_args(command: Command) -> Command {
        let option = |format: &Format| {
            let option = Arg::new(format.option).long(format.option).value_name("FILE").help(format.help);
            option.value_parser(value_parser!(PathBuf))
        };
        let attachments =
            Arg::new(ATTACHMENTS).long(ATTACHMENTS).value_name("FOLDER").value_parser(value_parser!(PathBuf));
        let attachments = attachments.help(
            "Write the whole detail, calls, kernel log, page table and console of each case that failed or has no verdict to files here, which JUnit names",
        );
        let flaky = Arg::new(FLAKY).long(FLAKY).action(ArgAction::SetTrue);
        let flaky = flaky.help(
            "Let a flaky case pass in JUnit, with its failures as Surefire's `flakyFailure`; without it, it is skipped",
        );
        let style = Arg::new(JUNIT_STYLE).long(JUNIT_STYLE).value_name("STYLE").value_parser(value_parser!(JunitStyle));
        let style = style.default_value("xunit").help("Which readers JUnit is for");
        command.args(FORMATS.iter().map(option)).args([attachments, flaky, style])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Reports {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Reports, clap::Error> {
        let asked = |format: &'static Format| Some((format, matches.get_one::<PathBuf>(format.option)?.clone()));
        let attachments = matches.get_one::<PathBuf>(ATTACHMENTS).cloned();
        let case_properties = matches.get_one(JUNIT_STYLE) == Some(&JunitStyle::Properties);
        let style = Style { attachments, flaky_passes: matches.get_flag(FLAKY), case_properties };
        Ok(Reports { files: FORMATS.iter().filter_map(asked).collect(), style })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Reports {
    /// Refuses what does not fit together: `journals` must survive, and so must scenarios.
    pub fn check(&self, journals: &[&Path]) -> Result<(), Failure> {
        // `-` is the standard input among journals.
        let files = journals.iter().filter(|path| path.as_os_str() != "-");
        let mut named: Vec<(&str, &Path)> = files.map(|path| ("journal", *path)).collect();
        for (format, path) in &self.files {
            if let Some((other, _)) = named.iter().find(|(_, known)| place(known) == place(path)) {
                let what = format!("--{} and --{other} both name {}", format.option, path.display());
                return Err(Failure::usage(what, "give each a file of its own"));
            }
            named.push((format.option, path));
        }
        self.files.iter().try_for_each(|(_, path)| no_scenario(path))
    }

    /// Removes what an earlier run left, so that nobody takes it for the new run's if that is killed.
    pub(super) fn remove_earlier(&self) {
        for (_, path) in self.files().filter(|(_, path)| path.is_file()) {
            let _ = std::fs::remove_file(path); // it is written over at the end
        }
    }

    /// Those that do not go to the standard output.
    fn files(&self) -> impl Iterator<Item = (&'static Format, &Path)> {
        let all = self.files.iter().map(|(format, path)| (*format, path.as_path()));
        all.filter(|(_, path)| path.as_os_str() != "-")
    }

    /// Whether none of them goes to the standard output.
    pub(super) fn stdout_is_free(&self) -> bool {
        self.files().count() == self.files.len()
    }

    /// Writes them. Says on standard error which cannot be written, and returns those that were, and whether all were.
    pub(super) fn write(&self, run: &Arc<Run>) -> (Vec<(&'static str, &Path)>, Exit) {
        let mut files: Vec<(&str, &Path)> = Vec::new();
        let mut exit = Exit::Ok;
        for (format, path) in &self.files {
            let written = if path.as_os_str() == "-" {
                to_stdout(|out| (format.write)(run, &self.style, out))
            } else {
                let written =
                    file::write_atomic(path, |out| (format.write)(run, &self.style, out)).map_err(not_written);
                written.map(|()| files.push((format.name, path)))
            };
            if let Err(failure) = written {
                eprintln!("vfiospec: {failure}");
                exit = failure.exit;
            }
        }
        (files, exit)
    }

    /// Writes the reports and prints the summary; returns the exit code that `judge` finds for the run.
    pub fn finish(&self, run: Arc<Run>, journals: &[&Path], judge: impl FnOnce(&Run) -> Exit) -> Result<Exit, Failure> {
        self.finish_with(summary::render, run, journals, judge)
    }

    /// The same, with another text than the summary.
    pub fn finish_with(
        &self,
        text: impl FnOnce(&Run, &Terminal, &[(&str, &Path)]) -> io::Result<String>,
        run: Arc<Run>,
        journals: &[&Path],
        judge: impl FnOnce(&Run) -> Exit,
    ) -> Result<Exit, Failure> {
        let (mut files, written) = self.write(&run);
        let stdout_is_taken = !self.stdout_is_free();
        files.extend(journals.iter().map(|path| ("journal", *path)));
        // What another program reads is kept clean: the summary goes beside it.
        let terminal = if stdout_is_taken { Terminal::detect(&io::stderr()) } else { Terminal::detect(&io::stdout()) };
        let text = text(&run, &terminal, &files).map_err(not_written)?;
        if stdout_is_taken {
            eprint!("{text}");
        } else {
            print(&text)?;
        }
        Ok(if written == Exit::Ok { judge(&run) } else { written })
    }
}

pub fn print(text: &str) -> Result<(), Failure> {
    to_stdout(|out| out.write_all(text.as_bytes()))
}

fn to_stdout(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match content(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(not_written(format!("failed to write to the standard output: {error}")))
        }
        _ => Ok(()), // nobody reads on after `vfiospec list | head`
    }
}

pub(super) fn not_written(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::ReportNotWritten, what)
}

fn no_scenario(file: &Path) -> Result<(), Failure> {
    if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        let what = format!("{} looks like a scenario, and would be overwritten", file.display());
        return Err(Failure::usage(what, "a report ends in .xml, .html, .tap or .json, a journal in .jsonl"));
    }
    Ok(())
}
