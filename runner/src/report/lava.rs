// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals of LAVA's test shell: a line for each case, which LAVA reads from the console of the device under test.
//!
//! A signal is split at spaces, and each of its parts at its only `=`; two results of one name end the job (`handle_testcase` and
//! `signal_test_case` in lava_dispatcher/actions/test/shell.py). So names keep letters, digits and a few signs, and are made unique.

use std::collections::HashSet;
use std::io::{self, Write};

use crate::model::Verdict;
use crate::report::format::{Format, Style};
use crate::report::run::Run;

pub(super) const FORMAT: Format = Format {
    name: "LAVA",
    option: "lava",
    help: "Write signals of LAVA's test shell, most likely to `-`, the standard output",
    write: |run, _: &Style, out| write(run, out),
};

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut taken = HashSet::new();
    for case in &run.cases {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '_' };
        let name: String = run.id(case).chars().map(plain).collect();
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let name = [name.clone()].into_iter().chain(numbered).find(|name| !taken.contains(name));
        let name = name.expect("there are more numbers than names");
        let result = match case.verdict {
            Verdict::Passed => "pass",
            Verdict::Failed => "fail",
            // It has no result between good and bad, apart from these two.
            Verdict::Skipped | Verdict::KnownIssue | Verdict::Flaky => "skip",
            Verdict::Error => "unknown",
        };
        let seconds = format!("{}.{:03}", case.micros / 1_000_000, case.micros / 1000 % 1000);
        writeln!(
            out,
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={result} UNITS=seconds MEASUREMENT={seconds}>"
        )?;
        taken.insert(name);
    }
    Ok(())
}
