// SPDX-License-Identifier: MIT OR Apache-2.0
//! VFIO: the reset of a bus or slot, with all devices on it.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Tracer, ioctl::io, ioctl::with_struct};
use crate::model::Errno;
use vfio_bindings::bindings::vfio as sys;

/// More devices than a bus can have.
const MOST_DEVICES: usize = 256;

/// `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO` on a device: how many devices a hot reset of it resets, itself included; `ENODEV` if it has none.
pub fn hot_reset_devices(device: BorrowedFd, tracer: &Tracer) -> Result<u32, Errno> {
    // A vfio_pci_hot_reset_info, and behind it a vfio_pci_dependent_device of 8 bytes for each device.
    let mut words = vec![0u32; 3 + 2 * MOST_DEVICES];
    let argsz = size_of_val(&words[..]) as u32;
    words[0] = argsz;
    let run = || {
        // SAFETY: the request takes these structs of argsz bytes, in whole 32-bit words as they are aligned; there are no addresses in them.
        unsafe { with_struct(device, io(sys::VFIO_BASE + 12), &mut words[..]) }?;
        Ok(words[2])
    };
    let shown = |count: &u32| format!("0 {{count={count}}}");
    tracer.on_file(device, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", format!("argsz={argsz}"), run, shown)
}

/// `VFIO_DEVICE_PCI_HOT_RESET` on a device, with the files that prove that all devices are the caller's: their groups, and none if the device
/// was opened by its own file.
pub fn hot_reset(device: BorrowedFd, groups: &[BorrowedFd], tracer: &Tracer) -> Result<(), Errno> {
    // A vfio_pci_hot_reset, and the files behind it.
    let argsz = (3 + groups.len()) * size_of::<u32>();
    let count = groups.len();
    let mut words = vec![argsz as u32, 0, count as u32];
    words.extend(groups.iter().map(|group| group.as_raw_fd().cast_unsigned()));
    let run = || {
        // SAFETY: the request takes these structs of argsz bytes, in whole 32-bit words as they are aligned; there are no addresses in them.
        unsafe { with_struct(device, io(sys::VFIO_BASE + 13), &mut words[..]) }.map(drop)
    };
    let files: Vec<i32> = groups.iter().map(AsRawFd::as_raw_fd).collect();
    let fields = format!("argsz={argsz}, flags=0, count={count}, group_fds={files:?}");
    tracer.on_file(device, "VFIO_DEVICE_PCI_HOT_RESET", fields, run, |()| "0".to_owned())
}
