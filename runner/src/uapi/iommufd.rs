// SPDX-License-Identifier: MIT OR Apache-2.0
//! IOMMUFD: I/O address spaces on `/dev/iommu` (`include/uapi/linux/iommufd.h`).

use std::os::fd::{AsRawFd, BorrowedFd};

use iommufd_bindings as sys;

use super::ioctl::{io, with_struct};
use super::{Access, IovaRange, Tracer, trace::zero};
use crate::model::Errno;

/// `IOMMU_IOAS_ALLOC`: makes a new, empty address space and returns its id.
pub fn ioas_alloc(iommufd: BorrowedFd, tracer: &Tracer) -> Result<u32, Errno> {
    let size = size_of::<sys::iommu_ioas_alloc>() as u32;
    let mut arg = sys::iommu_ioas_alloc { size, flags: 0, out_ioas_id: 0 };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_ALLOC), &mut arg) }?;
        Ok(arg.out_ioas_id)
    };
    tracer.on_file(iommufd, "IOMMU_IOAS_ALLOC", format!("size={size}, flags=0"), run, |id| {
        format!("0 {{out_ioas_id={id}}}")
    })
}

/// `IOMMU_DESTROY`: any object by its id; `EBUSY` while another one uses it.
pub fn destroy(iommufd: BorrowedFd, id: u32, tracer: &Tracer) -> Result<(), Errno> {
    let size = size_of::<sys::iommu_destroy>() as u32;
    let mut arg = sys::iommu_destroy { size, id };
    // SAFETY: the request takes this struct of `size` bytes.
    let run = || unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_DESTROY), &mut arg) };
    tracer.on_file(iommufd, "IOMMU_DESTROY", format!("size={size}, id={id}"), run, zero).map(drop)
}

/// `IOMMU_IOAS_MAP`: `length` bytes of the caller's memory at `user_va`, for devices at `iova` (`FIXED_IOVA`), or where the
/// kernel chooses; returns the iova.
pub fn ioas_map(
    iommufd: BorrowedFd,
    ioas: u32,
    user_va: u64,
    iova: Option<u64>,
    length: u64,
    access: Access,
    tracer: &Tracer,
) -> Result<u64, Errno> {
    let size = size_of::<sys::iommu_ioas_map>() as u32;
    let (flags, names) = map_flags(iova, access);
    let mut arg =
        sys::iommu_ioas_map { size, flags, ioas_id: ioas, __reserved: 0, user_va, length, iova: iova.unwrap_or(0) };
    let fields = format!(
        "size={size}, flags={names}, ioas_id={ioas}, user_va={user_va:#x}, length={length:#x}, iova={:#x}",
        arg.iova
    );
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes. The kernel pins what is at user_va, or fails with EFAULT;
        // a device that then writes there can reach only memory that its caller named, which Mapping never lends as a
        // reference.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_MAP), &mut arg) }?;
        Ok(arg.iova)
    };
    tracer.on_file(iommufd, "IOMMU_IOAS_MAP", fields, run, |got| chosen(iova, *got))
}

fn map_flags(iova: Option<u64>, access: Access) -> (u32, String) {
    let flags = [
        (iova.is_some(), sys::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA, "FIXED_IOVA"),
        (access.write, sys::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE, "WRITEABLE"),
        (access.read, sys::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE, "READABLE"),
    ];
    let asked = flags.into_iter().filter(|(asked, ..)| *asked);
    let (bits, names) = asked.fold((0, Vec::new()), |(bits, mut names), (_, bit, name)| {
        names.push(name);
        (bits | bit, names)
    });
    (bits, if names.is_empty() { "0".into() } else { names.join("|") })
}

/// The result of a map or copy: the iova is news only if the kernel chose it.
fn chosen(asked: Option<u64>, got: u64) -> String {
    if asked.is_some() { "0".into() } else { format!("0 {{iova={got:#x}}}") }
}

