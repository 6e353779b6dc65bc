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
mod inventory;
mod load;
mod machine;
mod names;
mod packs;
mod quantity;
mod requests;
mod scenario;
mod schema;
mod text;
mod variables;
pub(crate) mod verb;

pub use editor::for_editors;
pub use expression::dynamic::Template;
pub use expression::eval::{eval, eval_as, undeclared};
pub use expression::scope::{Fields, Scope};
pub use inventory::{Cases, Host, HostDevice, Inventory, Site};
pub use load::{Invalid, load};
pub use machine::{DeviceModel, LabDevice, MACHINE, Machine, Place};
pub use packs::Packs;
pub use quantity::Size;
pub use requests::{features, requests};
use schema::described;
pub use schema::{inventory_schema, machine_schema, pack_schema, schema};
pub use text::message::json_lines;
pub use text::render::render;
pub use text::source::Source;
pub use verb::{Saves, Verb};

pub(crate) use duration::Duration;
pub(crate) use expression::convert::FromValue;
pub(crate) use expression::dynamic::Dynamic;
pub(crate) use expression::error::ExpressionError;
pub(crate) use expression::functions::BUILTINS;
pub(crate) use expression::tree::{Compared, compared};
pub(crate) use load::{Loaded, read};
pub(crate) use machine::{Arch, DefaultDomain, IommuModel, LARGE_PAGES, Lockdown};
pub(crate) use names::{GROUP_FACTS, HOST, RUN_TIME, readable};
pub(crate) use packs::LoadedPack;
pub(crate) use scenario::backends::{BackendOptions, Backends, ByBackend, Pattern, TableValue};
pub(crate) use scenario::case::{Case, Expect, Fixture, KernelLog, Logged, Scenario};
pub(crate) use scenario::condition::{Condition, Requirement};
pub(crate) use scenario::control::{DEEPEST, MOST_STEPS, Placed, every_step, steps_on, steps_run};
pub(crate) use scenario::fix::Fix;
pub(crate) use scenario::known_issue::{Date, KnownIssue};
pub(crate) use scenario::limit::{Limit, TIMING};
pub(crate) use scenario::name::Name;
pub(crate) use scenario::outcome::Outcome;
pub(crate) use scenario::pack::{Pack, Parameter, Procedure, Type, Version, is_computed, region_named};
pub(crate) use scenario::region::{Bar, Memory, Protection, Region, Seal};
pub(crate) use scenario::role::{Class, Ids, Role};
pub(crate) use scenario::scalar::Scalar;
pub(crate) use scenario::step::Step;
pub(crate) use text::complaint::Complaint;
pub(crate) use text::decode::{At, Decode};
pub(crate) use text::diagnostic::{Diagnostic, Note, Target};
pub(crate) use text::message::Message;
pub(crate) use text::node::{Node, Value};
pub(crate) use text::ordered::Ordered;
pub(crate) use text::path::{Path, Segment};
pub(crate) use text::problems::Problems;
pub(crate) use text::reader::parse;
pub(crate) use text::render::carets;
pub(crate) use text::suggest::{did_you_mean, expected_one_of, join, nearest};
pub(crate) use variables::{computed, known_scope, variable};

#[cfg(test)]
pub(crate) use text::decode::decode;
use text::{keys::keys, words::words};
