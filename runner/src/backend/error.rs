//! Why a device could not be opened behind a backend, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::host::{Bdf, pci};
use crate::uapi::Errno;

/// No device of this kernel has a VFIO file.
const NO_CDEVS: &str = "find the VFIO device";
/// This one has none, as it is not vfio-pci's.
const NOT_BOUND: &str = "find the device on vfio-pci";

/// There is none, as no IOMMU is in front of it: nothing of VFIO works with it.
const NO_IOMMU: &str = "find an IOMMU in front of the device";

/// A device could not be opened: the step that failed, on which file, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError {
    /// The call, such as `open` or `VFIO_SET_IOMMU`; what was to be done where no call was made.
    pub step: &'static str,
    /// The file that it was made on.
    pub path: PathBuf,
    /// What it failed with; `None` where something was missing before any call.
    pub errno: Option<Errno>,
    /// What to do, in one sentence; `None` where we know nothing better than the errno.
    pub help: Option<String>,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            NO_IOMMU => return write!(f, "no IOMMU is in front of the device, and VFIO opens none without"),
            "open" => write!(f, "failed to open {}", self.path.display())?,
            step if self.errno.is_some() => write!(f, "failed to call {step} on {}", self.path.display())?,
            step => write!(f, "failed to {step} at {}", self.path.display())?,
        }
        if let Some(errno) = self.errno {
            write!(f, ": {errno}")?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// Whether this kernel does not have the backend at all, or not loaded: nothing is broken, there is nothing to test.
    pub fn is_missing(&self) -> bool {
        let backend = self.path == Path::new("/dev/iommu") || self.path == Path::new("/dev/vfio/vfio");
        match (self.step, self.errno) {
            ("open", Some(Errno(libc::ENOENT | libc::ENODEV))) => backend,
            ("VFIO_CHECK_EXTENSION", Some(Errno(libc::EOPNOTSUPP))) => true,
            (NO_CDEVS | NO_IOMMU, None) => true,
            _ => false,
        }
    }

    pub(super) fn new(step: &'static str, path: &Path, errno: Errno, bdf: Bdf) -> OpenError {
        let help = help(step, path, errno, bdf);
        OpenError { step, path: path.into(), errno: Some(errno), help }
    }

    pub(super) fn no_group(bdf: Bdf) -> OpenError {
        let path = PathBuf::from(format!("/sys/bus/pci/devices/{bdf}/iommu_group"));
        if path.parent().is_some_and(Path::exists) {
            return OpenError { step: NO_IOMMU, path, errno: None, help: None };
        }
        let help = Some(format!("there is no PCI device {bdf}"));
        OpenError { step: "find the IOMMU group", path, errno: None, help }
    }

    pub(super) fn no_cdev(bdf: Bdf) -> OpenError {
        if pci::group(bdf).is_none() {
            return OpenError::no_group(bdf);
        }
        let path = PathBuf::from(format!("/sys/bus/pci/devices/{bdf}/vfio-dev"));
        // Only where the device is on vfio-pci is it the kernel that has no such files. Else the device was taken away.
        let (step, help) = match pci::driver(bdf).as_deref() {
            Some("vfio-pci") => {
                (NO_CDEVS, "the kernel has no VFIO device files: it needs CONFIG_VFIO_DEVICE_CDEV, Linux 6.6".into())
            }
            Some(driver) => (NOT_BOUND, format!("{bdf} is bound to {driver}, not to vfio-pci")),
            None => (NOT_BOUND, format!("{bdf} is not bound to vfio-pci")),
        };
        OpenError { step, path, errno: None, help: Some(help) }
    }

    pub(super) fn not_viable(path: &Path, bdf: Bdf) -> OpenError {
        OpenError { step: "use the group", path: path.into(), errno: None, help: Some(not_viable_help(bdf)) }
    }
}

/// The devices of the group that keep it from being viable, with their drivers.
///
/// A bridge's driver (pcieport) manages no DMA of its own, and is no obstacle.
fn in_the_way(bdf: Bdf) -> Vec<(Bdf, String)> {
    let others = pci::group_members(bdf).into_iter().filter(|other| *other != bdf);
    let bound = others.filter_map(|other| pci::driver(other).map(|driver| (other, driver)));
    bound.filter(|(_, driver)| driver != "vfio-pci" && driver != "pcieport").collect()
}

fn not_viable_help(bdf: Bdf) -> String {
    let others = in_the_way(bdf);
    if others.is_empty() {
        return "the group is not viable: a device in it is bound to a driver other than vfio-pci".into();
    }
    let others: Vec<_> = others.into_iter().map(|(other, driver)| format!("{other} is bound to {driver}")).collect();
    format!("the group is not viable: {}; bind these to vfio-pci too, or to none", others.join(", "))
}

fn unsafe_interrupts_help(module: &str) -> String {
    format!(
        "this platform does not isolate interrupts; on a test machine, write Y to \
         /sys/module/{module}/parameters/allow_unsafe_interrupts"
    )
}

