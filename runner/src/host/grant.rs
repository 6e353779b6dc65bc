// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handing devices over to an ordinary user: they are on vfio-pci, and their files are the user's, also after a reboot.
//!
//! What is kept are two files of the machine's configuration: a rule of udev for each device, and the user's limit of locked memory. The rule is
//! also the record of the grant.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::pci::{attribute, driver_in};
use super::taken::Lock;
use super::{Root, bind::BindError, bind::VFIO, hotplug, use_of};
use crate::model::{Bdf, Errno};

const RULES: &str = "etc/udev/rules.d";
const LIMITS: &str = "etc/security/limits.d";

/// The file that all devices share.
const SHARED: &str = "dev/iommu";
/// Its mode before, as the kernel makes it (`iommu_misc_dev` in drivers/iommu/iommufd/main.c).
const SHARED_MODE: u32 = 0o660;

/// What was done to hand a device over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Files of the configuration, which last.
    pub written: Vec<PathBuf>,
    /// Files of the device, which are the user's now.
    pub given: Vec<PathBuf>,
}

fn rule(root: &Root, bdf: Bdf) -> PathBuf {
    root.join(RULES).join(format!("70-vfiospec-{bdf}.rules"))
}

fn limit(root: &Root, user: &str) -> PathBuf {
    root.join(LIMITS).join(format!("vfiospec-{user}.conf"))
}

/// Gives the files of a device that is on vfio-pci to a user, who must exist, and has them given again whenever they appear.
///
/// # Errors
/// A file that cannot be written or given.
pub fn grant(bdf: Bdf, user: &str, id: u32, program: &Path) -> Result<Granted, BindError> {
    grant_in(&Root::default(), bdf, user, id, program)
}

fn grant_in(root: &Root, bdf: Bdf, user: &str, id: u32, program: &Path) -> Result<Granted, BindError> {
    let (rule, limit) = (rule(root, bdf), limit(root, user));
    // The driver of the device may have it before this rule is there, such as in the initramfs: the command takes it then, unless it is in use.
    let rules = format!(
        "# Written by `vfiospec grant`. To take it back: vfiospec release {bdf}\n\
         ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"{bdf}\", RUN+=\"{program} grant {user} --device {bdf}\"\n\
         SUBSYSTEM==\"vfio\", TEST==\"/sys/kernel/iommu_groups/%k/devices/{bdf}\", OWNER=\"{user}\"\n\
         SUBSYSTEM==\"vfio-dev\", KERNELS==\"{bdf}\", OWNER=\"{user}\"\n\
         # As /dev/vfio/vfio: it gives access to no device.\n\
         SUBSYSTEM==\"misc\", KERNEL==\"iommu\", MODE=\"0666\"\n",
        program = program.display()
    );
    let limits = format!(
        "# Written by `vfiospec grant`: devices reach only memory that is locked.\n{user} - memlock unlimited\n"
    );
    for (file, text) in [(&rule, rules), (&limit, limits)] {
        let written = fs::create_dir_all(file.parent().unwrap_or(file)).and_then(|()| fs::write(file, text));
        written.map_err(|error| failed(file, &error))?;
    }
    let mut given = nodes(root, bdf);
    for node in &given {
        chown(node, Some(id), None).map_err(|error| failed(node, &error))?;
    }
    let shared = root.join(SHARED);
    if shared.exists() {
        fs::set_permissions(&shared, Permissions::from_mode(0o666)).map_err(|error| failed(&shared, &error))?;
        given.push(shared);
    }
    Ok(Granted { written: vec![rule, limit], given })
}

fn failed(path: &Path, error: &io::Error) -> BindError {
    BindError::Write(path.to_owned(), Errno::of(error))
}

/// The files by which a device on vfio-pci is opened, as the kernel shows them in sysfs: they may not be there in a container. Relative to the
/// root.
pub(super) fn expected(root: &Root, bdf: Bdf) -> Vec<PathBuf> {
    let group = super::pci::group_file_name(root, bdf).map(|group| format!("dev/vfio/{group}"));
    let has_file = |name: &String| root.join(attribute(bdf, "vfio-dev")).join(name).join("dev").exists();
    let own = root.names(attribute(bdf, "vfio-dev")).into_iter().filter(has_file);
    group.into_iter().chain(own.map(|name| format!("dev/vfio/devices/{name}"))).map(PathBuf::from).collect()
}

/// Those that are there.
fn nodes(root: &Root, bdf: Bdf) -> Vec<PathBuf> {
    expected(root, bdf).into_iter().map(|node| root.join(node)).filter(|node| node.exists()).collect()
}

/// Who has a device that was handed over.
pub fn user(bdf: Bdf) -> Option<String> {
    user_in(&Root::default(), bdf)
}

pub(super) fn user_in(root: &Root, bdf: Bdf) -> Option<String> {
    let rules = fs::read_to_string(rule(root, bdf)).ok()?;
    let owner = rules.split_once("OWNER=\"")?.1;
    Some(owner.split_once('"')?.0.to_owned())
}

