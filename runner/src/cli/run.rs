// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec run`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::de::DeserializeOwned;

use super::error::{Error, both};
use super::{cases::Cases, cases::backend, cases::names, load, offered::Offered, plan_of};
use crate::plan::Setup;
use crate::session::{self, Begun, Course, Failure, HereRun, Named, Output, Outputs, Resumed, Taking};
use crate::suite::{Selection, Text};
use crate::{event::RunStarted, model::BackendName, model::Exit};

/// Run scenarios on this machine's own devices
///
/// A device is taken from its driver for the run and given back afterwards. A device with a mounted filesystem or a network link in
/// use is refused. A network interface that is up without anybody using it is up again afterwards.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// A device to run on, in place of those of the inventory: its PCI address, with a name for scenarios and reports if there are several
    #[arg(long = "device", value_name = "[NAME=]ADDRESS")]
    devices: Vec<Named>,

    #[command(flatten)]
    taking: Taking,

    #[command(flatten)]
    cases: Cases,

    /// Run nothing unless the kernel has this backend, such as `iommufd`; may be given several times
    ///
    /// Without it, cases on a backend that is missing are skipped: with a module that is not loaded, the run would look good.
    #[arg(long = "require-backend", value_name = "BACKEND", value_parser = Offered(backend, names), help_heading = "Which cases")]
    required: Vec<BackendName>,

    #[command(flatten)]
    course: Course,

    #[command(flatten)]
    outputs: Outputs,

    /// Only write events to this file: the lab's way from guest to host
    #[arg(long, value_name = "FILE", requires_all = ["scenarios", "schedule"], hide = true)]
    events: Option<PathBuf>,

    /// Take the scenarios from this JSON file: the lab's way from host to guest
    #[arg(long, value_name = "FILE", hide = true)]
    scenarios: Option<PathBuf>,

    /// What the devices are that --device names, in this JSON file, likewise
    #[arg(long, value_name = "FILE", requires = "events", hide = true)]
    kinds: Option<PathBuf>,

    /// What an inventory says of the host, in this JSON file, likewise
    #[arg(long, value_name = "FILE", requires = "events", hide = true)]
    site: Option<PathBuf>,

    /// Run what this JSON file says of their cases, likewise
    #[arg(long, value_name = "FILE", requires = "events", hide = true)]
    schedule: Option<PathBuf>,
}

impl Args {
    /// Scenarios that nobody named on the command line, on these devices.
    pub fn of(
        selection: Selection,
        (devices, taking): (Vec<Named>, Taking),
        cases: Cases,
        course: Course,
        outputs: Outputs,
    ) -> Args {
        let (required, events, scenarios, kinds, site, schedule) = Default::default();
        Args { selection, devices, taking, cases, required, course, outputs, events, scenarios, kinds, site, schedule }
    }
}

pub fn main(args: &Args) -> Result<Exit, Error> {
    let Args { selection, devices, cases, course, outputs, .. } = args;
    let from_host: Option<Vec<Text>> = args.scenarios.as_deref().map(from_host).transpose()?;
    if let (Some(texts), Some(schedule), Some(events)) = (&from_host, &args.schedule, &args.events) {
        let schedule = self::from_host(schedule)?;
        let kinds = args.kinds.as_deref().map_or_else(|| Ok(Vec::new()), self::from_host)?;
        let site = args.site.as_deref().map(self::from_host).transpose()?;
        let (scenarios, vars) = (texts.clone(), selection.vars.clone());
        let setup = Setup { scenarios, vars, devices: kinds, only: cases.only(), site };
        session::run_for_host(devices, setup, &args.required, &schedule, events)?;
        return Ok(Exit::Ok);
    }
    let checked = cases.check();
    // Checked before any device is touched, and before it is said that one is missing.
    let texts = from_host.map_or_else(|| selection.read(), Ok);
    let (loaded, texts, site) = both(checked, load(selection, texts))?;
    let of_site = site.as_ref().filter(|_| devices.is_empty()).map(session::at_site);
    let (of_site, missing) = of_site.unwrap_or_default();
    let named = if devices.is_empty() { &of_site } else { devices };
    let required = site.iter().flat_map(|site| site.own().backends.iter().copied());
    let required: Vec<_> = args.required.iter().copied().chain(required).collect();
    let host = site.as_ref().map(|site| site.host.clone());
    let used = if missing.is_some() && named.is_empty() { Vec::new() } else { session::named(named, "--device")? };
    let (plan, mut setup) = plan_of(selection, loaded, texts, site, used)?;
    setup.only = cases.only();
    let journal = outputs.journal(course.resume.as_deref())?;
    let selected = cases.select(&plan, &journal)?;
    let resumed = Resumed::read(course, &plan, &selected, &setup.fingerprint())?;
    let (schedule, shuffle) = course.schedule(selected, resumed.as_ref().map(|resumed| &resumed.past.started));
    let words = devices.iter().flat_map(|device| ["--device".into(), device.to_string()]);
    let words = words.chain(args.taking.words().map(str::to_owned));
    let again = selection.again("run", words, &setup.scenarios);
    let here = session::started(&setup.devices);
    let started = RunStarted { scenarios: setup.fingerprint(), shuffle, again, host, ..here };
    if schedule.order.is_empty() {
        return Ok(session::nothing(outputs, &journal, started, course)?);
    }
    let output = Output::create(outputs, &journal, resumed.as_ref())?;
    if let Some(missing) = missing {
        output.not_begun(Begun::new(started, &plan, &schedule), Some(&missing));
        return Err(Failure::new(Exit::NoVerdict, missing).into());
    }
    let (required, devices) = (&required[..], &named[..]);
    let run =
        HereRun { devices, taking: args.taking, plan: &plan, setup, schedule, started, resumed, output, required };
    Ok(session::run_here(run, course)?)
}

fn from_host<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let job = fs::read(file).map_err(|error| error.to_string());
    job.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()))
        .map_err(|error| Failure::new(Exit::Usage, format!("failed to read {}: {error}", file.display())))
}
