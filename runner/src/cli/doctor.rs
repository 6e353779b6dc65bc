// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec doctor`

use clap::Args as ClapArgs;

use super::error::Error;
use crate::host::doctor::{self, Grade};
use crate::model::{Exit, count};
use crate::report::terminal::{GREEN, RED, Terminal, YELLOW, wrapped};
use crate::sanitize::line;
use crate::session::{Named, print};

/// Say whether this machine and its devices can be tested, and what mends what cannot
///
/// Nothing is touched. Each line is `good`, `will do` (some cases are skipped or prove less) or `blocks`, and says which command mends it. The exit
/// code is 0 if nothing blocks, and 3 if something does, as a run would end.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A device to look at, by its address; may be given several times, for devices that are tested together
    #[arg(long = "device", value_name = "[NAME=]ADDRESS")]
    devices: Vec<Named>,

    /// Print the facts as JSON, for programs
    #[arg(long)]
    json: bool,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let devices: Vec<_> = args.devices.iter().map(Named::bdf).collect();
    let facts = doctor::examine(&devices);
    let blocks = facts.iter().filter(|fact| fact.grade == Grade::Blocks).count();
    let exit = if blocks > 0 { Exit::NoVerdict } else { Exit::Ok };
    if args.json {
        let json = serde_json::to_string_pretty(&facts).expect("facts have a JSON form");
        print(&format!("{json}\n"))?;
        return Ok(exit);
    }
    let terminal = Terminal::detect(&std::io::stdout());
    let mut text = String::new();
    let mut about = None;
    for fact in &facts {
        if about != fact.device {
            about.clone_from(&fact.device);
            fact.device.iter().for_each(|device| text += &format!("{device}\n"));
        }
        let style = match fact.grade {
            Grade::Good => GREEN,
            Grade::WillDo => YELLOW,
            Grade::Blocks => RED,
        };
        let grade = terminal.paint(style, format!("{:<7}", fact.grade.as_str()));
        let says = wrapped(&line(&format!("{}: {}", fact.about, fact.says)), terminal.width, 11);
        text += &format!("  {grade}  {}\n", says.join("\n           "));
        // One line, however long, so that it can be copied.
        fact.mend.iter().for_each(|mend| text += &format!("           -> {}\n", line(&mend.to_string())));
    }
    let load = if doctor::can_load(&facts) { " --load-modules" } else { "" };
    let named: String = args.devices.iter().map(|device| format!(" --device {device}")).collect();
    text += &match (blocks, devices.is_empty()) {
        (0, true) => "nothing blocks; next: vfiospec devices\n".to_owned(),
        (0, false) => format!("nothing blocks; next: vfiospec run{load}{named}\n"),
        (blocks, _) => format!("{} to mend before a case can run\n", count(blocks, "thing")),
    };
    print(&text)?;
    Ok(exit)
}
