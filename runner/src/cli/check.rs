// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec check`

use clap::Args as ClapArgs;

use super::error::{Error, MessageFormat};
use super::watch;
use crate::model::{Exit, count};
use crate::{event::DeviceUsed, plan::Count, session::interrupt, suite, suite::Selection};

/// Check scenarios without running anything: needs no device, no root and no kernel module
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Whom the messages are for
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    message_format: MessageFormat,

    /// Stay, and check again whenever a file changes; Ctrl-C ends
    #[arg(long)]
    watch: bool,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let ended = |outcome: Result<(), Error>| match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => {
            error.print(args.message_format);
            error.exit()
        }
    };
    if !args.watch {
        return Ok(ended(check(args)));
    }
    watch::on_change(&args.selection.paths, &interrupt::flag(), || {
        ended(check(args));
    });
    Ok(Exit::Interrupted)
}

fn check(args: &Args) -> Result<(), Error> {
    let texts = args.selection.read()?;
    let packs = texts.iter().filter(|text| text.is_manifest()).count();
    let files = texts.len() - packs;
    let mut cases = Count::default();
    args.selection.load_each(&texts, |loaded| cases.add(&loaded))?;
    let cases = match cases.distinct() {
        Some(cases) => cases,
        None => {
            let any = DeviceUsed { name: "any".into(), ..DeviceUsed::default() };
            super::plan(&args.selection, Ok(()), vec![any])?.0.cases.len()
        }
    };
    if args.message_format == MessageFormat::Human {
        let packs = if packs == 0 { String::new() } else { format!(" and {}", count(packs, "pack")) };
        let machines = match suite::machines(&args.selection.paths) {
            0 => String::new(),
            number => format!(" and {}", count(number, "machine")),
        };
        println!("{} in {}{packs}{machines}: no mistakes", count(cases, "case"), count(files, "file"));
    }
    Ok(())
}
