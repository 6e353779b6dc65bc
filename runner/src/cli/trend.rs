// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec trend`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::error::Error;
use super::report::{Named, unreadable};
use crate::model::{Exit, count};
use crate::report::{run::Run, trend::Trend};
use crate::session::{Failure, print};
use crate::{file, sanitize};

/// Show how the cases did over many runs: days, kernels, firmwares
///
/// Writes one page for the browser. Each case has a mark for each run and a curve of its time. What changed comes first. Runs stand in the order
/// in which they began, whatever the order of the journals.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A journal of a run, with a name for it if the day and the kernel do not say enough
    #[arg(value_name = "[LABEL=]JOURNAL", required = true)]
    journals: Vec<Named>,

    /// Where to write the page
    #[arg(long, value_name = "FILE", default_value = "reports/out/trend.html")]
    html: PathBuf,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let mut trend = Trend::default();
    for named in &args.journals {
        if file::place(&named.path) == file::place(&args.html) {
            let what = format!("--html and a journal both name {}", args.html.display());
            return Err(Failure::usage(what, "give each a file of its own").into());
        }
        let read = named.open().and_then(|journal| Ok((journal.label.clone(), Run::of(journal.text)?)));
        let (label, run) = read.map_err(|error| unreadable(&error))?;
        trend.add(label, &run);
    }
    let (runs, cases, changed) = (trend.runs(), trend.cases(), trend.changed());
    let page = trend.page();
    file::write_atomic(&args.html, |out| page.write(out))
        .map_err(|error| Failure::new(Exit::ReportNotWritten, error).help("name another file with --html"))?;
    let path = sanitize::line(&args.html.to_string_lossy());
    print(&format!(
        "{} in {}: {changed} did not end the same in each\nHTML: {path}\n",
        count(cases, "case"),
        count(runs, "run")
    ))?;
    Ok(Exit::Ok)
}
