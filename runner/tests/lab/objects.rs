// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of IOMMUFD on a real kernel: address spaces, page tables, files that are mapped, and what a case leaves of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    NotTested, Test, Tested,
    guests::{Ran, VIRTIO, events, lab_run, results, together, whole_run},
    tests,
};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    they_behave_under_vt_d,
    they_behave_under_vt_d_in_scalable_mode,
    they_behave_under_vt_d_in_the_first_stage,
    they_behave_under_virtio_which_says_less,
    they_behave_on_a_network_card,
    what_a_case_leaves_of_them_is_not_found_by_the_next,
    a_call_that_made_nothing_leaves_nothing_to_name,
    an_iova_that_is_chosen_avoids_those_that_were_given,
    a_procedure_uses_the_memory_of_its_pack_with_and_without_a_fixture,
];

/// The scenarios that are about them.
const SCENARIOS: [&str; 9] = [
    "scenarios/kernel/iommufd_commands.yaml",
    "scenarios/kernel/iommufd_compat.yaml",
    "scenarios/kernel/iommufd_copy.yaml",
    "scenarios/kernel/iommufd_file.yaml",
    "scenarios/kernel/iommufd_hwpt.yaml",
    "scenarios/kernel/iommufd_ioas.yaml",
    "scenarios/kernel/iommufd_iova.yaml",
    "scenarios/uapi/dirty_pages.yaml",
    "scenarios/uapi/same_memory.yaml",
];

/// What the guest with a virtio-iommu is given for them.
pub const ON_VIRTIO: &[&str] = &[
    "--iommu",
    "virtio",
    SCENARIOS[0],
    SCENARIOS[1],
    SCENARIOS[2],
    SCENARIOS[3],
    SCENARIOS[4],
    SCENARIOS[5],
    SCENARIOS[6],
    SCENARIOS[7],
    SCENARIOS[8],
];

fn is_of_them(case: &Value) -> bool {
    SCENARIOS.iter().any(|file| case["file"] == *file)
}

/// What the lab's kernel is too new for.
const OLDER: &str = "the kernel knows these requests";
const NO_DIRTY_TRACKING: &str =
    "the IOMMU in front of the device does not record dirty pages (IOMMU_HW_CAP_DIRTY_TRACKING)";

/// Every case that is planned passes, but for those that are skipped with one of these reasons, each of which has its cases.
#[track_caller]
fn passes_but_for(ran: &Ran, reasons: &[&str]) {
    ran.expect(0);
    let finished = events(ran, "case_finished");
    assert!(finished.len() > 140, "{}", finished.len());
    let (mut seen, mut known) = (BTreeSet::new(), 0);
    for result in &finished {
        match result["verdict"].as_str() {
            Some("passed") => assert!(result["checks"].as_u64() > Some(0), "{result}"),
            // The kernel's own TYPE1v2 reports more dirty pages than are mapped.
            Some("known_issue") => known += 1,
            Some("skipped") => {
                seen.insert(result["message"].as_str().unwrap().to_owned());
            }
            _ => panic!("{result}"),
        }
    }
    assert_eq!(seen, reasons.iter().map(|reason| (*reason).to_owned()).collect());
    assert_eq!(known, 1, "`dirty_pages.read_at_two_offsets`");
}

fn on(model: &str, device: &str) -> Result<Ran, NotTested> {
    let arguments = [&["--iommu", model, "--device", device][..], &SCENARIOS].concat();
    lab_run(&format!("objects-{model}-{device}"), &arguments)
}

fn they_behave_under_vt_d() -> Tested {
    let ran = whole_run()?.part("objects-intel-edu", is_of_them);
    passes_but_for(&ran, &[OLDER, NO_DIRTY_TRACKING]);

    // Each test of the kernel's iommufd program that a real device can take part in has its counterpart, and that one passed.
    let planned = events(&ran, "case_planned");
    let mut passed: BTreeMap<String, bool> = BTreeMap::new();
    for result in events(&ran, "case_finished") {
        let case = planned.iter().find(|case| case["case"] == result["case"]).expect("every result was planned");
        for covered in case["covers"].as_array().into_iter().flatten() {
            let all = passed.entry(covered.as_str().unwrap().to_owned()).or_insert(true);
            *all &= result["verdict"] == "passed";
        }
    }
    let ioas = "ioas_auto_destroy ioas_area_auto_destroy area unmap_fully_contained_areas area_auto_iova area_allowed copy_area \
                copy_sweep iova_ranges ioas_option_huge_pages ioas_iova_alloc ioas_align_change get_hw_info hwpt_attach \
                dmabuf_simple dmabuf_revoke no_domain.ioas_destroy no_domain.ioas_area_destroy mock_domain.ioas_destroy \
                mock_domain.ioas_area_destroy";
    let plain = "cmd_fail cmd_length cmd_ex_fail global_options simple_ioctls map_cmd unmap_cmd info_cmd set_iommu_cmd vfio_ioas \
                 simple_close";
    let mock = "replace alloc_hwpt user_copy one_domain.basic one_domain_hugepage.basic one_domain_file.basic \
                one_domain_file_hugepage.basic one_domain.all_aligns one_domain_file.all_aligns one_domain.all_aligns_copy \
                one_domain_file.all_aligns_copy";
    let compat = "Ver1v0.option_huge_pages Ver1v2.option_huge_pages get_info map huge_map";
    for (fixture, tests) in [
        ("iommufd", plain),
        ("change_process", "basic"),
        ("iommufd_ioas", ioas),
        ("iommufd_mock_domain", mock),
        ("iommufd_dirty_tracking", "enforce_dirty"),
        ("vfio_compat_mock_domain", compat),
    ] {
        for test in tests.split_whitespace() {
            assert_eq!(passed.get(&format!("{fixture}.{test}")), Some(&true), "{fixture}.{test}");
        }
    }
    Ok(())
}

