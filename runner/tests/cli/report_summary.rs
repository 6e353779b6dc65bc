// SPDX-License-Identifier: MIT OR Apache-2.0
//! The summary on the terminal, for made-up runs.

use std::path::Path;

use vfiospec::{
    event::{Event, Observation},
    model::{Observed, Verdict},
    report::{Run, Terminal, render},
};

use crate::common::fixture::{BACKENDS, finished, mixed, passed, planned, run_of_45, started, with_reason};

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
                let log = ["vfio-pci 0000:00:06.0: resetting", "vfio-pci 0000:00:06.0: reset done", "DMAR: a fault"];
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
        "\n\n6 pagesize checks not made: no page-table dump for this IOMMU\n    kernel.dma_mapping: map_unmap[page=4KiB], map_unmap[page=2MiB]\n",
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
            result.observers =
                vec![Observation { observer: "leaves".into(), state: Observed::Unchecked, detail, by: Vec::new() }];
            if planned.backend == "vfio_type1_iommu" {
                result.true_backend = Some("iommufd_compat_type1".into());
            }
        }),
        &Terminal { width: 200, ..UNICODE },
    );
    let named = "\nleaves not observed in 45 cases: no page-table dump for this IOMMU\n    \
                 kernel.dma_mapping: map_unmap[page=4KiB], map_unmap[page=2MiB], map_unmap[page=1GiB]; \
                 kernel.dma_unmap: exact; and 5 more\n";
    assert!(text.contains(named), "{text}");
    assert!(text.contains("\nvfio_type1_iommu is iommufd_compat_type1 here: IOMMUFD plays"), "{text}");
}

#[test]
fn lines_fit_the_terminal() {
    for width in [72, 80, 140] {
        let text = shown(mixed(), &Terminal { width, ..UNICODE });
        let details = |line: &&str| !line.starts_with("  ") && !line.starts_with('✗');
        let longest = text.lines().filter(details).map(console::measure_text_width).max();
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
    let scenario = |n| if n < 200 { "small" } else { "large" };
    let case = |n: u32| planned(n, scenario(n), BACKENDS[n as usize % 5], &format!("case_{}", n / 5));
    let failed = |n| with_reason(n, Verdict::Failed, "map gave EINVAL, expected ok");
    let mut events = vec![started()];
    events.extend((0..500).map(|n| Event::CasePlanned(case(n))));
    events.extend((0..500).map(|n| Event::CaseFinished(if n == 301 { failed(n) } else { passed(n) })));
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
    assert_eq!(render(&Run::default(), &UNICODE, &[]).expect("nothing to read"), "0 cases: nothing ran in 0.00 s\n");
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
