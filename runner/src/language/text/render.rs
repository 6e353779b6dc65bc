// SPDX-License-Identifier: MIT OR Apache-2.0
//! Draws diagnostics for a terminal. What the file holds is shown, never obeyed: control characters become pictures.

use std::{borrow::Cow, ops::Range};

use annotate_snippets::renderer::{AnsiColor, Style};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::diagnostic::Diagnostic;
use super::source::{Location, Source};

/// Columns; long lines are cut around the caret.
const WIDTH: usize = 140;
/// Of a longer line, nothing is drawn this many bytes behind its last caret.
const BEHIND: usize = 400;

/// All diagnostics of one file, by their place in it.
pub fn render(source: &Source, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let mut drawn = String::new();
    for (location, diagnostic) in in_order(source, diagnostics) {
        if !drawn.is_empty() {
            drawn.push('\n');
        }
        drawn.push_str(&draw(&renderer, source, &location, diagnostic));
        drawn.push('\n');
    }
    drawn
}

/// The lines with carets in what [`render`] makes of one diagnostic, counted from 0. Their colour tells them: only the title, which is the
/// first line, has the same one, and no text that is drawn can bring a colour along.
pub fn carets(source: &Source, diagnostic: &Diagnostic) -> Vec<u32> {
    const CARET: Style = AnsiColor::Red.on_default();
    let renderer = Renderer::plain().error(CARET).term_width(WIDTH);
    let drawn = draw(&renderer, source, &source.place(diagnostic), diagnostic);
    let colour = CARET.render().to_string();
    (0..).zip(drawn.lines()).skip(1).filter(|(_, line)| line.contains(&colour)).map(|(at, _)| at).collect()
}

/// Diagnostics with their places, by these.
pub(super) fn in_order<'d>(source: &Source, diagnostics: &'d [Diagnostic]) -> Vec<(Location, &'d Diagnostic)> {
    let mut placed: Vec<(Location, &Diagnostic)> =
        diagnostics.iter().map(|diagnostic| (source.place(diagnostic), diagnostic)).collect();
    // Of those at one place, what is said of the outer value comes first.
    placed.sort_by_key(|(location, diagnostic)| (location.span.start, diagnostic.path.segments().len()));
    placed
}

fn draw(renderer: &Renderer, source: &Source, location: &Location, diagnostic: &Diagnostic) -> String {
    // Marks on the caret's line and on lines of their own; the crate is given those lines only.
    let mut marks = vec![(location.clone(), diagnostic.label.as_str(), AnnotationKind::Primary)];
    for note in &diagnostic.notes {
        marks.push((source.locate(&note.path, note.target), note.label.as_str(), AnnotationKind::Context));
    }
    let first = marks.iter().map(|(at, ..)| at.line).min().unwrap_or(1);
    let last = marks.iter().map(|(at, ..)| at.line).max().unwrap_or(1);
    let mut excerpt = String::new();
    let mut annotations = Vec::new();
    for line in first..=last {
        let here = || marks.iter().filter(|(at, ..)| at.line == line);
        if let Some(end) = here().map(|(at, ..)| at.span.end).max() {
            let (start, text) = source.line(line);
            let (text, cut) = shown_line(text, end.saturating_sub(start));
            for (at, label, kind) in here() {
                let base = excerpt.len();
                let span = base + offset(&text, at.span.start - start)..base + offset(&text, at.span.end - start);
                let span = widen(span, base + cut);
                annotations.push(kind.span(span).label(match label.is_empty() {
                    true => None,
                    false => Some(visible(label).into_owned()),
                }));
            }
            excerpt.extend(text.iter().map(|(_, c)| *c));
        }
        excerpt.push('\n');
    }
    let name = visible(&source.name).into_owned();
    let snippet = Snippet::source(excerpt).line_start(first).path(name).annotations(annotations);
    let group = Level::ERROR
        .primary_title(visible(&diagnostic.title).into_owned())
        .id(diagnostic.code.as_str())
        .element(snippet);
    let help = diagnostic.help.iter().map(|sentence| Level::HELP.message(visible(sentence).into_owned()));
    renderer.render(&[group.elements(help)])
}

/// A line as it is drawn: characters with their byte offset in the file's line, one for one, so that columns stay true.
/// The second value is the drawn line's length in bytes.
fn shown_line(text: &str, end: usize) -> (Vec<(usize, char)>, usize) {
    let mut shown = Vec::new();
    for (at, c) in text.char_indices() {
        if at > end + BEHIND {
            shown.push((at, '…'));
            break;
        }
        shown.push((at, if c == '\t' { c } else { picture(c).unwrap_or(c) }));
    }
    let length = shown.iter().map(|(_, c)| c.len_utf8()).sum();
    (shown, length)
}

/// From a byte offset of the file's line to one of the drawn line.
fn offset(shown: &[(usize, char)], byte: usize) -> usize {
    shown.iter().take_while(|(at, _)| *at < byte).map(|(_, c)| c.len_utf8()).sum()
}

