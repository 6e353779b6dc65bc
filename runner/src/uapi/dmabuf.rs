//! A BAR as a dma-buf: a file that can be handed to others, IOMMUFD among them.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use vfio_bindings::bindings::vfio as sys;

use super::ioctl::with_struct;
use super::vfio::request;
use super::{Errno, Tracer};

/// `VFIO_DEVICE_FEATURE_DMA_BUF` on a device: `length` bytes of a region from `offset` on as a file; `ENOTTY` on a kernel or a device
/// without it (it came with Linux 6.19, and needs `CONFIG_VFIO_PCI_DMABUF`).
pub fn dma_buf(device: BorrowedFd, region: u32, offset: u64, length: u64, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    const HEAD: usize = size_of::<sys::vfio_device_feature>();
    let open_flags = (libc::O_RDWR | libc::O_CLOEXEC) as u32;
    let flags = sys::VFIO_DEVICE_FEATURE_GET | sys::VFIO_DEVICE_FEATURE_DMA_BUF;
    // A vfio_device_feature, a vfio_device_feature_dma_buf behind it, and one range behind that.
    let argsz = HEAD + 16 + 16;
    let bytes = [argsz as u32, flags, region, open_flags, 0, 1].into_iter().flat_map(u32::to_ne_bytes);
    let mut bytes: Vec<u8> = bytes.chain([offset, length].into_iter().flat_map(u64::to_ne_bytes)).collect();
    let mut words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8"))).collect();
    bytes.clear();
    let run = || {
        // SAFETY: the request takes these structs of argsz bytes, in whole 64-bit words as they are aligned; there are no
        // addresses in them.
        let fd = unsafe { with_struct(device, request(17), words.as_mut_slice()) }?;
        // SAFETY: the kernel just made this file descriptor for us; nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let fields = format!(
        "argsz={argsz}, flags=GET|DMA_BUF, region_index={region}, open_flags=O_RDWR|O_CLOEXEC, \
         dma_ranges=[{{offset={offset:#x}, length={length:#x}}}]"
    );
    tracer.ioctl(device, "VFIO_DEVICE_FEATURE", fields, run, |fd| std::os::fd::AsRawFd::as_raw_fd(fd).to_string())
}
