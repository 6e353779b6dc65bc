// SPDX-License-Identifier: MIT OR Apache-2.0
//! What calls are made on: the memory and the address spaces, and the state that they are in.

use crate::backend::{IovaRange, Mapped, Mappings, Model, Pages, Rules, Whole};
use crate::model::BackendName;

/// An address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The one that the device was opened with.
    Own,
    /// Another one of its IOMMUFD. No device is attached to it at first, so that nothing is pinned there.
    Other,
}

impl Place {
    /// The places that there may be.
    pub const ALL: [Place; 2] = [Place::Own, Place::Other];

    /// The one of the two that this is not.
    pub fn opposite(self) -> Place {
        match self {
            Place::Own => Place::Other,
            Place::Other => Place::Own,
        }
    }
}

/// What scenarios call the other address space.
pub const OTHER: &str = "other";
/// What they call the page table.
pub const TABLE: &str = "table";

/// A region that is mapped.
#[derive(Debug, Clone)]
pub struct Memory {
    pub name: String,
    pub vaddr: u64,
    pub size: u64,
    pub page: u64,
    /// Whether the process may write to it.
    pub writable: bool,
    /// Whether the process can get fresh pages for it that nobody else holds.
    pub renews: bool,
    /// Whether it can be one huge page, too.
    pub collapses: bool,
    /// Whether it has a file that can be mapped in its place, for writing too.
    pub file: bool,
    /// Whether no other region has the same memory.
    pub alone: bool,
}

/// What calls are made on.
#[derive(Debug, Clone)]
pub struct Ground {
    pub backend: BackendName,
    pub model: Model<'static>,
    pub memory: Vec<Memory>,
    /// What can be mapped where the device is.
    pub ranges: Vec<IovaRange>,
    /// What can be mapped where the device has a page table and is not.
    pub aperture: Vec<IovaRange>,
    /// The region that is one page of 1 GiB, where it does not take too long to map.
    pub giant: Option<usize>,
    /// Whether a mapping of many pages takes long: the IOMMU is sent a message for each.
    pub slow: bool,
    /// Why allocations cannot be made to fail; `None` where they can.
    pub whole: Option<String>,
    /// How many bytes the device copies at once, or why nobody knows how it copies.
    pub dma: Result<u64, String>,
}

impl Ground {
    /// Whether a range that ends at 2^64 could be mapped.
    pub fn has_the_end(&self) -> bool {
        self.ranges.iter().any(|range| range.last == u64::MAX)
    }

    /// The part of it that every backend has, which calls that all of them make are made up for.
    pub fn common(&self) -> Ground {
        let backend = BackendName::VfioType1v2;
        let model = Model { rules: Rules::of(backend), ..self.model };
        let memory = self.memory.iter().map(|memory| Memory { file: false, ..memory.clone() }).collect();
        Ground { backend, model, memory, aperture: Vec::new(), giant: None, slow: true, ..self.clone() }
    }

    /// Whether there is another address space.
    pub fn has_other(&self) -> bool {
        self.backend == BackendName::Iommufd
    }
}

/// An address space after some calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Space {
    pub mappings: Mappings,
    /// Where the kernel may choose IOVAs; anywhere if there is nothing in it.
    pub allowed: Vec<IovaRange>,
    /// Whether it was told to do with the smallest pages.
    pub small: bool,
}

/// What is there after some calls, if each did what it has to.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    own: Space,
    other: Space,
    /// Where the device is; `None` where it is detached.
    pub device: Option<Place>,
    /// Whether it is attached to the page table by itself, and not to its address space.
    pub by_table: bool,
    /// The address space of the page table that a call made, if there is one.
    pub table: Option<Place>,
    /// Whether the container records which pages are written.
    pub tracked: bool,
    /// Whether pages that nothing maps may be told as written, which is a bug of TYPE1 (`dirty_pages.read_at_two_offsets`).
    pub stale: bool,
    /// Whether the process got other pages for memory that is mapped, perhaps.
    pub renewed: bool,
}

impl State {
    /// The state of a device that was opened just now.
    pub fn new() -> State {
        State {
            own: Space::default(),
            other: Space::default(),
            device: Some(Place::Own),
            by_table: false,
            table: None,
            tracked: false,
            stale: false,
            renewed: false,
        }
    }

    pub fn of(&self, place: Place) -> &Space {
        match place {
            Place::Own => &self.own,
            Place::Other => &self.other,
        }
    }

    pub fn of_mut(&mut self, place: Place) -> &mut Space {
        match place {
            Place::Own => &mut self.own,
            Place::Other => &mut self.other,
        }
    }

    pub fn mappings(&self, place: Place) -> &Mappings {
        &self.of(place).mappings
    }

    /// What the device reaches.
    pub fn seen(&self) -> impl Iterator<Item = (u64, Mapped)> {
        self.device.into_iter().flat_map(|place| self.mappings(place).iter())
    }

    /// Whether the pages of a region that were mapped are still those that the process writes to and reads from.
    pub fn is_shared(&self, ground: &Ground, pages: Pages) -> bool {
        let memory = &ground.memory[pages.list];
        memory.alone && memory.writable && !(self.renewed && memory.collapses)
    }

    /// An address space, for calls that are about all of it.
    pub fn whole(&self, place: Place) -> Whole<'_> {
        let Space { mappings, allowed, .. } = self.of(place);
        Whole { mappings, allowed }
    }

    /// Whether a device reaches an address space, or could as soon as it is attached to the page table there. What is mapped in others is
    /// not pinned.
    pub fn is_reached(&self, place: Place) -> bool {
        self.device == Some(place) || self.table == Some(place)
    }

    /// The rules of an address space. Where no device comes, and none is expected to do with the smallest pages, there are no pages either
    /// (`iopt_calculate_iova_alignment` in drivers/iommu/iommufd/io_pagetable.c).
    pub fn model(&self, ground: &Ground, place: Place) -> Model<'static> {
        let page = if self.is_reached(place) || self.of(place).small { ground.model.page } else { 1 };
        Model { page, ..ground.model }
    }

    /// What can be mapped in an address space.
    pub fn ranges<'s>(&self, ground: &'s Ground, place: Place) -> &'s [IovaRange] {
        const ALL: &[IovaRange] = &[IovaRange { start: 0, last: u64::MAX }];
        match (self.device, self.table) {
            (Some(at), _) if at == place => &ground.ranges,
            (_, Some(of)) if of == place => &ground.aperture,
            _ => ALL,
        }
    }
}