/// A caret needs something to stand under; at the end of a line it stands behind it.
fn widen(span: Range<usize>, line_end: usize) -> Range<usize> {
    span.start.min(line_end)..span.end.min(line_end)
}

/// Text without characters that a terminal would obey, or that would make it show another text than is there.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| picture(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| picture(c).unwrap_or(c)).collect())
}

/// What stands for a character that must not reach a terminal.
fn picture(c: char) -> Option<char> {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)),
        '\x7f' => Some('␡'),
        // C1 controls; direction marks, embeddings and isolates; characters without width; separators; tags.
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => Some('\u{fffd}'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::text::diagnostic::Target;
    use crate::language::text::path::Path;
    use crate::model::code::Code;

    fn case_path() -> Path {
        Path::root().join("cases").join(0)
    }

    #[test]
    fn a_diagnostic_looks_like_a_compilers() {
        let source = Source::new("dir/a.yaml", "name: x\ncases:\n  - name: a\n    expct: ok\n");
        let diagnostic =
            Diagnostic::error(Code::UnknownKey, case_path().join("expct"), "unknown key `expct` in a case")
                .at(Target::Key)
                .label("expected one of `name`, `expect`")
                .help("did you mean `expect`?");
        let expected = "\
error[unknown-key]: unknown key `expct` in a case
 --> dir/a.yaml:4:5
  |
4 |     expct: ok
  |     ^^^^^ expected one of `name`, `expect`
  |
  = help: did you mean `expect`?
";
        assert_eq!(render(&source, &[diagnostic], false), expected);
    }

    #[test]
    fn diagnostics_come_in_the_order_of_the_file() {
        let source = Source::new("a.yaml", "a: 1\nb: 2\n");
        let later = Diagnostic::error(Code::UnusedValue, Path::root().join("b"), "later");
        let sooner = Diagnostic::error(Code::UnknownKey, Path::root().join("a"), "sooner");
        let drawn = render(&source, &[later, sooner], false);
        assert!(drawn.find("error[unknown-key]").unwrap() < drawn.find("error[unused-value]").unwrap(), "{drawn}");
    }

    #[test]
    fn a_second_place_is_shown_too() {
        let source = Source::new("a.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\na: 6\n");
        let path = Path::root().join("a");
        let diagnostic = Diagnostic::error(Code::DuplicateKey, path.clone(), "`a` is written twice")
            .at(Target::Repeat(1))
            .note(path, Target::Key, "first here");
        let drawn = render(&source, std::slice::from_ref(&diagnostic), false);
        assert!(drawn.contains("a.yaml:6:1") && drawn.contains("- first here"), "{drawn}");
        let with_carets = drawn.lines().zip(0..).filter(|(line, _)| line.contains('^')).map(|(_, at)| at);
        assert_eq!(carets(&source, &diagnostic), with_carets.collect::<Vec<_>>());
    }

    #[test]
    fn hostile_text_reaches_no_terminal() {
        let hostile = "\u{1b}[31m\u{9b}2J\u{202e}\u{7}";
        let source = Source::new(format!("{hostile}.yaml"), format!("a: \"{hostile}\"\n"));
        let diagnostic = Diagnostic::error(Code::Syntax, Path::root().join("a"), hostile).label(hostile).help(hostile);
        let drawn = render(&source, &[diagnostic], false);
        assert!(drawn.chars().all(|c| c == '\n' || c == ' ' || picture(c).is_none()), "{drawn:?}");
    }

    #[test]
    fn carets_stand_under_what_they_mean() {
        for (text, behind) in [("a: [ü, x]\r\n", 7), ("a: [\u{1b}, x]\n", 7), ("a: [🦀, x]\n", 8), ("a:\tx\n", 6)] {
            let source = Source::new("a.yaml", text);
            let mut diagnostic = Diagnostic::error(Code::Syntax, Path::root(), "x");
            // A raw control character is no YAML, so there is no path to it.
            diagnostic.span = text.find('x').map(|at| at..at + 1);
            let drawn = render(&source, &[diagnostic], false);
            let line = drawn.lines().find(|line| line.contains('^')).unwrap();
            assert_eq!(line.trim_end(), format!("  | {}^", " ".repeat(behind)), "{drawn}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("{{ {}: 1, here: 2, {}: 3 }}", "a".repeat(100_000), "b".repeat(1_000_000));
        let source = Source::new("a.yaml", text);
        let diagnostic = Diagnostic::error(Code::Syntax, Path::root().join("here"), "x").at(Target::Key);
        let drawn = render(&source, &[diagnostic], false);
        assert!(drawn.len() < 2000 && drawn.contains("here") && drawn.contains("a.yaml:1:100008"), "{drawn}");
    }

    #[test]
    fn a_caret_behind_the_last_character_is_drawn() {
        for text in ["a: 1", "a: 1\n", ""] {
            let source = Source::new("a.yaml", text);
            let mut diagnostic = Diagnostic::error(Code::Syntax, Path::root(), "unexpected end");
            diagnostic.span = Some(text.len()..text.len());
            assert!(render(&source, &[diagnostic], false).contains('^'));
        }
    }
}
