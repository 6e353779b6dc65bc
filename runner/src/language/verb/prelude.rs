// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the file of a verb needs.

pub(super) use super::about::{About, Expects, Known, Saves, Site, Stands};
pub(super) use super::fit::Fit;
pub(super) use super::given::Given;
pub(super) use super::header::{ConfigPlace, HeaderBit, HeaderRegister, RegisterValue, wrong_bits};
pub(super) use super::keys::verb;
pub(super) use super::keys::{Count, Key, Keyed, Keys, OpenFile, OpenedFile, RegionName};
pub(super) use super::mistakes::{content, never_is, no_memory_file, unknown_device, without_hwpt};
pub(super) use super::shared::{
    Access, Bits, InIoas, Index, Interrupts, NoArguments, Object, OneInterrupt, PartOfRegion, Structure, Where,
};
pub(super) use crate::language::text::keys::Plain;
pub(super) use crate::language::{
    At, Complaint, Decode, Diagnostic, Duration, Dynamic, Name, Node, Ordered, Path, Protection, Scalar, Segment, Size,
    Step, Target, Template, Value, did_you_mean, expected_one_of,
    quantity::{Iova, Number, Offset},
};
pub(super) use crate::language::{described, keys, words};
pub(super) use crate::model::code::Code;
pub(super) use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
pub(super) use serde::{Serialize, Serializer};
pub(super) use std::borrow::Cow;
