// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers in BARs.

use std::sync::Arc;

use super::running::Running;
use crate::language::{Dynamic, Size};
use crate::{
    engine::device::width, engine::failure::End, language::verb::Bits, model::Errno, uapi::Mapping, uapi::access::Width,
};

/// A register in a BAR that is mapped.
pub struct Register {
    pub index: u32,
    /// Where it begins in the BAR, in bytes.
    pub offset: u64,
    bar: Arc<Mapping>,
    width: Width,
}

impl Register {
    pub fn read(&self) -> Result<u64, Errno> {
        self.bar.mmio_read(self.offset, self.width)
    }

    pub fn write(&self, value: u64) -> Result<(), Errno> {
        self.bar.mmio_write(self.offset, self.width, value)
    }
}

impl Running<'_, '_, '_> {
    /// A register in a BAR. One that the BAR does not have is the scenario's mistake rather than the kernel's.
    pub fn register(&mut self, bar: &Dynamic<Size>, offset: &Dynamic<Size>, bits: Bits) -> Result<Register, End> {
        let (offset, index) = (self.size("offset", offset)?, self.small("bar", bar)?);
        let (open, at) = (self.open()?, self.at("bar"));
        let bar = self.case.device.bar(index, open, at)?;
        let (bytes, size) = (u64::from(bits.0) / 8, bar.len());
        if offset.is_multiple_of(bytes) && offset.checked_add(bytes).is_some_and(|end| end <= size) {
            return Ok(Register { index, offset, bar, width: width(bits) });
        }
        let title = format!("BAR {index} has no register of {} bits at {offset:#x}", bits.0);
        Err(self.out_of_range("offset", title, format!("expected a multiple of {bytes} below {size:#x}")))
    }
}
