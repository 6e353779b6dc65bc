//! How a run ends on the terminal.
//!
//! ```text
//! Linux 7.3.4, iommu intel, edu 1234:11e8 at 0000:00:03.0
//!
//! ┌ vfio_type1_iommu
//! │ ┌ vfio_type1v2_iommu
//! │ │ ┌ iommufd
//! │ │ │  kernel.dma_mapping on edu
//! ✓ ✓ ✓  map_unmap[page=4KiB]
//! ✓ ✗ ✓  map_unmap[page=2MiB]
//!
//! ✗ kernel.dma_mapping.vfio_type1v2_iommu__edu.map_unmap[page=2MiB]
//!   error: unmap gave EINVAL, expected 2 MiB
//!   …
//!
//! 1 pagesize check not made: no page-table dump for this IOMMU
//!
//! 6 cases: 5 passed, 1 failed in 0.21 s
//! JUnit: reports/out/junit.xml
//! ```
//!
//! The marks come first and the names last, so that no name is ever too long for its column.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::{
    event::RunStarted,
    model::Verdict,
    report::{
        run::{Case, Counts, Full, Note, Run, backend_rank},
        sanitize::{line, text},
        terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark},
    },
};

/// Above so many rows, the matrix folds the cases of a scenario that passed on every backend into one row.
const ROWS: usize = 60;

/// So many failures are shown in full, the others in one line each.
const IN_FULL: usize = 20;

/// So many of anything are listed, the others are counted.
const LISTED: usize = 200;

/// So many of a failure's calls and of its lines in the kernel log are shown, the last ones.
const LAST_LINES: usize = 6;

/// The end of a run as text for `terminal`; `files` are the reports that were written, such as `("JUnit", path)`.
///
/// # Errors
/// When the journal cannot be read any more.
pub fn render(run: &Run, terminal: &Terminal, files: &[(&str, &Path)]) -> io::Result<String> {
    let page = Page { run, terminal };
    let mut blocks = vec![page.environments(), page.matrices(), page.failures()?, page.known(), page.skips()];
    blocks.extend([page.notes(), page.closing(files)]);
    blocks.retain(|block| !block.is_empty());
    Ok(blocks.join("\n"))
}

struct Page<'a> {
    run: &'a Run,
    terminal: &'a Terminal,
}

/// A column of the matrix.
type Column<'a> = (usize, &'a str);

/// One row of the matrix: a case's name, and its result in each column that it was planned for.
struct Row<'a> {
    name: &'a str,
    marks: Vec<Option<Verdict>>,
}

/// The rows of one scenario on one device.
struct Group<'a> {
    title: String,
    rows: Vec<Row<'a>>,
}

