//! IOMMUFD: I/O address spaces on `/dev/iommu` (`include/uapi/linux/iommufd.h`).

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use iommufd_bindings as sys;

use super::ioctl::{io, with_struct};
use super::{Access, Errno, IovaRange, Tracer};

/// Opens `/dev/iommu`.
pub fn open(tracer: &Tracer) -> Result<OwnedFd, Errno> {
    super::open(Path::new("/dev/iommu"), tracer)
}

fn zero<T>(_: &T) -> String {
    "0".into()
}

/// `IOMMU_IOAS_ALLOC`: a new, empty address space; gives its id.
pub fn ioas_alloc(iommufd: BorrowedFd, tracer: &Tracer) -> Result<u32, Errno> {
    let size = size_of::<sys::iommu_ioas_alloc>() as u32;
    let mut arg = sys::iommu_ioas_alloc { size, flags: 0, out_ioas_id: 0 };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_ALLOC), &mut arg) }?;
        Ok(arg.out_ioas_id)
    };
    tracer.call("IOMMU_IOAS_ALLOC", format!("size={size}, flags=0"), run, |id| format!("0 {{out_ioas_id={id}}}"))
}

/// `IOMMU_DESTROY`: any object by its id; `EBUSY` while another one uses it.
pub fn destroy(iommufd: BorrowedFd, id: u32, tracer: &Tracer) -> Result<(), Errno> {
    let size = size_of::<sys::iommu_destroy>() as u32;
    let mut arg = sys::iommu_destroy { size, id };
    // SAFETY: the request takes this struct of `size` bytes.
    let run = || unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_DESTROY), &mut arg) };
    tracer.call("IOMMU_DESTROY", format!("size={size}, id={id}"), run, zero).map(drop)
}

/// `IOMMU_IOAS_MAP` with `FIXED_IOVA`: `length` bytes of the caller's memory at `user_va`, for devices at `iova`.
pub fn ioas_map(
    iommufd: BorrowedFd,
    ioas: u32,
    user_va: u64,
    iova: u64,
    length: u64,
    access: Access,
    tracer: &Tracer,
) -> Result<(), Errno> {
    let size = size_of::<sys::iommu_ioas_map>() as u32;
    let mut flags = sys::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA;
    flags |= if access.read { sys::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE } else { 0 };
    flags |= if access.write { sys::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE } else { 0 };
    let mut arg = sys::iommu_ioas_map { size, flags, ioas_id: ioas, __reserved: 0, user_va, length, iova };
    let mut names = String::from("FIXED_IOVA");
    names.push_str(if access.write { "|WRITEABLE" } else { "" });
    names.push_str(if access.read { "|READABLE" } else { "" });
    let fields =
        format!("size={size}, flags={names}, ioas_id={ioas}, user_va={user_va:#x}, length={length:#x}, iova={iova:#x}");
    // SAFETY: the request takes this struct of `size` bytes. The kernel pins what is at user_va, or fails with EFAULT;
    // a device that then writes there can reach only memory that its caller named, which Mapping never lends as a reference.
    let run = || unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_MAP), &mut arg) };
    tracer.call("IOMMU_IOAS_MAP", fields, run, zero).map(drop)
}

/// `IOMMU_IOAS_UNMAP`: gives the bytes that the kernel says it unmapped. 0 and `u64::MAX` mean everything.
pub fn ioas_unmap(iommufd: BorrowedFd, ioas: u32, iova: u64, length: u64, tracer: &Tracer) -> Result<u64, Errno> {
    let size = size_of::<sys::iommu_ioas_unmap>() as u32;
    let mut arg = sys::iommu_ioas_unmap { size, ioas_id: ioas, iova, length };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_IOAS_UNMAP), &mut arg) }?;
        Ok(arg.length)
    };
    let fields = format!("size={size}, ioas_id={ioas}, iova={iova:#x}, length={length:#x}");
    tracer.call("IOMMU_IOAS_UNMAP", fields, run, |length| format!("0 {{length={length:#x}}}"))
}

/// What `IOMMU_IOAS_IOVA_RANGES` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IovaRanges {
    /// The addresses that can be mapped, sorted.
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
        let (count, alignment) = tracer.call("IOMMU_IOAS_IOVA_RANGES", fields, run, shown)?;
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
