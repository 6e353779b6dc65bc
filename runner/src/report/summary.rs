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

use std::path::Path;

use crate::event::{Observed, RunStarted, Verdict};
use crate::report::run::{Case, Counts, Run};
use crate::report::sanitize::{line, text};
use crate::report::terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark};

/// Above so many rows, the matrix folds the cases of a scenario that passed on every backend into one row.
const ROWS: usize = 60;

/// So many failures are shown in full, the others in one line each.
const IN_FULL: usize = 20;

/// So many of a failure's calls and of its lines in the kernel log are shown, the last ones.
const LAST_LINES: usize = 6;

/// The end of a run as text for `terminal`; `files` are the reports that were written, such as `("JUnit", path)`.
pub fn render(run: &Run, terminal: &Terminal, files: &[(&str, &Path)]) -> String {
    let page = Page { run, terminal };
    let mut blocks = vec![page.environment(), page.matrix(), page.failures(), page.known(), page.skips()];
    blocks.extend([page.disguises(), page.unchecked()]);
    blocks.push(page.closing(files));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

struct Page<'a> {
    run: &'a Run,
    terminal: &'a Terminal,
}

/// One row of the matrix: a case's name, and its result on each backend that it was planned for.
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
    fn environment(&self) -> String {
        let RunStarted { kernel, iommu, devices, lab, .. } = &self.run.started;
        let mut parts = Vec::new();
        if !kernel.is_empty() {
            parts.push(format!("Linux {kernel}"));
        }
        if !iommu.is_empty() {
            parts.push(format!("iommu {iommu}"));
        }
        parts.extend(devices.iter().map(|d| format!("{} {} at {}", d.name, d.ids, d.bdf)));
        parts.extend(lab.iter().map(|lab| format!("lab: {lab}")));
        self.wrapped(&line(&parts.join(", ")), 0).iter().map(|l| self.terminal.paint(DIM, l) + "\n").collect()
    }

    fn matrix(&self) -> String {
        let mut backends: Vec<&str> = Vec::new();
        for case in &self.run.cases {
            if !backends.contains(&case.planned.backend.as_str()) {
                backends.push(&case.planned.backend);
            }
        }
        let groups = self.groups(&backends);
        let all_rows: usize = groups.iter().map(|group| group.rows.len()).sum();
        let (rail, corner) = if self.terminal.unicode { ("│", "┌") } else { ("|", ",") };
        let rails = |count| self.terminal.paint(DIM, vec![rail; count].join(" "));

        let mut text = String::new();
        for (at, backend) in backends.iter().enumerate() {
            let gap = if at > 0 { " " } else { "" };
            text += &format!("{}{gap}{} {}\n", rails(at), self.terminal.paint(DIM, corner), line(backend));
        }
        for group in &groups {
            let title = self.terminal.paint(BOLD, line(&group.title));
            let fold = all_rows > ROWS;
            let (folded, shown): (Vec<_>, Vec<_>) = group.rows.iter().partition(|row| fold && row.is_good());
            if shown.is_empty() {
                text += &format!("{}  {title}: all of {}\n", self.marks(&columns(&folded)), folded.len());
                continue;
            }
            text += &format!("{}  {title}\n", rails(backends.len()));
            let indent = 2 * backends.len() + 1;
            for row in shown {
                let name = self.wrapped(&line(row.name), indent).join(&format!("\n{}", " ".repeat(indent)));
                text += &format!("{}  {name}\n", self.marks(&row.marks));
            }
            if !folded.is_empty() {
                text += &format!("{}  and {} more\n", self.marks(&columns(&folded)), folded.len());
            }
        }
        text + &self.legend()
    }

    fn groups(&self, backends: &[&str]) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for Case { planned, result, .. } in &self.run.cases {
            let title = format!("{}.{} on {}", planned.pack, planned.scenario, planned.device);
            let group = find_or_push(
                &mut groups,
                |group| group.title == title,
                || Group { title: title.clone(), rows: vec![] },
            );
            let row = find_or_push(
                &mut group.rows,
                |row| row.name == planned.name,
                || Row { name: &planned.name, marks: vec![None; backends.len()] },
            );
            let column = backends.iter().position(|backend| *backend == planned.backend);
            row.marks[column.expect("every backend has its column")] = Some(result.verdict);
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
        let Counts { flaky, failed, errors, skipped, known, .. } = self.run.counts();
        let marks = [
            (failed, Verdict::Failed, "failed"),
            (errors, Verdict::Error, "no verdict"),
            (flaky, Verdict::Flaky, "flaky"),
            (skipped, Verdict::Skipped, "skipped"),
            (known, Verdict::KnownIssue, "known issue"),
        ];
        let marks: Vec<_> = marks
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(_, verdict, meaning)| {
                format!("{} {}", mark(self.terminal, verdict), self.terminal.paint(DIM, meaning))
            })
            .collect();
        if marks.is_empty() { String::new() } else { format!("\n{}\n", marks.join("   ")) }
    }

    fn failures(&self) -> String {
        let of = |verdict| self.run.cases.iter().filter(move |case| case.result.verdict == verdict);
        let blocks = of(Verdict::Failed).chain(of(Verdict::Error)).chain(of(Verdict::Flaky)).enumerate();
        let blocks: Vec<_> = blocks.map(|(at, case)| self.failure(case, at < IN_FULL)).collect();
        blocks.concat().trim_end_matches('\n').lines().map(|line| format!("{line}\n")).collect()
    }

    fn failure(&self, Case { planned, result, .. }: &Case, in_full: bool) -> String {
        let id = self.terminal.paint(BOLD, line(&planned.id()));
        let mut block = format!("{} {id}\n", mark(self.terminal, result.verdict));
        let message = result.message.as_deref().unwrap_or("no reason given");
        match &result.detail {
            // Its carets stand under what they mean: never wrapped.
            Some(detail) if in_full => block.extend(text(detail.trim_end()).lines().map(|l| format!("  {l}\n"))),
            _ => block.extend(self.wrapped(&line(message), 2).iter().map(|l| format!("  {l}\n"))),
        }
        if in_full {
            block += &self.last("calls", &result.trace);
            block += &self.last("kernel log", &result.kernel_log);
            block.push('\n');
        }
        block
    }

    /// The last of some lines under a title; nothing where there are none.
    fn last(&self, title: &str, lines: &[String]) -> String {
        let hidden = lines.len().saturating_sub(LAST_LINES);
        let title = match hidden {
            _ if lines.is_empty() => return String::new(),
            0 => format!("{title}:"),
            _ => format!("{title}, the last {LAST_LINES} of {}:", lines.len()),
        };
        let shown = lines[hidden..].iter().map(|l| format!("    {}\n", self.terminal.paint(DIM, line(l))));
        format!("  {}\n", self.terminal.paint(DIM, title)) + &shown.collect::<String>()
    }

    fn skips(&self) -> String {
        let skipped = self.run.cases.iter().filter(|case| case.result.verdict == Verdict::Skipped);
        let reasons = skipped.map(|case| case.result.message.clone().unwrap_or_else(|| "no reason given".into()));
        self.counted(count(reasons).into_iter().map(|(reason, count)| format!("{count} skipped: {reason}")))
    }

    /// What failed as it was known to, each with its reason.
    fn known(&self) -> String {
        let known = self.run.cases.iter().filter(|case| case.result.verdict == Verdict::KnownIssue);
        self.counted(known.map(|Case { planned, result, .. }| {
            format!("{} {}", planned.id(), result.message.as_deref().unwrap_or("known issue"))
        }))
    }

    /// Backends that are others than they are called.
    fn disguises(&self) -> String {
        let disguised = self.run.cases.iter().filter_map(|case| {
            case.result.true_backend.as_ref().map(|truth| (case.planned.backend.clone(), truth.clone()))
        });
        self.counted(count(disguised).into_iter().map(|((label, truth), count)| {
            let cases = if count == 1 { "case" } else { "cases" };
            format!(
                "{label} is {truth} here: IOMMUFD plays /dev/vfio/vfio (CONFIG_IOMMUFD_VFIO_CONTAINER), and {count} {cases} \
                 expected what {truth} does"
            )
        }))
    }

    fn unchecked(&self) -> String {
        let unchecked = self.run.cases.iter().flat_map(|case| &case.result.unchecked);
        let kinds = count(unchecked.map(|u| (u.by_choice, u.what.clone(), u.reason.clone())));
        let checks = self.counted(kinds.into_iter().map(|((by_choice, what, reason), count)| {
            let checks = if count == 1 { "check" } else { "checks" };
            let how = if by_choice { "left out by choice" } else { "not made" };
            format!("{count} {what} {checks} {how}: {reason}")
        }));
        let observers = self.run.cases.iter().flat_map(|case| &case.result.observers);
        let blind = observers.filter(|seen| seen.state == Observed::Unchecked);
        let blind = count(blind.map(|seen| (seen.observer.clone(), seen.detail.clone().unwrap_or_default())));
        checks
            + &self.counted(blind.into_iter().map(|((observer, reason), count)| {
                let cases = if count == 1 { "case" } else { "cases" };
                format!("{observer} not observed in {count} {cases}: {reason}")
            }))
    }

    fn counted(&self, items: impl Iterator<Item = String>) -> String {
        let lines = items.flat_map(|item| self.wrapped(&line(&item), 0));
        lines.map(|l| self.terminal.paint(DIM, l) + "\n").collect()
    }

    fn closing(&self, files: &[(&str, &Path)]) -> String {
        let counts = self.run.counts();
        let Counts { passed, flaky, failed, errors, skipped, known, .. } = counts;
        let good = failed + errors + flaky == 0 && passed > 0 && !self.run.interrupted();
        let parts = [
            (passed, "passed", if good { GREEN.bold() } else { GREEN }),
            (flaky, "flaky", YELLOW.bold()),
            (failed, "failed", RED.bold()),
            (errors, "without verdict", YELLOW.bold()),
            (skipped, "skipped", DIM),
            (known, "as a known issue", YELLOW),
        ];
        let mut parts: Vec<_> = parts
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, what, style)| self.terminal.paint(style, format_args!("{count} {what}")))
            .collect();
        if parts.is_empty() {
            parts.push(self.terminal.paint(YELLOW.bold(), "nothing ran"));
        }
        let cases = if counts.cases() == 1 { "case" } else { "cases" };
        let total = self.terminal.paint(BOLD, format_args!("{} {cases}:", counts.cases()));
        let how = if self.run.interrupted() { ", interrupted after" } else { " in" };
        let seconds = self.run.wall_time().as_secs_f64();
        let mut closing = format!("{total} {}{how} {seconds:.2} s\n", parts.join(", "));
        for (name, path) in files {
            closing += &format!("{}\n", self.terminal.paint(DIM, format_args!("{name}: {}", path.display())));
        }
        closing
    }

    /// `text` in lines that fit beside an indent, broken after spaces and commas; further lines hang by 2.
    fn wrapped(&self, text: &str, indent: usize) -> Vec<String> {
        let width = self.terminal.width.saturating_sub(indent);
        let mut lines = vec![String::new()];
        let mut used = 0;
        for word in text.split_inclusive([' ', ',']) {
            if used > 0 && used + console::measure_text_width(word.trim_end()) > width {
                lines.push("  ".into());
                used = 2;
            }
            lines.last_mut().expect("never empty").push_str(word);
            used += word.chars().count();
        }
        lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
        lines.retain(|line| !line.is_empty());
        lines
    }
}

