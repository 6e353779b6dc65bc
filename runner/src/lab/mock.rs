// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab's own kernels have for tests alone, beside IOMMUFD's mock device: a VFIO device without hardware (`vfio_mock.c`), and
//! capabilities that no emulated device has (`mock_capabilities.c`).

use std::{fs, path::Path};

use super::version::Version;
use super::{cache, error::LabError};

/// Their files in the kernel's folder `drivers/vfio`.
pub(super) const FILES: [(&str, &str); 2] =
    [("vfio_mock.c", include_str!("vfio_mock.c")), ("mock_capabilities.c", include_str!("mock_capabilities.c"))];

/// The kernels that they are written for: what a driver offers VFIO differs between releases. The others do without.
const FITS: &str = "7.3";

const BUILT: &str = "obj-$(CONFIG_VFIO_MOCK) += vfio_mock.o mock_capabilities.o\n";
const OPTION: &str = "config VFIO_MOCK\n\tbool \"A VFIO device without hardware, and more capabilities for one with\"\n\t\
    depends on VFIO_PCI_CORE=y\n\tselect DMA_SHARED_BUFFER\n\tselect IOMMUFD_DRIVER if IOMMUFD\n\n";
/// The option stands before this line, where VFIO is on.
const BEFORE: &str = "source \"drivers/vfio/pci/Kconfig\"\n";

/// Adds them to an unpacked source of the lab's own, unless they are there.
pub(super) fn add(tree: &Path, version: &Version) -> Result<(), LabError> {
    if !version.begins_with(&FITS.parse().expect("a version")) {
        return Ok(());
    }
    let folder = tree.join("drivers/vfio");
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| LabError::io("read", path, &error));
    // What is as it was is not written: the kernel's build looks at the times.
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        if read(&path).is_ok_and(|before| before == text) { Ok(()) } else { cache::write(&path, text.as_bytes()) }
    };
    let makefile = read(&folder.join("Makefile"))?;
    let before = makefile.lines().filter(|line| !line.contains("VFIO_MOCK"));
    write("Makefile", &before.map(|line| format!("{line}\n")).chain([BUILT.to_owned()]).collect::<String>())?;
    let kconfig = read(&folder.join("Kconfig"))?;
    // That of an earlier release of ours goes.
    let (head, rest) = kconfig.split_once(BEFORE).unwrap_or((&kconfig, ""));
    let head = head.split("config VFIO_MOCK\n").next().unwrap_or_default();
    write("Kconfig", &format!("{head}{OPTION}{BEFORE}{rest}"))?;
    FILES.iter().try_for_each(|(file, text)| write(file, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::cache::tests::scratch;

    #[test]
    fn they_are_added_once_and_where_they_fit() {
        let cache = scratch("mock");
        let folder = cache.folder("tree/drivers/vfio").unwrap();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        fs::write(folder.join("Makefile"), "obj-y += a.o\n").unwrap();
        fs::write(folder.join("Kconfig"), format!("if VFIO\n{BEFORE}endif\n")).unwrap();
        let tree = cache.path("tree");
        add(&tree, &"6.12.3".parse().unwrap()).unwrap();
        assert_eq!(read("Makefile"), "obj-y += a.o\n");
        let earlier = format!("if VFIO\nconfig VFIO_MOCK\n\tbool \"once\"\n\n{BEFORE}endif\n");
        for kconfig in [read("Kconfig"), earlier] {
            fs::write(folder.join("Kconfig"), kconfig).unwrap();
            add(&tree, &"7.3.4-1~bpo13+1".parse().unwrap()).unwrap();
            assert_eq!(read("Makefile"), format!("obj-y += a.o\n{BUILT}"));
            assert_eq!(read("Kconfig"), format!("if VFIO\n{OPTION}{BEFORE}endif\n"));
            FILES.iter().for_each(|(file, text)| assert_eq!(read(file), *text));
        }
        cache::remove(&cache.path("")).unwrap();
    }
}
