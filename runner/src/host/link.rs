// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network interfaces of a device: which are up, and setting those up again that were
//! (`Documentation/ABI/testing/sysfs-class-net`).

use std::{path::PathBuf, thread, time::Duration};

use super::{Root, hotplug, use_of};
use crate::model::{Bdf, Errno};

const IFF_UP: u32 = 1;

/// How long an interface takes until it has its name: the kernel makes it, and udev calls it what it was called before.
const NAMED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

fn folder(name: &str) -> PathBuf {
    PathBuf::from("sys/class/net").join(name)
}

fn flags(root: &Root, name: &str) -> u32 {
    let text = root.text(folder(name).join("flags")).unwrap_or_default();
    u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

pub(super) fn is_up(root: &Root, name: &str) -> bool {
    flags(root, name) & IFF_UP != 0
}

/// The interfaces of a device.
pub(super) fn of(root: &Root, bdf: Bdf) -> Vec<String> {
    let names = root.names("sys/class/net").into_iter();
    names.filter(|name| use_of::below(root, &folder(name), bdf)).collect()
}

/// The network address of an interface.
pub(super) fn address(root: &Root, name: &str) -> Option<String> {
    root.text(folder(name).join("address"))
}

/// Those that are up.
pub(super) fn up(root: &Root, bdf: Bdf) -> Vec<String> {
    of(root, bdf).into_iter().filter(|name| is_up(root, name)).collect()
}

/// Those of these that are not up, or not there.
pub(super) fn down(root: &Root, bdf: Bdf, names: &[String]) -> Vec<String> {
    let up = up(root, bdf);
    names.iter().filter(|name| !up.contains(name)).cloned().collect()
}

/// Whether somebody uses an interface that is up: it has a link, an address or a route, or another interface is on top of it.
pub(super) fn is_used(root: &Root, name: &str) -> bool {
    let has_link = root.text(folder(name).join("operstate")).as_deref() == Some("up")
        || root.text(folder(name).join("carrier")).as_deref() == Some("1");
    let is_below = root.names(folder(name)).iter().any(|file| file.starts_with("upper_"));
    // Name, destination, …; where there is an address, there is the route to its net.
    let route = root.text("proc/net/route").unwrap_or_default();
    // Address, number, length, scope, flags, name.
    let address = root.text("proc/net/if_inet6").unwrap_or_default();
    has_link
        || is_below
        || route.lines().any(|line| line.split_whitespace().next() == Some(name))
        || address.lines().any(|line| line.split_whitespace().next_back() == Some(name))
}

/// Sets these interfaces up, which a device has once its driver has it.
///
/// # Errors
/// The first that is not there in time, or that the kernel does not set up.
pub(super) fn set_up(root: &Root, bdf: Bdf, names: &[String]) -> Result<(), (String, Errno)> {
    for name in names {
        let mut waited = Duration::ZERO;
        while !of(root, bdf).contains(name) {
            if waited >= NAMED {
                return Err((name.clone(), Errno(libc::ENODEV)));
            }
            thread::sleep(PAUSE);
            waited += PAUSE;
        }
        let flags = format!("{:#x}", flags(root, name) | IFF_UP);
        hotplug::write(&root.join(folder(name).join("flags")), &flags).map_err(|errno| (name.clone(), errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn an_interface_that_was_up_is_set_up_again() {
        let tree = Tree::new("link").file("net/eth0/flags", "0x1002\n");
        let names = ["eth0".to_owned()];
        assert_eq!((up(&tree.root(), tree.bdf()), down(&tree.root(), tree.bdf(), &names)), (vec![], names.to_vec()));
        assert_eq!(set_up(&tree.root(), tree.bdf(), &names), Ok(()));
        assert!(tree.read("sys/class/net/eth0/flags").starts_with("0x1003"));
        assert_eq!(up(&tree.root(), tree.bdf()), names);
    }

    #[test]
    fn an_interface_is_used_by_its_link_its_addresses_and_what_is_on_top() {
        let tree = Tree::new("used").file("net/eth0/flags", "0x1003\n").file("net/eth0/operstate", "down\n");
        let used = |tree: &Tree| is_used(&tree.root(), "eth0");
        assert!(!used(&tree));
        tree.put("proc/net/route", "Iface\tDestination\neth1\t0002000A\n");
        tree.put("proc/net/if_inet6", "fe80000000000000000000000000abcd 03 40 20 80     eth1\n");
        assert!(!used(&tree));
        tree.put("proc/net/route", "Iface\tDestination\neth0\t0002000A\n");
        assert!(used(&tree));
        tree.put("proc/net/route", "");
        tree.put("proc/net/if_inet6", "fd000000000000000000000000000001 03 40 00 80     eth0\n");
        assert!(used(&tree));
        tree.put("proc/net/if_inet6", "");
        let tree = tree.file("net/eth0/upper_bond0/flags", "");
        assert!(used(&tree));
    }
}
