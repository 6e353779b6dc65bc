// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a device could not be opened behind a backend, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{
    host::{bind, in_the_way::in_the_way, pci},
    model::{Bdf, Errno},
};

/// A call on the way to an open device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]

pub(super) enum OpenCall {
    Open,
    ApiVersion,
    CheckExtension,
    GroupStatus,
    SetContainer,
    SetIommu,
    DeviceFd,
    IoasAlloc,
    Bind,
    Attach,
}

impl OpenCall {
    fn name(self) -> &'static str {
        match self {
            OpenCall::Open => "open",
            OpenCall::ApiVersion => "VFIO_GET_API_VERSION",
            OpenCall::CheckExtension => "VFIO_CHECK_EXTENSION",
            OpenCall::GroupStatus => "VFIO_GROUP_GET_STATUS",
            OpenCall::SetContainer => "VFIO_GROUP_SET_CONTAINER",
            OpenCall::SetIommu => "VFIO_SET_IOMMU",
            OpenCall::DeviceFd => "VFIO_GROUP_GET_DEVICE_FD",
            OpenCall::IoasAlloc => "IOMMU_IOAS_ALLOC",
            OpenCall::Bind => "VFIO_DEVICE_BIND_IOMMUFD",
            OpenCall::Attach => "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
        }
    }
}

