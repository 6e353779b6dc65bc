// SPDX-License-Identifier: MIT OR Apache-2.0
//! Versions of kernels, packages and QEMU, in their order.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version such as `7.3.4-1~bpo13+1`, ordered like Debian does: numbers by value, `~` before everything, even the end.
#[derive(Debug, Clone)]
pub struct Version(String);

impl Version {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this one begins with `prefix` number by number: `6.12.3` begins with `6.12`, `6.120` does not.
    pub fn begins_with(&self, prefix: &Self) -> bool {
        self.0
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()) || prefix.0.ends_with(['.', '-']))
    }

    /// Without what Debian adds for its own: `6.18.15` of `6.18.15-1~bpo13+1`.
    pub(super) fn upstream(&self) -> Self {
        Self(self.0.rsplit_once('-').map_or(&*self.0, |(upstream, _)| upstream).to_owned())
    }

    /// The text with nothing in it that a folder under `make` cannot have.
    pub(super) fn file_name(&self) -> String {
        self.0.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fine = |c: char| c.is_ascii_alphanumeric() || ".-+~:".contains(c);
        if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(fine) {
            Ok(Self(text.into()))
        } else {
            Err(format!("`{text}` is no version: expected one such as `6.12` or `7.3.4`"))
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, rest) = epoch(&self.0);
        let (other_epoch, other_rest) = self::epoch(&other.0);
        epoch.cmp(&other_epoch).then_with(|| compare(rest, other_rest))
    }
}

fn epoch(text: &str) -> (u64, &str) {
    match text.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, text),
    }
}

/// Compares runs of other characters and runs of digits in turn.
fn compare(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (a_word, a_rest) = split(a, |c| !c.is_ascii_digit());
        let (b_word, b_rest) = split(b, |c| !c.is_ascii_digit());
        let (a_number, a_rest) = split(a_rest, |c| c.is_ascii_digit());
        let (b_number, b_rest) = split(b_rest, |c| c.is_ascii_digit());
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        let order = words(a_word, b_word).then_with(|| number(a_number).cmp(&number(b_number)));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}

fn split(text: &str, inside: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

/// `~` sorts before the end, the end before letters, letters before everything else.
fn words(a: &str, b: &str) -> Ordering {
    let rank = |c: char| match c {
        '~' => 0,
        c if c.is_ascii_alphabetic() => 2 + u32::from(c),
        c => 1000 + u32::from(c),
    };
    let ranks = |text: &str| text.chars().map(rank).chain([1]).collect::<Vec<_>>();
    ranks(a).cmp(&ranks(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_sort_by_number_and_a_tilde_comes_first() {
        let sorted =
            ["6.1", "6.9", "6.12~rc1-1", "6.12-1~bpo12+1", "6.12-1", "6.12-1+b1", "6.12.38-1", "7.3.4-1", "1:1.0"];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("6.012"), version("6.12"));
    }

    #[test]
    fn a_prefix_ends_between_numbers() {
        assert!(version("6.12.3").begins_with(&version("6.12")));
        assert!(version("6.12").begins_with(&version("6.12")));
        assert!(!version("6.120").begins_with(&version("6.12")));
        assert!(!version("6.1").begins_with(&version("6.12")));
    }

    #[test]
    fn nothing_but_a_version_is_one() {
        assert!("six".parse::<Version>().unwrap_err().contains("no version"));
        assert!("6.1; rm".parse::<Version>().is_err());
        assert_eq!(version("7.3.4-1~bpo13+1").file_name(), "7.3.4-1-bpo13-1");
    }

    #[test]
    fn what_debian_adds_is_behind_the_last_dash() {
        for (text, upstream) in
            [("6.18.15-1~bpo13+1", "6.18.15"), ("7.3~rc7-1~exp1", "7.3~rc7"), ("6.18.15", "6.18.15")]
        {
            assert_eq!(version(text).upstream().as_str(), upstream);
        }
    }
}
