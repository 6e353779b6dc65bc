// SPDX-License-Identifier: MIT OR Apache-2.0
//! VFIO: container, group and device requests (`include/uapi/linux/vfio.h`).
//!
//! A container is `/dev/vfio/vfio`, or `/dev/iommu` where IOMMUFD plays the part; both take the same requests.

use std::fmt::Display;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use vfio_bindings::bindings::vfio as sys;

use super::ioctl::{io, with_struct, with_value};
use super::request::{Decoded, capabilities, shown};
use super::{Access, IovaRange, Tracer, trace::zero};
use crate::model::Errno;

/// `VFIO_TYPE1_IOMMU`: an unmap may cut a mapping wherever it likes, or so it says.
pub const TYPE1: u32 = sys::VFIO_TYPE1_IOMMU;
/// `VFIO_TYPE1v2_IOMMU`: an unmap takes whole mappings.
pub const TYPE1V2: u32 = sys::VFIO_TYPE1v2_IOMMU;
/// `VFIO_UPDATE_VADDR`: an extension that only the real TYPE1 driver has.
pub const UPDATE_VADDR: u32 = sys::VFIO_UPDATE_VADDR;
/// The version of the interface that these requests speak.
pub const API_VERSION: i32 = sys::VFIO_API_VERSION as i32;

pub(super) const fn request(nr: u32) -> u32 {
    io(sys::VFIO_BASE + nr)
}

fn number<T: Display>(value: &T) -> String {
    value.to_string()
}

/// `VFIO_GET_API_VERSION` on a container: [`API_VERSION`] unless the world has changed.
pub fn api_version(container: BorrowedFd, tracer: &Tracer) -> Result<i32, Errno> {
    // SAFETY: the request takes no argument.
    tracer.on_file(
        container,
        "VFIO_GET_API_VERSION",
        String::new(),
        || unsafe { with_value(container, request(0), 0) },
        number,
    )
}

/// `VFIO_CHECK_EXTENSION` on a container: whether it has one; a number above 1 is how much of it.
pub fn check_extension(container: BorrowedFd, extension: u32, tracer: &Tracer) -> Result<i32, Errno> {
    let fields = match extension {
        sys::VFIO_TYPE1_IOMMU => "VFIO_TYPE1_IOMMU".into(),
        sys::VFIO_TYPE1v2_IOMMU => "VFIO_TYPE1v2_IOMMU".into(),
        sys::VFIO_UNMAP_ALL => "VFIO_UNMAP_ALL".into(),
        sys::VFIO_UPDATE_VADDR => "VFIO_UPDATE_VADDR".into(),
        other => other.to_string(),
    };
    // SAFETY: the argument is the number of an extension.
    let run = || unsafe { with_value(container, request(1), extension.into()) };
    tracer.on_file(container, "VFIO_CHECK_EXTENSION", fields, run, number)
}

