//! Breaking things on purpose, to see that a run survives it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to break in the lab. Elsewhere each of these is an error, and nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabFault {
    /// The guest's kernel panics.
    Panic,
    /// The guest is gone at once, without a word.
    Reboot,
    /// The process that runs the case aborts.
    Crash,
    /// That process takes memory until the kernel kills it.
    ExhaustMemory,
    /// That process computes for ever and does not listen.
    Spin,
    /// That process waits in the kernel for something that never comes, and cannot be killed.
    Stuck,
    /// The call gives EIO the first time in a guest, and succeeds from then on.
    FailOnce,
}
