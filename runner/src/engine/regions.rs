// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of cases. Huge pages take the kernel long to clear (a second a GiB under software emulation), so they are kept from
//! case to case. A region's content is unspecified, as the guide says.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};

use minijinja::Value;

use super::{
    devices::Devices,
    failure::{End, Problem},
    fixture::Open,
};
use crate::{
    host::facts,
    language::{self, Bar as WhichBar, Dynamic, Memory, Path, Protection, Region, Scope, Size},
    model::{Errno, code::Code},
    uapi::{self, Anonymous, FilePart, Mapping, Placement, Prot, Seal, Tracer, system::page_size},
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Huge pages that no case uses now.
pub struct Pool {
    idle: Vec<(Made, Mapping)>,
    /// The files of regions that this process inherited, by the regions' names.
    pub inherited: BTreeMap<String, OwnedFd>,
    /// The calls of earlier cases that made the memory which the running one was given.
    pub before: Vec<String>,
    tracer: Tracer,
}

/// What memory was made from, and by which calls.
struct Made {
    what: Anonymous,
    calls: Vec<String>,
}

/// A region of the running case.
pub struct Held {
    pub name: String,
    /// The number of the device whose BAR it is, where it is one.
    pub device: usize,
    /// The memory, which may have other names, too.
    pub mapping: Arc<Mapping>,
    /// The file behind it, if there is one.
    pub file: Option<Arc<OwnedFd>>,
    /// The size of its pages, where it was asked for.
    page: Option<u64>,
    /// What it was made from, if it may be kept.
    kept_as: Option<Made>,
}

impl Held {
    /// The same memory under another name.
    pub fn called(&self, name: &str) -> Held {
        let (mapping, file) = (self.mapping.clone(), self.file.clone());
        Held { name: name.to_owned(), device: self.device, mapping, file, page: self.page, kept_as: None }
    }

    /// The size of its pages, where it was asked for.
    pub fn page(&self) -> Option<u64> {
        self.page
    }

    /// Whether its memory is a file's, which every process sees that has it.
    pub fn is_in_file(&self) -> bool {
        self.mapping.is_in_file()
    }

    /// What expressions know of it.
    pub fn facts(&self) -> Value {
        let mut facts = vec![("vaddr", Value::from(self.mapping.addr())), ("size", Value::from(self.mapping.len()))];
        facts.extend(self.file.as_ref().map(|file| ("fd", Value::from(file.as_raw_fd()))));
        Value::from_pairs(facts)
    }
}

impl Pool {
    pub fn new(tracer: &Tracer) -> Pool {
        Pool { idle: Vec::new(), inherited: BTreeMap::new(), before: Vec::new(), tracer: tracer.clone() }
    }

    /// Gives memory back for later cases.
    pub fn put_back(&mut self, held: Vec<Held>) {
        for Held { mapping, kept_as, .. } in held {
            // What was changed is not what the next case would ask for.
            if let Some(made) = kept_as.filter(|_| mapping.is_unchanged()) {
                self.idle.extend(Arc::into_inner(mapping).map(|mapping| (made, mapping)));
            }
        }
    }

    /// The bytes of huge pages that are kept, by page size.
    pub fn kept(&self) -> BTreeMap<u64, u64> {
        let mut kept = BTreeMap::new();
        for (Made { what, .. }, _) in &self.idle {
            // What the process may not touch has no pages behind it.
            if let Some(page) = what.hugetlb.filter(|_| what.prot != Prot::None) {
                *kept.entry(page).or_default() += what.size.next_multiple_of(page);
            }
        }
        kept
    }

    fn take(&mut self, what: Anonymous) -> Result<(Mapping, Made), Errno> {
        if let Some(index) = self.idle.iter().position(|(kept, _)| kept.what == what) {
            let (made, mapping) = self.idle.swap_remove(index);
            self.before.extend(made.calls.iter().cloned());
            return Ok((mapping, made));
        }
        let mark = self.tracer.mark();
        let make = |tracer| Mapping::anonymous(&what, tracer).and_then(|mapping| mapping.populate().map(|()| mapping));
        let mapping = match make(&self.tracer) {
            Err(Errno(libc::ENOMEM)) if !self.idle.is_empty() => {
                self.idle.clear(); // they may be the pages that are missing
                make(&self.tracer)
            }
            other => other,
        };
        Ok((mapping?, Made { what, calls: self.tracer.lines_since(mark) }))
    }

    pub fn make(&mut self, name: &str, region: &Region, at: &Path, around: &Around) -> Result<Held, End> {
        let wish = Wish::read(name, region, at, around.scope)?;
        let (mapping, file, kept_as) = match region.memory {
            Memory::Anonymous | Memory::Hugetlb => {
                let (mapping, kept_as) = self.anonymous(&wish, region.memory == Memory::Hugetlb)?;
                (mapping, None, kept_as)
            }
            Memory::Reserved => {
                let mapping = Mapping::reserved(wish.size()?, wish.placement(page_size()), &self.tracer);
                (mapping.map_err(|errno| wish.failed("reserve addresses", errno))?, None, None)
            }
            Memory::Memfd | Memory::File => {
                let file = match self.inherited.remove(name) {
                    Some(file) => file,
                    None => self.file(&wish, region.memory)?,
                };
                let mapping = self.map_file(&wish, &file)?;
                (mapping, Some(file), None)
            }
            Memory::Secret => (self.secret(&wish)?, None, None),
            Memory::Shared => (self.shared(&wish, region, around.held)?, None, None),
            Memory::Bar | Memory::Dmabuf => {
                let (mapping, file) = bar(&wish, region, around)?;
                (mapping, file, None)
            }
        };
        let (mapping, file) = (Arc::new(mapping), file.map(Arc::new));
        let device = around.device(region);
        Ok(Held { name: name.to_owned(), device, mapping, file, page: wish.page, kept_as })
    }

    fn anonymous(&mut self, wish: &Wish, huge: bool) -> Result<(Mapping, Option<Made>), End> {
        let page = wish.page.unwrap_or(if huge { 2 * MIB } else { page_size() });
        let hugetlb = (page > page_size()).then_some(page);
        let what = Anonymous { size: wish.size()?, hugetlb, prot: wish.prot, placement: wish.placement(page) };
        let (mapping, made) = self.take(what).map_err(|errno| wish.no_memory(errno, hugetlb))?;
        if let Some(hole) = wish.hole {
            mapping.unmap(hole, page_size()).map_err(|errno| wish.failed("make a hole", errno))?;
        }
        Ok((mapping, hugetlb.is_some().then_some(made)))
    }

    fn file(&self, wish: &Wish, memory: Memory) -> Result<OwnedFd, End> {
        let size = wish.size()?;
        let hugetlb = wish.page.filter(|page| *page > page_size());
        let whole = hugetlb.map_or(Some(size), |page| size.checked_next_multiple_of(page));
        let whole = whole.ok_or_else(|| wish.no_memory(Errno(libc::ENOMEM), hugetlb))?;
        let file = match memory {
            Memory::File => uapi::temporary(whole, &self.tracer)
                .ok_or_else(|| End::Skipped("needs a tmpfs at /dev/shm or at the folder for temporary files".into()))?,
            _ => uapi::memfd(&wish.name, whole, hugetlb, &self.tracer),
        };
        let mut file = file.map_err(|errno| wish.no_memory(errno, hugetlb))?;
        if !wish.seals.is_empty() {
            uapi::seal(file.as_fd(), &wish.seals, &self.tracer).map_err(|errno| wish.failed("seal the file", errno))?;
        }
        if wish.read_only {
            let again = uapi::open_again_to_read(&file, &self.tracer);
            file = again.map_err(|errno| wish.failed("open the file to read it", errno))?;
        }
        Ok(file)
    }

    fn map_file(&self, wish: &Wish, file: &OwnedFd) -> Result<Mapping, End> {
        let size = wish.size()?;
        let hugetlb = wish.page.filter(|page| *page > page_size());
        let mapping = Mapping::of_file(file.as_fd(), &wish.part(0, size, hugetlb), &self.tracer);
        let populated = mapping.and_then(|mapping| mapping.populate().map(|()| mapping));
        populated.map_err(|errno| wish.no_memory(errno, hugetlb))
    }

    /// Memory that the kernel cannot put pages into, as it does for other memory: each is touched.
    fn secret(&self, wish: &Wish) -> Result<Mapping, End> {
        let size = wish.size()?;
        let file = uapi::memfd_secret(size, &self.tracer).map_err(|errno| match errno {
            Errno(libc::ENOSYS) => End::Skipped("the kernel has no secret memory (CONFIG_SECRETMEM)".to_owned()),
            _ => wish.failed("make secret memory", errno),
        })?;
        let mapping = Mapping::of_file(file.as_fd(), &wish.part(0, size, None), &self.tracer);
        let touched = mapping.and_then(|mapping| {
            if wish.prot != Prot::None {
                (0..size).step_by(page_size() as usize).try_for_each(|at| mapping.read(at, &mut [0]))?;
            }
            Ok(mapping)
        });
        touched.map_err(|errno| wish.failed("make secret memory", errno))
    }

    /// The memory of another region once more.
    fn shared(&self, wish: &Wish, region: &Region, held: &[Held]) -> Result<Mapping, End> {
        let of = region.of.as_ref().expect("the check wants to know which");
        let other = held.iter().find(|held| held.name == of.0).expect("the check knows the regions above");
        let file = other.file.as_ref().expect("the check wants memory with a file");
        let size = wish.within(other.mapping.len(), &format!("region `{of}`"))?;
        let hugetlb = other.page.filter(|page| *page > page_size());
        Mapping::of_file(file.as_fd(), &wish.part(wish.offset, size, hugetlb), &self.tracer)
            .map(|mapping| mapping.of_the_same_file(&other.mapping))
            .map_err(|errno| wish.failed("map the memory again", errno))
    }
}

/// What a region may be made from, beside what it says.
pub struct Around<'a> {
    /// What is known to its expressions.
    pub scope: &'a Scope,
    pub devices: &'a Devices,
    pub open: Option<&'a Open>,
    pub held: &'a [Held],
}