impl Row<'_> {
    fn is_good(&self) -> bool {
        self.marks.iter().flatten().all(|verdict| *verdict == Verdict::Passed)
    }
}

/// The marks of rows that all passed, as one row.
fn columns(rows: &[&Row<'_>]) -> Vec<Option<Verdict>> {
    let backends = rows.first().map_or(0, |row| row.marks.len());
    (0..backends).map(|at| rows.iter().find_map(|row| row.marks[at])).collect()
}

/// The item that is meant, made if there is none; searched from the end, since a plan keeps what belongs together close.
fn find_or_push<T>(items: &mut Vec<T>, is_it: impl FnMut(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let at = items.iter().rposition(is_it).unwrap_or_else(|| {
        items.push(make());
        items.len() - 1
    });
    &mut items[at]
}

/// How often each comes, in the order of first appearance.
fn count<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counted: Vec<(T, usize)> = Vec::new();
    for item in items {
        match counted.iter_mut().find(|(known, _)| *known == item) {
            Some((_, count)) => *count += 1,
            None => counted.push((item, 1)),
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Observation};
    use crate::report::fixture::{BACKENDS, finished, mixed, passed, planned, run_of_45, started, with_reason};

    const UNICODE: Terminal = Terminal { unicode: true, ..Terminal::PLAIN };

    fn shown(events: Vec<Event>, terminal: &Terminal) -> String {
        render(&Run::from_events(events), terminal, &[("JUnit", Path::new("reports/out/junit.xml"))])
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
            "\n4 pagesize checks left out by choice: skip_pagesize of this backend\n",
            "\n6 pagesize checks not made: no page-table dump for this IOMMU\n\n",
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
            let longest = text.lines().filter(details).map(|line| line.chars().count()).max();
            assert!(longest <= Some(width), "{longest:?} columns in\n{text}");
        }
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
        assert_eq!(render(&Run::default(), &UNICODE, &[]), "0 cases: nothing ran in 0.00 s\n");
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
