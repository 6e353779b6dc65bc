// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{os::fd::AsRawFd, path::PathBuf};

use super::prelude::*;
use crate::{
    backend::OpenError,
    host::{bind, pci},
    uapi::{self, irq::eventfd},
};

impl Act for Open {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Open { file } = self;
        let bdf = step.case.devices.bdf(step.case.current);
        let of_kernel = |path: Option<PathBuf>| match path.filter(|path| path.exists()) {
            Some(path) => Ok(uapi::open(&path, step.case.tracer)),
            // A step took it from vfio-pci, and its files with it.
            None if matches!(file, File::Cdev | File::Group) && pci::driver(bdf).as_deref() != Some(bind::VFIO) => {
                Ok(Err(Errno(libc::ENOENT)))
            }
            None => {
                Err(End::Skipped(format!("this kernel has no file to open as `{}`{}", file.as_str(), since(*file))))
            }
        };
        let no_group = pci::group(bdf).is_none().then(|| OpenError::no_group(bdf)).filter(OpenError::is_missing);
        let of_device = |path: Option<PathBuf>| match &no_group {
            Some(error) => Err(End::Skipped(error.to_string())),
            None => of_kernel(path),
        };
        let opened = match file {
            File::Cdev => of_device(pci::cdev(bdf))?,
            File::Group => of_device(pci::group_file(bdf))?,
            File::MockCdev => of_kernel(pci::mock_cdev())?,
            File::MockGroup => of_kernel(pci::mock_group_file())?,
            File::Container => of_kernel(Some(PathBuf::from("/dev/vfio/vfio")))?,
            File::Iommufd => of_kernel(Some(PathBuf::from("/dev/iommu")))?,
            File::Eventfd => eventfd(step.case.tracer),
        };
        let got = opened.map(|opened| {
            let name = step.planned.step.save.as_ref().expect("the check wants a name for it");
            step.case.scope.set(&name.0, Value::from_pairs([("fd", opened.as_raw_fd())]));
            step.case.files.insert(name.0.clone(), opened);
        });
        step.done(got)
    }
}

/// The configuration that a kernel needs for such a file, and the release that it came with.
fn since(file: File) -> &'static str {
    match file {
        File::Cdev => ": CONFIG_VFIO_DEVICE_CDEV, since Linux 6.6",
        File::Iommufd => ": CONFIG_IOMMUFD, since Linux 6.2",
        File::Group => ": CONFIG_VFIO_GROUP",
        File::MockCdev | File::MockGroup => ": only the lab's own kernels have this device, of Linux 7.3",
        File::Container => ": CONFIG_VFIO_CONTAINER",
        File::Eventfd => "",
    }
}
