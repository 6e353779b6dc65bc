// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec devices`

use clap::Args as ClapArgs;

use super::error::Error;
use crate::host::doctor;
use crate::model::Exit;
use crate::session::print;

/// List the devices of this machine that can be tested, the best first, each with the option to type
///
/// Devices that can be tested at once come first, and of these those that are no disks and can be reset; behind them the others, with what is in
/// the way. Bridges are left out. The exit code is 4 if there is no device to test.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Print the list as JSON, for programs
    #[arg(long)]
    json: bool,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let all = doctor::candidates();
    let exit = match all.iter().any(|one| one.obstacles.is_empty()) {
        true => Exit::Ok,
        false => Exit::NothingRan,
    };
    let text = match args.json {
        true => serde_json::to_string_pretty(&all).expect("devices have a JSON form") + "\n",
        false => {
            let best = all.first().filter(|one| one.obstacles.is_empty());
            let next = best.map(|one| format!("next, for the first: vfiospec doctor --device {}\n", one.device));
            all.iter().map(|one| one.described() + "\n").chain(next).collect()
        }
    };
    print(&text)?;
    Ok(exit)
}
