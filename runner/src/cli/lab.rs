// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec lab`

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc, sync::atomic::AtomicBool, time::Duration};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{cases::Cases, error::Error, explore::Exploring, machine::MachineArgs, watch};
use crate::event::{DeviceUsed, RunStarted};
use crate::lab::{self, Accel, GuestDevice, HostDevice, Job, KernelChoice, KernelOption, LabError, Options, Prepared};
use crate::model::{Exit, for_bisect};
use crate::plan::{Plan, Setup};
use crate::report::{journal::Text, merge::Journal, run::Run};
use crate::session::{
    self, Begun, Course, Failure, LabRun, Named, Output, Outputs, Resumed, SCENARIOS, TRACEFILE, interrupt,
};
use crate::{file, host::facts, language, language::Machine, language::Site, language::Size, suite::Selection};

/// How much longer than its case may take a guest may say nothing.
const SILENCE: Duration = Duration::from_secs(120);
const MEMORY: Size = Size(4 << 30);
const KINDS: &str = "/vfiospec/kinds.json";
const SITE: &str = "/vfiospec/site.json";

/// Run scenarios in a guest with an emulated IOMMU: needs no hardware
///
/// The first time this gets QEMU and build tools (Debian's packages, of which none is installed) and builds a kernel, which takes minutes.
/// All of it is kept in ~/.cache/vfiospec, or where VFIOSPEC_CACHE says. The packages come from the mirror that this machine's apt knows, or
/// from the mirror of Debian that VFIOSPEC_MIRROR names.
#[derive(Debug, Subcommand)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub enum Verb {
    Run(Box<RunArgs>),
    Explore(Box<ExploreArgs>),
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
    /// By default one for each processor, or two if a device has function-level resets, which guests wait for; fewer if there are less than
    /// 100 cases or not enough memory for each; one with --trace, --fail-fast and --keep-on-failure. Where they have more processors than this machine, under emulation those of each take turns: with `--guests 1` they run at once, which `parallel` steps
    /// need to race.
    #[arg(long, value_name = "N", conflicts_with = "keep_on_failure")]
    guests: Option<NonZeroUsize>,

    /// Stay, and run again whenever a scenario changes; Ctrl-C ends
    #[arg(long, conflicts_with = "resume")]
    watch: bool,

    /// Exit as `git bisect run` expects it
    ///
    /// 0: every case that ran is as expected. 1: one is not. 125, which leaves the commit out: its kernel was not built or did not boot, a case
    /// has no verdict, or none ran. 128, which ends the search: the command line or a scenario is wrong.
    #[arg(long, conflicts_with_all = ["watch", "keep_on_failure"])]
    bisect: bool,
}

/// Make calls that nobody wrote down in the lab, and check what each does
///
/// Maps and unmaps memory in ways that are made up, most often at boundaries. A model of each backend says what every call has to answer; the page
/// table, the accounting, what the device reaches by DMA and the kernel's log have to fit, too. What does not is made as short as it can be, and written as a scenario that
/// `vfiospec lab run` takes.
#[derive(Debug, ClapArgs)]
pub struct ExploreArgs {
    #[command(flatten)]
    exploring: Exploring,

    #[command(flatten)]
    choice: Choice,

    /// Make the same calls on this kernel, too, and report where its answers differ although the model allows both
    ///
    /// Takes what --kernel takes. Its journal is beside the other one, with `-against` in its name; the reports are of both. Where the two kernels
    /// let other IOVAs be mapped, or only one lets allocations fail, the calls are not the same, which is told, too.
    #[arg(long, value_name = "KERNEL", conflicts_with_all = ["resume", "coverage"])]
    against: Option<KernelChoice>,

    #[command(flatten)]
    outputs: Outputs,

    /// How many guests share the cases, each with a device of its own
    #[arg(long, value_name = "N", default_value = "1")]
    guests: NonZeroUsize,
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
///
/// A machine without network or compiler takes it from a file that another machine wrote with --export.
#[derive(Debug, ClapArgs)]
pub struct PrepareArgs {
    /// Write the kernel and the programs to a file, such as lab.tar.gz, with checksums
    #[arg(long, value_name = "FILE", conflicts_with = "import")]
    export: Option<PathBuf>,

