// SPDX-License-Identifier: MIT OR Apache-2.0
//! The schemas for editors: the same shapes, arranged so that an editor shows the text of the key itself.
//!
//! Editors do not show a schema's whole tree but the first text that they meet, and yaml-language-server meets what stands inside first:
//! of a key that may be a size or an expression, it would say what a size is. `tests/lab/editor.rs` looks at what it says of every key.

use serde_json::{Value, json};

/// A schema, from [`schema()`](super::schema()) or [`pack_schema()`](super::pack_schema()), for editors.
pub fn for_editors(mut schema: Value) -> Value {
    tell(&mut schema);
    // It would stand above every text.
    schema.as_object_mut().map(|root| root.shift_remove("title"));
    schema
}

fn tell(schema: &mut Value) {
    let Value::Object(object) = schema else {
        if let Value::Array(list) = schema {
            list.iter_mut().for_each(tell);
        }
        return;
    };
    // Editors let what stands beside a reference count rather than what is referred to. That draft-07 ignores it is no loss: it is text.
    if let Some(Value::Array(only)) = object.get_mut("allOf")
        && let [Value::Object(reference)] = only.as_mut_slice()
        && reference.contains_key("$ref")
    {
        let reference = std::mem::take(reference);
        object.remove("allOf");
        object.extend(reference);
    }
    // One of several words: a list with a text for each is shown below the key's own text, and offered with these texts.
    if let Some(Value::Array(choices)) = object.get("oneOf")
        && choices.iter().all(|choice| choice.get("const").is_some())
    {
        let each = |key: &str| choices.iter().map(|choice| choice[key].clone()).collect::<Value>();
        let (values, texts) = (each("const"), each("description"));
        object.remove("oneOf");
        object.insert("type".into(), "string".into());
        object.insert("enum".into(), values);
        object.insert("enumDescriptions".into(), texts);
    }
    // What a value may be says nothing beside what its key says.
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        for choice in choices.iter_mut().filter(|choice| choice.get("$ref").is_some()) {
            choice["description"] = "".into();
            choice["examples"] = json!([]);
        }
    }
    // Nothing else shows it.
    if let (Some(default), Some(Value::String(text))) = (object.get("default").cloned(), object.get_mut("description"))
    {
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        *text += &format!("\n\nDefault: `{default}`");
    }
    object.values_mut().for_each(tell);
}
