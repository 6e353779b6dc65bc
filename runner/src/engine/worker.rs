//! The process that issues the ioctls. What goes wrong in it costs the case that was running, and the runner stays.
//!
//! It is this binary again (`vfiospec worker`), and both speak JSON lines: [`ToWorker`] on its standard input, [`FromWorker`] on
//! its standard output. It ends when its input does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::{
    event::{CaseResult, DeviceUsed},
    language::{self, Invalid, Loaded, Packs, Scalar, Source},
    plan,
    uapi::signal,
};

/// What the runner says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToWorker {
    /// First: what to plan from. The texts rather than their files, so that both plan the same.
    Setup(Setup),
    /// Run the case of this number.
    Run {
        /// The case's number in the plan.
        case: u32,
    },
}

/// What a worker plans from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// The scenarios.
    pub scenarios: Vec<Text>,
    /// `--var` of the command line.
    pub vars: Vec<(String, String)>,
    /// The devices, bound to vfio-pci.
    pub devices: Vec<DeviceUsed>,
}

/// A scenario's text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Text {
    /// The file, as the user named it.
    pub name: String,
    /// Its pack.
    pub pack: String,
    /// Its content.
    pub text: String,
    /// The file of its pack, `pack.yaml`, where there is one; of that file itself its own name.
    #[serde(default)]
    pub manifest: Option<String>,
}

impl Text {
    /// Whether it is a pack's own file.
    pub fn is_manifest(&self) -> bool {
        self.manifest.as_ref() == Some(&self.name)
    }

    /// Reads and checks packs, then scenarios; what is wrong with some keeps nobody from the others.
    pub fn load_all(texts: &[Text], vars: &[(String, Scalar)]) -> (Vec<Loaded>, Packs, Vec<Invalid>) {
        let (manifests, scenarios): (Vec<&Text>, Vec<&Text>) = texts.iter().partition(|text| text.is_manifest());
        let (mut packs, mut loaded, mut invalid) = (Packs::default(), Vec::new(), Vec::new());
        let source = |text: &Text| Source::new(text.name.clone(), text.text.clone());
        for text in manifests {
            invalid.extend(packs.add(source(text)).err());
        }
        let wrong: BTreeSet<String> = invalid.iter().map(|pack| pack.source.name.clone()).collect();
        for text in scenarios {
            // Of a pack that is wrong it is not known what its scenarios have of it.
            if text.manifest.as_ref().is_some_and(|manifest| wrong.contains(manifest)) {
                continue;
            }
            match language::load(source(text), text.pack.clone(), &packs, vars) {
                Ok(scenario) => loaded.push(scenario),
                Err(problems) => invalid.push(problems),
            }
        }
        (loaded, packs, invalid)
    }
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromWorker {
    /// A step begins: if the worker is not heard of again, it was this one.
    Step {
        /// What and where, such as `unmap at scenarios/kernel/dma_mapping.yaml:31`.
        what: String,
    },
    /// A case was ended by the runner's interrupt.
    Interrupted {
        /// What is known of it; its verdict and its reason are the runner's to say.
        result: Box<CaseResult>,
        /// Neither kernel nor device was waited for.
        ours: bool,
    },
    /// A case has its result.
    Finished(Box<CaseResult>),
}

/// Speaks with the runner until it closes our input. Fails only if the two cannot speak, or plan differently.
pub fn main() -> Result<(), String> {
    // A scenario that asks for all the memory there is costs its case and nobody else.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    // A runner that is killed leaves no worker at work on its device.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    signal::catch().map_err(|errno| format!("failed to catch interrupts: {errno}"))?;
    let mut lines = io::stdin().lock().lines();
    let mut next = || -> Result<Option<ToWorker>, String> {
        let Some(line) = lines.next() else { return Ok(None) };
        let line = line.map_err(|error| format!("failed to read from the runner: {error}"))?;
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| format!("failed to understand the runner: {error}: {line}"))
    };
    let Some(ToWorker::Setup(setup)) = next()? else {
        return Err("the runner did not begin with a setup; `worker` is not for people".into());
    };
    let mut engine = Engine::new(setup.plan()?, setup.devices);
    while let Some(message) = next()? {
        let ToWorker::Run { case } = message else { return Err("the runner sent a second setup".into()) };
        signal::forget();
        let begin = Instant::now();
        let result = Box::new(engine.run(case, &mut |what| say(&FromWorker::Step { what })));
        say(&match signal::interrupted() {
            None => FromWorker::Finished(result),
            Some(at) => FromWorker::Interrupted { result, ours: !at.waiting && signal::waited() * 2 < begin.elapsed() },
        });
    }
    Ok(())
}

/// One line to the runner, at once. If the runner is gone there is nobody left to tell.
fn say(message: &FromWorker) {
    let mut line = serde_json::to_vec(message).expect("these types always have a JSON form");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

impl Setup {
    /// A number for scenarios and variables: it is another one when they are changed.
    pub fn fingerprint(&self) -> String {
        let bytes = serde_json::to_vec(&(&self.scenarios, &self.vars)).expect("these types always have a JSON form");
        // FNV-1a: it is to notice a change, and not to withstand an attack.
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// The plan, the same in the runner and in its workers.
    pub fn plan(&self) -> Result<plan::Plan, String> {
        let vars: Vec<(String, Scalar)> =
            self.vars.iter().map(|(name, value)| (name.clone(), Scalar::Text(value.clone()))).collect();
        let (loaded, packs, invalid) = Text::load_all(&self.scenarios, &vars);
        if let Some(invalid) = invalid.first() {
            return Err(invalid.render(false));
        }
        plan::expand(loaded, packs, &self.devices, &vars).map_err(|collisions| format!("cases collide: {collisions:?}"))
    }
}
