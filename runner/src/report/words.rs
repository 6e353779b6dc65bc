// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words that several reports share.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::event::{Attempt, RunStarted};
use crate::report::run::{Case, Counts, Run};
use crate::{model::Verdict, report::note::Note};

pub const NO_REASON: &str = "no reason given";

/// The kernel's release, with its architecture unless that is the usual one, such as `7.3.4 aarch64`.
pub fn kernel(started: &RunStarted) -> String {
    match started.arch.as_str() {
        "" | "x86_64" => started.kernel.clone(),
        arch => format!("{} {arch}", started.kernel),
    }
}

/// Kernel, IOMMU, devices and lab, in one line.
pub fn place(started: &RunStarted) -> String {
    let RunStarted { iommu, devices, lab, .. } = started;
    let kernel = kernel(started);
    let kernel = (!kernel.is_empty()).then(|| format!("Linux {kernel}"));
    let iommu = (!iommu.is_empty()).then(|| format!("iommu {iommu}"));
    let devices = devices.iter().map(|device| format!("{} {} at {}", device.name, device.ids, device.bdf));
    let lab = lab.iter().map(|lab| format!("lab: {lab}"));
    kernel.into_iter().chain(iommu).chain(devices).chain(lab).collect::<Vec<_>>().join(", ")
}

/// When a run began, in seconds as of RFC 3339, such as `2025-10-09T08:53:20Z`.
pub fn begin(started_ms: u64) -> String {
    let second = i64::try_from(started_ms / 1000).unwrap_or_default();
    let begin = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    begin.format(&Rfc3339).expect("a date in the range that RFC 3339 has")
}

/// An attempt in one line; the first one has the number 1.
pub fn attempt_line(number: usize, attempt: &Attempt) -> String {
    let how = match attempt.verdict {
        Verdict::Passed | Verdict::Flaky => "passed",
        _ => attempt.message.as_deref().unwrap_or(NO_REASON),
    };
    format!("attempt {number}, {} ms: {how}", attempt.micros / 1000)
}

/// The counts of these verdicts without those of 0, such as `2 failed` and `1 without verdict`.
pub fn counted(counts: &Counts, verdicts: impl IntoIterator<Item = Verdict>) -> Vec<String> {
    let found = verdicts.into_iter().filter(|verdict| counts.of(*verdict) > 0);
    found.map(|verdict| format!("{} {}", counts.of(verdict), verdict.counted())).collect()
}

/// What stands before a time: nothing for one run, else how many runs took it.
pub fn runs(run: &Run) -> String {
    match run.parts().count() {
        0 | 1 => String::new(),
        several => format!(" {several} runs of"),
    }
}

/// Something that cases share, and their indices in [`Run::cases`].
pub type Shared<T> = (T, Vec<u32>);

pub fn skips(run: &Run) -> Vec<Shared<Arc<str>>> {
    shared(run, |case| {
        let reason = || case.reason.clone().unwrap_or_else(|| NO_REASON.into());
        (case.verdict == Verdict::Skipped).then(reason)
    })
}

/// All notes, the most important kind first. A case that has the same note twice counts twice.
pub fn notes(run: &Run) -> Vec<Shared<&Note>> {
    let mut notes = shared(run, |case| case.notes.iter());
    notes.sort_by_key(|(note, _)| note.kind);
    notes
}

fn shared<'a, T: Clone + Eq + Hash, I: IntoIterator<Item = T>>(
    run: &'a Run,
    of: impl Fn(&'a Case) -> I,
) -> Vec<Shared<T>> {
    let mut all: Vec<Shared<T>> = Vec::new();
    let mut place: HashMap<T, usize> = HashMap::new();
    for (number, case) in (0..).zip(&run.cases) {
        for item in of(case) {
            let at = *place.entry(item.clone()).or_insert_with(|| {
                all.push((item, Vec::new()));
                all.len() - 1
            });
            all[at].1.push(number);
        }
    }
    all
}
