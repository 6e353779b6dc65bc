// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests: `vfiospec lab run`, and what it left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Output,
    sync::{Condvar, Mutex, OnceLock, PoisonError},
};

use serde_json::Value;

use crate::{
    NotTested,
    common::{command, folder, text, vfiospec},
    devices, explore, lab, memory, objects, observers, processes,
};

/// Prepares the lab once; the reason where there is none.
pub fn lab() -> Result<(), NotTested> {
    static THERE: OnceLock<Result<(), String>> = OnceLock::new();
    let there = THERE.get_or_init(|| {
        let output = vfiospec(&["lab", "prepare"]);
        if output.status.success() {
            return Ok(());
        }
        let reason = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "the only excuse is a lab that cannot be had:\n{reason}");
        Err(format!("there is no lab: {reason}"))
    });
    there.clone().map_err(NotTested::because)
}

/// A place for one guest.
pub struct Place(());

static FREE: Mutex<usize> = Mutex::new(2);
static LEFT: Condvar = Condvar::new();

/// Waits until fewer than two guests run: a guest keeps a processor and a half busy, and more would only wait for each other.
pub fn place() -> Place {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = LEFT.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
    *free -= 1;
    Place(())
}

impl Drop for Place {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        LEFT.notify_one();
    }
}

/// What a run left behind.
pub struct Ran {
    pub output: Output,
    pub junit: PathBuf,
    pub journal: PathBuf,
}

impl Ran {
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }
    pub fn stdout(&self) -> String {
        text(&self.output.stdout)
    }
    pub fn stderr(&self) -> String {
        text(&self.output.stderr)
    }
    /// Fails with all that the run said.
    #[track_caller]
    pub fn expect(&self, code: i32) {
        assert_eq!(self.code(), Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr());
    }
    pub fn junit(&self) -> String {
        fs::read_to_string(&self.junit).expect("there is a JUnit file")
    }

    /// What these cases alone would have left: their part of the journal, and the exit code and the reports that are made from it.
    pub fn part(&self, name: &str, has: impl Fn(&Value) -> bool) -> Ran {
        let folder = folder(name);
        let (junit, journal) = (folder.join("junit.xml"), folder.join("journal.jsonl"));
        let (mut cases, mut part) = (BTreeSet::new(), String::new());
        let journal_of_all = fs::read_to_string(&self.journal)
            .unwrap_or_else(|error| panic!("no journal: {error}\n{}\n{}", self.stdout(), self.stderr()));
        for line in journal_of_all.lines() {
            let event: Value = serde_json::from_str(line).expect("JSON lines");
            let case = event["case"].as_u64();
            if event["event"] == "case_planned" && has(&event) {
                cases.extend(case);
            }
            if case.is_none_or(|case| cases.contains(&case)) {
                part += &format!("{line}\n");
            }
        }
        assert!(!cases.is_empty(), "nothing of {name} was run:\n{}\n{}", self.stdout(), self.stderr());
        fs::write(&journal, part).expect("written");
        let output = command().arg("report").arg(&journal).arg("--junit").arg(&junit).output();
        Ran { output: output.expect("the binary starts"), junit, journal }
    }
}

/// `vfiospec lab run` with its reports in a folder of its own.
pub fn lab_run(name: &str, arguments: &[&str]) -> Result<Ran, NotTested> {
    lab()?;
    let _place = place();
    lab_run_that_waits(name, arguments)
}

/// The same for a guest that takes no place, because its devices keep it waiting nearly all the time.
pub fn lab_run_that_waits(name: &str, arguments: &[&str]) -> Result<Ran, NotTested> {
    lab()?;
    let folder = folder(name);
    let (junit, journal) = (folder.join("junit.xml"), folder.join("journal.jsonl"));
    let mut command = command();
    command.args(["lab", "run", "--junit"]).arg(&junit).arg("--journal").arg(&journal).args(arguments);
    if !arguments.contains(&"--guests") {
        command.args(["--guests", "1"]); // one place, one guest
    }
    Ok(Ran { output: command.output().expect("the binary starts"), junit, journal })
}

/// All that our packs hold, on the default guest, run once.
pub fn whole_run() -> Result<&'static Ran, NotTested> {
    static RUN: OnceLock<Result<Ran, NotTested>> = OnceLock::new();
    RUN.get_or_init(|| lab_run("whole", &["scenarios"])).as_ref().map_err(NotTested::clone)
}

