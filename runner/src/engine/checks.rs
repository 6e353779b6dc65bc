// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case checks: outcomes of calls, page sizes and absence in the IOMMU's page table, expressions.

use minijinja::{Value, value::ValueKind};

use super::{
    case::{Execution, Got},
    failure::{End, Problem},
    fixture::Open,
    observers::{broken, held, unchecked},
};
use crate::{
    event::Unchecked,
    host::page_table::{Leaf, Observer},
    language::{Outcome, Path, Size},
    model::code::Code,
    plan::PlannedStep,
    uapi::Call,
};

impl Execution<'_> {
    /// Holds what a call gave against what is expected.
    pub fn compare(&mut self, verb: &str, planned: &PlannedStep, got: Got) -> Result<(), End> {
        if planned.outcome == Outcome::Either {
            return Ok(()); // nothing is checked
        }
        self.checks += 1;
        let mut expected = planned.outcome.to_string();
        let mut bytes = None;
        if let Outcome::Bytes(size) = &planned.outcome {
            let size = self.size(size, &planned.outcome_at)?;
            expected = format!("success and {}", amount(size));
            bytes = Some(size);
        }
        let right = match (&planned.outcome, &got) {
            (Outcome::Ok, Ok(_)) | (Outcome::Fails, Err(_)) => true,
            (Outcome::Errno(errnos), Err(errno)) => errnos.contains(errno),
            (Outcome::Bytes(_), Ok(reported)) => *reported == bytes,
            _ => false,
        };
        if right {
            return Ok(());
        }
        let got = match got {
            Ok(None) => "success".to_owned(),
            Ok(Some(reported)) => format!("success and {}", amount(reported)),
            Err(errno) => errno.to_string(),
        };
        let problem =
            Problem::new(Code::Outcome, planned.outcome_at.clone(), format!("{verb} gave {got}, expected {expected}"));
        Err(End::Failed(problem.label(format!("expected {expected} on {}", self.backend))))
    }

    /// The leaves behind a range; `None` and a note where nothing shows them.
    pub fn leaves(
        &mut self,
        what: &str,
        iova: u64,
        size: u64,
        open: &Open,
        at: &Path,
    ) -> Result<Option<Vec<Leaf>>, End> {
        match &open.observer {
            Ok(observer) => self.looked(observer, iova, size, at).map(Some),
            Err(reason) => {
                self.unchecked.push(Unchecked { what: what.into(), reason: reason.clone(), by_choice: false });
                Ok(None)
            }
        }
    }

    /// Looks at the IOMMU's page table.
    fn looked(&self, observer: &Observer, iova: u64, size: u64, at: &Path) -> Result<Vec<Leaf>, End> {
        let leaves = observer.leaves(iova, size);
        let leaves = leaves.map_err(|error| End::Error(Problem::new(Code::Observer, at.clone(), error.to_string())))?;
        self.tracer.show(|| Call {
            name: "page_table",
            fields: format!("iova={iova:#x}, size={size:#x}"),
            result: entries(&leaves),
            failed: false,
        });
        Ok(leaves)
    }

    /// Holds the IOMMU's page table against what is mapped, if anything has changed since it was last looked at.
    pub fn look_at_leaves(&mut self, open: &Open, at: &Path, end: bool) -> Result<(), End> {
        let Ok(observer) = &open.observer else { return Ok(()) };
        if !self.mappings.due(end) || self.mappings.blind().is_some() {
            return Ok(());
        }
        // From 0 to the top: what was not asked for counts too.
        let leaves = self.looked(observer, 0, u64::MAX, at)?;
        self.mappings.hold(&leaves, &open.iova_ranges).map_err(|wrong| {
            self.observers.push(broken("leaves", wrong.clone()));
            let problem = Problem::new(Code::Leaves, at.clone(), wrong).label("after this");
            End::Failed(
                problem.help("after every map and unmap the page table has to show what is mapped, and nothing else"),
            )
        })
    }

    /// What came of looking at the page table, for the result.
    pub fn tell_leaves(&mut self, open: &Open) {
        if self.observers.iter().any(|seen| seen.observer == "leaves") {
            return;
        }
        self.observers.push(match (&open.observer, self.mappings.blind()) {
            (Err(reason), _) => unchecked("leaves", reason.clone()),
            (Ok(_), Some(reason)) if self.mappings.any() => unchecked("leaves", reason),
            _ => held("leaves"),
        });
    }

    /// What an unmap reports has to be what it unmapped.
    pub fn reported(&mut self, reported: Result<(), String>, planned: &PlannedStep) -> Result<(), End> {
        reported.map_err(|wrong| {
            self.observers.push(broken("leaves", wrong.clone()));
            End::Failed(Problem::new(Code::Reported, planned.outcome_at.clone(), wrong).label("of this call"))
        })
    }
}

/// A value as people who know its register or its address would write it: numbers from 4096 on in hex, and small ones in decimal.
pub fn readable(value: &Value) -> String {
    let list = |items: Vec<String>, [open, close]: [&str; 2]| {
        let rest = items.len().saturating_sub(MOST_SHOWN);
        let mut text = items.into_iter().take(MOST_SHOWN).collect::<Vec<_>>().join(", ");
        if rest > 0 {
            text += &format!(", and {rest} more");
        }
        format!("{open}{text}{close}")
    };
    match value.kind() {
        ValueKind::Number => match u64::try_from(value.clone()) {
            Ok(number) if number >= 4096 => format!("{number:#x}"),
            _ => value.to_string(),
        },
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::String => format!("'{value}'"),
        ValueKind::Map => {
            let entry = |key: Value| {
                let value = value.get_item(&key).unwrap_or(Value::UNDEFINED);
                format!("{key}: {}", readable(&value))
            };
            list(value.try_iter().into_iter().flatten().map(entry).collect(), ["{", "}"])
        }
        ValueKind::Seq | ValueKind::Iterable => {
            list(value.try_iter().into_iter().flatten().map(|item| readable(&item)).collect(), ["[", "]"])
        }
        _ => value.to_string(),
    }
}

/// So many elements of a value are shown.
const MOST_SHOWN: usize = 16;

/// How many bytes, readable and exact.
pub fn amount(bytes: u64) -> String {
    match bytes {
        0..4096 => format!("{bytes} bytes"),
        _ => Size(bytes).to_string(),
    }
}

/// Entries of a page table in one line.
fn entries(leaves: &[Leaf]) -> String {
    let shown = leaves.iter().take(MOST_SHOWN).map(|leaf| format!("{:#x}: {}", leaf.iova, Size(leaf.page_size)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match leaves.len() {
        0 => "no entry".to_owned(),
        1 => format!("1 entry {{{shown}}}"),
        count if count <= MOST_SHOWN => format!("{count} entries {{{shown}}}"),
        count => format!("{count} entries {{{shown}, …}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_shown_in_hex_and_a_count_in_decimal() {
        let read = Value::from_pairs([("value", 0x8100_0000_u64), ("count", 7)]);
        assert_eq!(readable(&read), "{count: 7, value: 0x81000000}");
        assert_eq!(readable(&Value::from(u64::MAX)), "0xffffffffffffffff");
        assert_eq!(readable(&Value::from(-5)), "-5");
        assert_eq!(readable(&Value::from("edu")), "'edu'");
        assert_eq!(readable(&Value::from(vec![4096_u64, 1])), "[0x1000, 1]");
        assert!(readable(&Value::from(vec![1; 200])).ends_with(", 1, and 184 more]"));
        assert_eq!(readable(&Value::from(true)), "true");
    }
}
