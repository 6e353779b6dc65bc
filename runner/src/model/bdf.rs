// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI addresses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A PCI address: domain, bus, device, function, such as `0000:03:00.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    /// The segment; above 0xffff for those that the kernel made up (VMD).
    pub domain: u32,
    pub bus: u8,
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

/// As sysfs writes it: `0000:03:00.0`.
impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

/// A text that is no PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read '{0}' as a PCI address: it looks like 0000:03:00.0 or 03:00.0")]
pub struct NotBdf(pub String);

impl FromStr for Bdf {
    type Err = NotBdf;

    /// Without a domain it is 0000.
    fn from_str(text: &str) -> Result<Bdf, NotBdf> {
        let parsed = || {
            let (rest, function) = text.rsplit_once('.')?;
            let (rest, device) = rest.rsplit_once(':')?;
            let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
            Some(Bdf {
                domain: hex(domain, 4..=8, u32::MAX)?,
                bus: hex(bus, 2..=2, 0xff)?,
                device: hex(device, 2..=2, 0x1f)?,
                function: hex(function, 1..=1, 7)?,
            })
        };
        parsed().ok_or_else(|| NotBdf(text.into()))
    }
}

fn hex<N: TryFrom<u32>>(text: &str, digits: std::ops::RangeInclusive<usize>, max: u32) -> Option<N> {
    // from_str_radix alone would take a sign too.
    let well_formed = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|number| well_formed && *number <= max)?.try_into().ok()
}

impl Serialize for Bdf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bdf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bdf, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_or_without_its_domain() {
        for (text, canonical) in [
            ("0000:03:00.0", "0000:03:00.0"),
            ("03:00.0", "0000:03:00.0"),
            ("0001:AB:1f.7", "0001:ab:1f.7"),
            ("10000:00:02.0", "10000:00:02.0"),
        ] {
            assert_eq!(text.parse::<Bdf>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "3:0.0", "03:00", "03:20.0", "03:00.8", "0000:03:00.0/..", "+000:03:00.0", "0000:03:00.0 ", "ß3:00.0"]
        {
            assert_eq!(text.parse::<Bdf>(), Err(NotBdf(text.into())), "{text}");
        }
    }

    #[test]
    fn it_travels_as_its_text() {
        let bdf: Bdf = serde_json::from_str("\"03:00.0\"").unwrap();
        assert_eq!(serde_json::to_string(&bdf).unwrap(), "\"0000:03:00.0\"");
        assert!(serde_json::from_str::<Bdf>("\"eth0\"").is_err());
    }
}
