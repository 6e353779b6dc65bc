//! What a case holds of its device, and whether it changed the device.

use std::{collections::BTreeMap, sync::Arc};

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
        irq::{self, EventFd},
        system::page_size,
    },
};

/// What a case holds of its device while it runs.
#[derive(Clone, Default)]
pub struct Held {
    /// BARs that registers were accessed in.
    bars: BTreeMap<u32, Arc<Mapping>>,
    /// Events of interrupts that were enabled.
    pub events: BTreeMap<(Index, u32), Arc<EventFd>>,
    /// Whether the case changed the device's state.
    pub changed: Changed,
    /// The configuration space before the first step that changed something in it.
    before: Option<Vec<u8>>,
}

/// Whether a case changed a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// It did not.
    #[default]
    No,
    /// Only what the configuration space shows: where that is as it was, so is the device.
    Shown,
    /// More than can be seen: only closing and opening it restores it.
    More,
}

impl Held {
    /// Lets go of what it holds, for the device to be closed.
    pub fn let_go(&mut self) {
        self.bars.clear();
        self.events.clear();
    }

    /// Takes over what a thread holds.
    pub fn take_over(&mut self, other: Held) {
        self.bars.extend(other.bars);
        self.events.extend(other.events);
        // What was there before a thread began has not been kept.
        if other.changed > Changed::No {
            self.changed = Changed::More;
        }
    }

    /// A step is about to change something that the configuration space shows.
    pub fn changes(&mut self, open: &Open) {
        if self.changed == Changed::No {
            self.before = open.session.device().config_space().ok();
            self.changed = Changed::Shown;
        }
    }

    /// Whether the device is as it was before the case: it was not changed, or its configuration space is the same as before and no
    /// interrupt is enabled.
    pub fn is_as_before(&self, open: &Open) -> bool {
        match self.changed {
            Changed::No => true,
            Changed::Shown => {
                let now = || open.session.device().config_space().ok();
                self.events.is_empty() && self.before.is_some() && self.before == now()
            }
            Changed::More => false,
        }
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

/// The number that VFIO has for a kind of interrupt.
pub fn irq_number(index: Index) -> u32 {
    irq::index(index.as_str()).expect("both know the same kinds")
}

/// A width as the language has it.
pub fn width(bits: Bits) -> Width {
    Width::from_bits(bits.0.into()).expect("the language knows no other widths")
}
