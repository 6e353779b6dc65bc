// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names that every expression knows.

/// Known before the run.
pub const STATIC: &[&str] = &["backend"];

/// Known once the device is open: see the table in `scenarios/README.md`.
pub const RUN_TIME: &[&str] = &[
    "device",
    "bar",
    "iova_ranges",
    "page_size",
    "transparent_huge_pages",
    "kernel",
    "arch",
    "iommu",
    "iommufd_mock",
    "parameters",
    "host",
    "iommu_group",
];

/// What is known of a device.
pub const DEVICE: &[&str] = &[
    "name",
    "bdf",
    "vendor",
    "device",
    "class",
    "group",
    "iommu",
    "default_domain",
    "rom",
    "capabilities",
    "resets",
    "reset_methods",
    "intx",
    "msi",
    "msix",
    "hot_reset",
    "dirty_tracking",
    "id",
    "ioas",
    "nesting",
    "pasid_bits",
];

/// What is known of the largest BAR.
const BAR: &[&str] = &["index", "size"];

/// What `doctor` finds of the machine: each has `.says` and `.grade`.
pub const HOST: &[&str] = &[
    "iommu",
    "xen",
    "confidential",
    "interrupts",
    "vfio_pci",
    "backends",
    "lockdown",
    "memlock",
    "cgroup",
    "huge_pages",
    "dma_entry_limit",
    "rights",
    "kernel_log",
];

/// What is known of the IOMMU group of a device. `doctor` finds those of [`GROUP_FACTS`].
const GROUP: &[&str] = &["number", "members", "others", "reserved", "default_domain", "acs", "address_width"];

/// What `doctor` finds of the group: each has `.says` and `.grade`. The first is its own `group`.
pub const GROUP_FACTS: [(&str, &str); 5] = [
    ("others", "group"),
    ("reserved", "reserved"),
    ("default_domain", "default-domain"),
    ("acs", "acs"),
    ("address_width", "address-width"),
];

/// What is known of one of the names that every expression knows, where that is the same for all.
pub fn fields(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "device" => Some(DEVICE),
        "bar" => Some(BAR),
        "host" => Some(HOST),
        "iommu_group" => Some(GROUP),
        _ => None,
    }
}

/// What the declarative form calls its region and its mapping; `show` prints them.
pub const DECLARATIVE: &[&str] = &["region", "mapping"];

/// The words of expressions, which mean the same in each.
pub const WORDS: &[&str] =
    &["true", "false", "none", "True", "False", "None", "and", "or", "not", "if", "else", "in", "is"];

/// Whether a scenario may not give this name to something of its own.
pub fn is_reserved(name: &str) -> bool {
    [STATIC, RUN_TIME, DECLARATIVE, WORDS, &super::BUILTINS].iter().any(|names| names.contains(&name))
}

/// What a report's readers make of an id: Jenkins replaces all but these in its addresses.
pub fn readable(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == '.' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::expression::functions::{BUILTINS, FILTERS, TESTS};

    #[test]
    fn the_guide_knows_every_name_function_filter_and_test() {
        let guide = include_str!("../../../scenarios/README.md");
        for name in [STATIC, RUN_TIME, &BUILTINS, &FILTERS, &TESTS].concat() {
            let told = [format!("`{name}`"), format!("`{name}("), format!("`{name}."), format!("`{name}[")];
            assert!(told.iter().any(|told| guide.contains(told)), "scenarios/README.md does not mention `{name}`");
        }
        for name in [DEVICE, BAR, HOST, GROUP].concat() {
            assert!(guide.contains(&format!("`.{name}`")), "scenarios/README.md does not tell of `.{name}`");
        }
    }
}
