// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports, as other programs read them: Perl's prove, and Jenkins' language.

use std::{path::Path, process::Command};

use crate::{
    NotTested, Test, Tested,
    common::{
        expect, folder,
        runs::{everything, journal},
        text, vfiospec,
    },
    fixture, tests,
};

pub const TESTS: &[Test] = tests![prove_reads_the_verdicts, the_jenkinsfile_maps_exit_codes_and_loses_no_shard];

fn prove_reads_the_verdicts() -> Tested {
    let folder = folder("report-tap");
    let (all, good) = (folder.join("all.tap"), folder.join("good.tap"));
    let broken = journal(&folder.join("all.jsonl"), &everything());
    let fine = journal(&folder.join("good.jsonl"), &fixture::run_of_45(|_, _| {}));
    expect(&vfiospec(&["report", &broken, "--tap", all.to_str().expect("UTF-8")]), 1);
    expect(&vfiospec(&["report", &fine, "--tap", good.to_str().expect("UTF-8")]), 0);
    let prove = |file: &Path| Command::new("prove").arg(file).env("LANG", "C").output();
    let output = prove(&all).map_err(|_| NotTested::because("prove is missing: Debian's package perl has it"))?;
    let said = text(&output.stdout);
    assert!(said.contains("Failed tests:  23, 45\n") && said.contains("Tests: 45 Failed: 2)"), "{said}");
    assert!(!said.contains("Parse errors"), "{said}");
    let output = prove(&good).expect("it was there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// What the Jenkinsfile makes of the exit codes of shards and of the report, run by Groovy with stand-ins for Jenkins' steps.
fn the_jenkinsfile_maps_exit_codes_and_loses_no_shard() -> Tested {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |shards: &str, report: &str| {
        let mut groovy = Command::new("groovy");
        groovy.arg(here.join("tests/jenkins.groovy")).arg(here.join("../reports/jenkins/Jenkinsfile"));
        groovy.args([shards, report]).output().ok().filter(|output| output.status.success())
    };
    if run("0,0,0,0,0,0", "0").is_none() {
        return Err(NotTested::because("groovy does not run: Debian's package groovy has it, and it needs JAVA_HOME"));
    }
    for (shards, report, result) in
        [("0,1,0,0,0,0", "1", "UNSTABLE"), ("0,0,lost,0,0,0", "0", "FAILURE"), ("0,3,0,4,0,0", "3", "FAILURE")]
    {
        let output = run(shards, report).expect("it ran before");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.ends_with(&format!("result {result}\n")), "{shards}, {report}:\n{said}");
        assert!(
            said.contains(" intel=intel-1.jsonl intel=intel-2.jsonl ") && said.contains("\njunit junit.xml\n"),
            "{said}"
        );
    }
    Ok(())
}
