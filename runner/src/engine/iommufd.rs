//! The steps on what IOMMUFD keeps: address spaces, page tables, attachments, options, files that are mapped, dirty pages.

use std::{collections::BTreeSet, os::fd::AsFd};

use minijinja::Value;

use super::{
    address_space::access,
    case::{Execution, Got},
    device::Changed,
    failure::{End, Problem},
    fixture::{Open, Unclean},
    iova::IovaAllocator,
    regions::Held,
};
use crate::{
    backend::{Ioas, IoasRef, Iommu, IovaRange},
    event::Observation,
    language::{self, HwptFlag, Object, OptionName, Path},
    model::{Errno, code::Code},
    plan::PlannedStep,
    uapi::{
        dirty::{self, DirtyBitmap},
        hwpt, iommufd,
    },
};

/// More pages than this are not told one by one.
const MOST_PAGES: u64 = 1 << 20;

/// What a case made and moved on the open device's IOMMUFD, for it to be taken back.
#[derive(Default)]
pub struct Objects {
    /// What it made, in order.
    made: Vec<u32>,
    /// The devices that it attached elsewhere, or detached, by their numbers.
    moved: BTreeSet<usize>,
    /// Whether it destroyed the device's own address space.
    homeless: bool,
}

impl Objects {
    /// Takes over what a thread made and moved.
    pub fn take_over(&mut self, other: Objects) {
        self.made.extend(other.made);
        self.moved.extend(other.moved);
        self.homeless |= other.homeless;
    }
}

/// What a call gave: the result to save, and whether it succeeded.
type Told = (Option<Value>, Result<(), Errno>);

