// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of the language: what a scenario file says. JSON Schemas are generated from them.

pub(in crate::language) mod backends;
pub(in crate::language) mod case;
pub(in crate::language) mod condition;
pub(in crate::language) mod control;
pub(in crate::language) mod fix;
pub(in crate::language) mod known_issue;
pub(in crate::language) mod limit;
pub(in crate::language) mod name;
pub(in crate::language) mod outcome;
pub(in crate::language) mod pack;
pub(in crate::language) mod region;
pub(in crate::language) mod role;
pub(in crate::language) mod scalar;
pub(in crate::language) mod step;