    /// Take the kernel and the programs from such a file first
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,

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

/// The process that the lab starts to bind devices of this machine
#[derive(Debug, ClapArgs)]
pub struct LenderArgs {
    #[arg(long = "device", value_name = "ADDRESS")]
    devices: Vec<Named>,
}

/// What the guest is made of.
#[derive(Debug, Clone, ClapArgs)]
struct Choice {
    /// The kernel: `newest`, a version such as 6.12, `debian:6.12`, a source tree, an image, or a package
    ///
    /// `newest` and a version are built once, from the source that Debian's archive has, with the lab's configuration. `debian:6.12` is
    /// Debian's own kernel of that version as it is, and `debian` its newest one. A path has a slash in it, such as ./bzImage. Where it is the
    /// folder of a kernel's source, what changed there is built each time, outside of it; `.` does, too. A package, linux-image-….deb, has an image and
    /// its modules.
    #[arg(long, value_name = "KERNEL", default_value = "newest")]
    kernel: KernelChoice,

    /// A kernel that looks for its own mistakes, built the first time: KASAN, lockdep, kmemleak, UBSAN and checks of freed pages
    ///
    /// What it reports fails the case that was running. Everything takes several times as long.
    #[arg(long)]
    debug: bool,

    /// Say which lines of the kernel's VFIO, IOMMUFD and IOMMU drivers ran [default folder: reports/out/coverage]
    ///
    /// Takes a kernel that counts them, built the first time. FOLDER gets coverage.info, which `vfiospec coverage` reads, and html/ with
    /// the source of each line. A guest that dies takes with it what it counted. In `lab shell`, the counters are in /sys/kernel/debug/gcov.
    #[arg(
        long,
        value_name = "FOLDER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "reports/out/coverage"
    )]
    coverage: Option<PathBuf>,

    /// An option of the kernel's configuration, such as KASAN=y; may be given several times, and builds a kernel of its own the first time
    #[arg(long, value_name = "OPTION=VALUE")]
    kernel_config: Vec<KernelOption>,

    #[command(flatten)]
    machine: MachineArgs,

    /// A device of this machine to hand into the guest, such as nic=0000:03:00.0; may be given several times
    ///
    /// It is taken from its driver, and given back when the command ends, in whichever way. One that is in use is refused. This needs root, an
    /// IOMMU in front of the device, and IOMMUFD; QEMU locks all of the guest's memory for it.
    #[arg(long = "host-device", value_name = "[NAME=]ADDRESS")]
    host_devices: Vec<Named>,

    /// How much memory a guest has; 1.2GiB of it become huge pages, where there is room
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    memory: Size,

    /// How the guest's code is executed; `auto` tries KVM and falls back
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Accel::Auto)]
    accel: Accel,

    /// QEMU's program, such as /usr/bin/qemu-system-x86_64, in place of the lab's own
    #[arg(long, value_name = "FILE")]
    qemu: Option<PathBuf>,

    /// Where QEMU, kernels and sources are kept
    #[arg(long, value_name = "FOLDER", env = "VFIOSPEC_CACHE")]
    cache: Option<PathBuf>,
}

impl Choice {
    fn options(&self, machine: &Machine) -> Result<Options, Error> {
        let cache = match &self.cache {
            Some(folder) => folder.clone(),
            None => lab::default_cache()?,
        };
        Ok(Options {
            kernel: self.kernel.clone(),
            kernel_config: self.kernel_config()?,
            debug: self.debug,
            coverage: self.coverage.is_some(),
            machine: machine.clone(),
            host_devices: self.host_devices(machine)?,
            memory_mib: self.memory_mib()?,
            accel: self.accel,
            qemu: self.qemu.clone(),
            ..Options::new(cache)
        })
    }

    fn prepare(&self, options: &Options, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
        lab::prepare(options, lab::Progress::new(false), interrupt)
    }

    /// Fails if the coverage could not be written: it is better to know before the run than after it.
    fn check_coverage(&self) -> Result<(), Failure> {
        let Some(folder) = &self.coverage else { return Ok(()) };
        file::probe(&folder.join(TRACEFILE)).map_err(|error| {
            Failure::new(Exit::ReportNotWritten, error).help("name another folder with --coverage=FOLDER")
        })
    }