/// What kept a device from being opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Call(OpenCall, Errno),
    /// No IOMMU is in front of the device, so nothing of VFIO works with it.
    NoIommu,
    NoDevice,
    /// No device of this kernel has a VFIO file.
    NoCdevs,
    /// The device has no VFIO file, as it is not bound to vfio-pci.
    NotBound,
    /// Other drivers have devices of its group.
    NotViable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError {
    obstacle: Obstacle,
    /// The file that was called or looked for.
    path: PathBuf,
    /// What to do, in one sentence; `None` if the errno says it all.
    help: Option<String>,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.obstacle {
            Obstacle::Call(OpenCall::Open, errno) => write!(f, "failed to open {path}: {errno}")?,
            Obstacle::Call(call, errno) => write!(f, "failed to call {} on {path}: {errno}", call.name())?,
            Obstacle::NoIommu => f.write_str("no IOMMU is in front of the device")?,
            Obstacle::NoDevice => write!(f, "failed to find the IOMMU group at {path}")?,
            Obstacle::NoCdevs => write!(f, "failed to find the VFIO device at {path}")?,
            Obstacle::NotBound => write!(f, "failed to find the device on vfio-pci at {path}")?,
            Obstacle::NotViable => write!(f, "failed to use the group at {path}")?,
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// Whether this kernel lacks the backend, or has not loaded it: nothing is broken, there is nothing to test.
    pub fn is_missing(&self) -> bool {
        match self.obstacle {
            Obstacle::Call(OpenCall::Open, Errno(libc::ENOENT | libc::ENODEV)) => {
                self.path == Path::new("/dev/iommu") || self.path == Path::new("/dev/vfio/vfio")
            }
            Obstacle::Call(OpenCall::CheckExtension, Errno(libc::EOPNOTSUPP)) => true,
            Obstacle::NoCdevs | Obstacle::NoIommu => true,
            Obstacle::Call(..) | Obstacle::NoDevice | Obstacle::NotBound | Obstacle::NotViable => false,
        }
    }

    /// The errno of the call, or the one that it would have had on a file that is not there; `None` if something else was missing before any
    /// call.
    pub fn errno(&self) -> Option<Errno> {
        match self.obstacle {
            Obstacle::Call(_, errno) => Some(errno),
            Obstacle::NoDevice | Obstacle::NotBound => Some(Errno(libc::ENOENT)),
            Obstacle::NoIommu | Obstacle::NoCdevs | Obstacle::NotViable => None,
        }
    }

    pub(super) fn call(call: OpenCall, path: &Path, errno: Errno, bdf: Bdf) -> OpenError {
        if (call, errno) == (OpenCall::Open, Errno(libc::ENOENT))
            && let Some(error) = OpenError::no_iommu(bdf)
        {
            return error;
        }
        let help = help(call, path, errno, bdf);
        OpenError { obstacle: Obstacle::Call(call, errno), path: path.into(), help }
    }

    /// A device that is in no group.
    pub fn no_group(bdf: Bdf) -> OpenError {
        let path = PathBuf::from(format!("/sys/bus/pci/devices/{bdf}/iommu_group"));
        if path.parent().is_some_and(Path::exists) {
            let help = Some("VFIO opens no device without one".into());
            return OpenError { obstacle: Obstacle::NoIommu, path, help };
        }
        OpenError { obstacle: Obstacle::NoDevice, path, help: Some(format!("there is no PCI device {bdf}")) }
    }

    /// A device that VFIO opens without an IOMMU has files of other names, and no backend.
    fn no_iommu(bdf: Bdf) -> Option<OpenError> {
        let files =
            [(pci::group_file(bdf), "nothing can be mapped"), (pci::cdev(bdf), "nothing translates what is mapped")];
        let mut known = files.into_iter().filter_map(|(path, what)| Some((path?, what)));
        let (path, what) = known.find(|(path, _)| pci::is_without_iommu(path))?;
        let help = Some(format!("VFIO opens it as {}, where {what}", path.display()));
        Some(OpenError { obstacle: Obstacle::NoIommu, path, help })
    }

    pub(super) fn no_cdev(bdf: Bdf) -> OpenError {
        if let Some(error) = OpenError::no_iommu(bdf) {
            return error;
        }
        let Some(_) = pci::group(bdf) else { return OpenError::no_group(bdf) };
        let path = PathBuf::from(format!("/sys/bus/pci/devices/{bdf}/vfio-dev"));
        // The kernel has no such files only if the device is on vfio-pci. Otherwise the device was taken away.
        let (obstacle, help) = match pci::driver(bdf).as_deref() {
            Some(bind::VFIO) => (
                Obstacle::NoCdevs,
                "the kernel has no VFIO device files: it needs CONFIG_VFIO_DEVICE_CDEV, Linux 6.6".into(),
            ),
            _ => (Obstacle::NotBound, not_bound_help(bdf)),
        };
        OpenError { obstacle, path, help: Some(help) }
    }

    pub(super) fn not_viable(path: &Path, bdf: Bdf) -> OpenError {
        OpenError { obstacle: Obstacle::NotViable, path: path.into(), help: Some(not_viable_help(bdf)) }
    }
}

fn not_bound_help(bdf: Bdf) -> String {
    match pci::driver(bdf) {
        Some(driver) => format!("{bdf} is bound to {driver}, not to vfio-pci"),
        None => format!("{bdf} is not bound to vfio-pci"),
    }
}

fn not_viable_help(bdf: Bdf) -> String {
    let others = in_the_way(bdf, &[]);
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

fn help(call: OpenCall, path: &Path, errno: Errno, bdf: Bdf) -> Option<String> {
    use OpenCall::{Attach, Bind, CheckExtension, DeviceFd, Open, SetContainer, SetIommu};
    let file = path.to_str().unwrap_or_default();
    Some(match (call, file, errno.0) {
        (Open, "/dev/iommu", libc::ENOENT) => {
            "the kernel is built without CONFIG_IOMMUFD (since Linux 6.2), or its module is not loaded: modprobe iommufd".into()
        }
        (Open, "/dev/vfio/vfio", libc::ENOENT) => {
            "the kernel is built without CONFIG_VFIO_CONTAINER, or its module is not loaded: modprobe vfio".into()
        }
        (Open, "/dev/vfio/vfio", libc::ENODEV) => "modprobe vfio_iommu_type1".into(),
        (Open, _, libc::ENOENT) if pci::driver(bdf).as_deref() == Some(bind::VFIO) => {
            "the kernel is built without CONFIG_VFIO_GROUP, or /dev is not kept by devtmpfs".into()
        }
        (Open, _, libc::ENOENT) => not_bound_help(bdf),
        (Open, _, libc::EACCES | libc::EPERM) => "run it as root, or give the file to your user".into(),
        (SetContainer, _, libc::ENODEV | libc::EINVAL | libc::ENOTTY) => {
            "the kernel cannot put a VFIO group into this container: is CONFIG_VFIO_GROUP there?".into()
        }
        (CheckExtension, "/dev/vfio/vfio", libc::EOPNOTSUPP) => {
            "the kernel has no TYPE1 driver loaded: modprobe vfio_iommu_type1".into()
        }
        (SetIommu, _, libc::EPERM) => unsafe_interrupts_help("vfio_iommu_type1"),
        // The kernel has two reasons for EPERM here.
        (Bind, _, libc::EPERM) if !in_the_way(bdf, &[]).is_empty() => not_viable_help(bdf),
        (DeviceFd | Bind | Attach, _, libc::EPERM) => unsafe_interrupts_help("iommufd"),
        (DeviceFd | Bind, _, libc::EACCES) => {
            format!("{bdf} needs the VF token that its SR-IOV device was opened with")
        }
        // EBUSY where it is open through its group, EINVAL where it is bound to another IOMMUFD.
        (Open | DeviceFd | Bind, _, libc::EBUSY) | (Bind, _, libc::EINVAL) => {
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

    fn text(call: OpenCall, path: &str, errno: i32) -> String {
        OpenError::call(call, Path::new(path), Errno(errno), BDF).to_string()
    }

    #[test]
    fn an_error_says_what_failed_and_what_helps() {
        assert_eq!(
            text(OpenCall::Open, "/dev/iommu", libc::ENOENT),
            "failed to open /dev/iommu: ENOENT (no such file or directory); the kernel is built without \
             CONFIG_IOMMUFD (since Linux 6.2), or its module is not loaded: modprobe iommufd"
        );
        assert_eq!(
            text(OpenCall::Open, "/dev/vfio/12", libc::EBUSY),
            "failed to open /dev/vfio/12: EBUSY (device or resource busy); another process has ffff:ff:1f.7 or its \
             group open"
        );
        assert_eq!(
            text(OpenCall::SetIommu, "/dev/vfio/12", libc::ENODEV),
            "failed to call VFIO_SET_IOMMU on /dev/vfio/12: ENODEV (no such device)"
        );
    }

    #[test]
    fn a_device_that_was_taken_away_is_no_missing_backend() {
        let error = OpenError::no_cdev(BDF);
        assert!(!error.is_missing(), "a skip would hide it: {error}");
        let kernel = OpenError { obstacle: Obstacle::NoCdevs, ..error };
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
