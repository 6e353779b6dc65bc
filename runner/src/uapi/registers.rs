// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers of a device that no driver offers, in a file that shows physical memory (`/dev/mem`).

use std::os::fd::AsRawFd;
use std::{fs::File, io};

use super::system::page_size;

/// Reads registers of 32 bits at these offsets in bytes from the address of the first one, which begins a page. All are in that page.
///
/// Registers cannot be read by read(2), which is for memory only (`valid_phys_addr_range` of arm64).
///
/// # Errors
/// The kernel does not let this page be mapped, or an offset is not that of a register in it.
pub fn read<const N: usize>(file: &File, address: u64, offsets: [usize; N]) -> io::Result<[u32; N]> {
    let page = page_size() as usize;
    let is_register = |offset: &usize| offset.is_multiple_of(4) && *offset < page;
    if !offsets.iter().all(is_register) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let at = libc::off_t::try_from(address).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: no address is asked for, so the kernel takes one that nothing else uses.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), page, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), at) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: each is a whole number inside of the page that was mapped above, as checked; what the device changes meanwhile is read as it
    // is at that moment.
    let registers = offsets.map(|offset| unsafe { base.cast::<u32>().add(offset / 4).read_volatile() });
    // SAFETY: this is what was mapped above, and nothing refers to it any more.
    unsafe { libc::munmap(base, page) };
    Ok(registers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_read_where_they_are() {
        let path = std::env::temp_dir().join(format!("vfiospec-{}-registers", std::process::id()));
        let page = page_size();
        let mut bytes = vec![0; 2 * page as usize];
        bytes[page as usize + 8..page as usize + 12].copy_from_slice(&[1, 2, 3, 4]);
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(read(&file, page, [8, 12]).unwrap(), [0x0403_0201, 0]);
        for (address, offset) in [(page, 6), (page, page as usize), (page + 1, 8), (u64::MAX, 8)] {
            assert!(read(&file, address, [offset]).is_err(), "{address:#x} {offset}");
        }
    }
}