/// The devices that were handed over.
pub fn all() -> Vec<Bdf> {
    all_in(&Root::default())
}

fn all_in(root: &Root) -> Vec<Bdf> {
    let names = root.names(RULES);
    names.iter().filter_map(|name| name.strip_prefix("70-vfiospec-")?.strip_suffix(".rules")?.parse().ok()).collect()
}

/// Takes a device back: its rule and, if it was the user's last, the limit are gone, and the kernel finds its driver. Returns that driver.
///
/// # Errors
/// Somebody has it open, or it cannot be taken back. Nothing has changed then.
pub fn revoke(bdf: Bdf) -> Result<Option<String>, BindError> {
    revoke_in(&Root::default(), bdf)
}

fn revoke_in(root: &Root, bdf: Bdf) -> Result<Option<String>, BindError> {
    let _lock = Lock::take(root, bdf).map_err(|holder| BindError::Taken(bdf, holder))?;
    let is_bound = driver_in(root, bdf).as_deref() == Some(VFIO);
    if let Some(found) = use_of::opened(root, bdf).filter(|_| is_bound) {
        return Err(BindError::InUse(bdf, found));
    }
    let user = user_in(root, bdf);
    let rule = rule(root, bdf);
    fs::remove_file(&rule).map_err(|error| failed(&rule, &error))?;
    let others: Vec<Option<String>> = all_in(root).into_iter().map(|other| user_in(root, other)).collect();
    if let Some(name) = user.filter(|name| !others.contains(&Some(name.clone()))) {
        let _ = fs::remove_file(limit(root, &name));
    }
    if others.is_empty() {
        let _ = fs::set_permissions(root.join(SHARED), Permissions::from_mode(SHARED_MODE));
    }
    let wrote = |path: PathBuf, text: &str| {
        let path = root.join(path);
        hotplug::write(&path, text).map_err(|errno| BindError::Write(path, errno))
    };
    if is_bound {
        wrote(attribute(bdf, "driver_override"), "\n")?;
        wrote(attribute(bdf, "driver/unbind"), &bdf.to_string())?;
        wrote("sys/bus/pci/drivers_probe".into(), &bdf.to_string())?;
    }
    Ok(driver_in(root, bdf).filter(|driver| driver != VFIO))
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn a_device_that_is_handed_over_is_the_users_and_can_be_taken_back() {
        let tree = Tree::new("grant").driver("vfio-pci");
        tree.put("dev/vfio/7", "");
        tree.put("dev/iommu", "");
        let (root, bdf) = (tree.root(), tree.bdf());
        let me = nix::unistd::getuid().as_raw();
        let granted = grant_in(&root, bdf, "qa", me, Path::new("/usr/bin/vfiospec")).unwrap();
        assert_eq!(granted.given, [root.join("dev/vfio/7"), root.join("dev/iommu")]);
        let rule = fs::read_to_string(&granted.written[0]).unwrap();
        assert!(rule.contains("RUN+=\"/usr/bin/vfiospec grant qa --device 0000:03:00.0\"\n"), "{rule}");
        assert!(fs::read_to_string(&granted.written[1]).unwrap().contains("\nqa - memlock unlimited\n"));
        assert_eq!((user_in(&root, bdf).as_deref(), all_in(&root)), (Some("qa"), vec![bdf]));

        // The tree's files do nothing when written: it stays on vfio-pci.
        assert_eq!(revoke_in(&root, bdf), Ok(None));
        assert_eq!(tree.read("sys/bus/pci/drivers_probe"), bdf.to_string());
        assert!(tree.read(attribute(bdf, "driver_override")).starts_with('\n'));
        assert!(granted.written.iter().all(|file| !file.exists()));
        assert_eq!(fs::metadata(root.join("dev/iommu")).unwrap().permissions().mode() & 0o777, SHARED_MODE);
        assert_eq!((user_in(&root, bdf), all_in(&root)), (None, vec![]));
    }

    #[test]
    fn the_files_of_a_device_without_an_iommu_say_so_in_their_names() {
        let tree = Tree::new("grant-without").driver("vfio-pci").file("vfio-dev/noiommu-vfio0/dev", "511:0\n");
        let files = || expected(&tree.root(), tree.bdf());
        assert_eq!(files(), [Path::new("dev/vfio/7"), Path::new("dev/vfio/devices/noiommu-vfio0")]);
        tree.put("sys/class/vfio/noiommu-7/dev", "242:0\n");
        assert_eq!(files()[0], Path::new("dev/vfio/noiommu-7"));
    }

    #[test]
    fn a_users_limit_stays_while_another_device_is_handed_over() {
        let tree = Tree::new("grants").driver("vfio-pci");
        let (root, bdf, other) = (tree.root(), tree.bdf(), "04:00.0".parse().unwrap());
        let me = nix::unistd::getuid().as_raw();
        for device in [bdf, other] {
            grant_in(&root, device, "qa", me, Path::new("/vfiospec")).unwrap();
        }
        revoke_in(&root, bdf).unwrap();
        assert!(limit(&root, "qa").exists() && all_in(&root) == [other]);
    }
}
