//! The open device: kept from case to case on the same backend, proved clean in between, and opened anew after a failure.

use crate::{
    backend::{self, Info, Ioas, IovaRange, OpenError, Region as Bar, Session},
    event::Observation,
    host::{Bdf, leaves::Observer},
    language::Size,
    uapi::{
        Errno, Tracer,
        hwpt::{self, HwInfo},
        irq,
    },
};

use super::{observers::held, regions::largest_bar};

/// At most one device is open at a time, on one backend.
pub struct Fixtures {
    open: Option<Open>,
    tracer: Tracer,
}

/// An open device, with what does not change while it is open.
pub struct Open {
    /// The device behind its backend.
    pub session: Session,
    /// The IOVAs it may use.
    pub iova_ranges: Vec<IovaRange>,
    /// Its largest BAR that can be mapped.
    pub largest_bar: Option<Bar>,
    /// Whether it can be reset.
    pub resets: bool,
    /// How many vectors it has of INTx, MSI and MSI-X.
    pub vectors: [u32; 3],
    /// What IOMMUFD says of the IOMMU; `None` behind a container, and before Linux 6.6.
    pub hardware: Option<HwInfo>,
    /// What shows the IOMMU's page table, or why nothing does.
    pub observer: Result<Observer, String>,
    /// What the IOMMU said when nothing was mapped.
    empty: Info,
}

/// Why there is no open device.
pub enum CannotOpen {
    /// As the backend says it.
    Open(OpenError),
    /// A question right after opening.
    Ask(&'static str, Errno),
}

/// Why an open device is not proved to be clean.
pub enum Unclean {
    /// Something was left, or cannot be taken away, as this observer saw: the kernel's doing.
    Left(&'static str, String),
    /// It cannot be told.
    Unknown(&'static str, String),
}

impl Fixtures {
    /// Nothing is open.
    pub fn new(tracer: &Tracer) -> Fixtures {
        Fixtures { open: None, tracer: tracer.clone() }
    }

    /// The device on the backend: the one that is open, if it is the same and need not be fresh, or a new one.
    pub fn get(&mut self, bdf: Bdf, backend: backend::Name, fresh: bool) -> Result<&mut Open, CannotOpen> {
        let same = |open: &Open| open.session.device().bdf() == bdf && open.session.name() == backend;
        if fresh || !self.open.as_ref().is_some_and(same) {
            self.close();
            let session = backend::open(backend, bdf, &self.tracer).map_err(CannotOpen::Open)?;
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
            let ask = |ioas: &Ioas| hwpt::hw_info(ioas.fd(), session.device().iommufd_id()?, &self.tracer).ok();
            let hardware = session.ioas().and_then(ask);
            let observer = Observer::for_device(bdf).map_err(|reason| reason.to_string());
            let largest_bar = largest_bar(bars);
            self.open = Some(Open { session, iova_ranges, largest_bar, resets, vectors, hardware, observer, empty });
        }
        Ok(self.open.as_mut().expect("opened just now"))
    }

    /// Closes what is open.
    pub fn close(&mut self) {
        self.open = None;
    }
}

impl Open {
    /// Whether it can be told which pages the device wrote.
    pub fn dirty_tracking(&self) -> bool {
        self.hardware.as_ref().map_or(self.empty.migration == Some(true), HwInfo::dirty_tracking)
    }

    /// Takes away whatever a case left mapped, and proves that nothing is left: none of what the kernel counts, nothing in the
    /// IOMMU's page table.
    pub fn clean(&self) -> Result<Vec<Observation>, Unclean> {
        let seen = self.unmapped()?;
        self.no_leaves()?;
        Ok(seen)
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
        if let Ok(observer) = &self.observer {
            // From 0 to the top: no range can name the last byte, and no page ends with it.
            let left = observer.leaves(0, u64::MAX).map_err(|error| Unclean::Unknown("leaves", error.to_string()))?;
            // Reserved regions that the kernel maps by itself, such as an interrupt window, lie outside of the ranges.
            let mut ours =
                left.iter().filter(|leaf| self.iova_ranges.iter().any(|r| r.start <= leaf.iova && leaf.iova <= r.last));
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
