// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel: the driver, the backends, and what shows page tables.

use super::{Fact, Root, firmware};
use crate::host::bind::VFIO;
use crate::host::modules::{self, State};

pub fn facts(root: &Root) -> Vec<Fact> {
    let driver = match modules::state(root, VFIO) {
        State::Loaded => Fact::good("vfio-pci", "the driver vfio-pci is loaded"),
        State::Loadable => {
            Fact::will_do("vfio-pci", "the driver vfio-pci is not loaded; a run with --load-modules loads it")
                .by_root("modprobe vfio-pci")
                .loadable()
        }
        State::Missing => Fact::blocks("vfio-pci", "this kernel has no driver vfio-pci (CONFIG_VFIO_PCI)")
            .by_hand("install the modules of this kernel, or boot a kernel that has CONFIG_VFIO_PCI"),
    };
    let backends = match (modules::state(root, "vfio_iommu_type1"), modules::state(root, "iommufd")) {
        (State::Loaded, State::Loaded) => Fact::good("backends", "the kernel has TYPE1 and IOMMUFD"),
        (State::Loaded, State::Loadable) => {
            Fact::will_do("backends", "the kernel has TYPE1, and IOMMUFD is not loaded").by_root("modprobe iommufd")
        }
        (State::Loaded, State::Missing) => {
            Fact::will_do("backends", "the kernel has TYPE1 and no IOMMUFD (CONFIG_IOMMUFD): its cases are skipped")
        }
        (State::Loadable, State::Loaded) => {
            Fact::will_do("backends", "the kernel has IOMMUFD, and TYPE1 is not loaded")
                .by_root("modprobe vfio_iommu_type1")
        }
        (State::Missing, State::Loaded) => Fact::will_do(
            "backends",
            "the kernel has IOMMUFD and no TYPE1 (CONFIG_VFIO_IOMMU_TYPE1): its cases are skipped",
        ),
        (State::Missing, State::Missing) => Fact::blocks("backends", "this kernel has neither TYPE1 nor IOMMUFD")
            .by_hand("boot a kernel that has CONFIG_VFIO_IOMMU_TYPE1 or CONFIG_IOMMUFD"),
        // The driver brings it, unless it was loaded and somebody unloaded the backend.
        (type1, iommufd) => {
            let loadable = [("vfio_iommu_type1", type1), ("iommufd", iommufd)].into_iter();
            let names = loadable.filter(|(_, state)| *state == State::Loadable).map(|(name, _)| name);
            let command = names.map(|name| format!("modprobe {name}")).collect::<Vec<_>>().join("; ");
            match modules::state(root, VFIO) {
                State::Loaded => Fact::blocks("backends", "neither TYPE1 nor IOMMUFD is loaded"),
                _ => Fact::will_do(
                    "backends",
                    "neither TYPE1 nor IOMMUFD is loaded; a run with --load-modules loads them",
                ),
            }
            .by_root(command)
            .loadable()
        }
    };
    let mut facts = vec![driver, backends];
    facts.extend(firmware::lockdown(root));
    facts
}
