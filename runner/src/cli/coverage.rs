// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec coverage`

use std::{fs, io};

use clap::Args as ClapArgs;

use super::{error::Error, report::Named};
use crate::report::coverage::{self, Coverage};
use crate::report::terminal::Terminal;
use crate::session::{Failure, TRACEFILE, print};
use crate::{model::Exit, sanitize::line};

/// Show which lines of the kernel ran with `lab run --coverage`: in one run, in several side by side, or what one adds to another
///
/// Runs of the same label add up, and different ones stand beside each other in a table of Markdown.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The folder that --coverage named, or a tracefile of LCOV's format
    #[arg(value_name = "[LABEL=]COVERAGE", required = true)]
    coverages: Vec<Named>,

    /// Show the lines that this run reaches and the others do not
    #[arg(long, value_name = "[LABEL=]COVERAGE")]
    against: Option<Named>,
}

pub fn main(args: &Args) -> Result<(), Error> {
    let mut columns: Vec<(String, Coverage)> = Vec::new();
    for named in &args.coverages {
        let one = read(named)?;
        if let Some((name, first)) = columns.first() {
            same_kernel((name, first), (&named.name(), &one))?;
        }
        match columns.iter_mut().find(|(name, _)| *name == named.name()) {
            Some((_, column)) => column.add(one),
            None => columns.push((named.name(), one)),
        }
    }
    let terminal = Terminal::detect(&io::stdout());
    let text = match (&args.against, columns.as_slice()) {
        (Some(against), _) => {
            let second = read(against)?;
            let name = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let first = columns.into_iter().map(|(_, column)| column).reduce(|mut all, column| {
                all.add(column);
                all
            });
            let first = first.unwrap_or_default();
            same_kernel((&name, &first), (&against.name(), &second))?;
            coverage::compare(&first, &second, [&name, &against.name()], &terminal)
        }
        (None, [(_, one)]) => coverage::short(one, &terminal),
        (None, _) => coverage::beside(&columns),
    };
    Ok(print(&text)?)
}

fn read(named: &Named) -> Result<Coverage, Failure> {
    let path = if named.path.is_dir() { named.path.join(TRACEFILE) } else { named.path.clone() };
    let shown = line(&path.display().to_string());
    let help =
        "a run with --coverage leaves one in reports/out/coverage, or in the folder that --coverage=FOLDER names";
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::usage(format!("failed to read the coverage {shown}: {error}"), help))?;
    coverage::read(&text).map_err(|number| {
        Failure::usage(
            format!("failed to read the coverage {shown}: line {number} is not as LCOV's format has it"),
            help,
        )
    })
}

/// Lines of one kernel mean nothing in another.
fn same_kernel(first: (&str, &Coverage), second: (&str, &Coverage)) -> Result<(), Failure> {
    if first.1.kernel == second.1.kernel {
        return Ok(());
    }
    let [one, other] =
        [first, second].map(|(name, coverage)| format!("{} is of {}", line(name), line(&coverage.kernel)));
    let what = format!("failed to compare two kernels line by line: {one}, and {other}");
    Err(Failure::new(Exit::Usage, what).help("name runs on the same kernel"))
}