impl Page<'_> {
    /// Where it ran, if anything was to run.
    fn environments(&self) -> String {
        if self.run.cases.is_empty() {
            return String::new();
        }
        let all = self.run.environments.iter().map(|environment| {
            let place = environment.parts.first().map(|part| place(&part.started)).unwrap_or_default();
            match environment.label.as_str() {
                "" => self.dimmed(&place),
                label => self.dimmed(&format!("{label}: {place}")),
            }
        });
        all.collect()
    }

    /// One matrix with all environments side by side; where the terminal is too narrow for that, one for each.
    fn matrices(&self) -> String {
        let mut columns: Vec<Column> = Vec::new();
        for suite in &self.run.suites {
            let column = (suite.environment, &*suite.backend);
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns.sort_by_key(|(environment, backend)| (*environment, backend_rank(backend)));
        let text: Vec<_> = if 2 * columns.len() <= self.terminal.width / 2 {
            vec![self.matrix(&columns)]
        } else {
            let of = |at| columns.iter().copied().filter(|(environment, _)| *environment == at).collect::<Vec<_>>();
            (0..self.run.environments.len()).map(|at| self.matrix(&of(at))).collect()
        };
        text.join("\n") + &self.legend()
    }

    fn matrix(&self, columns: &[Column]) -> String {
        let groups = self.groups(columns);
        let all_rows: usize = groups.iter().map(|group| group.rows.len()).sum();
        let (rail, corner) = if self.terminal.unicode { ("│", "┌") } else { ("|", ",") };
        let rails = |count| self.terminal.paint(DIM, vec![rail; count].join(" "));

        let mut text = String::new();
        for (at, (environment, backend)) in columns.iter().enumerate() {
            let gap = if at > 0 { " " } else { "" };
            let name = match self.run.environments[*environment].label.as_str() {
                "" => line(backend),
                label => line(&format!("{backend}, {label}")),
            };
            text += &format!("{}{gap}{} {name}\n", rails(at), self.terminal.paint(DIM, corner));
        }
        for group in &groups {
            let title = self.terminal.paint(BOLD, line(&group.title));
            let fold = all_rows > ROWS;
            let (folded, shown): (Vec<_>, Vec<_>) = group.rows.iter().partition(|row| fold && row.is_good());
            if shown.is_empty() {
                text += &format!("{}  {title}: all of {}\n", self.marks(&folded_marks(&folded)), folded.len());
                continue;
            }
            text += &format!("{}  {title}\n", rails(columns.len()));
            let indent = 2 * columns.len() + 1;
            for row in shown.iter().take(LISTED) {
                let name = self.wrapped(&line(row.name), indent).join(&format!("\n{}", " ".repeat(indent)));
                text += &format!("{}  {name}\n", self.marks(&row.marks));
            }
            if shown.len() > LISTED {
                text += &format!("{}  and {} more that did not all pass\n", rails(columns.len()), shown.len() - LISTED);
            }
            if !folded.is_empty() {
                text += &format!("{}  and {} more\n", self.marks(&folded_marks(&folded)), folded.len());
            }
        }
        text
    }

    fn groups(&self, columns: &[Column]) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut group_of = HashMap::new();
        let mut row_of: HashMap<(usize, &str), usize> = HashMap::new();
        for case in &self.run.cases {
            let suite = self.run.suite(case);
            let Some(column) = columns.iter().position(|column| *column == (suite.environment, &*suite.backend)) else {
                continue;
            };
            let key = (&suite.pack, &suite.scenario, &suite.device);
            let group = *group_of.entry(key).or_insert_with(|| {
                let title = format!("{}.{} on {}", suite.pack, suite.scenario, suite.device);
                groups.push(Group { title, rows: Vec::new() });
                groups.len() - 1
            });
            let rows = &mut groups[group].rows;
            let row = *row_of.entry((group, &case.name)).or_insert_with(|| {
                rows.push(Row { name: &case.name, marks: vec![None; columns.len()] });
                rows.len() - 1
            });
            rows[row].marks[column] = Some(case.verdict);
        }
        groups
    }

    fn marks(&self, marks: &[Option<Verdict>]) -> String {
        let marks: Vec<_> =
            marks.iter().map(|m| m.map_or(" ".into(), |verdict| mark(self.terminal, verdict))).collect();
        marks.join(" ")
    }

    /// What the marks mean, when there are others than passes.
    fn legend(&self) -> String {
        let counts = self.run.counts();
        let marks: Vec<_> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Passed && counts.of(*verdict) > 0)
            .map(|verdict| format!("{} {}", mark(self.terminal, verdict), self.terminal.paint(DIM, verdict.meaning())))
            .collect();
        if marks.is_empty() { String::new() } else { format!("\n{}\n", marks.join("   ")) }
    }

    fn failures(&self) -> io::Result<String> {
        let mut blocks = String::new();
        for (at, case) in self.run.troubled().take(LISTED).enumerate() {
            blocks += &self.failure(case, &self.run.full(case)?, at < IN_FULL);
        }
        let hidden = self.run.troubled().count().saturating_sub(LISTED);
        if hidden > 0 {
            blocks += &self.dimmed(&format!("and {hidden} more, which the other reports list"));
        }
        Ok(blocks.trim_end_matches('\n').lines().map(|line| format!("{line}\n")).collect())
    }

    fn failure(&self, case: &Case, Full { planned, result }: &Full, in_full: bool) -> String {
        let id = self.terminal.paint(BOLD, line(&self.run.id(case)));
        let mut block = format!("{} {id}\n", mark(self.terminal, case.verdict));
        let dimmed = |text: &str| -> String {
            let lines = self.wrapped(&line(text), 2);
            lines.iter().map(|l| format!("  {}\n", self.terminal.paint(DIM, l))).collect()
        };
        if in_full && !planned.summary.is_empty() {
            block += &dimmed(&planned.summary);
        }
        let message = result.message.as_deref().unwrap_or("no reason given");
        match &result.detail {
            // Its carets stand under what they mean: never wrapped.
            Some(detail) if in_full => block.extend(text(detail.trim_end()).lines().map(|l| format!("  {l}\n"))),
            _ => block.extend(self.wrapped(&line(message), 2).iter().map(|l| format!("  {l}\n"))),
        }
        if in_full {
            let calls: Vec<&str> = result.trace.iter().map(String::as_str).collect();
            block += &self.last(
                &match result.before.len() {
                    0 => "calls".to_owned(),
                    before => format!("calls, behind {before} of earlier cases that opened what it uses"),
                },
                &calls,
            );
            let log = result.kernel_log.iter().map(String::as_str).filter(|line| !is_routine(line));
            block += &self.last("kernel log", &log.collect::<Vec<_>>());
            // In one line, however long: it is there to be copied.
            let again = self.run.again(case, planned).map(|again| format!("again: {again}"));
            block.extend(again.map(|again| format!("  {}\n", self.terminal.paint(DIM, again))));
            block.push('\n');
        }
        block
    }

    /// The last of some lines under a title; nothing where there are none.
    fn last(&self, title: &str, lines: &[&str]) -> String {
        let hidden = lines.len().saturating_sub(LAST_LINES);
        let title = match hidden {
            _ if lines.is_empty() => return String::new(),
            0 => format!("{title}:"),
            _ => format!("{title}, the last {LAST_LINES} of {}:", lines.len()),
        };
        let shown = lines[hidden..].iter().map(|l| format!("    {}\n", self.terminal.paint(DIM, line(l))));
        format!("  {}\n", self.terminal.paint(DIM, title)) + &shown.collect::<String>()
    }

    /// What failed as it was known to, each with its reason.
    fn known(&self) -> String {
        let of = || self.run.cases.iter().filter(|case| case.verdict == Verdict::KnownIssue);
        let lines = of().take(LISTED);
        let lines =
            lines.map(|case| format!("{} {}", self.run.id(case), case.reason.as_deref().unwrap_or("known issue")));
        self.counted(lines, of().count())
    }

    fn skips(&self) -> String {
        let reasons = count(skip_reasons(self.run));
        let lines = reasons.iter().take(LISTED).map(|(reason, count)| format!("{count} skipped: {reason}"));
        self.counted(lines, reasons.len())
    }

    fn notes(&self) -> String {
        let notes = notes(self.run);
        self.counted(notes.iter().take(LISTED).map(|(note, count)| note.counted(*count)), notes.len())
    }

    fn dimmed(&self, item: &str) -> String {
        self.wrapped(&line(item), 0).iter().map(|l| self.terminal.paint(DIM, l) + "\n").collect()
    }

    /// Items, the first of so many.
    fn counted(&self, items: impl IntoIterator<Item = String>, of: usize) -> String {
        let mut text: String = items.into_iter().map(|item| self.dimmed(&item)).collect();
        if of > LISTED {
            text += &self.dimmed(&format!("and {} more", of - LISTED));
        }
        text
    }

    fn closing(&self, files: &[(&str, &Path)]) -> String {
        let counts = self.run.counts();
        let Counts { cases, passed, failed, errors, flaky, .. } = counts;
        let good = failed + errors + flaky == 0 && passed > 0 && !self.run.interrupted();
        let mut parts = Vec::new();
        use Verdict::{Error, Failed, Flaky, KnownIssue, Passed, Skipped};
        for verdict in [Passed, Flaky, Failed, Error, Skipped, KnownIssue] {
            let style = match verdict {
                Passed if good => GREEN.bold(),
                Passed => GREEN,
                Failed => RED.bold(),
                Error | Flaky => YELLOW.bold(),
                KnownIssue => YELLOW,
                Skipped => DIM,
            };
            if counts.of(verdict) > 0 {
                parts.push(self.terminal.paint(style, format_args!("{} {}", counts.of(verdict), verdict.counted())));
            }
        }
        if parts.is_empty() {
            parts.push(self.terminal.paint(YELLOW.bold(), "nothing ran"));
        }
        let total = self.terminal.paint(BOLD, format_args!("{cases} {}:", if cases == 1 { "case" } else { "cases" }));
        let runs = match self.run.parts().count() {
            0 | 1 => String::new(),
            several => format!(" {several} runs of"),
        };
        let how = if self.run.interrupted() { ", interrupted after" } else { " in" };
        let seconds = self.run.wall_time().as_secs_f64();
        let mut closing = format!("{total} {}{how}{runs} {seconds:.2} s\n", parts.join(", "));
        for (name, path) in files {
            closing += &format!("{}\n", self.terminal.paint(DIM, format_args!("{name}: {}", path.display())));
        }
        closing
    }

    fn wrapped(&self, text: &str, indent: usize) -> Vec<String> {
        wrapped(text, self.terminal.width, indent)
    }
}

