// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a session did not come to its end.

use std::fmt;

use crate::{lab::LabError, model::Exit};

/// What went wrong outside of the cases, with the exit code that it ends the program with.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub what: String,
    pub help: Option<String>,
}

impl Failure {
    /// Something went wrong that no option can change.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Failure {
        Failure { exit, what: what.to_string(), help: None }
    }

    /// The command line asks for what cannot be done.
    pub fn usage(what: impl fmt::Display, help: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, what).help(help)
    }

    #[must_use]
    pub fn help(self, help: impl fmt::Display) -> Failure {
        Failure { help: Some(help.to_string()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {help}"))
    }
}

impl From<LabError> for Failure {
    fn from(error: LabError) -> Failure {
        Failure::new(error.exit, error)
    }
}
