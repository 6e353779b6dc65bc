// SPDX-License-Identifier: MIT OR Apache-2.0
//! Address spaces, and the other objects of IOMMUFD that steps name.

use minijinja::Value;

use super::running::Running;
use crate::{
    backend::{Access, Ioas, Iommu},
    engine::{failure::End, ledger::Space, words::amount},
    language::{
        self, Dynamic, Name, Size,
        verb::{Object, Where},
    },
    model::{Errno, code::Code},
    uapi::{Mapping, system},
};

impl<'s> Running<'s, '_, '_> {
    /// Makes a call on an address space: the open device's, or another one that the step names.
    pub fn with_iommu<T>(&self, ioas: &Option<Object>, call: impl FnOnce(&dyn Iommu) -> T) -> Result<T, End> {
        let session = &self.open()?.session;
        match (ioas, session.ioas()) {
            (None, None) => Ok(call(session.iommu())),
            (Some(_), _) | (None, Some(_)) => Ok(call(&self.space(ioas)?)),
        }
    }

    /// An address space of IOMMUFD: the one that the step names, or the device's own.
    pub fn space(&self, ioas: &Option<Object>) -> Result<Ioas, End> {
        let (own, id) = self.ioas("ioas", ioas)?;
        Ok(own.space(id))
    }

    /// The address space that the step names, or the device's own, as the ledger knows it.
    pub fn space_of(&self, ioas: &Option<Object>) -> Result<Space, End> {
        let open = self.open()?;
        let usual = open.session.ioas().map(|own| self.usual(own));
        Ok(self.object("ioas", ioas)?.or(usual))
    }

    /// The device's own address space on IOMMUFD, and the id of the object that a key names, which is that address space by default.
    pub fn ioas(&self, key: &str, object: &Option<Object>) -> Result<(&'s Ioas, u32), End> {
        let own = self.own()?;
        Ok((own, self.object(key, object)?.unwrap_or_else(|| self.usual(own))))
    }

    /// The device's own address space on IOMMUFD.
    pub fn own(&self) -> Result<&'s Ioas, End> {
        self.open()?.session.ioas().ok_or_else(|| {
            let title = format!("{} has no objects of IOMMUFD", self.case.planned.backend);
            self.error(Code::OnlyIommufd, "", title, "expected only on the backend iommufd")
                .help("add `backends: [iommufd]` to the case".into())
        })
    }

    pub fn iommufd_id(&self) -> Result<u32, End> {
        Ok(self.open()?.session.device().iommufd_id().expect("a device behind an IOAS is bound"))
    }

    pub fn object(&self, key: &str, object: &Option<Object>) -> Result<Option<u32>, End> {
        object.as_ref().map(|object| self.id(key, object)).transpose()
    }

    pub fn id(&self, key: &str, object: &Object) -> Result<u32, End> {
        match object {
            Object::Id(id) => self.small(key, id),
            Object::Named(name) => {
                let saved = self.case.scope.get(&name.0).and_then(|saved| saved.get_attr("id").ok());
                saved.and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                    let title =
                        format!("`{name}` is not an object: the step that was to make it failed, or did not run");
                    self.error(Code::NoObject, key, title, "")
                })
            }
        }
    }

    /// Notes that the case made an object, keeps its id, and compares the outcome.
    pub fn made(&mut self, got: Result<u32, Errno>) -> Result<(), End> {
        self.case.objects.made.extend(got.ok());
        self.gave_id(got)
    }

    /// The address space that is meant where a step names none. What a procedure maps is for its device, wherever the case has attached that.
    fn usual(&self, own: &Ioas) -> u32 {
        let moved = || *self.case.objects.moved.get(&self.case.current)?;
        self.frame.pack.and_then(|_| moved()).unwrap_or(own.id())
    }

    /// Why nothing can be said of dirty pages on IOMMUFD.
    pub fn no_hwpt(&self) -> End {
        let title = "on iommufd it is a page table that notes what is written";
        self.error(Code::MissingKey, "", title, "expected `hwpt` beside its other keys")
    }

    /// Which part of a region is mapped: where it begins and how long it is, in bytes.
    pub fn stretch(
        &self,
        memory: &Mapping,
        region: &Name,
        offset: &Option<Dynamic<Size>>,
        size: &Option<Dynamic<Size>>,
    ) -> Result<(u64, u64), End> {
        let offset = self.optional("offset", offset)?.unwrap_or(0);
        // What lies beyond is not the case's, and a device could be made to write there.
        let rest = memory.len().checked_sub(offset).filter(|rest| *rest > 0).ok_or_else(|| {
            let title = format!("the offset {offset:#x} lies beyond the region `{region}`");
            self.out_of_range("offset", title, format!("expected less than its size, {}", amount(memory.len())))
        })?;
        Ok((offset, self.optional("size", size)?.unwrap_or(rest)))
    }

    /// The IOVA to map at, as given or the next free one; `None` if the kernel is to choose.
    pub fn target(&self, target: &Option<Where>, size: u64) -> Result<Option<u64>, End> {
        let iovas = &self.case.iovas;
        match target {
            Some(Where::Kernel) => Ok(None),
            Some(Where::At(iova)) => {
                let iova = self.size("iova", iova)?;
                iovas.reserve(iova, size);
                Ok(Some(iova))
            }
            None => iovas.allocate(size, system::page_size()).map(Some).ok_or_else(|| {
                let title = format!("no room for {} among the IOVAs that the device may use", Size(size));
                self.error(Code::NoIova, "", title, "")
            }),
        }
    }

    /// Keeps where something was mapped, or was to be mapped, and compares the outcome.
    pub fn mapped<const N: usize>(
        &mut self,
        target: Option<u64>,
        size: u64,
        got: Result<u64, Errno>,
        more: [(&'static str, Value); N],
    ) -> Result<(), End> {
        if let Ok(iova) = got {
            self.case.iovas.reserve(iova, size);
        }
        // A failed call chose no IOVA.
        let iova = target.or(got.ok()).map(|iova| ("iova", Value::from(iova)));
        self.save(Value::from_pairs(iova.into_iter().chain([("size", Value::from(size))]).chain(more)));
        self.compare(got.map(|_| None))
    }

    /// Enters in the ledger what a call mapped.
    pub fn enter(
        &mut self,
        ioas: &Option<Object>,
        got: Result<u64, Errno>,
        size: u64,
        access: Access,
    ) -> Result<(), End> {
        let space = self.space_of(ioas)?;
        match got {
            Ok(iova) => self.case.ledger.mapped(space, iova, size, access),
            Err(_) => self.case.ledger.changed(),
        }
        Ok(())
    }
}

/// What a device may do with a mapping, as the backends take it.
pub fn access(access: Option<language::verb::Access>) -> Access {
    match access.unwrap_or(language::verb::Access::ReadWrite) {
        language::verb::Access::ReadWrite => Access::READ_WRITE,
        language::verb::Access::Read => Access::READ,
        language::verb::Access::Write => Access::WRITE,
        language::verb::Access::None => Access::NONE,
    }
}
