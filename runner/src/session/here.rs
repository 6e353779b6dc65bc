// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run on this machine's own devices; and the part of a run in the lab that happens in its guest.

use std::time::{SystemTime, UNIX_EPOCH};
use std::{cell::RefCell, collections::BTreeSet, fs, io, path::Path, process::Command};

use super::devices::{self, Devices, Taking};
use super::{Begun, Course, Failure, Named, Output, Resumed, interrupt, reports::not_written};
use crate::engine::{self, Schedule};
use crate::event::{DeviceUsed, Event, FORMAT, RunStarted};
use crate::plan::{Plan, Setup};
use crate::{backend, host::facts, lab, model::BackendName, model::Exit, report::journal, uapi::system};

pub struct HereRun<'a> {
    pub devices: &'a [Named],
    pub taking: Taking,
    pub plan: &'a Plan,
    pub setup: Setup,
    pub schedule: Schedule,
    /// What the run begins with; what only bound devices show is added.
    pub started: RunStarted,
    pub resumed: Option<Resumed>,
    pub output: Output,
    /// The backends without which nothing is to run.
    pub required: &'a [BackendName],
}

/// Takes the devices, runs the cases, gives the devices back and writes the reports; returns the run's exit code.
pub fn run_here(run: HereRun<'_>, course: &Course) -> Result<Exit, Failure> {
    let HereRun { devices: named, taking, plan, mut setup, mut schedule, started, resumed, output, required } = run;
    // Before the devices are taken: whoever stops us now gets them back, too.
    let interrupt = interrupt::flag();
    let mut devices = match devices::bind(named, taking) {
        Ok(devices) => devices,
        Err(error) => {
            output.not_begun(Begun::new(started, plan, &schedule), Some(&error.to_string()));
            return Err(not_bound(&error));
        }
    };
    if let Some((name, why)) = missing(required, named) {
        let why = format!("the required backend {name} is missing: {why}");
        devices.give_back(&[]);
        output.not_begun(Begun::new(started, plan, &schedule), Some(&why));
        return Err(Failure::new(Exit::NoVerdict, why));
    }
    devices.planned_as(&setup.devices);
    setup.devices.clone_from(&devices.used);
    if let Some(resumed) = &resumed {
        resumed.same_machine(&started, &devices.used)?;
        devices.belonged_to(&resumed.past.started.devices);
    }
    let started = RunStarted { devices: devices.used.clone(), iommu: iommu(&devices.used), ..started };
    // From here on a failure gives the devices back by dropping them.
    let boot = facts::boot();
    let blamed = resumed.map(|mut resumed| resumed.go_on(&mut schedule, &boot, course.retry_died)).unwrap_or_default();
    let output = RefCell::new(output);
    let mut sink = |event| output.borrow_mut().on(event);
    let mut look = || {
        output.borrow_mut().pause();
        shell(&setup.devices);
    };
    let ran = engine::run(plan, &setup, &schedule, started, &blamed, &interrupt, (&mut sink, &mut look));
    let output = output.into_inner();
    let given_back = give_back(devices, &ran);
    ran.map_err(|error| {
        not_written(format!("failed to write the journal {}: {error}", output.journal_path.display()))
    })?;
    match output.finish(course)? {
        // The results stand, but this machine is not as it was.
        Exit::Ok | Exit::NothingRan if !given_back => Ok(Exit::NoVerdict),
        exit => Ok(exit),
    }
}

/// Runs what the lab's host says, and writes events to it alone: it judges. Cases have the numbers that they have there, so what the
/// devices are is what the host takes them for, in `setup`.
pub fn run_for_host(
    named: &[Named],
    setup: Setup,
    required: &[BackendName],
    schedule: &Schedule,
    events: &Path,
) -> Result<(), Failure> {
    let interrupt = interrupt::flag();
    let mut devices = devices::bind(named, Taking::default()).map_err(|error| not_bound(&error))?;
    if let Some((name, why)) = missing(required, named) {
        devices.give_back(&[]);
        return Err(Failure::new(Exit::NoVerdict, format!("the required backend {name} is missing: {why}")));
    }
    let started = started(&devices.used);
    devices.planned_as(&setup.devices);
    let setup = Setup { devices: devices.used.clone(), ..setup };
    // The host has checked it.
    let plan = setup.plan().map_err(|wrong| Failure::new(Exit::Usage, wrong))?;
    let started = RunStarted { scenarios: setup.fingerprint(), ..started };
    let failed = |error: io::Error| not_written(format!("failed to write {}: {error}", events.display()));
    let port = fs::OpenOptions::new().write(true).open(events).map_err(failed)?;
    let writer = RefCell::new(journal::Writer::to(port));
    let mut sink = |event| writer.borrow_mut().on(&event);
    let mut look = || {
        // If this fails, the next event fails too, and ends the run.
        let _ = writer.borrow_mut().on(&Event::Kept);
        if let Err(error) = lab::shell_of_guest(environment(&setup.devices)) {
            eprintln!("vfiospec: {error}");
        }
    };
    let ran = engine::run(&plan, &setup, schedule, started, &[], &interrupt, (&mut sink, &mut look));
    give_back(devices, &ran);
    ran.map(drop).map_err(failed)
}

/// A person's shell beside devices that are as a case left them.
fn shell(devices: &[DeviceUsed]) {
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let addresses: Vec<&str> = devices.iter().map(|device| device.bdf.as_str()).collect();
    eprintln!(
        "vfiospec: the case did not pass, and {} is as it left it: open by a process of this run, on vfio-pci; `exit` gives it back",
        addresses.join(" and ")
    );
    let mut command = Command::new(&shell);
    command.envs(environment(devices));
    if let Err(error) = command.status() {
        eprintln!("vfiospec: failed to start {}: {error}", Path::new(&shell).display());
    }
}

/// What a shell beside these devices finds in its environment.
fn environment(devices: &[DeviceUsed]) -> [(&'static str, String); 2] {
    let addresses: Vec<&str> = devices.iter().map(|device| device.bdf.as_str()).collect();
    [
        ("DEVICE", addresses.first().map_or_else(String::new, |first| (*first).to_owned())),
        ("DEVICES", addresses.join(" ")),
    ]
}

/// The first of these backends that cannot be had for one of the devices, which are bound, and why.
fn missing(required: &[BackendName], devices: &[Named]) -> Option<(BackendName, backend::OpenError)> {
    let all = required.iter().flat_map(|name| devices.iter().map(move |device| (*name, device.bdf())));
    all.into_iter().find_map(|(name, bdf)| Some((name, backend::look(name, bdf).err()?)))
}

fn give_back(devices: Devices, ran: &io::Result<engine::Left>) -> bool {
    devices.give_back(ran.as_ref().map_or(&[], |left| &left.given_up))
}

pub(super) fn not_bound(error: &crate::host::bind::BindError) -> Failure {
    Failure::new(Exit::NoVerdict, error)
}

pub fn started(devices: &[DeviceUsed]) -> RunStarted {
    RunStarted {
        format: FORMAT,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        hostname: system::hostname(),
        kernel: facts::kernel(),
        arch: facts::arch(),
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
