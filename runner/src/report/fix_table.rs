// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which fixes a kernel has, on the terminal (`report --fixes`).
//!
//! ```text
//! Linux 6.12.7, iommu intel, edu 1234:11e8 at 0000:00:03.0
//!
//! ✗  iommufd: Do not free what is in use (f00ba4c0ffee), in 6.12.9 and later
//!      missing: unmap gave EINVAL, expected 2 MiB
//!        fixes.unmap.iommufd__edu.in_use
//! –  vfio: Count once (ba5eba11f00d), in 6.14 and later
//!      cannot tell: the device has no MSI-X
//! ✓  iommu: Flush first (0ddba11ca75e), in 6.12.3 and later
//!
//! 3 fixes: 1 missing, 1 cannot tell, 1 there
//! ```

use std::{io, path::Path};

use crate::report::fixes::{self, Kernel, Presence, Row, Seen};
use crate::report::run::Run;
use crate::report::summary;
use crate::report::terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark, wrapped};
use crate::sanitize::line;

/// How many reasons and cases of a fix are shown; the others are counted.
const LISTED: usize = 4;

/// The table as text for `terminal`; `files` are the reports that were written, such as `("JUnit", path)`.
pub fn render(run: &Run, terminal: &Terminal, files: &[(&str, &Path)]) -> io::Result<String> {
    let seen = fixes::seen(run)?;
    let table = Table { kernels: fixes::kernels(run), terminal };
    let mut blocks = vec![summary::environments(run, terminal), table.columns()];
    blocks.push(fixes::rows(&table.kernels, &seen).iter().map(|row| table.row(row)).collect());
    blocks.push(table.closing(&seen, files));
    blocks.retain(|block| !block.is_empty());
    Ok(blocks.join("\n"))
}

struct Table<'a> {
    kernels: Vec<Kernel<'a>>,
    terminal: &'a Terminal,
}

impl Table<'_> {
    /// The heads of the columns, if there are several.
    fn columns(&self) -> String {
        let (rail, corner) = if self.terminal.unicode { ("│ ", "┌") } else { ("| ", ",") };
        let head = |(at, label): (usize, String)| {
            format!("{} {label}\n", self.terminal.paint(DIM, format_args!("{}{corner}", rail.repeat(at))))
        };
        let labels = self.kernels.iter().map(|kernel| line(&kernel.label));
        labels.enumerate().filter(|_| self.kernels.len() > 1).map(head).collect()
    }

    fn row(&self, row: &Row) -> String {
        let mark = |seen: &Option<&Seen>| seen.map_or(" ".into(), |seen| mark(self.terminal, seen.presence.like()));
        let marks: Vec<_> = row.seen.iter().map(mark).collect();
        let indent = 2 * marks.len() + 1;
        let title = wrapped(&line(&row.line()), self.terminal.width, indent).join(&format!("\n{:indent$}", ""));
        let mut text = format!("{}  {title}\n", marks.join(" "));
        for seen in row.all().filter(|seen| seen.presence != Presence::There) {
            text += &self.reasons(seen, indent + 2);
        }
        text
    }

    /// Why a fix is not there, and which cases say so.
    fn reasons(&self, seen: &Seen, indent: usize) -> String {
        let label = self.kernels[seen.column].label.as_str();
        let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
        let mut text = String::new();
        for reason in seen.reasons.iter().take(LISTED) {
            text += &self.terminal.dimmed(&format!("{label}{}: {reason}", seen.presence.meaning()), indent);
        }
        if seen.presence == Presence::Missing {
            if let Some(odd) = seen.odd() {
                text += &self.terminal.dimmed(&odd, indent);
            }
            text.extend(seen.cases.iter().take(LISTED).map(|case| self.terminal.dimmed(case, indent + 2)));
            if seen.cases.len() > LISTED {
                text += &self.terminal.dimmed(&format!("and {} more", seen.cases.len() - LISTED), indent + 2);
            }
        } else if seen.reasons.len() > LISTED {
            text += &self.terminal.dimmed(&format!("and {} more reasons", seen.reasons.len() - LISTED), indent);
        }
        text
    }

    fn closing(&self, seen: &[Seen], files: &[(&str, &Path)]) -> String {
        let mut text = String::new();
        for (at, kernel) in self.kernels.iter().enumerate() {
            let here = seen.iter().filter(|seen| seen.column == at);
            let counts = Presence::ALL.into_iter().filter_map(|presence| {
                let counted = fixes::counted(here.clone(), presence)?;
                let style = match presence {
                    Presence::Missing => RED.bold(),
                    Presence::CannotTell => YELLOW,
                    Presence::There | Presence::NotAffected => GREEN,
                };
                Some(self.terminal.paint(style, counted))
            });
            let counts: Vec<_> = counts.collect();
            let label = line(&kernel.label);
            let label = if label.is_empty() { label } else { format!("{label}: ") };
            let total = self.terminal.paint(BOLD, format_args!("{label}{}", fixes::number(here.count())));
            text += &match counts.as_slice() {
                [] => format!("{total}: no case that was planned names one in `fixes`\n"),
                counts => format!("{total}: {}\n", counts.join(", ")),
            };
        }
        text + &self.terminal.files(files)
    }
}
