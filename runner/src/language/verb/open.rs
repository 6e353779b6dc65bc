// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `open`.

use crate::language::{keys, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Stands, Takes};

words!(File);

keys! {
    /// A file of the kernel to open.
    #[derive(Serialize)]
    pub struct Open {
        /// Which file.
        pub file: File,
    }
}

/// A file that VFIO and IOMMUFD are spoken to through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum File {
    /// The device's own file, such as `/dev/vfio/devices/vfio0`.
    Cdev,
    /// The file of the device's group, such as `/dev/vfio/12`.
    Group,
    /// `/dev/vfio/vfio`
    Container,
    /// `/dev/iommu`
    Iommufd,
}

impl File {
    /// The name as scenarios write it.
    pub fn as_str(self) -> &'static str {
        match self {
            File::Cdev => "cdev",
            File::Group => "group",
            File::Container => "container",
            File::Iommufd => "iommufd",
        }
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

impl Takes for Open {
    fn keys(&self) -> Keys<'_> {
        let Open { file } = self;
        Keys::default().word("file", file)
    }
}
