// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a step may take.

use minijinja::Value as Computed;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::language::duration::Duration;
use crate::language::{At, Complaint, Decode, FromValue, Node};

/// The tag of cases that judge how long something takes, or measure it. They run only if they are asked for.
pub const TIMING: &str = "timing";

/// How long a step may take: a time, or in an expression a number of microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Duration);

impl Decode for Limit {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        Duration::decode(node, at).map(Limit)
    }

    fn made_up() -> Self {
        Limit(Duration::made_up())
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl FromValue for Limit {
    fn from_value(value: &Computed) -> Result<Limit, Complaint> {
        if value.is_number() {
            return u64::from_value(value).map(|micros| Limit(Duration(std::time::Duration::from_micros(micros))));
        }
        Duration::from_value(value).map(Limit)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Duration::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Duration::json_schema(generator)
    }
}
