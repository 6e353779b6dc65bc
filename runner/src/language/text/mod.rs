// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a YAML text to typed values, with a place for every mistake.
//!
//! The text is parsed once ([`reader`]) into a tree that keeps its places ([`node`]), the tree is decoded in one pass that collects all mistakes
//! ([`decode`]; [`keys`] declares structs), and a [`diagnostic`] knows a [`path`], which becomes a line and a column only when it is shown ([`render`]).

pub(in crate::language) mod complaint;
pub(in crate::language) mod decode;
pub(in crate::language) mod diagnostic;
mod expand;
pub(in crate::language) mod keys;
pub(in crate::language) mod message;
pub(in crate::language) mod mistake;
mod naming;
pub(in crate::language) mod node;
pub(in crate::language) mod ordered;
pub(in crate::language) mod path;
pub(in crate::language) mod problems;
pub(in crate::language) mod reader;
pub(in crate::language) mod render;
pub(in crate::language) mod shape;
pub(in crate::language) mod source;
pub(in crate::language) mod suggest;
pub(in crate::language) mod syntax;
pub(in crate::language) mod words;
pub(in crate::language) mod wounds;
