// SPDX-License-Identifier: MIT OR Apache-2.0
//! The registers of the header that every PCI device has, and their bits, by name (`include/uapi/linux/pci_regs.h`).

use super::prelude::*;
use crate::language::text::{keys::Kind, words::Word};

words! {
    /// A register of the header of the configuration space.
    pub enum HeaderRegister {
        /// Who made the device.
        VendorId = "vendor_id",
        /// Which of its maker's devices it is.
        DeviceId = "device_id",
        /// What the device may do; its bits have names.
        Command = "command",
        /// What the device is and what happened to it; its bits have names.
        Status = "status",
        /// Its revision.
        Revision = "revision",
        /// The lowest byte of its class: the programming interface.
        ProgIf = "prog_if",
        /// Class and subclass.
        Class = "class",
        /// The size of a cache line.
        CacheLineSize = "cache_line_size",
        /// The latency timer.
        LatencyTimer = "latency_timer",
        /// Which kind of header it is.
        HeaderType = "header_type",
        /// The built-in self test.
        Bist = "bist",
        /// The first BAR.
        Bar0 = "bar0",
        /// The second BAR.
        Bar1 = "bar1",
        /// The third BAR.
        Bar2 = "bar2",
        /// The fourth BAR.
        Bar3 = "bar3",
        /// The fifth BAR.
        Bar4 = "bar4",
        /// The sixth BAR.
        Bar5 = "bar5",
        /// Who made the card.
        SubsystemVendorId = "subsystem_vendor_id",
        /// Which card it is.
        SubsystemId = "subsystem_id",
        /// The address of the expansion ROM; its bit `enable` has a name.
        Rom = "rom",
        /// Where the first capability is.
        CapabilityList = "capability_list",
        /// The number of its interrupt, for the system's software.
        InterruptLine = "interrupt_line",
        /// Its pin for INTx, 0 for none.
        InterruptPin = "interrupt_pin",
    }
}

words! {
    /// A bit of a register of the header.
    pub enum HeaderBit {
        /// Its BARs of ports answer.
        Io = "io",
        /// Its BARs of memory answer.
        Memory = "memory",
        /// It may reach memory, and send MSI.
        BusMaster = "bus_master",
        /// It watches special cycles.
        Special = "special",
        /// It may write and invalidate.
        Invalidate = "invalidate",
        /// It snoops the palette of VGA.
        VgaPalette = "vga_palette",
        /// Of the command: it answers to errors of parity. Of the status: it saw one as a master.
        Parity = "parity",
        /// It steps addresses and data.
        Wait = "wait",
        /// It may report system errors.
        Serr = "serr",
        /// Fast back-to-back transactions.
        FastBack = "fast_back",
        /// It sends no INTx.
        IntxDisable = "intx_disable",
        /// It is ready at once.
        ImmReady = "imm_ready",
        /// It has an INTx pending.
        Interrupt = "interrupt",
        /// It has a list of capabilities.
        CapList = "cap_list",
        /// It can run at 66 MHz.
        Mhz66 = "mhz_66",
        /// It signalled an abort as a target.
        SigTargetAbort = "sig_target_abort",
        /// It saw an abort of a target.
        RecTargetAbort = "rec_target_abort",
        /// Nobody answered it.
        RecMasterAbort = "rec_master_abort",
        /// It signalled a system error.
        SigSystemError = "sig_system_error",
        /// It found an error of parity.
        DetectedParity = "detected_parity",
        /// The expansion ROM answers.
        Enable = "enable",
    }
}

impl HeaderRegister {
    /// Where it begins, in bytes.
    pub fn offset(self) -> u64 {
        self.place().0
    }

    /// How wide it is.
    pub fn width(self) -> Bits {
        Bits(self.place().1)
    }

