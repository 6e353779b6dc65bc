// SPDX-License-Identifier: MIT OR Apache-2.0
//! Made-up runs, for the integration tests and for the library's own.

use vfiospec::event::{CaseResult, DeviceUsed, Event, FORMAT, PlannedCase, RunFinished, RunStarted, Unchecked};
use vfiospec::model::Verdict;

/// The five backends.
pub const BACKENDS: [&str; 5] =
    ["vfio_type1_iommu", "vfio_type1v2_iommu", "iommufd_compat_type1", "iommufd_compat_type1v2", "iommufd"];

const CASES: [(&str, &str); 9] = [
    ("dma_mapping", "map_unmap[page=4KiB]"),
    ("dma_mapping", "map_unmap[page=2MiB]"),
    ("dma_mapping", "map_unmap[page=1GiB]"),
    ("dma_unmap", "exact"),
    ("dma_unmap", "one_page_in_the_middle"),
    ("dma_unmap", "two_mappings_with_one_call"),
    ("dma_unmap", "everything[flag=VFIO_DMA_UNMAP_FLAG_ALL,also_when_empty=true,iova=top_of_the_address_space]"),
    ("limits", "above_the_aperture"),
    ("limits", "size_zero"),
];

/// A pass, to be changed into what a test needs.
pub fn passed(case: u32) -> CaseResult {
    CaseResult { case, verdict: Verdict::Passed, micros: 182_000, checks: 3, ..CaseResult::default() }
}

/// A result without a pass, with its reason.
pub fn with_reason(case: u32, verdict: Verdict, message: &str) -> CaseResult {
    CaseResult { verdict, message: Some(message.into()), ..passed(case) }
}

/// The first line.
pub fn started() -> Event {
    Event::RunStarted(RunStarted {
        format: FORMAT,
        tool: "0.1.0".into(),
        started_ms: 1_760_000_000_123,
        hostname: "lab".into(),
        kernel: "7.3.4".into(),
        iommu: "intel".into(),
        devices: vec![DeviceUsed {
            name: "edu".into(),
            bdf: "0000:00:03.0".into(),
            ids: "1234:11e8".into(),
            ..DeviceUsed::default()
        }],
        ..RunStarted::default()
    })
}

/// The last line.
pub fn finished(interrupted: bool) -> Event {
    Event::RunFinished(RunFinished { millis: 8_210, interrupted, stopped: None })
}

/// A case of that number.
pub fn planned(case: u32, scenario: &str, backend: &str, name: &str) -> PlannedCase {
    PlannedCase {
        case,
        pack: "kernel".into(),
        scenario: scenario.into(),
        backend: backend.into(),
        device: "edu".into(),
        name: name.into(),
        file: format!("scenarios/kernel/{scenario}.yaml"),
        line: 12,
        summary: String::new(),
        covers: vec![],
        tags: vec![],
        fixes: vec![],
    }
}

/// A whole run of nine cases on five backends; `change` may turn the passes into something else.
pub fn run_of_45(mut change: impl FnMut(&PlannedCase, &mut CaseResult)) -> Vec<Event> {
    let cases = CASES.iter().flat_map(|(scenario, name)| BACKENDS.map(|backend| (*scenario, backend, *name)));
    let cases: Vec<_> =
        (0..).zip(cases).map(|(at, (scenario, backend, name))| planned(at, scenario, backend, name)).collect();
    let mut events = vec![started()];
    events.extend(cases.iter().cloned().map(Event::CasePlanned));
    for planned in &cases {
        let mut result = passed(planned.case);
        change(planned, &mut result);
        events.extend([Event::CaseStarted { case: planned.case }, Event::CaseFinished(result)]);
    }
    events.push(finished(false));
    events
}

/// Something of everything: a failure, an error, skips and checks that were not made.
pub fn mixed() -> Vec<Event> {
    run_of_45(|planned, result| {
        let type1 = planned.backend.ends_with("type1") || planned.backend == "vfio_type1_iommu";
        if planned.name.starts_with("map_unmap") {
            result.unchecked.push(Unchecked {
                what: "pagesize".into(),
                reason: match type1 {
                    true => "skip_pagesize of this backend".into(),
                    false => "no page-table dump for this IOMMU".into(),
                },
                by_choice: type1,
            });
        }
        match (planned.name.as_str(), planned.backend.as_str()) {
            ("one_page_in_the_middle", "iommufd_compat_type1") => {
                result.verdict = Verdict::Failed;
                result.message = Some("unmap gave ENOENT, expected 4096 bytes".into());
                result.at = Some("scenarios/kernel/dma_unmap.yaml:23:33".into());
                result.detail = Some(
                    "error: unmap gave ENOENT, expected 4096 bytes\n  \
                     --> scenarios/kernel/dma_unmap.yaml:23:33\n   |\n\
                     20 |       - unmap: { iova: \"{{ m.iova + 4096 }}\", size: 4KiB }\n   |         ----- this step\n...\n\
                     23 |           iommufd_compat_type1: { bytes: 4KiB }\n   |                                 ^^^^^^^^^^^^^^^ expected 4096 bytes\n   |\n   \
                     = got: ENOENT from VFIO_IOMMU_UNMAP_DMA(iova=0x1000, size=0x1000)"
                        .into(),
                );
                result.trace = vec![
                    "VFIO_IOMMU_MAP_DMA(vaddr=0x7f0000000000, iova=0x0, size=0x4000) = 0".into(),
                    "VFIO_IOMMU_UNMAP_DMA(iova=0x1000, size=0x1000) = ENOENT".into(),
                ];
                (result.carets, result.failed_calls) = (vec![7], vec![1]);
                result.kernel_log = vec!["WARNING: CPU: 1 PID: 77 at drivers/iommu/iommufd/pages.c:1234".into()];
            }
            ("size_zero", "iommufd") => {
                result.verdict = Verdict::Error;
                result.message = Some("the device vanished: 0000:00:03.0 is no longer in sysfs".into());
            }
            ("map_unmap[page=1GiB]", _) => {
                result.verdict = Verdict::Skipped;
                result.message = Some("needs 1 free hugetlb page of 1 GiB, and /sys/kernel/mm/hugepages has 0 reserved: boot with hugepagesz=1G hugepages=1".into());
                result.unchecked.clear();
            }
            _ => {}
        }
    })
}
