// SPDX-License-Identifier: MIT OR Apache-2.0
//! What requests that a case makes by their names do to its mappings.

use super::ledger::{Ledger, Part, Space};
use crate::uapi::{
    request::{Effect, Request},
    vfio,
};
use crate::{backend::Access, model::Errno};

impl Ledger {
    /// Enters what a request did on a file of the open device, whose address space is `own`. `given` and `written` return the request's
    /// fields before and after the call; `part` is what the device of the file is to the one whose page table is compared. Returns whether
    /// all that it did is known, and undone by unmapping everything.
    pub fn request(
        &mut self,
        (own, part): (Space, Part),
        request: &Request,
        got: Result<i32, Errno>,
        given: &dyn Fn(&str) -> u64,
        written: &dyn Fn(&str) -> u64,
    ) -> Result<bool, String> {
        let id = |field: &str| u32::try_from(given(field)).ok();
        let (name, flags) = (request.name, given("flags"));
        let range = |size: &str| (given("iova"), given(size));
        self.changed();
        let pasid = || u32::try_from(given("pasid")).ok().filter(|_| flags & 1 != 0);
        match (name, got) {
            ("VFIO_IOMMU_MAP_DMA" | "IOMMU_IOAS_MAP", Err(_)) => {}
            ("IOMMU_IOAS_UNMAP", Err(errno)) => {
                let (iova, length) = range("length");
                self.not_unmapped(id("ioas_id"), iova, length, errno);
            }
            ("VFIO_IOMMU_UNMAP_DMA", Err(errno)) if own.is_none() => {
                let (iova, size) = range("size");
                self.not_unmapped(None, iova, size, errno);
            }
            ("VFIO_IOMMU_UNMAP_DMA", Err(_)) => {}
            // On IOMMUFD itself they mean the address space of IOMMU_VFIO_IOAS, whichever that is.
            ("VFIO_IOMMU_MAP_DMA" | "VFIO_IOMMU_UNMAP_DMA", Ok(_)) if own.is_some() => return Ok(self.unknown(name)),
            ("VFIO_IOMMU_MAP_DMA", Ok(_)) if flags & !3 == 0 => {
                let access = Access { read: flags & 1 != 0, write: flags & 2 != 0 };
                self.mapped(None, given("iova"), given("size"), access);
            }
            ("VFIO_IOMMU_UNMAP_DMA", Ok(_)) if flags & !1 == 0 => {
                self.unmapped(None, given("iova"), given("size"), written("size"))?;
            }
            ("VFIO_IOMMU_UNMAP_DMA", Ok(_)) if flags == 2 => self.unmapped_all(None, written("size"))?,
            // A mapping loses its address or gets another, and stays.
            ("VFIO_IOMMU_UNMAP_DMA" | "VFIO_IOMMU_MAP_DMA", Ok(_)) if flags & 4 != 0 => return Ok(false),
            // It goes to another process, and stays, too.
            ("IOMMU_IOAS_CHANGE_PROCESS", _) => {}
            ("IOMMU_IOAS_MAP", Ok(_)) => {
                self.mapped(id("ioas_id"), written("iova"), given("length"), access(flags));
                return Ok(id("ioas_id") == own);
            }
            ("IOMMU_IOAS_MAP_FILE", Ok(_)) => {
                let (space, iova) = (id("ioas_id"), written("iova"));
                self.mapped(space, iova, given("length"), access(flags));
                if is_dma_buf(given("fd")) {
                    self.may_go(space, iova);
                }
                return Ok(space == own);
            }
            ("IOMMU_IOAS_MAP_FILE", Err(_)) => {}
            ("IOMMU_IOAS_UNMAP", Ok(_)) => {
                match range("length") {
                    (0, u64::MAX) => self.unmapped_all(id("ioas_id"), written("length"))?,
                    (iova, length) => self.unmapped(id("ioas_id"), iova, length, written("length"))?,
                }
                return Ok(id("ioas_id") == own);
            }
            ("IOMMU_IOAS_COPY", Ok(_)) => {
                let from = (id("src_ioas_id"), given("src_iova"));
                let to = (id("dst_ioas_id"), written("dst_iova"));
                self.copied(from, to, given("length"), access(flags));
                return Ok(to.0 == own);
            }
            ("IOMMU_IOAS_ALLOC", Ok(_)) => {
                u32::try_from(written("out_ioas_id")).into_iter().for_each(|id| self.made_space(id));
                return Ok(false);
            }
            ("IOMMU_HWPT_ALLOC", Ok(_)) => {
                // One of a type has entries of the user's own.
                let space = id("pt_id").filter(|_| given("data_type") == 0).and_then(|of| self.space_of(own, of));
                u32::try_from(written("out_hwpt_id")).into_iter().for_each(|id| self.made_table(id, space));
                return Ok(false);
            }
            ("VFIO_DEVICE_ATTACH_IOMMUFD_PT", Ok(_)) => {
                let to = u32::try_from(given("pt_id")).unwrap_or_default();
                self.attached(part, own, to, pasid());
                let space = self.space_of(own, to);
                let table = u32::try_from(written("pt_id")).ok().filter(|table| *table != to);
                table.into_iter().for_each(|table| self.made_table(table, space));
                return Ok(false);
            }
            ("VFIO_DEVICE_DETACH_IOMMUFD_PT", Ok(_)) => {
                self.detached(part, pasid());
                return Ok(false);
            }
            // VFIO's own container refuses a second one. IOMMUFD does not, and unmaps as this type does from then on (`iommufd_vfio_set_iommu`).
            ("VFIO_SET_IOMMU", Ok(_)) if own.is_none() => {
                if given("iommu_type") == u64::from(vfio::TYPE1) {
                    self.plays_type1();
                }
                return Ok(false);
            }
            ("IOMMU_DESTROY", Ok(_)) => {
                id("id").into_iter().for_each(|id| self.destroyed(id));
                return Ok(false);
            }
            // It is bound as it was.
            ("VFIO_DEVICE_BIND_IOMMUFD", Err(_)) => {}
            _ => match request.effect() {
                Effect::Nothing => {}
                Effect::Device => return Ok(false),
                Effect::Mappings if got.is_err() => return Ok(false),
                Effect::Mappings => return Ok(self.unknown(name)),
            },
        }
        Ok(true)
    }

