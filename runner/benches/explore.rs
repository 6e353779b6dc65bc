// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many calls a second `explore` makes and judges, beside only making them: `cargo bench --bench explore`. It needs what `vfiospec lab`
//! needs, and takes two minutes.
//!
//! Each backend explores with the same seeds twice, once longer. The difference between the two has no opening of the device, no memory that is
//! made ready, and no copy by the device: both have the same at their beginning and at their end. Beside it stands the time that the kernel
//! takes for a map and an unmap of one page (`scenarios/perf/mappings.yaml`), in a guest like theirs.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use vfiospec::{
    event::{CaseResult, Event, Measured},
    model::Verdict,
    report::read_file,
};

/// How many calls a case makes: so few that the device copies only at its end.
const FEW: u64 = 300;
const MANY: u64 = 3900;
/// How many cases each backend has: what else the machine does is less of what several take.
const CASES: u64 = 4;

fn main() {
    let explored = |steps: u64| {
        let (steps, cases) = ((CASES * steps).to_string(), CASES.to_string());
        let to = concat!(env!("CARGO_TARGET_TMPDIR"), "/found");
        run(&["lab", "explore", "--cases", &cases, "--seed", "5", "--steps", &steps, "--to", to])
    };
    let (few, many) = (explored(FEW), explored(MANY));
    let bare = run(&["lab", "run", "--case", "one_page", "scenarios/perf/mappings.yaml"]);

    println!("{:<24}  {:>17}  {:>17}  {:>6}", "backend", "explored (per s)", "bare calls (per s)", "ratio");
    let micros = |results: &[CaseResult]| results.iter().map(|result| result.micros).sum::<u64>() as f64;
    for (backend, many) in &many {
        let seconds = (micros(many) - micros(&few[backend])) / 1e6;
        let measured: Vec<&Measured> = bare[backend].iter().flat_map(|result| &result.measured).collect();
        let medians: u64 = measured.iter().map(|measured| measured.median()).sum();
        let explored = (CASES * (MANY - FEW)) as f64 / seconds;
        let calls = measured.len() as f64 * 1e6 / medians as f64;
        println!("{backend:<24}  {explored:>17.0}  {calls:>17.0}  {:>6.1}", calls / explored);
    }
}

/// The results of the cases of each backend.
fn run(arguments: &[&str]) -> BTreeMap<String, Vec<CaseResult>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (journal, junit) = (folder.join("run.jsonl"), folder.join("run.xml"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfiospec"));
    command.args(arguments).args(["--guests", "1", "--journal"]).arg(&journal).arg("--junit").arg(&junit);
    let status = command.current_dir(root).stdout(Stdio::null()).status().expect("vfiospec runs");
    assert!(status.success(), "{arguments:?}: {status}");
    let (mut backends, mut results) = (BTreeMap::new(), BTreeMap::<String, Vec<CaseResult>>::new());
    for event in read_file(&journal).expect("a journal") {
        match event {
            Event::CasePlanned(planned) => _ = backends.insert(planned.case, planned.backend),
            Event::CaseFinished(result) => {
                assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.message);
                results.entry(backends[&result.case].clone()).or_default().push(result);
            }
            _ => {}
        }
    }
    results
}
