// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb that a mistyped one was meant to be, where clap finds none near: it takes `rnu` for no `run`.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::language::nearest;

/// The error, with the verbs that are nearest to an unknown one.
pub fn with_tip(mut error: Error, program: &Command) -> Error {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand).cloned() else { return error };
    if error.kind() != ErrorKind::InvalidSubcommand || error.get(ContextKind::SuggestedSubcommand).is_some() {
        return error;
    }
    let words = std::env::args().skip(1).take_while(|word| *word != typed);
    let parent = words.fold(program, |command, word| command.find_subcommand(word).unwrap_or(command));
    let verbs = parent.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
    let near: Vec<String> = nearest(&typed, verbs).into_iter().map(str::to_owned).collect();
    if !near.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
    }
    error
}
