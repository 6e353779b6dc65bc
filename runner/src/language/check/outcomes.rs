// SPDX-License-Identifier: MIT OR Apache-2.0
//! Outcomes and tables by backend: one for every backend, and none that no backend can reach.

use super::Checker;
use crate::language::{ByBackend, Diagnostic, Dynamic, Expect, Outcome, Path, Target};
use crate::{language::text::suggest, model::BackendName, model::code::Code};

impl Checker<'_> {
    /// `reports` is whether the call reports bytes.
    pub(super) fn outcomes(
        &mut self,
        path: &Path,
        outcomes: &ByBackend<Dynamic<Outcome>>,
        backends: &[BackendName],
        reports: bool,
    ) {
        self.table(path, outcomes, backends);
        if reports {
            return;
        }
        let misplaced: Vec<Path> = match outcomes {
            ByBackend::All(Dynamic::Is(Outcome::Bytes(_))) => vec![path.join("bytes")],
            ByBackend::All(_) => Vec::new(),
            ByBackend::Table(table) => {
                let bytes = table.iter().filter(|(_, outcome)| matches!(outcome, Dynamic::Is(Outcome::Bytes(_))));
                bytes.map(|(key, _)| path.join(key.0.as_str()).join("bytes")).collect()
            }
        };
        for at in misplaced {
            self.say(
                Diagnostic::error(Code::MisplacedKey, at, "this call reports no bytes")
                    .at(Target::Key)
                    .label("expected only of `unmap`, `unmap_all`, `pread`, `pwrite`, `read` and `write`")
                    .help("write `ok` for success"),
            );
        }
    }

    /// What is expected once the map has succeeded, where it never does.
    pub(super) fn after_map(&mut self, path: &Path, expect: &Expect, backends: &[BackendName]) {
        let Some(map) = &expect.map else { return };
        let fails = |&backend: &BackendName| {
            map.get(backend).and_then(|(_, outcome)| outcome.literal()).is_some_and(|outcome| *outcome != Outcome::Ok)
        };
        if backends.is_empty() || !backends.iter().all(fails) {
            return;
        }
        for (key, given) in [("pagesize", expect.pagesize.is_some()), ("unmap", expect.unmap.is_some())] {
            if given {
                self.say(
                    Diagnostic::error(Code::Unreachable, path.join(key), format!("`{key}` is never looked at"))
                        .at(Target::Key)
                        .label("expected a `map` that succeeds on some backend")
                        .note(path.join("map"), Target::Key, "nothing is mapped after this")
                        .help(format!("remove `{key}`, or expect the map to be `ok`")),
                );
            }
        }
    }

    pub(super) fn table<T>(&mut self, path: &Path, values: &ByBackend<T>, backends: &[BackendName]) {
        let ByBackend::Table(table) = values else { return };
        // For each backend the key that counts.
        let first = |&backend: &BackendName| table.iter().position(|(pattern, _)| pattern.matches(backend));
        let counts: Vec<Option<usize>> = backends.iter().map(first).collect();
        let missing = backends.iter().zip(&counts).filter(|(_, counts)| counts.is_none());
        let missing: Vec<&str> = missing.map(|(backend, _)| backend.as_str()).collect();
        if !missing.is_empty() {
            self.say(
                Diagnostic::error(
                    Code::UnmatchedBackend,
                    path.clone(),
                    format!("nothing is said for {}", suggest::join(missing.iter().copied(), "and")),
                )
                .at(Target::Key)
                .label("expected a key for every backend that the case runs on")
                .help(match missing.as_slice() {
                    [only] => format!("add `{only}: …`, or `\"*\": …` for all others"),
                    _ => "add them, or `\"*\": …` for all others".to_owned(),
                }),
            );
        }
        for (index, (pattern, _)) in table.iter().enumerate() {
            if counts.contains(&Some(index)) {
                continue;
            }
            let path = || path.join(pattern.0.as_str());
            if !pattern.matches_any() {
                self.unknown_backend(path(), Target::Key, pattern);
                continue;
            }
            if !backends.iter().any(|&backend| pattern.matches(backend)) {
                self.say(
                    Diagnostic::error(
                        Code::Unreachable,
                        path(),
                        format!("`{}` matches no backend of this case", pattern.0),
                    )
                    .at(Target::Key)
                    .label(suggest::expected_one_of(backends.iter().map(|name| name.as_str())))
                    .help("remove the key, or add the backend to `backends`"),
                );
                continue;
            }
            // The keys above that count for what it means.
            let mut earlier: Vec<&str> = Vec::new();
            let meant = backends.iter().zip(&counts).filter(|(backend, _)| pattern.matches(**backend));
            for (above, _) in meant.filter_map(|(_, counts)| counts.map(|counts| &table[counts])) {
                if !earlier.contains(&above.0.as_str()) {
                    earlier.push(&above.0);
                }
            }
            let help = match earlier.as_slice() {
                [only] if *only != pattern.0 => {
                    format!("the first key that matches counts: write `{}` above `{only}`, or remove it", pattern.0)
                }
                _ => "the first key that matches counts: remove this one".to_owned(),
            };
            let above = suggest::join(earlier.iter().copied(), "and");
            self.say(
                Diagnostic::error(Code::Unreachable, path(), format!("`{}` is never reached", pattern.0))
                    .at(Target::Key)
                    .label(format!(
                        "expected a backend that {above} above {} not match",
                        if earlier.len() == 1 { "does" } else { "do" }
                    ))
                    .help(help),
            );
        }
    }
}
