// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: one file for each verb, with its `Args` and its `main`, which returns the exit code.
//!
//! A verb reads its arguments, calls the library, and prints. To begin, read [`main`] and one short verb, such as `check`.

mod cases;
mod check;
mod completions;
mod coverage;
mod devices;
mod diff;
mod doctor;
mod error;
mod explain;
mod explore;
mod grant;
mod lab;
mod list;
mod machine;
mod mistyped;
mod new;
mod offered;
mod release;
mod report;
mod run;
mod show;
mod trend;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use error::{Error, MessageFormat, both};

use crate::language::Site;
use crate::model::{Exit, for_bisect};
use crate::plan::{self, Plan, Setup};
use crate::suite::{self, Checked, Selection, SiteText, Text};
use crate::{engine, event::DeviceUsed, host, session::Failure};

/// Runs YAML scenarios against the real ioctls of VFIO and IOMMUFD, and writes JUnit XML.
///
/// `vfiospec lab run` needs no hardware: it boots a Linux kernel in QEMU with an emulated IOMMU and runs there. `vfiospec run` uses
/// this machine's own devices.
#[derive(Debug, Parser)]
#[command(name = "vfiospec", version, after_help = Exit::HELP, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<run::Args>),
    Release(release::Args),
    Grant(grant::Args),
    Doctor(doctor::Args),
    Devices(devices::Args),
    Explore(Box<explore::Args>),
    #[command(subcommand)]
    Lab(lab::Verb),
    Report(report::Args),
    Diff(diff::Args),
    Trend(trend::Args),
    Coverage(coverage::Args),
    Check(check::Args),
    List(list::Args),
    Show(show::Args),
    #[command(subcommand)]
    New(new::Verb),
    Explain(explain::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
    /// The process that issues the ioctls; `run` starts it.
    #[command(hide = true)]
    Worker {
        /// Go on in the place of a process that replaced itself, with what is in the file of this number.
        #[arg(long)]
        resume: Option<i32>,
        /// Write to these files instead, each followed by what to write, and exit with the errno.
        #[arg(long, num_args = 2, value_names = ["FILE", "TEXT"], conflicts_with = "resume")]
        write: Vec<String>,
    },
    #[command(hide = true)]
    Inside(lab::InsideArgs),
    /// The process that has devices of this machine on vfio-pci for the lab, and gives them back.
    #[command(hide = true)]
    Lender(lab::LenderArgs),
}

/// Runs the command line and returns its exit code.
pub fn main() -> ExitCode {
    if crate::lab::is_guest_init() {
        crate::lab::guest_main();
    }
    // Exits with 2 where the command line is wrong.
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let error = mistyped::with_tip(error, &Cli::command());
        // git would take the 2 for a bad commit.
        if error.use_stderr() && std::env::args().any(|word| word == "--bisect") {
            let _ = error.print();
            std::process::exit(for_bisect(Exit::Usage as u8).into());
        }
        error.exit()
    });
    let done = |()| Exit::Ok.into();
    let ended: Result<ExitCode, Error> = match cli.verb {
        Verb::Run(args) => run::main(&args).map(Exit::into),
        Verb::Doctor(args) => doctor::main(&args).map(Exit::into),
        Verb::Devices(args) => devices::main(&args).map(Exit::into),
        Verb::Grant(args) => grant::main(&args).map(Exit::into),
        Verb::Release(args) => release::main(&args).map(Exit::into),
        Verb::Explore(args) => explore::main(&args).map(Exit::into),
        Verb::Lab(verb) => lab::main(&verb),
        Verb::Report(args) => report::main(&args).map(Exit::into),
        Verb::Diff(args) => diff::main(&args).map(Exit::into),
        Verb::Trend(args) => trend::main(&args).map(Exit::into),
        Verb::Coverage(args) => coverage::main(&args).map(done),
        Verb::Check(args) => check::main(&args).map(Exit::into),
        Verb::List(args) => list::main(&args).map(Exit::into),
        Verb::Show(args) => show::main(&args).map(done),
        Verb::Inside(args) => lab::inside(&args),
        Verb::Lender(args) => Ok(lab::lender(&args)),
        Verb::New(verb) => new::main(&verb).map(done),
        Verb::Explain(args) => explain::main(&args).map(done),
        Verb::Completions(args) => completions::main(&args, Cli::command()).map(done),
        Verb::Man(args) => completions::man(&args, Cli::command()).map(done),
        Verb::Worker { write, .. } if !write.is_empty() => std::process::exit(host::hotplug::write_for(&write)),
        Verb::Worker { resume, .. } => match resume.map_or_else(engine::worker::main, engine::resume) {
            Ok(()) => Ok(Exit::Ok.into()),
            Err(message) => {
                eprintln!("vfiospec worker: {message}");
                Ok(Exit::Bug.into())
            }
        },
    };
    ended.unwrap_or_else(|error| {
        error.print(MessageFormat::Human);
        error.exit().into()
    })
}

/// Reads, checks and plans the scenarios for these devices; `checked` is what is wrong besides.
fn plan(selection: &Selection, checked: Result<(), Failure>, devices: Vec<DeviceUsed>) -> Result<(Plan, Setup), Error> {
    let (loaded, texts, site) = both(checked, load(selection, selection.read()))?;
    plan_of(selection, loaded, texts, site, devices)
}

/// Scenarios that are right with their texts, and what the inventory says of the host.
type Read = (Checked, Vec<Text>, Option<Site>);

fn load(selection: &Selection, texts: Result<Vec<Text>, suite::Error>) -> Result<Read, suite::Error> {
    let site = selection.site()?;
    let texts = texts?;
    Ok((selection.load(&texts, site.as_ref())?, texts, site))
}

fn plan_of(
    selection: &Selection,
    (loaded, packs): Checked,
    scenarios: Vec<Text>,
    site: Option<Site>,
    devices: Vec<DeviceUsed>,
) -> Result<(Plan, Setup), Error> {
    let (vars, of_site) = (selection.vars_on(site.as_ref()), site.as_ref().map(SiteText::of));
    let setup = Setup { scenarios, vars, devices, only: Vec::new(), site: of_site };
    let plan = plan::expand(loaded, packs, &setup.devices, &setup.vars())?;
    Ok((site.into_iter().fold(plan, Plan::at), setup))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
