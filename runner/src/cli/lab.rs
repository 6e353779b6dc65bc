// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec lab`

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::atomic::AtomicBool};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{cases::Cases, error::Error, watch};
use crate::event::{DeviceUsed, RunStarted};
use crate::lab::{self, Accel, DeviceModel, IommuModel, Job, KernelChoice, KernelOption, LabError, Options, Prepared};
use crate::plan::{Plan, Setup};
use crate::session::{self, Begun, Course, Failure, LabRun, Named, Output, Outputs, Resumed, interrupt};
use crate::{host::facts, language, model::Exit, suite::Selection};

const SCENARIOS: &str = "/vfiospec/scenarios.json";

/// Run scenarios in a guest with an emulated IOMMU: needs no hardware
///
/// The first time this gets QEMU and build tools (Debian packages, as root) and builds a kernel, which takes minutes. All of it is kept
/// in ~/.cache/vfiospec, or where VFIOSPEC_CACHE says.
#[derive(Debug, Subcommand)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub enum Verb {
    Run(Box<RunArgs>),
    Exec(Box<ExecArgs>),
    Shell(ShellArgs),
    Prepare(PrepareArgs),
}

/// Run scenarios in the lab
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    cases: Cases,

    #[command(flatten)]
    course: Course,

    #[command(flatten)]
    outputs: Outputs,

    /// How much longer than its case may take the guest may say nothing before it counts as hung, and a fresh one goes on
    #[arg(long, value_name = "DURATION", default_value = "2min")]
    silence: language::Duration,

    /// How many guests share the cases, each with devices of its own
    ///
    /// By default two for each processor, if there are 100 cases and enough memory for each; one with --trace and --fail-fast. Where they have
    /// more processors than this machine, under emulation those of each take turns: with `--guests 1` they run at once, which `parallel` steps
    /// need to race.
    #[arg(long, value_name = "N")]
    guests: Option<NonZeroUsize>,

    /// Stay, and run again whenever a scenario changes; Ctrl-C ends
    #[arg(long, conflicts_with = "resume")]
    watch: bool,
}

/// Open a shell in the lab's guest, with the devices and this program there
#[derive(Debug, ClapArgs)]
pub struct ShellArgs {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    choice: Choice,
}

/// Get everything that the lab needs, and run nothing
#[derive(Debug, ClapArgs)]
pub struct PrepareArgs {
    #[command(flatten)]
    choice: Choice,
}

/// Run a program of your own in the lab's guest
///
/// The devices are bound to vfio-pci, and the program starts in /work of the guest, where everything is that --add names; so is the
/// program itself where COMMAND is a file of this machine. Its output comes to this terminal, and its exit code is passed on. DEVICE is set
/// to the address of the first device, DEVICES to those of all. There is no loader in the guest: link programs statically. For scripts and
/// for a COMMAND that is no file of this machine, such as `sh -c '…'`, Debian's busybox is there; and so is `vfiospec` itself.
#[derive(Debug, ClapArgs)]
pub struct ExecArgs {
    /// A file or a folder to put into /work of the guest; may be given several times
    #[arg(long, value_name = "PATH")]
    add: Vec<PathBuf>,

    #[command(flatten)]
    choice: Choice,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The part of `lab exec` that runs in the guest
#[derive(Debug, ClapArgs)]
pub struct InsideArgs {
    #[arg(long = "device", value_name = "NAME=ADDRESS")]
    devices: Vec<Named>,

    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// What the guest is made of.
#[derive(Debug, ClapArgs)]
struct Choice {
    /// The kernel: `newest`, a version such as 6.12 (built once from Debian's source package), or the path of a bzImage with a slash in it
    #[arg(long, value_name = "KERNEL", default_value = "newest")]
    kernel: KernelChoice,

    /// An option of the kernel's configuration, such as KASAN=y; may be given several times, and builds a kernel of its own the first time
    #[arg(long, value_name = "OPTION=VALUE")]
    kernel_config: Vec<KernelOption>,

