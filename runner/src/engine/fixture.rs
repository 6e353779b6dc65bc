// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open devices: kept from case to case on the same backend, proved clean in between, and opened anew after a failure.

use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::OnceLock;

use super::iova::common;
use super::observers::{Baseline, held};
use crate::{
    backend::{Info, Ioas, IovaRange, OpenError, Region as Bar, Session, Space},
    event::Observation,
    host::{
        page_table::Observer,
        sriov::{Functions, SriovError},
    },
    language::Size,
    model::{BackendName, Bdf, Errno},
    uapi::{
        Tracer, VfToken,
        hwpt::{self, HwInfo},
        irq,
        system::page_size,
    },
};

/// One case's devices are open at a time, on one backend.
pub struct Fixtures {
    open: Option<Kept>,
    /// Virtual functions that were made for a case. They are kept, as the kernel takes a second to remove them. They are dropped
    /// after the open devices.
    functions: Option<Functions>,
    /// How the host was after the last case, as long as its devices stay open: nothing happens before the next case.
    pub after: Option<Baseline>,
    /// The calls of an earlier case that opened what the running one was given.
    pub before: Vec<String>,
    tracer: Tracer,
}

struct Kept {
    members: Vec<Member>,
    device: Open,
    calls: Vec<String>,
}

/// A device to open, the VF token to open it with, and the number of the device whose address space it is in.
pub type Member = (Bdf, Option<VfToken>, usize);

/// An open device, with what does not change while it is open.
pub struct Open {
    pub session: Session,
    /// The number of the device whose address space it is in.
    pub home: usize,
    pub iova_ranges: Vec<IovaRange>,
    pub largest_bar: Option<Bar>,
    pub resets: bool,
    /// How many devices a hot reset resets, itself included; 0 if it has none.
    pub hot_reset: u32,
    /// How many vectors it has of INTx, MSI and MSI-X.
    pub vectors: [u32; 3],
    /// What IOMMUFD says of the IOMMU; `None` behind a container, and before Linux 6.6.
    pub hardware: Option<HwInfo>,
    /// What shows the IOMMU's page table, or why nothing does.
    pub observer: Result<Observer, String>,
    /// What the IOMMU said when nothing was mapped.
    empty: Info,
    /// The configuration space before any case changed it; read when a case is about to.
    config: OnceLock<Option<Vec<u8>>>,
    /// The case's further devices.
    further: Vec<Open>,
}

