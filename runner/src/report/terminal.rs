// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a terminal can show: colours, characters, columns.

use std::{fmt::Display, io::IsTerminal, path::Path};

use clap::builder::styling::{AnsiColor, Style};

use crate::{model::Verdict, sanitize::line};

/// What may be printed, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it is a terminal, on which a line can be drawn again.
    pub live: bool,
    /// Whether ANSI colours are wanted.
    pub color: bool,
    /// Whether more than ASCII can be shown.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

impl Terminal {
    /// ASCII without colour in 80 columns.
    pub const PLAIN: Self = Self { live: false, color: false, unicode: false, width: 80 };

    /// What `stream` can show. `NO_COLOR` turns colour off, else `CLICOLOR_FORCE` turns it on, else a terminal has it unless it is
    /// dumb. The locale decides about Unicode, and `COLUMNS` or the terminal about the width.
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

/// A pass.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// A failure.
pub const RED: Style = AnsiColor::Red.on_default();
/// A case without a verdict.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// A heading.
pub const BOLD: Style = Style::new().bold();

/// How a case ended, in one column: [`Verdict::symbol`], or one of `. F E ~ k s` if the terminal shows only ASCII.
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

/// `text` in lines that fit beside an indent; lines after the first hang by 2. They break after a space, a comma, and a character that
/// is two columns wide, since Chinese and Japanese have no spaces. A longer word, such as a path, stays whole.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.saturating_sub(indent);
    let is_wide = |c: char| !c.is_ascii() && console::measure_text_width(c.encode_utf8(&mut [0; 4])) > 1;
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(|c| matches!(c, ' ' | ',') || is_wide(c)) {
        if used > 0 && used + console::measure_text_width(word.trim_end()) > width {
            lines.push("  ".into());
            used = 2;
        }
        lines.last_mut().expect("never empty").push_str(word);
        used += console::measure_text_width(word);
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines.retain(|line| !line.is_empty());
    lines
}

impl Terminal {
    /// One line of a run, dim, in as many lines as it takes beside an indent.
    pub fn dimmed(&self, item: &str, indent: usize) -> String {
        let lines = wrapped(&line(item), self.width, indent);
        lines.iter().map(|l| format!("{:indent$}{}\n", "", self.paint(DIM, l))).collect()
    }

    /// The reports that were written, such as `("JUnit", path)`.
    pub fn files(&self, files: &[(&str, &Path)]) -> String {
        let told = |(name, path): &(&str, &Path)| self.paint(DIM, format_args!("{name}: {}", path.display())) + "\n";
        files.iter().map(told).collect()
    }
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

    #[test]
    fn wide_characters_are_measured_in_columns_and_broken_between() {
        let reason = "設備在測試期間消失了，".repeat(9);
        for text in [reason.clone(), format!("{reason} and {reason}"), "🦀".repeat(90)] {
            let lines = wrapped(&text, 80, 2);
            let widest = lines.iter().map(|line| console::measure_text_width(line)).max();
            assert!(widest <= Some(78), "{widest:?} columns in {lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
        assert_eq!(wrapped("/a/path/of/some/length is whole", 10, 0)[0], "/a/path/of/some/length");
    }
}
