// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case holds of its device, and whether it changed the device.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    sync::Arc,
};

use super::{
    failure::{End, Problem},
    fixture::Open,
};
use crate::{
    language::{
        Path,
        verb::{Bits, Index},
    },
    model::code::Code,
    uapi::{
        Mapping, Placement, Prot,
        access::Width,
        irq::{self, IrqAction, IrqData},
        system::page_size,
    },
};

/// What a case holds of its device while it runs.
#[derive(Clone, Default)]
pub struct DeviceState {
    /// BARs that registers were accessed in.
    bars: BTreeMap<u32, Arc<Mapping>>,
    /// Events of interrupts that were enabled.
    pub events: BTreeMap<(Index, u32), Arc<OwnedFd>>,
    pub changed: Changed,
    /// The kinds of interrupts that the case may have left enabled.
    interrupts: BTreeSet<u32>,
}

/// What a case changed of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    #[default]
    No,
    /// Only what the configuration space shows: where that is as it was, so is the device.
    Shown,
    /// The device's registers and memory, which `VFIO_DEVICE_RESET` restores.
    Registers,
    /// More than can be seen, such as what the kernel keeps for the open device: only closing and opening it restores it.
    More,
}

impl Changed {
    /// What a request changed that was made by its name on a file of the open device.
    pub fn by_request(name: &str, flags: u64, failed: bool) -> Changed {
        const PROBE: u64 = 1 << 18; // VFIO_DEVICE_FEATURE_PROBE
        match name {
            "VFIO_DEVICE_SET_IRQS" | "VFIO_DEVICE_RESET" | "VFIO_DEVICE_PCI_HOT_RESET" => Changed::Shown,
            "VFIO_DEVICE_FEATURE" if flags & PROBE != 0 => Changed::Shown,
            // The kernel says that nothing was done.
            _ if failed => Changed::Shown,
            _ => Changed::More,
        }
    }
}

impl DeviceState {
    pub fn let_go(&mut self) {
        self.bars.clear();
        self.events.clear();
    }

    /// Takes over what a thread holds.
    pub fn take_over(&mut self, other: DeviceState) {
        self.bars.extend(other.bars);
        self.events.extend(other.events);
        self.interrupts.extend(other.interrupts);
        // What was there before a thread began has not been kept.
        if other.changed > Changed::No {
            self.changed = Changed::More;
        }
    }

    /// A step is about to change this.
    pub fn changes(&mut self, what: Changed, open: &Open) {
        if what < Changed::More {
            // To be read before the first change.
            open.config_space();
        }
        self.changed = self.changed.max(what);
    }

    /// Interrupts of this kind may be enabled from now on.
    pub fn enables(&mut self, kind: u32) {
        self.interrupts.insert(kind);
    }

    /// Makes the device what it was before the case, as far as that takes no closing; `false` where it does.
    ///
    /// vfio-pci resets a device when it is opened and when it is closed: 100 ms each for a function-level reset.
    pub fn restore(&mut self, open: &Open) -> bool {
        if matches!(self.changed, Changed::No | Changed::More) {
            return self.changed == Changed::No;
        }
        let Some(before) = open.config_space() else { return false };
        let device = open.session.device();
        for kind in std::mem::take(&mut self.interrupts) {
            // A kind of which none is enabled is refused.
            let _ = device.set_irqs(IrqAction::Trigger, kind, 0, IrqData::None(0));
        }
        self.events.clear();
        if self.changed == Changed::Registers && !(open.resets && device.reset().is_ok()) {
            return false;
        }
        device.restore_config(before).is_ok_and(|same| same)
    }

    /// A BAR, which is mapped once a case.
    pub fn bar(&mut self, index: u32, open: &Open, at: Path) -> Result<Arc<Mapping>, End> {
        if let Some(mapped) = self.bars.get(&index) {
            return Ok(mapped.clone());
        }
        let cannot = |why: String| End::Skipped(format!("BAR {index} of the device cannot be mapped: {why}"));
        if index > 5 {
            let problem =
                Problem::new(Code::OutOfRange, at, format!("there is no BAR {index}")).label("expected 0 to 5");
            return Err(End::Error(problem));
        }
        let device = open.session.device();
        let region = device.region(index).map_err(|errno| {
            let title = format!("failed to ask for BAR {index}: {errno}");
            End::Error(Problem::new(Code::Bar, at.clone(), title))
        })?;
        if region.size == 0 {
            return Err(cannot("the device does not have it".into()));
        }
        if !region.mappable() {
            return Err(cannot("the driver does not allow it".into()));
        }
        let prot = if region.writable() { Prot::ReadWrite } else { Prot::Read };
        let mapping = device
            .map_region(&region, 0, region.size, prot, Placement::aligned(page_size()))
            .map_err(|errno| End::Error(Problem::new(Code::Bar, at, format!("failed to map BAR {index}: {errno}"))))?;
        let mapping = Arc::new(mapping);
        self.bars.insert(index, mapping.clone());
        Ok(mapping)
    }
}

pub fn irq_number(index: Index) -> u32 {
    irq::index(index.as_str()).expect("both know the same kinds")
}

/// A width as the language has it.
pub fn width(bits: Bits) -> Width {
    Width::from_bits(bits.0.into()).expect("the language knows no other widths")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_may_have_changed_what_nobody_sees_has_the_device_opened_anew() {
        for (name, flags, failed, changed) in [
            ("VFIO_DEVICE_SET_IRQS", 0, false, Changed::Shown),
            ("VFIO_DEVICE_FEATURE", 1 << 18, false, Changed::Shown),
            ("VFIO_DEVICE_FEATURE", 1 << 17, true, Changed::Shown),
            ("VFIO_DEVICE_FEATURE", 1 << 17, false, Changed::More),
            ("VFIO_DEVICE_IOEVENTFD", 0, false, Changed::More),
            ("IOMMU_OPTION", 0, false, Changed::More),
        ] {
            assert_eq!(Changed::by_request(name, flags, failed), changed, "{name}");
        }
        assert!(
            Changed::No < Changed::Shown && Changed::Shown < Changed::Registers && Changed::Registers < Changed::More
        );
    }
}
