//! What the terminal can show: colour, characters, columns.

use std::fmt::Display;
use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style};

use crate::model::Verdict;

/// What may be printed, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it is a terminal at all, where a line can be drawn again.
    pub live: bool,
    /// Whether ANSI colours are wanted.
    pub color: bool,
    /// Whether more than ASCII can be shown.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

impl Terminal {
    /// A plain one: ASCII without colour in 80 columns.
    pub const PLAIN: Self = Self { live: false, color: false, unicode: false, width: 80 };

    /// What `stream` can show, by what it is and by the environment: `NO_COLOR` turns colour off, else `CLICOLOR_FORCE`
    /// turns it on, else it needs a terminal that is not dumb; the locale says whether it is Unicode, `COLUMNS` or the terminal how wide.
    pub fn detect(stream: &impl IsTerminal) -> Self {
        let columns = || console::Term::stdout().size_checked().or_else(|| console::Term::stderr().size_checked());
        let terminal = Self::from_environment(stream.is_terminal(), |name| std::env::var(name).ok());
        match (std::env::var_os("COLUMNS"), columns()) {
            (None, Some((_, columns))) => Self { width: usize::from(columns).max(40), ..terminal },
            _ => terminal,
        }
    }

    fn from_environment(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let color = if set("NO_COLOR").is_some() {
            false
        } else if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
            true
        } else {
            is_terminal && !dumb
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
        Self {
            live: is_terminal && !dumb,
            color,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
            width: set("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(Self::PLAIN.width).max(40),
        }
    }

    /// `text` in that style, if colour is wanted.
    pub fn paint(&self, style: Style, text: impl Display) -> String {
        let text = text.to_string();
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text }
    }
}

/// Went well.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// A failure.
pub const RED: Style = AnsiColor::Red.on_default();
/// No verdict.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// A heading.
pub const BOLD: Style = Style::new().bold();

/// One column that says how a case ended: [`Verdict::symbol`], or `. F E ~ k s` where only ASCII can be shown.
pub fn mark(terminal: &Terminal, verdict: Verdict) -> String {
    let (style, ascii) = match verdict {
        Verdict::Passed => (GREEN, "."),
        Verdict::Failed => (RED, "F"),
        Verdict::Error => (YELLOW, "E"),
        Verdict::Flaky => (YELLOW, "~"),
        Verdict::KnownIssue => (YELLOW, "k"),
        Verdict::Skipped => (DIM, "s"),
    };
    terminal.paint(style, if terminal.unicode { verdict.symbol() } else { ascii })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(is_terminal: bool, environment: &[(&str, &str)]) -> Terminal {
        Terminal::from_environment(is_terminal, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn colour_needs_a_terminal_that_is_not_dumb() {
        assert!(on(true, &[("TERM", "xterm")]).color);
        assert!(!on(false, &[("TERM", "xterm")]).color);
        assert!(!on(true, &[("TERM", "dumb")]).color && !on(true, &[("TERM", "dumb")]).live);
    }

    #[test]
    fn the_user_has_the_last_word_on_colour() {
        assert!(!on(true, &[("NO_COLOR", "1")]).color);
        assert!(on(true, &[("NO_COLOR", "")]).color, "an empty NO_COLOR is no NO_COLOR");
        assert!(on(false, &[("CLICOLOR_FORCE", "1")]).color);
        assert!(!on(false, &[("CLICOLOR_FORCE", "0")]).color);
        assert!(!on(true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).color);
    }

    #[test]
    fn only_a_utf8_locale_gets_more_than_ascii() {
        assert!(on(true, &[("LANG", "C.UTF-8")]).unicode);
        assert!(on(true, &[("LANG", "C"), ("LC_CTYPE", "de_DE.utf8")]).unicode);
        assert!(!on(true, &[("LANG", "C.UTF-8"), ("LC_ALL", "C")]).unicode);
        assert!(!on(true, &[]).unicode);
    }

    #[test]
    fn width_is_columns_or_80_and_never_absurd() {
        assert_eq!(on(true, &[("COLUMNS", "132")]).width, 132);
        assert_eq!(on(true, &[("COLUMNS", "wide")]).width, 80);
        assert_eq!(on(true, &[("COLUMNS", "1")]).width, 40);
    }
}
