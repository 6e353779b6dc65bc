//! From a YAML text to a scenario that is known to be right: everything that can be wrong with a file is found here, with its place.
//!
//! The text is parsed once ([`parse`]), the tree is decoded into ordinary `Deserialize` types by a deserialiser that
//! collects all mistakes ([`decode()`]), what can be known without a device is checked ([`load()`]), and a [`Diagnostic`] knows a
//! [`Path`], which becomes a line and a column only when it is shown ([`render`]).

mod backends;
mod case;
mod check;
mod complaint;
mod convert;
mod decode;
mod decoder;
mod diagnostic;
mod dynamic;
mod expression;
mod fault;
mod functions;
#[cfg(test)]
mod fuzz;
mod load;
mod name;
mod names;
mod node;
mod outcome;
mod path;
mod position;
mod quantity;
mod region;
mod render;
mod scalar;
mod scan;
mod session;
mod stand_in;
mod step;
mod suggest;
mod syntax;

pub use backends::{BackendOptions, Backends, ByBackend, Pattern, TableValue};
pub use case::{Case, Expect, Fixture, Requirement, Scenario};
pub use complaint::Complaint;
pub use convert::FromValue;
pub use decode::{Ordered, Problems, decode, decode_at};
pub use diagnostic::{Diagnostic, Location, Note, Severity, Source, Target, locate, render, visible};
pub use dynamic::{Dynamic, Template};
pub use expression::{ExpressionError, Scope, eval, eval_as, undeclared};
pub use functions::BUILTINS;
pub use load::{Invalid, Loaded, combinations, late_variables, load, static_scope};
pub use name::Name;
pub use node::{Node, parse};
pub use outcome::Outcome;
pub use path::{Path, Segment};
pub use position::Locator;
pub use quantity::{Duration, Size};
pub use region::{Bar, Memory, Protection, Region};
pub use scalar::Scalar;
pub use step::{Access, Map, NoArguments, Pagesize, Range, Step, Unmap};
pub use suggest::{did_you_mean, expected_one_of, join, nearest};
