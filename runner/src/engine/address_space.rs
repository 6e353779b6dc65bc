//! Steps on an address space: what is mapped, unmapped, and asked of it.

use minijinja::Value;

use super::{
    case::{Execution, Got, ranges},
    checks::amount,
    failure::{End, Problem},
    fixture::Open,
    iova::IovaAllocator,
    regions::Held,
};
use crate::{
    backend::Access,
    language::{self, Dynamic, InIoas, Map, Object, Path, Size, Unmap, Where},
    model::{Errno, code::Code},
    plan::PlannedStep,
    uapi::{Mapping, system},
};

impl Execution<'_> {
    /// Carries out a step on an address space; `None` for one of another kind.
    pub fn address_space_step(
        &mut self,
        planned: &PlannedStep,
        open: &Open,
        iovas: &IovaAllocator,
        held: &[Held],
    ) -> Option<Result<(), End>> {
        let step = &planned.step;
        Some(if let Some(map) = &step.map {
            self.map(map, planned, open, iovas, held)
        } else if let Some(unmap) = &step.unmap {
            self.unmap(unmap, planned, open)
        } else if let Some(InIoas { ioas }) = step.unmap_all.as_deref() {
            self.unmap_all(ioas.as_ref(), planned, open)
        } else if let Some(InIoas { ioas }) = step.iova_ranges.as_deref() {
            self.iova_ranges(ioas.as_ref(), planned, open)
        } else if let Some(InIoas { ioas }) = step.info.as_deref() {
            self.info(ioas.as_ref(), planned, open)
        } else if let Some(pagesize) = &step.pagesize {
            self.pagesize(pagesize, planned, open)
        } else if let Some(gone) = &step.gone {
            self.gone(gone, planned, open)
        } else {
            return None;
        })
    }

    fn unmap(&mut self, unmap: &Unmap, planned: &PlannedStep, open: &Open) -> Result<(), End> {
        let at = planned.at.join("unmap");
        let iova = self.size(&unmap.iova, &at.join("iova"))?;
        let size = self.size(&unmap.size, &at.join("size"))?;
        let got = self.with_iommu(unmap.ioas.as_ref(), &at, open, |iommu| iommu.unmap(iova, size))?.map(Some);
        self.save_bytes(planned, got);
        self.compare("unmap", planned, got)?;
        match got {
            _ if unmap.ioas.is_some() => Ok(()),
            Ok(Some(bytes)) => {
                let reported = self.mappings.unmapped(open.session.true_name(), iova, size, bytes);
                self.reported(reported, planned)
            }
            Ok(None) => Ok(()),
            Err(errno) => {
                self.mappings.not_unmapped(open.session.true_name(), iova, size, errno);
                Ok(())
            }
        }
    }

    fn unmap_all(&mut self, ioas: Option<&Object>, planned: &PlannedStep, open: &Open) -> Result<(), End> {
        let got = self.with_iommu(ioas, &planned.at.join("unmap_all"), open, |iommu| iommu.unmap_all())?.map(Some);
        self.save_bytes(planned, got);
        self.compare("unmap_all", planned, got)?;
        self.mappings.touched();
        match got {
            Ok(Some(bytes)) if ioas.is_none() => {
                let reported = self.mappings.unmapped_all(bytes);
                self.reported(reported, planned)
            }
            _ => Ok(()),
        }
    }

    fn iova_ranges(&mut self, ioas: Option<&Object>, planned: &PlannedStep, open: &Open) -> Result<(), End> {
        let got = self.with_iommu(ioas, &planned.at.join("iova_ranges"), open, |iommu| iommu.iova_ranges())?;
        self.save(planned, || got.as_ref().map_or_else(|_| Value::UNDEFINED, |found| ranges(found)));
        self.compare("iova_ranges", planned, got.map(|_| None))
    }

    fn info(&mut self, ioas: Option<&Object>, planned: &PlannedStep, open: &Open) -> Result<(), End> {
        let got = self.with_iommu(ioas, &planned.at.join("info"), open, |iommu| iommu.info())?;
        self.save(planned, || match &got {
            Err(_) => Value::UNDEFINED,
            Ok(info) => Value::from_pairs([
                ("page_sizes", Value::from(info.page_sizes.unwrap_or(0))),
                ("dma_avail", Value::from(info.dma_avail)),
                ("iova_alignment", Value::from(info.iova_alignment)),
            ]),
        });
        self.compare("info", planned, got.map(|_| None))
    }

    fn map(
        &mut self,
        map: &Map,
        planned: &PlannedStep,
        open: &Open,
        iovas: &IovaAllocator,
        held: &[Held],
    ) -> Result<(), End> {
        let at = planned.at.join("map");
        let memory = held.iter().find(|held| held.name == map.region.0).expect("the check knows the regions");
        let memory = &memory.mapping;
        let (offset, size) = self.stretch(memory, &map.region, &map.offset, &map.size, &at)?;
        let target = self.target(map.iova.as_ref(), size, iovas, &at)?;
        let access = access(map.access);
        let vaddr = memory.addr().wrapping_add(offset);
        let got = match (target, &map.ioas) {
            (Some(iova), ioas) => {
                self.with_iommu(ioas.as_ref(), &at, open, |iommu| iommu.map(vaddr, iova, size, access).map(|()| iova))?
            }
            (None, ioas) => self.ioas(ioas.as_ref(), &at.join("ioas"), open)?.map_anywhere(vaddr, size, access),
        };
        self.mapped(target, size, got, iovas, planned, [("vaddr", Value::from(vaddr))]);
        self.compare("map", planned, got.map(|_| None))?;
        if map.ioas.is_none() {
            self.follow(got, size, access);
        }
        Ok(())
    }

    /// Which part of a region is mapped: where it begins and how long it is.
    pub fn stretch(
        &self,
        memory: &Mapping,
        region: &language::Name,
        offset: &Option<Dynamic<Size>>,
        size: &Option<Dynamic<Size>>,
        at: &Path,
    ) -> Result<(u64, u64), End> {
        let offset = self.optional(offset, &at.join("offset"))?.unwrap_or(0);
        // What lies beyond is not the case's, and a device could be made to write there.
        let rest = memory.len().checked_sub(offset).filter(|rest| *rest > 0).ok_or_else(|| {
            let title = format!("the offset {offset:#x} lies beyond the region `{region}`");
            let problem = Problem::new(Code::OutOfRange, at.join("offset"), title);
            End::Error(problem.label(format!("expected less than its size, {}", amount(memory.len()))))
        })?;
        Ok((offset, self.optional(size, &at.join("size"))?.unwrap_or(rest)))
    }

    /// The IOVA to map at, as given or the next free one; `None` where the kernel is to choose.
    pub fn target(
        &self,
        target: Option<&Where>,
        size: u64,
        iovas: &IovaAllocator,
        at: &Path,
    ) -> Result<Option<u64>, End> {
        match target {
            Some(Where::Kernel) => Ok(None),
            Some(Where::At(iova)) => {
                let iova = self.size(iova, &at.join("iova"))?;
                iovas.reserve(iova, size);
                Ok(Some(iova))
            }
            None => iovas.allocate(size, system::page_size()).map(Some).ok_or_else(|| {
                let title = format!("no room for {} among the IOVAs that the device may use", Size(size));
                End::Error(Problem::new(Code::NoIova, at.clone(), title))
            }),
        }
    }

    /// Saves what was mapped, or asked for.
    pub fn mapped<const N: usize>(
        &mut self,
        target: Option<u64>,
        size: u64,
        got: Result<u64, Errno>,
        iovas: &IovaAllocator,
        planned: &PlannedStep,
        more: [(&'static str, Value); N],
    ) {
        if let Ok(iova) = got {
            iovas.reserve(iova, size);
        }
        // Where the kernel was to choose and did not, there is none.
        let iova = target.or(got.ok()).map(|iova| ("iova", Value::from(iova)));
        let saved = iova.into_iter().chain([("size", Value::from(size))]).chain(more);
        self.save(planned, || Value::from_pairs(saved));
    }

    /// Notes what is mapped now in the address space that the device was opened on.
    pub fn follow(&mut self, got: Result<u64, Errno>, size: u64, access: Access) {
        match got {
            Ok(iova) => self.mappings.mapped(iova, size, access),
            Err(_) => self.mappings.touched(),
        }
    }

    fn save_bytes(&mut self, planned: &PlannedStep, got: Got) {
        let bytes = got.ok().flatten();
        self.save(planned, || Value::from_pairs([("bytes", Value::from(bytes))]));
    }
}

/// What a device may do with a mapping, as the backends take it.
pub fn access(access: Option<language::Access>) -> Access {
    match access.unwrap_or(language::Access::ReadWrite) {
        language::Access::ReadWrite => Access::READ_WRITE,
        language::Access::Read => Access::READ,
        language::Access::Write => Access::WRITE,
        language::Access::None => Access::NONE,
    }
}
