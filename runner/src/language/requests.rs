// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests of the kernel and the features of devices in words, for the reference and `explain`.

use std::fmt::Write;

use crate::uapi::request::{self, Array, Direction, FEATURES, Field, File, Means, Request};

/// Every request by its name, with its file and its fields in Markdown.
pub fn requests() -> Vec<(&'static str, String)> {
    request::all().map(|request| (request.name, of_request(request))).collect()
}

/// Every feature by its name, with what it can and the fields of its data in Markdown.
pub fn features() -> Vec<(&'static str, String)> {
    let one = |feature: &'static request::Feature| {
        let methods: Vec<_> = feature.methods.iter().map(|method| format!("`{method:?}`").to_lowercase()).collect();
        (feature.name, format!("{}.\n{}", methods.join(" or "), list(feature.data(), feature.request.arrays)))
    };
    FEATURES.iter().map(one).collect()
}

fn of_request(request: &Request) -> String {
    let on = match request.on {
        File::Container => "a container, which may be `/dev/iommu` as one",
        File::Group => "a group",
        File::Device => "a device",
        File::Iommufd => "`/dev/iommu`",
        File::Migration => "a device's stream of migration data",
    };
    let mut text = format!("On {on}.\n{}", list(request.fields, request.arrays));
    for capability in request.chain.into_iter().flat_map(|chain| chain.known) {
        let members = capability.fields.iter().map(|field| format!("`{}`{}", field.name, words(field)));
        let list = capability.array.iter().map(|array| format!("`{}`, {}", array.name, elements(array)));
        let members: Vec<_> = members.chain(list).collect();
        let members = if members.is_empty() { String::new() } else { format!(": {}", members.join("; ")) };
        writeln!(text, "- `capabilities.{}`{members}", capability.name).expect("a text takes all");
    }
    text
}

/// Fields as a list.
fn list(fields: &[Field], arrays: &[Array]) -> String {
    let fields = fields.iter().map(|field| (field.direction, format!("`{}`{}", field.name, words(field))));
    let arrays = arrays.iter().map(|array| (array.direction, format!("`{}`, {}", array.name, elements(array))));
    let mut text = String::new();
    for (direction, shown) in fields.chain(arrays) {
        let direction = match direction {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::InOut => "in, out",
        };
        writeln!(text, "- {shown} ({direction})").expect("a text takes all");
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// The names of a field's values.
fn words(field: &Field) -> String {
    let words: Vec<_> = field.means.words().map(|(word, _)| format!("`{word}`")).collect();
    let kind = match field.means {
        Means::Flags { .. } => "flags",
        Means::Word(_) => "one of",
        Means::Number | Means::Signed => return String::new(),
    };
    format!(": {kind} {}", words.join(", "))
}

/// What a list holds.
fn elements(array: &Array) -> String {
    match array.element {
        [only] if only.name.is_empty() => "a list of numbers".to_owned(),
        fields => {
            let names: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
            format!("a list of {}", names.join(", "))
        }
    }
}
