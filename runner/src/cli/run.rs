//! `vfiospec run`

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args as ClapArgs;

use super::{
    Exit,
    devices::{self, Named},
    interrupt,
    output::{Output, Outputs},
    scenarios::Selection,
};
use crate::{
    engine::{self, worker::Text},
    event::{DeviceUsed, Event, FORMAT, RunStarted},
    host::facts,
    report::journal,
};

/// Run scenarios on this machine's own devices
///
/// A device is taken from its driver for the run and given back afterwards. A device with a mounted filesystem or a network link in
/// use is refused.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// A device to run on: its PCI address, with a name for scenarios and reports if there are several
    #[arg(long = "device", value_name = "[NAME=]ADDRESS")]
    devices: Vec<Named>,

    #[command(flatten)]
    outputs: Outputs,

    /// Only write events to this file: the lab's way from guest to host
    #[arg(long, value_name = "FILE", hide = true)]
    events: Option<PathBuf>,

    /// Take the scenarios from this JSON file: the lab's way from host to guest
    #[arg(long, value_name = "FILE", hide = true)]
    scenarios: Option<PathBuf>,
}

/// Runs the scenarios and gives the run's exit code.
pub fn main(args: &Args) -> Exit {
    match prepare_and_run(args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn prepare_and_run(args: &Args) -> Result<Exit, Exit> {
    let texts = match &args.scenarios {
        Some(file) => from_host(file)?,
        None => args.selection.read()?,
    };
    // Checked before any device is touched.
    args.selection.load(&texts)?;
    // Before as well: whoever stops us now gets the devices back, too.
    let interrupt = interrupt::flag();
    let devices = devices::bind(&args.devices)?;
    let outcome = args.selection.plan(texts, devices.used.clone()).and_then(|(plan, setup)| {
        let started = started(&devices.used);
        match &args.events {
            Some(file) => stream(file, |sink| engine::run(&plan, &setup, started, &interrupt, sink)),
            None => report(&args.outputs, |sink| engine::run(&plan, &setup, started, &interrupt, sink)),
        }
    });
    let given_back = devices.give_back();
    match outcome {
        // The results stand, but this machine is not as it was.
        Ok(Exit::Ok | Exit::NothingRan) if !given_back => Ok(Exit::NoVerdict),
        outcome => outcome,
    }
}

type Sink<'a> = dyn FnMut(Event) -> io::Result<()> + 'a;

/// To the journal and the terminal, and reports at the end.
fn report(outputs: &Outputs, run: impl FnOnce(&mut Sink) -> io::Result<()>) -> Result<Exit, Exit> {
    let mut output = Output::create(outputs)?;
    let outcome = run(&mut |event| output.on(event));
    if let Err(error) = &outcome {
        eprintln!("vfiospec: failed to write the journal {}: {error}", outputs.journal.display());
    }
    let exit = output.finish();
    if outcome.is_ok() { Ok(exit) } else { Err(Exit::ReportNotWritten) }
}

/// The scenarios that the lab's host has checked.
fn from_host(file: &PathBuf) -> Result<Vec<Text>, Exit> {
    let texts = fs::read(file).map_err(|error| error.to_string());
    texts.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string())).map_err(|error| {
        eprintln!("vfiospec: failed to read {}: {error}", file.display());
        Exit::Usage
    })
}

/// To a file alone.
fn stream(file: &PathBuf, run: impl FnOnce(&mut Sink) -> io::Result<()>) -> Result<Exit, Exit> {
    let failed = |error: io::Error| {
        let _ = writeln!(io::stderr(), "vfiospec: failed to write {}: {error}", file.display());
        Exit::ReportNotWritten
    };
    let mut writer = journal::Writer::to(fs::OpenOptions::new().write(true).open(file).map_err(failed)?);
    run(&mut |event| writer.on(&event)).map_err(failed)?;
    Ok(Exit::Ok) // the host reads the events and judges
}

fn started(devices: &[DeviceUsed]) -> RunStarted {
    let iommus: std::collections::BTreeSet<String> =
        devices.iter().filter_map(|device| device.bdf.parse().ok()).map(|bdf| facts::iommu(bdf).to_string()).collect();
    RunStarted {
        format: FORMAT,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        hostname: crate::uapi::system::hostname(),
        kernel: facts::kernel(),
        iommu: iommus.into_iter().collect::<Vec<_>>().join(" "),
        devices: devices.to_vec(),
        lab: None, // the host of a guest knows
        ..RunStarted::default()
    }
}