pub enum CannotOpen {
    Open(OpenError),
    /// A question right after opening.
    Ask(&'static str, Errno),
}

/// Why an open device is not clean.
pub enum Unclean {
    /// This observer saw what was left, or what cannot be taken away.
    Left(&'static str, String),
    /// Nobody knows, for this reason.
    Unknown(&'static str, String),
}

impl Fixtures {
    pub fn new(tracer: &Tracer) -> Fixtures {
        Fixtures { open: None, functions: None, after: None, before: Vec::new(), tracer: tracer.clone() }
    }

    /// The devices on the backend, in their address spaces: those that are open, if they are the same and need not be fresh, or new ones.
    /// With those that were open comes how the host was after the case before.
    pub fn get(
        &mut self,
        members: &[Member],
        backend: BackendName,
        fresh: bool,
    ) -> Result<(&Open, Option<Baseline>), CannotOpen> {
        let same = |kept: &Kept| kept.members == members && kept.device.session.name() == backend;
        if !fresh && let Some(kept) = self.open.as_ref().filter(|kept| same(kept)) {
            self.before.clone_from(&kept.calls);
        } else {
            self.close();
            let mark = self.tracer.mark();
            let mut spaces: BTreeMap<usize, Space> = BTreeMap::new();
            // All of them before anything is asked: each takes something from the IOVAs that may be used.
            let open = |(bdf, token, home): &Member| {
                let space = match spaces.entry(*home) {
                    Entry::Occupied(there) => there.into_mut(),
                    Entry::Vacant(free) => free.insert(Space::new(backend, *bdf, &self.tracer)?),
                };
                Ok((space.open(*bdf, token.as_ref())?, *home))
            };
            let sessions: Vec<(Session, usize)> =
                members.iter().map(open).collect::<Result<_, _>>().map_err(CannotOpen::Open)?;
            let mut all = sessions.into_iter().map(|(session, home)| Open::new(session, home, &self.tracer));
            let own = all.next().expect("a case has a device")?;
            let device = Open { further: all.collect::<Result<_, _>>()?, ..own };
            self.open = Some(Kept { members: members.to_vec(), device, calls: self.tracer.lines_since(mark) });
        }
        Ok((self.open.as_ref().map(|kept| &kept.device).expect("opened just now"), self.after.take()))
    }

    pub fn close(&mut self) {
        (self.open, self.after) = (None, None);
    }

    /// `count` virtual functions of a device that nobody has open: those of an earlier case, if there are enough, or new ones.
    pub fn functions(&mut self, of: Bdf, count: usize) -> Result<Vec<Bdf>, SriovError> {
        // A case may have taken their device out of the machine, and they went with it.
        let are_there = |kept: &&Functions| kept.bdfs.iter().all(|bdf| crate::host::pci::driver(*bdf).is_some());
        let enough = |kept: &&Functions| kept.of() == of && kept.bdfs.len() >= count && are_there(kept);
        if let Some(kept) = self.functions.as_ref().filter(enough) {
            return Ok(kept.bdfs[..count].to_vec());
        }
        self.remove_functions()?;
        let wanted = u32::try_from(count).expect("a case names few devices");
        Ok(self.functions.insert(Functions::make(of, wanted)?).bdfs.clone())
    }

    /// Removes the virtual functions that were made, if any, after closing what is open.
    pub fn remove_functions(&mut self) -> Result<(), SriovError> {
        let Some(mut functions) = self.functions.take() else { return Ok(()) };
        self.close();
        functions.remove()
    }
}

impl Open {
    /// Whether the IOMMU records which pages the device wrote.
    pub fn dirty_tracking(&self) -> bool {
        self.hardware.as_ref().map_or(self.empty.migration == Some(true), HwInfo::dirty_tracking)
    }

    /// What there is to know of a device that was opened just now.
    pub fn new(session: Session, home: usize, tracer: &Tracer) -> Result<Open, CannotOpen> {
        let ask = |what| move |errno| CannotOpen::Ask(what, errno);
        let iova_ranges = session.iommu().iova_ranges().map_err(ask("the IOVA ranges"))?;
        let empty = session.iommu().info().map_err(ask("what the IOMMU offers"))?;
        let bars = session.device().regions().map_err(ask("the device's BARs"))?;
        let resets = session.device().info().map_err(ask("what the device is"))?.can_reset();
        let mut vectors = [0; 3];
        for (count, index) in vectors.iter_mut().zip([irq::INTX, irq::MSI, irq::MSIX]) {
            let info = session.device().irq_info(index);
            *count = info.map_err(ask("the device's interrupts"))?.count;
        }
        let hot_reset = session.device().hot_reset_devices();
        let ask = |ioas: &Ioas| hwpt::hw_info(ioas.fd(), session.device().iommufd_id()?, tracer).ok();
        let hardware = session.ioas().and_then(ask);
        let observer = Observer::for_device(session.device().bdf()).map_err(|reason| reason.to_string());
        let largest_bar = largest_bar(bars);
        let (config, further) = (OnceLock::new(), Vec::new());
        Ok(Open {
            session,
            home,
            iova_ranges,
            largest_bar,
            resets,
            hot_reset,
            vectors,
            hardware,
            observer,
            empty,
            config,
            further,
        })
    }

    /// The configuration space before any case changed it; `None` where it cannot be read.
    pub fn config_space(&self) -> Option<&[u8]> {
        self.config.get_or_init(|| self.session.device().config_space().ok()).as_deref()
    }

    /// The case's device of this number: 0 is its own.
    pub fn device(&self, number: usize) -> &Open {
        number.checked_sub(1).map_or(self, |index| &self.further[index])
    }

    /// All devices of the case.
    pub fn devices(&self) -> impl Iterator<Item = &Open> {
        std::iter::once(self).chain(&self.further)
    }

    /// One device of each address space.
    fn homes(&self) -> impl Iterator<Item = &Open> {
        self.devices().enumerate().filter(|(number, open)| open.home == *number).map(|(_, open)| open)
    }

    /// The IOVAs that may be used in all address spaces.
    pub fn iovas(&self) -> Vec<IovaRange> {
        let others = self.homes().skip(1);
        others.fold(self.iova_ranges.clone(), |ranges, open| common(&ranges, &open.iova_ranges))
    }

    /// Unmaps what a case left mapped, and checks that nothing is left: neither in what the kernel counts, nor in the
    /// IOMMU's page table.
    pub fn clean(&self) -> Result<Vec<Observation>, Unclean> {
        let mut seen = self.homes().map(Open::unmapped).collect::<Result<Vec<_>, _>>()?;
        self.no_leaves()?;
        // It is said once.
        Ok(seen.swap_remove(0))
    }

    fn unmapped(&self) -> Result<Vec<Observation>, Unclean> {
        let iommu = self.session.iommu();
        match iommu.unmap_all() {
            Ok(_) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(Unclean::Left("leaves", format!("failed to unmap everything: {errno}"))),
        }
        let mut seen = Vec::new();
        let now = iommu
            .info()
            .map_err(|errno| Unclean::Unknown("dma_avail", format!("failed to ask what the IOMMU offers: {errno}")))?;
        if now.dma_avail != self.empty.dma_avail {
            let count = |value: Option<u64>| value.map_or("none".to_owned(), |value| value.to_string());
            return Err(Unclean::Left(
                "dma_avail",
                format!(
                    "{} more mappings are possible with everything unmapped, {} were at the start",
                    count(now.dma_avail),
                    count(self.empty.dma_avail)
                ),
            ));
        }
        // What IOMMUFD says in its place never changes.
        if self.empty.dma_avail.is_some_and(|avail| avail != u64::from(u32::MAX)) {
            seen.push(held("dma_avail"));
        }
        Ok(seen)
    }

    /// Proves that nothing is in the IOMMU's page table, where something shows it.
    pub fn no_leaves(&self) -> Result<(), Unclean> {
        for (device, observer) in self.devices().filter_map(|device| Some((device, device.observer.as_ref().ok()?))) {
            // From 0 to the top: no range can name the last byte, and no page ends with it.
            let left = observer.leaves(0, u64::MAX).map_err(|error| Unclean::Unknown("leaves", error.to_string()))?;
            // Reserved regions that the kernel maps by itself, such as an interrupt window, lie outside of the ranges.
            let mut ours = left
                .iter()
                .filter(|leaf| device.iova_ranges.iter().any(|r| r.start <= leaf.iova && leaf.iova <= r.last));
            if let Some(leaf) = ours.next() {
                return Err(Unclean::Left(
                    "leaves",
                    format!(
                        "the IOMMU still holds an entry of {} at iova {:#x} with everything unmapped",
                        Size(leaf.page_size),
                        leaf.iova
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The largest BAR that can be mapped for reading and writing, as a DMA mapping with both needs it.
fn largest_bar(bars: Vec<Bar>) -> Option<Bar> {
    bars.into_iter()
        .filter(|bar| bar.mappable() && bar.readable() && bar.writable() && bar.size >= page_size())
        .max_by_key(|bar| (bar.size, std::cmp::Reverse(bar.index)))
}