/// `pack/file`, and the text.
type Scenario = (&'static str, fn() -> String);

/// Scenarios that run on the default guest, and of which tests need only the results.
const TOGETHER: [Scenario; 25] = [
    ("at_once/at_once.yaml", || devices::AT_ONCE.to_owned()),
    ("away/away.yaml", || devices::AWAY.to_owned()),
    ("children/children.yaml", || processes::CHILDREN.to_owned()),
    ("explore/explore.yaml", || explore::EXPLORE.to_owned()),
    ("files/files.yaml", || observers::FILES.to_owned()),
    ("finally/finally.yaml", || lab::FINALLY.to_owned()),
    ("fixtures/fixtures.yaml", lab::fixtures),
    ("hostile/hostile.yaml", || lab::HOSTILE.to_owned()),
    ("given/given.yaml", || objects::GIVEN.to_owned()),
    ("gone/gone.yaml", || memory::GONE.to_owned()),
    ("kernel/dma_mapping_mmio.yaml", lab::wrong_expectation),
    ("known/known.yaml", observers::known_issues),
    ("leaves/leaves.yaml", || objects::LEAVES.to_owned()),
    ("limit/limit.yaml", || observers::LIMIT.to_owned()),
    ("missing/missing.yaml", || devices::MISSING.to_owned()),
    ("named/named.yaml", || observers::NAMED.to_owned()),
    ("nothing/nothing.yaml", || objects::NOTHING.to_owned()),
    ("pinned/pinned.yaml", || observers::PINNED.to_owned()),
    ("ring/pack.yaml", || objects::RING_PACK.to_owned()),
    ("ring/ring.yaml", || objects::RING.to_owned()),
    ("splat/splat.yaml", lab::splat),
    ("taken/taken.yaml", || explore::TAKEN.to_owned()),
    ("timeout/timeout.yaml", || lab::TIMEOUT.to_owned()),
    ("waiting/waiting.yaml", || lab::WAITING.to_owned()),
    ("waits/waits.yaml", lab::waits),
];

/// A guest that several tests share, other than the default one.
pub struct Shared {
    name: &'static str,
    /// Its options, and files of the repository.
    arguments: &'static [&'static str],
    scenarios: &'static [Scenario],
    run: OnceLock<Result<Ran, NotTested>>,
}

pub static IGB: Shared = Shared::new(
    "igb",
    &["--device", "igb"],
    &[
        ("leftovers/leftovers.yaml", || devices::LEFTOVERS.to_owned()),
        ("resets/resets.yaml", || devices::RESETS.to_owned()),
    ],
);
pub static VIRTIO: Shared = Shared::new(
    "virtio",
    objects::ON_VIRTIO,
    &[("told/told.yaml", || observers::TOLD.to_owned()), ("explore/explore.yaml", || explore::EXPLORE.to_owned())],
);

impl Shared {
    const fn new(name: &'static str, arguments: &'static [&'static str], scenarios: &'static [Scenario]) -> Shared {
        Shared { name, arguments, scenarios, run: OnceLock::new() }
    }

    /// The part of its run that these cases are.
    pub fn part(&self, name: &str, has: impl Fn(&Value) -> bool) -> Result<Ran, NotTested> {
        let run = self.run.get_or_init(|| {
            let packs = written(self.name, self.scenarios);
            lab_run(&format!("{}-run", self.name), &[self.arguments, &[packs.as_str()]].concat())
        });
        Ok(run.as_ref().map_err(NotTested::clone)?.part(name, has))
    }

    /// What one of its scenarios came to, by its pack.
    pub fn pack(&self, pack: &str) -> Result<Ran, NotTested> {
        self.part(&format!("{pack}-run"), |case| case["pack"] == pack)
    }
}

/// Writes scenarios to a folder, and returns it.
fn written(name: &str, scenarios: &[Scenario]) -> String {
    let packs = folder(name);
    for (file, text) in scenarios {
        let file = packs.join(file);
        fs::create_dir_all(file.parent().expect("the pack")).expect("the target folder is writable");
        fs::write(file, text()).expect("written");
    }
    packs.to_str().expect("UTF-8").to_owned()
}

/// What one of the scenarios of [`TOGETHER`] came to, by its pack.
pub fn together(pack: &str) -> Result<Ran, NotTested> {
    static DEFAULT: Shared = Shared::new("together", &[], &TOGETHER);
    DEFAULT.pack(pack)
}

/// Events of a run, by kind.
pub fn events(ran: &Ran, kind: &str) -> Vec<Value> {
    let journal = fs::read_to_string(&ran.journal).expect("there is a journal");
    let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    events.filter(|event| event["event"] == kind).collect()
}

/// The results of a run by the cases' names, for runs on one backend.
pub fn results(ran: &Ran) -> BTreeMap<String, Value> {
    let planned = events(ran, "case_planned");
    let name = |number: &Value| {
        let case = planned.iter().find(|case| case["case"] == *number).expect("every result was planned");
        case["name"].as_str().unwrap().to_owned()
    };
    events(ran, "case_finished").into_iter().map(|result| (name(&result["case"]), result)).collect()
}
