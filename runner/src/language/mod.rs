// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a YAML text to a scenario that is known to be right: everything that can be wrong with a file is found here, with its place.
//!
//! Three layers, one folder each: `text` (YAML, diagnostics), `expression` (what stands in `{{ }}`), `scenario` (the types). What can be
//! known without a device is checked by [`load()`].

mod check;
mod duration;
mod editor;
mod expression;
#[cfg(test)]
mod fuzz;
mod load;
mod names;
mod packs;
mod quantity;
mod scenario;
mod schema;
mod text;
pub mod verb;

pub use duration::Duration;
pub use editor::for_editors;
pub use expression::compared::{Compared, compared};
pub use expression::convert::FromValue;
pub use expression::dynamic::{Dynamic, Template};
pub use expression::error::ExpressionError;
pub use expression::eval::{eval, eval_as, undeclared};
pub use expression::functions::BUILTINS;
pub use expression::scope::Scope;
pub use load::computed;
pub use load::{Invalid, Loaded, combinations, late_variables, load, read, static_scope};
pub use names::{RUN_TIME, readable};
pub use packs::{LoadedPack, Packs};
pub use quantity::Size;
pub use scenario::backends::{BackendOptions, Backends, ByBackend, Pattern, TableValue};
pub use scenario::case::{Case, Expect, Fixture, KernelLog, Limits, Logged, Scenario};
pub use scenario::condition::{Condition, Requirement};
pub use scenario::control::{DEEPEST, MOST_STEPS, Placed, every_step, steps_run};
pub use scenario::known_issue::{Date, KnownIssue};
pub use scenario::name::Name;
pub use scenario::outcome::Outcome;
pub use scenario::pack::{Defaults, Pack, Parameter, Procedure, Type, Version, is_computed, region_named};
pub use scenario::region::{Bar, Memory, Protection, Region};
pub use scenario::role::{Class, Ids, Role};
pub use scenario::scalar::Scalar;
pub use scenario::step::Step;
pub use schema::{pack_schema, schema};
pub use text::complaint::Complaint;
use text::decode::words;
pub use text::decode::{At, Decode, decode};
pub use text::diagnostic::{Diagnostic, Note, Severity, Target};
use text::keys::keys;
pub use text::message::{Message, NoteMessage, Span, json_lines};
pub use text::node::{Key, Node, Value};
pub use text::ordered::Ordered;
pub use text::path::{Path, Segment};
pub use text::problems::Problems;
pub use text::reader::parse;
pub use text::render::{render, visible};
pub use text::source::{Location, Source};
pub use text::suggest::{did_you_mean, expected_one_of, join, nearest};
