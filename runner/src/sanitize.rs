// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes captured text safe. Whatever a kernel, a device or a scenario wrote, XML stays valid and keeps its verdict, and a terminal
//! obeys nothing.
//!
//! This is written against junit-report 0.9.1 and quick-xml 0.41. In attributes they escape `<`, `>`, `&` and both quotes, so this
//! module leaves those alone. They write CDATA as it is, and check no character anywhere.

use std::borrow::Cow;
use std::fmt::Write;

/// Text with `\n` as its line end. A character that XML 1.0 forbids or a terminal obeys becomes visible, as `\u{1b}`.
pub fn text(raw: &str) -> String {
    let mut clean = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                clean.push('\n');
            }
            '\n' | '\t' => clean.push(c),
            // C1 controls are legal XML, but U+009B starts an escape sequence on a terminal.
            '\u{fffe}' | '\u{ffff}' => escape(&mut clean, c),
            c if c.is_control() => escape(&mut clean, c),
            c => clean.push(c),
        }
    }
    clean
}

fn escape(clean: &mut String, c: char) {
    write!(clean, "\\u{{{:x}}}", u32::from(c)).expect("a String takes all");
}

/// [`text`] in one line: line ends become ` | `. A parser would turn those of an XML attribute into spaces.
pub fn line(raw: &str) -> String {
    text(raw.trim()).lines().map(|line| line.trim_end().replace('\t', " ")).collect::<Vec<_>>().join(" | ")
}

/// [`text`] that can stand in a CDATA section, and in which Jenkins finds no attachment to fetch.
pub fn cdata(raw: &str) -> String {
    text(raw).replace("[[ATTACHMENT|", "[[ATTACHMENT |").replace("]]>", "]]]]><![CDATA[>")
}

/// `raw` as one word of a shell command.
pub fn word(raw: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !raw.is_empty() && raw.chars().all(plain) {
        return raw.to_owned();
    }
    format!("'{}'", raw.replace('\'', r"'\''"))
}

/// `raw` with `_` for every character outside `[A-Za-z0-9_]`.
pub fn identifier(raw: &str) -> String {
    raw.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// `raw`; if it has more than `limit` bytes, its head and its tail, with a line between them that says how much is left out. That
/// line is not part of the limit.
pub fn cap(raw: &str, limit: usize) -> Cow<'_, str> {
    if raw.len() <= limit {
        return Cow::Borrowed(raw);
    }
    let boundary = |mut at| {
        while !raw.is_char_boundary(at) {
            at += 1;
        }
        at
    };
    let (head, rest) = raw.split_at(boundary(limit / 2));
    let tail = &raw[boundary(raw.len() - limit / 2).max(head.len())..];
    let left_out = rest.len() - tail.len();
    Cow::Owned(format!("{head}\n[… {left_out} bytes left out …]\n{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_forbids_becomes_visible() {
        assert_eq!(
            text("a\u{1b}[31m\0\u{fffe}\u{ffff}\u{7f}\u{9b}b"),
            r"a\u{1b}[31m\u{0}\u{fffe}\u{ffff}\u{7f}\u{9b}b"
        );
        assert_eq!(text("tab\there, Ünïcode 🦀 <&>\"'"), "tab\there, Ünïcode 🦀 <&>\"'");
    }

    #[test]
    fn every_character_comes_out_legal() {
        let all: String = ('\0'..=char::MAX).collect();
        let legal = |c| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        for clean in [text(&all), line(&all), cdata(&all)] {
            assert_eq!(clean.chars().find(|c| !legal(*c)), None);
        }
    }

    #[test]
    fn all_line_ends_are_one() {
        assert_eq!(text("a\r\nb\rc\n\rd\r"), "a\nb\nc\n\nd\n");
    }

    #[test]
    fn an_attribute_is_one_line() {
        assert_eq!(line("\n expected ok \r\n got\tEINVAL\n"), "expected ok |  got EINVAL");
    }

    #[test]
    fn cdata_cannot_be_left_and_fetches_nothing() {
        assert_eq!(cdata("a]]>b]]]>"), "a]]]]><![CDATA[>b]]]]]><![CDATA[>");
        assert_eq!(cdata("[[ATTACHMENT|/etc/shadow]]"), "[[ATTACHMENT |/etc/shadow]]");
    }

    #[test]
    fn an_identifier_has_no_dots() {
        assert_eq!(identifier("edu.0:ü-x_9"), "edu_0___x_9");
    }

    #[test]
    fn long_output_keeps_head_and_tail_and_says_what_is_missing() {
        assert_eq!(cap("short", 5), "short");
        assert_eq!(cap("0123456789", 4), "01\n[… 6 bytes left out …]\n89");
        for limit in 0..40 {
            let long = "ü€🦀".repeat(20);
            let kept = cap(&long, limit);
            let left_out: usize = kept.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
            assert_eq!(kept.len() - format!("\n[… {left_out} bytes left out …]\n").len() + left_out, long.len());
        }
    }

    #[test]
    fn a_word_for_the_shell_is_quoted_where_it_has_to_be() {
        assert_eq!(word("kernel.s.iommufd__edu.c"), "kernel.s.iommufd__edu.c");
        assert_eq!(word("map[page=2MiB]"), "'map[page=2MiB]'");
        assert_eq!(word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(word(""), "''");
    }
}
