//! `vfiospec list`

use std::io::{self, Write};

use clap::Args as ClapArgs;

use super::{Exit, scenarios::Selection};
use crate::event::DeviceUsed;

/// List the cases that scenarios stand for: needs no device, no root and no kernel module
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Also print where each case is written and what it covers
    #[arg(short, long)]
    long: bool,

    /// Plan for devices of these names rather than for one called `any`
    #[arg(long = "device", value_name = "NAME")]
    devices: Vec<String>,
}

/// Prints a case a line.
pub fn main(args: &Args) -> Exit {
    let names = if args.devices.is_empty() { vec!["any".to_owned()] } else { args.devices.clone() };
    let devices = names.into_iter().map(|name| DeviceUsed { name, ..DeviceUsed::default() }).collect();
    let plan = match args.selection.read().and_then(|texts| args.selection.plan(texts, devices)) {
        Ok((plan, _)) => plan,
        Err(exit) => return exit,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let print = |out: &mut dyn Write| -> io::Result<()> {
        for case in &plan.cases {
            let id = &case.id;
            match args.long {
                false => writeln!(out, "{}", id.id())?,
                true => writeln!(out, "{}\t{}:{}\t{}", id.id(), id.file, id.line, id.covers.join(" "))?,
            }
        }
        out.flush()
    };
    match print(&mut out) {
        Ok(()) => Exit::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok, // `vfiospec list | head`
        Err(error) => {
            eprintln!("vfiospec: failed to write the list: {error}");
            Exit::ReportNotWritten
        }
    }
}
