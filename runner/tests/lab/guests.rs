//! Guests: `vfiospec lab run`, and what it left behind.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Output,
    sync::{Condvar, Mutex, OnceLock, PoisonError},
};

use crate::{
    NotTested,
    common::{command, folder, text, vfiospec},
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
}

/// `vfiospec lab run` with its reports in a folder of its own.
pub fn lab_run(name: &str, arguments: &[&str]) -> Result<Ran, NotTested> {
    lab()?;
    let folder = folder(name);
    let (junit, journal) = (folder.join("junit.xml"), folder.join("journal.jsonl"));
    let _place = place();
    let mut command = command();
    command.args(["lab", "run", "--junit"]).arg(&junit).arg("--journal").arg(&journal).args(arguments);
    Ok(Ran { output: command.output().expect("the binary starts"), junit, journal })
}

/// Events of a run, by kind.
pub fn events(ran: &Ran, kind: &str) -> Vec<serde_json::Value> {
    let journal = fs::read_to_string(&ran.journal).expect("there is a journal");
    let events = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON lines"));
    events.filter(|event| event["event"] == kind).collect()
}

/// The results of a run by the cases' names, for runs on one backend.
pub fn results(ran: &Ran) -> BTreeMap<String, serde_json::Value> {
    let planned = events(ran, "case_planned");
    let name = |number: &serde_json::Value| {
        let case = planned.iter().find(|case| case["case"] == *number).expect("every result was planned");
        case["name"].as_str().unwrap().to_owned()
    };
    events(ran, "case_finished").into_iter().map(|result| (name(&result["case"]), result)).collect()
}
