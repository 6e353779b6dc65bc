// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of the backends: those of the kernel's own selftests.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One of the five ways to map memory for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "BackendName")]
pub enum BackendName {
    /// A container on `/dev/vfio/vfio`, the first version: an unmap need not take whole mappings.
    #[serde(rename = "vfio_type1_iommu")]
    VfioType1,
    /// A container on `/dev/vfio/vfio`, the second version.
    #[serde(rename = "vfio_type1v2_iommu")]
    VfioType1v2,
    /// A container that `/dev/iommu` plays, the first version.
    #[serde(rename = "iommufd_compat_type1")]
    CompatType1,
    /// A container that `/dev/iommu` plays, the second version.
    #[serde(rename = "iommufd_compat_type1v2")]
    CompatType1v2,
    /// `/dev/iommu` and the device's own file.
    #[serde(rename = "iommufd")]
    Iommufd,
}

/// In the id of a case, in the place of a backend: the case runs on the first of several that the kernel has.
pub const ANY_BACKEND: &str = "any";

impl BackendName {
    /// Whether address spaces and page tables are objects that a case makes, names and hands to the calls.
    pub fn has_objects(self) -> bool {
        match self {
            BackendName::Iommufd => true,
            BackendName::VfioType1
            | BackendName::VfioType1v2
            | BackendName::CompatType1
            | BackendName::CompatType1v2 => false,
        }
    }

    /// All five, in the order that plans and reports follow.
    pub const ALL: [BackendName; 5] = [
        BackendName::VfioType1,
        BackendName::VfioType1v2,
        BackendName::CompatType1,
        BackendName::CompatType1v2,
        BackendName::Iommufd,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            BackendName::VfioType1 => "vfio_type1_iommu",
            BackendName::VfioType1v2 => "vfio_type1v2_iommu",
            BackendName::CompatType1 => "iommufd_compat_type1",
            BackendName::CompatType1v2 => "iommufd_compat_type1v2",
            BackendName::Iommufd => "iommufd",
        }
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to find a backend named '{0}': there are {known}", known = BackendName::ALL.map(BackendName::as_str).join(", "))]
pub struct UnknownBackend(pub String);

impl FromStr for BackendName {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<BackendName, UnknownBackend> {
        BackendName::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| UnknownBackend(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_text_and_in_json() {
        for name in BackendName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
    }

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        let error = "vfio_type2".parse::<BackendName>().unwrap_err().to_string();
        assert!(
            error.starts_with("failed to find a backend named 'vfio_type2': there are vfio_type1_iommu, "),
            "{error}"
        );
    }
}
