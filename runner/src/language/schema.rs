// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON Schema of a scenario, for editors: completion, hover texts and a first check while typing.
//!
//! It describes shapes; what a file means together (a verb too many, a backend without an outcome, an unknown name) is said by
//! `vfiospec check`, and better than a schema could.

use std::sync::OnceLock;

use schemars::{JsonSchema, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::{Inventory, Machine, Pack, Scenario};

/// Describes a type to editors: its name in the schema, if that is not the type's own, and what its values look like.
macro_rules! described {
    ($Type:ident, |$generator:pat_param| $schema:expr) => {
        $crate::language::described!($Type, stringify!($Type), |$generator| $schema);
    };
    ($Type:ident, $name:expr, |$generator:pat_param| $schema:expr) => {
        impl schemars::JsonSchema for $Type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(in crate::language) use described;

/// The schema of a scenario file, generated from [`Scenario`]; `schemas/scenario.schema.json` is a copy of it.
pub fn schema() -> Value {
    of::<Scenario>("A vfiospec scenario")
}

/// The schema of a pack's file, generated from [`Pack`]; `schemas/pack.schema.json` is a copy of it.
pub fn pack_schema() -> Value {
    of::<Pack>("A vfiospec pack")
}

/// The schema of a file of a machine of the lab, generated from [`Machine`]; `schemas/lab.schema.json` is a copy of it.
pub fn machine_schema() -> Value {
    of::<Machine>("A machine of vfiospec's lab")
}

/// The schema of an inventory's file, generated from [`Inventory`]; `schemas/inventory.schema.json` is a copy of it.
pub fn inventory_schema() -> Value {
    of::<Inventory>("An inventory for vfiospec")
}

/// The schema of a file, in draft-07, because that is what yaml-language-server, behind the YAML support of nearly every editor,
/// understands in full.
fn of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value();
    schema["title"] = title.into();
    exemplify(&mut schema);
    schema
}

/// [`schema()`], made once: what messages tell from it.
pub(in crate::language) fn known_schema() -> &'static Value {
    static KNOWN: OnceLock<Value> = OnceLock::new();
    KNOWN.get_or_init(schema)
}

/// [`pack_schema()`], made once.
pub(in crate::language) fn known_pack_schema() -> &'static Value {
    static KNOWN: OnceLock<Value> = OnceLock::new();
    KNOWN.get_or_init(pack_schema)
}

/// [`machine_schema()`], made once.
pub(in crate::language) fn known_machine_schema() -> &'static Value {
    static KNOWN: OnceLock<Value> = OnceLock::new();
    KNOWN.get_or_init(machine_schema)
}

/// [`inventory_schema()`], made once.
pub(in crate::language) fn known_inventory_schema() -> &'static Value {
    static KNOWN: OnceLock<Value> = OnceLock::new();
    KNOWN.get_or_init(inventory_schema)
}

/// Gives every key an example, which editors show beside its description: a key whose value is made of keys gets theirs.
fn exemplify(schema: &mut Value) {
    let definitions = schema["definitions"].clone();
    let add = |definition: &mut Value| {
        let Some(Value::Object(properties)) = definition.get_mut("properties") else { return };
        for key in properties.values_mut().filter(|key| key.get("examples").is_none()) {
            if let (Some(example), Value::Object(key)) = (example(key, &definitions, 0), key) {
                key.insert("examples".to_owned(), Value::Array(vec![example]));
            }
        }
    };
    if let Value::Object(all) = &mut schema["definitions"] {
        all.values_mut().for_each(add);
    }
    add(schema);
}

/// A value that a schema allows, from the examples within it.
fn example(schema: &Value, definitions: &Value, depth: usize) -> Option<Value> {
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|list| list.first());
    let within = |schema: &Value| example(schema, definitions, depth + 1);
    // Steps hold steps.
    if depth > 16 {
        return None;
    }
    if let Some(value) = first("examples").or_else(|| first("enum")).or_else(|| schema.get("const")) {
        return Some(value.clone());
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return within(&definitions[name.rsplit('/').next()?]);
    }
    if let Some(only) = schema.get("allOf").and_then(|list| list.get(0).or(Some(list))) {
        return within(only);
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        return choices.iter().find_map(within);
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let is_required = |key: &str| {
            schema.get("required").and_then(Value::as_array).is_some_and(|list| list.iter().any(|name| name == key))
        };
        let shown = |most: usize, wanted: &dyn Fn(&str) -> bool| -> serde_json::Map<String, Value> {
            let wanted = properties.iter().filter(|(key, _)| wanted(key));
            wanted.filter_map(|(key, value)| Some((key.clone(), within(value)?))).take(most).collect()
        };
        let needed = properties.keys().filter(|key| is_required(key)).count();
        let required = shown(usize::MAX, &is_required);
        return match needed {
            0 => Some(Value::Object(shown(1, &|_| true))),
            _ => Some(Value::Object(required)).filter(|example| example.as_object().is_some_and(|o| o.len() == needed)),
        };
    }
    match (schema.get("type").and_then(Value::as_str), schema.get("items"), schema.get("additionalProperties")) {
        (Some("array"), Some(items), _) => Some(Value::Array(vec![within(items)?])),
        (Some("object"), _, Some(values)) if values.is_object() => {
            Some(serde_json::json!({ "buffer": within(values)? }))
        }
        (Some("boolean"), ..) => Some(Value::Bool(true)),
        (Some("integer"), ..) => Some(schema.get("minimum").cloned().unwrap_or_else(|| 1.into())),
        // `- unmap_all:`
        _ if schema.get("type").is_some_and(|kind| *kind == serde_json::json!(["null", "object"])) => Some(Value::Null),
        _ => None,
    }
}

/// A text that is wholly one expression.
pub(in crate::language) struct Expression;

described!(Expression, |_| json_schema!({
    "description": "An expression in double braces, quoted because YAML takes a bare brace for its own.",
    "type": "string",
    "pattern": r"^\s*\{\{[\s\S]*\}\}\s*$",
    "examples": ["{{ page }}", "{{ m.iova + 4 * KiB }}"],
}));