    /// Enters what a request did that failed because the kernel could not write its answer. An unmap has done its work by then
    /// (`vfio_iommu_type1_unmap_dma`, `iommufd_ioas_unmap`); every other request has to take back what it did.
    pub fn unanswered(&mut self, own: Space, request: &Request, given: &dyn Fn(&str) -> u64) {
        const UNREPORTED: u64 = 0;
        let (space, size, is_all) = match request.name {
            "VFIO_IOMMU_UNMAP_DMA" if own.is_none() => (None, given("size"), given("flags") & 2 != 0),
            "IOMMU_IOAS_UNMAP" => {
                let (iova, length) = (given("iova"), given("length"));
                (u32::try_from(given("ioas_id")).ok(), length, (iova, length) == (0, u64::MAX))
            }
            _ => return,
        };
        // Both compare what the kernel has reported, which here is nothing.
        _ = if is_all {
            self.unmapped_all(space, UNREPORTED)
        } else {
            self.unmapped(space, given("iova"), size, UNREPORTED)
        };
    }

    fn unknown(&mut self, request: &str) -> bool {
        self.lose(format!("what {request} did is not followed"));
        false
    }
}

/// Whether an open file of this process is a dma-buf (`dmabuffs_dname` in drivers/dma-buf/dma-buf.c).
fn is_dma_buf(fd: u64) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|name| name.starts_with("/dmabuf:"))
}

/// The access that the flags of IOMMUFD's requests ask for.
fn access(flags: u64) -> Access {
    Access { read: flags & 4 != 0, write: flags & 2 != 0 }
}

#[cfg(test)]
mod tests {
    use crate::{
        engine::ledger::{
            Part,
            tests::{OWN, PAGE, two},
        },
        model::BackendName,
        uapi::request::find,
    };

    #[test]
    fn a_request_that_maps_nothing_loses_no_mapping() {
        let done = |name: &str| {
            let (mut ledger, request) = (two(BackendName::Iommufd), find(name).unwrap());
            let known = ledger.request((OWN, Part::Alone), request, Ok(0), &|_| 0, &|_| 0).unwrap();
            (known, ledger.lost().is_none())
        };
        assert_eq!(done("VFIO_DEVICE_GET_REGION_INFO"), (true, true));
        for name in ["VFIO_DEVICE_SET_IRQS", "VFIO_DEVICE_RESET", "IOMMU_FAULT_QUEUE_ALLOC", "IOMMU_DESTROY"] {
            assert_eq!(done(name), (false, true), "{name} changes the device, and what is mapped stays");
        }
        assert_eq!(done("VFIO_DEVICE_ATTACH_IOMMUFD_PT"), (false, false));
    }

    #[test]
    fn a_request_on_another_address_space_changes_no_mapping_of_the_devices_own() {
        let mut ledger = two(BackendName::Iommufd);
        let mut made = |name: &str, fields: &[(&str, u64)]| {
            let field = |name: &str| fields.iter().find(|(field, _)| *field == name).map_or(0, |(_, value)| *value);
            let known = ledger.request((OWN, Part::Alone), find(name).unwrap(), Ok(0), &field, &field).unwrap();
            (known, ledger.bytes(OWN) / PAGE, ledger.bytes(Some(2)) / PAGE)
        };
        assert_eq!(made("IOMMU_IOAS_MAP", &[("ioas_id", 2), ("length", PAGE), ("flags", 7)]), (false, 8, 1));
        let copy = [("src_ioas_id", 1), ("dst_ioas_id", 2), ("dst_iova", 8 * PAGE), ("length", 2 * PAGE)];
        assert_eq!(made("IOMMU_IOAS_COPY", &copy), (false, 8, 3));
        assert_eq!(made("IOMMU_IOAS_UNMAP", &[("ioas_id", 1), ("length", 4 * PAGE)]), (true, 4, 3));
        assert_eq!(made("IOMMU_DESTROY", &[("id", 2)]), (false, 4, 0));
    }

    #[test]
    fn an_unmap_without_an_answer_has_unmapped_and_a_map_has_not_mapped() {
        let mut ledger = two(BackendName::Iommufd);
        let mut left = |name: &str, fields: &[(&str, u64)]| {
            let field = |name: &str| fields.iter().find(|(field, _)| *field == name).map_or(0, |(_, value)| *value);
            ledger.unanswered(OWN, find(name).unwrap(), &field);
            ledger.bytes(OWN) / PAGE
        };
        let id = ("ioas_id", 1);
        assert_eq!(left("IOMMU_IOAS_MAP", &[id, ("length", PAGE), ("flags", 7), ("iova", 64 * PAGE)]), 8);
        assert_eq!(left("IOMMU_IOAS_UNMAP", &[id, ("length", 4 * PAGE)]), 4);
        assert_eq!(left("IOMMU_IOAS_UNMAP", &[id, ("length", u64::MAX)]), 0);
        assert!(ledger.lost().is_none());
    }
}
