//! What several tests need.

#[allow(dead_code)] // each test uses a part of this module
pub mod lab;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The YAML blocks of a Markdown text that are whole scenarios, each with the line that its first line stands on.
///
/// A whole scenario is a block of plain `yaml` that begins with a modeline or with `name:`. A block that is only a part of one says
/// `yaml fragment`.
#[allow(dead_code)] // each test uses a part of this module
pub fn yaml_examples(markdown: &str) -> Vec<(usize, String)> {
    let mut examples = blocks(markdown);
    examples.retain(|(_, info, text)| {
        info == "yaml" && (text.starts_with("# yaml-language-server:") || text.starts_with("name:"))
    });
    examples.into_iter().map(|(line, _, text)| (line, text)).collect()
}

/// The fenced blocks of a Markdown text: the line that the first line of each stands on, what stands behind the fence, and the text.
#[allow(dead_code)]
pub fn blocks(markdown: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((index + 2, info.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed: {open:?}");
    blocks
}

/// The codes of all diagnostics in the sources of the language, tests apart, each with a file that has it.
#[allow(dead_code)]
pub fn codes_of_check() -> BTreeMap<String, PathBuf> {
    let markers = ["Diagnostic::error(", "Diagnostic::warning(", ".code(", " code: ", " at(", "=> ("];
    let mut codes = BTreeMap::new();
    collect_codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/language"), &markers, &mut codes);
    codes
}

/// The codes of what goes wrong elsewhere: in a run, and with files and options.
#[allow(dead_code)]
pub fn codes_of_runs() -> BTreeMap<String, PathBuf> {
    let markers = ["Problem::new(", "messages.say("];
    let mut codes = BTreeMap::new();
    collect_codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &markers, &mut codes);
    codes
}

fn collect_codes(folder: &Path, markers: &[&str], codes: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_codes(&path, markers, codes);
            continue;
        }
        // The fuzzer is a test that has a file of its own.
        if path.ends_with("fuzz.rs") || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path).expect("a source file");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for marker in markers {
            for (at, _) in source.match_indices(marker) {
                codes.extend(code(&source[at + marker.len()..]).map(|code| (code, path.clone())));
            }
        }
    }
}

/// The text in quotes that comes next in the statement, if it looks like a code: lower-case words with dashes between.
fn code(rest: &str) -> Option<String> {
    let (before, rest) = rest.split_once('"')?;
    let (code, _) = rest.split_once('"')?;
    let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (is_code && !before.contains([';', '{', '\'']) && before.len() < 60).then(|| code.to_owned())
}