    /// The options that differ from their defaults, as the user gave them, without paths of the cache.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
        if self.kernel != KernelChoice::Newest {
            say("--kernel", self.kernel.to_string());
        }
        if self.debug {
            words.push("--debug".to_owned());
        }
        if self.coverage.is_some() {
            words.push("--coverage".to_owned());
        }
        let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
        self.kernel_config.iter().for_each(|option| say("--kernel-config", option.to_string()));
        self.host_devices.iter().for_each(|device| say("--host-device", device.to_string()));
        if self.memory != MEMORY {
            say("--memory", self.memory.to_string());
        }
        if self.accel != Accel::default() {
            let name = self.accel.to_possible_value().expect("all can be given");
            say("--accel", name.get_name().to_owned());
        }
        self.qemu.iter().for_each(|path| words.extend(["--qemu".to_owned(), path.display().to_string()]));
        words.extend(self.machine.words());
        words
    }

    /// The machine; fails if the options do not fit together.
    fn machine(&self) -> Result<Machine, Error> {
        self.kernel_config()?;
        self.machine.machine()
    }

    fn host_devices(&self, machine: &Machine) -> Result<Vec<HostDevice>, Failure> {
        session::to_lend(&self.host_devices, machine)
    }

    fn memory_mib(&self) -> Result<u32, LabError> {
        const LEAST: u32 = 512;
        u32::try_from(self.memory.0 >> 20).ok().filter(|mib| *mib >= LEAST).ok_or_else(|| {
            LabError::usage(format!("failed to give a guest {} of memory", self.memory))
                .help(format!("give it {LEAST}MiB or more with --memory"))
        })
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
}

pub fn main(verb: &Verb) -> Result<ExitCode, Error> {
    match verb {
        Verb::Run(args) if args.watch => {
            watch::on_change(&args.selection.watched(), &interrupt::flag(), || {
                if let Err(error) = run(args) {
                    error.print(Default::default());
                }
            });
            Ok(Exit::Interrupted.into())
        }
        Verb::Run(args) if args.bisect => {
            let code = run(args).unwrap_or_else(|error| {
                error.print(Default::default());
                error.exit() as u8
            });
            Ok(for_bisect(code).into())
        }
        Verb::Run(args) => run(args).map(ExitCode::from),
        Verb::Explore(args) => explore(args).map(ExitCode::from),
        Verb::Exec(args) => exec(args),
        Verb::Shell(args) => shell(args),
        Verb::Prepare(args) => {
            let options = args.choice.options(&args.choice.machine()?)?;
            let interrupt = interrupt::flag();
            if let Some(file) = &args.import {
                for folder in lab::import(&options.cache, file, lab::Progress::new(false), &interrupt)? {
                    println!("took {folder}");
                }
            }
            let prepared = args.choice.prepare(&options, &interrupt)?;
            if let Some(file) = &args.export {
                print!("{}", lab::export(&prepared, file, &interrupt)?);
            }
            println!("the lab is ready: Linux {}, QEMU {}", prepared.kernel(), prepared.qemu());
            Ok(Exit::Ok.into())
        }
    }
}

pub fn lender(args: &LenderArgs) -> ExitCode {
    session::lender(&args.devices).into()
}

pub fn inside(args: &InsideArgs) -> Result<ExitCode, Error> {
    Ok(session::inside(&args.devices, &args.command)?.into())
}

/// A guest has no hostname of its own that an inventory could know it by.
fn host_is_named(selection: &Selection) -> Result<(), Failure> {
    match (&selection.inventory, &selection.host) {
        (Some(_), None) => {
            let what = "the inventory lists hosts, and the guest has no hostname to choose one by";
            Err(Failure::usage(what, "name the host that the guest stands for with --host"))
        }
        _ => Ok(()),
    }
}

