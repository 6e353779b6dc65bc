//! `vfiospec new`

mod case;
mod file;
mod from;
mod pack;
mod scenario;

use clap::Subcommand;

use crate::model::Exit;

/// Write something to start from: a scenario, a pack, a case
#[derive(Debug, Subcommand)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub enum Verb {
    Scenario(scenario::Args),
    Pack(pack::Args),
    Case(case::Args),
}

/// Writes it.
pub fn main(verb: &Verb) -> Exit {
    let written = match verb {
        Verb::Scenario(args) => scenario::main(args),
        Verb::Pack(args) => pack::main(args),
        Verb::Case(args) => case::main(args),
    };
    match written {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}
