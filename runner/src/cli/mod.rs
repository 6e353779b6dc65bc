//! The command line: one file for each verb, with its `Args` and its `main`, which returns the exit code.
//!
//! A verb reads its arguments, calls the library, and prints. To begin, read [`main`] and one short verb, such as `check`.

mod cases;
mod check;
mod completions;
mod devices;
mod diff;
mod exec;
mod explain;
mod guests;
mod interrupt;
mod lab;
mod list;
mod messages;
mod mistyped;
mod new;
mod offered;
mod output;
mod packs;
mod report;
mod resume;
mod run;
mod scenarios;
mod show;
mod watch;

use std::process::ExitCode;

use crate::model::Exit;
use clap::{CommandFactory, Parser, Subcommand};

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
    #[command(subcommand)]
    Lab(lab::Verb),
    Report(report::Args),
    Diff(diff::Args),
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
    Worker,
    #[command(hide = true)]
    Inside(exec::Inside),
}

/// Runs the command line and returns its exit code.
pub fn main() -> ExitCode {
    if crate::lab::is_guest_init() {
        crate::lab::guest_main();
    }
    // Exits with 2 where the command line is wrong.
    let cli = Cli::try_parse().unwrap_or_else(|error| mistyped::with_tip(error, &Cli::command()).exit());
    match cli.verb {
        Verb::Run(args) => run::main(&args).into(),
        Verb::Lab(verb) => lab::main(&verb),
        Verb::Report(args) => report::main(&args).into(),
        Verb::Diff(args) => diff::main(&args).into(),
        Verb::Check(args) => check::main(&args).into(),
        Verb::List(args) => list::main(&args).into(),
        Verb::Show(args) => show::main(&args).into(),
        Verb::Inside(args) => exec::inside(&args).into(),
        Verb::New(verb) => new::main(&verb).into(),
        Verb::Explain(args) => explain::main(&args).into(),
        Verb::Completions(args) => completions::main(&args, Cli::command()).into(),
        Verb::Man(args) => completions::man(&args, Cli::command()).into(),
        Verb::Worker => match crate::engine::worker::main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("vfiospec worker: {message}");
                Exit::Bug.into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
