//! How a hand-written serde visitor says more than one line: what was read, what was expected, what to do.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use super::diagnostic::Target;
use super::suggest;
use crate::model::code::Code;

/// A mistake in a value, raised with [`Complaint::raise`] by a visitor or by `Deserialize` itself.
///
/// Serde lets an error carry nothing but text. The decoder of this crate formats the error's text with `{:#}`, and a
/// complaint formatted so leaves itself in a cell of this thread where the decoder picks it up whole; any other
/// deserialiser (JSON) formats with `{}` and gets one plain sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Kebab-case; defaults to `invalid-value`.
    pub code: Code,
    /// What is wrong, naming what was read.
    pub title: String,
    /// What was expected; stands beside the caret.
    pub label: String,
    /// What to do, one sentence each.
    pub help: Vec<String>,
    /// The byte range within the scalar's text, for mistakes inside expressions.
    pub inside: Option<Range<usize>>,
    /// The key of the visited mapping that is to blame, rather than the mapping.
    pub at: Option<Box<Blamed>>,
}

/// A key of the visited mapping that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The key.
    pub key: String,
    /// Whether its value is to blame, or the key itself.
    pub target: Target,
    /// Another key of the mapping that has to do with it, and why.
    pub note: Option<(String, &'static str)>,
}

thread_local! {
    static HANDED_OVER: RefCell<Option<Complaint>> = const { RefCell::new(None) };
}

impl Complaint {
    /// A complaint with a title that names what was read.
    pub fn new(title: impl fmt::Display) -> Self {
        Complaint {
            code: Code::InvalidValue,
            title: title.to_string(),
            label: String::new(),
            help: Vec::new(),
            inside: None,
            at: None,
        }
    }

    /// The complaint about a key that a mapping does not have, pointing at it.
    pub fn unknown_key(key: &str, place: &str, known: &[&str]) -> Self {
        let mut complaint = Complaint::new(format_args!("unknown key `{key}` in {place}"))
            .code(Code::UnknownKey)
            .expected_text(suggest::expected_one_of(known.iter().copied()))
            .at_key(key);
        complaint.help.extend(suggest::did_you_mean(key, known.iter().copied()));
        if known.is_empty() {
            complaint.help.push(format!("remove `{key}`"));
        }
        complaint
    }

    /// The complaint about a word that is none of those known.
    pub fn unknown_word(what: &str, read: &str, known: &[&str]) -> Self {
        let mut complaint = Complaint::new(format_args!("unknown {what} `{read}`"))
            .code(Code::UnknownValue)
            .expected_text(suggest::expected_one_of(known.iter().copied()));
        complaint.help.extend(suggest::did_you_mean(read, known.iter().copied()));
        complaint
    }

    /// Sets the code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Sets what was expected, without the word "expected".
    #[must_use]
    pub fn expected(self, what: impl fmt::Display) -> Self {
        self.expected_text(format!("expected {what}"))
    }

    fn expected_text(mut self, label: String) -> Self {
        self.label = label;
        self
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn help(mut self, sentence: impl fmt::Display) -> Self {
        self.help.push(sentence.to_string());
        self
    }

    /// Points at a part of the scalar's text, in bytes.
    #[must_use]
    pub fn inside(mut self, range: Range<usize>) -> Self {
        self.inside = Some(range);
        self
    }

    /// Blames a key of the visited mapping.
    #[must_use]
    pub fn at_key(mut self, key: impl fmt::Display) -> Self {
        self.at = Some(Box::new(Blamed { key: key.to_string(), target: Target::Key, note: None }));
        self
    }

    /// Blames the value of a key of the visited mapping.
    #[must_use]
    pub fn at_value(mut self, key: impl fmt::Display) -> Self {
        self.at = Some(Box::new(Blamed { key: key.to_string(), target: Target::Value, note: None }));
        self
    }

    /// Points at another key of the visited mapping, beside the one that is to blame.
    #[must_use]
    pub fn note(mut self, key: impl fmt::Display, why: &'static str) -> Self {
        if let Some(at) = &mut self.at {
            at.note = Some((key.to_string(), why));
        }
        self
    }

    /// This complaint as a deserialiser's error.
    pub fn raise<E: serde::de::Error>(self) -> E {
        E::custom(self)
    }

    /// Reads an error's text back: the whole complaint when it was one, else the text as its title.
    pub(in crate::language) fn from_error(message: impl fmt::Display) -> Complaint {
        HANDED_OVER.take();
        let text = format!("{message:#}");
        HANDED_OVER.take().unwrap_or_else(|| Complaint::new(text))
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            HANDED_OVER.set(Some(self.clone()));
        }
        f.write_str(&self.title)?;
        if !self.label.is_empty() {
            write!(f, ": {}", self.label)?;
        }
        for sentence in &self.help {
            write!(f, "; {sentence}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_passes_through_serde_whole() {
        let complaint = Complaint::new("`2MB` is no size").expected("a size").help("write 2MiB").inside(0..3);
        assert_eq!(Complaint::from_error(&complaint), complaint);
    }

    #[test]
    fn other_formats_get_one_sentence() {
        let complaint = Complaint::new("`2MB` is no size").expected("a size").help("write 2MiB");
        let error: serde_json::Error = complaint.raise();
        assert_eq!(error.to_string(), "`2MB` is no size: expected a size; write 2MiB");
    }

    #[test]
    fn plain_errors_become_a_title() {
        assert_eq!(Complaint::from_error("no such thing").title, "no such thing");
    }
}
