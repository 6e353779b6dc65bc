// SPDX-License-Identifier: MIT OR Apache-2.0
//! The schema and its reference are what the types say, and what the scenarios are.
//!
//! `SNAPSHOTS=overwrite cargo test --test cli schemas` writes them anew.
//!
//! The schema is draft-07: yaml-language-server, which nearly every editor uses for YAML, reads newer drafts only in part.

use std::{fmt::Write, fs, path::PathBuf};

use serde_json::Value;
use snapbox::{Data, assert_data_eq, data::DataFormat};
use vfiospec::language::{self, Packs};

use crate::common::top;

fn scenarios() -> Vec<PathBuf> {
    let mut folders = vec![top().join("scenarios")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
fn assert_current(file: &str, text: String) {
    assert_data_eq!(text, Data::read_from(&top().join(file), Some(DataFormat::Text)).raw());
}

#[test]
fn the_schema_is_what_the_types_say() {
    let schema = serde_json::to_string_pretty(&language::for_editors(language::schema())).expect("a schema is JSON");
    assert_current("schemas/scenario.schema.json", schema + "\n");
    let schema =
        serde_json::to_string_pretty(&language::for_editors(language::pack_schema())).expect("a schema is JSON");
    assert_current("schemas/pack.schema.json", schema + "\n");
    let schema =
        serde_json::to_string_pretty(&language::for_editors(language::machine_schema())).expect("a schema is JSON");
    assert_current("schemas/lab.schema.json", schema + "\n");
    let schema =
        serde_json::to_string_pretty(&language::for_editors(language::inventory_schema())).expect("a schema is JSON");
    assert_current("schemas/inventory.schema.json", schema + "\n");
}

#[test]
fn the_reference_is_what_the_schema_says() {
    assert_current(
        "schemas/README.md",
        reference(
            &language::schema(),
            [
                ("Pack", &language::pack_schema()),
                ("Machine", &language::machine_schema()),
                ("Inventory", &language::inventory_schema()),
            ],
        ),
    );
}

#[test]
fn every_key_is_described_and_has_an_example_that_fits() {
    let schemas = [
        ("Scenario", language::schema()),
        ("Pack", language::pack_schema()),
        ("Machine", language::machine_schema()),
        ("Inventory", language::inventory_schema()),
    ];
    let all =
        schemas.iter().flat_map(|(root, schema)| types(root, schema).into_iter().map(move |named| (named, schema)));
    for ((name, definition), schema) in all {
        assert!(definition["description"].is_string(), "{name} has no description");
        for (key, value) in definition["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "{name}.{key} has no description: write a comment at the field");
            let examples = value["examples"].as_array().into_iter().flatten();
            let mut own = value.clone();
            own["definitions"] = schema["definitions"].clone();
            let validator = jsonschema::validator_for(&own).expect("a schema");
            let mut count = 0;
            for example in examples {
                count += 1;
                let errors: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{name}.{key} has an example that does not fit: {example}\n{errors:?}");
            }
            assert!(count > 0, "{name}.{key} has no example: give the field, or its type, #[schemars(example = …)]");
        }
    }
}

/// Whether a value is a table of keys of its own.
fn has_keys(schema: &Value, value: &Value) -> bool {
    let reference = value["$ref"]
        .as_str()
        .or_else(|| value["allOf"]["$ref"].as_str())
        .or_else(|| value["allOf"][0]["$ref"].as_str());
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    name.is_some_and(|name| schema["definitions"][name]["properties"].is_object())
}

#[test]
fn a_key_that_may_be_left_out_says_what_then_holds() {
    let schema = language::schema();
    // What stands for these keys where they are left out is said of the file, of the kind of memory, or in words.
    let says = |text: &str| {
        ["default", "unless", "without", "all of", "else", "every", "whole", "none", "not ", "only", "nothing"]
            .iter()
            .any(|word| text.to_lowercase().contains(word))
    };
    let mut silent = Vec::new();
    for (name, definition) in types("Scenario", &schema) {
        let required = |key: &str| {
            definition["required"].as_array().is_some_and(|list| list.iter().any(|required| required == key))
        };
        for (key, value) in definition["properties"].as_object().into_iter().flatten() {
            let kind = value["type"].as_str().unwrap_or_default();
            // A list, a table or a text that is left out is not there; a verb that is left out is not done.
            let of_type = |name: &str| value.to_string().contains(&format!("\"#/definitions/{name}\""));
            let is_text = kind == "string" || of_type("Name") || of_type("Template");
            let is_empty = is_text || kind == "array" || kind == "object" || name == "Step" || has_keys(&schema, value);
            let has_default = value.get("default").is_some() || value["allOf"][0].get("default").is_some();
            if !required(key) && !is_empty && !has_default && !says(value["description"].as_str().unwrap_or_default()) {
                silent.push(format!("{name}.{key}"));
            }
        }
    }
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "say what holds without these: a default, or a sentence with `unless given`"
    );
}

#[test]
fn every_scenario_names_the_schema_and_keeps_to_it() {
    let validator = |schema| jsonschema::validator_for(&language::for_editors(schema)).expect("a schema");
    let (of_scenarios, of_packs) = (validator(language::schema()), validator(language::pack_schema()));
    let of_machines = validator(language::machine_schema());
    let files = scenarios();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let (validator, schema_file) = match file.file_name().expect("a name").to_str().expect("UTF-8") {
            "pack.yaml" => (&of_packs, "schemas/pack.schema.json"),
            name if name.ends_with(language::MACHINE) => (&of_machines, "schemas/lab.schema.json"),
            _ => (&of_scenarios, "schemas/scenario.schema.json"),
        };
        let text = fs::read_to_string(&file).expect("readable");
        let modeline = text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
        let schema = modeline.unwrap_or_else(|| panic!("{} begins with no modeline", file.display()));
        let named = file.parent().expect("a folder").join(schema).canonicalize();
        let ours = top().join(schema_file).canonicalize();
        assert_eq!(named.ok(), Some(ours.expect("it is there")), "{}: {schema}", file.display());
        let errors = errors(validator, &text);
        assert!(errors.is_empty(), "{}:\n{}", file.display(), errors.join("\n"));
    }
}

