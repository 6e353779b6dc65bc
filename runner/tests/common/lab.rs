//! The binary in the lab.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, MutexGuard, OnceLock},
};

/// The repository's top folder.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The binary, as a user in the clone would start it.
pub fn vfiospec() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfiospec"));
    command.current_dir(top()).env("NO_COLOR", "1").env("LANG", "C.UTF-8");
    command
}

/// Whether there is a lab; prepared once.
pub fn lab_is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let output = vfiospec().args(["lab", "prepare"]).output().expect("the binary starts");
        if output.status.success() {
            return true;
        }
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!ci, "CI needs the lab:\n{reason}");
        assert_eq!(output.status.code(), Some(3), "the only excuse is a lab that cannot be had:\n{reason}");
        // Not through print!, which the test harness swallows for tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "\n*** NOT TESTED: nothing was run on a kernel, because there is no lab\n{reason}"
        );
        false
    })
}

/// One guest at a time: two would share the processors and only be slower.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// An empty folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
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
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
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

/// `vfiospec lab run` with its reports in a folder of its own; `None` without a lab.
pub fn lab_run(name: &str, arguments: &[&str]) -> Option<Ran> {
    if !lab_is_there() {
        return None;
    }
    let _guard = alone();
    let folder = folder(name);
    let (junit, journal) = (folder.join("junit.xml"), folder.join("journal.jsonl"));
    let mut command = vfiospec();
    command.args(["lab", "run", "--junit"]).arg(&junit).arg("--journal").arg(&journal).args(arguments);
    Some(Ran { output: command.output().expect("the binary starts"), junit, journal })
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