    fn place(self) -> (u64, u8) {
        use HeaderRegister as R;
        match self {
            R::VendorId => (0x00, 16),
            R::DeviceId => (0x02, 16),
            R::Command => (0x04, 16),
            R::Status => (0x06, 16),
            R::Revision => (0x08, 8),
            R::ProgIf => (0x09, 8),
            R::Class => (0x0a, 16),
            R::CacheLineSize => (0x0c, 8),
            R::LatencyTimer => (0x0d, 8),
            R::HeaderType => (0x0e, 8),
            R::Bist => (0x0f, 8),
            R::Bar0 => (0x10, 32),
            R::Bar1 => (0x14, 32),
            R::Bar2 => (0x18, 32),
            R::Bar3 => (0x1c, 32),
            R::Bar4 => (0x20, 32),
            R::Bar5 => (0x24, 32),
            R::SubsystemVendorId => (0x2c, 16),
            R::SubsystemId => (0x2e, 16),
            R::Rom => (0x30, 32),
            R::CapabilityList => (0x34, 8),
            R::InterruptLine => (0x3c, 8),
            R::InterruptPin => (0x3d, 8),
        }
    }

    /// Its bits that have names, each with its number.
    pub fn bits(self) -> &'static [(HeaderBit, u32)] {
        use HeaderBit as B;
        match self {
            HeaderRegister::Command => &[
                (B::Io, 0),
                (B::Memory, 1),
                (B::BusMaster, 2),
                (B::Special, 3),
                (B::Invalidate, 4),
                (B::VgaPalette, 5),
                (B::Parity, 6),
                (B::Wait, 7),
                (B::Serr, 8),
                (B::FastBack, 9),
                (B::IntxDisable, 10),
            ],
            HeaderRegister::Status => &[
                (B::ImmReady, 0),
                (B::Interrupt, 3),
                (B::CapList, 4),
                (B::Mhz66, 5),
                (B::FastBack, 7),
                (B::Parity, 8),
                (B::SigTargetAbort, 11),
                (B::RecTargetAbort, 12),
                (B::RecMasterAbort, 13),
                (B::SigSystemError, 14),
                (B::DetectedParity, 15),
            ],
            HeaderRegister::Rom => &[(B::Enable, 0)],
            HeaderRegister::VendorId
            | HeaderRegister::DeviceId
            | HeaderRegister::Revision
            | HeaderRegister::ProgIf
            | HeaderRegister::Class
            | HeaderRegister::CacheLineSize
            | HeaderRegister::LatencyTimer
            | HeaderRegister::HeaderType
            | HeaderRegister::Bist
            | HeaderRegister::Bar0
            | HeaderRegister::Bar1
            | HeaderRegister::Bar2
            | HeaderRegister::Bar3
            | HeaderRegister::Bar4
            | HeaderRegister::Bar5
            | HeaderRegister::SubsystemVendorId
            | HeaderRegister::SubsystemId
            | HeaderRegister::CapabilityList
            | HeaderRegister::InterruptLine
            | HeaderRegister::InterruptPin => &[],
        }
    }

    /// The number that has these bits; the check knows that the register has them all.
    pub fn value(self, named: &[HeaderBit]) -> u64 {
        let bits = self.bits().iter().filter(|(bit, _)| named.contains(bit));
        bits.fold(0, |value, (_, number)| value | 1 << number)
    }
}

/// Where a register of the configuration space is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum ConfigPlace {
    /// One of the header.
    Named(HeaderRegister),
    /// In bytes, from the beginning or from where a capability begins.
    At(Dynamic<Size>),
}

impl ConfigPlace {
    /// How wide the register is, if a step says no other width.
    pub fn width(&self, given: Option<Bits>) -> Bits {
        given.unwrap_or_else(|| match self {
            ConfigPlace::Named(register) => register.width(),
            ConfigPlace::At(_) => Bits::default(),
        })
    }

    /// What a number that stands for this register's value has to fit.
    pub fn fit(&self, given: &Option<Bits>) -> Fit {
        self.width(*given).fit()
    }

    /// The register, if it has bits by name.
    pub fn with_bits(&self) -> Option<HeaderRegister> {
        match self {
            ConfigPlace::Named(register) => Some(*register).filter(|register| !register.bits().is_empty()),
            ConfigPlace::At(_) => None,
        }
    }

    /// A name is of the header, which no capability is in.
    pub fn wrong(&self, capability: &Option<Structure>, site: &Site) -> Option<Diagnostic> {
        let (ConfigPlace::Named(register), Some(capability)) = (self, capability) else { return None };
        let title = format!("`{}` is no register of the capability {}", register.as_str(), capability.as_str());
        let mistake = Diagnostic::error(Code::MisplacedKey, site.at.join("offset"), title);
        Some(mistake.label("expected a number of bytes from where the capability begins").note(
            site.at.join("capability"),
            Target::Value,
            "from here; the registers of the header have no capability",
        ))
    }
}