/// `VFIO_SET_IOMMU` on a container with a group in it: [`TYPE1`] or [`TYPE1V2`].
pub fn set_iommu(container: BorrowedFd, kind: u32, tracer: &Tracer) -> Result<(), Errno> {
    let fields = match kind {
        TYPE1 => "VFIO_TYPE1_IOMMU".into(),
        TYPE1V2 => "VFIO_TYPE1v2_IOMMU".into(),
        other => other.to_string(),
    };
    // SAFETY: the argument is the number of an IOMMU type.
    let run = || unsafe { with_value(container, request(2), kind.into()) };
    tracer.on_file(container, "VFIO_SET_IOMMU", fields, run, number).map(drop)
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IommuInfo {
    /// A bit for each page size in bytes: bit 12 is 4 KiB.
    pub page_sizes: u64,
    /// The addresses that can be mapped, sorted; `None` if the kernel does not say (before 5.4).
    pub iova_ranges: Option<Vec<IovaRange>>,
    /// How many more mappings the container takes; `None` if the kernel does not say.
    pub dma_avail: Option<u32>,
    /// Whether there is a migration capability (dirty tracking); only the real TYPE1 driver has it.
    pub migration: bool,
    /// All its capabilities by their names, with what is in them.
    pub capabilities: Option<Decoded>,
}

/// `VFIO_IOMMU_GET_INFO` on a container, with its chain of capabilities.
pub fn iommu_info(container: BorrowedFd, tracer: &Tracer) -> Result<IommuInfo, Errno> {
    let ask = |size: usize| {
        // Whole 64-bit words, because the kernel's structs are so aligned; the first half of the first one is argsz.
        let mut words = vec![0u64; size.div_ceil(8)];
        words[0] = u64::from_ne_bytes(pair(size as u32, 0));
        let run = || {
            // SAFETY: the request takes a vfio_iommu_type1_info, and writes no more than argsz bytes: the buffer's size.
            unsafe { with_struct(container, request(12), words.as_mut_slice()) }?;
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let capabilities = Some(capabilities::IOMMU.decode(&bytes));
            Ok((u32_at(&bytes, 0).unwrap_or(0) as usize, IommuInfo { capabilities, ..parse_iommu_info(&bytes) }))
        };
        let shown = |(_, info): &(usize, IommuInfo)| {
            let ranges = info.iova_ranges.as_ref().map_or(0, Vec::len);
            let avail = info.dma_avail.map(|avail| format!(", dma_avail={avail}")).unwrap_or_default();
            format!("0 {{iova_pgsizes={:#x}, iova_ranges={ranges}{avail}}}", info.page_sizes)
        };
        tracer.on_file(container, "VFIO_IOMMU_GET_INFO", format!("argsz={size}"), run, shown)
    };
    // The answer's argsz says how much room the capabilities need: usually less than this.
    const ROOM: usize = 256;
    let (needed, info) = ask(ROOM)?;
    if needed <= ROOM { Ok(info) } else { ask(needed).map(|(_, info)| info) }
}

pub(super) fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Reads a vfio_iommu_type1_info with its capabilities; stops at what does not fit in the buffer.
fn parse_iommu_info(bytes: &[u8]) -> IommuInfo {
    let flags = u32_at(bytes, 4).unwrap_or(0);
    let mut info = IommuInfo::default();
    if flags & sys::VFIO_IOMMU_INFO_PGSIZES != 0 {
        info.page_sizes = u64_at(bytes, 8).unwrap_or(0);
    }
    let mut at = u32_at(bytes, 16).unwrap_or(0) as usize;
    let mut steps = 0; // A chain that runs in a circle ends too.
    while flags & sys::VFIO_IOMMU_INFO_CAPS != 0 && at != 0 && steps < 64 {
        // vfio_info_cap_header: id and version are 16 bits each, then the offset of the next.
        let (Some(id), Some(next)) = (u32_at(bytes, at).map(|word| word & 0xffff), u32_at(bytes, at + 4)) else {
            break;
        };
        match id {
            sys::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => {
                let count = u32_at(bytes, at + 8).unwrap_or(0) as usize;
                let range = |index: usize| {
                    let at = at + 16 + index * 16;
                    Some(IovaRange { start: u64_at(bytes, at)?, last: u64_at(bytes, at + 8)? })
                };
                let mut ranges: Vec<_> = (0..count).map_while(range).collect();
                ranges.sort();
                info.iova_ranges = Some(ranges);
            }
            sys::VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION => info.migration = true,
            sys::VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL => info.dma_avail = u32_at(bytes, at + 8),
            _ => {}
        }
        at = next as usize;
        steps += 1;
    }
    info
}

/// `VFIO_IOMMU_MAP_DMA` on a container: `size` bytes of the caller's memory at `vaddr`, for devices at `iova`.
pub fn map_dma(
    container: BorrowedFd,
    vaddr: u64,
    iova: u64,
    size: u64,
    access: Access,
    tracer: &Tracer,
) -> Result<(), Errno> {
    let mut flags = 0;
    flags |= if access.read { sys::VFIO_DMA_MAP_FLAG_READ } else { 0 };
    flags |= if access.write { sys::VFIO_DMA_MAP_FLAG_WRITE } else { 0 };
    let argsz = size_of::<sys::vfio_iommu_type1_dma_map>() as u32;
    let mut arg = sys::vfio_iommu_type1_dma_map { argsz, flags, vaddr, iova, size };
    let fields = format!("argsz={argsz}, flags={access}, vaddr={vaddr:#x}, iova={iova:#x}, size={size:#x}");
    // SAFETY: the request takes this struct of argsz bytes. The kernel pins what is at vaddr, or fails with EFAULT;
    // a device that then writes there can reach only memory that its caller named, which Mapping never lends as a reference.
    let run = || unsafe { with_struct(container, request(13), &mut arg) };
    tracer.on_file(container, "VFIO_IOMMU_MAP_DMA", fields, run, number).map(drop)
}

/// `VFIO_IOMMU_UNMAP_DMA` on a container: returns the bytes that the kernel says it unmapped.
pub fn unmap_dma(container: BorrowedFd, iova: u64, size: u64, tracer: &Tracer) -> Result<u64, Errno> {
    unmap(container, 0, "0", iova, size, tracer)
}

/// `VFIO_IOMMU_UNMAP_DMA` with `VFIO_DMA_UNMAP_FLAG_ALL`: everything; returns the bytes that the kernel says it unmapped.
pub fn unmap_dma_all(container: BorrowedFd, tracer: &Tracer) -> Result<u64, Errno> {
    unmap(container, sys::VFIO_DMA_UNMAP_FLAG_ALL, "ALL", 0, 0, tracer)
}

fn unmap(
    container: BorrowedFd,
    flags: u32,
    shown_flags: &str,
    iova: u64,
    size: u64,
    tracer: &Tracer,
) -> Result<u64, Errno> {
    let argsz = size_of::<sys::vfio_iommu_type1_dma_unmap>() as u32;
    let mut arg = sys::vfio_iommu_type1_dma_unmap { argsz, flags, iova, size, ..Default::default() };
    let fields = format!("argsz={argsz}, flags={shown_flags}, iova={iova:#x}, size={size:#x}");
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes; without the dirty-bitmap flag nothing follows it.
        unsafe { with_struct(container, request(14), &mut arg) }?;
        Ok(arg.size)
    };
    tracer.on_file(container, "VFIO_IOMMU_UNMAP_DMA", fields, run, |size| format!("0 {{size={size:#x}}}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStatus {
    /// Every device of the group is bound to a VFIO driver, or to none.
    pub viable: bool,
    pub container_set: bool,
}

pub fn group_status(group: BorrowedFd, tracer: &Tracer) -> Result<GroupStatus, Errno> {
    let argsz = size_of::<sys::vfio_group_status>() as u32;
    let mut arg = sys::vfio_group_status { argsz, flags: 0 };
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes.
        unsafe { with_struct(group, request(3), &mut arg) }?;
        Ok(arg.flags)
    };
    let flags = tracer.on_file(group, "VFIO_GROUP_GET_STATUS", format!("argsz={argsz}"), run, |f| {
        format!("0 {{flags={}}}", shown("VFIO_GROUP_GET_STATUS", "flags", u64::from(*f)))
    })?;
    Ok(GroupStatus {
        viable: flags & sys::VFIO_GROUP_FLAGS_VIABLE != 0,
        container_set: flags & sys::VFIO_GROUP_FLAGS_CONTAINER_SET != 0,
    })
}

/// `VFIO_GROUP_SET_CONTAINER` on a group: puts it into a container.
pub fn group_set_container(group: BorrowedFd, container: BorrowedFd, tracer: &Tracer) -> Result<(), Errno> {
    let mut fd = container.as_raw_fd();
    // SAFETY: the request reads one 32-bit file descriptor.
    let run = || unsafe { with_struct(group, request(4), &mut fd) };
    tracer
        .on_file(group, "VFIO_GROUP_SET_CONTAINER", format!("container={}", container.as_raw_fd()), run, zero)
        .map(drop)
}

/// `VFIO_GROUP_UNSET_CONTAINER` on a group: takes it out; `EBUSY` while a device of it is open.
pub fn group_unset_container(group: BorrowedFd, tracer: &Tracer) -> Result<(), Errno> {
    // SAFETY: the request takes no argument.
    let run = || unsafe { with_value(group, request(5), 0) };
    tracer.on_file(group, "VFIO_GROUP_UNSET_CONTAINER", String::new(), run, zero).map(drop)
}

/// `VFIO_GROUP_GET_DEVICE_FD` on a group: opens the device of that name, for PCI its address such as `0000:00:03.0`, and behind it
/// ` vf_token=UUID` where the device needs it.
pub fn group_device_fd(group: BorrowedFd, device: &str, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let mut name = device.as_bytes().to_vec();
    name.push(0);
    let run = || {
        // SAFETY: the request reads a string up to its zero byte, which is there.
        let fd = unsafe { with_struct(group, request(6), name.as_mut_slice()) }?;
        // SAFETY: the kernel just made this file descriptor for us; nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    tracer.on_file(group, "VFIO_GROUP_GET_DEVICE_FD", format!("\"{device}\""), run, |fd| fd.as_raw_fd().to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceInfo {
    /// `VFIO_DEVICE_FLAGS_*`
    pub flags: u32,
    /// How many regions it has; for PCI the indices are fixed and some are empty.
    pub regions: u32,
    pub irqs: u32,
}

impl DeviceInfo {
    pub fn can_reset(&self) -> bool {
        self.flags & sys::VFIO_DEVICE_FLAGS_RESET != 0
    }
}

pub fn device_info(device: BorrowedFd, tracer: &Tracer) -> Result<DeviceInfo, Errno> {
    let argsz = size_of::<sys::vfio_device_info>() as u32;
    let mut arg = sys::vfio_device_info { argsz, ..Default::default() };
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes.
        unsafe { with_struct(device, request(7), &mut arg) }?;
        Ok(DeviceInfo { flags: arg.flags, regions: arg.num_regions, irqs: arg.num_irqs })
    };
    let shown = |i: &DeviceInfo| {
        let flags = shown("VFIO_DEVICE_GET_INFO", "flags", i.flags.into());
        format!("0 {{flags={flags}, num_regions={}, num_irqs={}}}", i.regions, i.irqs)
    };
    tracer.on_file(device, "VFIO_DEVICE_GET_INFO", format!("argsz={argsz}"), run, shown)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionInfo {
    /// Its index: for PCI 0 to 5 are the BARs, 6 the ROM, 7 the configuration space, 8 VGA.
    pub index: u32,
    /// `VFIO_REGION_INFO_FLAG_*`
    pub flags: u32,
    /// In bytes; 0 for a region that the device does not have.
    pub size: u64,
    /// Where it begins in the device's file, in bytes, for read, write and mmap.
    pub offset: u64,
}

impl RegionInfo {
    pub fn readable(&self) -> bool {
        self.flags & sys::VFIO_REGION_INFO_FLAG_READ != 0
    }

    pub fn writable(&self) -> bool {
        self.flags & sys::VFIO_REGION_INFO_FLAG_WRITE != 0
    }

    pub fn mappable(&self) -> bool {
        self.flags & sys::VFIO_REGION_INFO_FLAG_MMAP != 0
    }
}

pub fn region_info(device: BorrowedFd, index: u32, tracer: &Tracer) -> Result<RegionInfo, Errno> {
    let argsz = size_of::<sys::vfio_region_info>() as u32;
    let mut arg = sys::vfio_region_info { argsz, index, ..Default::default() };
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes, and no capabilities where argsz has no room for them.
        unsafe { with_struct(device, request(8), &mut arg) }?;
        Ok(RegionInfo { index, flags: arg.flags, size: arg.size, offset: arg.offset })
    };
    let name = "VFIO_DEVICE_GET_REGION_INFO";
    let result = |r: &RegionInfo| {
        let flags = shown(name, "flags", r.flags.into());
        format!("0 {{flags={flags}, size={:#x}, offset={:#x}}}", r.size, r.offset)
    };
    let fields = format!("argsz={argsz}, index={}", shown(name, "index", index.into()));
    tracer.on_file(device, name, fields, run, result)
}

/// `VFIO_DEVICE_RESET` on a device; `EINVAL` if it knows no reset of its own.
pub fn device_reset(device: BorrowedFd, tracer: &Tracer) -> Result<(), Errno> {
    // SAFETY: the request takes no argument.
    tracer
        .on_file(device, "VFIO_DEVICE_RESET", String::new(), || unsafe { with_value(device, request(11), 0) }, zero)
        .map(drop)
}

/// `VFIO_DEVICE_BIND_IOMMUFD` on a device's own file: returns the id by which the IOMMUFD knows the device.
pub fn bind_iommufd(
    device: BorrowedFd,
    iommufd: BorrowedFd,
    token: Option<&VfToken>,
    tracer: &Tracer,
) -> Result<u32, Errno> {
    let argsz = size_of::<sys::vfio_device_bind_iommufd>() as u32;
    let mut arg = sys::vfio_device_bind_iommufd { argsz, iommufd: iommufd.as_raw_fd(), ..Default::default() };
    let mut shown = "flags=0".to_owned();
    if let Some(token) = token {
        arg.flags = sys::VFIO_DEVICE_BIND_FLAG_TOKEN;
        arg.token_uuid_ptr = token.0.as_ptr() as u64;
        shown = format!("flags=TOKEN, token={token}");
    }
    let fields = format!("argsz={argsz}, {shown}, iommufd={}", arg.iommufd);
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes; with its flag it reads the 16 bytes of the token, which outlives the
        // call, and without it no address is followed.
        unsafe { with_struct(device, request(18), &mut arg) }?;
        Ok(arg.out_devid)
    };
    tracer.on_file(device, "VFIO_DEVICE_BIND_IOMMUFD", fields, run, |id| format!("0 {{out_devid={id}}}"))
}

