// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel in which IOMMUFD plays `/dev/vfio/vfio`: the run says so, and expects what the kernel really is.

use crate::{
    Test, Tested,
    guests::{events, lab_run, results},
    tests,
};

pub const TESTS: &[Test] = tests![a_container_that_iommufd_plays_is_held_against_what_iommufd_does,];

/// Where the two differ: VFIO gives back the whole mapping for its first page, IOMMUFD just that page.
const TYPE1: &str = "uapi.unmap.vfio_type1_iommu__edu";

fn a_container_that_iommufd_plays_is_held_against_what_iommufd_does() -> Tested {
    let disguised = ["--kernel-config", "IOMMUFD_VFIO_CONTAINER=y", "--kernel-config", "VFIO_CONTAINER=n"];
    let selected = ["--backend", "vfio_type1_iommu", "scenarios/uapi/unmap.yaml", "scenarios/uapi/container.yaml"];
    let ran = lab_run("disguised", &[disguised, selected].concat())?;
    ran.expect(0);

    // The label stays what was asked for, so that reports can be compared; every result tells the truth behind it.
    assert!(ran.junit().contains(TYPE1), "{}", ran.junit());
    let results = results(&ran);
    for case in ["first_page", "exact"] {
        assert_eq!(results[case]["true_backend"], "iommufd_compat_type1", "{case}");
        assert_eq!(results[case]["verdict"], "passed", "{case}");
    }
    let told = ran.stdout();
    assert!(told.contains("vfio_type1_iommu is iommufd_compat_type1 here"), "{told}");

    // What only VFIO's own container promises is skipped, and says why.
    let skipped = events(&ran, "case_finished").into_iter().filter(|result| result["verdict"] == "skipped");
    let reasons: Vec<String> = skipped.map(|result| result.to_string()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("CONFIG_IOMMUFD_VFIO_CONTAINER")), "{reasons:?}");
    Ok(())
}
