// SPDX-License-Identifier: MIT OR Apache-2.0
//! What structs of a file are called in messages.

use super::suggest;

/// A struct's name as a person says it, with its article: `MapStep` is "a map step".
pub(super) fn place(name: &str) -> String {
    match name {
        "Map" | "Unmap" | "Gone" | "Pagesize" | "Expect" | "Attach" | "Destroy" => {
            return format!("`{}`", name.to_lowercase());
        }
        "MapFile" => return "`map_file`".to_owned(),
        "IoasCopy" => return "`copy`".to_owned(),
        "InIoas" => return "this step".to_owned(),
        "Hwpt" => return "a `hwpt`".to_owned(),
        "AllowIovas" => return "`allow_iovas`".to_owned(),
        "NoArguments" => return "a step that takes nothing".to_owned(),
        "BackendOptions" => return "a backend's options".to_owned(),
        _ => {}
    }
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    match words.chars().next() {
        None => "this mapping".to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {words}"),
        Some(_) => format!("a {words}"),
    }
}

/// What a struct looks like, for a value that is no mapping.
pub(super) fn mapping_with(fields: &[&str]) -> String {
    const MOST: usize = 6;
    match fields {
        [] => "nothing".to_owned(),
        fields if fields.len() > MOST => {
            let some: Vec<String> = fields.iter().take(MOST).map(|field| format!("`{field}`")).collect();
            format!("a mapping with keys such as {}", some.join(", "))
        }
        [only] => format!("a mapping with the key `{only}`"),
        fields => format!("a mapping with the keys {}", suggest::join(fields.iter().copied(), "and")),
    }
}
