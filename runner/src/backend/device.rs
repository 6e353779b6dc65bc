// SPDX-License-Identifier: MIT OR Apache-2.0
//! An open VFIO device.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::file::File;
use crate::{
    model::{Bdf, Errno},
    uapi::{
        self, Mapping, Placement, Prot, Tracer, VfToken,
        access::{self, Width},
        irq::{self, IrqAction, IrqData, IrqInfo, WriteOnEvent},
        vfio,
    },
};

/// A region of a device: a BAR, the ROM, the configuration space.
pub type Region = vfio::RegionInfo;

/// The first regions of a PCI device are its BARs; the ROM, the configuration space and VGA follow.
const PCI_BARS: u32 = 6;
const PCI_CONFIG: u32 = 7;

/// An open VFIO device, closed when dropped.
#[derive(Debug)]
pub struct Device {
    file: File,
    bdf: Bdf,
    iommufd_id: Option<u32>,
}

impl Device {
    pub(super) fn new(fd: OwnedFd, bdf: Bdf, tracer: &Tracer) -> Device {
        Device { file: File::new(fd, tracer), bdf, iommufd_id: None }
    }

    /// A device that is open already, in a process that inherited its file.
    pub(super) fn inherited(fd: OwnedFd, bdf: Bdf, iommufd_id: Option<u32>, tracer: &Tracer) -> Device {
        Device { file: File::new(fd, tracer), bdf, iommufd_id }
    }

    /// `VFIO_DEVICE_BIND_IOMMUFD`: puts it behind an IOMMUFD, which gives it an id.
    pub(super) fn bind(&mut self, iommufd: BorrowedFd, token: Option<&VfToken>) -> Result<(), Errno> {
        self.iommufd_id = Some(vfio::bind_iommufd(self.fd(), iommufd, token, &self.file.tracer)?);
        Ok(())
    }

    /// Its id on the IOMMUFD; `None` behind a container.
    pub fn iommufd_id(&self) -> Option<u32> {
        self.iommufd_id
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// `VFIO_DEVICE_GET_INFO`
    pub fn info(&self) -> Result<vfio::DeviceInfo, Errno> {
        vfio::device_info(self.fd(), &self.file.tracer)
    }

    pub fn region(&self, index: u32) -> Result<Region, Errno> {
        vfio::region_info(self.fd(), index, &self.file.tracer)
    }

    pub fn config(&self) -> Result<Region, Errno> {
        self.region(PCI_CONFIG)
    }

    /// All that the configuration space holds.
    pub fn config_space(&self) -> Result<Vec<u8>, Errno> {
        let region = self.config()?;
        access::region_bytes(self.fd(), &region, &self.file.tracer)
    }

    /// Writes back each half word of the configuration space that has changed. Returns whether all of it is restored.
    pub fn restore_config(&self, before: &[u8]) -> Result<bool, Errno> {
        let now = self.config_space()?;
        if now == before {
            return Ok(true);
        }
        let region = self.config()?;
        for (offset, (was, is)) in (0..).step_by(2).zip(before.chunks_exact(2).zip(now.chunks_exact(2))) {
            if was != is {
                let value = u16::from_le_bytes([was[0], was[1]]);
                self.write(&region, offset, Width::W16, value.into())?;
            }
        }
        Ok(self.config_space()? == before)
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
        Mapping::device(self.fd(), offset, size, prot, placement, &self.file.tracer)
    }

    /// Reads a register of a region, `offset` bytes in it, through the device's file.
    pub fn read(&self, region: &Region, offset: u64, width: Width) -> Result<u64, Errno> {
        access::region_read(self.fd(), region, offset, width, &self.file.tracer)
    }

    /// Writes a register of a region, `offset` bytes in it, through the device's file.
    pub fn write(&self, region: &Region, offset: u64, width: Width, value: u64) -> Result<(), Errno> {
        access::region_write(self.fd(), region, offset, width, value, &self.file.tracer)
    }

    /// What there is of one kind of interrupt, such as [`irq::MSI`].
    pub fn irq_info(&self, index: u32) -> Result<IrqInfo, Errno> {
        irq::irq_info(self.fd(), index, &self.file.tracer)
    }

    /// Triggers, masks or unmasks interrupts of one kind, from vector `start` on, or says where they go.
    pub fn set_irqs(&self, action: IrqAction, index: u32, start: u32, data: IrqData) -> Result<(), Errno> {
        irq::set_irqs(self.fd(), action, index, start, data, &self.file.tracer)
    }

    /// Has the kernel write to a register whenever an event is signalled; without an event, no longer.
    pub fn ioeventfd(&self, write: WriteOnEvent, event: Option<BorrowedFd>) -> Result<(), Errno> {
        irq::ioeventfd(self.fd(), write, event, &self.file.tracer)
    }

    /// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`: to an address space or a page table of the IOMMUFD that it is bound to, by its id; returns
    /// the page table's.
    pub fn attach(&self, pt: u32, pasid: Option<u32>) -> Result<u32, Errno> {
        vfio::attach_iommufd_pt(self.fd(), pt, pasid, &self.file.tracer)
    }

    /// `VFIO_DEVICE_DETACH_IOMMUFD_PT`
    pub fn detach(&self, pasid: Option<u32>) -> Result<(), Errno> {
        vfio::detach_iommufd_pt(self.fd(), pasid, &self.file.tracer)
    }

    /// A stretch of a BAR as a file that can be handed to others.
    pub fn dma_buf(&self, region: &Region, offset: u64, size: u64) -> Result<OwnedFd, Errno> {
        uapi::dma_buf(self.fd(), region.index, offset, size, &self.file.tracer)
    }

    /// Sets the VF token of an SR-IOV device.
    pub fn set_vf_token(&self, token: &VfToken) -> Result<(), Errno> {
        vfio::set_vf_token(self.fd(), token, &self.file.tracer)
    }

    /// How many devices a hot reset resets, itself included; 0 if it has none, or the kernel does not say.
    pub fn hot_reset_devices(&self) -> u32 {
        uapi::hot_reset_devices(self.fd(), &self.file.tracer).unwrap_or(0)
    }

    /// `VFIO_DEVICE_PCI_HOT_RESET`: resets the bus or slot; the files are those of the groups of all devices on it.
    pub fn hot_reset(&self, groups: &[BorrowedFd]) -> Result<(), Errno> {
        uapi::hot_reset(self.fd(), groups, &self.file.tracer)
    }

    /// `VFIO_DEVICE_RESET`
    pub fn reset(&self) -> Result<(), Errno> {
        vfio::device_reset(self.fd(), &self.file.tracer)
    }
}
