// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses in an argument: what the kernel does there, and what it may.

use super::Field;
use crate::uapi::Mapping;

/// Addresses from here on are the kernel's on every 64-bit machine, or nobody's: whatever follows one there fails.
pub const NOWHERE: u64 = 0xff80_0000_0000_0000;

/// Nothing is ever mapped below: a null pointer and a little more.
const NULL_PAGE: u64 = 4096;

#[derive(Debug, Clone, Copy)]
pub struct Pointer {
    /// Where it stands, in bytes from the argument's start; it may be behind the struct.
    pub offset: usize,
    pub does: Does,
    pub when: When,
}

#[derive(Debug, Clone, Copy)]
pub enum Does {
    Reads,
    /// It pins the memory for a device, which may write to it.
    Pins,
    /// It writes at most as many bytes as this makes of the argument.
    Writes(fn(&[u8]) -> u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// If the second 32-bit word, which is `flags`, has this value under this mask.
    Flags {
        mask: u32,
        value: u32,
    },
}

impl Pointer {
    /// Whether the kernel may be handed an argument as far as this address in it goes.
    pub(super) fn allows(&self, argument: &[u8], memory: &[&Mapping]) -> bool {
        if let When::Flags { mask, value } = self.when
            && word(argument, 4) & u64::from(mask) != u64::from(value)
        {
            return true;
        }
        let addr = quad(argument, self.offset);
        let len = match self.does {
            Does::Writes(len) => len(argument),
            Does::Reads | Does::Pins => 0,
        };
        let Some(end) = addr.checked_add(len) else { return false };
        let nobody = end <= NULL_PAGE || addr >= NOWHERE;
        nobody
            || memory.iter().any(|mapping| match self.does {
                Does::Writes(_) => mapping.takes_writes(addr, len),
                Does::Reads | Does::Pins => mapping.contains(addr),
            })
    }

    pub(super) fn addr(&self, argument: &[u8]) -> u64 {
        quad(argument, self.offset)
    }
}

const fn field(offset: usize, width: usize) -> Field {
    Field::new("", offset, width, super::Direction::In)
}

pub(super) fn word(argument: &[u8], offset: usize) -> u64 {
    field(offset, 4).read(argument)
}

pub(super) fn quad(argument: &[u8], offset: usize) -> u64 {
    // A tail may end in the midst of an address: the kernel sees zeros behind it.
    let mut bytes = [0; 8];
    let tail = argument.get(offset..).unwrap_or_default();
    let len = tail.len().min(8);
    bytes[..len].copy_from_slice(&tail[..len]);
    u64::from_ne_bytes(bytes)
}

/// How many bytes a bitmap of the dirty pages of a range has: the kernel counts pages in the lowest bit of their size, and
/// writes whole 64-bit words.
pub(super) fn dirty_bitmap_bytes(length: u64, page_size: u64) -> u64 {
    let page = 1u64.checked_shl(page_size.trailing_zeros()).unwrap_or(1);
    length.div_ceil(page).div_ceil(64).saturating_mul(8)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::uapi::{Anonymous, Placement, Prot, Tracer, memfd};

    fn allows(does: Does, addr: u64, memory: &[&Mapping]) -> bool {
        Pointer { offset: 0, does, when: When::Always }.allows(&addr.to_ne_bytes(), memory)
    }

    #[test]
    fn an_address_lies_in_memory_that_the_caller_holds() {
        let tracer = Tracer::new();
        let memory = Mapping::anonymous(&Anonymous::new(8192), &tracer).unwrap();
        let held = [&memory];
        let outside = std::ptr::from_ref(&held) as u64;
        for does in [Does::Reads, Does::Pins, Does::Writes(|_| 16)] {
            assert!(allows(does, memory.addr() + 16, &held));
            assert!(!allows(does, memory.addr() + 16, &[]));
            assert!(!allows(does, outside, &held));
            assert!(!allows(does, memory.addr() + memory.len(), &held));
            assert!(allows(does, 0, &[]) && allows(does, u64::MAX - 4095, &[]) && allows(does, NOWHERE, &[]));
            assert!(!allows(does, NOWHERE - 1, &[]) && !allows(does, 0x40_0000, &[]));
        }
    }

    #[test]
    fn what_the_kernel_writes_fits_into_memory_that_is_no_device() {
        let tracer = Tracer::new();
        let memory = Mapping::anonymous(&Anonymous::new(8192), &tracer).unwrap();
        let last = memory.addr() + memory.len() - 16;
        assert!(allows(Does::Writes(|_| 16), last, &[&memory]));
        assert!(!allows(Does::Writes(|_| 17), last, &[&memory]));
        assert!(!allows(Does::Writes(|_| u64::MAX), last, &[&memory]), "it runs around the end of all addresses");
        assert!(!allows(Does::Writes(|_| 1 << 20), 0, &[&memory]), "what is far behind a null pointer may be ours");
        let file = memfd("bar", 4096, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, 4096, Prot::ReadWrite, Placement::default(), &tracer).unwrap();
        assert!(allows(Does::Pins, bar.addr(), &[&bar]) && !allows(Does::Writes(|_| 8), bar.addr(), &[&bar]));
    }

    #[test]
    fn a_bitmap_is_as_long_as_the_kernel_counts() {
        assert_eq!(dirty_bitmap_bytes(4096 * 64, 4096), 8);
        assert_eq!(dirty_bitmap_bytes(4096 * 65, 4096), 16);
        assert_eq!(dirty_bitmap_bytes(4096 * 65, 3 * 4096), 16);
        assert_eq!(dirty_bitmap_bytes(u64::MAX, 0), 1 << 61);
    }
}
