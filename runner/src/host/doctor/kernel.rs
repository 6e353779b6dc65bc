// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel: the driver, the backends, and what shows page tables.

use super::{Fact, Root, firmware};
use crate::host::bind::VFIO;

pub fn facts(root: &Root) -> Vec<Fact> {
    let driver = match root.join(format!("sys/bus/pci/drivers/{VFIO}")).exists() {
        true => Fact::good("vfio-pci", "the driver vfio-pci is loaded"),
        false => Fact::blocks("vfio-pci", "the driver vfio-pci is not loaded").mend("modprobe vfio-pci"),
    };
    // The node of the container is there without its driver.
    let container = root.join("dev/vfio/vfio").exists() && root.join("sys/module/vfio_iommu_type1").exists();
    let iommufd = root.join("dev/iommu").exists();
    let backends = match (container, iommufd) {
        (true, true) => Fact::good("backends", "the kernel has TYPE1 and IOMMUFD"),
        (true, false) => Fact::will_do("backends", "the kernel has TYPE1 and no IOMMUFD (CONFIG_IOMMUFD)")
            .mend("modprobe iommufd; distributions often build kernels without it"),
        (false, true) => Fact::will_do("backends", "the kernel has IOMMUFD, and TYPE1 is not loaded")
            .mend("modprobe vfio_iommu_type1"),
        (false, false) => Fact::blocks("backends", "the kernel has neither TYPE1 nor IOMMUFD loaded")
            .mend("modprobe vfio_iommu_type1; modprobe iommufd"),
    };
    let mut facts = vec![driver, backends];
    facts.extend(firmware::lockdown(root));
    facts
}
