// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec report`

use std::path::{Path, PathBuf};
use std::{fs, str::FromStr, sync::Arc};

use clap::Args as ClapArgs;

use super::error::Error;
use crate::report::journal::{ReadError, Reason, Text};
use crate::report::requirements::{self, Wanted};
use crate::report::{fix_table, summary};
use crate::session::{Failure, Reports};
use crate::{model::Exit, report::merge::Journal, report::run::Run, sanitize};

/// Make reports from journals: of one run again, or of several as one
///
/// Journals of the same kernel, IOMMU and devices add up: shards make a whole, and of a case that was run again the last result counts;
/// one that passed only then is flaky. Journals of different kernels, IOMMUs or devices stand side by side; with --fixes, only different
/// kernels do.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A journal, or `-` for the standard input; runs of the same label are merged, and different ones stand side by side
    #[arg(value_name = "[LABEL=]JOURNAL", required = true)]
    journals: Vec<Named>,

    /// Show which fixes of the kernel are there and which are missing, as the cases say that name them in `fixes`, and not the summary
    #[arg(long)]
    fixes: bool,

    /// Show how each requirement stands that the cases cover (`covers`), and not the summary; LIST names those that have to be covered
    ///
    /// Each line of LIST is a requirement, and behind a space what it says. Lines that begin with `#` are comments. Those that no case covers are
    /// shown as such.
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true, conflicts_with = "fixes")]
    requirements: Option<Option<PathBuf>>,

    #[command(flatten)]
    reports: Reports,
}

/// A journal, and what the user calls its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    label: Option<String>,
    pub path: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        let path = PathBuf::from(text);
        let label = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '+'))
        };
        match text.split_once('=') {
            Some((name, path_of_it)) if label(name) && !path.exists() => {
                Ok(Named { label: Some(name.to_owned()), path: path_of_it.into() })
            }
            _ => Ok(Named { label: None, path }),
        }
    }
}

impl Named {
    pub fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.path.display().to_string())
    }

    pub fn open(&self) -> Result<Journal, ReadError> {
        let path = if self.path.as_os_str() == "-" { "/dev/stdin".as_ref() } else { self.path.as_path() };
        Ok(Journal { label: self.label.clone(), text: Text::open(path)? })
    }
}

/// Why journals cannot be read.
pub fn unreadable(error: &ReadError) -> Failure {
    match error.reason {
        // A journal may be damaged anywhere but in its first line, which is whole before the run begins.
        Reason::Line { line: 1, .. } if [".yaml", ".yml"].iter().any(|end| error.journal.ends_with(end)) => {
            let what = format!("{} is no journal: it looks like a scenario", sanitize::line(&error.journal));
            Failure::usage(what, LEAVES)
        }
        Reason::Line { line: 1, .. } | Reason::Io(_) => Failure::usage(error, LEAVES),
        Reason::Line { .. } | Reason::NewerFormat(_) | Reason::Empty => Failure::new(Exit::NoVerdict, error),
    }
}

/// Where journals are.
const LEAVES: &str = "a run leaves its journal in reports/out/journal.jsonl, or where --journal says";

/// Writes the reports and returns the exit code that the run had.
pub fn main(args: &Args) -> Result<Exit, Error> {
    let paths: Vec<_> = args.journals.iter().map(|journal| journal.path.as_path()).collect();
    args.reports.check(&paths)?;
    let journals = args.journals.iter().map(Named::open).collect::<Result<Vec<_>, _>>();
    let run = journals.and_then(Run::read).map_err(|error| unreadable(&error))?;
    let run = Arc::new(run);
    if let Some(list) = &args.requirements {
        let wanted = list.as_deref().map(wanted).transpose()?.unwrap_or_default();
        let (reports, exit) = (&args.reports, Run::exit);
        return Ok(reports.finish_with(
            |run, terminal, files| requirements::render(run, &wanted, terminal, files),
            run,
            &paths,
            exit,
        )?);
    }
    let text = if args.fixes { fix_table::render } else { summary::render };
    Ok(args.reports.finish_with(text, run, &paths, Run::exit)?)
}

/// The requirements of a list.
fn wanted(list: &Path) -> Result<Vec<Wanted>, Failure> {
    let text = fs::read_to_string(list).map_err(|error| {
        let what = format!("failed to read {}: {error}", list.display());
        Failure::usage(what, "--requirements=LIST names a file with a requirement in each line")
    })?;
    Ok(Wanted::read(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_may_have_a_label() {
        let named = |text: &str| text.parse::<Named>().expect("anything is a path");
        assert_eq!(named("a/b.jsonl"), Named { label: None, path: "a/b.jsonl".into() });
        assert_eq!(named("6.12=a.jsonl"), Named { label: Some("6.12".into()), path: "a.jsonl".into() });
        assert_eq!(named("out/k=v/a.jsonl"), Named { label: None, path: "out/k=v/a.jsonl".into() });
    }
}
