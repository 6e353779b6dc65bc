// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this user may do.

use super::{Fact, Root};
use crate::host::bind::{VFIO, by_root, may_write};
use crate::host::pci::{attribute, driver_in};
use crate::{model::Bdf, uapi::system};

pub fn facts(root: &Root) -> Vec<Fact> {
    if system::is_root() {
        return vec![Fact::good("rights", "this is root")];
    }
    let closed: Vec<&str> =
        ["dev/vfio/vfio", "dev/iommu"].into_iter().filter(|file| !may_write(&root.join(file))).collect();
    let user = system::user();
    let files = match closed.is_empty() {
        true => Fact::good("rights", format!("{user} may open the files of VFIO")),
        false => {
            let files = closed.iter().map(|file| format!("/{file}")).collect::<Vec<_>>().join(" ");
            Fact::will_do("rights", format!("{user} may not open {files}"))
                .mend(format!("as root: chown {user} {files}"))
        }
    };
    vec![files, Fact::will_do("kernel-log", "only root reads the kernel's log and page tables: cases prove less")]
}

/// Whether this user can have the device.
pub fn of_device(root: &Root, bdf: Bdf) -> Vec<Fact> {
    let driver = driver_in(root, bdf);
    let is_bound = driver.as_deref() == Some(VFIO);
    if is_bound || may_write(&root.join(attribute(bdf, "driver_override"))) {
        return Vec::new();
    }
    let says = format!("{} may not bind it to vfio-pci", system::user());
    vec![Fact::blocks("rights", says).mend(format!("as root: {}", by_root(bdf, driver.as_deref())))]
}
