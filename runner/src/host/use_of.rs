// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a device does something that someone would miss: a disk that is mounted, a network link that is up, the screen or the keyboard
//! of this machine.

use std::fs::FileType;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Mend, Root, link};
use crate::{model::Bdf, sanitize::word};

/// What a device is used for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Use {
    #[error("{0} is mounted at {1}")]
    Mounted(String, String),
    /// In mounts that are not those of this process, such as a container's.
    #[error("{what} is mounted at {at} by {program} (process {process}), which has mounts of its own")]
    MountedElsewhere { what: String, at: String, program: String, process: u32 },
    #[error("{0} is swap space")]
    Swap(String),
    /// A block device below it is part of another one, such as a RAID or a volume group: `/dev/md0`, `/dev/mapper/home`.
    #[error("{0} is part of {1}")]
    Held(String, String),
    /// By the kernel itself, or by a program that this process does not see.
    #[error(
        "{0} is held exclusively, and no program seen here has it open: the kernel may export it (iSCSI), or have it in a pool (ZFS)"
    )]
    Opened(String),
    #[error("the network interface {0} is in use")]
    Up(String),
    #[error("it has {1} virtual functions")]
    VirtualFunctions(Bdf, u32),
    /// By the console that draws on it, such as `vtcon1`.
    #[error("it shows the console of this machine")]
    Screen(String),
    #[error("the kernel has its console on {0}")]
    Console(String),
    #[error("the keyboard {0:?} on it types at the console of this machine")]
    Keyboard(String),
    /// A process has the node of something below it open: a display, an input device, a serial line, a sound card, a disk of its own.
    #[error("{program} (process {process}) has {node} open")]
    OpenNode { node: String, program: String, process: u32 },
}

impl Use {
    /// What ends it, if you can do without it.
    pub fn mend(&self) -> Mend {
        match self {
            Use::Mounted(_, at) => Mend::Run(format!("umount {}", word(at))),
            Use::Swap(node) => Mend::Run(format!("swapoff {}", word(node))),
            Use::MountedElsewhere { at, process, .. } => {
                Mend::Run(format!("nsenter --target {process} --mount umount {}", word(at)))
            }
            Use::Held(_, by) => match (by.strip_prefix("/dev/mapper/"), by.strip_prefix("/dev/md")) {
                (Some(name), _) => Mend::Run(format!("dmsetup remove {}", word(name))),
                (_, Some(number)) => Mend::Run(format!("echo clear > /sys/block/md{number}/md/array_state")),
                (None, None) => Mend::Do(format!("take it out of {by}")),
            },
            Use::Opened(_) => Mend::Do("end the export, or export the pool".to_owned()),
            Use::Up(name) => Mend::Run(format!(
                "ip link set {} down # check first that you do not reach this host by it",
                word(name)
            )),
            Use::VirtualFunctions(bdf, _) => Mend::Run(format!("echo 0 > /sys/bus/pci/devices/{bdf}/sriov_numvfs")),
            Use::Screen(console) => Mend::Run(format!("echo 0 > /sys/class/vtconsole/{console}/bind")),
            Use::Console(name) => Mend::Do(format!("boot without console={name}")),
            Use::Keyboard(_) => Mend::Do("unplug that".to_owned()),
            Use::OpenNode { process, .. } => Mend::Run(format!("kill {process}")),
        }
    }
}

/// The first use that is found, of the device itself or of anything below it.
pub(super) fn find(root: &Root, bdf: Bdf) -> Option<Use> {
    let kinds = [virtual_functions, network, disk, share, screen, console, keyboard, open_node];
    kinds.into_iter().find_map(|kind| kind(root, bdf))
}

fn virtual_functions(root: &Root, bdf: Bdf) -> Option<Use> {
    let count = root.text(super::pci::attribute(bdf, "sriov_numvfs"))?.parse().ok()?;
    (count > 0).then_some(Use::VirtualFunctions(bdf, count))
}

fn network(root: &Root, bdf: Bdf) -> Option<Use> {
    link::of(root, bdf).into_iter().find(|name| link::is_used(root, name)).map(Use::Up)
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
            let mapped = root.text(class.with_file_name(&holder).join("dm/name"));
            return Some(Use::Held(
                node,
                mapped.map_or(format!("/dev/{holder}"), |name| format!("/dev/mapper/{name}")),
            ));
        }
        // What leaves no other trace, such as ZFS, still holds its disks exclusively.
        let opened = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_EXCL).open(root.join(&node[1..]));
        let busy = opened.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY));
        busy.then(|| {
            has_open(root, &[(number.clone(), node.clone())], FileType::is_block_device)
                .or_else(|| mounted_elsewhere(root, |mount| mount.number == number || mount.source == node, &node))
                .unwrap_or(Use::Opened(node))
        })
    })
}

