//! Which of the scenarios' cases run, in which order, and how often: the same options for every verb.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::offered::Offered;
use crate::{
    engine::Schedule,
    event::{Event, RunStarted},
    language::{ExpressionError, Pattern},
    model::{CaseId, Exit, Verdict, device_in},
    plan::{Filter, Partition, Plan, shuffle},
    report::{
        journal,
        run::{Case, Run, State},
        sanitize,
    },
};

/// Which cases.
#[derive(Debug, Clone, Default, Args)]
pub struct Cases {
    /// Only cases for which this expression is true; it knows `pack`, `scenario`, `case`, `name` (with matrix values), `backend`, `device`, `id`,
    /// and the lists `tags` and `covers`: "backend == 'iommufd' and 'slow' not in tags"
    #[arg(long, value_name = "EXPRESSION", help_heading = "Which cases")]
    filter: Option<String>,

    /// Only cases with this tag; with several, those that have one of them
    #[arg(long = "tag", value_name = "TAG", help_heading = "Which cases")]
    tags: Vec<String>,

    /// Only cases of this pack; may be given several times
    #[arg(id = "pack-name", long = "pack-name", value_name = "PACK", help_heading = "Which cases")]
    packs: Vec<String>,

    /// Only cases on this backend, or on those that a pattern such as `iommufd*` matches; may be given several times
    #[arg(long = "backend", value_name = "BACKEND", value_parser = Offered(pattern, names), help_heading = "Which cases")]
    backends: Vec<Pattern>,

    /// Only this case: an id as failures print it, or its end, such as `map_unmap[page=2MiB]`; may be given several times
    #[arg(long = "case", value_name = "CASE", help_heading = "Which cases")]
    named: Vec<String>,

    /// Of the cases that are selected, only the Mth of N shares: disjoint, together complete, and the same each time
    #[arg(long, value_name = "M/N", help_heading = "Which cases")]
    partition: Option<Partition>,

    /// Only cases that ended so in an earlier run
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Which cases")]
    rerun: Option<Rerun>,

    /// The journal of that run [default: where --journal points]
    #[arg(long, value_name = "JOURNAL", requires = "rerun", help_heading = "Which cases")]
    from: Option<PathBuf>,
}

/// How a case ended that is to run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rerun {
    /// it failed, had no verdict, or was never run
    Failed,
    /// it passed, but not at the first attempt
    Flaky,
}

fn names() -> Vec<&'static str> {
    crate::model::BackendName::ALL.map(crate::model::BackendName::as_str).to_vec()
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern(text.to_owned());
    if crate::model::BackendName::ALL.into_iter().any(|name| pattern.matches(name)) {
        return Ok(pattern);
    }
    let names = names();
    let near = crate::language::did_you_mean(text, names.iter().copied())
        .unwrap_or_else(|| format!("there are {}", names.join(", ")));
    Err(format!("no backend is called so; {near}"))
}

impl Cases {
    /// Looks at the expression of `--filter`; says on standard error what is wrong with it, also where scenarios cannot be read.
    pub fn check(&self) -> Result<(), Exit> {
        let Some(expression) = &self.filter else { return Ok(()) };
        Filter::check(expression).map_err(|error| {
            eprint!("{}", explained(expression, &error));
            Exit::Usage
        })
    }

    /// The numbers of the selected cases, in the order to run them; says on standard error what is wrong, and why none is selected.
    pub fn select(&self, plan: &Plan, last: &Path) -> Result<Vec<u32>, Exit> {
        let mut ids = self.rerun.map(|how| ended(how, self.from.as_deref().unwrap_or(last))).transpose()?;
        if !self.named.is_empty() {
            let named = self.named(plan)?;
            ids = Some(ids.map_or(named.clone(), |ids| ids.intersection(&named).cloned().collect()));
        }
        let filter = Filter {
            expression: self.filter.clone(),
            tags: self.tags.clone(),
            packs: self.packs.clone(),
            backends: self.backends.clone(),
            ids,
            partition: self.partition,
        };
        let selected = plan.select(&filter).map_err(|error| {
            eprint!("{}", explained(filter.expression.as_deref().unwrap_or_default(), &error));
            Exit::Usage
        })?;
        if selected.is_empty() {
            eprintln!("vfiospec: {}", sanitize::line(&plan.nothing(&filter)));
        }
        Ok(selected)
    }

    /// The ids of the cases that `--case` names; says on standard error which one there is not.
    fn named(&self, plan: &Plan) -> Result<HashSet<CaseId>, Exit> {
        let mut ids = HashSet::new();
        for name in &self.named {
            let before = ids.len();
            ids.extend(plan.cases.iter().map(|planned| planned.id.id()).filter(|id| id.is_called(name)));
            if ids.len() == before {
                return Err(no_case(name, plan));
            }
        }
        Ok(ids)
    }

