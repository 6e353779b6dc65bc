// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `open`.

use super::prelude::*;

verb! {
    /// A file of the kernel to open.
    pub struct Open {
        /// Which file.
        pub file: File,
    }
}

words! {
    /// A file that VFIO and IOMMUFD are spoken to through, or that they are given.
    pub enum File {
        /// The device's own file, such as `/dev/vfio/devices/vfio0`.
        Cdev = "cdev",
        /// The file of the device's group, such as `/dev/vfio/12`.
        Group = "group",
        /// The own file of the mock device for VFIO, which the lab's own kernels have.
        MockCdev = "mock_cdev",
        /// The file of that device's group.
        MockGroup = "mock_group",
        /// `/dev/vfio/vfio`
        Container = "container",
        /// `/dev/iommu`
        Iommufd = "iommufd",
        /// A new eventfd, whose count `event_signal` and the kernel raise and `event_wait` reads.
        Eventfd = "eventfd",
    }
}

impl Known for Open {
    const ABOUT: About = About {
        does: "Open a file of the kernel; needs `save`. Saves `fd`. With `fixture: none`, for what the fixture otherwise does.",
        examples: &["{ file: cdev }"],
        saves: Saves::Fields(&["fd"]),
        device: true,
        fixture: Stands::Anywhere,
        makes_file: true,
        ..About::CALL
    };
}