/// A folder of the host's that a virtual machine has mounted, by 9p or virtiofs.
fn share(root: &Root, bdf: Bdf) -> Option<Use> {
    let class = |class: &'static str| root.names(class).into_iter().map(move |name| Path::new(class).join(name));
    let virtio = class("sys/bus/virtio/devices").filter(|it| below(root, it, bdf));
    let shares = virtio.filter_map(|it| match root.link_name(it.join("driver"))?.as_str() {
        "9pnet_virtio" => Some(("9p", root.text(it.join("mount_tag")))),
        "virtiofs" => {
            let known = class("sys/fs/virtiofs").find(|known| below(root, &known.join("device"), bdf));
            Some(("virtiofs", known.and_then(|known| root.text(known.join("tag")))))
        }
        _ => None,
    });
    let shares: Vec<_> = shares.collect();
    if shares.is_empty() {
        return None;
    }
    // Where an older kernel does not say how a share is called, it may be any.
    let is_it = |mount: &Mount| {
        shares.iter().any(|(kind, tag)| mount.kind == *kind && tag.as_ref().is_none_or(|tag| *tag == mount.source))
    };
    let here = mounts(root, "self").into_iter().find(is_it);
    let here = here.map(|mount| Use::Mounted(format!("the share {}", mount.source), mount.at));
    here.or_else(|| mounted_elsewhere(root, is_it, "a share"))
}

/// A console that the kernel draws: on a frame buffer below the device, or on the display that the firmware began with.
fn screen(root: &Root, bdf: Bdf) -> Option<Use> {
    let frame_buffers = root.names("sys/class/graphics");
    let draws = frame_buffers.iter().any(|name| {
        name.strip_prefix("fb").is_some_and(|number| number.parse::<u32>().is_ok())
            && below(root, &Path::new("sys/class/graphics").join(name), bdf)
    });
    // With older kernels the firmware's frame buffer is below no PCI device, and VGA text never is.
    let first = root.text(super::pci::attribute(bdf, "boot_vga")).as_deref() == Some("1");
    if !draws && !first {
        return None;
    }
    let consoles = root.names("sys/class/vtconsole").into_iter();
    let shown = |name: &String| {
        let console = Path::new("sys/class/vtconsole").join(name);
        root.text(console.join("bind")).as_deref() == Some("1")
            && root.text(console.join("name")).is_some_and(|kind| !kind.contains("dummy device"))
    };
    consoles.into_iter().find(shown).map(Use::Screen)
}

/// A serial line, or the console of a virtual machine, that the kernel writes to.
fn console(root: &Root, bdf: Bdf) -> Option<Use> {
    let consoles = root.text("proc/consoles")?;
    let is_here = |name: &&str| match name.starts_with("hvc") {
        // The console of virtio: nothing says which of its ports it is.
        true => below_class(root, "sys/class/virtio-ports", bdf),
        false => below(root, &Path::new("sys/class/tty").join(name), bdf),
    };
    let name = consoles.lines().filter_map(|line| line.split_whitespace().next()).find(is_here)?;
    Some(Use::Console(name.to_owned()))
}

/// A keyboard that types at the kernel's own consoles: its handler `kbd` is there only where there are such.
fn keyboard(root: &Root, bdf: Bdf) -> Option<Use> {
    let inputs = root.text("proc/bus/input/devices")?;
    inputs.split("\n\n").find_map(|input| {
        let field = |key: &str| input.lines().find_map(|line| line.strip_prefix(key));
        let here = Path::new(field("S: Sysfs=")?).iter().any(|part| part == bdf.to_string().as_str());
        let types = field("H: Handlers=")?.split_whitespace().any(|handler| handler == "kbd");
        let name = field("N: Name=").unwrap_or_default().trim_matches('"');
        (here && types).then(|| Use::Keyboard(name.to_owned()))
    })
}

/// A process that has a device on vfio-pci open, by its group or by its own file.
pub(super) fn opened(root: &Root, bdf: Bdf) -> Option<Use> {
    let group = super::pci::group_file_name(root, bdf);
    let group = group.map(|group| (format!("sys/class/vfio/{group}/dev"), format!("/dev/vfio/{group}")));
    let folder = super::pci::attribute(bdf, "vfio-dev");
    let files = root.names(&folder).into_iter().map(|name| {
        let number = folder.join(&name).join("dev");
        (number.to_string_lossy().into_owned(), format!("/dev/vfio/devices/{name}"))
    });
    let nodes: Vec<_> =
        group.into_iter().chain(files).filter_map(|(number, node)| Some((root.text(number)?, node))).collect();
    has_open(root, &nodes, FileType::is_char_device)
}