/// What every guest gets, and the plan of the scenarios, known to be right.
fn job(selection: &Selection, checked: Result<(), Failure>, options: &Options) -> Result<(Job, Plan, Setup), Error> {
    let devices = lab::devices(&options.machine, &options.host_devices);
    let kinds: Vec<DeviceUsed> = devices.iter().map(GuestDevice::used).collect();
    let site = selection.site()?;
    if let Some(site) = &site {
        all_there(site, &devices)?;
    }
    let (plan, setup) = super::plan(selection, checked, kinds.clone())?;
    if plan.cases.is_empty() {
        let what = "the scenarios have no case for the lab's devices; choose others with --device";
        return Err(Failure::new(Exit::NothingRan, what).into());
    }
    let mut argv: Vec<String> = vec!["run".to_owned()];
    for (name, value) in &setup.vars {
        argv.extend(["--var".to_owned(), format!("{name}={value}")]);
    }
    for device in devices {
        argv.extend(["--device".to_owned(), format!("{}={}", device.name, device.bdf())]);
    }
    for backend in site.iter().flat_map(|site| &site.own().backends) {
        argv.extend(["--require-backend".to_owned(), backend.to_string()]);
    }
    let kinds = serde_json::to_vec(&kinds).expect("devices have a JSON form");
    Ok((Job { files: vec![(KINDS.into(), kinds)], argv, ..Job::default() }, plan, setup))
}

/// Whether a guest has the devices of the host that it stands for, by their names. Where they are is for the host's own machine.
fn all_there(site: &Site, devices: &[GuestDevice]) -> Result<(), Failure> {
    let is_there = |name: &str| devices.iter().any(|device| device.name == name);
    let mut missing = site.own().devices.iter().filter(|(name, device)| !device.optional && !is_there(name));
    let Some((name, _)) = missing.next() else { return Ok(()) };
    let there: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    let place = site.place(&site.at().join("devices").join(name));
    let what = format!("{} has a device `{name}` ({place}), and the guest has {}", site.host, there.join(" and "));
    Err(Failure::usage(what, format!("give it one of this name: --device {name}=MODEL")))
}

/// Returns the exit code.
fn run(args: &RunArgs) -> Result<u8, Error> {
    let RunArgs { selection, choice, cases, course, outputs, .. } = args;
    host_is_named(selection)?;
    let machine = choice.machine()?;
    let options = choice.options(&machine)?;
    let (mut job, plan, setup) = job(selection, cases.check(), &options)?;
    job.argv.extend(["--kinds".to_owned(), KINDS.to_owned()]);
    if let Some(site) = &setup.site {
        job.files.push((SITE.into(), serde_json::to_vec(site).expect("texts have a JSON form")));
        job.argv.extend(["--site".to_owned(), SITE.to_owned()]);
    }
    job.argv.extend(cases.patterns().flat_map(|pattern| ["--backend".to_owned(), pattern.to_owned()]));
    let journal = outputs.journal(course.resume.as_deref())?;
    let selected = cases.select(&plan, &journal)?;
    let scenarios = setup.fingerprint();
    let resumed = Resumed::read(course, &plan, &selected, &scenarios)?;
    let (schedule, shuffle) = course.schedule(selected, resumed.as_ref().map(|resumed| &resumed.past.started));
    let lab_iommu = Some(machine.iommu().as_str().to_owned());
    let again = selection.again("lab run", choice.words(), &setup.scenarios);
    let boot = facts::boot();
    let host = selection.host.clone();
    let host =
        RunStarted { boot, scenarios: scenarios.clone(), shuffle, lab_iommu, again, host, ..RunStarted::default() };
    // What only the guest can tell is left out.
    let here = session::started(&setup.devices);
    let (kernel, arch, iommu) = Default::default();
    let RunStarted { shuffle, lab_iommu, again, host: of_inventory, .. } = host.clone();
    let started = RunStarted { scenarios, shuffle, lab_iommu, again, kernel, arch, iommu, host: of_inventory, ..here };
    if schedule.order.is_empty() {
        return Ok(session::nothing(outputs, &journal, started, course)? as u8);
    }
    let output = Output::create(outputs, &journal, resumed.as_ref())?;
    let begun = Begun::new(started, &plan, &schedule);
    choice.check_coverage()?;
    let interrupt = interrupt::flag();
    let prepared = match choice.prepare(&options, &interrupt) {
        Ok(prepared) => prepared,
        Err(error) => {
            // Options that do not fit together are a slip, which changes nothing.
            if error.exit != Exit::Usage {
                output.not_begun(begun, error.reason());
            }
            return Err(error.into());
        }
    };
    // Not before all else is there: building takes minutes.
    let _lent = match session::lend(&choice.host_devices) {
        Ok(lent) => lent,
        Err(failure) => {
            output.not_begun(begun, Some(&failure.what));
            return Err(failure.into());
        }
    };
    if course.keep_on_failure {
        job.attachable = true;
        match lab::busybox(&prepared, &interrupt) {
            Ok(busybox) => job.programs.push(("/bin/busybox".into(), busybox)),
            Err(error) => {
                output.not_begun(begun, error.reason());
                return Err(error.into());
            }
        }
    }
    let (prepared, plan, setup, interrupt) = (&prepared, &plan, &setup, &*interrupt);
    let one = (!choice.host_devices.is_empty()).then_some(1); // A device is in one guest only.
    let (silence, guests) = (args.silence.0, one.or(args.guests.map(NonZeroUsize::get)));
    let coverage = choice.coverage.clone();
    let run =
        LabRun { prepared, job, plan, setup, schedule, guests, host, resumed, output, coverage, silence, interrupt };
    Ok(run.run(begun, course)?)
}