#[test]
fn the_schema_and_the_check_refuse_the_same_shapes() {
    let validator = jsonschema::validator_for(&language::for_editors(language::schema())).expect("a schema");
    let good = "name: a\nbackends: all\ncases:\n  - name: b\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
    let both = |text: &str| {
        let source = language::Source::new("a.yaml", text);
        (errors(&validator, text).is_empty(), language::load(source, "pack".into(), &Packs::default(), &[]).is_ok())
    };
    assert_eq!(both(good), (true, true));
    // Backends may come from the pack, of which the schema knows nothing.
    assert_eq!(both(&good.replacen("backends: all\n", "", 1)), (true, false));
    for (from, to) in [
        ("expect:", "expects:"),
        ("backends: all", "backends: some"),
        ("backends: all", "backends: [vfio_type1]"),
        ("backends: all", "backends: { iommufd: { skip_page_size: true } }"),
        ("name: a\n", "name: a-b\n"),
        ("4KiB", "4KB"),
        ("4KiB", "-1"),
        ("anonymous", "anon"),
        ("map: ok", "map: OK"),
        ("map: ok", "map: EINVALID"),
        ("map: ok", "map: []"),
        ("map: ok", "map: { iommu: ok }"),
        ("map: ok", "map: ok, pagesize: big"),
        ("cases:", "timeout: 10\ncases:"),
        ("cases:", "device: a b\ncases:"),
        ("cases:", "summary:\ncases:"),
        ("cases:", "requires: [{ that: \"{{ true }}\" }]\ncases:"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is not in it");
        assert_eq!(both(&bad), (false, false), "{bad}");
    }
}

fn errors(validator: &jsonschema::Validator, yaml: &str) -> Vec<String> {
    let value: serde_yaml::Value = serde_yaml::from_str(yaml).expect("YAML");
    let value = serde_json::to_value(value).expect("a scenario has a JSON form");
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The root and the definitions, each with its name.
fn types<'s>(root: &'s str, schema: &'s Value) -> Vec<(&'s str, &'s Value)> {
    let definitions = schema["definitions"].as_object().expect("definitions");
    let mut types = vec![(root, schema)];
    types.extend(definitions.iter().map(|(name, definition)| (name.as_str(), definition)));
    types
}

/// The reference of all keys, in Markdown.
fn reference<'s>(schema: &'s Value, others: [(&'s str, &'s Value); 3]) -> String {
    let mut text = "\
# Reference

<!-- Generated from the types in runner/src/language: change their comments, then SNAPSHOTS=overwrite cargo test --test cli schemas -->

Every key that a scenario may have, from [Pack](#pack) on those of a pack, from [Machine](#machine) on those of a machine of the lab, and
from [Inventory](#inventory) on those of a lab's hosts. [scenarios/README.md](../scenarios/README.md) is the guide, with examples;
[scenario.schema.json](scenario.schema.json), [pack.schema.json](pack.schema.json), [lab.schema.json](lab.schema.json) and
[inventory.schema.json](inventory.schema.json) say the same as this page to your editor, if the first line of a file names its schema:

```yaml fragment
# yaml-language-server: $schema=../../schemas/scenario.schema.json
```

Keys in **bold** have to be there.
"
    .to_owned();
    let mut all = types("Scenario", schema);
    // The types that those before do not have.
    for (root, schema) in others {
        let new: Vec<_> =
            types(root, schema).into_iter().filter(|(name, _)| all.iter().all(|(known, _)| known != name)).collect();
        all.extend(new);
    }
    let mut types: Vec<_> = all.iter().copied().filter(|(name, _)| !is_either(name)).collect();
    // Tables of keys first, in the order in which one meets them; what stands in their values after them.
    let has_keys = |definition: &Value| definition["properties"].is_object();
    let order = [
        "Scenario",
        "Case",
        "Region",
        "Expect",
        "Step",
        "Map",
        "Unmap",
        "Range",
        "Pagesize",
        "Requirement",
        "Pack",
        "Defaults",
        "Role",
        "Procedure",
        "Parameter",
        "Machine",
        "LabDevice",
        "Inventory",
        "Host",
        "HostDevice",
        "SiteIssue",
    ];
    let rank = |name: &str| order.iter().position(|known| *known == name).unwrap_or(order.len());
    types.sort_by_key(|(name, definition)| (!has_keys(definition), rank(name), name.to_owned()));
    for (name, definition) in types {
        let description = definition["description"].as_str().unwrap_or_default();
        write!(text, "\n## {name}\n\n{description}\n").unwrap();
        match (definition["properties"].as_object(), definition["oneOf"].as_array()) {
            (Some(properties), _) => {
                text += "\n| key | value | default | |\n|---|---|---|---|\n";
                let required = |key: &str| {
                    definition["required"].as_array().is_some_and(|list| list.iter().any(|required| required == key))
                };
                for (key, value) in properties {
                    let key = if required(key) { format!("**`{key}`**") } else { format!("`{key}`") };
                    let default = value.get("default").map(code).unwrap_or_default();
                    let description = cell(value["description"].as_str().unwrap_or_default());
                    let examples = examples(value);
                    let kind = kind(value, &all);
                    writeln!(text, "| {key} | {kind} | {default} | {description}{examples} |").unwrap();
                }
            }
            (None, Some(values)) => {
                text += "\n| value | |\n|---|---|\n";
                for value in values {
                    let description = cell(value["description"].as_str().unwrap_or_default());
                    writeln!(text, "| {} | {description} |", code(&value["const"])).unwrap();
                }
            }
            (None, None) => {
                writeln!(text, "\nIt is {}.{}", kind(definition, &all), examples(definition)).unwrap();
            }
        }
    }
    text + &requests()
}

/// The requests of the kernel with their fields, and the features.
fn requests() -> String {
    let mut text = "
## Requests

Every request of VFIO and IOMMUFD, for the verb [`ioctl`](#ioctl), with the fields of its struct: `in` is what the caller gives, `out` what the kernel \
writes and `save` keeps. A name in capital letters may stand for the number: one of the values, or flags as a list, such as `flags: [READ, WRITE]`. All \
names are those of `include/uapi/linux/vfio.h` and `iommufd.h` of Linux 7.3, those of values without the prefix of their group. \
`vfiospec explain NAME` prints one of them.
"
    .to_owned();
    for (name, fields) in language::requests() {
        write!(text, "\n### {name}\n\n{fields}").unwrap();
    }
    text += "
## Features

Every feature of VFIO_DEVICE_FEATURE, for the verb [`feature`](#feature), with the fields of its `data`.
";
    for (name, fields) in language::features() {
        write!(text, "\n### {name}\n\n{fields}").unwrap();
    }
    text
}

/// Whether a type is only another one or an expression, which is told where it stands.
fn is_either(name: &str) -> bool {
    name.ends_with("OrExpression")
}

/// What a value may be, in words, by the types that have a section of their own.
fn kind(schema: &Value, all: &[(&str, &Value)]) -> String {
    let of = |key: &str| schema.get(key);
    let kind = |schema: &Value| kind(schema, all);
    if let Some(reference) = of("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().expect("a name");
        return match all.iter().find(|(known, _)| *known == name && is_either(known)) {
            Some((_, either)) => kind(either),
            None => format!("[{name}](#{})", name.to_lowercase()),
        };
    }
    if let Some(only) = of("allOf").and_then(|list| list.get(0)) {
        return kind(only);
    }
    if let Some(choices) = of("anyOf").and_then(Value::as_array) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = of("const") {
        return code(value);
    }
    if let Some(values) = of("enum").and_then(Value::as_array) {
        let shown: Vec<_> = values.iter().take(4).map(code).collect();
        return match values.len() {
            0..=4 => shown.join(", "),
            all => format!("{}, … (all {all} are in the schema)", shown.join(", ")),
        };
    }
    let name = |name: &Value| match (name.as_str().expect("a type"), of("items"), of("additionalProperties")) {
        ("string", ..) => "text".to_owned(),
        ("integer", ..) => "a whole number".to_owned(),
        ("boolean", ..) => "`true` or `false`".to_owned(),
        ("null", ..) => "nothing".to_owned(),
        ("array", Some(items), _) => format!("a list of {}", kind(items)),
        ("object", _, Some(values)) if values.is_object() => format!("a table: name to {}", kind(values)),
        ("object", ..) if of("maxProperties") == Some(&0.into()) => "an empty table".to_owned(),
        ("object", ..) => match of("properties").and_then(Value::as_object).and_then(|keys| keys.values().next()) {
            Some(value) => format!("a table: backend to {}", kind(value)),
            None => "an empty table".to_owned(),
        },
        (other, ..) => panic!("no word for {other}: {schema}"),
    };
    match &schema["type"] {
        Value::Array(names) => names.iter().map(name).collect::<Vec<_>>().join(" or "),
        Value::Null => panic!("no type: {schema}"),
        one => name(one),
    }
}

fn examples(schema: &Value) -> String {
    // Of a verb that needs nothing behind its colon, the type says so.
    let examples = schema["examples"].as_array().into_iter().flatten().filter(|example| !example.is_null());
    let examples: Vec<_> = examples.map(code).collect();
    if examples.is_empty() { String::new() } else { format!(" Such as {}.", examples.join(", ")) }
}

/// A value as YAML in one line.
fn code(value: &Value) -> String {
    format!("`{}`", flow(value))
}

/// Digits that YAML may take for a number, such as the ids of a device.
fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_hexdigit() || c == ':')
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains("{{") || is_id(text) => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let quoted = |key: &str| if key.contains('*') { format!("\"{key}\"") } else { key.to_owned() };
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{}: {}", quoted(key), flow(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace("\n\n", " ").replace('|', "\\|")
}