/// `IOMMU_IOAS_MAP_FILE`: `length` bytes of a file such as a memfd or a dma-buf from `start` on, for devices at `iova`, or
/// where the kernel chooses; returns the iova. Linux 6.13.
#[expect(clippy::too_many_arguments, reason = "the request has as many")]
pub fn ioas_map_file(
    iommufd: BorrowedFd,
    ioas: u32,
    file: BorrowedFd,
    start: u64,
    iova: Option<u64>,
    length: u64,
    access: Access,
    tracer: &Tracer,
) -> Result<u64, Errno> {
    let size = size_of::<sys::iommu_ioas_map_file>() as u32;
    let (flags, names) = map_flags(iova, access);
    let fd = file.as_raw_fd();
    let mut arg = sys::iommu_ioas_map_file { size, flags, ioas_id: ioas, fd, start, length, iova: iova.unwrap_or(0) };
    let fields = format!(
        "size={size}, flags={names}, ioas_id={ioas}, fd={fd}, start={start:#x}, length={length:#x}, iova={:#x}",
        arg.iova
    );
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes. The kernel pins the file's pages, not this process's
        // memory; where that file is mapped here too, Mapping never lends it as a reference.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_MAP_FILE), &mut arg) }?;
        Ok(arg.iova)
    };
    tracer.on_file(iommufd, "IOMMU_IOAS_MAP_FILE", fields, run, |got| chosen(iova, *got))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoasRange {
    pub ioas: u32,
    pub iova: u64,
    pub length: u64,
}

/// `IOMMU_IOAS_COPY`: what is mapped at `source`, also at `iova` of another address space, or where the kernel chooses;
/// returns the iova.
pub fn ioas_copy(
    iommufd: BorrowedFd,
    source: IoasRange,
    ioas: u32,
    iova: Option<u64>,
    access: Access,
    tracer: &Tracer,
) -> Result<u64, Errno> {
    let size = size_of::<sys::iommu_ioas_copy>() as u32;
    let (flags, names) = map_flags(iova, access);
    let IoasRange { ioas: src_ioas_id, iova: src_iova, length } = source;
    let dst_iova = iova.unwrap_or(0);
    let mut arg = sys::iommu_ioas_copy { size, flags, dst_ioas_id: ioas, src_ioas_id, length, dst_iova, src_iova };
    let fields = format!(
        "size={size}, flags={names}, dst_ioas_id={ioas}, src_ioas_id={src_ioas_id}, length={length:#x}, \
         dst_iova={dst_iova:#x}, src_iova={src_iova:#x}"
    );
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes; the pages behind it are those that were mapped before.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_COPY), &mut arg) }?;
        Ok(arg.dst_iova)
    };
    tracer.on_file(iommufd, "IOMMU_IOAS_COPY", fields, run, |got| chosen(iova, *got))
}

/// `IOMMU_IOAS_ALLOW_IOVAS`: the only addresses that the kernel may choose from, and that devices may not forbid;
/// `EADDRINUSE` where one does. No ranges: all of them.
pub fn ioas_allow_iovas(iommufd: BorrowedFd, ioas: u32, allowed: &[IovaRange], tracer: &Tracer) -> Result<(), Errno> {
    let size = size_of::<sys::iommu_ioas_allow_iovas>() as u32;
    let ranges: Vec<_> =
        allowed.iter().map(|range| sys::iommu_iova_range { start: range.start, last: range.last }).collect();
    let mut arg = sys::iommu_ioas_allow_iovas {
        size,
        ioas_id: ioas,
        num_iovas: ranges.len() as u32,
        __reserved: 0,
        allowed_iovas: ranges.as_ptr() as u64,
    };
    let shown: Vec<_> = allowed.iter().map(|range| format!("{:#x}..={:#x}", range.start, range.last)).collect();
    let fields = format!("size={size}, ioas_id={ioas}, allowed_iovas=[{}]", shown.join(", "));
    // SAFETY: the request takes this struct of `size` bytes, and reads num_iovas ranges at allowed_iovas: a vector of just
    // that length, which outlives the call.
    let run = || unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_ALLOW_IOVAS), &mut arg) };
    tracer.on_file(iommufd, "IOMMU_IOAS_ALLOW_IOVAS", fields, run, zero).map(drop)
}