    /// The devices that are meant, each once: those of the ids of `--case`, or those of the run that `--rerun` is about.
    pub fn devices(&self, last: &Path) -> Vec<String> {
        let mut devices: Vec<String> = self.named.iter().filter_map(|id| device_in(id)).map(str::to_owned).collect();
        if devices.is_empty() && self.rerun.is_some() {
            let journal = journal::Text::open(self.from.as_deref().unwrap_or(last));
            let started = journal.and_then(|text| text.started()).unwrap_or_default();
            devices.extend(started.devices.into_iter().map(|device| device.name));
        }
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

/// Says that no case is called so, and what is near.
pub fn no_case(name: &str, plan: &Plan) -> Exit {
    eprintln!("vfiospec: no case is called `{}`", sanitize::line(name));
    let names = plan.cases.iter().map(|planned| planned.id.name.as_str());
    let near = crate::language::did_you_mean(name, names);
    eprintln!("  help: {}", near.as_deref().unwrap_or("`vfiospec list` prints them all"));
    Exit::Usage
}

/// The ids of the cases that ended so.
fn ended(how: Rerun, journal: &Path) -> Result<HashSet<CaseId>, Exit> {
    const HELP: &str = "--rerun runs the cases of an earlier run again; --from names its journal";
    let events = read(journal, HELP)?;
    if events.is_empty() {
        // Killed before it had said a word.
        eprintln!("vfiospec: there is no run in the journal {}\n  help: {HELP}", journal.display());
        return Err(Exit::Usage);
    }
    let run = Run::from_events(events);
    let meant = |verdict| match how {
        Rerun::Failed => matches!(verdict, Verdict::Failed | Verdict::Error),
        Rerun::Flaky => verdict == Verdict::Flaky,
    };
    let never_run = |case: &Case| how == Rerun::Failed && case.state == State::NotRun;
    let cases = run.cases.iter().filter(|case| meant(case.verdict) || never_run(case));
    // An id that cannot be read is the id of no case that could be planned.
    Ok(cases.filter_map(|case| run.id(case).parse().ok()).collect())
}

/// The events of a journal that the user named.
pub fn read(path: &Path, help: &str) -> Result<Vec<Event>, Exit> {
    journal::read_file(path).map_err(|error| {
        eprintln!("vfiospec: {error}");
        eprintln!("  help: {help}");
        Exit::Usage
    })
}

/// A mistake in an expression of the command line, with a caret.
fn explained(expression: &str, error: &ExpressionError) -> String {
    let mut text = format!("vfiospec: {} in --filter\n  {}\n", error.message, sanitize::line(expression));
    let width = |bytes: &str| console::measure_text_width(bytes);
    if let (Some(before), Some(meant)) = (expression.get(..error.range.start), expression.get(error.range.clone())) {
        text += &format!("  {}{} {}\n", " ".repeat(width(before)), "^".repeat(width(meant).max(1)), error.expected);
    }
    error.help.iter().for_each(|help| text += &format!("  help: {help}\n"));
    text
}

/// In which order cases run, how often, and when the run ends.
#[derive(Debug, Clone, Default, Args)]
pub struct Course {
    /// Run the cases in a random order; the same seed gives the same order. The seed is printed, and kept in the journal
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, help_heading = "How they run")]
    shuffle: Option<Option<u64>>,

    /// Run each case so often: it fails if it fails once
    #[arg(long, value_name = "N", conflicts_with = "retries", help_heading = "How they run")]
    repeat: Option<NonZeroU32>,

    /// Try a case that fails or has no verdict so often again; if it passes then, it is reported as flaky
    #[arg(long, value_name = "N", help_heading = "How they run")]
    retries: Option<u32>,

    /// End with 1 if a case was flaky, as if it had failed
    #[arg(long, requires = "retries", help_heading = "How they run")]
    fail_on_flaky: bool,

    /// Show each call of the running case as it is made
    #[arg(long, help_heading = "How they run")]
    trace: bool,

    /// Stop at the first case that fails or has no verdict
    #[arg(long, help_heading = "How they run")]
    fail_fast: bool,

    /// What it means if nothing ran: a failure (exit code 4), or a success
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "How they run")]
    no_tests: NoTests,

    /// Go on with the run that this journal tells of, after it was stopped or killed or the host went down. Everything else is given as it
    /// was then. A case that took the host down is not run again
    #[arg(long, value_name = "JOURNAL", conflicts_with_all = ["journal", "rerun"], help_heading = "How they run")]
    pub resume: Option<PathBuf>,

    /// Also run the cases again under which the host, or the lab's guest, went down
    #[arg(long, requires = "resume", help_heading = "How they run")]
    pub retry_died: bool,
}

/// What a run of nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum NoTests {
    /// a success
    Pass,
    /// a failure, with exit code 4
    #[default]
    Fail,
}

impl Course {
    /// The schedule of the selected cases, and the seed of their order.
    pub fn schedule(&self, mut order: Vec<u32>, past: Option<&RunStarted>) -> (Schedule, Option<u64>) {
        let seed = self.shuffle.map(|seed| {
            let fresh = || RandomState::new().hash_one(0);
            seed.or(past.and_then(|started| started.shuffle)).unwrap_or_else(fresh)
        });
        if let Some(seed) = seed {
            shuffle(&mut order, seed);
            eprintln!("vfiospec: the cases run in the order of --shuffle={seed}");
        }
        let schedule = Schedule {
            order,
            repeat: self.repeat.map_or(1, NonZeroU32::get),
            retries: self.retries.unwrap_or(0),
            fail_fast: self.fail_fast,
            trace: self.trace,
            ..Schedule::default()
        };
        (schedule, seed)
    }

    /// The exit code of a run that came to `exit`.
    pub fn exit(&self, exit: Exit, flaky: usize) -> Exit {
        match exit {
            Exit::NothingRan if self.no_tests == NoTests::Pass => Exit::Ok,
            Exit::Ok if self.fail_on_flaky && flaky > 0 => Exit::Failed,
            exit => exit,
        }
    }
}