    /// The IOMMU in front of the devices
    #[arg(long, value_name = "MODEL", value_enum, default_value_t = IommuModel::Intel)]
    iommu: IommuModel,

    /// A device to test; may be given several times
    #[arg(long = "device", value_name = "DEVICE", value_enum, default_values_t = [DeviceModel::Edu])]
    devices: Vec<DeviceModel>,

    /// How the guest's code is executed; `auto` tries KVM and falls back
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Accel::Auto)]
    accel: Accel,

    /// Where kernel and sources are kept
    #[arg(long, value_name = "FOLDER", env = "VFIOSPEC_CACHE")]
    cache: Option<PathBuf>,
}

impl Choice {
    fn options(&self) -> Result<Options, LabError> {
        self.check()?;
        let cache = match &self.cache {
            Some(folder) => folder.clone(),
            None => lab::default_cache()?,
        };
        Ok(Options {
            kernel: self.kernel.clone(),
            kernel_config: self.kernel_config()?,
            iommu: self.iommu,
            devices: self.models(),
            accel: self.accel,
            ..Options::new(cache)
        })
    }

    fn prepare(&self, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
        lab::prepare(&self.options()?, lab::Progress::new(false), interrupt)
    }

    /// The options that differ from their defaults, as the user gave them, without paths of the cache.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
        match &self.kernel {
            KernelChoice::Newest => {}
            KernelChoice::Version(version) => say("--kernel", version.to_string()),
            KernelChoice::Image(path) => say("--kernel", path.display().to_string()),
        }
        self.kernel_config.iter().for_each(|option| say("--kernel-config", option.to_string()));
        if self.iommu != IommuModel::default() {
            say("--iommu", self.iommu.name().to_owned());
        }
        let devices = self.models();
        if devices != [DeviceModel::Edu] {
            devices.iter().for_each(|model| say("--device", model.name().to_owned()));
        }
        if self.accel != Accel::default() {
            let name = self.accel.to_possible_value().expect("all can be given");
            say("--accel", name.get_name().to_owned());
        }
        words
    }

    fn devices_used(&self) -> Vec<DeviceUsed> {
        self.models().into_iter().map(DeviceModel::used).collect()
    }

    /// In an order of their own, so that the same options are the same kernel.
    fn kernel_config(&self) -> Result<Vec<KernelOption>, LabError> {
        let mut options = self.kernel_config.clone();
        options.sort_unstable();
        options.dedup();
        match options.windows(2).find(|pair| pair[0].symbol() == pair[1].symbol()) {
            Some(pair) => Err(LabError::usage(format!("failed to set both {} and {}", pair[0], pair[1]))
                .help("give each option one value with --kernel-config")),
            None => Ok(options),
        }
    }

    /// The devices in an order of their own, so that the same options are the same guest.
    fn models(&self) -> Vec<DeviceModel> {
        let mut devices = self.devices.clone();
        devices.sort_unstable();
        devices
    }

    fn check(&self) -> Result<(), LabError> {
        let devices = self.models();
        if let Some(pair) = devices.windows(2).find(|pair| pair[0] == pair[1]) {
            let name = pair[0].name();
            return Err(LabError::usage(format!("failed to put two devices {name} into the guest"))
                .help("name each device once with --device: a guest has at most one of each"));
        }
        self.kernel_config().map(drop)
    }
}

pub fn main(verb: &Verb) -> Result<ExitCode, Error> {
    match verb {
        Verb::Run(args) if args.watch => {
            watch::on_change(&args.selection.paths, &interrupt::flag(), || {
                if let Err(error) = run(args) {
                    error.print(Default::default());
                }
            });
            Ok(Exit::Interrupted.into())
        }
        Verb::Run(args) => run(args),
        Verb::Exec(args) => exec(args),
        Verb::Shell(args) => shell(args),
        Verb::Prepare(args) => {
            let prepared = args.choice.prepare(&interrupt::flag())?;
            println!("the lab is ready: Linux {}, QEMU {}", prepared.kernel(), prepared.qemu());
            Ok(Exit::Ok.into())
        }
    }
}

