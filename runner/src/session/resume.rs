// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--resume`: continues the run of a journal.

use super::{Course, Failure};
use crate::event::{CaseResult, DeviceUsed, Event, PlannedCase, RunStarted};
use crate::{engine::Schedule, engine::schedule::Past, host::pstore, plan::Plan, report::journal, sanitize::line};

const HELP: &str = "give scenarios, devices, filters and --var as they were, or begin a new run without --resume";

pub struct Resumed {
    pub events: Vec<Event>,
    pub past: Past,
}

impl Resumed {
    /// Reads the journal of `--resume`; `None` without it, or where the run had not come to its first case: then it begins anew. Fails if
    /// the run cannot go on with these cases.
    pub fn read(course: &Course, plan: &Plan, selected: &[u32], scenarios: &str) -> Result<Option<Resumed>, Failure> {
        const RESUME: &str = "--resume goes on with the run that a journal tells of; without it a new run begins";
        let Some(journal) = &course.resume else { return Ok(None) };
        let events = journal::read_file(journal).map_err(|error| Failure::usage(error, RESUME))?;
        let past = Past::of(&events);
        if past.finished.is_empty() && past.running.is_empty() {
            return Ok(None);
        }
        match differs(&past, plan, selected, scenarios) {
            None => Ok(Some(Resumed { events, past })),
            Some(what) => Err(refused(&what)),
        }
    }
}

fn differs(past: &Past, plan: &Plan, selected: &[u32], scenarios: &str) -> Option<String> {
    let mut now: Vec<&PlannedCase> = selected.iter().map(|case| &plan.cases[*case as usize].id).collect();
    now.sort_unstable_by_key(|planned| planned.case);
    let other = now.iter().zip(&past.planned).find(|(now, then)| now.id() != then.id() || now.case != then.case);
    if let Some((now, then)) = other {
        return Some(format!("its next case was {}, and is {} now", then.id(), now.id()));
    }
    if now.len() != past.planned.len() {
        return Some(format!("it had {} cases, and {} are selected now", past.planned.len(), now.len()));
    }
    (past.started.scenarios != scenarios).then(|| "the scenarios or their variables were changed since".to_owned())
}

fn refused(what: &str) -> Failure {
    Failure::usage(format!("failed to go on with the journal's run: {}", line(what)), HELP)
}

impl Resumed {
    /// Fails on another machine, or on the same in another state: its results would not be of the same run.
    pub fn same_machine(&self, now: &RunStarted, devices: &[DeviceUsed]) -> Result<(), Failure> {
        let then = &self.past.started;
        let ids = |devices: &[DeviceUsed]| -> Vec<String> {
            devices.iter().map(|device| format!("{} {}", device.name, device.ids)).collect()
        };
        for (what, then, now) in [
            ("the kernel", then.kernel.clone(), now.kernel.clone()),
            ("the host", then.hostname.clone(), now.hostname.clone()),
            ("the devices", ids(&then.devices).join(", "), ids(devices).join(", ")),
        ] {
            if then != now {
                return Err(refused(&format!("{what} was {then}, and is {now} now")));
            }
        }
        Ok(())
    }

    /// Takes out of the schedule what is done; returns the results of the cases that are to blame for the end.
    pub fn go_on(&mut self, schedule: &mut Schedule, boot: &str, retry_died: bool) -> Vec<CaseResult> {
        let mut blamed = self.past.blame(boot, retry_died);
        schedule.go_on(&self.past);
        let words = if blamed.is_empty() { None } else { pstore::last_words(self.past.since) };
        for result in &mut blamed {
            let mut message = result.message.take().unwrap_or_default();
            if let Some(cause) = words.as_deref().and_then(pstore::cause) {
                message.push_str(&format!(": {cause}"));
            }
            let planned = self.past.planned.iter().find(|planned| planned.case == result.case);
            result.at = planned.map(|planned| format!("{}:{}", planned.file, planned.line));
            let place = result.at.as_ref().map(|at| format!("\n  --> {at}")).unwrap_or_default();
            let words = words.as_ref().map_or_else(
                || "\nthe machine kept nothing of its last words (pstore has no record of this time)".to_owned(),
                |words| format!("\nits last words:\n{words}"),
            );
            result.detail = Some(format!("{message}{place}{words}"));
            result.message = Some(message);
        }
        blamed
    }
}
