// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps in a forked process: what goes wrong there is said with its line, and costs the case that forked it.

use crate::{
    Test, Tested,
    guests::{results, together},
    tests,
};

pub const TESTS: &[Test] = tests![what_goes_wrong_in_a_child_is_said_with_its_line];

pub const CHILDREN: &str = r#"name: children
backends: [iommufd]
regions: { buffer: { memory: anonymous, size: 16KiB } }
cases:
  - name: fails
    steps:
      - map: { region: buffer }
        save: m
      - child:
          steps:
            - unmap: { iova: "{{ m.iova }}", size: 4KiB }
              expect: EFAULT
  - name: dies
    steps:
      - child: { steps: [{ lab_fault: crash }] }
  - name: waits
    timeout: 1s
    steps:
      - child:
          steps:
            - memory_poll: { region: buffer, offset: 0, is: 1, mask: 1, timeout: 30s }
  - name: spins
    timeout: 1s
    steps:
      - child: { steps: [{ lab_fault: spin }] }
  - name: reads_as_a_user
    steps:
      - child: { user: 7, steps: [{ gone: { iova: 0, size: 4KiB } }] }
  - name: cannot
    steps:
      - child: { open_files: 0xffffffffff, steps: [info: ] }
  - name: fails_after_exec
    steps:
      - child:
          exec: true
          steps:
            - map: { region: buffer }
              expect: EINVAL
  - name: waits_after_exec
    timeout: 1s
    steps:
      - child:
          exec: true
          steps:
            - memory_poll: { region: buffer, offset: 0, is: 1, mask: 1, timeout: 30s }
  - name: within
    steps:
      - child:
          steps:
            - map: { region: buffer }
              save: m
            - child:
                steps:
                  - unmap: { iova: "{{ m.iova }}", size: 16KiB }
            - parallel: { times: 2, steps: [{ map: { region: buffer } }] }
            - child: { steps: [info: ] }
      - gone: { iova: "{{ m.iova }}", size: 16KiB }
  - name: unbinds_as_a_user
    steps:
      - child: { user: 7, steps: [sysfs: { write: unbind }] }
  - name: another_user
    steps:
      - child: { user: 7, steps: [child: { user: 8, steps: [info: ] }] }
  - name: has_no_capability
    steps:
      - child: { user: 7, steps: [child: { without: [CAP_IPC_LOCK], steps: [info: ] }] }
"#;

fn what_goes_wrong_in_a_child_is_said_with_its_line() -> Tested {
    let ran = together("children")?;
    ran.expect(1);
    let results = results(&ran);
    for (case, verdict, message, place) in [
        ("fails", "failed", "unmap gave ENOENT", "children.yaml:12:"),
        ("dies", "error", "the child process died in lab_fault at ", "children.yaml:15:"),
        ("waits", "failed", "timed out after 1s in memory_poll at ", "children.yaml:21"),
        ("spins", "error", "timed out after 1s in lab_fault at ", "children.yaml:25"),
        (
            "reads_as_a_user",
            "error",
            "failed to read the page table: VT-d's debugfs: Permission denied",
            "children.yaml:28:",
        ),
        ("cannot", "error", "setrlimit gave EPERM", "children.yaml:31:"),
        ("fails_after_exec", "failed", "map gave success, expected EINVAL", "children.yaml:38:"),
        ("waits_after_exec", "failed", "timed out after 1s in memory_poll at ", "children.yaml:45"),
    ] {
        let result = &results[case];
        assert_eq!(result["verdict"], verdict, "{result}");
        assert!(result["message"].as_str().unwrap().starts_with(message), "{result}");
        assert!(result["at"].as_str().unwrap().contains(place), "{result}");
    }
    for (case, why) in [
        ("unbinds_as_a_user", "only root may unbind the device"),
        ("another_user", "only root may become another user"),
        ("has_no_capability", "the child process is to give up CAP_IPC_LOCK, which this process does not have"),
    ] {
        let result = &results[case];
        assert_eq!((&result["verdict"], &result["message"]), (&"skipped".into(), &why.into()), "{result}");
    }
    let calls = results["fails"]["trace"].as_array().unwrap();
    assert!(calls.last().unwrap().as_str().unwrap().starts_with("child: IOMMU_IOAS_UNMAP("), "{calls:?}");
    assert!(results["dies"]["message"].as_str().unwrap().ends_with("killed by SIGABRT"), "{}", results["dies"]);
    assert_eq!(results["within"]["verdict"], "passed", "{}", results["within"]);
    Ok(())
}