fn help(step: &str, path: &Path, errno: Errno, bdf: Bdf) -> Option<String> {
    let file = path.to_str().unwrap_or_default();
    Some(match (step, file, errno.0) {
        ("open", "/dev/iommu", libc::ENOENT) => {
            "the kernel is built without CONFIG_IOMMUFD, or its module is not loaded: modprobe iommufd".into()
        }
        ("open", "/dev/vfio/vfio", libc::ENOENT) => {
            "the kernel is built without CONFIG_VFIO_CONTAINER, or its module is not loaded: modprobe vfio".into()
        }
        ("open", "/dev/vfio/vfio", libc::ENODEV) => "modprobe vfio_iommu_type1".into(),
        ("open", _, libc::ENOENT) => match pci::driver(bdf).as_deref() {
            Some("vfio-pci") => "the kernel is built without CONFIG_VFIO_GROUP, or /dev is not kept by devtmpfs".into(),
            Some(driver) => format!("{bdf} is bound to {driver}, not to vfio-pci"),
            None => format!("{bdf} is not bound to vfio-pci"),
        },
        ("open", _, libc::EBUSY) => format!("another process has {bdf} or its group open"),
        ("open", _, libc::EACCES | libc::EPERM) => "run it as root, or give the file to your user".into(),
        ("VFIO_GROUP_SET_CONTAINER", _, libc::ENODEV | libc::EINVAL | libc::ENOTTY) => {
            "the kernel cannot put a VFIO group into this container: is CONFIG_VFIO_GROUP there?".into()
        }
        ("VFIO_CHECK_EXTENSION", "/dev/vfio/vfio", libc::EOPNOTSUPP) => {
            "the kernel has no TYPE1 driver loaded: modprobe vfio_iommu_type1".into()
        }
        ("VFIO_SET_IOMMU", _, libc::EPERM) => unsafe_interrupts_help("vfio_iommu_type1"),
        // For either of two reasons.
        ("VFIO_DEVICE_BIND_IOMMUFD", _, libc::EPERM) if !in_the_way(bdf).is_empty() => not_viable_help(bdf),
        ("VFIO_GROUP_GET_DEVICE_FD" | "VFIO_DEVICE_BIND_IOMMUFD" | "VFIO_DEVICE_ATTACH_IOMMUFD_PT", _, libc::EPERM) => {
            unsafe_interrupts_help("iommufd")
        }
        ("VFIO_GROUP_GET_DEVICE_FD" | "VFIO_DEVICE_BIND_IOMMUFD", _, libc::EACCES) => {
            format!("{bdf} needs the VF token that its SR-IOV device was opened with")
        }
        // EBUSY where it is open through its group, EINVAL where it is bound to another IOMMUFD.
        ("VFIO_GROUP_GET_DEVICE_FD" | "VFIO_DEVICE_BIND_IOMMUFD", _, libc::EBUSY)
        | ("VFIO_DEVICE_BIND_IOMMUFD", _, libc::EINVAL) => {
            format!("another process has {bdf} or its group open")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No machine has this one.
    const BDF: Bdf = Bdf { domain: 0xffff, bus: 0xff, device: 0x1f, function: 7 };

    fn text(step: &'static str, path: &str, errno: i32) -> String {
        OpenError::new(step, Path::new(path), Errno(errno), BDF).to_string()
    }

    #[test]
    fn an_error_says_what_failed_and_what_helps() {
        assert_eq!(
            text("open", "/dev/iommu", libc::ENOENT),
            "failed to open /dev/iommu: ENOENT (no such file or directory); the kernel is built without \
             CONFIG_IOMMUFD, or its module is not loaded: modprobe iommufd"
        );
        assert_eq!(
            text("open", "/dev/vfio/12", libc::EBUSY),
            "failed to open /dev/vfio/12: EBUSY (device or resource busy); another process has ffff:ff:1f.7 or its \
             group open"
        );
        assert_eq!(
            text("VFIO_SET_IOMMU", "/dev/vfio/12", libc::ENODEV),
            "failed to call VFIO_SET_IOMMU on /dev/vfio/12: ENODEV (no such device)"
        );
    }

    #[test]
    fn a_device_that_was_taken_away_is_no_missing_backend() {
        let error = OpenError::no_cdev(BDF);
        assert!(!error.is_missing(), "a skip would hide it: {error}");
        let kernel = OpenError { step: NO_CDEVS, ..error };
        assert!(kernel.is_missing());
    }

    #[test]
    fn what_is_missing_before_any_call_is_named_too() {
        assert_eq!(
            OpenError::no_group(BDF).to_string(),
            "failed to find the IOMMU group at /sys/bus/pci/devices/ffff:ff:1f.7/iommu_group; there is no PCI device \
             ffff:ff:1f.7"
        );
    }
}
