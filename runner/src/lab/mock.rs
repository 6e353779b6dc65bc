// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VFIO device without hardware that the lab's own kernels have (`vfio_mock.c`), as they have IOMMUFD's mock device.

use std::{fs, path::Path};

use super::version::Version;
use super::{cache, error::LabError};

/// Its driver.
pub(super) const DRIVER: &str = include_str!("vfio_mock.c");

/// The kernels that it is written for: what a driver offers VFIO differs between releases. The others do without.
const FITS: &str = "7.3";

const BUILT: &str = "obj-$(CONFIG_VFIO_MOCK) += vfio_mock.o\n";
const OPTION: &str =
    "config VFIO_MOCK\n\tbool \"A VFIO device without hardware\"\n\tselect IOMMUFD_DRIVER if IOMMUFD\n\n";
/// The option stands before this line, where VFIO is on.
const BEFORE: &str = "source \"drivers/vfio/pci/Kconfig\"\n";

/// Adds the driver to an unpacked source of the lab's own, unless it is there.
pub(super) fn add(tree: &Path, version: &Version) -> Result<(), LabError> {
    if !version.begins_with(&FITS.parse().expect("a version")) {
        return Ok(());
    }
    let folder = tree.join("drivers/vfio");
    let change = |file: &str, change: &dyn Fn(&str) -> String| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).map_err(|error| LabError::io("read", &path, &error))?;
        // What is as it was is not written: the kernel's build looks at the times.
        if text.contains("VFIO_MOCK") { Ok(()) } else { cache::write(&path, change(&text).as_bytes()) }
    };
    change("Makefile", &|text| format!("{text}{BUILT}"))?;
    change("Kconfig", &|text| text.replacen(BEFORE, &format!("{OPTION}{BEFORE}"), 1))?;
    let driver = folder.join("vfio_mock.c");
    if fs::read_to_string(&driver).is_ok_and(|text| text == DRIVER) {
        return Ok(());
    }
    cache::write(&driver, DRIVER.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::cache::tests::scratch;

    #[test]
    fn the_driver_is_added_once_and_where_it_fits() {
        let cache = scratch("mock");
        let folder = cache.folder("tree/drivers/vfio").unwrap();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        fs::write(folder.join("Makefile"), "obj-y += a.o\n").unwrap();
        fs::write(folder.join("Kconfig"), format!("if VFIO\n{BEFORE}endif\n")).unwrap();
        let tree = cache.path("tree");
        add(&tree, &"6.12.3".parse().unwrap()).unwrap();
        assert_eq!(read("Makefile"), "obj-y += a.o\n");
        for _ in 0..2 {
            add(&tree, &"7.3.4-1~bpo13+1".parse().unwrap()).unwrap();
            assert_eq!(read("Makefile"), format!("obj-y += a.o\n{BUILT}"));
            assert_eq!(read("Kconfig"), format!("if VFIO\n{OPTION}{BEFORE}endif\n"));
            assert_eq!(read("vfio_mock.c"), DRIVER);
        }
        cache::remove(&cache.path("")).unwrap();
    }
}
