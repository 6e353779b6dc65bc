//! `vfiospec list`

use std::path::Path;

use clap::Args as ClapArgs;

use super::{
    cases::Cases,
    output::{self, print},
    scenarios::Selection,
};
use crate::{event::DeviceUsed, model::Exit, plan, report::sanitize::line};

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

    /// Plan for devices of these names rather than for one called `any`
    #[arg(long = "device", value_name = "NAME")]
    devices: Vec<String>,
}

/// Prints a case a line.
pub fn main(args: &Args) -> Exit {
    let mut names = match args.devices.as_slice() {
        [] => args.cases.devices(Path::new(output::JOURNAL)),
        given => given.to_vec(),
    };
    if names.is_empty() {
        names.push("any".to_owned());
    }
    let devices = names.into_iter().map(|name| DeviceUsed { name, ..DeviceUsed::default() }).collect();
    let checked = args.cases.check();
    let plan = match args.selection.read().and_then(|texts| args.selection.plan(texts, devices)) {
        Ok((plan, _)) if checked.is_ok() => plan,
        Ok(_) => return Exit::Usage,
        Err(exit) => return exit,
    };
    let mut selected = match args.cases.select(&plan, Path::new(output::JOURNAL)) {
        Ok(selected) if selected.is_empty() => return Exit::NothingRan,
        Ok(selected) => selected,
        Err(exit) => return exit,
    };
    selected.sort_unstable();
    let mut text = String::new();
    for case in selected {
        let case = &plan.cases[case as usize];
        let id = &case.id;
        match args.long {
            false => text += &format!("{}\n", line(&id.id().to_string())),
            true => {
                let (file, covers) = (line(&id.file), line(&id.covers.join(" ")));
                let (written, path) = plan.case(case);
                let (_, steps) = plan::planned(written, &path, case.backend);
                let asserts = line(&plan::assertions(&steps).join("; "));
                text += &format!("{}\t{file}:{}\t{covers}\t{asserts}\n", line(&id.id().to_string()), id.line);
            }
        }
    }
    print(&text)
}
