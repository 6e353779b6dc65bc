// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec new`

mod case;
mod file;
mod from;
mod pack;
mod scenario;

use clap::Subcommand;

use super::error::Error;

/// Write something to start from: a scenario, a pack, a case
#[derive(Debug, Subcommand)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub enum Verb {
    Scenario(scenario::Args),
    Pack(pack::Args),
    Case(case::Args),
}

pub fn main(verb: &Verb) -> Result<(), Error> {
    match verb {
        Verb::Scenario(args) => Ok(scenario::main(args)?),
        Verb::Pack(args) => Ok(pack::main(args)?),
        Verb::Case(args) => case::main(args),
    }
}
