// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{os::fd::AsRawFd, path::PathBuf};

use super::prelude::*;
use crate::host::pci;

impl Act for Open {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Open { file } = self;
        let bdf = step.case.devices.bdf(step.case.current);
        let path = match file {
            File::Cdev => pci::cdev(bdf),
            File::Group => pci::group(bdf).map(|group| PathBuf::from(format!("/dev/vfio/{group}"))),
            File::Container => Some(PathBuf::from("/dev/vfio/vfio")),
            File::Iommufd => Some(PathBuf::from("/dev/iommu")),
        };
        let Some(path) = path.filter(|path| path.exists()) else {
            return Err(End::Skipped(format!("this kernel has no file to open as `{}`", file.as_str())));
        };
        let got = crate::uapi::open(&path, step.case.tracer).map(|opened| {
            let name = step.planned.step.save.as_ref().expect("the check wants a name for it");
            step.case.scope.set(&name.0, Value::from_pairs([("fd", opened.as_raw_fd())]));
            step.case.files.insert(name.0.clone(), opened);
        });
        step.done(got)
    }
}
