// SPDX-License-Identifier: MIT OR Apache-2.0
//! The run as it goes on: a bar on a terminal, and a line for each failure everywhere.

use std::io::{self, Stderr, Write};
use std::{collections::HashMap, collections::HashSet, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{CaseResult, Event, PlannedCase};
use crate::report::terminal::{DIM, RED, Terminal, YELLOW, mark};
use crate::{model::Verdict, report::run::Counts, sanitize};

/// Shows events as they come. A terminal that is gone stops nothing: all that is shown is also in the journal.
#[derive(Debug)]
pub struct Progress<W = Stderr> {
    out: W,
    terminal: Terminal,
    verbose: bool,
    bar: ProgressBar,
    /// Whether the clock of the bar runs, in a thread of its own.
    ticks: bool,
    ids: HashMap<u32, String>,
    done: HashSet<u32>,
    counts: Counts,
    traced: Option<u32>,
}

impl Progress {
    /// Shows events on the standard error stream; `verbose` asks for a line for every case, not only for failures and errors.
    pub fn stderr(verbose: bool) -> Self {
        let out = io::stderr();
        let terminal = Terminal::detect(&out);
        Self::new(out, terminal, verbose)
    }
}

impl<W: Write> Progress<W> {
    /// Writes lines to `out`. If `terminal` is live, a bar is drawn on the standard error stream.
    pub fn new(out: W, terminal: Terminal, verbose: bool) -> Self {
        let bar = if terminal.live {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(&terminal))
        } else {
            ProgressBar::hidden()
        };
        Self {
            out,
            terminal,
            verbose,
            bar,
            ticks: false,
            ids: HashMap::new(),
            done: HashSet::new(),
            counts: Counts::default(),
            traced: None,
        }
    }

    pub fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted(_) | Event::RunResumed(_) | Event::CaseAttempted(_) => {}
            Event::CasePlanned(planned) => self.plan(planned),
            Event::CaseStarted { case } => self.start(*case),
            Event::CaseFinished(result) => {
                self.count(result);
                if self.verbose || matches!(result.verdict, Verdict::Failed | Verdict::Error | Verdict::Flaky) {
                    self.say(&self.line(result));
                }
            }
            Event::Called { case, call } => {
                if self.traced.replace(*case) != Some(*case) {
                    self.say(&format!("{}:", self.id(*case)));
                }
                self.say(&format!("  {}", sanitize::line(call)));
            }
            Event::Exploring { .. } | Event::Kept => {}
            Event::Busy { with } => self.bar.set_message(format!("{}{}", self.tally(), sanitize::line(with))),
            Event::RunFinished(_) => self.clear(),
        }
    }

    /// Counts an event of an earlier part of the run, without printing it.
    pub fn recall(&mut self, event: &Event) {
        match event {
            Event::CasePlanned(planned) => self.plan(planned),
            Event::CaseFinished(result) => self.count(result),
            _ => {}
        }
    }

    pub fn say(&mut self, line: &str) {
        if self.terminal.live {
            self.bar.println(line);
        } else {
            let _ = writeln!(self.out, "{line}");
        }
    }

    /// Removes the bar, also if the run has no end.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn plan(&mut self, planned: &PlannedCase) {
        self.ids.insert(planned.case, sanitize::line(&planned.id().to_string()));
        self.bar.set_length(self.ids.len() as u64);
    }

    fn start(&mut self, case: u32) {
        if self.terminal.live && !std::mem::replace(&mut self.ticks, true) {
            self.bar.enable_steady_tick(Duration::from_millis(100)); // The clock goes on while a case hangs.
        }
        self.bar.set_message(format!("{}{}", self.tally(), self.id(case)));
    }

    fn count(&mut self, result: &CaseResult) {
        self.counts.add(result.verdict);
        if !self.done.insert(result.case) {
            return; // its result was revised
        }
        self.bar.inc(1); // The message waits for the next case: of two changes at once the bar would draw only the first.
    }

    /// What has gone wrong so far, such as `2 failed, 1 without verdict  `.
    fn tally(&self) -> String {
        let part = |verdict: Verdict, style| {
            let count = self.counts.of(verdict);
            (count > 0).then(|| self.terminal.paint(style, format_args!("{count} {}", verdict.counted())))
        };
        let parts: Vec<_> = [part(Verdict::Failed, RED), part(Verdict::Error, YELLOW)].into_iter().flatten().collect();
        if parts.is_empty() { String::new() } else { parts.join(", ") + "  " }
    }

    fn line(&self, result: &CaseResult) -> String {
        let (mark, id) = (mark(&self.terminal, result.verdict), self.id(result.case));
        match &result.message {
            Some(message) if result.verdict != Verdict::Passed => format!("{mark} {id}: {}", sanitize::line(message)),
            _ => format!("{mark} {id}{}", self.terminal.paint(DIM, format_args!("  {} ms", result.micros / 1000))),
        }
    }

    fn id(&self, case: u32) -> String {
        self.ids.get(&case).cloned().unwrap_or_else(|| format!("case {case}"))
    }
}

fn style(terminal: &Terminal) -> ProgressStyle {
    let characters = if terminal.unicode { "━╸ " } else { "=> " };
    ProgressStyle::with_template("{bar:24} {pos}/{len}  {elapsed}  {wide_msg}")
        .expect("the template is valid")
        .progress_chars(characters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::report::fixture::{mixed, run_of_45};

    fn printed(events: &[Event], verbose: bool) -> String {
        let mut progress = Progress::new(Vec::new(), Terminal { unicode: true, ..Terminal::PLAIN }, verbose);
        events.iter().for_each(|event| progress.on(event));
        String::from_utf8(progress.out).expect("text")
    }

    #[test]
    fn without_a_terminal_only_what_went_wrong_is_printed() {
        assert_eq!(printed(&run_of_45(|_, _| {}), false), "");
        assert_eq!(
            printed(&mixed(), false),
            "✗ kernel.dma_unmap.iommufd_compat_type1__edu.one_page_in_the_middle: unmap gave ENOENT, expected 4096 bytes\n\
             ! kernel.limits.iommufd__edu.size_zero: the device vanished: 0000:00:03.0 is no longer in sysfs\n"
        );
    }

    #[test]
    fn verbose_prints_a_line_for_every_case() {
        let text = printed(&mixed(), true);
        assert_eq!(text.lines().count(), 45, "{text}");
        assert!(
            text.starts_with("✓ kernel.dma_mapping.vfio_type1_iommu__edu.map_unmap[page=4KiB]  182 ms\n"),
            "{text}"
        );
    }
}
