// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec release`

use clap::Args as ClapArgs;

use super::error::Error;
use crate::model::{Bdf, Exit};
use crate::session;

/// Give back the devices of a run that was killed, or that were handed over to a user
///
/// A run notes in /run/vfiospec what it takes: each device goes back to its driver, with the `driver_override` that it had, and its network interface
/// is up again if it was. What a vfiospec that still runs has taken, it keeps. The next run on such a device gives it back, too, when it ends. A
/// device of `vfiospec grant` is taken back only if it is named.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only these devices, by their addresses; all that killed runs left behind unless given
    #[arg(value_name = "ADDRESS")]
    devices: Vec<Bdf>,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    Ok(if session::release(&args.devices) { Exit::Ok } else { Exit::NoVerdict })
}
