//! The memory of cases. Huge pages take the kernel long to clear (a second a GiB under software emulation), so they are kept from
//! case to case; a scenario is told that a region's content is unspecified.

use crate::{
    backend::{Device, Region as Bar},
    host::facts,
    language::{Bar as WhichBar, Dynamic, Memory, Path, Protection, Region, Scope, Size},
    uapi::{Anonymous, Errno, Mapping, Placement, Prot, Tracer, system::page_size},
};

use super::failure::{End, Problem};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Huge pages that no case uses now.
pub struct Pool {
    idle: Vec<(Anonymous, Mapping)>,
    tracer: Tracer,
}

/// A region of the running case.
pub struct Held {
    /// Its name.
    pub name: String,
    /// The memory.
    pub mapping: Mapping,
    /// What it was made from, if it may be kept.
    kept_as: Option<Anonymous>,
}

impl Pool {
    /// Nothing kept yet.
    pub fn new(tracer: &Tracer) -> Pool {
        Pool { idle: Vec::new(), tracer: tracer.clone() }
    }

    /// Gives memory back for later cases.
    pub fn put_back(&mut self, held: Vec<Held>) {
        for Held { mapping, kept_as, .. } in held {
            if let Some(what) = kept_as {
                self.idle.push((what, mapping));
            }
        }
    }

    fn take(&mut self, what: Anonymous) -> Result<Mapping, Errno> {
        if let Some(index) = self.idle.iter().position(|(kept, _)| *kept == what) {
            return Ok(self.idle.swap_remove(index).1);
        }
        let make = |tracer| Mapping::anonymous(&what, tracer).and_then(|mapping| mapping.populate().map(|()| mapping));
        match make(&self.tracer) {
            Err(Errno(libc::ENOMEM)) if !self.idle.is_empty() => {
                self.idle.clear(); // they may be the pages that are missing
                make(&self.tracer)
            }
            other => other,
        }
    }

    /// Makes a region; `at` is where it is described.
    pub fn make(
        &mut self,
        name: &str,
        region: &Region,
        at: &Path,
        scope: &Scope,
        device: &Device,
        largest: Option<&Bar>,
    ) -> Result<Held, End> {
        let value = |key: &str, field: &Option<Dynamic<Size>>| -> Result<Option<u64>, End> {
            let evaluate = |value: &Dynamic<Size>| {
                value.resolve(scope).map(|size| size.0).map_err(|e| End::Error(Problem::expression(at.join(key), &e)))
            };
            field.as_ref().map(evaluate).transpose()
        };
        let size = value("size", &region.size)?;
        let page = value("page", &region.page)?;
        let align = value("align", &region.align)?;
        let misalign = value("misalign", &region.misalign)?.unwrap_or(0);
        let broken = |title: String| End::Error(Problem::new("region", at.join("memory"), title));
        let failed = |what: &str, errno: Errno| broken(format!("failed to {what} for region `{name}`: {errno}"));
        let needs_size = || broken(format!("region `{name}` has no size"));
        let placement = |default: u64| Placement { align: align.unwrap_or(default), misalign };

        match region.memory {
            Memory::Anonymous | Memory::Hugetlb => {
                let default = if region.memory == Memory::Hugetlb { 2 * MIB } else { page_size() };
                let page = page.unwrap_or(default);
                let hugetlb = (page > page_size()).then_some(page);
                let prot = match region.protection.unwrap_or(Protection::ReadWrite) {
                    Protection::ReadWrite => Prot::ReadWrite,
                    Protection::Read => Prot::Read,
                    Protection::None => Prot::None,
                };
                let size = size.ok_or_else(needs_size)?;
                let what = Anonymous { size, hugetlb, prot, placement: placement(page) };
                let mapping = self.take(what).map_err(|errno| match (errno, hugetlb) {
                    (Errno(libc::ENOMEM), Some(page)) => {
                        End::Skipped(no_huge_pages(page, size.div_ceil(page), free(page)))
                    }
                    (Errno(libc::EINVAL), Some(page)) if free(page).is_none() => {
                        End::Skipped(no_huge_pages(page, size.div_ceil(page), None))
                    }
                    _ => failed("make memory", errno),
                })?;
                Ok(Held { name: name.to_owned(), mapping, kept_as: hugetlb.is_some().then_some(what) })
            }
            Memory::Reserved => {
                let size = size.ok_or_else(needs_size)?;
                let mapping = Mapping::reserved(size, placement(page_size()), &self.tracer)
                    .map_err(|errno| failed("reserve addresses", errno))?;
                Ok(Held { name: name.to_owned(), mapping, kept_as: None })
            }
            Memory::Bar => {
                let offset = value("offset", &region.offset)?.unwrap_or(0);
                let found;
                let bar = match region.bar.unwrap_or(WhichBar::Largest) {
                    WhichBar::Largest => largest.ok_or_else(no_bar)?,
                    WhichBar::Index(index) => {
                        found = device.region(index.into()).map_err(|errno| failed("ask for the BAR", errno))?;
                        if found.size == 0 || !found.mappable() {
                            return Err(End::Skipped(format!("BAR {index} of the device cannot be mapped")));
                        }
                        &found
                    }
                };
                let rest = bar.size.checked_sub(offset).filter(|rest| *rest > 0);
                let size = match (size, rest) {
                    (Some(size), Some(rest)) if size <= rest => size,
                    (None, Some(rest)) => rest,
                    _ => {
                        let bar = Size(bar.size);
                        return Err(broken(format!("region `{name}` does not lie within its BAR, which has {bar}")));
                    }
                };
                let prot = match region.protection.unwrap_or(Protection::ReadWrite) {
                    Protection::ReadWrite => Prot::ReadWrite,
                    Protection::Read => Prot::Read,
                    Protection::None => Prot::None,
                };
                // Natural alignment, up to the largest page there is, lets the kernel use large entries for it.
                let natural = size.checked_next_power_of_two().unwrap_or(GIB).min(GIB);
                let mapping = device
                    .map_region(bar, offset, size, prot, placement(natural))
                    .map_err(|errno| failed("map the BAR", errno))?;
                Ok(Held { name: name.to_owned(), mapping, kept_as: None })
            }
        }
    }
}

/// The largest BAR that can be mapped for reading and writing, as a DMA mapping with both needs it.
pub fn largest_bar(bars: Vec<Bar>) -> Option<Bar> {
    bars.into_iter()
        .filter(|bar| bar.mappable() && bar.readable() && bar.writable() && bar.size >= page_size())
        .max_by_key(|bar| (bar.size, std::cmp::Reverse(bar.index)))
}

/// Why a case without a BAR to map is skipped.
pub fn no_bar() -> End {
    End::Skipped("no BAR of the device can be mapped for reading and writing".to_owned())
}

/// How many huge pages of a size nobody uses; `None` where the machine has no such size.
fn free(page: u64) -> Option<u64> {
    facts::free_huge_pages().get(&page).copied()
}

fn no_huge_pages(page: u64, needed: u64, free: Option<u64>) -> String {
    let plural = if needed == 1 { "page" } else { "pages" };
    let page_text = Size(page);
    match free {
        Some(free) => format!(
            "needs {needed} huge {plural} of {page_text}, {free} free; reserve them with `echo {needed} > \
             /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages` or at boot",
            page >> 10
        ),
        None => format!("needs huge pages of {page_text}, which this machine does not have"),
    }
}