/// Whether a line of the kernel's log says no more than that a device was opened and closed: the journal has it.
fn is_routine(line: &str) -> bool {
    let of_device = ["resetting", "reset done", "enabling device"].iter().any(|what| line.contains(what));
    (line.contains("vfio-pci ") && of_device) || (line.contains("ACPI: ") && line.contains("Enabled at IRQ"))
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

impl Row<'_> {
    fn is_good(&self) -> bool {
        self.marks.iter().flatten().all(|verdict| *verdict == Verdict::Passed)
    }
}

/// The marks of rows that all passed, as one row.
fn folded_marks(rows: &[&Row<'_>]) -> Vec<Option<Verdict>> {
    let columns = rows.first().map_or(0, |row| row.marks.len());
    (0..columns).map(|at| rows.iter().find_map(|row| row.marks[at])).collect()
}

/// Kernel, IOMMU, devices and lab, in one line.
pub fn place(started: &RunStarted) -> String {
    let RunStarted { kernel, iommu, devices, lab, .. } = started;
    let mut parts = Vec::new();
    if !kernel.is_empty() {
        parts.push(format!("Linux {kernel}"));
    }
    if !iommu.is_empty() {
        parts.push(format!("iommu {iommu}"));
    }
    parts.extend(devices.iter().map(|d| format!("{} {} at {}", d.name, d.ids, d.bdf)));
    parts.extend(lab.iter().map(|lab| format!("lab: {lab}")));
    parts.join(", ")
}

/// Why cases were skipped, case by case.
pub fn skip_reasons(run: &Run) -> impl Iterator<Item = Arc<str>> {
    let skipped = run.cases.iter().filter(|case| case.verdict == Verdict::Skipped);
    skipped.map(|case| case.reason.clone().unwrap_or_else(|| "no reason given".into()))
}

/// All notes with the number of cases that they are on, the weightiest kind first.
pub fn notes(run: &Run) -> Vec<(&Note, usize)> {
    let mut notes = count(run.cases.iter().flat_map(|case| case.notes.iter()));
    notes.sort_by_key(|(note, _)| note.kind);
    notes
}

/// How often each comes, in the order of first appearance.
pub fn count<T: Clone + Eq + Hash>(items: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counted: Vec<(T, usize)> = Vec::new();
    let mut position: HashMap<T, usize> = HashMap::new();
    for item in items {
        match position.get(&item) {
            Some(&at) => counted[at].1 += 1,
            None => {
                position.insert(item.clone(), counted.len());
                counted.push((item, 1));
            }
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Observation},
        model::Observed,
        report::fixture::{BACKENDS, finished, mixed, passed, planned, run_of_45, started, with_reason},
    };

    const UNICODE: Terminal = Terminal { unicode: true, ..Terminal::PLAIN };

    fn shown(events: Vec<Event>, terminal: &Terminal) -> String {
        render(&Run::from_events(events), terminal, &[("JUnit", Path::new("reports/out/junit.xml"))]).expect("readable")
    }

    #[test]
    fn a_good_run_is_read_at_a_glance() {
        let text = shown(run_of_45(|_, _| {}), &UNICODE);
        assert!(
            text.starts_with(
                "Linux 7.3.4, iommu intel, edu 1234:11e8 at 0000:00:03.0\n\n\
             ┌ vfio_type1_iommu\n\
             │ ┌ vfio_type1v2_iommu\n\
             │ │ ┌ iommufd_compat_type1\n\
             │ │ │ ┌ iommufd_compat_type1v2\n\
             │ │ │ │ ┌ iommufd\n\
             │ │ │ │ │  kernel.dma_mapping on edu\n\
             ✓ ✓ ✓ ✓ ✓  map_unmap[page=4KiB]\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("\n45 cases: 45 passed in 8.21 s\nJUnit: reports/out/junit.xml\n"), "{text}");
        assert!(!text.contains("skipped") && !text.contains("failed"), "{text}");
    }

    #[test]
    fn backends_have_their_order_whatever_ran_first() {
        let mut events = vec![started()];
        let cases = [(0, "iommufd"), (1, "vfio_type1v2_iommu"), (2, "vfio_type1_iommu")];
        events.extend(cases.map(|(case, backend)| Event::CasePlanned(planned(case, "s", backend, "c"))));
        events.extend(cases.map(|(case, _)| Event::CaseFinished(passed(case))));
        events.push(finished(false));
        let text = shown(events, &UNICODE);
        assert!(text.contains("┌ vfio_type1_iommu\n│ ┌ vfio_type1v2_iommu\n│ │ ┌ iommufd\n"), "{text}");
    }

    #[test]
    fn a_failure_shows_of_the_kernels_log_what_says_something() {
        let text = shown(
            run_of_45(|planned, result| {
                if planned.case == 2 {
                    *result = with_reason(2, Verdict::Failed, "map gave EFAULT, expected success");
                    let log =
                        ["vfio-pci 0000:00:06.0: resetting", "vfio-pci 0000:00:06.0: reset done", "DMAR: a fault"];
                    result.kernel_log = log.map(str::to_owned).to_vec();
                }
            }),
            &UNICODE,
        );
        assert!(text.contains("  kernel log:\n    DMAR: a fault\n\n"), "{text}");
    }

    #[test]
    fn what_went_wrong_is_told_with_its_reason() {
        let text = shown(mixed(), &UNICODE);
        for part in [
            "✓ ✓ ✗ ✓ ✓  one_page_in_the_middle\n",
            "– – – – –  map_unmap[page=1GiB]\n",
            "\n✗ failed   ! no verdict   – skipped\n\n",
            "\n✗ kernel.dma_unmap.iommufd_compat_type1__edu.one_page_in_the_middle\n  error: unmap gave ENOENT, expected 4096 bytes\n",
            "\n     |                                 ^^^^^^^^^^^^^^^ expected 4096 bytes\n",
            "\n! kernel.limits.iommufd__edu.size_zero\n  the device vanished: 0000:00:03.0 is no longer in sysfs\n\n",
            "\n5 skipped: needs 1 free hugetlb page of 1 GiB, and /sys/kernel/mm/hugepages has\n  0 reserved: boot",
            "\n\n6 pagesize checks not made: no page-table dump for this IOMMU\n",
            "\n4 pagesize checks left out by choice: skip_pagesize of this backend\n\n",
            "\n45 cases: 38 passed, 1 failed, 1 without verdict, 5 skipped in 8.21 s\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_known_issue_is_neither_a_pass_nor_a_failure() {
        let text = shown(
            run_of_45(|planned, result| {
                if planned.case == 2 {
                    *result = with_reason(2, Verdict::KnownIssue, "known issue: warns (the kernel logged: WARNING)");
                }
            }),
            &UNICODE,
        );
        for part in [
            "✓ ✓ ≈ ✓ ✓  map_unmap[page=4KiB]\n",
            "\n≈ known issue\n",
            "\nkernel.dma_mapping.iommufd_compat_type1__edu.map_unmap[page=4KiB] known issue:\n  warns",
            "\n45 cases: 44 passed, 1 as a known issue in 8.21 s\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn what_nothing_could_observe_is_said_and_so_is_a_backend_in_disguise() {
        let text = shown(
            run_of_45(|planned, result| {
                let detail = Some("no page-table dump for this IOMMU".into());
                result.observers = vec![Observation { observer: "leaves".into(), state: Observed::Unchecked, detail }];
                if planned.backend == "vfio_type1_iommu" {
                    result.true_backend = Some("iommufd_compat_type1".into());
                }
            }),
            &Terminal { width: 200, ..UNICODE },
        );
        assert!(text.contains("\nleaves not observed in 45 cases: no page-table dump for this IOMMU\n"), "{text}");
        assert!(text.contains("\nvfio_type1_iommu is iommufd_compat_type1 here: IOMMUFD plays"), "{text}");
    }

    #[test]
    fn lines_fit_the_terminal() {
        for width in [72, 80, 140] {
            let text = shown(mixed(), &Terminal { width, ..UNICODE });
            let details = |line: &&str| !line.starts_with("  ") && !line.starts_with('✗');
            let longest = text.lines().filter(details).map(|line| console::measure_text_width(line)).max();
            assert!(longest <= Some(width), "{longest:?} columns in\n{text}");
        }
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

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = shown(mixed(), &Terminal { color: true, ..UNICODE });
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain += before;
            rest = after.split_once('m').expect("only colours").1;
        }
        assert_eq!(plain + rest, shown(mixed(), &UNICODE));
        assert!(!shown(mixed(), &Terminal::PLAIN).contains('\u{1b}'));
    }

    #[test]
    fn plain_ascii_suffices() {
        let text = shown(mixed(), &Terminal::PLAIN);
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("\n. . F . .  one_page_in_the_middle\n"), "{text}");
    }

    #[test]
    fn a_large_run_folds_what_passed() {
        let mut events = vec![started()];
        let cases = || {
            (0..500).map(|n| {
                planned(
                    n,
                    if n < 200 { "small" } else { "large" },
                    BACKENDS[n as usize % 5],
                    &format!("case_{}", n / 5),
                )
            })
        };
        events.extend(cases().map(Event::CasePlanned));
        events.extend((0..500).map(|n| {
            Event::CaseFinished(match n {
                301 => with_reason(n, Verdict::Failed, "map gave EINVAL, expected ok"),
                _ => passed(n),
            })
        }));
        events.push(finished(false));
        let text = shown(events, &UNICODE);
        assert!(text.contains("\n✓ ✓ ✓ ✓ ✓  kernel.small on edu: all of 40\n"), "{text}");
        assert!(text.contains("\n✓ ✗ ✓ ✓ ✓  case_60\n✓ ✓ ✓ ✓ ✓  and 59 more\n"), "{text}");
        assert!(text.lines().count() < 25, "{text}");
    }

    #[test]
    fn a_stopped_run_says_what_it_did_not_run() {
        let mut events = mixed();
        events.truncate(91); // The last of these is a case that started.
        events.push(finished(true));
        let text = shown(events, &UNICODE);
        assert!(text.contains("skipped: not run: the run was interrupted\n"), "{text}");
        assert!(text.contains("  the run was interrupted while this case ran\n"), "{text}");
        assert!(text.contains(", interrupted after 8.21 s\n"), "{text}");
    }

    #[test]
    fn an_empty_run_does_not_look_like_a_good_one() {
        assert_eq!(
            render(&Run::default(), &UNICODE, &[]).expect("nothing to read"),
            "0 cases: nothing ran in 0.00 s\n"
        );
    }

    #[test]
    fn captured_text_cannot_command_the_terminal() {
        let events = run_of_45(|planned, result| {
            if planned.case == 0 {
                *result = with_reason(0, Verdict::Failed, "\u{1b}[2J\u{9b}31m");
                result.kernel_log = vec!["\u{1b}]0;owned\u{7}".into()];
            }
        });
        let text = shown(events, &UNICODE);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(text.contains(r"\u{1b}[2J\u{9b}31m"), "{text}");
    }
}
