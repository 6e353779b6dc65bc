// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file's mistakes of form leave open: which further complaints about its rest would only follow from them.
//!
//! A file with a mistake is checked all the same, with what is wrong left out or made up, so that all its mistakes are said in one go.
//! A complaint is kept unless it may be one of these: about a value that is wrong already, about something missing where a key beside
//! it could not be read, or about a name that stands in what could not be read.

use std::collections::BTreeSet;

use super::diagnostic::Diagnostic;
use super::node::{Node, Value};
use super::path::{Path, Segment};
use crate::model::code::Code;

/// Keys whose presence decides what is expected beside them, besides those of the document's own.
const LEANED_ON: [&str; 9] = ["region", "expect", "regions", "steps", "memory", "size", "align", "name", "backends"];

/// The mistakes of form of one file.
pub(in crate::language) struct Wounds {
    list: Vec<(Path, Code)>,
    /// Every key and text in what could not be read.
    mentioned: BTreeSet<String>,
    /// Further keys that are leaned on, such as the verbs of steps.
    leaned_on: &'static [&'static str],
}

impl Wounds {
    pub fn new(root: &Node, found: &[Diagnostic], supplied: Vec<Path>, leaned_on: &'static [&'static str]) -> Self {
        let mut mentioned = BTreeSet::new();
        for problem in found {
            let keys = problem.path.segments().iter().filter_map(|segment| match segment {
                Segment::Key(key) => Some(key.to_string()),
                Segment::Index(_) => None,
            });
            mentioned.extend(keys);
            root.at(&problem.path).into_iter().for_each(|node| mention(node, &mut mentioned));
        }
        let reported = found.iter().map(|problem| (problem.path.clone(), problem.code));
        let list = reported.chain(supplied.into_iter().map(|path| (path, Code::MissingKey))).collect();
        Wounds { list, mentioned, leaned_on }
    }

    /// Whether a complaint of the check may only follow from a mistake of form.
    pub fn explain(&self, problem: &Diagnostic) -> bool {
        let path = &problem.path;
        if self.list.iter().any(|(wound, _)| wound.starts_with(path) || path.starts_with(wound)) {
            return true;
        }
        match problem.code {
            Code::UnknownName | Code::UnknownRegion | Code::UnknownProcedure | Code::UnknownRole => {
                problem.subject.as_ref().is_some_and(|name| self.mentioned.contains(name))
            }
            // What was given could not be read.
            Code::MissingArgument => {
                let with = path.parent().unwrap_or_default().join("with");
                let argument = problem.subject.as_ref().map(|name| with.join(name.as_str()));
                self.list.iter().any(|(wound, _)| *wound == with || argument.as_ref() == Some(wound))
            }
            Code::Expression | Code::BadSize => false,
            Code::UnmatchedBackend | Code::Unreachable
                if self.list.iter().any(|(wound, _)| wound.segments().len() <= 1) =>
            {
                true
            }
            Code::UnmatchedBackend | Code::Unreachable => {
                let backends = Path::root().join("backends");
                self.list.iter().any(|(wound, _)| wound.starts_with(&backends)) || self.is_beside(path)
            }
            // Whatever could not be read may have used it.
            Code::UnusedRegion | Code::UnusedRequest | Code::UnusedValue => {
                let case = path.parent().and_then(|regions| regions.parent());
                case.is_some_and(|case| self.list.iter().any(|(wound, _)| wound.starts_with(&case)))
            }
            _ => self.is_beside(path),
        }
    }

    /// Whether something beside a path could not be read that may have changed what is expected there.
    fn is_beside(&self, path: &Path) -> bool {
        self.list.iter().any(|(wound, code)| {
            let leaned_on = matches!(wound.last(), Some(Segment::Key(key)) if LEANED_ON.contains(&&**key) || self.leaned_on.contains(&&**key));
            wound.parent() == path.parent() && (leaned_on || matches!(code, Code::UnknownKey | Code::MissingKey | Code::MergeKey))
        })
    }
}

fn mention(node: &Node, words: &mut BTreeSet<String>) {
    match node.value() {
        Value::Text(text) | Value::Unquoted(text) => {
            words.insert(text.clone());
        }
        Value::Sequence(elements) => elements.iter().for_each(|element| mention(element, words)),
        Value::Mapping(entries) => entries.iter().for_each(|(key, value)| {
            words.insert(key.text.clone());
            mention(value, words);
        }),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
