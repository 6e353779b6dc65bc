// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that a scenario took away, protected or cut short: our own accesses to it are errnos or errors, and the worker lives on.

use std::fs;

use crate::{
    Test, Tested,
    common::folder,
    guests::{lab_run, results, together},
    tests,
};

pub const TESTS: &[Test] =
    tests![what_a_case_took_away_is_an_error_that_names_the_step, a_bar_is_filled_and_compared_in_words];

pub const GONE: &str = r#"name: gone
backends: [vfio_type1v2_iommu]
regions:
  buffer: { memory: anonymous, size: 16KiB }
  holed: { memory: anonymous, size: 16KiB, hole: 4KiB }
  file: { memory: memfd, size: 16KiB }
cases:
  - name: filled
    steps:
      - munmap: { region: buffer, offset: 8KiB, size: 4KiB }
      - fill: { region: buffer, value: 1 }
  - name: holed
    steps:
      - compare: { region: holed, value: 0 }
  - name: compared
    steps:
      - truncate: { region: file, size: 4KiB }
      - compare: { region: buffer, with: file, offset: 12KiB }
  - name: protected
    steps:
      - mprotect: { region: buffer, protection: none }
      - memory_read: { region: buffer, offset: 0 }
  - name: changed_again
    steps:
      - munmap: { region: buffer }
      - mprotect: { region: buffer, protection: read_write }
  - name: taken_from_another_thread
    steps:
      - parallel:
          branches:
            - - repeat:
                  times: 200
                  steps: [{ memory_write: { region: buffer, offset: 12KiB, value: 1 }, expect: either }]
            - - munmap: { region: buffer, offset: 12KiB }
      - memory_write: { region: buffer, offset: 12KiB, value: 1 }
        expect: EFAULT
"#;

fn what_a_case_took_away_is_an_error_that_names_the_step() -> Tested {
    let ran = together("gone")?;
    ran.expect(1);
    let results = results(&ran);
    for (case, verdict, message, step) in [
        ("filled", "error", "failed to write to region `buffer`: EFAULT", "a `munmap` or `hole` came before"),
        ("holed", "error", "failed to read from region `holed`: EFAULT", "a `munmap` or `hole` came before"),
        ("compared", "error", "failed to read from region `file`: SIGBUS", "a `truncate` came before"),
        ("protected", "failed", "memory_read gave EFAULT", "an `mprotect` came before"),
        ("changed_again", "error", "a `munmap` or `hole` took memory of region `buffer` away", ""),
    ] {
        let result = &results[case];
        assert_eq!(result["verdict"], verdict, "{result}");
        assert!(result["message"].as_str().unwrap().starts_with(message), "{result}");
        assert!(result["detail"].as_str().unwrap().contains(step), "{result}");
    }
    assert_eq!(results["taken_from_another_thread"]["verdict"], "passed", "{}", results["taken_from_another_thread"]);
    Ok(())
}

const WORDS: &str = r#"name: words
device: ivshmem
backends: [iommufd]
cases:
  - name: kept
    regions:
      registers: { memory: bar, bar: largest }
      same: { memory: anonymous, size: 8KiB }
    steps:
      - fill: { region: registers, pattern: mine, size: 8KiB }
      - fill: { region: same, pattern: mine }
      - compare: { region: registers, with: same, size: 8KiB }
      - compare: { region: same, with: registers, offset: 4, size: 4KiB }
      - mmio_write: { bar: 2, offset: 4KiB, value: 7 }
      - compare: { region: registers, pattern: mine, size: 8KiB }
  - name: in_one_piece
    regions: { registers: { memory: bar, bar: largest }, descriptor: { memory: anonymous, size: 4KiB } }
    steps:
      - fill: { region: descriptor, pattern: mine }
      - mmio_submit: { bar: 2, offset: 0x40, region: descriptor, from: 0x40 }
      - compare: { region: registers, with: descriptor, offset: 0x40, size: 0x40 }
  - name: off
    regions: { registers: { memory: bar, bar: largest } }
    steps:
      - config_write: { offset: 0x4, bits: 16, value: 0 }
      - compare: { region: registers, value: 0 }
  - name: odd
    regions: { registers: { memory: bar, bar: largest } }
    steps:
      - config_read: { offset: 0 }
      - fill: { region: registers, offset: 2, size: 8, value: 1 }
"#;

fn a_bar_is_filled_and_compared_in_words() -> Tested {
    let file = folder("words").join("words.yaml");
    fs::write(&file, WORDS).unwrap();
    let ran = lab_run("words-run", &[file.to_str().unwrap(), "--device", "ivshmem"])?;
    ran.expect(1);
    let results = results(&ran);
    let why = "expected a device that answers, and an `offset` and a `size` that are multiples of 4";
    for (case, verdict, message, label) in [
        ("kept", "failed", "region `registers` differs at offset 0x1000: got 07 00 00 00", "expected the pattern"),
        ("off", "error", "failed to read from region `registers`: SIGBUS", why),
        ("odd", "error", "failed to write to region `registers`: EINVAL", why),
    ] {
        let result = &results[case];
        assert_eq!(result["verdict"], verdict, "{result}");
        assert!(result["message"].as_str().unwrap().starts_with(message), "{result}");
        assert!(result["detail"].as_str().unwrap().contains(label), "{result}");
    }
    // QEMU emulates no processor that does it; a machine with KVM may have one.
    let whole = &results["in_one_piece"];
    match whole["verdict"].as_str() {
        Some("passed") => {}
        Some("skipped") => assert!(whole["message"].as_str().unwrap().contains("(MOVDIR64B)"), "{whole}"),
        _ => panic!("{whole}"),
    }
    Ok(())
}
