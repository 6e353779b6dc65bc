//! `vfiospec lab`

use std::{path::PathBuf, process::ExitCode, sync::atomic::AtomicBool, time::Instant};

use clap::{Args as ClapArgs, Subcommand};

use super::{
    cases::{Cases, Course},
    exec, guests, interrupt,
    output::{self, Begun, Output, Outputs},
    resume,
    scenarios::Selection,
    watch,
};
use crate::{
    engine::worker::Setup,
    event::{DeviceUsed, RunStarted},
    host::facts,
    lab::{
        self, Accel, DeviceModel, IommuModel, Job, KernelChoice, KernelOption, LabError, LabErrorKind, Options,
        Prepared,
    },
    language,
    model::Exit,
    plan::Plan,
};

/// Where the guest finds the scenarios.
const SCENARIOS: &str = "/vfiospec/scenarios.json";

/// Run scenarios in a guest with an emulated IOMMU: needs no hardware
///
/// The first time this gets QEMU and build tools (Debian packages, as root) and builds a kernel, which takes minutes. All of it is kept
/// in ~/.cache/vfiospec, or where VFIOSPEC_CACHE says.
#[derive(Debug, Subcommand)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub enum Verb {
    Run(Box<RunArgs>),
    Exec(Box<exec::Args>),
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

/// What the guest is made of.
#[derive(Debug, ClapArgs)]
pub(super) struct Choice {
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

    pub(super) fn prepare(&self, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
        lab::prepare(&self.options()?, lab::Progress::new(false), interrupt)
    }

    /// What of it is not as it is unless given, as it was given; not where things are kept.
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
            let name = clap::ValueEnum::to_possible_value(&self.accel).expect("all can be given");
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

    /// Each device once, however often it was named.
    pub(super) fn models(&self) -> Vec<DeviceModel> {
        let mut devices = self.devices.clone();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

/// Runs the verb and gives its exit code.
pub fn main(verb: &Verb) -> ExitCode {
    let outcome = match verb {
        Verb::Run(args) if args.watch => {
            watch::on_change(&args.selection.paths, &interrupt::flag(), || {
                if let Err(Stop::Lab(error)) = run(args) {
                    eprintln!("vfiospec: {error}");
                }
            });
            Ok(Exit::Interrupted.into())
        }
        Verb::Run(args) => run(args),
        Verb::Exec(args) => exec::main(args).map(Into::into),
        Verb::Shell(args) => shell(args),
        Verb::Prepare(args) => args.choice.prepare(&interrupt::flag()).map_err(Into::into).map(|prepared| {
            println!("the lab is ready: Linux {}, QEMU {}", prepared.kernel(), prepared.qemu());
            Exit::Ok.into()
        }),
    };
    match outcome {
        Ok(code) => code,
        Err(Stop::Said(exit)) => exit.into(),
        Err(Stop::Lab(error)) => {
            eprintln!("vfiospec: {error}");
            error.exit_code().into()
        }
    }
}

/// Why the lab did not run to its end.
pub enum Stop {
    /// The reason has been said.
    Said(Exit),
    /// The reason is to be said.
    Lab(LabError),
}

impl From<Exit> for Stop {
    fn from(exit: Exit) -> Stop {
        Stop::Said(exit)
    }
}

impl From<LabError> for Stop {
    fn from(error: LabError) -> Stop {
        Stop::Lab(error)
    }
}

/// The scenarios for the guest, known to be right, and what to plan for it from them.
fn job(selection: &Selection, choice: &Choice) -> Result<(Job, Plan, Setup), Exit> {
    let (plan, setup) = selection.plan(selection.read()?, choice.devices_used())?;
    if plan.cases.is_empty() {
        eprintln!("vfiospec: the scenarios have no case for the lab's devices; choose others with --device");
        return Err(Exit::NothingRan);
    }
    let mut argv: Vec<String> = ["run", "--scenarios", SCENARIOS].map(str::to_owned).to_vec();
    for (name, value) in &selection.vars {
        argv.extend(["--var".to_owned(), format!("{name}={value}")]);
    }
    for device in choice.models() {
        argv.extend(["--device".to_owned(), format!("{}={}", device.name(), device.bdf())]);
    }
    let json = serde_json::to_vec(&setup.scenarios).expect("texts have a JSON form");
    Ok((Job { files: vec![(SCENARIOS.into(), json)], argv, ..Job::default() }, plan, setup))
}

fn run(args: &RunArgs) -> Result<ExitCode, Stop> {
    let checked = args.cases.check();
    let (job, plan, setup) = job(&args.selection, &args.choice)?;
    checked?;
    let selected = args.cases.select(&plan, &args.outputs.journal)?;
    let scenarios = setup.fingerprint();
    let resumed = resume::read(&args.course, &plan, &selected, &scenarios)?;
    let (schedule, shuffle) = args.course.schedule(selected, resumed.as_ref().map(|resumed| &resumed.past.started));
    let outputs = args.outputs.with_journal(args.course.resume.as_deref());
    let lab_iommu = Some(args.choice.iommu.name().to_owned());
    // What only the guest can tell is left out.
    let started = RunStarted {
        scenarios,
        shuffle,
        lab_iommu,
        again: args.selection.again("lab run", args.choice.words()),
        kernel: String::new(),
        iommu: String::new(),
        ..super::run::started(&setup.devices)
    };
    if schedule.order.is_empty() {
        return Ok(output::nothing(&outputs, started, &args.course)?.into());
    }
    let output = Output::create(&outputs, resumed.as_ref())?;
    let host = RunStarted {
        boot: facts::boot(),
        shuffle,
        lab_iommu: started.lab_iommu.clone(),
        again: started.again.clone(),
        ..RunStarted::default()
    };
    let begun = Begun::new(started, &plan, &schedule);
    let interrupt = interrupt::flag();
    let prepared = match args.choice.prepare(&interrupt) {
        Ok(prepared) => prepared,
        Err(error) => {
            // Options that do not fit together are a slip, which changes nothing.
            if error.kind != LabErrorKind::Usage {
                output.not_begun(begun, error.reason());
            }
            return Err(error.into());
        }
    };
    let (prepared, plan, interrupt) = (&prepared, &plan, &*interrupt);
    let (silence, at) = (args.silence.0, Instant::now());
    guests::Run { prepared, job, plan, schedule, host, resumed, output, silence, interrupt, begun: at, why: None }
        .run(begun, &args.course)
}

fn shell(args: &ShellArgs) -> Result<ExitCode, Stop> {
    let (job, ..) = job(&args.selection, &args.choice)?;
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&interrupt)?;
    lab::shell(&prepared, &job, &interrupt)?;
    Ok(Exit::Ok.into())
}
