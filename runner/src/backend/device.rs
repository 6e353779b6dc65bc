//! An open VFIO device.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::host::Bdf;
use crate::uapi::{self, Errno, Mapping, Placement, Prot, Tracer, vfio};

/// A region of a device: a BAR, the ROM, the configuration space.
pub type Region = vfio::RegionInfo;

/// The first regions of a PCI device are its BARs; the ROM, the configuration space and VGA follow.
const PCI_BARS: u32 = 6;

/// An open VFIO device, closed when dropped.
#[derive(Debug)]
pub struct Device {
    /// There until the drop.
    fd: Option<OwnedFd>,
    bdf: Bdf,
    tracer: Tracer,
}

impl Device {
    pub(super) fn new(fd: OwnedFd, bdf: Bdf, tracer: &Tracer) -> Device {
        Device { fd: Some(fd), bdf, tracer: tracer.clone() }
    }

    /// The device's file.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("open until dropped").as_fd()
    }

    /// Its PCI address.
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// `VFIO_DEVICE_GET_INFO`
    pub fn info(&self) -> Result<vfio::DeviceInfo, Errno> {
        vfio::device_info(self.fd(), &self.tracer)
    }

    /// One region by its index.
    pub fn region(&self, index: u32) -> Result<Region, Errno> {
        vfio::region_info(self.fd(), index, &self.tracer)
    }

    /// The BARs that the device has, in order; those of size 0 are left out.
    pub fn regions(&self) -> Result<Vec<Region>, Errno> {
        let mut bars = Vec::new();
        for index in 0..PCI_BARS {
            let bar = self.region(index)?;
            if bar.size > 0 {
                bars.push(bar);
            }
        }
        Ok(bars)
    }

    /// Maps `size` bytes of a region, from `offset` bytes in it on, into this process.
    pub fn map_region(
        &self,
        region: &Region,
        offset: u64,
        size: u64,
        prot: Prot,
        placement: Placement,
    ) -> Result<Mapping, Errno> {
        let offset = region.offset.checked_add(offset).ok_or(Errno(libc::EOVERFLOW))?;
        Mapping::device(self.fd(), offset, size, prot, placement, &self.tracer)
    }

    /// `VFIO_DEVICE_RESET`
    pub fn reset(&self) -> Result<(), Errno> {
        vfio::device_reset(self.fd(), &self.tracer)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            uapi::close(fd, &self.tracer);
        }
    }
}
