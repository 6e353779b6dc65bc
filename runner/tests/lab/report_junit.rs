// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JUnit report, as programs read it that share no code with ours.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use vfiospec::{
    file::write_atomic,
    report::{FORMATS, Run, Style},
};

use crate::{
    NotTested, Test, Tested,
    common::{
        folder,
        runs::{hostile, run_full_of},
    },
    fixture, tests,
};

pub const TESTS: &[Test] = tests![
    python_reads_the_same_verdicts,
    the_schema_itself_accepts_every_report,
    the_schema_refuses_properties_of_cases
];

/// Runs a tool over every report that is hard to read, if this machine has it.
fn with_tool(name: &str, style: &Style, command: impl Fn(&Path) -> Command) -> Tested {
    let folder = folder(name);
    let junit = FORMATS.iter().find(|format| format.option == "junit").expect("a format");
    let runs = hostile().into_iter().map(|text| run_full_of(&text)).chain([fixture::mixed(), vec![fixture::started()]]);
    for (n, events) in runs.enumerate() {
        let path = folder.join(format!("{n}.xml"));
        let run = Arc::new(Run::from_events(events));
        write_atomic(&path, |out| (junit.write)(&run, style, out)).expect("written");
        match command(&path).output() {
            Ok(output) => assert!(output.status.success(), "{name} {n}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => return Err(NotTested::because(format!("{name} does not start: {error}"))),
        }
    }
    Ok(())
}

fn python_reads_the_same_verdicts() -> Tested {
    const SCRIPT: &str = "
import sys, xml.etree.ElementTree as tree
cases = tree.parse(sys.argv[1]).getroot().findall('testsuite/testcase')
found = [[c.tag for c in case if c.tag in ('failure', 'error', 'skipped')] for case in cases]
assert all(len(verdicts) <= 1 for verdicts in found), found
assert len(cases) in (0, 45) or found == [[], ['failure'], ['error'], ['skipped']], found
";
    [("python3", false), ("python3-properties", true)].into_iter().try_for_each(|(name, case_properties)| {
        with_tool(name, &Style { case_properties, ..Style::default() }, |path| {
            let mut command = Command::new("python3");
            command.args(["-c", SCRIPT]).arg(path);
            command
        })
    })
}

/// The schema is not ours to ship: name it in VFIOSPEC_JUNIT_XSD, or lay it beside the checkout.
fn schema() -> Result<PathBuf, NotTested> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/junit-10.xsd");
    let schema = std::env::var_os("VFIOSPEC_JUNIT_XSD").map_or(beside, PathBuf::from);
    if !schema.exists() {
        return Err(NotTested("junit-10.xsd is missing: set VFIOSPEC_JUNIT_XSD to its path".into())); // nor has CI to have it
    }
    Ok(schema)
}

/// One error for each case, as `reports/README.md` says; the default style has none.
fn the_schema_refuses_properties_of_cases() -> Tested {
    let path = folder("refused").join("junit.xml");
    let junit = FORMATS.iter().find(|format| format.option == "junit").expect("a format");
    let run = Arc::new(Run::from_events(fixture::mixed()));
    let style = Style { case_properties: true, ..Style::default() };
    write_atomic(&path, |out| (junit.write)(&run, &style, out)).expect("written");
    let output = Command::new("xmllint").arg("--noout").arg("--schema").arg(schema()?).arg(&path).output();
    let output = output.map_err(|error| NotTested::because(format!("xmllint does not start: {error}")))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let (refused, others): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|line| line.contains("Element 'properties': This element is not expected."));
    assert_eq!((refused.len(), others.len()), (45, 1), "one for each case, and the last line: {told}");
    Ok(())
}

fn the_schema_itself_accepts_every_report() -> Tested {
    let schema = schema()?;
    with_tool("xmllint", &Style::default(), |path| {
        let mut command = Command::new("xmllint");
        command.arg("--noout").arg("--schema").arg(&schema).arg(path);
        command
    })
}
