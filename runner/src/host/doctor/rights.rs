// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this user may do.

use std::path::PathBuf;

use super::{Fact, Root};
use crate::host::bind::VFIO;
use crate::host::grant;
use crate::host::in_the_way::{LET_IN, Refused, grant_command, may_write, refused};
use crate::host::pci::{attribute, driver_in};
use crate::{model::Bdf, uapi::system};

pub fn facts(root: &Root) -> Vec<Fact> {
    if system::is_root() {
        return vec![Fact::good("rights", "this is root")];
    }
    let closed: Vec<&str> = ["dev/vfio/vfio", "dev/iommu"]
        .into_iter()
        .filter(|file| root.join(file).exists() && !may_write(&root.join(file)))
        .collect();
    let user = system::user();
    let files = match closed.is_empty() {
        true => Fact::good("rights", format!("{user} may open the files that all devices share")),
        false => {
            let files = closed.iter().map(|file| format!("/{file}")).collect::<Vec<_>>().join(" ");
            Fact::will_do("rights", format!("{user} may not open {files}")).by_root(format!("chmod 666 {files}"))
        }
    };
    vec![files, Fact::will_do("kernel-log", "only root reads the kernel's log and page tables: cases prove less")]
}

/// Whether this user can have the device.
pub fn of_device(root: &Root, bdf: Bdf) -> Vec<Fact> {
    let is_bound = driver_in(root, bdf).as_deref() == Some(VFIO);
    let nodes = grant::expected(root, bdf);
    if !is_bound {
        let fact = match refused(&root.join(attribute(bdf, "driver_override"))) {
            None => return Vec::new(),
            Some(Refused::ReadOnly) => {
                let says = "/sys cannot be written to here, as in a container: nothing binds it to vfio-pci";
                let outside = format!("outside of the container: {}", grant_command(bdf));
                Fact::blocks("container", says).by_hand(format!("{outside}; then start it with --device /dev/vfio"))
            }
            Some(Refused::User | Refused::Group) => {
                Fact::blocks("rights", format!("{} may not bind it to vfio-pci", system::user()))
                    .by_root(grant_command(bdf))
            }
        };
        return vec![fact];
    }
    let there: Vec<&PathBuf> = nodes.iter().filter(|node| root.join(node).exists()).collect();
    let listed =
        |nodes: &[&PathBuf]| nodes.iter().map(|node| format!("/{}", node.display())).collect::<Vec<_>>().join(" and ");
    if there.is_empty() {
        let says = format!(
            "{} is not there: this may be a container without the files of VFIO",
            listed(&nodes.iter().collect::<Vec<_>>())
        );
        return vec![Fact::blocks("container", says).by_hand("start the container with --device /dev/vfio")];
    }
    let why: Option<Vec<Refused>> = there.iter().map(|node| refused(&root.join(node))).collect();
    match why {
        None => Vec::new(),
        Some(why) if why.contains(&Refused::Group) => {
            let says = format!("the control group of this process may not open {}", listed(&there));
            vec![Fact::blocks("container", says).by_hand(LET_IN)]
        }
        Some(_) => {
            let says = format!("{} may not open {}", system::user(), listed(&there));
            vec![Fact::blocks("rights", says).by_root(grant_command(bdf))]
        }
    }
}
