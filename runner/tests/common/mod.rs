//! What several tests need.

#[allow(dead_code)] // each test uses a part of this module
pub mod lab;

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