impl Decode for ConfigPlace {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Text(text) if Name::is_valid(text) => at.word(node, HeaderRegister::WORDS).map(ConfigPlace::Named),
            _ => Offset::read(node, at).map(ConfigPlace::At),
        }
    }

    fn made_up() -> Self {
        ConfigPlace::At(Dynamic::made_up())
    }
}

described!(ConfigPlace, |generator| {
    let name = generator.subschema_for::<HeaderRegister>();
    let offset = generator.subschema_for::<Dynamic<Offset>>();
    json_schema!({
        "description": "Where a register of the configuration space is: the name of one of the header, or its offset in bytes.",
        "anyOf": [name, offset],
        "examples": ["command", "0x4"],
    })
});

/// The value of a register.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum RegisterValue {
    /// A number.
    Number(Dynamic<Size>),
    /// These bits, and no others.
    Bits(Vec<HeaderBit>),
}

impl RegisterValue {
    /// The value, if it is written out.
    pub fn literal(&self, place: &ConfigPlace) -> Option<Size> {
        match (self, place) {
            (RegisterValue::Number(number), _) => number.literal().copied(),
            (RegisterValue::Bits(bits), ConfigPlace::Named(register)) => Some(Size(register.value(bits))),
            (RegisterValue::Bits(_), ConfigPlace::At(_)) => None,
        }
    }

    /// Bits that the register does not have.
    pub fn wrong(&self, place: &ConfigPlace, key: &str, site: &Site) -> Vec<Diagnostic> {
        match self {
            RegisterValue::Number(_) => Vec::new(),
            RegisterValue::Bits(bits) => wrong_bits(bits, place, key, site),
        }
    }
}

/// Bits that the register does not have.
pub fn wrong_bits(bits: &[HeaderBit], place: &ConfigPlace, key: &str, site: &Site) -> Vec<Diagnostic> {
    let at = site.at.join(key);
    let ConfigPlace::Named(register) = place else {
        let mistake = Diagnostic::error(Code::MisplacedKey, at, "bits by name without the name of their register");
        let mistake = mistake.label("expected them beside `offset: command`, or another register's name");
        return if bits.is_empty() { Vec::new() } else { vec![mistake] };
    };
    let known: Vec<&str> = register.bits().iter().map(|(bit, _)| bit.as_str()).collect();
    let unknown = bits.iter().enumerate().filter(|(_, bit)| !known.contains(&bit.as_str()));
    let mistake = |(index, bit): (usize, &HeaderBit)| {
        let title = format!("`{}` is no bit of `{}`", bit.as_str(), register.as_str());
        let label = match known.as_slice() {
            [] => "expected a number: its bits have no names".to_owned(),
            known => expected_one_of(known.iter().copied()),
        };
        Diagnostic::error(Code::UnknownValue, at.join(index), title).label(label)
    };
    unknown.map(mistake).collect()
}

impl Decode for RegisterValue {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Sequence(_) => Vec::decode(node, at).map(RegisterValue::Bits),
            _ => Number::read(node, at).map(RegisterValue::Number),
        }
    }

    fn made_up() -> Self {
        RegisterValue::Number(Dynamic::made_up())
    }
}

described!(RegisterValue, |generator| {
    let number = generator.subschema_for::<Dynamic<Number>>();
    let bit = generator.subschema_for::<HeaderBit>();
    json_schema!({
        "description": "The value of a register: a number, or a list of the bits of a register of the header that are set, by their names.",
        "anyOf": [number, { "type": "array", "items": bit }],
        "examples": ["0x6", ["memory", "bus_master"]],
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_registers_of_the_header_overlap_and_all_bits_are_in_their_register() {
        let mut end = 0;
        for (_, register) in HeaderRegister::WORDS {
            assert!(register.offset() >= end, "{register:?}");
            end = register.offset() + u64::from(register.width().0) / 8;
            assert!(register.bits().iter().all(|(_, bit)| *bit < u32::from(register.width().0)), "{register:?}");
        }
        assert_eq!(end, 0x3e);
        assert_eq!(
            HeaderRegister::Command.value(&[HeaderBit::Memory, HeaderBit::BusMaster, HeaderBit::IntxDisable]),
            0x406
        );
    }
}
