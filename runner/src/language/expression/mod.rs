// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands between `{{` and `}}`: minijinja expressions that keep their types, with a place for every mistake.

pub(in crate::language) mod convert;
pub(in crate::language) mod dynamic;
pub(in crate::language) mod error;
pub(in crate::language) mod eval;
pub(in crate::language) mod explain;
pub(in crate::language) mod functions;
pub(in crate::language) mod kinds;
pub(in crate::language) mod limits;
pub(in crate::language) mod missing;
#[cfg(test)]
mod parse;
pub(in crate::language) mod scan;
pub(in crate::language) mod scope;
pub(in crate::language) mod tree;
