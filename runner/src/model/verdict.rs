// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a case and an observation end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a case ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was expected came true.
    Passed,
    /// The kernel did something else than the scenario expects.
    Failed,
    /// No verdict on the kernel: setup failed, the device vanished, the worker died of our own bug.
    #[default]
    Error,
    /// The case cannot apply here.
    Skipped,
    /// It failed as its `known_issue` says, which is neither a pass nor news.
    KnownIssue,
    /// It passed, and not at the first attempt (`--retries`).
    Flaky,
}

impl Verdict {
    /// All of them, the gravest first.
    pub const ALL: [Self; 6] = [Self::Failed, Self::Error, Self::Flaky, Self::KnownIssue, Self::Skipped, Self::Passed];

    /// One character that says it without a colour.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Failed => "✗",
            Self::Error => "!",
            Self::Flaky => "~",
            Self::KnownIssue => "≈",
            Self::Skipped => "–",
            Self::Passed => "✓",
        }
    }

    /// What it means, as in a legend.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Error => "no verdict",
            Self::Flaky => "flaky",
            Self::KnownIssue => "known issue",
            Self::Skipped => "skipped",
            Self::Passed => "passed",
        }
    }

    /// What a count of it is called, as in `2 without verdict`.
    pub fn counted(self) -> &'static str {
        match self {
            Self::Error => "without verdict",
            Self::KnownIssue => "as a known issue",
            other => other.meaning(),
        }
    }
}

/// What came of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// It looked, and all was as it has to be.
    Held,
    /// It saw what must not be: the case failed.
    Broken,
    /// It could not look.
    Unchecked,
}
