// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with one file.

use super::diagnostic::Diagnostic;

/// The most diagnostics of one file.
const MOST: usize = 100;
/// What is wrong with one file, at most 100 diagnostics.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Diagnostic>,
}

impl Problems {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Problems::default()
    }

    /// Adds one, unless it is known or there are too many.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MOST && !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Whether no more is kept.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All that was found, in the order in which it was.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.list
    }

    /// All that was found.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.list
    }
}

impl Extend<Diagnostic> for Problems {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}
