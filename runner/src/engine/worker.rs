//! The process that issues the ioctls. What goes wrong in it costs the case that was running, and the runner stays.
//!
//! It is this binary again (`vfiospec worker`), and both speak JSON lines: [`ToWorker`] on its standard input, [`FromWorker`] on
//! its standard output. It ends when its input does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, Write};
use std::panic;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{
    Engine,
    last_step::{Doing, LastStep},
};
use crate::{
    event::{CaseResult, DeviceUsed},
    language::{self, Invalid, Loaded, Packs, Scalar, Source},
    plan::{self, Plan, Planned},
    uapi::signal,
};

/// What the runner says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToWorker {
    /// First: what to plan from. The texts rather than their files, so that both plan the same.
    Setup {
        /// What to plan from.
        setup: Setup,
        /// The number of the file that takes what the worker is doing.
        last_step: i32,
        /// Whether to tell of each call.
        trace: bool,
    },
    /// Run a case.
    Run {
        /// The case's number in the run.
        case: u32,
        /// Its number in the worker's plan, which has no more scenarios than the run needs.
        at: u32,
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

    /// Reads packs, then scenarios, that were checked before.
    pub fn read_all(texts: &[Text]) -> Result<(Vec<Loaded>, Packs), Invalid> {
        let (manifests, scenarios): (Vec<&Text>, Vec<&Text>) = texts.iter().partition(|text| text.is_manifest());
        let mut packs = Packs::default();
        for text in manifests {
            packs.add_checked(text.source())?;
        }
        let read = |text: &Text| language::read(text.source(), text.pack.clone(), &packs);
        Ok((scenarios.into_iter().map(read).collect::<Result<_, _>>()?, packs))
    }

    fn source(&self) -> Source {
        Source::new(self.name.clone(), self.text.clone())
    }

    /// Reads and checks packs, then scenarios, which are handed out one by one; what is wrong with some keeps nobody from the others.
    pub fn load_each(texts: &[Text], vars: &[(String, Scalar)], mut take: impl FnMut(Loaded)) -> (Packs, Vec<Invalid>) {
        let (manifests, scenarios): (Vec<&Text>, Vec<&Text>) = texts.iter().partition(|text| text.is_manifest());
        let (mut packs, mut invalid) = (Packs::default(), Vec::new());
        for text in manifests {
            invalid.extend(packs.add(text.source()).err());
        }
        let wrong: BTreeSet<String> = invalid.iter().map(|pack| pack.source.name.clone()).collect();
        for text in scenarios {
            // Of a pack that is wrong it is not known what its scenarios have of it.
            if text.manifest.as_ref().is_some_and(|manifest| wrong.contains(manifest)) {
                continue;
            }
            match language::load(text.source(), text.pack.clone(), &packs, vars) {
                Ok(scenario) => take(scenario),
                Err(problems) => invalid.push(problems),
            }
        }
        (packs, invalid)
    }
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromWorker {
    /// A case was ended by the runner's interrupt.
    Interrupted {
        /// What is known of it; its verdict and its reason are the runner's to say.
        result: Box<CaseResult>,
        /// Neither kernel nor device was waited for.
        ours: bool,
    },
    /// A call was made.
    Called {
        /// Decoded, as in a trace.
        call: String,
    },
    /// The worker panicked and ends; which is a bug in vfiospec.
    Panicked {
        /// The text, and where in our source it happened.
        what: String,
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
    // The runner puts it into the case's result. A line on standard error would be lost among the runner's own.
    panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("without a text");
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        say(&FromWorker::Panicked { what: format!("{text}{place}") });
    }));
    signal::catch().map_err(|errno| format!("failed to catch interrupts: {errno}"))?;
    let mut lines = io::stdin().lock().lines();
    let mut next = || -> Result<Option<ToWorker>, String> {
        let Some(line) = lines.next() else { return Ok(None) };
        let line = line.map_err(|error| format!("failed to read from the runner: {error}"))?;
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| format!("failed to understand the runner: {error}: {line}"))
    };
    let Some(ToWorker::Setup { setup, last_step, trace }) = next()? else {
        return Err("the runner did not begin with a setup; `worker` is not for people".into());
    };
    let last_step = LastStep::of_runner(last_step)
        .map_err(|error| format!("failed to open what the runner left for us: {error}"))?;
    let mut engine = Engine::new(setup.plan()?, setup.devices);
    if trace {
        engine.trace(|call| say(&FromWorker::Called { call: call.to_string() }));
    }
    let mut step = |doing: Doing| {
        if trace {
            say(&FromWorker::Called { call: format!("# {doing}") });
        }
        last_step.say(&doing);
    };
    while let Some(message) = next()? {
        let ToWorker::Run { case, at } = message else { return Err("the runner sent a second setup".into()) };
        signal::forget();
        let begin = Instant::now();
        let result = Box::new(CaseResult { case, ..engine.run(at, &mut step) });
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

    /// No more than a worker needs for these cases of the plan, and the number in its plan of each case.
    pub fn narrowed(&self, plan: &Plan, cases: &[u32]) -> (Setup, Vec<u32>) {
        let mut needed = vec![false; plan.scenarios.len()];
        cases.iter().for_each(|case| needed[plan.cases[*case as usize].scenario] = true);
        let mut before = 0;
        let number = |planned: &Planned| {
            before += u32::from(needed[planned.scenario]);
            before.saturating_sub(1)
        };
        let numbers = plan.cases.iter().map(number).collect();
        let needed = || plan.scenarios.iter().zip(&needed).filter_map(|(loaded, needed)| needed.then_some(loaded));
        let (mut files, mut packs) = (BTreeSet::new(), BTreeSet::new());
        for loaded in needed() {
            files.insert(&loaded.source.name);
            packs.insert(&loaded.pack);
        }
        let all_packs = needed().any(|loaded| loaded.scenario.calls());
        let wanted = |text: &&Text| match text.is_manifest() {
            true => all_packs || packs.contains(&text.pack),
            false => files.contains(&text.name),
        };
        let scenarios = self.scenarios.iter().filter(wanted).cloned().collect();
        (Setup { scenarios, vars: self.vars.clone(), devices: self.devices.clone() }, numbers)
    }

    /// Plans what was checked before: in the runner, and the same in its workers and in the lab's guest.
    pub fn plan(&self) -> Result<Plan, String> {
        let vars: Vec<(String, Scalar)> =
            self.vars.iter().map(|(name, value)| (name.clone(), Scalar::Text(value.clone()))).collect();
        let (loaded, packs) = Text::read_all(&self.scenarios).map_err(|invalid| invalid.render(false))?;
        plan::expand(loaded, packs, &self.devices, &vars).map_err(|collisions| format!("cases collide: {collisions:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, pack: &str, manifest: Option<&str>, text: &str) -> Text {
        let manifest = manifest.map(|folder| format!("{folder}/pack.yaml"));
        Text { name: name.into(), pack: pack.into(), text: text.into(), manifest }
    }

    #[test]
    fn a_worker_gets_what_its_cases_need_and_numbers_them_as_it_plans_them() {
        let cases =
            "backends: [iommufd]\ncases:\n- { name: one, steps: [{ info: }] }\n- { name: two, steps: [{ info: }] }\n";
        let calls =
            "backends: [iommufd]\ncases: [{ name: one, steps: [{ repeat: { times: 2, steps: [{ call: act }] } }] }]\n";
        let pack = "name: card\nversion: 1.0.0\nengine: 0.1.0\nsummary: A card.\nvendor: V\n\
                    procedures: { act: { summary: It acts., steps: [{ info: }] } }\n";
        let setup = Setup {
            scenarios: vec![
                text("card/pack.yaml", "card", Some("card"), pack),
                text("a.yaml", "p", None, &format!("name: a\n{cases}")),
                text("b.yaml", "p", None, &format!("name: b\n{calls}")),
                text("c.yaml", "p", None, &format!("name: c\n{cases}")),
            ],
            vars: Vec::new(),
            devices: vec![DeviceUsed { name: "any".into(), ..DeviceUsed::default() }],
        };
        let plan = setup.plan().unwrap();
        let ids = |plan: &Plan| plan.cases.iter().map(|case| case.id.id()).collect::<Vec<_>>();
        let narrowed = |cases: &[u32]| {
            let (narrow, numbers) = setup.narrowed(&plan, cases);
            let its = ids(&narrow.plan().unwrap());
            for case in cases {
                assert_eq!(its[numbers[*case as usize] as usize], ids(&plan)[*case as usize]);
            }
            narrow.scenarios.into_iter().map(|text| text.name).collect::<Vec<_>>()
        };
        assert_eq!(narrowed(&[4]), ["c.yaml"]);
        assert_eq!(narrowed(&[1, 3]), ["a.yaml", "c.yaml"]);
        assert_eq!(narrowed(&[2]), ["card/pack.yaml", "b.yaml"], "what it calls may be in any pack");
        assert_eq!(narrowed(&[0, 1, 2, 3, 4]).len(), 4);
    }
}
