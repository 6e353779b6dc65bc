// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers in BARs and in the configuration space.

use std::sync::Arc;

use super::running::Running;
use crate::language::{Dynamic, Size};
use crate::{
    backend::Device,
    engine::device::width,
    engine::failure::End,
    host::capability,
    language::verb::{Bits, ConfigPlace, RegisterValue, Structure},
    model::Errno,
    uapi::Mapping,
    uapi::access::Width,
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

/// A register of the configuration space, which the kernel reads and writes.
pub struct ConfigRegister<'s> {
    /// Where it begins, in bytes.
    pub offset: u64,
    width: Width,
    device: &'s Device,
}

impl ConfigRegister<'_> {
    pub fn read(&self) -> Result<u64, Errno> {
        self.device.config().and_then(|region| self.device.read(&region, self.offset, self.width))
    }

    pub fn write(&self, value: u64) -> Result<(), Errno> {
        self.device.config().and_then(|region| self.device.write(&region, self.offset, self.width, value))
    }
}

impl<'s> Running<'s, '_, '_> {
    /// A register of the configuration space, counted from where a capability begins if one is given.
    pub fn config_register(
        &self,
        capability: &Option<Structure>,
        place: &ConfigPlace,
        bits: Option<Bits>,
    ) -> Result<ConfigRegister<'s>, End> {
        let open = self.open()?;
        let within = match place {
            ConfigPlace::Named(register) => register.offset(),
            ConfigPlace::At(offset) => self.size("offset", offset)?,
        };
        let start = match capability {
            None => 0,
            Some(wanted) => {
                let found = open.config_space().and_then(|config| capability::offset(config, wanted.capability()));
                found.ok_or_else(|| End::Skipped(format!("the device has no capability {}", wanted.as_str())))?
            }
        };
        let offset = start.checked_add(within).ok_or_else(|| {
            self.out_of_range("offset", format!("{within:#x} is more than there is"), "expected a register")
        })?;
        Ok(ConfigRegister { offset, width: width(place.width(bits)), device: open.session.device() })
    }

    /// The value of such a register, which has to fit.
    pub fn register_value(
        &self,
        key: &str,
        value: &RegisterValue,
        place: &ConfigPlace,
        bits: Option<Bits>,
    ) -> Result<u64, End> {
        match (value, place) {
            (RegisterValue::Number(number), _) => self.fitting(key, number, place.width(bits)),
            (RegisterValue::Bits(bits), ConfigPlace::Named(register)) => Ok(register.value(bits)),
            (RegisterValue::Bits(_), ConfigPlace::At(_)) => {
                unreachable!("the check wants the name of the register beside names of its bits")
            }
        }
    }

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