fn explore(args: &ExploreArgs) -> Result<u8, Error> {
    let ExploreArgs { exploring, choice, against, outputs, guests } = args;
    let mut huge = vec![("huge", "{ memory: hugetlb, size: 8MiB }")];
    // The lab's guest sets a page of this size aside where it has memory for it.
    if choice.memory.0 >= 3 << 30 {
        huge.push(("giant", "{ memory: hugetlb, page: 1GiB, size: 1GiB }"));
    }
    let once = |choice: Choice, outputs: Outputs, selection, cases, course| {
        let silence = language::Duration(SILENCE);
        let (guests, watch, bisect) = (Some(*guests), false, false);
        run(&RunArgs { selection, choice, cases, course, outputs, silence, guests, watch, bisect })
    };
    let journal = exploring.journal(outputs)?;
    let Some(against) = against else {
        return exploring.run(&[&journal], &huge, |selection, cases, course| {
            once(choice.clone(), outputs.clone(), selection, cases, course)
        });
    };
    let other = journal.with_file_name(format!("{}-against.jsonl", journal.file_stem().unwrap_or_default().display()));
    let exit = exploring.run(&[&journal, &other], &huge, |selection, cases, course| {
        let exit = once(choice.clone(), outputs.clone(), selection.clone(), cases.clone(), course.clone())?;
        if exit == Exit::Interrupted as u8 {
            return Ok(exit);
        }
        let choice = Choice { kernel: against.clone(), ..choice.clone() };
        once(choice, outputs.with_journal(other.clone()), selection, cases, course)
    })?;
    if exit == Exit::Interrupted as u8 {
        return Ok(exit);
    }
    let journals =
        [(&choice.kernel, &journal), (against, &other)].into_iter().enumerate().map(|(number, (kernel, file))| {
            // The same kernel twice is two all the same.
            let label = format!("{kernel}{}", if number == 1 && *kernel == choice.kernel { ", again" } else { "" });
            Ok(Journal { label: Some(label), text: Text::open(file)? })
        });
    let both = journals
        .collect::<Result<Vec<_>, _>>()
        .and_then(Run::read)
        .map_err(|error| super::report::unreadable(&error))?;
    Ok(outputs.finish(Arc::new(both), &[&journal, &other])? as u8)
}

fn exec(args: &ExecArgs) -> Result<ExitCode, Error> {
    let options = args.choice.options(&args.choice.machine()?)?;
    let job = session::job(&args.add, &args.command, &lab::devices(&options.machine, &options.host_devices))?;
    let interrupt = interrupt::flag();
    args.choice.check_coverage()?;
    let prepared = args.choice.prepare(&options, &interrupt)?;
    let _lent = session::lend(&args.choice.host_devices)?;
    let coverage = args.choice.coverage.as_deref();
    Ok(session::exec(job, &args.command[0], &prepared, coverage, &interrupt)?.into())
}

fn shell(args: &ShellArgs) -> Result<ExitCode, Error> {
    host_is_named(&args.selection)?;
    let options = args.choice.options(&args.choice.machine()?)?;
    let (mut job, _, setup) = job(&args.selection, Ok(()), &options)?;
    job.argv.extend(["--scenarios", SCENARIOS].map(str::to_owned));
    let scenarios = serde_json::to_vec(&setup.scenarios).expect("texts have a JSON form");
    job.files.push((SCENARIOS.into(), scenarios));
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&options, &interrupt)?;
    let _lent = session::lend(&args.choice.host_devices)?;
    lab::shell(&prepared, &job, &interrupt)?;
    Ok(Exit::Ok.into())
}
