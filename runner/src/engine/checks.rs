//! What a case checks: outcomes of calls, page sizes and absence in the IOMMU's page table, expressions.

use std::collections::BTreeSet;

use minijinja::{Value, value::ValueKind};

use super::{
    case::{Execution, Got},
    failure::{End, Problem},
    fixture::Open,
    observers::{broken, held, unchecked},
};
use crate::model::code::Code;
use crate::{
    event::Unchecked,
    host::leaves::{Leaf, Observer},
    language::{self, Dynamic, Outcome, Pagesize, Path, Range, Size},
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

    pub fn pagesize(&mut self, pagesize: &Pagesize, planned: &PlannedStep, open: &Open) -> Result<(), End> {
        let at = planned.at.join("pagesize");
        let iova = self.size(&pagesize.iova, &at.join("iova"))?;
        let size = self.size(&pagesize.size, &at.join("size"))?;
        let expected = self.size(&pagesize.is, &planned.outcome_at)?;
        if self.options.skip_pagesize {
            let reason = "the scenario sets skip_pagesize for the backend".to_owned();
            self.unchecked.push(Unchecked { what: "pagesize".into(), reason, by_choice: true });
            return Ok(());
        }
        some_bytes(size, &at)?;
        let Some(leaves) = self.leaves("pagesize", iova, size, open, &planned.outcome_at)? else { return Ok(()) };
        self.checks += 1;
        let covered: u64 = leaves.iter().map(|leaf| overlap(leaf.iova, leaf.page_size, iova, size)).sum();
        let wrong = leaves.iter().find(|leaf| leaf.page_size != expected);
        let title = match wrong {
            Some(leaf) => {
                let sizes: BTreeSet<u64> = leaves.iter().map(|leaf| leaf.page_size).collect();
                let sizes: Vec<_> = sizes.into_iter().map(|size| Size(size).to_string()).collect();
                format!(
                    "the page size is {} (at iova {:#x}), expected {}",
                    sizes.join(" and "),
                    leaf.iova,
                    Size(expected)
                )
            }
            None if covered < size => {
                let (iova, size, covered) = (iova, amount(size), amount(covered));
                format!("the IOMMU's page table has entries for {covered} of the {size} at iova {iova:#x}")
            }
            None => return Ok(()),
        };
        let problem = Problem::new(Code::Pagesize, planned.outcome_at.clone(), title);
        Err(End::Failed(problem.label(format!("expected {} on {}", Size(expected), self.backend))))
    }

    pub fn gone(&mut self, gone: &Range, planned: &PlannedStep, open: &Open) -> Result<(), End> {
        let at = planned.at.join("gone");
        let iova = self.size(&gone.iova, &at.join("iova"))?;
        let size = self.size(&gone.size, &at.join("size"))?;
        some_bytes(size, &at)?;
        let Some(leaves) = self.leaves("gone", iova, size, open, &planned.outcome_at)? else { return Ok(()) };
        self.checks += 1;
        let Some(leaf) = leaves.first() else { return Ok(()) };
        let title = format!(
            "the IOMMU's page table still has an entry of {} at iova {:#x}, expected none in {} from {iova:#x} on",
            Size(leaf.page_size),
            leaf.iova,
            amount(size)
        );
        Err(End::Failed(
            Problem::new(Code::NotGone, planned.outcome_at.clone(), title).label("expected nothing mapped after this"),
        ))
    }

    /// The leaves behind a range; `None` and a note where nothing shows them.
    fn leaves(&mut self, what: &str, iova: u64, size: u64, open: &Open, at: &Path) -> Result<Option<Vec<Leaf>>, End> {
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
            micros: 0,
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

    pub fn check(&mut self, check: &Dynamic<bool>, at: &Path) -> Result<(), End> {
        let at = at.join("check");
        self.checks += 1;
        let truth = check.resolve(&self.scope).map_err(|error| End::Error(Problem::expression(at.clone(), &error)))?;
        if truth {
            return Ok(());
        }
        let mut problem = Problem::new(Code::Check, at, "the check is not true").label("expected true");
        if let Dynamic::Expression(source) = check {
            let names = language::undeclared(source).unwrap_or_default();
            for name in names.iter().map(|name| name.name.as_str()).collect::<BTreeSet<_>>() {
                if let Some(value) = self.scope.get(name) {
                    problem = problem.help(format!("{name} is {}", readable(value)));
                }
            }
        }
        Err(End::Failed(problem))
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

/// How many bytes a leaf covers of a range.
fn overlap(leaf: u64, page_size: u64, iova: u64, size: u64) -> u64 {
    let end = leaf.saturating_add(page_size).min(iova.saturating_add(size));
    end.saturating_sub(leaf.max(iova))
}

/// A range of no bytes has every page size and is always gone: to look at it would check nothing.
fn some_bytes(size: u64, at: &Path) -> Result<(), End> {
    match size {
        0 => Err(End::Error(
            Problem::new(Code::OutOfRange, at.join("size"), "a range of 0 bytes checks nothing")
                .label("expected at least one byte"),
        )),
        _ => Ok(()),
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
