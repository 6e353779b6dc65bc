// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the scenarios' cases run, in which order, and how often: the same options for every verb.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::offered::Offered;
use crate::language::{ExpressionError, Pattern, did_you_mean};
use crate::model::{BackendName, CaseId, Exit, Verdict, device_in};
use crate::plan::{Filter, Partition, Plan};
use crate::report::run::{Case, Run, State};
use crate::{report::journal, sanitize, session::Failure};

/// Which cases.
#[derive(Debug, Clone, Default, Args)]
pub struct Cases {
    /// Only cases for which this expression is true; it knows `pack`, `scenario`, `case`, `name` (with matrix values), `backend`, `device`, `id`,
    /// and the lists `tags`, `covers` and `fixes` (commits, 12 digits each, and titles): "backend == 'iommufd' and 'slow' not in tags"
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

pub fn names() -> Vec<&'static str> {
    BackendName::ALL.map(BackendName::as_str).to_vec()
}

pub fn pattern(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern(text.to_owned());
    if pattern.matches_any() {
        return Ok(pattern);
    }
    let near = did_you_mean(text, names()).unwrap_or_else(|| format!("there are {}", names().join(", ")));
    Err(format!("no backend has this name; {near}"))
}

/// A backend by its whole name.
pub fn backend(text: &str) -> Result<BackendName, String> {
    text.parse().map_err(|_| {
        let near = did_you_mean(text, names()).unwrap_or_else(|| format!("there are {}", names().join(", ")));
        format!("no backend has this name; {near}")
    })
}

impl Cases {
    /// The backends that cases are left which take any of several; empty if `--backend` names none.
    pub fn only(&self) -> Vec<BackendName> {
        let meant = |name: &BackendName| self.backends.iter().any(|pattern| pattern.matches(*name));
        BackendName::ALL.into_iter().filter(meant).collect()
    }

    /// The patterns of `--backend`.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.backends.iter().map(|pattern| pattern.0.as_str())
    }

    /// The cases on these backends, or on all backends if the list is empty.
    pub fn on(backends: Vec<Pattern>) -> Cases {
        Cases { backends, ..Cases::default() }
    }

    /// Looks at the expression of `--filter`, also where scenarios cannot be read.
    pub fn check(&self) -> Result<(), Failure> {
        let Some(expression) = &self.filter else { return Ok(()) };
        Filter::check(expression).map_err(|error| explained(expression, &error))
    }

    /// The numbers of the selected cases, in the order to run them. Says on standard error why none is selected.
    pub fn select(&self, plan: &Plan, last: &Path) -> Result<Vec<u32>, Failure> {
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
        let expression = filter.expression.as_deref().unwrap_or_default();
        let selected = plan.select(&filter).map_err(|error| explained(expression, &error))?;
        if selected.is_empty() {
            eprintln!("vfiospec: {}", sanitize::line(&plan.nothing(&filter)));
        }
        Ok(selected)
    }

    fn named(&self, plan: &Plan) -> Result<HashSet<CaseId>, Failure> {
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

/// No case has this name; the help says which is near.
pub fn no_case(name: &str, plan: &Plan) -> Failure {
    let near = did_you_mean(name, plan.cases.iter().map(|planned| planned.id.name.as_str()));
    let help = near.unwrap_or_else(|| "`vfiospec list` prints them all".to_owned());
    Failure::usage(format!("no case is called `{}`", sanitize::line(name)), help)
}

fn ended(how: Rerun, path: &Path) -> Result<HashSet<CaseId>, Failure> {
    const HELP: &str = "--rerun runs the cases of an earlier run again; --from names its journal";
    let events = journal::read_file(path).map_err(|error| Failure::usage(error, HELP))?;
    if events.is_empty() {
        // Killed before it had said a word.
        return Err(Failure::usage(format!("there is no run in the journal {}", path.display()), HELP));
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

/// A mistake in an expression of the command line, with a caret.
fn explained(expression: &str, error: &ExpressionError) -> Failure {
    let mut text = format!("{} in --filter\n  {}", error.message, sanitize::line(expression));
    if let (Some(before), Some(meant)) = (expression.get(..error.range.start), expression.get(error.range.clone())) {
        let [indent, carets] = [before, meant].map(console::measure_text_width);
        text += &format!("\n  {}{} {}", " ".repeat(indent), "^".repeat(carets.max(1)), error.expected);
    }
    error.help.iter().for_each(|help| text += &format!("\n  help: {help}"));
    Failure::new(Exit::Usage, text)
}
