//! The runner's side: gives cases to a worker one by one, and outlives it.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::worker::{FromWorker, Setup, ToWorker};
use crate::{
    event::{CaseResult, Event, RunFinished, RunStarted, Verdict},
    plan::Plan,
};

/// How long a killed worker may take to die: one that stays is held by the kernel.
const DEATH: Duration = Duration::from_secs(5);
/// How often the interrupt flag is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Runs every case of the plan and tells `sink` what happens. Stops early when `interrupt` is set.
pub fn run(
    plan: &Plan,
    setup: &Setup,
    started: RunStarted,
    interrupt: &AtomicBool,
    sink: &mut dyn FnMut(Event) -> io::Result<()>,
) -> io::Result<()> {
    let begin = Instant::now();
    sink(Event::RunStarted(started))?;
    for case in &plan.cases {
        sink(Event::CasePlanned(case.id.clone()))?;
    }
    let mut worker: Option<Worker> = None;
    let mut given_up = vec![false; setup.devices.len()];
    for case in plan.order() {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        let planned = &plan.cases[case as usize];
        if planned.device.is_some_and(|device| given_up[device]) {
            let message = "not run: the device was given up when an earlier case got stuck in the kernel".to_owned();
            let skipped = CaseResult::new(case, Verdict::Skipped, Duration::ZERO);
            sink(Event::CaseFinished(CaseResult { message: Some(message), ..skipped }))?;
            continue;
        }
        sink(Event::CaseStarted { case })?;
        let begin = Instant::now();
        let Some(device) = planned.device else {
            let name = &planned.id.device;
            let message =
                format!("no device is called `{name}`; `run` takes --device {name}=ADDRESS, `lab run` --device {name}");
            let skipped = CaseResult::new(case, Verdict::Skipped, Duration::ZERO);
            sink(Event::CaseFinished(CaseResult { message: Some(message), ..skipped }))?;
            continue;
        };
        let outcome = match &mut worker {
            Some(worker) => worker.run(case, planned.timeout, interrupt),
            None => match Worker::start(setup) {
                Ok(started) => worker.insert(started).run(case, planned.timeout, interrupt),
                Err(error) => Outcome::Lost(format!("failed to start a worker: {error}")),
            },
        };
        let lost = |verdict, message: String| CaseResult {
            detail: Some(format!("{message}\n  --> {}:{}", planned.id.file, planned.id.line)),
            at: Some(format!("{}:{}", planned.id.file, planned.id.line)),
            message: Some(message),
            ..CaseResult::new(case, verdict, begin.elapsed())
        };
        let result = match outcome {
            Outcome::Finished(result) => *result,
            Outcome::Interrupted => break,
            Outcome::Lost(message) => {
                worker = None;
                lost(Verdict::Error, message)
            }
            Outcome::TimedOut { step, stuck } => {
                worker = None;
                given_up[device] = stuck;
                let limit = planned.timeout;
                let mut message = format!("timed out after {limit:?}");
                if let Some(step) = step {
                    message.push_str(&format!(" in {step}"));
                }
                if stuck {
                    message.push_str(
                        "; the process cannot be killed: it is stuck in the kernel, and the device is given up",
                    );
                }
                lost(Verdict::Failed, message)
            }
        };
        sink(Event::CaseFinished(result))?;
    }
    drop(worker);
    let interrupted = interrupt.load(Ordering::Relaxed);
    sink(Event::RunFinished(RunFinished { millis: begin.elapsed().as_millis() as u64, interrupted, stopped: None }))
}

/// What became of a case that a worker was given.
enum Outcome {
    Finished(Box<CaseResult>),
    /// The worker died or cannot be understood.
    Lost(String),
    TimedOut {
        step: Option<String>,
        stuck: bool,
    },
    Interrupted,
}

struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Worker {
    fn start(setup: &Setup) -> io::Result<Worker> {
        let mut child = Command::new("/proc/self/exe")
            .arg0("vfiospec")
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C is for the runner, which then decides
            .spawn()?;
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, output) = mpsc::channel();
        // Ends with the worker's output.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        let mut worker = Worker { child, input, output };
        worker.say(&ToWorker::Setup(setup.clone()))?;
        Ok(worker)
    }

    fn say(&mut self, message: &ToWorker) -> io::Result<()> {
        let mut line = serde_json::to_vec(message).expect("these types always have a JSON form");
        line.push(b'\n');
        self.input.as_mut().expect("open until the worker is dropped").write_all(&line)
    }

    fn run(&mut self, case: u32, timeout: Duration, interrupt: &AtomicBool) -> Outcome {
        // If it cannot be told, it is dead: the loop below finds out and says how.
        let _ = self.say(&ToWorker::Run { case });
        let deadline = Instant::now() + timeout;
        let mut step = None;
        loop {
            match self.output.recv_timeout(TICK) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(FromWorker::Step { what }) => step = Some(what),
                    Ok(FromWorker::Finished(result)) if result.case == case => return Outcome::Finished(result),
                    Ok(FromWorker::Finished(result)) => {
                        let other = result.case;
                        return Outcome::Lost(format!("the worker gave a result of case {other} for case {case}"));
                    }
                    Err(error) => return Outcome::Lost(format!("failed to understand the worker: {error}: {line}")),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let place = step.map(|step| format!(" in {step}")).unwrap_or_default();
                    let status = self.kill().map_or("and cannot be waited for".to_owned(), ended);
                    return Outcome::Lost(format!("the worker died{place}: {status}"));
                }
            }
            // After each word, too, and not in pauses only: quick steps leave none.
            if interrupt.load(Ordering::Relaxed) {
                return Outcome::Interrupted;
            }
            if Instant::now() >= deadline {
                let stuck = self.kill().is_none();
                return Outcome::TimedOut { step, stuck };
            }
        }
    }

    /// Kills it and waits for its end; `None` if it does not come.
    fn kill(&mut self) -> Option<ExitStatus> {
        self.input = None;
        let deadline = Instant::now() + DEATH;
        let mut killed = false;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => {
                    // A worker whose output ended is about to exit by itself; its own status says more than our SIGKILL.
                    if !std::mem::replace(&mut killed, true) {
                        thread::sleep(TICK);
                    } else {
                        let _ = self.child.kill();
                        thread::sleep(Duration::from_millis(2));
                    }
                }
                _ => return None,
            }
        }
    }
}

impl Drop for Worker {
    /// Closing its input lets it close its devices and exit; one that does not is killed.
    fn drop(&mut self) {
        self.input = None;
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                _ => return,
            }
        }
        self.kill();
    }
}

/// How a process ended, in words.
fn ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(101)) => "it panicked, which is a bug in vfiospec".to_owned(),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}
