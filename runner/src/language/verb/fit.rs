// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a number has to be beyond a number.

use crate::language::Size;

/// The most threads of a `parallel`: more of them prove nothing more.
pub const MOST_THREADS: u64 = 64;
/// The most interrupt vectors that MSI-X can have.
pub const MOST_VECTORS: u64 = 2048;

/// What a number has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Anything of 64 bits.
    Any,
    /// Something to map.
    NotZero,
    /// How often steps run.
    Rounds,
    /// How many threads run steps.
    Threads,
    /// How many interrupt vectors are enabled.
    Vectors,
    /// The value of a byte.
    Byte,
    /// A page or an alignment.
    PowerOfTwo,
    /// The number of a BAR.
    Bar,
    /// The offset of a register of this many bytes.
    Register(u64),
    /// A number of this many bits.
    Bits(u8),
}

impl Fit {
    /// What is expected instead, if the number does not fit.
    pub fn refuses(self, Size(number): Size) -> Option<String> {
        let fits = match self {
            Fit::Any => true,
            Fit::NotZero | Fit::Rounds => number > 0,
            Fit::Threads => (1..=MOST_THREADS).contains(&number),
            Fit::Vectors => (1..=MOST_VECTORS).contains(&number),
            Fit::Byte => number <= 0xff,
            Fit::PowerOfTwo => number.is_power_of_two() && number >= 4096,
            Fit::Bar => number <= 5,
            Fit::Register(bytes) => number.is_multiple_of(bytes),
            Fit::Bits(bits) => number <= largest(bits),
        };
        (!fits).then(|| match self {
            Fit::Any => "expected a number".to_owned(),
            Fit::NotZero => "expected at least one byte".to_owned(),
            Fit::Rounds => "expected at least 1: what is never done is never checked".to_owned(),
            Fit::Threads => format!("expected 1 to {MOST_THREADS} at the same time"),
            Fit::Vectors => format!("expected 1 to {MOST_VECTORS} vectors"),
            Fit::Byte => "expected at most 0xff, the largest value of a byte".to_owned(),
            Fit::PowerOfTwo => "expected a power of two of at least 4KiB".to_owned(),
            Fit::Bar => "expected 0 to 5: a device has six BARs at most".to_owned(),
            Fit::Register(_) => {
                "expected a multiple of the register's width, which `bits` says: 32 unless given".to_owned()
            }
            Fit::Bits(bits) => format!("expected at most {:#x}, the largest value of {bits} bits", largest(bits)),
        })
    }

    /// The number as people who know what it is would write it.
    pub fn shown(self, size: Size) -> String {
        match self {
            Fit::Byte | Fit::Bits(_) if size.0 > 9 => format!("{:#x}", size.0),
            _ => size.to_string(),
        }
    }
}

fn largest(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits))
}
