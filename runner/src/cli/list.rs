// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec list`

use std::path::Path;

use clap::Args as ClapArgs;

use super::{cases::Cases, check::devices_at, error::Error};
use crate::session::{JOURNAL, print};
use crate::{event::DeviceUsed, model::Exit, plan, sanitize::line, suite::Selection};

/// List the cases that scenarios stand for: needs no device, no root and no kernel module
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    cases: Cases,

    /// Also print where each case is written, what it covers, and what it asserts
    #[arg(short, long)]
    long: bool,

    /// Plan for devices of these names rather than for those of the inventory's host, or for one called `any`
    #[arg(long = "device", value_name = "NAME")]
    devices: Vec<String>,
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let journal = Path::new(JOURNAL);
    let mut names = if args.devices.is_empty() { args.cases.devices(journal) } else { args.devices.clone() };
    let at_site = args.selection.site()?.filter(|_| names.is_empty()).map(|site| devices_at(&site));
    let at_site = at_site.filter(|devices| !devices.is_empty());
    if names.is_empty() {
        names.push("any".to_owned());
    }
    let by_name = || names.into_iter().map(|name| DeviceUsed { name, ..DeviceUsed::default() }).collect();
    let devices = at_site.unwrap_or_else(by_name);
    let (plan, _) = super::plan(&args.selection, args.cases.check(), devices)?;
    let mut selected = args.cases.select(&plan, journal)?;
    if selected.is_empty() {
        return Ok(Exit::NothingRan);
    }
    selected.sort_unstable();
    let mut text = String::new();
    for case in selected {
        let case = &plan.cases[case as usize];
        let id = line(&case.id.id().to_string());
        if !args.long {
            text += &format!("{id}\n");
            continue;
        }
        let (file, covers) = (line(&case.id.file), line(&case.id.covers.join(" ")));
        let (written, path) = plan.case(case);
        let (_, steps) = plan::planned(written, &path, case.backend, &case.scope);
        let asserts = line(&plan::assertions(&steps).join("; "));
        text += &format!("{id}\t{file}:{}\t{covers}\t{asserts}\n", case.id.line);
    }
    print(&text)?;
    Ok(Exit::Ok)
}
