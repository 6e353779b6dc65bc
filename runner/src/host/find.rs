// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices by what they are, and not by where they are: an address changes when a card is added.

use super::capability::serial_number;
use super::pci::attribute;
use super::{Root, link};
use crate::model::{Bdf, Identity};

/// How many bytes of a configuration space sysfs shows to those who are not root.
const SHOWN_TO_ALL: usize = 64;

/// The device of this identity.
///
/// # Errors
/// No device matches, or several do: the text says which and why.
pub fn find(identity: &Identity) -> Result<Bdf, String> {
    find_in(&Root::default(), identity)
}

fn find_in(root: &Root, identity: &Identity) -> Result<Bdf, String> {
    let is_there = |bdf: &Bdf| root.join(attribute(*bdf, "vendor")).exists();
    match identity {
        Identity::Address(bdf) => Some(*bdf).filter(is_there).ok_or_else(|| "there is no such PCI device".to_owned()),
        Identity::Slot(slot, function) => {
            let Some(place) = root.text(format!("sys/bus/pci/slots/{slot}/address")) else {
                let slots = root.names("sys/bus/pci/slots");
                return Err(match slots.is_empty() {
                    true => "the kernel names no slots here (/sys/bus/pci/slots is empty)".to_owned(),
                    false => format!("there is no such slot; there is {}", slots.join(", ")),
                });
            };
            let bdf = format!("{place}.{function}").parse().ok().filter(is_there);
            bdf.ok_or_else(|| format!("there is no such device in the slot, which is {place}"))
        }
        Identity::Mac(mac) => {
            let has = |bdf: &Bdf| {
                let interfaces = link::of(root, *bdf).into_iter();
                interfaces.filter_map(|name| link::address(root, &name)).any(|known| known == *mac)
            };
            only(all(root).filter(has).collect(), None, || {
                "no network interface of a PCI device has it; a device that has lost its network driver shows none"
                    .to_owned()
            })
        }
        Identity::Serial(serial, function) => {
            let mut hidden = false;
            let has = |bdf: &Bdf| {
                let folder = attribute(*bdf, "nvme");
                let mut controllers = root.names(&folder).into_iter();
                if controllers
                    .any(|name| root.text(folder.join(name).join("serial")).is_some_and(|s| s.trim() == serial))
                {
                    return true;
                }
                let config = std::fs::read(root.join(attribute(*bdf, "config"))).unwrap_or_default();
                hidden |= config.len() == SHOWN_TO_ALL;
                serial_number(&config).is_some_and(|known| known.eq_ignore_ascii_case(serial))
            };
            let found = all(root).filter(has).collect();
            only(found, *function, || match hidden {
                true => {
                    "no device that this user may look at has it; only root reads the serial numbers of PCI Express"
                        .to_owned()
                }
                false => "no PCI device has it".to_owned(),
            })
        }
    }
}

fn all(root: &Root) -> impl Iterator<Item = Bdf> {
    root.names("sys/bus/pci/devices").into_iter().filter_map(|name| name.parse().ok())
}

/// The only one of these, or the only one with this function.
fn only(mut found: Vec<Bdf>, function: Option<u8>, none: impl FnOnce() -> String) -> Result<Bdf, String> {
    if found.is_empty() {
        return Err(none());
    }
    let with_it: Vec<String> = found.iter().map(Bdf::to_string).collect();
    found.retain(|bdf| function.is_none_or(|function| bdf.function == function));
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(format!("{} has it, and is another function", with_it.join(", "))),
        _ => Err(format!("several devices have it: {}; `function` says which one", with_it.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn machine(name: &str, files: &[(&str, &[u8])]) -> Root {
        let folder = std::env::temp_dir().join(format!("vfiospec-find-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for (file, bytes) in files {
            let file = folder.join("sys/bus/pci").join(file);
            fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).unwrap();
            fs::write(file, bytes).unwrap();
        }
        // The class of network interfaces has links to where they are.
        for (file, _) in files {
            let Some(interface) = file.strip_suffix("/address").filter(|path| path.contains("/net/")) else { continue };
            let interface = folder.join("sys/bus/pci").join(interface);
            let class = folder.join("sys/class/net");
            fs::create_dir_all(&class).unwrap();
            std::os::unix::fs::symlink(&interface, class.join(interface.file_name().unwrap())).unwrap();
        }
        Root::at(&folder)
    }

    #[test]
    fn a_device_is_found_by_what_sysfs_shows_of_it() {
        let mut config = vec![0; 4096];
        config[0x100..0x104].copy_from_slice(&[0x03, 0x00, 0x01, 0x00]);
        config[0x104..0x10c].copy_from_slice(&[0xcc, 0xbb, 0xaa, 0xff, 0xff, 0x21, 0x1b, 0x00]);
        let root = machine(
            "all",
            &[
                ("devices/0000:03:00.0/vendor", b"0x8086\n"),
                ("devices/0000:03:00.0/config", &config),
                ("devices/0000:03:00.0/net/eth0/address", b"00:1b:21:aa:bb:cc\n"),
                ("devices/0000:03:00.1/vendor", b"0x8086\n"),
                ("devices/0000:03:00.1/config", &config),
                ("devices/0000:04:00.0/vendor", b"0x144d\n"),
                ("devices/0000:04:00.0/config", &config[..64]),
                ("devices/0000:04:00.0/nvme/nvme0/serial", b"S4EVNX0   \n"),
                ("devices/0000:05:00.0/vendor", b"0x1af4\n"),
                ("devices/0000:05:00.0/virtio3/net/eth1/address", b"52:54:00:00:00:01\n"),
                ("slots/3/address", b"0000:03:00\n"),
            ],
        );
        let find = |identity| find_in(&root, &identity).map(|bdf| bdf.to_string());
        let serial = |serial: &str, function| find(Identity::Serial(serial.into(), function));
        let ok = |bdf: &str| Ok(bdf.to_owned());
        assert_eq!(find(Identity::Mac("00:1b:21:aa:bb:cc".into())), ok("0000:03:00.0"));
        assert_eq!(find(Identity::Mac("52:54:00:00:00:01".into())), ok("0000:05:00.0"));
        assert_eq!(find(Identity::Slot("3".into(), 1)), ok("0000:03:00.1"));
        assert_eq!(serial("S4EVNX0", None), ok("0000:04:00.0"));
        assert_eq!(serial("00-1B-21-ff-ff-aa-bb-cc", Some(1)), ok("0000:03:00.1"));
        assert_eq!(find(Identity::Address("04:00.0".parse().unwrap())), ok("0000:04:00.0"));
        let told = |identity| find(identity).unwrap_err();
        assert!(
            told(Identity::Serial("00-1b-21-ff-ff-aa-bb-cc".into(), None)).starts_with("several devices have it: ")
        );
        assert!(told(Identity::Serial("00-1b-21-ff-ff-aa-bb-cc".into(), Some(2))).ends_with("is another function"));
        assert!(told(Identity::Serial("x".into(), None)).contains("only root reads"));
        assert_eq!(told(Identity::Slot("4".into(), 0)), "there is no such slot; there is 3");
        assert_eq!(told(Identity::Slot("3".into(), 7)), "there is no such device in the slot, which is 0000:03:00");
        assert_eq!(told(Identity::Address("06:00.0".parse().unwrap())), "there is no such PCI device");
        assert!(told(Identity::Mac("00:00:00:00:00:01".into())).contains("lost its network driver"));
    }
}
