//! From a YAML text to typed values: everything that can be wrong with a file is found here, with its place.
//!
//! The text is parsed once ([`parse`]), the tree is decoded into ordinary `Deserialize` types by a deserialiser that
//! collects all mistakes ([`decode()`]), and a [`Diagnostic`] knows a [`Path`], which becomes a line and a column only
//! when it is shown ([`render`]).

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
mod node;
mod path;
mod position;
mod quantity;
mod render;
mod scan;
mod session;
mod stand_in;
mod suggest;
mod syntax;

pub use complaint::Complaint;
pub use convert::FromValue;
pub use decode::{Ordered, Problems, decode, decode_at};
pub use diagnostic::{Diagnostic, Location, Note, Severity, Source, Target, locate, render, visible};
pub use dynamic::{Dynamic, Template};
pub use expression::{ExpressionError, Name, Scope, eval, eval_as, scalar, undeclared};
pub use functions::BUILTINS;
pub use node::{Node, parse};
pub use path::{Path, Segment};
pub use position::Locator;
pub use quantity::{Duration, Size};
pub use suggest::{did_you_mean, expected_one_of, join, nearest};
