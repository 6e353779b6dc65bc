// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a request is: its number, the file that it is called on, and the fields of its argument.

use super::Pointer;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum File {
    /// `/dev/vfio/vfio`, or `/dev/iommu` in that part.
    Container,
    Group,
    /// A device, through its group or of its own.
    Device,
    Iommufd,
    /// A device's stream of migration data.
    Migration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Argument {
    None,
    Number,
    /// A struct that begins with its own size, `argsz` or `size`.
    Sized,
    /// A struct, or bytes, of which the kernel knows the size.
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    In,
    Out,
    InOut,
}

/// What a request that succeeds may change, beside what it writes into its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    Nothing,
    /// The device, or an object that is not mapped for it; but nothing of what is mapped.
    Device,
    Mappings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in the header; inside another struct with that one's, as in `bitmap.size`.
    pub name: &'static str,
    /// In bytes from the argument's start; at or beyond [`Request::size`] for what may stand behind the struct.
    pub offset: usize,
    /// In bytes: 1, 2, 4 or 8.
    pub width: usize,
    pub direction: Direction,
}

impl Field {
    pub(super) fn end(&self) -> usize {
        self.offset + self.width
    }

    /// Whether a value fits, as an unsigned number or, with its sign, as a negative one.
    pub(super) fn fits(&self, value: u64) -> bool {
        let bits = self.width as u32 * 8;
        bits == 64 || value >> bits == 0 || (value as i64) < 0 && (value as i64) >> (bits - 1) == -1
    }

    pub(super) fn write(&self, bytes: &mut [u8], value: u64) {
        let into = &mut bytes[self.offset..self.end()];
        match self.width {
            1 => into.copy_from_slice(&(value as u8).to_ne_bytes()),
            2 => into.copy_from_slice(&(value as u16).to_ne_bytes()),
            4 => into.copy_from_slice(&(value as u32).to_ne_bytes()),
            _ => into.copy_from_slice(&value.to_ne_bytes()),
        }
    }

    /// Its value; 0 for what the bytes do not reach.
    pub(super) fn read(&self, bytes: &[u8]) -> u64 {
        let Some(from) = bytes.get(self.offset..self.end()) else { return 0 };
        match *from {
            [byte] => byte.into(),
            [a, b] => u16::from_ne_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub name: &'static str,
    pub number: u32,
    pub on: File,
    pub argument: Argument,
    /// The struct's size in bytes, without what may stand behind it; 0 without a struct.
    pub size: usize,
    pub fields: &'static [Field],
    pub pointers: &'static [Pointer],
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
