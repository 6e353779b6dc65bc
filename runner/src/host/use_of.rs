// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a device does something that someone would miss: a disk that is mounted, a network link that is up.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Root;
use crate::model::Bdf;

/// What a device is used for; its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Use {
    #[error("{0} is mounted at {1}; unmount it first, if you can do without it")]
    Mounted(String, String),
    #[error("{0} is swap space; swapoff it first")]
    Swap(String),
    /// A block device below it is part of another one, such as a RAID or a volume group.
    #[error("{0} is part of {1}; take it out of that first")]
    Held(String, String),
    #[error("{0} is opened exclusively by a program or a file system; close that first")]
    Opened(String),
    #[error("the network interface {0} is up; check that you do not reach this host by it, then: ip link set {0} down")]
    Up(String),
    #[error("it has {0} virtual functions; write 0 to its sriov_numvfs first")]
    VirtualFunctions(u32),
}

/// The first use that is found, of the device itself or of anything below it.
pub(super) fn find(root: &Root, bdf: Bdf) -> Option<Use> {
    virtual_functions(root, bdf).or_else(|| network(root, bdf)).or_else(|| disk(root, bdf))
}

fn virtual_functions(root: &Root, bdf: Bdf) -> Option<Use> {
    let count = root.text(super::pci::attribute(bdf, "sriov_numvfs"))?.parse().ok()?;
    (count > 0).then_some(Use::VirtualFunctions(count))
}

fn network(root: &Root, bdf: Bdf) -> Option<Use> {
    const IFF_UP: u32 = 1;
    let up = |name: &String| {
        let class = PathBuf::from("sys/class/net").join(name);
        let flags = root.text(class.join("flags"));
        let flags = flags.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()).unwrap_or(0);
        below(root, &class, bdf) && (flags & IFF_UP != 0 || root.text(class.join("operstate")).as_deref() == Some("up"))
    };
    root.names("sys/class/net").into_iter().find(up).map(Use::Up)
}

fn disk(root: &Root, bdf: Bdf) -> Option<Use> {
    // Partitions are in this class too, each with its own number.
    let disks = root.names("sys/class/block");
    disks.into_iter().filter(|name| below(root, &Path::new("sys/class/block").join(name), bdf)).find_map(|name| {
        let class = Path::new("sys/class/block").join(&name);
        let number = root.text(class.join("dev")).unwrap_or_default();
        let node = format!("/dev/{name}");
        if let Some(at) = mount_point(root, &number, &node) {
            return Some(Use::Mounted(node, at));
        }
        let swaps = root.text("proc/swaps").unwrap_or_default();
        if swaps.lines().any(|line| line.split_whitespace().next() == Some(&node)) {
            return Some(Use::Swap(node));
        }
        if let Some(holder) = root.names(class.join("holders")).into_iter().next() {
            return Some(Use::Held(node, holder));
        }
        // What leaves no other trace, such as ZFS, still holds its disks exclusively.
        let opened = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_EXCL).open(root.join(&node[1..]));
        let busy = opened.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY));
        busy.then_some(Use::Opened(node))
    })
}

/// Where a block device is mounted, by its number, or by its node for file systems that have numbers of their own.
fn mount_point(root: &Root, number: &str, node: &str) -> Option<String> {
    // id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options
    let mounts = root.text("proc/self/mountinfo")?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (dev, at) = (fields.nth(2)?, fields.nth(1)?);
        let source = fields.skip_while(|field| *field != "-").nth(2);
        (dev == number || source == Some(node)).then(|| at.to_string())
    })
}