impl Execution<'_> {
    /// Runs a step on IOMMUFD; `None` for a step of another kind.
    pub fn iommufd_step(
        &mut self,
        planned: &PlannedStep,
        open: &Open,
        iovas: &IovaAllocator,
        held: &[Held],
    ) -> Option<Result<(), End>> {
        let step = &planned.step;
        let verb = step.verbs()[0];
        let at = planned.at.join(verb);
        let result = if let Some(map) = &step.map_file {
            return Some(self.map_file(map, planned, open, iovas, held));
        } else if let Some(copy) = &step.copy {
            return Some(self.copy(copy, planned, open, iovas));
        } else if let Some(allow) = &step.allow_iovas {
            self.allow_iovas(allow, &at, open)
        } else if step.ioas.is_some() {
            self.own(&at, open).map(|own| {
                let got = iommufd::ioas_alloc(own.fd(), self.tracer);
                self.made(got)
            })
        } else if let Some(hwpt) = &step.hwpt {
            self.hwpt(hwpt, &at, open)
        } else if let Some(attach) = &step.attach {
            self.attach(attach, &at, open)
        } else if step.detach.is_some() {
            self.own(&at, open).map(|_| {
                self.moved();
                (None, open.session.device().detach())
            })
        } else if let Some(destroy) = &step.destroy {
            self.destroy(destroy, &at, open)
        } else if let Some(option) = &step.option {
            self.option(option, &at, open)
        } else if step.hw_info.is_some() {
            self.hw_info(&at, open)
        } else if let Some(tracking) = &step.dirty_tracking {
            self.dirty_tracking(tracking, &at, open)
        } else if let Some(bitmap) = &step.dirty_bitmap {
            self.dirty_bitmap(bitmap, &at, open)
        } else {
            return None;
        };
        Some(result.and_then(|(value, got)| {
            self.save(planned, || value.unwrap_or(Value::UNDEFINED));
            self.compare(verb, planned, got.map(|()| None) as Got)
        }))
    }

    /// Takes back what the case made and moved, so that only the device's own address space is left, and proves that to be empty.
    pub fn take_back(&mut self, open: &Open) -> Result<Vec<Observation>, Unclean> {
        let Objects { mut made, moved, homeless } = std::mem::take(&mut self.objects);
        let Some(own) = open.session.ioas() else { return open.clean() };
        let failed = |what: String, errno| Unclean::Left("leaves", format!("failed to {what}: {errno}"));
        for number in moved {
            let device = open.device(number).session.device();
            let back = if homeless { device.detach() } else { device.attach(own.id()).map(drop) };
            // A device that is detached already is what was wanted.
            back.or_else(|errno| if homeless { Ok(()) } else { Err(errno) })
                .map_err(|errno| failed("attach the device to its own address space again".into(), errno))?;
        }
        // What was made last may use what was made first.
        while let Some(id) = made.pop() {
            match iommufd::destroy(own.fd(), id, self.tracer) {
                Ok(()) | Err(Errno(libc::ENOENT)) => {}
                Err(errno) => return Err(failed(format!("destroy object {id}, which nothing uses any more"), errno)),
            }
        }
        if homeless { open.no_leaves().map(|()| Vec::new()) } else { open.clean() }
    }

    /// Makes a call on an address space: the open device's, or another one that is named.
    pub fn with_iommu<T>(
        &self,
        ioas: Option<&Object>,
        at: &Path,
        open: &Open,
        call: impl FnOnce(&dyn Iommu) -> T,
    ) -> Result<T, End> {
        match ioas {
            None => Ok(call(open.session.iommu())),
            Some(_) => Ok(call(&self.ioas(ioas, &at.join("ioas"), open)?)),
        }
    }

    /// An address space of IOMMUFD: the one that is named, or the device's own.
    pub fn ioas<'o>(&self, ioas: Option<&Object>, at: &Path, open: &'o Open) -> Result<IoasRef<'o>, End> {
        let own = self.own(at, open)?;
        Ok(own.space(self.id(ioas, at)?.unwrap_or(own.id())))
    }

    /// What only IOMMUFD has.
    fn own<'o>(&self, at: &Path, open: &'o Open) -> Result<&'o Ioas, End> {
        open.session.ioas().ok_or_else(|| {
            let title = format!("{} has no objects of IOMMUFD", self.planned.backend);
            let problem = Problem::new(Code::OnlyIommufd, at.clone(), title);
            End::Error(
                problem.label("expected only on the backend iommufd").help("add `backends: [iommufd]` to the case"),
            )
        })
    }

    /// The id of an object that is named.
    fn id(&self, object: Option<&Object>, at: &Path) -> Result<Option<u32>, End> {
        match object {
            None => Ok(None),
            Some(Object::Id(id)) => self.small(id, at).map(Some),
            Some(Object::Named(name)) => {
                let saved = self.scope.get(&name.0).and_then(|saved| saved.get_attr("id").ok());
                let id = saved.and_then(|id| u32::try_from(id).ok());
                id.map(Some).ok_or_else(|| {
                    let title =
                        format!("`{name}` is no object: the step that was to make it failed, or was not reached");
                    End::Error(Problem::new(Code::NoObject, at.clone(), title))
                })
            }
        }
    }

    /// Notes what was made, and gives its id.
    fn made(&mut self, got: Result<u32, Errno>) -> Told {
        self.objects.made.extend(got.ok());
        (got.ok().map(id), got.map(drop))
    }

    /// Notes that the device is not where it was.
    fn moved(&mut self) {
        self.objects.moved.insert(self.current);
    }

    fn map_file(
        &mut self,
        map: &language::MapFile,
        planned: &PlannedStep,
        open: &Open,
        iovas: &IovaAllocator,
        held: &[Held],
    ) -> Result<(), End> {
        let at = planned.at.join("map_file");
        let memory = held.iter().find(|held| held.name == map.region.0).expect("the check knows the regions");
        // A procedure may have been given any region.
        let file = memory.file.as_ref().ok_or_else(|| {
            let problem =
                Problem::new(Code::NoFile, at.join("region"), format!("region `{}` has no file to map", map.region));
            End::Error(problem.label("expected `memory: memfd`, `file` or `dmabuf`"))
        })?;
        let (offset, size) = self.stretch(&memory.mapping, &map.region, &map.offset, &map.size, &at)?;
        let target = self.target(map.iova.as_ref(), size, iovas, &at)?;
        let own = self.own(&at, open)?;
        let ioas = self.id(map.ioas.as_ref(), &at.join("ioas"))?.unwrap_or(own.id());
        let access = access(map.access);
        let got = iommufd::ioas_map_file(own.fd(), ioas, file.as_fd(), offset, target, size, access, self.tracer);
        self.mapped(target, size, got, iovas, planned, []);
        self.compare("map_file", planned, got.map(|_| None))?;
        if memory.mapping.is_device() {
            // The device may take it back at any time, as when its memory is switched off.
            self.mappings.lose("a dma-buf may be taken back".into());
        } else if ioas == own.id() {
            self.follow(got, size, access);
        }
        Ok(())
    }

    fn copy(
        &mut self,
        copy: &language::IoasCopy,
        planned: &PlannedStep,
        open: &Open,
        iovas: &IovaAllocator,
    ) -> Result<(), End> {
        let at = planned.at.join("copy");
        let own = self.own(&at, open)?;
        let source = iommufd::IoasRange {
            ioas: self.id(copy.from_ioas.as_ref(), &at.join("from_ioas"))?.unwrap_or(own.id()),
            iova: self.size(&copy.from_iova, &at.join("from_iova"))?,
            length: self.size(&copy.size, &at.join("size"))?,
        };
        let target = self.target(copy.iova.as_ref(), source.length, iovas, &at)?;
        let ioas = self.id(copy.ioas.as_ref(), &at.join("ioas"))?.unwrap_or(own.id());
        let (from, source_iova, size) = (source.ioas, source.iova, source.length);
        let got = iommufd::ioas_copy(own.fd(), source, ioas, target, access(copy.access), self.tracer);
        self.mapped(target, size, got, iovas, planned, []);
        self.compare("copy", planned, got.map(|_| None))?;
        match got {
            Ok(iova) if ioas == own.id() && from == ioas => {
                self.mappings.copied(source_iova, iova, size, access(copy.access));
            }
            Ok(_) if ioas == own.id() => {
                self.mappings.lose("what is copied from another address space is not followed".into());
            }
            _ => self.mappings.touched(),
        }
        Ok(())
    }

    fn allow_iovas(&mut self, allow: &language::AllowIovas, at: &Path, open: &Open) -> Result<Told, End> {
        let own = self.own(at, open)?;
        let ioas = self.id(allow.ioas.as_ref(), &at.join("ioas"))?.unwrap_or(own.id());
        let mut ranges = Vec::new();
        for (index, range) in allow.ranges.iter().enumerate() {
            let at = at.join("ranges").join(index);
            let start = self.size(&range.start, &at.join("start"))?;
            ranges.push(IovaRange { start, last: self.size(&range.last, &at.join("last"))? });
        }
        if ioas == own.id() {
            self.device.changed = Changed::More;
        }
        Ok((None, iommufd::ioas_allow_iovas(own.fd(), ioas, &ranges, self.tracer)))
    }

    fn hwpt(&mut self, hwpt: &language::Hwpt, at: &Path, open: &Open) -> Result<Told, End> {
        let own = self.own(at, open)?;
        let ioas = self.id(hwpt.ioas.as_ref(), &at.join("ioas"))?.unwrap_or(own.id());
        let flag = |flag: &HwptFlag| match flag {
            HwptFlag::NestParent => hwpt::NEST_PARENT,
            HwptFlag::DirtyTracking => hwpt::DIRTY_TRACKING,
            HwptFlag::Pasid => hwpt::PASID,
        };
        let flags = hwpt.flags.iter().map(flag).fold(0, |all, flag| all | flag);
        let got = hwpt::hwpt_alloc(own.fd(), device_id(open), ioas, flags, self.tracer);
        Ok(self.made(got))
    }

    fn attach(&mut self, attach: &language::Attach, at: &Path, open: &Open) -> Result<Told, End> {
        let own = self.own(at, open)?;
        let to = self.id(attach.to.as_ref(), &at.join("to"))?.unwrap_or(own.id());
        self.moved();
        let got = open.session.device().attach(to);
        Ok((got.ok().map(id), got.map(drop)))
    }

    fn destroy(&mut self, destroy: &language::Destroy, at: &Path, open: &Open) -> Result<Told, End> {
        let own = self.own(at, open)?;
        let object = self.id(Some(&destroy.object), &at.join("object"))?.expect("one is given");
        let got = iommufd::destroy(own.fd(), object, self.tracer);
        if got.is_ok() {
            self.objects.made.retain(|made| *made != object);
            let is_own = object == own.id();
            self.objects.homeless |= is_own;
            if is_own {
                self.device.changed = Changed::More;
            }
        }
        Ok((None, got))
    }

    fn option(&mut self, option: &language::IommuOption, at: &Path, open: &Open) -> Result<Told, End> {
        let own = self.own(at, open)?;
        let (option_id, object) = match option.name {
            OptionName::HugePages => {
                (iommufd::HUGE_PAGES, self.id(option.ioas.as_ref(), &at.join("ioas"))?.unwrap_or(own.id()))
            }
            OptionName::RlimitMode => (iommufd::RLIMIT_MODE, 0),
        };
        let got = match self.optional(&option.set, &at.join("set"))? {
            None => iommufd::get_option(own.fd(), option_id, object, self.tracer),
            Some(value) => {
                if object == own.id() || object == 0 {
                    self.device.changed = Changed::More;
                }
                iommufd::set_option(own.fd(), option_id, object, value, self.tracer).map(|()| value)
            }
        };
        Ok((got.ok().map(|value| Value::from_pairs([("value", value)])), got.map(drop)))
    }

    fn hw_info(&self, at: &Path, open: &Open) -> Result<Told, End> {
        let own = self.own(at, open)?;
        let got = hwpt::hw_info(own.fd(), device_id(open), self.tracer);
        let value = got.as_ref().ok().map(|info| {
            Value::from_pairs([
                ("type", Value::from(info.data_type)),
                ("capabilities", Value::from(info.capabilities)),
                ("dirty_tracking", Value::from(info.dirty_tracking())),
                ("pasid_bits", Value::from(info.max_pasid_log2)),
            ])
        });
        Ok((value, got.map(drop)))
    }

    fn dirty_tracking(&mut self, tracking: &language::DirtyTracking, at: &Path, open: &Open) -> Result<Told, End> {
        let hwpt = self.id(tracking.hwpt.as_ref(), &at.join("hwpt"))?;
        let got = match (open.session.container(), hwpt) {
            (Some(container), _) => {
                self.device.changed = Changed::More;
                dirty::type1_set_dirty_tracking(container.fd(), tracking.enable, self.tracer)
            }
            (None, Some(hwpt)) => {
                let own = self.own(at, open)?;
                dirty::hwpt_set_dirty_tracking(own.fd(), hwpt, tracking.enable, self.tracer)
            }
            (None, None) => return Err(no_hwpt(at)),
        };
        Ok((None, got))
    }

    fn dirty_bitmap(&self, asked: &language::DirtyBitmap, at: &Path, open: &Open) -> Result<Told, End> {
        let iova = self.size(&asked.iova, &at.join("iova"))?;
        let size = self.size(&asked.size, &at.join("size"))?;
        let page = self.optional(&asked.page, &at.join("page"))?.unwrap_or(4096);
        if size / page.max(1) > MOST_PAGES {
            let title = format!("a range of {} pages is more than is told one by one", size / page.max(1));
            let problem = Problem::new(Code::OutOfRange, at.join("size"), title);
            return Err(End::Error(problem.label(format!("expected at most {MOST_PAGES} pages"))));
        }
        let hwpt = self.id(asked.hwpt.as_ref(), &at.join("hwpt"))?;
        let got = match (open.session.container(), hwpt) {
            (Some(container), _) => dirty::type1_dirty_bitmap(container.fd(), iova, size, page, self.tracer),
            (None, Some(hwpt)) => {
                let own = self.own(at, open)?;
                dirty::hwpt_dirty_bitmap(own.fd(), hwpt, iova, size, page, asked.keep, self.tracer)
            }
            (None, None) => return Err(no_hwpt(at)),
        };
        let value = |bitmap: &DirtyBitmap| {
            let dirty: Vec<u64> = bitmap.dirty().map(|number| iova.wrapping_add(number.wrapping_mul(page))).collect();
            Value::from_pairs([("pages", Value::from(bitmap.pages())), ("dirty", Value::from(dirty))])
        };
        Ok((got.as_ref().ok().map(value), got.map(drop)))
    }
}

fn id(id: u32) -> Value {
    Value::from_pairs([("id", id)])
}

/// What the IOMMUFD knows the device by.
fn device_id(open: &Open) -> u32 {
    open.session.device().iommufd_id().expect("a device behind an IOAS is bound")
}

fn no_hwpt(at: &Path) -> End {
    End::Error(
        Problem::new(Code::MissingKey, at.clone(), "on iommufd it is a page table that notes what is written")
            .label("expected `hwpt` beside its other keys"),
    )
}
