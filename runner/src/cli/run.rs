//! `vfiospec run`

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args as ClapArgs, ValueEnum};

use serde::de::DeserializeOwned;

use super::{
    cases::{Cases, Course},
    devices::{self, Devices, Named},
    interrupt,
    output::{self, Begun, Output, Outputs},
    resume,
    scenarios::Selection,
};
use crate::{
    engine::{
        self, Left, Schedule,
        worker::{Setup, Text},
    },
    event::{DeviceUsed, FORMAT, RunStarted},
    host::facts,
    lab::DeviceModel,
    model::Exit,
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
    cases: Cases,

    #[command(flatten)]
    course: Course,

    #[command(flatten)]
    outputs: Outputs,

    /// Only write events to this file: the lab's way from guest to host
    #[arg(long, value_name = "FILE", hide = true)]
    events: Option<PathBuf>,

    /// Take the scenarios from this JSON file: the lab's way from host to guest
    #[arg(long, value_name = "FILE", hide = true)]
    scenarios: Option<PathBuf>,

    /// Run what this JSON file says of their cases, likewise
    #[arg(long, value_name = "FILE", requires = "events", hide = true)]
    schedule: Option<PathBuf>,
}

/// Runs the scenarios and gives the run's exit code.
pub fn main(args: &Args) -> Exit {
    match prepare_and_run(args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn prepare_and_run(args: &Args) -> Result<Exit, Exit> {
    let checked = args.cases.check();
    let texts: Vec<Text> = match &args.scenarios {
        Some(file) => from_host(file)?,
        None => args.selection.read()?,
    };
    if let (Some(schedule), Some(events)) = (&args.schedule, &args.events) {
        return in_guest(args, texts, &from_host(schedule)?, events);
    }
    // Checked before any device is touched.
    let loaded = args.selection.load(&texts)?;
    checked?;
    let (plan, mut setup) = args.selection.plan_of(loaded, texts, devices::named(&args.devices)?)?;
    let selected = args.cases.select(&plan, &args.outputs.journal)?;
    let resumed = resume::read(&args.course, &plan, &selected, &setup.fingerprint())?;
    let (mut schedule, shuffle) = args.course.schedule(selected, resumed.as_ref().map(|resumed| &resumed.past.started));
    let again =
        args.selection.again("run", args.devices.iter().flat_map(|device| ["--device".into(), device.to_string()]));
    let started = RunStarted { scenarios: setup.fingerprint(), shuffle, again, ..started(&setup.devices) };
    if schedule.order.is_empty() {
        return output::nothing(&args.outputs, started, &args.course);
    }
    let outputs = args.outputs.with_journal(args.course.resume.as_deref());
    let mut output = Output::create(&outputs, resumed.as_ref())?;
    // Before the devices are: whoever stops us now gets them back, too.
    let interrupt = interrupt::flag();
    let mut devices = match devices::bind(&args.devices) {
        Ok(devices) => devices,
        Err(error) => {
            output.not_begun(Begun::new(started, &plan, &schedule), Some(&error.to_string()));
            return Err(devices::not_bound(&error));
        }
    };
    devices.planned_as(&setup.devices);
    setup.devices.clone_from(&devices.used);
    if let Some(resumed) = &resumed {
        resumed.same_machine(&started, &devices.used)?;
        devices.belonged_to(&resumed.past.started.devices);
    }
    let started = RunStarted { devices: devices.used.clone(), iommu: iommu(&devices.used), ..started };
    // From here on a failure gives the devices back by dropping them.
    let boot = facts::boot();
    let blamed =
        resumed.map(|mut resumed| resumed.go_on(&mut schedule, &boot, args.course.retry_died)).unwrap_or_default();
    let ran = engine::run(&plan, &setup, &schedule, started, &blamed, &interrupt, &mut |event| output.on(event));
    let given_back = give_back(devices, ran.as_ref().ok());
    written(&outputs, ran.map(drop))?;
    match output.finish(&args.course) {
        // The results stand, but this machine is not as it was.
        Exit::Ok | Exit::NothingRan if !given_back => Ok(Exit::NoVerdict),
        exit => Ok(exit),
    }
}

/// Runs what the lab's host says, and writes events to it alone: it judges. Cases have the numbers that they have there, so what the
/// devices are is what it takes them for.
fn in_guest(args: &Args, texts: Vec<Text>, schedule: &Schedule, events: &Path) -> Result<Exit, Exit> {
    let interrupt = interrupt::flag();
    let devices = devices::bind(&args.devices).map_err(|error| devices::not_bound(&error))?;
    let started = started(&devices.used);
    let mut planned = devices.used.clone();
    for device in &mut planned {
        let model = DeviceModel::value_variants().iter().find(|model| model.used().name == device.name);
        *device = std::mem::take(device).of_kind(model.expect("the lab names its devices").kind());
    }
    let setup = Setup { scenarios: texts, vars: args.selection.vars.clone(), devices: planned };
    // The host has checked it.
    let plan = setup.plan().map_err(|wrong| {
        eprint!("{wrong}");
        Exit::Usage
    })?;
    let started = RunStarted { scenarios: setup.fingerprint(), ..started };
    let failed = |error: io::Error| {
        let _ = writeln!(io::stderr(), "vfiospec: failed to write {}: {error}", events.display());
        Exit::ReportNotWritten
    };
    let mut writer = journal::Writer::to(fs::OpenOptions::new().write(true).open(events).map_err(failed)?);
    let ran = engine::run(&plan, &setup, schedule, started, &[], &interrupt, &mut |event| writer.on(&event));
    give_back(devices, ran.as_ref().ok());
    ran.map_err(failed)?;
    Ok(Exit::Ok)
}

fn give_back(devices: Devices, left: Option<&Left>) -> bool {
    devices.give_back(left.map_or(&[], |left| &left.given_up))
}

/// Says that the journal was not written.
fn written(outputs: &Outputs, told: io::Result<()>) -> Result<(), Exit> {
    told.map_err(|error| {
        eprintln!("vfiospec: failed to write the journal {}: {error}", outputs.journal.display());
        Exit::ReportNotWritten
    })
}

/// What the lab's host wrote for its guest.
fn from_host<T: DeserializeOwned>(file: &Path) -> Result<T, Exit> {
    let job = fs::read(file).map_err(|error| error.to_string());
    job.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string())).map_err(|error| {
        eprintln!("vfiospec: failed to read {}: {error}", file.display());
        Exit::Usage
    })
}

/// What is known of this host.
pub fn started(devices: &[DeviceUsed]) -> RunStarted {
    RunStarted {
        format: FORMAT,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        hostname: crate::uapi::system::hostname(),
        kernel: facts::kernel(),
        iommu: iommu(devices),
        devices: devices.to_vec(),
        lab: None, // the host of a guest knows
        boot: facts::boot(),
        ..RunStarted::default()
    }
}

fn iommu(devices: &[DeviceUsed]) -> String {
    let iommus: BTreeSet<String> =
        devices.iter().filter_map(|device| device.bdf.parse().ok()).map(|bdf| facts::iommu(bdf).to_string()).collect();
    iommus.into_iter().collect::<Vec<_>>().join(" ")
}
