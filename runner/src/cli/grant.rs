// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec grant`

use clap::Args as ClapArgs;

use super::error::Error;
use crate::model::Exit;
use crate::session::{self, Named};

/// Hand devices over to an ordinary user, who then runs scenarios on them without root
///
/// Takes root. The devices are bound to vfio-pci and stay there, and their files are the user's; a rule of udev does the same after a reboot, and the
/// user may lock memory. It says what it wrote. A device in use is refused. `vfiospec release ADDRESS` takes a device back.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The user
    #[arg(value_name = "USER")]
    user: String,

    /// A device to hand over, by its address; may be given several times, for devices of one group
    #[arg(long = "device", value_name = "[NAME=]ADDRESS", required = true)]
    devices: Vec<Named>,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    session::grant(&args.user, &args.devices)?;
    Ok(Exit::Ok)
}
