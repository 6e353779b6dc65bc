// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec check`

use std::path::Path;

use clap::Args as ClapArgs;

use super::error::{Error, MessageFormat};
use super::watch;
use crate::language::{Date, HostDevice, Invalid, Site};
use crate::model::{Exit, count};
use crate::plan::{self, Count};
use crate::suite::{self, Selection, Text};
use crate::{event::DeviceUsed, session::interrupt};

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
    watch::on_change(&args.selection.watched(), &interrupt::flag(), || {
        ended(check(args));
    });
    Ok(Exit::Interrupted)
}

fn check(args: &Args) -> Result<(), Error> {
    let texts = args.selection.read()?;
    let packs = texts.iter().filter(|text| text.is_manifest()).count();
    let files = texts.len() - packs;
    let mut cases = Count::default();
    args.selection.load_each(&texts, None, |loaded| cases.add(&loaded))?;
    let cases = match cases.distinct() {
        Some(cases) => cases,
        None => {
            let any = DeviceUsed { name: "any".into(), ..DeviceUsed::default() };
            let (loaded, packs) = args.selection.load(&texts, None)?;
            plan::expand(loaded, packs, &[any], &[])?.cases.len()
        }
    };
    if let Some(file) = &args.selection.inventory {
        on_hosts(args, file, &texts)?;
    }
    if args.message_format == MessageFormat::Human {
        let packs = if packs == 0 { String::new() } else { format!(" and {}", count(packs, "pack")) };
        let machines = match suite::machines(&args.selection.paths()) {
            0 => String::new(),
            number => format!(" and {}", count(number, "machine")),
        };
        let inventory = if args.selection.inventory.is_some() { " and the inventory" } else { "" };
        println!("{} in {}{packs}{machines}{inventory}: no mistakes", count(cases, "case"), count(files, "file"));
    }
    Ok(())
}

/// Checks an inventory and the scenarios as its hosts have them, or the one of `--host`.
fn on_hosts(args: &Args, file: &Path, texts: &[Text]) -> Result<(), Error> {
    let (source, inventory) = suite::inventory(file)?;
    let all = inventory.hosts.keys().map(str::to_owned);
    let hosts: Vec<String> = args.selection.host.clone().map_or_else(|| all.collect(), |host| vec![host]);
    let mut plans = Vec::new();
    for host in hosts {
        let mut selection = args.selection.clone();
        selection.host = Some(host);
        let site = selection.site()?;
        let loaded = selection.load(texts, site.as_ref())?;
        let devices = site.iter().flat_map(devices_at).collect();
        plans.push(super::plan_of(&selection, loaded, Vec::new(), site, devices)?.0);
    }
    let diagnostics = plan::unmatched(&inventory, &plans, Date::today());
    if diagnostics.is_empty() {
        return Ok(());
    }
    let invalid = vec![Invalid { source, diagnostics }];
    Err(suite::Error { invalid, files: texts.len() + 1, ..suite::Error::default() }.into())
}

/// The devices of a host as its inventory knows them.
pub fn devices_at(site: &Site) -> Vec<DeviceUsed> {
    let used = |(name, device): (&str, &HostDevice)| {
        DeviceUsed { name: name.to_owned(), ..DeviceUsed::default() }.of_kind(device.kind())
    };
    site.own().devices.iter().map(used).collect()
}
