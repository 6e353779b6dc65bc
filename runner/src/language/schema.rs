//! The JSON Schema of a scenario, for editors: completion, hover texts and a first check while typing.
//!
//! It describes shapes; what a file means together (a verb too many, a backend without an outcome, an unknown name) is said by
//! `vfiospec check`, and better than a schema could.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::{Pack, Scenario};

/// The schema of a scenario file, generated from [`Scenario`]; `schemas/scenario.schema.json` is a copy of it.
///
/// Draft-07, because that is what yaml-language-server, behind the YAML support of nearly every editor, understands in full.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Scenario>().to_value();
    schema["title"] = "A vfiospec scenario".into();
    tidy(&mut schema);
    schema
}

/// The schema of a pack's file, generated from [`Pack`]; `schemas/pack.schema.json` is a copy of it.
pub fn pack_schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Pack>().to_value();
    schema["title"] = "A vfiospec pack".into();
    tidy(&mut schema);
    schema
}

/// Says what people need and no more: an optional key is left out rather than null, an absent list needs no default, and a
/// description's lines are an editor's business.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description =
                    description.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                properties.values_mut().for_each(optional_is_not_null);
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn optional_is_not_null(key: &mut Value) {
    let Value::Object(key) = key else { return };
    let is_empty = |default: &Value| match default {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(table) => table.is_empty(),
        _ => false,
    };
    if key.get("default").is_some_and(is_empty) {
        key.remove("default");
    }
    if let Some(Value::Array(types)) = key.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_mut_slice() {
            key["type"] = only.take();
        }
    }
    if let Some(Value::Array(choices)) = key.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if choices.len() == 1
            && let Some(only) = key.remove("anyOf")
        {
            // Draft-07 ignores whatever stands beside a bare `$ref`.
            key.insert("allOf".to_owned(), only);
        }
    }
}

/// A text that is wholly one expression.
pub(in crate::language) struct Expression;

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An expression in double braces, quoted because YAML takes a bare brace for its own.",
            "type": "string",
            "pattern": r"^\s*\{\{[\s\S]*\}\}\s*$",
            "examples": ["{{ page }}", "{{ m.iova + 4 * KiB }}"],
        })
    }
}