fn below(root: &Root, class: &Path, bdf: Bdf) -> bool {
    let name = bdf.to_string();
    let goes_through = |path: PathBuf| path.iter().any(|part| part == name.as_str());
    let Ok(path) = root.join(class).canonicalize() else { return false };
    if goes_through(path.clone()) {
        return true;
    }
    // The disk of a multipath NVMe lies below a virtual subsystem, which has a link to each of its controllers.
    let subsystem = path.ancestors().find(|folder| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nvme-subsys"))
            && folder.parent().is_some_and(|parent| parent.ends_with("nvme-subsystem"))
    });
    let Some(entries) = subsystem.and_then(|folder| std::fs::read_dir(folder).ok()) else { return false };
    entries.flatten().any(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().canonicalize().is_ok_and(goes_through)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A sysfs of one device, in a temporary folder that goes away with it.
    pub struct Tree(PathBuf);

    const BDF: &str = "0000:03:00.0";
    const DEVICE: &str = "sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0";

    impl Tree {
        pub fn new(name: &str) -> Tree {
            let folder = std::env::temp_dir().join(format!("vfiospec-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            let tree = Tree(folder);
            tree.put(&format!("{DEVICE}/vendor"), "0x8086\n");
            tree.put(&format!("{DEVICE}/driver_override"), "(null)\n");
            tree.put("sys/bus/pci/drivers_probe", "");
            tree.put("sys/bus/pci/drivers/vfio-pci/unbind", "");
            tree.put("proc/self/mountinfo", "22 1 259:1 / / rw - ext4 /dev/root rw\n");
            tree.put("proc/swaps", "Filename Type Size Used Priority\n");
            tree.put("sys/kernel/iommu_groups/7/type", "DMA\n");
            tree.link(&format!("{DEVICE}/iommu_group"), "sys/kernel/iommu_groups/7");
            tree.link(&format!("sys/bus/pci/devices/{BDF}"), DEVICE);
            tree
        }

        pub fn root(&self) -> Root {
            Root::at(&self.0)
        }

        pub fn bdf(&self) -> Bdf {
            BDF.parse().unwrap()
        }

        pub fn read(&self, path: impl AsRef<Path>) -> String {
            std::fs::read_to_string(self.0.join(path)).unwrap()
        }

        pub fn driver(self, name: &str) -> Tree {
            self.put(&format!("sys/bus/pci/drivers/{name}/unbind"), "");
            self.link(&format!("{DEVICE}/driver"), &format!("sys/bus/pci/drivers/{name}"));
            self
        }

        /// A file below the device; what is below `net/` or `block/` gets its link in the class.
        pub fn file(self, path: &str, text: &str) -> Tree {
            self.put(&format!("{DEVICE}/{path}"), text);
            let parts: Vec<_> = path.split('/').collect();
            if let Some(at) = parts.iter().position(|part| ["net", "block"].contains(part)) {
                let real = format!("{DEVICE}/{}", parts[..at + 2].join("/"));
                self.link(&format!("sys/class/{}/{}", parts[at], parts[at + 1]), &real);
            }
            self
        }

        pub fn put(&self, path: &str, text: &str) {
            self.put_bytes(path, text.as_bytes());
        }

        pub fn put_bytes(&self, path: &str, text: &[u8]) {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub fn link(&self, path: &str, to: &str) {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = std::fs::remove_file(&path);
            symlink(self.0.join(to), path).unwrap();
        }

        pub fn without(self, path: &str) -> Tree {
            std::fs::remove_dir_all(self.0.join(path)).unwrap();
            self
        }

        fn found(&self) -> Option<Use> {
            find(&self.root(), self.bdf())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_idle_device_is_free() {
        assert_eq!(Tree::new("idle").found(), None);
        let net = Tree::new("net-down").file("net/eth0/flags", "0x1002\n").file("net/eth0/operstate", "down\n");
        assert_eq!(net.found(), None);
        let disk = Tree::new("disk-idle").file("nvme/nvme0/block/nvme0n1/dev", "259:7\n");
        assert_eq!(disk.found(), None);
    }

    #[test]
    fn a_network_interface_that_is_up_is_not_taken_away() {
        let up = Tree::new("net-up").file("net/eth0/flags", "0x1003\n").file("net/eth0/operstate", "down\n");
        assert_eq!(up.found(), Some(Use::Up("eth0".into())));
        let link = Tree::new("net-link").file("virtio0/net/eth1/operstate", "up\n");
        assert_eq!(link.found(), Some(Use::Up("eth1".into())));
    }

    #[test]
    fn a_mounted_disk_is_not_taken_away() {
        let tree = Tree::new("mounted").file("nvme/nvme0/block/nvme0n1p2/dev", "259:1\n");
        assert_eq!(tree.found(), Some(Use::Mounted("/dev/nvme0n1p2".into(), "/".into())));
        // btrfs shows a number of its own: its source names the disk.
        let tree = Tree::new("btrfs").file("ata1/host0/block/sda1/dev", "8:1\n");
        tree.put("proc/self/mountinfo", "30 1 0:25 /@home /home rw,noatime shared:1 - btrfs /dev/sda1 rw\n");
        assert_eq!(tree.found(), Some(Use::Mounted("/dev/sda1".into(), "/home".into())));
    }

    #[test]
    fn swap_and_parts_of_other_disks_are_not_taken_away() {
        let tree = Tree::new("swap").file("virtio1/block/vda2/dev", "254:2\n");
        tree.put("proc/swaps", "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n");
        assert_eq!(tree.found(), Some(Use::Swap("/dev/vda2".into())));
        let tree =
            Tree::new("held").file("virtio1/block/vda/dev", "254:0\n").file("virtio1/block/vda/holders/dm-0", "");
        assert_eq!(tree.found(), Some(Use::Held("/dev/vda".into(), "dm-0".into())));
    }

    #[test]
    fn the_disk_of_a_multipath_nvme_is_seen_through_its_subsystem() {
        let tree = Tree::new("multipath").file("nvme/nvme0/cntlid", "1\n");
        let subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
        tree.put(&format!("{subsystem}/nvme0n1/dev"), "259:1\n");
        tree.link(&format!("{subsystem}/nvme0"), &format!("{DEVICE}/nvme/nvme0"));
        tree.link("sys/class/block/nvme0n1", &format!("{subsystem}/nvme0n1"));
        assert_eq!(tree.found(), Some(Use::Mounted("/dev/nvme0n1".into(), "/".into())));
    }

    #[test]
    fn the_uses_of_other_devices_do_not_count() {
        let tree = Tree::new("others");
        tree.put("sys/devices/pci0000:00/0000:00:04.0/net/eth0/flags", "0x1003\n");
        tree.link("sys/class/net/eth0", "sys/devices/pci0000:00/0000:00:04.0/net/eth0");
        assert_eq!(tree.found(), None);
    }

    #[test]
    fn virtual_functions_would_vanish() {
        let tree = Tree::new("vfs").file("sriov_numvfs", "4\n");
        assert_eq!(tree.found(), Some(Use::VirtualFunctions(4)));
        assert!(tree.found().unwrap().to_string().contains("sriov_numvfs"));
    }
}
