//! `vfiospec lab`

use std::{
    io,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use clap::{Args as ClapArgs, Subcommand};

use super::{
    Exit, interrupt,
    output::{Output, Outputs},
    scenarios::Selection,
};
use crate::{
    event::{CaseResult, DeviceUsed, Event, RunFinished, Verdict},
    lab::{
        self, Accel, DeviceModel, Guest, IommuModel, JOURNAL_PORT, Job, KernelChoice, LabError, Next, Options, Prepared,
    },
};

/// Where the guest finds the scenarios.
const SCENARIOS: &str = "/vfiospec/scenarios.json";
/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);
/// How much longer than its slowest case a guest may be silent before it counts as hung.
const SILENCE: Duration = Duration::from_secs(60);

/// Run scenarios in a guest with an emulated IOMMU: needs no hardware
///
/// The first time this gets QEMU and build tools (Debian packages, as root) and builds a kernel, which takes minutes. All of it is kept
/// in ~/.cache/vfiospec, or where VFIOSPEC_CACHE says.
#[derive(Debug, Subcommand)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub enum Verb {
    Run(RunArgs),
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
    outputs: Outputs,
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
struct Choice {
    /// The kernel: `newest`, a version such as 6.12 (built once from Debian's source package), or the path of a bzImage with a slash in it
    #[arg(long, value_name = "KERNEL", default_value = "newest")]
    kernel: KernelChoice,

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
            iommu: self.iommu,
            devices: self.models(),
            accel: self.accel,
            ..Options::new(cache)
        })
    }

    fn prepare(&self, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
        lab::prepare(&self.options()?, lab::Progress::new(false), interrupt)
    }

    fn devices_used(&self) -> Vec<DeviceUsed> {
        let used = |model: &DeviceModel| DeviceUsed { name: model.name().replace('-', "_"), ..DeviceUsed::default() };
        self.models().iter().map(used).collect()
    }

    /// Each device once, however often it was named.
    fn models(&self) -> Vec<DeviceModel> {
        let mut devices = self.devices.clone();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

/// Runs the verb and gives its exit code.
pub fn main(verb: &Verb) -> ExitCode {
    let outcome = match verb {
        Verb::Run(args) => run(args),
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
enum Stop {
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

/// The scenarios for the guest, known to be right, and the longest that a case may take.
fn job(selection: &Selection, choice: &Choice) -> Result<(Job, Duration), Exit> {
    let texts = selection.read()?;
    let json = serde_json::to_vec(&texts).expect("texts have a JSON form");
    let (plan, _) = selection.plan(texts, choice.devices_used())?;
    if plan.cases.is_empty() {
        eprintln!("vfiospec: the scenarios have no case for the lab's devices; choose others with --device");
        return Err(Exit::NothingRan);
    }
    let longest = plan.cases.iter().map(|case| case.timeout).max().unwrap_or_default();
    let mut argv: Vec<String> = ["run", "--scenarios", SCENARIOS].map(str::to_owned).to_vec();
    for (name, value) in &selection.vars {
        argv.extend(["--var".to_owned(), format!("{name}={value}")]);
    }
    for device in choice.models() {
        argv.extend(["--device".to_owned(), format!("{}={}", device.name(), device.bdf())]);
    }
    Ok((Job { files: vec![(SCENARIOS.into(), json)], argv, ..Job::default() }, longest))
}

fn run(args: &RunArgs) -> Result<ExitCode, Stop> {
    let (mut job, longest) = job(&args.selection, &args.choice)?;
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&interrupt)?;
    let mut output = Output::create(&args.outputs)?;
    job.argv.extend(["--events".to_owned(), JOURNAL_PORT.to_owned()]);
    let mut guest = Guest::boot(&prepared, &job, &interrupt)?;
    let begin = Instant::now();
    let end = follow(&mut guest, &mut output, longest + SILENCE, &interrupt);
    let mut died = false;
    // What the run comes to where its events cannot say it.
    let code = match end {
        End::Finished(_) if output.is_finished() => None, // the events say more than the code
        End::Finished(code) => {
            eprintln!("vfiospec: the run in the guest ended early; its console says:\n{}", indent(&guest.last_words()));
            output.is_empty().then_some(code)
        }
        End::Died(console) => {
            died = true;
            let message = "the guest died while this case ran";
            if !output.blame(message, &console) {
                eprintln!("vfiospec: the guest died; its console says:\n{}", indent(&console));
            }
            None
        }
        End::Unwritten => Some(Exit::ReportNotWritten as u8),
        End::Interrupted => {
            let millis = begin.elapsed().as_millis() as u64;
            // A guest is not asked to end: it is taken away, and its run ends here.
            let _ = output.on(Event::RunFinished(RunFinished { millis, interrupted: true, stopped: None }));
            Some(Exit::Interrupted as u8)
        }
    };
    drop(guest);
    if output.is_empty() {
        return Ok(code.unwrap_or(Exit::NoVerdict as u8).into());
    }
    let exit = match output.finish() {
        // Even after its last case: a kernel that dies when a device is given back has not done well.
        Exit::Ok | Exit::NothingRan if died => Exit::NoVerdict,
        exit => exit,
    };
    Ok(code.map_or(exit.into(), ExitCode::from))
}

/// How a guest's run ended.
enum End {
    Finished(u8),
    Died(String),
    Unwritten,
    Interrupted,
}

/// Takes in what the guest says, record by record.
fn follow(guest: &mut Guest, output: &mut Output, patience: Duration, interrupt: &AtomicBool) -> End {
    let mut heard = Instant::now();
    loop {
        match guest.next_line(TICK) {
            Next::Line(line) => {
                heard = Instant::now();
                let event = match serde_json::from_str::<Event>(&line) {
                    Ok(Event::RunStarted(mut started)) => {
                        started.lab = Some(guest.description().to_owned());
                        Event::RunStarted(started)
                    }
                    Ok(event) => event,
                    Err(error) => return End::Died(format!("failed to understand the guest: {error}: {line}")),
                };
                if let Err(error) = output.on(event) {
                    eprintln!("vfiospec: failed to write the journal: {error}");
                    return End::Unwritten;
                }
                // Quick cases leave no pause to look in.
                if interrupt.load(Ordering::Relaxed) && !output.is_finished() {
                    return End::Interrupted;
                }
            }
            Next::Finished { code } => return End::Finished(code),
            Next::Died { console_tail } => return End::Died(console_tail),
            Next::TimedOut if interrupt.load(Ordering::Relaxed) => return End::Interrupted,
            Next::TimedOut if heard.elapsed() > patience => {
                let silence = format!("nothing was heard of the guest for {} s", heard.elapsed().as_secs());
                return End::Died(format!("{silence}\n{}", guest.last_words()));
            }
            Next::TimedOut => {}
        }
    }
}

impl Output {
    /// Gives the case that was running when the guest died its result; false where none was.
    fn blame(&mut self, message: &str, console: &str) -> bool {
        let Some(case) = self.running() else { return false };
        let result = CaseResult {
            message: Some(message.to_owned()),
            detail: Some(format!("{message}; its console ends with:\n{}", indent(console))),
            ..CaseResult::new(case, Verdict::Error, Duration::ZERO)
        };
        let told: io::Result<()> = self.on(Event::CaseFinished(result));
        told.is_ok()
    }
}

fn shell(args: &ShellArgs) -> Result<ExitCode, Stop> {
    let (job, _) = job(&args.selection, &args.choice)?;
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&interrupt)?;
    lab::shell(&prepared, &job, &interrupt)?;
    Ok(Exit::Ok.into())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", crate::report::sanitize::text(line))).collect()
}