impl Around<'_> {
    /// The number of the device whose BAR a region is, where it is one.
    fn device(&self, region: &Region) -> usize {
        region.device.as_ref().map_or(0, |name| self.devices.number(&name.0))
    }
}

/// What a region says, evaluated.
struct Wish<'a> {
    name: String,
    at: &'a Path,
    size: Option<u64>,
    page: Option<u64>,
    align: Option<u64>,
    misalign: u64,
    offset: u64,
    hole: Option<u64>,
    prot: Prot,
    private: bool,
    read_only: bool,
    seals: Vec<Seal>,
}

impl Wish<'_> {
    fn read<'a>(name: &str, region: &Region, at: &'a Path, scope: &Scope) -> Result<Wish<'a>, End> {
        let value = |key: &str, field: &Option<Dynamic<Size>>| -> Result<Option<u64>, End> {
            let evaluate = |value: &Dynamic<Size>| {
                value.resolve(scope).map(|size| size.0).map_err(|e| End::Error(Problem::expression(at.join(key), &e)))
            };
            field.as_ref().map(evaluate).transpose()
        };
        Ok(Wish {
            name: name.to_owned(),
            at,
            size: value("size", &region.size)?,
            page: value("page", &region.page)?,
            align: value("align", &region.align)?,
            misalign: value("misalign", &region.misalign)?.unwrap_or(0),
            offset: value("offset", &region.offset)?.unwrap_or(0),
            hole: value("hole", &region.hole)?,
            prot: prot(region.protection),
            private: region.private,
            read_only: region.read_only,
            seals: region.sealed.iter().copied().map(seal).collect(),
        })
    }

    fn broken(&self, title: String) -> End {
        End::Error(Problem::new(Code::Region, self.at.join("memory"), title))
    }

    fn failed(&self, what: &str, errno: Errno) -> End {
        self.broken(format!("failed to {what} for region `{}`: {errno}", self.name))
    }

    /// Why there is no memory: a skip if huge pages are missing.
    fn no_memory(&self, errno: Errno, hugetlb: Option<u64>) -> End {
        let size = self.size.unwrap_or(0);
        match (errno, hugetlb) {
            // A file's pages that are not there are noticed when they are touched.
            (Errno(libc::ENOMEM | libc::EFAULT), Some(page)) => {
                End::Skipped(no_huge_pages(page, size.div_ceil(page), free(page)))
            }
            (Errno(libc::EINVAL | libc::ENODEV | libc::ENOENT), Some(page)) if free(page).is_none() => {
                End::Skipped(no_huge_pages(page, size.div_ceil(page), None))
            }
            _ => self.failed("make memory", errno),
        }
    }

    fn size(&self) -> Result<u64, End> {
        self.size.ok_or_else(|| self.broken(format!("region `{}` has no size", self.name)))
    }

    /// A part of the file that the region is in.
    fn part(&self, offset: u64, size: u64, hugetlb: Option<u64>) -> FilePart {
        let placement = self.placement(hugetlb.unwrap_or(page_size()));
        FilePart { offset, size, page: hugetlb, prot: self.prot, private: self.private, placement }
    }

    fn placement(&self, default: u64) -> Placement {
        Placement { align: self.align.unwrap_or(default), misalign: self.misalign }
    }

    /// The size of a part, from the offset on, of something that has `whole` bytes.
    fn within(&self, whole: u64, what: &str) -> Result<u64, End> {
        let rest = whole.checked_sub(self.offset).filter(|rest| *rest > 0);
        match (self.size, rest) {
            (Some(size), Some(rest)) if size <= rest => Ok(size),
            (None, Some(rest)) => Ok(rest),
            _ => {
                let whole = Size(whole);
                Err(self.broken(format!("region `{}` does not lie within {what}, which has {whole}", self.name)))
            }
        }
    }
}

