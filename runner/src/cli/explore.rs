// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec explore`, and what `vfiospec lab explore` has in common with it.
//!
//! Both write a scenario whose cases `explore`, and run it as any other. What they find is in the journal, and becomes files at the end.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{cases, cases::Cases, error::Error, offered::Offered, run};
use crate::event::Event;
use crate::file::write_atomic;
use crate::language::{self, Pattern};
use crate::model::{BackendName, Exit};
use crate::report::journal;
use crate::session::{Course, Failure, Named, Outputs, Taking};
use crate::suite::Selection;

/// Make calls that nobody wrote down on this machine's own devices, and check what each does
///
/// Maps and unmaps memory in ways that are made up, most often at boundaries. A model of each backend says what every call has to answer; the page
/// table, the accounting, what the device reaches by DMA and the kernel's log have to fit, too. What does not is made as short as it can be, and written as a scenario that
/// `vfiospec run` takes.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    exploring: Exploring,

    /// A device to run on: its PCI address, with a name for scenarios and reports if there are several
    #[arg(long = "device", value_name = "[NAME=]ADDRESS")]
    devices: Vec<Named>,

    #[command(flatten)]
    taking: Taking,

    #[command(flatten)]
    outputs: Outputs,
}

/// What is explored.
#[derive(Debug, ClapArgs)]
pub struct Exploring {
    /// Which calls are made: the same for the same seed on the same machine. The default is another one each time; it is printed
    #[arg(long, value_name = "SEED")]
    seed: Option<u32>,

    /// How many calls to make on each backend
    #[arg(long, value_name = "N", default_value = "10000")]
    steps: NonZeroU64,

    /// How many cases there are for each backend, which share its calls: each opens the device anew, and has a seed of its own
    #[arg(long, value_name = "N", default_value = "10")]
    cases: NonZeroU64,

    /// How long to make calls in all, in place of --steps; several guests share the time
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "steps")]
    time: Option<language::Duration>,

    /// Only on this backend, or on those that a pattern such as `iommufd*` matches; may be given several times
    #[arg(long = "backend", value_name = "BACKEND", value_parser = Offered(cases::pattern, cases::names))]
    backends: Vec<Pattern>,

    /// The folder for the scenario that runs, and for those that show what was found
    #[arg(long, value_name = "FOLDER", default_value = "reports/out/explore")]
    to: PathBuf,

    /// Stop at the first case that finds something
    #[arg(long)]
    fail_fast: bool,

    /// Continue the run that this journal records. Repeat its other options, including --seed
    #[arg(long, value_name = "JOURNAL", requires = "seed")]
    resume: Option<PathBuf>,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let Args { exploring, devices, taking, outputs } = args;
    // On a machine that has set no huge pages aside, the kernel may still use some for this.
    let huge = [("huge", "{ memory: anonymous, size: 8MiB, align: 2MiB }")];
    let journal = exploring.journal(outputs)?;
    exploring.run(&[&journal], &huge, |selection, cases, course| {
        run::main(&run::Args::of(selection, (devices.clone(), *taking), cases, course, outputs.clone()))
    })
}

impl Exploring {
    /// Where the journal of the run is.
    pub fn journal(&self, outputs: &Outputs) -> Result<PathBuf, Failure> {
        outputs.journal(self.resume.as_deref())
    }

    /// Writes the scenario, has it run, and writes what it found. `huge` are regions in huge pages, where there are some: their names, and
    /// what they are.
    ///
    /// `journals` are those that the runs leave.
    pub fn run<T>(
        &self,
        journals: &[&Path],
        huge: &[(&str, &str)],
        run: impl FnOnce(Selection, Cases, Course) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let seed = self.seed.unwrap_or_else(|| {
            let seed = RandomState::new().hash_one(0) as u32;
            eprintln!("vfiospec: exploring with --seed {seed}");
            seed
        });
        let file = self.to.join("explore.yaml");
        write(&file, &self.scenario(seed.into(), huge))?;
        let course = Course::in_order(self.fail_fast, self.resume.clone());
        let ran = run(Selection::of(&file, &[]), Cases::on(self.backends.clone()), course)?;
        journals.iter().try_for_each(|journal| self.found(journal))?;
        Ok(ran)
    }

    fn scenario(&self, seed: u64, huge: &[(&str, &str)]) -> String {
        let cases = self.cases.get();
        let seeds: Vec<String> = (seed..seed + cases).map(|seed| seed.to_string()).collect();
        let meant = |name: &&BackendName| {
            self.backends.is_empty() || self.backends.iter().any(|pattern| pattern.matches(**name))
        };
        let (how_much, seconds) = match &self.time {
            Some(language::Duration(time)) => {
                let backends = BackendName::ALL.iter().filter(meant).count().max(1) as u64;
                let each = time.as_millis() as u64 / (cases * backends);
                (format!("for: {}ms", each.max(1)), each / 1000)
            }
            None => {
                let each = self.steps.get().div_ceil(cases);
                (format!("steps: {each}"), each / 20)
            }
        };
        let huge: String = huge.iter().map(|(name, region)| format!("{name}: {region}\n      ")).collect();
        // Enough to make what it finds shorter, too.
        let timeout = 300 + seconds;
        format!(
            "# What `vfiospec explore` runs.\n\
             name: explore\n\
             summary: Calls that nobody wrote down, each held against a model of the backend.\n\
             backends: all\n\
             fixture: none\n\
             timeout: {timeout}s\n\
             cases:\n  \
             - name: sequences\n    \
             matrix: {{ seed: [{}] }}\n    \
             regions:\n      \
             small: {{ memory: anonymous, size: 256KiB }}\n      \
             {huge}\
             mixed: {{ memory: anonymous, size: 2MiB, align: 2MiB }}\n      \
             file: {{ memory: memfd, size: 256KiB }}\n      \
             read_only: {{ memory: anonymous, size: 32KiB, protection: read }}\n    \
             steps:\n      \
             - explore: {{ seed: \"{{{{ seed }}}}\", {how_much} }}\n",
            seeds.join(", ")
        )
    }

    /// Writes each scenario that the run found.
    fn found(&self, journal: &Path) -> Result<(), Failure> {
        let events = journal::read_file(journal).map_err(|error| Failure::new(Exit::ReportNotWritten, error))?;
        let mut files = Vec::new();
        for event in events {
            let Event::CaseFinished(result) = event else { continue };
            let Some(text) = result.scenario else { continue };
            let name = text.lines().find_map(|line| line.strip_prefix("name: ")).unwrap_or("found");
            let file = self.to.join(format!("{}.yaml", crate::sanitize::identifier(name)));
            write(&file, &text)?;
            files.push(file);
        }
        for file in files {
            println!("found: {}", file.display());
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    write_atomic(file, |to| to.write_all(text.as_bytes())).map_err(|error| Failure::new(Exit::ReportNotWritten, error))
}
