// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the preparations tell a person: bars on a terminal, plain lines in a log, nothing when quiet.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Quiet,
    Plain,
    Terminal,
}

impl Progress {
    /// Bars if the standard error is a terminal, plain lines if not, nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }

    pub fn say(self, line: &str) {
        if self != Self::Quiet {
            eprintln!("lab: {line}");
        }
    }

    /// A bar of `total` steps; in a log, a line at each quarter.
    pub fn bar(self, what: &str, total: u64) -> Bar {
        let bar = if self == Self::Terminal {
            let bar = ProgressBar::new(total);
            let style =
                ProgressStyle::with_template("lab: {msg:<34} {bar:30} {percent:>3} %  {elapsed}  (left: {eta})");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(500));
            Some(bar)
        } else {
            self.say(what);
            None
        };
        Bar { progress: self, what: what.into(), total: total.max(1), at: 0, quarters: 0, bar }
    }
}

/// A step with a known length; gone from the terminal when dropped.
#[derive(Debug)]
pub struct Bar {
    progress: Progress,
    what: String,
    total: u64,
    at: u64,
    quarters: u64,
    bar: Option<ProgressBar>,
}

impl Bar {
    pub fn step(&mut self) {
        self.set(self.at + 1);
    }

    /// The number of steps so far; an estimate that was too low stays at the end.
    pub fn set(&mut self, at: u64) {
        self.at = at;
        match &self.bar {
            Some(bar) => bar.set_position(at.min(self.total)),
            None => {
                let quarters = at * 4 / self.total;
                if quarters > self.quarters && quarters < 4 {
                    self.quarters = quarters;
                    self.progress.say(&format!("{}: {} %", self.what, quarters * 25));
                }
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_passes_each_quarter_once_and_survives_a_low_estimate() {
        let mut bar = Progress::Quiet.bar("building", 8);
        (0..20).for_each(|_| bar.step());
        assert_eq!((bar.at, bar.quarters), (20, 3));
    }
}