/// The node of a character device below this one that a process has open.
fn open_node(root: &Root, bdf: Bdf) -> Option<Use> {
    // All mice in one.
    const MICE: (&str, &str) = ("13:63", "/dev/input/mice");
    let numbers = root.names("sys/dev/char").into_iter();
    let here = numbers.filter(|number| below(root, &Path::new("sys/dev/char").join(number), bdf));
    let mut nodes: Vec<(String, String)> = here
        .filter_map(|number| {
            let event = root.text(Path::new("sys/dev/char").join(&number).join("uevent"))?;
            let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
            Some((number, format!("/dev/{name}")))
        })
        .collect();
    if nodes.iter().any(|(_, node)| node.starts_with("/dev/input/mouse")) {
        nodes.push((MICE.0.to_owned(), MICE.1.to_owned()));
    }
    has_open(root, &nodes, FileType::is_char_device)
}

/// The first process that has one of these nodes of a kind open, which are told by their numbers.
fn has_open(root: &Root, nodes: &[(String, String)], is_kind: fn(&FileType) -> bool) -> Option<Use> {
    if nodes.is_empty() {
        return None;
    }
    let processes = root.names("proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    processes.into_iter().find_map(|process| {
        let files = Path::new("proc").join(process.to_string()).join("fd");
        let node = root.names(&files).into_iter().find_map(|file| {
            let link = root.join(&files).join(file);
            // A file on a server that does not answer is not asked what it is.
            std::fs::read_link(&link).ok().filter(|to| to.to_string_lossy().contains("/dev/"))?;
            let file = std::fs::metadata(&link).ok().filter(|file| is_kind(&file.file_type()))?;
            let number = format!("{}:{}", libc::major(file.rdev()), libc::minor(file.rdev()));
            nodes.iter().find(|(known, _)| *known == number).map(|(_, node)| node.clone())
        })?;
        let program = root.text(Path::new("proc").join(process.to_string()).join("comm")).unwrap_or_default();
        Some(Use::OpenNode { node, program, process })
    })
}

/// Where a block device is mounted, by its number, or by its node for file systems that have numbers of their own.
fn mount_point(root: &Root, number: &str, node: &str) -> Option<String> {
    mounts(root, "self").into_iter().find(|it| it.number == number || it.source == node).map(|it| it.at)
}

/// A mount that only other processes see, each of their views looked at once.
fn mounted_elsewhere(root: &Root, is_it: impl Fn(&Mount) -> bool, what: &str) -> Option<Use> {
    let view = |process: &str| root.link_name(Path::new("proc").join(process).join("ns/mnt"));
    let mut seen = vec![view("self")?];
    root.names("proc").into_iter().find_map(|name| {
        let process = name.parse().ok()?;
        let is_new = view(&name).filter(|view| !seen.contains(view))?;
        seen.push(is_new);
        let at = mounts(root, &name).into_iter().find(&is_it)?.at;
        let program = root.text(Path::new("proc").join(&name).join("comm")).unwrap_or_default();
        Some(Use::MountedElsewhere { what: what.to_owned(), at, program, process })
    })
}

struct Mount {
    number: String,
    at: String,
    kind: String,
    source: String,
}

/// The mounts that a process sees.
fn mounts(root: &Root, process: &str) -> Vec<Mount> {
    // id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options
    let text = root.text(Path::new("proc").join(process).join("mountinfo")).unwrap_or_default();
    let mount = |line: &str| {
        let mut fields = line.split(' ').map(unescaped);
        let (number, at) = (fields.nth(2)?, fields.nth(1)?);
        let mut fields = fields.skip_while(|field| field != "-").skip(1);
        Some(Mount { number, at, kind: fields.next()?, source: fields.next()? })
    };
    text.lines().filter_map(mount).collect()
}

/// A field of such a line: what would end it is written as `\` and three octal digits (`mangle` in `fs/proc_namespace.c`).
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        text.push(code.map_or('\\', char::from));
        text.push_str(if code.is_some() { &part[3..] } else { part });
    }
    text
}

/// Whether anything of a class is below the device.
fn below_class(root: &Root, class: &str, bdf: Bdf) -> bool {
    root.names(class).into_iter().any(|name| below(root, &Path::new(class).join(name), bdf))
}

