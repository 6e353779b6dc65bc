// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mappings of an address space, which calls add, cut and take away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Access, Answer};
use crate::model::Errno;

const EINVAL: Errno = Errno(libc::EINVAL);
const ENOENT: Errno = Errno(libc::ENOENT);

/// A mapping, which begins at the IOVA that it is kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// Its last byte.
    pub last: u64,
    /// What the device may do.
    pub access: Access,
    /// Whether its pages may be written, which a copy with other access needs.
    pub writable: bool,
    /// Where its pages are, if that is known.
    pub pages: Option<Pages>,
    /// Whether it is a device's memory, which the device may take back at any time. Then nothing of it is left in the page table.
    pub may_go: bool,
    /// Whether its memory can be pinned: all of it is there, and the process may do with it what the device was to do.
    pub sound: bool,
}

/// The pages of a mapping: a part of a list that whoever keeps the mappings has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pages {
    /// The number of the list.
    pub list: usize,
    /// Where in it the mapping begins, in bytes.
    pub from: u64,
}

impl Mapped {
    /// What is left of it from this many bytes on.
    fn behind(self, bytes: u64) -> Mapped {
        let pages = self.pages.map(|Pages { list, from }| Pages { list, from: from + bytes });
        Mapped { pages, ..self }
    }
}

/// The mappings of an address space by their first IOVAs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappings(BTreeMap<u64, Mapped>);

/// The last byte of a range of at least one byte.
pub(super) fn end(iova: u64, size: u64) -> u64 {
    iova.saturating_add(size - 1)
}

impl Mappings {
    /// No mappings.
    pub const fn new() -> Mappings {
        Mappings(BTreeMap::new())
    }

    /// The mappings in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Mapped)> {
        self.0.iter().map(|(&first, &mapped)| (first, mapped))
    }

    /// The number of bytes that are mapped.
    pub fn bytes(&self) -> u64 {
        self.iter().fold(0, |sum, (first, mapped)| sum.saturating_add((mapped.last - first).saturating_add(1)))
    }

    /// The number of bytes of a range that are mapped, from its first byte to its last.
    pub fn bytes_within(&self, first: u64, last: u64) -> u64 {
        let within = |(begin, mapped): (u64, Mapped)| (mapped.last.min(last) - begin.max(first)).saturating_add(1);
        self.overlapping(first, last).fold(0, |sum, mapping| sum.saturating_add(within(mapping)))
    }

    /// Enters a mapping of at least one byte.
    pub fn insert(&mut self, iova: u64, size: u64, access: Access) {
        let (last, writable) = (end(iova, size), access.write);
        self.0.insert(iova, Mapped { last, access, writable, pages: None, may_go: false, sound: true });
    }

    /// Notes that the memory of the mapping that begins at an IOVA cannot be pinned.
    pub fn unsound(&mut self, iova: u64) {
        if let Some(mapped) = self.0.get_mut(&iova) {
            mapped.sound = false;
        }
    }

    /// Notes where the pages of the mapping are that begins at an IOVA.
    pub fn know(&mut self, iova: u64, pages: Pages) {
        if let Some(mapped) = self.0.get_mut(&iova) {
            mapped.pages = Some(pages);
        }
    }

    /// Notes that the mapping that begins at an IOVA is a device's memory, which may be taken back.
    pub fn may_go(&mut self, iova: u64) {
        if let Some(mapped) = self.0.get_mut(&iova) {
            mapped.may_go = true;
        }
    }

    /// Forgets where the pages of all mappings are.
    pub fn forget_pages(&mut self) {
        self.0.values_mut().for_each(|mapped| mapped.pages = None);
    }

    /// Takes over, for a range, what others have there. No mapping of either reaches out of it.
    pub fn take_over(&mut self, others: &Mappings, first: u64, last: u64) {
        self.0.retain(|&begin, _| !(first..=last).contains(&begin));
        self.0.extend(others.0.range(first..=last).map(|(&begin, &mapped)| (begin, Mapped { pages: None, ..mapped })));
    }

    /// The range together with the mappings that reach into it.
    pub fn widened(&self, first: u64, last: u64) -> (u64, u64) {
        let all = self.overlapping(first, last);
        all.fold((first, last), |(first, last), (begin, mapped)| (first.min(begin), last.max(mapped.last)))
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a copy of a range of at least one byte is made of: a mapping for each that it was made of, with where it begins from the
    /// range's beginning on.
    pub fn pieces(&self, from: u64, size: u64, access: Access) -> Vec<(u64, Mapped)> {
        let piece = |(first, mapped): (u64, Mapped)| {
            let last = mapped.last.min(end(from, size)) - from;
            (first.max(from) - from, Mapped { last, access, ..mapped.behind(from.saturating_sub(first)) })
        };
        self.overlapping(from, end(from, size)).map(piece).collect()
    }

    /// Enters what a copy is made of.
    pub fn insert_pieces(&mut self, iova: u64, pieces: Vec<(u64, Mapped)>) {
        let placed = |(first, mapped): (u64, Mapped)| (iova + first, Mapped { last: iova + mapped.last, ..mapped });
        self.0.extend(pieces.into_iter().map(placed));
    }

    /// Removes the mappings that have a byte in a range, whole, and returns their bytes.
    pub fn take_overlapping(&mut self, iova: u64, size: u64) -> u64 {
        let found: Vec<(u64, Mapped)> = self.overlapping(iova, end(iova, size)).collect();
        found.into_iter().fold(0, |gone, (first, mapped)| {
            self.0.remove(&first);
            gone + (mapped.last - first) + 1
        })
    }

    /// Removes mapping after mapping of a range, up to the first that is not whole in it (`iopt_unmap_iova_range`).
    pub(super) fn take_in_turn(&mut self, iova: u64, size: u64) -> Answer {
        let found: Vec<(u64, Mapped)> = self.overlapping(iova, end(iova, size)).collect();
        let mut gone = 0;
        for (first, mapped) in found {
            if first < iova || mapped.last > end(iova, size) {
                return Err(vec![ENOENT]);
            }
            self.0.remove(&first);
            gone += mapped.last - first + 1;
        }
        Ok(gone)
    }

    /// Cuts the mapping that goes on behind this byte (`iopt_area_split`).
    pub(super) fn cut_behind(&mut self, byte: u64, page: u64) -> Result<(), Errno> {
        let Some((first, mapped)) = self.at(byte).filter(|(first, mapped)| byte != *first && byte != mapped.last)
        else {
            return Ok(());
        };
        if !(byte + 1).is_multiple_of(page) {
            return Err(EINVAL);
        }
        self.0.insert(first, Mapped { last: byte, ..mapped });
        self.0.insert(byte + 1, mapped.behind(byte + 1 - first));
        Ok(())
    }

    /// The mapping that has this byte.
    pub(super) fn at(&self, byte: u64) -> Option<(u64, Mapped)> {
        self.overlapping(byte, byte).next()
    }

    /// The mappings that have a byte from `first` to `last`, in order.
    pub fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, Mapped)> {
        // They do not overlap each other: of those that begin before the range only the last can reach into it.
        let before = self.0.range(..first).next_back().filter(|(_, mapped)| mapped.last >= first);
        before.into_iter().chain(self.0.range(first..=last)).map(|(&first, &mapped)| (first, mapped))
    }
}

impl FromIterator<(u64, Mapped)> for Mappings {
    fn from_iter<T: IntoIterator<Item = (u64, Mapped)>>(mappings: T) -> Mappings {
        Mappings(mappings.into_iter().collect())
    }
}