/// A part of a BAR, and as a dma-buf if it is to be one.
fn bar(wish: &Wish, region: &Region, around: &Around) -> Result<(Mapping, Option<OwnedFd>), End> {
    let open = around.open.ok_or_else(no_bar)?.device(around.device(region));
    let device = open.session.device();
    let found;
    let bar = match region.bar.unwrap_or(WhichBar::Largest) {
        WhichBar::Largest => open.largest_bar.as_ref().ok_or_else(no_bar)?,
        WhichBar::Index(index) => {
            found = device.region(index.into()).map_err(|errno| wish.failed("ask for the BAR", errno))?;
            if found.size == 0 || !found.mappable() {
                return Err(End::Skipped(format!("BAR {index} of the device cannot be mapped")));
            }
            &found
        }
    };
    let size = wish.within(bar.size, "its BAR")?;
    // Natural alignment, up to the largest page there is, lets the kernel use large entries for it.
    let natural = size.checked_next_power_of_two().unwrap_or(GIB).min(GIB);
    let mapping = device
        .map_region(bar, wish.offset, size, wish.prot, wish.placement(natural))
        .map_err(|errno| wish.failed("map the BAR", errno))?;
    if region.memory != Memory::Dmabuf {
        return Ok((mapping, None));
    }
    match device.dma_buf(bar, wish.offset, size) {
        Ok(file) => Ok((mapping, Some(file))),
        Err(errno @ Errno(libc::ENOTTY | libc::EOPNOTSUPP)) => Err(End::Skipped(format!(
            "the kernel makes no dma-buf of a BAR of this device ({errno}): it needs Linux 6.19 and CONFIG_VFIO_PCI_DMABUF"
        ))),
        Err(errno) => Err(wish.failed("make a dma-buf of the BAR", errno)),
    }
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

/// A seal as the system has it.
fn seal(seal: language::Seal) -> Seal {
    match seal {
        language::Seal::Write => Seal::WRITE,
        language::Seal::FutureWrite => Seal::FUTURE_WRITE,
        language::Seal::Shrink => Seal::SHRINK,
        language::Seal::Grow => Seal::GROW,
    }
}

/// What the CPU may do with memory, as the language has it.
pub fn prot(protection: Option<Protection>) -> Prot {
    match protection.unwrap_or(Protection::ReadWrite) {
        Protection::ReadWrite => Prot::ReadWrite,
        Protection::Read => Prot::Read,
        Protection::None => Prot::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_changed_is_not_kept() {
        let tracer = Tracer::new();
        let mut pool = Pool::new(&tracer);
        // As if it were a huge page, of which the machine may have none.
        let held = || {
            let what = Anonymous::new(2 * page_size());
            let mapping = Arc::new(Mapping::anonymous(&what, &tracer).unwrap());
            let kept_as = Some(Made { what, calls: Vec::new() });
            Held { name: "huge".to_owned(), device: 0, mapping, file: None, page: None, kept_as }
        };
        let (whole, cut, locked) = (held(), held(), held());
        cut.mapping.unmap(0, page_size()).unwrap();
        locked.mapping.lock(0, page_size()).unwrap();
        pool.put_back(vec![cut, whole, locked]);
        assert_eq!(pool.idle.len(), 1);
        assert!(pool.idle[0].1.is_unchanged());
    }
}
