// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec diff`

use std::io;

use clap::Args as ClapArgs;

use super::error::Error;
use super::report::{Named, unreadable};
use crate::session::{Failure, print};
use crate::{model::Exit, report::diff::Diff, report::run::Run, report::terminal::Terminal};

/// Compare two runs: two kernels, two firmwares, two days
///
/// Says which cases fail newly, are fixed, are known issues now or no more, are skipped for other reasons, take at least twice or at most
/// half the time (and 100 ms more or less), and which are only in one of the two.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT)]
pub struct Args {
    /// The journal of the run before
    #[arg(value_name = "A")]
    before: Named,

    /// The journal of the run after it
    #[arg(value_name = "B")]
    after: Named,
}

/// The exit codes, for `--help`.
const EXIT: &str = "\
Exit codes:
  0  nothing fails in B that did not fail in A
  1  a case fails newly
  2  a journal cannot be read
  3  a case has no verdict any more: it ended with an error, or was not run";

/// Compares, and says by the exit code whether B is worse.
pub fn main(args: &Args) -> Result<Exit, Error> {
    let read =
        |named: &Named| named.open().and_then(|journal| Run::of(journal.text)).map_err(|error| unreadable(&error));
    let (a, b) = (read(&args.before)?, read(&args.after)?);
    let changed = |error: io::Error| Failure::new(Exit::NoVerdict, error);
    let diff = Diff::of(&a, &b).map_err(changed)?;
    let names = [&args.before, &args.after].map(Named::name);
    print(&diff.render(&Terminal::detect(&io::stdout()), [&names[0], &names[1]]).map_err(changed)?)?;
    Ok(if diff.newly_failing() {
        Exit::Failed
    } else if diff.lost_verdicts() {
        Exit::NoVerdict
    } else {
        Exit::Ok
    })
}