pub fn inside(args: &InsideArgs) -> Result<ExitCode, Error> {
    Ok(session::inside(&args.devices, &args.command)?.into())
}

/// The scenarios for the guest, known to be right, and what to plan for it from them.
fn job(selection: &Selection, checked: Result<(), Failure>, choice: &Choice) -> Result<(Job, Plan, Setup), Error> {
    choice.check()?;
    let (plan, setup) = super::plan(selection, checked, choice.devices_used())?;
    if plan.cases.is_empty() {
        let what = "the scenarios have no case for the lab's devices; choose others with --device";
        return Err(Failure::new(Exit::NothingRan, what).into());
    }
    let mut argv: Vec<String> = ["run", "--scenarios", SCENARIOS].map(str::to_owned).to_vec();
    for (name, value) in &setup.vars {
        argv.extend(["--var".to_owned(), format!("{name}={value}")]);
    }
    for device in choice.models() {
        argv.extend(["--device".to_owned(), format!("{}={}", device.name(), device.bdf())]);
    }
    let json = serde_json::to_vec(&setup.scenarios).expect("texts have a JSON form");
    Ok((Job { files: vec![(SCENARIOS.into(), json)], argv, ..Job::default() }, plan, setup))
}

fn run(args: &RunArgs) -> Result<ExitCode, Error> {
    let RunArgs { selection, choice, cases, course, outputs, .. } = args;
    let (job, plan, setup) = job(selection, cases.check(), choice)?;
    let journal = outputs.journal(course.resume.as_deref())?;
    let selected = cases.select(&plan, &journal)?;
    let scenarios = setup.fingerprint();
    let resumed = Resumed::read(course, &plan, &selected, &scenarios)?;
    let (schedule, shuffle) = course.schedule(selected, resumed.as_ref().map(|resumed| &resumed.past.started));
    let lab_iommu = Some(choice.iommu.name().to_owned());
    let again = selection.again("lab run", choice.words(), &setup.scenarios);
    let host = RunStarted { boot: facts::boot(), shuffle, lab_iommu, again, ..RunStarted::default() };
    // What only the guest can tell is left out.
    let here = session::started(&setup.devices);
    let RunStarted { shuffle, lab_iommu, again, .. } = host.clone();
    let (kernel, iommu) = (String::new(), String::new());
    let started = RunStarted { scenarios, shuffle, lab_iommu, again, kernel, iommu, ..here };
    if schedule.order.is_empty() {
        return Ok(session::nothing(outputs, &journal, started, course)?.into());
    }
    let output = Output::create(outputs, &journal, resumed.as_ref())?;
    let begun = Begun::new(started, &plan, &schedule);
    let interrupt = interrupt::flag();
    let prepared = match choice.prepare(&interrupt) {
        Ok(prepared) => prepared,
        Err(error) => {
            // Options that do not fit together are a slip, which changes nothing.
            if error.exit != Exit::Usage {
                output.not_begun(begun, error.reason());
            }
            return Err(error.into());
        }
    };
    let (prepared, plan, interrupt) = (&prepared, &plan, &*interrupt);
    let (silence, guests) = (args.silence.0, args.guests.map(NonZeroUsize::get));
    let run = LabRun { prepared, job, plan, schedule, guests, host, resumed, output, silence, interrupt };
    Ok(run.run(begun, course)?.into())
}

fn exec(args: &ExecArgs) -> Result<ExitCode, Error> {
    args.choice.check()?;
    let job = session::job(&args.add, &args.command, &args.choice.models())?;
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&interrupt)?;
    Ok(session::exec(job, &args.command[0], &prepared, &interrupt)?.into())
}

fn shell(args: &ShellArgs) -> Result<ExitCode, Error> {
    let (job, ..) = job(&args.selection, Ok(()), &args.choice)?;
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&interrupt)?;
    lab::shell(&prepared, &job, &interrupt)?;
    Ok(Exit::Ok.into())
}
