// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a verdict says nothing about: checks that were not made, observers that could not look, backends in disguise.

use crate::{event::CaseResult, model::ANY_BACKEND, model::Observed};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    pub kind: NoteKind,
    /// The check, the observer, or the backend that was asked for.
    pub what: String,
    /// Why, or the backend that it really is.
    pub reason: String,
}

/// What a [`Note`] is about, the most important kind first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    NotMade,
    NotObserved,
    ByChoice,
    /// A backend that is another one than its name says.
    Disguised,
}

impl NoteKind {
    /// Whether the case has proved less than its scenario asks for.
    pub fn is_gap(self) -> bool {
        matches!(self, Self::NotMade | Self::NotObserved)
    }
}

impl Note {
    /// The notes on the result of a case that was planned on `backend`.
    pub fn all(backend: &str, result: &CaseResult) -> Vec<Note> {
        let note = |kind, what: &str, reason: &str| Note { kind, what: what.into(), reason: reason.into() };
        let unchecked = result.unchecked.iter().map(|unchecked| {
            let kind = if unchecked.by_choice { NoteKind::ByChoice } else { NoteKind::NotMade };
            note(kind, &unchecked.what, &unchecked.reason)
        });
        let blind = result.observers.iter().filter(|seen| seen.state == Observed::Unchecked);
        let blind =
            blind.map(|seen| note(NoteKind::NotObserved, &seen.observer, seen.detail.as_deref().unwrap_or_default()));
        // Where any would do, it is no other one.
        let disguise = result
            .true_backend
            .iter()
            .filter(|_| backend != ANY_BACKEND)
            .map(|truth| note(NoteKind::Disguised, backend, truth));
        unchecked.chain(blind).chain(disguise).collect()
    }

    pub fn line(&self) -> String {
        let Self { what, reason, .. } = self;
        match self.kind {
            NoteKind::NotMade => format!("{what} not checked: {reason}"),
            NoteKind::NotObserved => format!("{what} not observed: {reason}"),
            NoteKind::ByChoice => format!("{what} not checked by choice: {reason}"),
            NoteKind::Disguised => format!("{what} is {reason} on this kernel"),
        }
    }

    /// The note on `count` cases, with the count where it belongs in the sentence.
    pub fn counted(&self, count: usize) -> String {
        match self.kind {
            NoteKind::NotMade | NoteKind::ByChoice => format!("{count} {}", self.beside(count)),
            NoteKind::NotObserved | NoteKind::Disguised => self.beside(count),
        }
    }

    /// The note on `count` cases, to stand beside that count.
    pub fn beside(&self, count: usize) -> String {
        let Self { what, reason, .. } = self;
        let s = if count == 1 { "" } else { "s" };
        match self.kind {
            NoteKind::NotMade => format!("{what} check{s} not made: {reason}"),
            NoteKind::NotObserved => format!("{what} not observed in {count} case{s}: {reason}"),
            NoteKind::ByChoice => format!("{what} check{s} left out by choice: {reason}"),
            NoteKind::Disguised => format!(
                "{what} is {reason} here: IOMMUFD plays /dev/vfio/vfio (CONFIG_IOMMUFD_VFIO_CONTAINER), and {count} \
                 case{s} expected what {reason} does"
            ),
        }
    }
}
