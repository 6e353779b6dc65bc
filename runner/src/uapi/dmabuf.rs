// SPDX-License-Identifier: MIT OR Apache-2.0
//! A BAR as a dma-buf: a file that can be handed to others, IOMMUFD among them.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use vfio_bindings::bindings::vfio as sys;

use super::vfio::{pair, request};
use super::{Tracer, ioctl::with_struct};
use crate::model::Errno;

/// `VFIO_DEVICE_FEATURE_DMA_BUF` on a device: `length` bytes of a region from `offset` on as a file; `ENOTTY` on a kernel or a device
/// without it (it came with Linux 6.19, and needs `CONFIG_VFIO_PCI_DMABUF`).
pub fn dma_buf(device: BorrowedFd, region: u32, offset: u64, length: u64, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let open_flags = (libc::O_RDWR | libc::O_CLOEXEC).cast_unsigned();
    let flags = sys::VFIO_DEVICE_FEATURE_GET | sys::VFIO_DEVICE_FEATURE_DMA_BUF;
    // A vfio_device_feature, a vfio_device_feature_dma_buf behind it, and one range behind that.
    let argsz = 8 + 16 + 16;
    let word = |first, second| u64::from_ne_bytes(pair(first, second));
    let mut words = [word(argsz, flags), word(region, open_flags), word(0, 1), offset, length];
    let run = || {
        // SAFETY: the request takes these structs of argsz bytes, in whole 64-bit words as they are aligned; there are no
        // addresses in them.
        let fd = unsafe { with_struct(device, request(17), &mut words) }?;
        // SAFETY: the kernel just made this file descriptor for us; nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let fields = format!(
        "argsz={argsz}, flags=GET|DMA_BUF, region_index={region}, open_flags=O_RDWR|O_CLOEXEC, \
         dma_ranges=[{{offset={offset:#x}, length={length:#x}}}]"
    );
    tracer.on_file(device, "VFIO_DEVICE_FEATURE", fields, run, |fd| fd.as_raw_fd().to_string())
}