/// A UUID that whoever opens the virtual functions of an SR-IOV device has to know (`vfio_pci_core_match_token_uuid` in the kernel's
/// `drivers/vfio/pci/vfio_pci_core.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VfToken([u8; 16]);

impl VfToken {
    /// In the order of its digits.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

/// As the kernel reads it behind `vf_token=`: `52ac9bff-3a88-4fbd-901a-0d767c3b6c97`.
impl std::fmt::Display for VfToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            f.write_str(if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" })?;
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for VfToken {
    type Err = ();

    fn from_str(text: &str) -> Result<VfToken, ()> {
        let dashes = |(index, byte): (usize, u8)| (byte == b'-') == matches!(index, 8 | 13 | 18 | 23);
        if text.len() != 36 || !text.bytes().enumerate().all(dashes) {
            return Err(());
        }
        let digits: Option<Vec<u8>> =
            text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.ok_or(())?.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(VfToken(bytes))
    }
}

/// `VFIO_DEVICE_FEATURE` with `VFIO_DEVICE_FEATURE_PCI_VF_TOKEN`: sets the token of an open SR-IOV device; `ENOTTY` on another one.
pub fn set_vf_token(device: BorrowedFd, token: &VfToken, tracer: &Tracer) -> Result<(), Errno> {
    #[repr(C)]
    struct Feature {
        head: sys::vfio_device_feature,
        uuid: [u8; 16],
    }
    let argsz = size_of::<Feature>() as u32;
    let flags = sys::VFIO_DEVICE_FEATURE_SET | sys::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN;
    let head = sys::vfio_device_feature { argsz, flags, ..Default::default() };
    let mut arg = Feature { head, uuid: token.0 };
    // SAFETY: the request takes a vfio_device_feature with 16 bytes behind it, argsz in all.
    let run = || unsafe { with_struct(device, request(17), &mut arg) };
    let fields = format!("argsz={argsz}, flags=SET|PCI_VF_TOKEN, token={token}");
    tracer.on_file(device, "VFIO_DEVICE_FEATURE", fields, run, zero).map(drop)
}

/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT` on a bound device: gives it the address space `pt`, the id of an IOAS or a HWPT;
/// returns the id of what it is attached to, the HWPT.
pub fn attach_iommufd_pt(device: BorrowedFd, pt: u32, pasid: Option<u32>, tracer: &Tracer) -> Result<u32, Errno> {
    let argsz = size_of::<sys::vfio_device_attach_iommufd_pt>() as u32;
    let flags = pasid.map_or(0, |_| sys::VFIO_DEVICE_ATTACH_PASID);
    let mut arg = sys::vfio_device_attach_iommufd_pt { argsz, flags, pt_id: pt, pasid: pasid.unwrap_or(0) };
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes.
        unsafe { with_struct(device, request(19), &mut arg) }?;
        Ok(arg.pt_id)
    };
    let fields = format!("argsz={argsz}, flags={}, pt_id={pt}{}", flag(pasid), shown_pasid(pasid));
    tracer.on_file(device, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", fields, run, |id| format!("0 {{pt_id={id}}}"))
}

/// `VFIO_DEVICE_DETACH_IOMMUFD_PT` on a bound device: takes its address space away.
pub fn detach_iommufd_pt(device: BorrowedFd, pasid: Option<u32>, tracer: &Tracer) -> Result<(), Errno> {
    let argsz = size_of::<sys::vfio_device_detach_iommufd_pt>() as u32;
    let flags = pasid.map_or(0, |_| sys::VFIO_DEVICE_DETACH_PASID);
    let mut arg = sys::vfio_device_detach_iommufd_pt { argsz, flags, pasid: pasid.unwrap_or(0) };
    // SAFETY: the request takes this struct of argsz bytes.
    let run = || unsafe { with_struct(device, request(20), &mut arg) };
    let fields = format!("argsz={argsz}, flags={}{}", flag(pasid), shown_pasid(pasid));
    tracer.on_file(device, "VFIO_DEVICE_DETACH_IOMMUFD_PT", fields, run, zero).map(drop)
}

fn flag(pasid: Option<u32>) -> &'static str {
    pasid.map_or("0", |_| "PASID")
}

fn shown_pasid(pasid: Option<u32>) -> String {
    pasid.map_or_else(String::new, |pasid| format!(", pasid={pasid}"))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_request_is_traced_with_the_file_that_it_is_on() {
        let (null, tracer) = (File::open("/dev/null").unwrap(), Tracer::new());
        let token = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97".parse().unwrap();
        assert_eq!(set_vf_token(null.as_fd(), &token, &tracer), Err(Errno(libc::ENOTTY)));
        let line = format!(
            "VFIO_DEVICE_FEATURE(fd={}, argsz=24, flags=SET|PCI_VF_TOKEN, token={token}) = -1 ENOTTY",
            null.as_raw_fd()
        );
        assert!(tracer.take().lines[0].starts_with(&line));
    }

    fn answer(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn the_capabilities_are_read_wherever_they_stand() {
        let info = parse_iommu_info(&answer(&[
            84,
            3,
            0x4020_1000,
            0,
            24,
            0, // argsz, flags, page sizes, cap_offset, padding
            1 << 16 | 3,
            36,
            0xffff, // DMA_AVAIL
            1 << 16 | 1,
            0,
            2,
            0, // two ranges, the higher one first, and the end of the chain
            0xfef0_0000,
            0,
            0xffff_ffff,
            0x7f, //
            0,
            0,
            0xfedf_ffff,
            0,
        ]));
        assert_eq!((info.page_sizes, info.dma_avail, info.migration), (0x4020_1000, Some(0xffff), false));
        let ranges = [(0, 0xfedf_ffff), (0xfef0_0000, 0x7f_ffff_ffff)];
        assert_eq!(info.iova_ranges, Some(ranges.map(|(start, last)| IovaRange { start, last }).to_vec()));
    }

    #[test]
    fn an_answer_without_room_or_without_end_is_no_trouble() {
        assert_eq!(parse_iommu_info(&answer(&[120, 3, 0x1000, 0, 0, 0])).iova_ranges, None);
        // A capability that follows itself, and one beyond the end.
        assert_eq!(
            parse_iommu_info(&answer(&[36, 3, 0x1000, 0, 24, 0, 2, 24])),
            IommuInfo { page_sizes: 0x1000, migration: true, ..IommuInfo::default() }
        );
        assert_eq!(parse_iommu_info(&answer(&[36, 2, 0, 0, 4000, 0])), IommuInfo::default());
        assert_eq!(parse_iommu_info(&[]), IommuInfo::default());
    }
}