pub(super) fn below(root: &Root, class: &Path, bdf: Bdf) -> bool {
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
            if let Some(at) = parts.iter().position(|part| ["net", "block", "graphics", "tty"].contains(part)) {
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
    fn a_network_interface_in_use_is_not_taken_away() {
        let up = Tree::new("net-up").file("net/eth0/flags", "0x1003\n").file("net/eth0/operstate", "down\n");
        assert_eq!(up.found(), None, "nobody uses it, and it is set up again");
        up.put("proc/net/route", "Iface\tDestination\neth0\t0002000A\n");
        assert_eq!(up.found(), Some(Use::Up("eth0".into())));
        let link = Tree::new("net-link").file("virtio0/net/eth1/operstate", "up\n");
        assert_eq!(link.found(), Some(Use::Up("eth1".into())));
    }

    #[test]
    fn a_mounted_disk_is_not_taken_away() {
        let tree = Tree::new("mounted").file("nvme/nvme0/block/nvme0n1p2/dev", "259:1\n");
        assert_eq!(tree.found(), Some(Use::Mounted("/dev/nvme0n1p2".into(), "/".into())));
        // What would end a field is written in octal.
        tree.put("proc/self/mountinfo", "30 1 259:1 / /srv/it's\\040a\\134b\\7 rw - ext4 /dev/nvme0n1p2 rw\n");
        let found = tree.found().expect("it is mounted");
        assert_eq!(found, Use::Mounted("/dev/nvme0n1p2".into(), "/srv/it's a\\b\\7".into()));
        assert_eq!(found.mend().to_string(), r"umount '/srv/it'\''s a\b\7'");
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
        assert_eq!(tree.found(), Some(Use::Held("/dev/vda".into(), "/dev/dm-0".into())));
        tree.put("sys/class/block/dm-0/dm/name", "home\n");
        assert_eq!(tree.found().map(|found| found.mend().to_string()).as_deref(), Some("dmsetup remove home"));
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
    fn a_share_that_is_mounted_is_not_taken_away() {
        let tree = Tree::new("9p").file("virtio3/mount_tag", "source\0");
        tree.link("sys/bus/virtio/devices/virtio3", &format!("{DEVICE}/virtio3"));
        tree.link(&format!("{DEVICE}/virtio3/driver"), "sys/bus/virtio/drivers/9pnet_virtio");
        assert_eq!(tree.found(), None);
        tree.put("proc/self/mountinfo", "30 1 0:25 / /src rw,noatime - 9p source rw,trans=virtio\n");
        assert_eq!(tree.found(), Some(Use::Mounted("the share source".into(), "/src".into())));
        tree.put(&format!("{DEVICE}/virtio3/mount_tag"), "my source\0");
        assert_eq!(tree.found(), None);
        tree.put("proc/self/mountinfo", "30 1 0:25 / /src rw,noatime - 9p my\\040source rw,trans=virtio\n");
        assert_eq!(tree.found(), Some(Use::Mounted("the share my source".into(), "/src".into())));

        let tree = Tree::new("virtiofs").file("virtio3/vendor", "");
        tree.link("sys/bus/virtio/devices/virtio3", &format!("{DEVICE}/virtio3"));
        tree.link(&format!("{DEVICE}/virtio3/driver"), "sys/bus/virtio/drivers/virtiofs");
        tree.put("proc/self/mountinfo", "30 1 0:25 / /src rw - virtiofs source rw\n");
        // An older kernel does not say which one it is.
        assert_eq!(tree.found(), Some(Use::Mounted("the share source".into(), "/src".into())));
        tree.put("sys/fs/virtiofs/3/tag", "other\n");
        tree.link("sys/fs/virtiofs/3/device", &format!("{DEVICE}/virtio3"));
        assert_eq!(tree.found(), None);
        tree.put("sys/fs/virtiofs/3/tag", "source\n");
        assert_eq!(tree.found(), Some(Use::Mounted("the share source".into(), "/src".into())));
    }

    #[test]
    fn the_screen_of_the_console_is_not_taken_away() {
        let tree = Tree::new("screen").file("graphics/fb0/name", "amdgpudrmfb\n");
        tree.put("sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
        tree.put("sys/class/vtconsole/vtcon0/bind", "1\n");
        tree.put("sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
        tree.put("sys/class/vtconsole/vtcon1/bind", "0\n");
        assert_eq!(tree.found(), None);
        tree.put("sys/class/vtconsole/vtcon1/bind", "1\n");
        assert_eq!(tree.found(), Some(Use::Screen("vtcon1".into())));
        // VGA text, or the firmware's frame buffer.
        let tree = tree.without(&format!("{DEVICE}/graphics")).file("boot_vga", "0\n");
        assert_eq!(tree.found(), None);
        assert_eq!(tree.file("boot_vga", "1\n").found(), Some(Use::Screen("vtcon1".into())));
    }

    #[test]
    fn a_line_that_the_kernel_writes_to_is_not_taken_away() {
        let tree = Tree::new("serial").file("0000:03:00.0:0/0000:03:00.0:0.1/tty/ttyS4/dev", "4:68\n");
        tree.put("proc/consoles", "tty0                 -WU (EC  p  )    4:7\n");
        assert_eq!(tree.found(), None);
        tree.put("proc/consoles", "tty0 -WU (EC  p  )    4:7\nttyS4                -W- (E   p a)    4:68\n");
        assert_eq!(tree.found(), Some(Use::Console("ttyS4".into())));

        let tree = Tree::new("hvc");
        tree.put("proc/consoles", "hvc0                 -W- (EC  p  )  229:0\n");
        assert_eq!(tree.found(), None);
        let tree = tree.file("virtio0/virtio-ports/vport0p0/name", "");
        tree.link("sys/class/virtio-ports/vport0p0", &format!("{DEVICE}/virtio0/virtio-ports/vport0p0"));
        assert_eq!(tree.found(), Some(Use::Console("hvc0".into())));
    }

    #[test]
    fn a_keyboard_of_the_console_is_not_taken_away() {
        let tree = Tree::new("keyboard");
        let inputs = |address: &str, handlers: &str| {
            let other = "I: Bus=0011\nN: Name=\"AT keyboard\"\nS: Sysfs=/devices/platform/i8042/input/input1\nH: Handlers=kbd event1\n";
            let here = format!(
                "I: Bus=0003\nN: Name=\"USB Keyboard\"\nS: Sysfs=/devices/pci0000:00/{address}/usb1/input/input3\nH: Handlers={handlers} event3 \n"
            );
            tree.put("proc/bus/input/devices", &format!("{other}\n{here}"));
        };
        inputs(BDF, "mouse0");
        assert_eq!(tree.found(), None);
        inputs("0000:04:00.0", "sysrq kbd");
        assert_eq!(tree.found(), None);
        inputs(BDF, "sysrq kbd");
        assert_eq!(tree.found(), Some(Use::Keyboard("USB Keyboard".into())));
    }

    #[test]
    fn what_a_process_has_open_is_not_taken_away() {
        let tree = Tree::new("open").file("drm/card0/uevent", "MAJOR=1\nMINOR=3\nDEVNAME=dri/card0\n");
        // The node that the process has open is a real one: /dev/null.
        tree.link("sys/dev/char/1:3", &format!("{DEVICE}/drm/card0"));
        tree.put("proc/77/comm", "Xorg\n");
        tree.put("proc/77/fd/0", "a file");
        assert_eq!(tree.found(), None);
        symlink("/dev/zero", tree.root().join("proc/77/fd/1")).unwrap();
        assert_eq!(tree.found(), None);
        symlink("/dev/null", tree.root().join("proc/77/fd/2")).unwrap();
        let open = Use::OpenNode { node: "/dev/dri/card0".into(), program: "Xorg".into(), process: 77 };
        assert_eq!(tree.found(), Some(open));
    }

    #[test]
    fn each_use_says_what_to_do() {
        let told = |found: Use| format!("{found}; {}", found.mend());
        assert_eq!(
            told(Use::Screen("vtcon1".into())),
            "it shows the console of this machine; echo 0 > /sys/class/vtconsole/vtcon1/bind"
        );
        assert_eq!(
            told(Use::Console("ttyS4".into())),
            "the kernel has its console on ttyS4; boot without console=ttyS4"
        );
        assert_eq!(
            told(Use::Keyboard("USB Keyboard".into())),
            "the keyboard \"USB Keyboard\" on it types at the console of this machine; unplug that"
        );
        let open = Use::OpenNode { node: "/dev/dri/card0".into(), program: "Xorg".into(), process: 77 };
        assert_eq!(told(open), "Xorg (process 77) has /dev/dri/card0 open; kill 77");
    }

    #[test]
    fn virtual_functions_would_vanish() {
        let tree = Tree::new("vfs").file("sriov_numvfs", "4\n");
        assert_eq!(tree.found(), Some(Use::VirtualFunctions(tree.bdf(), 4)));
        assert!(tree.found().unwrap().mend().to_string().contains("sriov_numvfs"));
    }
}