/// `IOMMU_IOAS_UNMAP`: returns the bytes that the kernel says it unmapped. 0 and `u64::MAX` mean everything.
pub fn ioas_unmap(iommufd: BorrowedFd, ioas: u32, iova: u64, length: u64, tracer: &Tracer) -> Result<u64, Errno> {
    let size = size_of::<sys::iommu_ioas_unmap>() as u32;
    let mut arg = sys::iommu_ioas_unmap { size, ioas_id: ioas, iova, length };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_UNMAP), &mut arg) }?;
        Ok(arg.length)
    };
    let fields = format!("size={size}, ioas_id={ioas}, iova={iova:#x}, length={length:#x}");
    tracer.on_file(iommufd, "IOMMU_IOAS_UNMAP", fields, run, |length| format!("0 {{length={length:#x}}}"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IovaRanges {
    pub ranges: Vec<IovaRange>,
    /// What an iova has to be a multiple of, in bytes.
    pub alignment: u64,
}

/// `IOMMU_IOAS_IOVA_RANGES`, asked again with more room when the kernel says `EMSGSIZE`.
pub fn ioas_iova_ranges(iommufd: BorrowedFd, ioas: u32, tracer: &Tracer) -> Result<IovaRanges, Errno> {
    let size = size_of::<sys::iommu_ioas_iova_ranges>() as u32;
    let mut room = 4u32;
    loop {
        let mut ranges = vec![sys::iommu_iova_range { start: 0, last: 0 }; room as usize];
        let mut arg = sys::iommu_ioas_iova_ranges {
            size,
            ioas_id: ioas,
            num_iovas: room,
            __reserved: 0,
            allowed_iovas: ranges.as_mut_ptr() as u64,
            out_iova_alignment: 0,
        };
        let run = || {
            // SAFETY: the request takes this struct of `size` bytes, and writes at most num_iovas ranges to
            // allowed_iovas: a vector of just that length, which outlives the call.
            match unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_IOVA_RANGES), &mut arg) } {
                Ok(_) => Ok((arg.num_iovas, arg.out_iova_alignment)),
                // The number of ranges is written back, also if there were too many.
                Err(Errno(libc::EMSGSIZE)) if arg.num_iovas > room => Ok((arg.num_iovas, 0)),
                Err(errno) => Err(errno),
            }
        };
        let shown = |(count, alignment): &(u32, u64)| {
            let result = if *count > room { "-1 EMSGSIZE (message too long)" } else { "0" };
            format!("{result} {{num_iovas={count}, out_iova_alignment={alignment:#x}}}")
        };
        let fields = format!("size={size}, ioas_id={ioas}, num_iovas={room}");
        let (count, alignment) = tracer.on_file(iommufd, "IOMMU_IOAS_IOVA_RANGES", fields, run, shown)?;
        if count > room {
            room = count;
            continue;
        }
        let mut ranges: Vec<_> =
            ranges[..count as usize].iter().map(|r| IovaRange { start: r.start, last: r.last }).collect();
        ranges.sort();
        return Ok(IovaRanges { ranges, alignment });
    }
}

/// `IOMMU_OPTION_RLIMIT_MODE`: 0 to account pinned pages to the user, 1 to the process; of the whole IOMMUFD (object 0).
/// To set it needs `CAP_SYS_RESOURCE`, and is `EBUSY` once there are objects.
pub const RLIMIT_MODE: u32 = sys::iommufd_option_IOMMU_OPTION_RLIMIT_MODE;
/// `IOMMU_OPTION_HUGE_PAGES`: whether an IOAS may use pages above the smallest.
pub const HUGE_PAGES: u32 = sys::iommufd_option_IOMMU_OPTION_HUGE_PAGES;

/// `IOMMU_OPTION` with `IOMMU_OPTION_OP_SET`: an option such as [`RLIMIT_MODE`] of an object.
pub fn set_option(iommufd: BorrowedFd, option: u32, object: u32, value: u64, tracer: &Tracer) -> Result<(), Errno> {
    self::option(iommufd, option, Some(value), object, tracer).map(drop)
}

/// `IOMMU_OPTION` with `IOMMU_OPTION_OP_GET`: the value of an option such as [`RLIMIT_MODE`].
pub fn get_option(iommufd: BorrowedFd, option: u32, object: u32, tracer: &Tracer) -> Result<u64, Errno> {
    self::option(iommufd, option, None, object, tracer)
}

fn option(
    iommufd: BorrowedFd,
    option_id: u32,
    value: Option<u64>,
    object_id: u32,
    tracer: &Tracer,
) -> Result<u64, Errno> {
    let size = size_of::<sys::iommu_option>() as u32;
    let (op, op_name) = match value {
        Some(_) => (sys::iommufd_option_ops_IOMMU_OPTION_OP_SET, "SET"),
        None => (sys::iommufd_option_ops_IOMMU_OPTION_OP_GET, "GET"),
    };
    let val64 = value.unwrap_or(0);
    let mut arg = sys::iommu_option { size, option_id, op: op as u16, __reserved: 0, object_id, val64 };
    let shown = match option_id {
        RLIMIT_MODE => "RLIMIT_MODE".into(),
        HUGE_PAGES => "HUGE_PAGES".into(),
        other => other.to_string(),
    };
    let mut fields = format!("size={size}, option_id={shown}, op={op_name}, object_id={object_id}");
    if let Some(value) = value {
        fields.push_str(&format!(", val64={value}"));
    }
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_OPTION), &mut arg) }?;
        Ok(arg.val64)
    };
    let shown = |got: &u64| if value.is_some() { "0".into() } else { format!("0 {{val64={got}}}") };
    tracer.on_file(iommufd, "IOMMU_OPTION", fields, run, shown)
}