fn they_behave_under_vt_d_in_scalable_mode() -> Tested {
    let ran = on("intel-scalable", "edu")?;
    passes_but_for(&ran, &[OLDER, NO_DIRTY_TRACKING]);
    Ok(())
}

fn they_behave_under_vt_d_in_the_first_stage() -> Tested {
    let ran = on("intel-first-stage", "edu")?;
    passes_but_for(&ran, &[OLDER, NO_DIRTY_TRACKING]);
    Ok(())
}

fn they_behave_under_virtio_which_says_less() -> Tested {
    let ran = VIRTIO.part("objects-virtio-edu", is_of_them)?;
    passes_but_for(&ran, &[OLDER, NO_DIRTY_TRACKING, "the driver of the virtio IOMMU has no data of its own"]);
    let unchecked =
        events(&ran, "case_finished").iter().filter(|r| !r["unchecked"].as_array().unwrap().is_empty()).count();
    assert!(unchecked > 20, "page sizes and absence cannot be seen there, and are said to be unchecked: {unchecked}");
    Ok(())
}

fn they_behave_on_a_network_card() -> Tested {
    let ran = on("intel", "igb")?;
    let other_bar = ["the range is written for a BAR 0 of 1 MiB", "the ranges are written for a BAR 0 of 1 MiB"];
    passes_but_for(&ran, &[OLDER, NO_DIRTY_TRACKING, other_bar[0], other_bar[1]]);
    Ok(())
}

pub const LEAVES: &str = r#"
name: leaves
summary: Each case leaves IOMMUFD in some state, and the next one finds the device as it was at first.
backends: [iommufd]
vars: { foreign: 16MiB }
cases:
  - name: a1_attached_elsewhere
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - ioas:
        save: s
      - map: { region: buffer, ioas: s, iova: "{{ foreign }}" }
      - attach: { to: s }
      - pagesize: { iova: "{{ foreign }}", size: 4KiB, is: 4KiB }
  - name: a2_at_home
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: &at_home
      - gone: { iova: "{{ foreign }}", size: 4KiB }
      - gone: { iova: "{{ 2 * foreign }}", size: 4KiB }
      - map: { region: buffer, iova: kernel }
        save: m
      - check: "{{ m.iova < foreign }}"
      - pagesize: { iova: "{{ m.iova }}", size: 4KiB, is: 4KiB }

  - name: b1_fails_while_detached
    steps:
      - detach:
      - destroy: { object: "{{ device.ioas }}" }
        expect: EBUSY
  - name: b2_at_home
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: *at_home

  - name: c1_without_a_home
    steps:
      - detach:
      - destroy: { object: "{{ device.ioas }}" }
  - name: c2_at_home
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: *at_home

  - name: d1_options
    steps:
      - option: { name: huge_pages, set: 0 }
      - allow_iovas: { ranges: [{ start: 1GiB, last: "{{ 2 * GiB - 1 }}" }] }
  - name: d2_defaults
    regions: { buffer: { memory: hugetlb, size: 2MiB } }
    steps:
      - option: { name: huge_pages }
        save: o
      - check: "{{ o.value == 1 }}"
      - map: { region: buffer, iova: kernel }
        save: m
      - check: "{{ m.iova < foreign }}"
      - pagesize: { iova: "{{ m.iova }}", size: 2MiB, is: 2MiB }

  - name: e1_page_tables
    regions: { buffer: { memory: memfd, size: 4KiB } }
    steps:
      - ioas:
        save: s
      - hwpt: { ioas: s }
        save: h
      - hwpt:
        save: i
      - map_file: { region: buffer, ioas: s, iova: "{{ foreign }}" }
      - attach: { to: h }
      - attach: { to: i }
      - map: { region: buffer, iova: "{{ 2 * foreign }}" }
  - name: e2_at_home
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: *at_home

  - name: f1_behind_our_back
    summary: What was made with bare requests cannot be taken back, and is noticed.
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - ioctl: { request: IOMMU_IOAS_ALLOC, on: iommu }
        save: s
      - ioctl:
          request: IOMMU_IOAS_MAP
          on: iommu
          fields:
            flags: [FIXED_IOVA, WRITEABLE, READABLE]
            ioas_id: "{{ s.out_ioas_id }}"
            user_va: "{{ buffer.vaddr }}"
            length: 4KiB
            iova: "{{ foreign }}"
      - ioctl: { request: VFIO_DEVICE_ATTACH_IOMMUFD_PT, on: device, fields: { pt_id: "{{ s.out_ioas_id }}" } }
  - name: f2_at_home
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: *at_home
"#;

