// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a request is: its number, the file that it is called on, and the fields of its argument with what they mean.

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

/// Names of values, as the header has them, without the prefix that they share.
pub type Words = &'static [(&'static str, u64)];

/// What the number in a field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    Number,
    /// A number with a sign, such as a file descriptor.
    Signed,
    /// One of these values.
    Word(Words),
    /// Bits; what is left without them is a word of `rest`, where there are any.
    Flags {
        bits: Words,
        rest: Words,
    },
}

impl Means {
    pub(super) const fn flags(bits: Words) -> Means {
        Means::Flags { bits, rest: &[] }
    }

    /// The names that a value may be given by.
    pub fn words(self) -> impl Iterator<Item = &'static (&'static str, u64)> {
        let (first, second): (Words, Words) = match self {
            Means::Number | Means::Signed => (&[], &[]),
            Means::Word(words) => (words, &[]),
            Means::Flags { bits, rest } => (bits, rest),
        };
        first.iter().chain(second)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in the header; inside another struct with that one's, as in `bitmap.size`. Empty for the only field of an array's elements.
    pub name: &'static str,
    /// In bytes from the argument's start; at or beyond [`Request::size`] for what may stand behind the struct.
    pub offset: usize,
    /// In bytes: 1, 2, 4 or 8.
    pub width: usize,
    pub direction: Direction,
    pub means: Means,
}

impl Field {
    pub(super) const fn new(name: &'static str, offset: usize, width: usize, direction: Direction) -> Field {
        Field { name, offset, width, direction, means: Means::Number }
    }

    pub(super) const fn means(self, means: Means) -> Field {
        Field { means, ..self }
    }

    /// The value that a name of the header stands for here.
    pub fn word(&self, name: &str) -> Option<u64> {
        self.means.words().find(|(word, _)| *word == name).map(|(_, value)| *value)
    }

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
    /// What the second word of the struct says, where one number is several requests.
    pub op: Option<u32>,
    pub on: File,
    pub argument: Argument,
    /// The struct's size in bytes, without what may stand behind it; 0 without a struct.
    pub size: usize,
    pub fields: &'static [Field],
    pub arrays: &'static [Array],
    pub pointers: &'static [Pointer],
    /// The chain of capabilities behind the struct, if the kernel may write one.
    pub chain: Option<&'static Chain>,
}

/// A list of structs or numbers that belongs to the argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    pub name: &'static str,
    pub place: Place,
    pub count: Count,
    /// The fields of an element, each with its offset in it; one without a name for a plain number.
    pub element: &'static [Field],
    /// The size of an element in bytes.
    pub stride: usize,
    pub direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the argument, at this offset.
    Behind(usize),
    /// At the address that stands at this offset.
    At(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// As many as the field of 32 bits at this offset says.
    Field(usize),
    Always(usize),
}

/// Capabilities, each with the place of the next, as `vfio_info_cap_header` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The bit of `flags` that says that there are any.
    pub flag: u32,
    /// Where the place of the first stands, in bytes from the argument's start.
    pub first: usize,
    pub known: &'static [Capability],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    pub id: u16,
    /// Its name in the header in lower case, without the prefix.
    pub name: &'static str,
    /// With their offsets from the capability's header.
    pub fields: &'static [Field],
    pub array: Option<Array>,
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub fn array(&self, name: &str) -> Option<&'static Array> {
        self.arrays.iter().find(|array| array.name == name)
    }

    /// The names of what the kernel writes.
    pub fn written(&self) -> impl Iterator<Item = &'static str> {
        let fields = self.fields.iter().filter(|field| field.direction != Direction::In).map(|field| field.name);
        let arrays = self.arrays.iter().filter(|array| array.direction != Direction::In).map(|array| array.name);
        fields.chain(arrays).chain(self.chain.map(|_| "capabilities"))
    }
}
