//! A mistake in a file, and how it is shown: the place, the line, a caret, what was expected, what to do.
//!
//! ```text
//! error[unknown-key]: unknown key `expct` in a case
//!   --> scenarios/kernel/dma_mapping.yaml:14:5
//!    |
//! 14 |     expct: ok
//!    |     ^^^^^ expected one of `name`, `expect`
//!    |
//!    = help: did you mean `expect`?
//! ```

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::path::Path;
use super::position::Locator;
use crate::model::code::Code;

/// Whether a file can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used.
    Warning,
}

/// What of the place at a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The key (the path's last step).
    Key,
    /// The value.
    Value,
    /// The key where it is written again, for duplicate keys; 1 is its second time.
    Repeat(usize),
}

/// A second place worth showing: "first given here".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where in the document.
    pub path: Path,
    /// Key or value.
    pub target: Target,
    /// What is said beside the place.
    pub label: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Kebab-case, such as `unknown-key`; stable, tests and documentation refer to it.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// Where in the document.
    pub path: Path,
    /// Key or value.
    pub target: Target,
    /// The byte range within the scalar's text, for mistakes inside expressions.
    pub inside: Option<Range<usize>>,
    /// The byte range within the file, for mistakes of syntax, which have no path.
    pub span: Option<Range<usize>>,
    /// What is wrong, naming what was read; one line, lower case.
    pub title: String,
    /// What was expected; stands beside the caret. May be empty.
    pub label: String,
    /// Other places that belong to the mistake.
    pub notes: Vec<Note>,
    /// What to do, one sentence each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at the value of `path`.
    pub fn error(code: Code, path: Path, title: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            path,
            target: Target::Value,
            inside: None,
            span: None,
            title: title.into(),
            label: String::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning at the value of `path`.
    pub fn warning(code: Code, path: Path, title: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, path, title) }
    }

    /// Points at the key, or at another of its occurrences, instead of the value.
    #[must_use]
    pub fn at(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Points at a part of the scalar's text, in bytes.
    #[must_use]
    pub fn inside(mut self, range: Range<usize>) -> Self {
        self.inside = Some(range);
        self
    }

    /// Sets the text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Shows a second place.
    #[must_use]
    pub fn note(mut self, path: Path, target: Target, label: impl Into<String>) -> Self {
        self.notes.push(Note { path, target, label: label.into() });
        self
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn help(mut self, sentence: impl Into<String>) -> Self {
        self.help.push(sentence.into());
        self
    }
}

/// A file's text, to point into.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's path as the user gave it.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: String,
    /// Made when it is first asked for: it takes longer than reading the text does.
    locator: OnceLock<Arc<Locator>>,
}

impl Source {
    /// A text under a name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Source { name: name.into(), text, locator: OnceLock::new() }
    }

    /// Where everything stands in the text.
    pub fn locator(&self) -> &Locator {
        self.locator.get_or_init(|| Arc::new(Locator::new(&self.text)))
    }

    /// A file's bytes under a name. Bytes that are no UTF-8 give the readable rest together with what is wrong.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Box<(Self, Diagnostic)>> {
        let name = name.into();
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(Source::new(name, text)),
            Err(error) => error,
        };
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let sixteen = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let title = match bytes.get(at) {
            _ if sixteen => "the file is UTF-16, not UTF-8".to_owned(),
            Some(byte) => format!("the file is not UTF-8: byte 0x{byte:02x}"),
            None => "the file is not UTF-8".to_owned(),
        };
        let mut diagnostic = Diagnostic::error(Code::NotUtf8, Path::root(), title)
            .label("expected UTF-8 from here on")
            .help("save the file as UTF-8");
        // The lossy text equals the bytes up to the first bad one, where a replacement character of three bytes stands.
        diagnostic.span = Some(at..at + '\u{fffd}'.len_utf8());
        Err(Box::new((Source::new(name, String::from_utf8_lossy(&bytes)), diagnostic)))
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The bytes of the file's text.
    pub span: Range<usize>,
}

/// Where a path stands in a file. A path that is not there gives its nearest ancestor that is.
pub fn locate(source: &Source, path: &Path, target: Target) -> Location {
    source.locator().locate(path, target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::render;

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let source = Source::from_bytes("a.yaml", b"\xef\xbb\xbfa: 1".to_vec()).unwrap();
        assert_eq!(source.text, "a: 1");
    }

    #[test]
    fn bytes_that_are_no_text_are_pointed_at() {
        let (source, diagnostic) = *Source::from_bytes("a.yaml", b"a: \xfff".to_vec()).unwrap_err();
        assert_eq!(diagnostic.title, "the file is not UTF-8: byte 0xff");
        assert!(render(&source, &[diagnostic], false).contains("a.yaml:1:4"));
        let (source, diagnostic) = *Source::from_bytes("a.yaml", b"\xff\xfea\0".to_vec()).unwrap_err();
        assert_eq!(diagnostic.title, "the file is UTF-16, not UTF-8");
        render(&source, &[diagnostic], false);
    }
}