fn what_a_case_leaves_of_them_is_not_found_by_the_next() -> Tested {
    let ran = together("leaves")?;
    ran.expect(1);
    for (name, result) in results(&ran) {
        let message = result["message"].as_str().unwrap_or_default();
        match name.as_str() {
            "b1_fails_while_detached" => assert_eq!(message, "destroy gave success, expected EBUSY", "{result}"),
            "f1_behind_our_back" => assert!(
                message.starts_with(
                    "the case left something behind: the IOMMU still holds an entry of 4KiB at iova 0x1000000"
                ),
                "{result}"
            ),
            _ => assert_eq!(result["verdict"], "passed", "{name}: {result}"),
        }
    }
    Ok(())
}

pub const NOTHING: &str = "
name: nothing
backends: [iommufd]
cases:
  - name: no_object
    steps:
      - hwpt: { ioas: 0 }
        save: table
        expect: EINVAL
      - attach: { to: table }
  - name: no_iova
    regions: { buffer: { memory: reserved, size: 4KiB } }
    steps:
      - map: { region: buffer, iova: kernel }
        save: m
        expect: EFAULT
      - unmap: { iova: '{{ m.iova }}', size: 4KiB }
";

fn a_call_that_made_nothing_leaves_nothing_to_name() -> Tested {
    let ran = together("nothing")?;
    ran.expect(3);
    let results = results(&ran);
    let said = |name: &str| results[name]["detail"].as_str().unwrap().to_owned();
    assert!(said("no_object").contains("`table` is not an object"), "{}", said("no_object"));
    assert!(said("no_object").contains("nothing.yaml:10:"), "{}", said("no_object"));
    assert!(said("no_iova").contains("nothing.yaml:17:"), "{}", said("no_iova"));
    Ok(())
}

pub const GIVEN: &str = r#"
name: given
backends: all
cases:
  - name: auto_after_given
    regions: { buffer: { memory: anonymous, size: 12KiB } }
    steps:
      - map: { region: buffer, iova: 0x1000, size: 4KiB }
      - map: { region: buffer, offset: 4KiB, size: 4KiB }
        save: second
      - map: { region: buffer, offset: 8KiB, size: 4KiB }
        save: third
      - check: "{{ second.iova != 0x1000 and third.iova != 0x1000 and second.iova != third.iova }}"
"#;

fn an_iova_that_is_chosen_avoids_those_that_were_given() -> Tested {
    let ran = together("given")?;
    ran.expect(0);
    assert_eq!(events(&ran, "case_finished").len(), 5, "{}", ran.stdout());
    Ok(())
}

pub const RING_PACK: &str = r#"
name: ring
version: 1.0.0
engine: 0.1.0
summary: A device with memory that its procedures use.
vendor: Nobody
devices: { edu: { ids: ["1234:11e8"] } }
regions: { scratch: { memory: anonymous, size: 4KiB } }
procedures:
  touch:
    summary: Touch memory of the pack.
    steps: [{ fill: { region: scratch, value: 1 } }, { config_read: { offset: 0 } }]
  put:
    summary: Map memory of the pack.
    steps: [{ map: { region: scratch }, save: m }, { pagesize: { iova: "{{ m.iova }}", size: 4KiB, is: 4KiB } }]
    gives: { iova: "{{ m.iova }}" }
"#;

pub const RING: &str = r#"
name: ring
backends: [iommufd]
fixture: none
cases:
  - name: opens_by_itself
    steps:
      - device_open:
      - call: touch
      - config_read: { offset: 0 }
  - name: with_a_fixture
    fixture: fresh
    steps:
      - call: touch
      - config_read: { offset: 0 }
  - name: where_the_device_is_attached
    fixture: shared
    steps:
      - ioas:
        save: other
      - hwpt: { ioas: other }
        save: table
      - call: put
      - attach: { to: other }
      - call: put
        save: there
      - unmap: { iova: "{{ there.iova }}", size: 4KiB, ioas: other }
        expect: { bytes: 4KiB }
      - attach: { to: table }
      - call: put
        save: there
      - unmap: { iova: "{{ there.iova }}", size: 4KiB, ioas: other }
        expect: { bytes: 4KiB }
      - attach: { to: "{{ device.ioas }}" }
      - call: put
"#;

fn a_procedure_uses_the_memory_of_its_pack_with_and_without_a_fixture() -> Tested {
    let ran = together("ring")?;
    ran.expect(0);
    assert_eq!(events(&ran, "case_finished").len(), 3, "{}", ran.stdout());
    Ok(())
}
