// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fixes of the kernel: what a commit mended, and the releases that have it.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A commit of Linux that mended a bug.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// The title of the commit.
    pub title: String,
    /// The commit in mainline, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The first release of each series that has it: mainline's, and those of stable series.
    pub releases: Vec<Release>,
    /// The first release of each series that has the bug, as far as it is known: mainline's, and those of stable series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_since: Vec<Release>,
}

impl Fix {
    /// What tells it apart from others: the first digits of its commit, or else its title.
    pub fn key(&self) -> &str {
        self.commit.as_ref().map_or(&self.title, Commit::short)
    }

    /// The first release that has it, for who runs this kernel (`uname -r`): that of the kernel's own series, or else mainline's.
    pub fn release_for(&self, kernel: &str) -> Option<Release> {
        Release::among(&self.releases, kernel)
    }

    /// Whether this kernel should have it, by its version. A release candidate, and a version that does not tell its stable release, say
    /// nothing.
    pub fn is_due(&self, kernel: &str) -> bool {
        let since = self.release_for(kernel).filter(|_| !kernel.contains("-rc"));
        since.zip(Release::of_kernel(kernel)).is_some_and(|(since, kernel)| since <= kernel)
    }

    /// The release that brought the bug, if this kernel is older by its version. One that does not tell its stable release, such as
    /// 6.1.0-40-amd64 of Debian, may have the bugs of its stable series.
    pub fn bug_to_come(&self, kernel: &str) -> Option<Release> {
        let since = Release::among(&self.broken_since, kernel)?;
        let kernel = Release::of_kernel(kernel)?;
        let may_be_any = since.series() == kernel.series() && !since.is_mainline() && kernel.stable.unwrap_or(0) == 0;
        (kernel < since && !may_be_any).then_some(since)
    }
}

/// The id of a commit: 12 to 40 hexadecimal digits, shown as 12.
#[derive(Debug, Clone)]
pub struct Commit(String);

impl Commit {
    /// How many digits are shown, as in the `Fixes:` lines of the kernel.
    const SHOWN: usize = 12;

    /// The id as it is written; `None` for other text.
    pub fn parse(text: &str) -> Option<Commit> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = (Self::SHOWN..=40).contains(&text.len()) && text.bytes().all(is_digit);
        is_id.then(|| Commit(text.to_owned()))
    }

    /// Its first digits, by which commits are told apart.
    pub fn short(&self) -> &str {
        &self.0[..Self::SHOWN]
    }
}

impl PartialEq for Commit {
    fn eq(&self, other: &Commit) -> bool {
        self.short() == other.short()
    }
}

impl Eq for Commit {}

impl std::hash::Hash for Commit {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.short().hash(state);
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl Serialize for Commit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Commit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Commit, D::Error> {
        let text = String::deserialize(deserializer)?;
        Commit::parse(&text).ok_or_else(|| de::Error::custom("a commit is 12 to 40 hexadecimal digits"))
    }
}

impl JsonSchema for Commit {
    fn schema_name() -> Cow<'static, str> {
        "Commit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The id of a commit: 12 to 40 hexadecimal digits.",
            "type": "string",
            "pattern": "^[0-9a-f]{12,40}$",
            "examples": ["f00ba4c0ffee"],
        })
    }
}

/// A release of Linux: `6.14` of mainline, or `6.12.9` of a stable series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    series: (u32, u32),
    /// The number within a stable series. None is less than any.
    stable: Option<u32>,
}

impl Release {
    /// A release as it is written; `None` for other text.
    pub fn parse(text: &str) -> Option<Release> {
        let number = |part: &str| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
        let numbers = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
        match numbers[..] {
            [major, minor] => Some(Release { series: (major, minor), stable: None }),
            [major, minor, stable] => Some(Release { series: (major, minor), stable: Some(stable) }),
            _ => None,
        }
    }

    /// The release that a kernel is made of, by its version (`uname -r`), such as 6.12.107 of `6.12.107+deb13-amd64`.
    pub fn of_kernel(version: &str) -> Option<Release> {
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
        Release::parse(version[..end].trim_end_matches('.'))
    }

    /// The one of these releases that counts for this kernel: that of the kernel's own series, or else mainline's.
    fn among(releases: &[Release], kernel: &str) -> Option<Release> {
        let own = Release::of_kernel(kernel).map(Release::series);
        let of_series = releases.iter().find(|release| Some(release.series()) == own);
        of_series.or_else(|| releases.iter().find(|release| release.is_mainline())).copied()
    }

    /// Whether it is one of mainline.
    pub fn is_mainline(self) -> bool {
        self.stable.is_none()
    }

    /// Its series, such as 6.12 of 6.12.9.
    pub fn series(self) -> (u32, u32) {
        self.series
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.series;
        write!(f, "{major}.{minor}")?;
        self.stable.map_or(Ok(()), |stable| write!(f, ".{stable}"))
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Release, D::Error> {
        let text = String::deserialize(deserializer)?;
        Release::parse(&text).ok_or_else(|| de::Error::custom("a release of Linux is two or three numbers"))
    }
}

impl JsonSchema for Release {
    fn schema_name() -> Cow<'static, str> {
        "Release".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A release of Linux: two numbers for one of mainline, three for one of a stable series.",
            "type": "string",
            "pattern": r"^[0-9]+\.[0-9]+(\.[0-9]+)?$",
            "examples": ["6.14", "6.12.9"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(releases: &[&str]) -> Fix {
        let releases = releases.iter().map(|text| Release::parse(text).unwrap()).collect();
        Fix { title: "iommufd: Fix it".into(), commit: Commit::parse("f00ba4c0ffee"), releases, broken_since: vec![] }
    }

    #[test]
    fn the_release_is_that_of_the_kernels_own_series_or_mainlines() {
        let fix = fix(&["6.14", "6.12.9", "6.1.130"]);
        let of = |kernel| fix.release_for(kernel).unwrap().to_string();
        assert_eq!(of("6.12.3"), "6.12.9");
        assert_eq!(of("6.12.107+deb13-amd64"), "6.12.9");
        assert_eq!(of("6.1.0-40-amd64"), "6.1.130");
        assert_eq!(of("6.14.2"), "6.14");
        for kernel in ["6.13.7", "7.3.4", "5.10.1", "6.120.1", "", "unknown"] {
            assert_eq!(of(kernel), "6.14", "{kernel}");
        }
    }

    #[test]
    fn a_kernel_should_have_it_from_its_release_on() {
        let fix = fix(&["6.14", "6.12.9"]);
        for (kernel, is_due) in [
            ("6.12.8", false),
            ("6.12.9", true),
            ("6.12.107+deb13-amd64", true),
            ("6.13.9", false),
            ("6.14.0", true),
            ("6.14-rc2", false),
            ("7.3.4", true),
            ("6.1.0-40-amd64", false),
            ("", false),
        ] {
            assert_eq!(fix.is_due(kernel), is_due, "{kernel}");
        }
    }

    #[test]
    fn a_kernel_that_is_older_than_the_bug_does_not_have_it() {
        let broken_since = ["6.10", "6.9.7", "6.6.36"].map(|text| Release::parse(text).unwrap()).to_vec();
        let fix = Fix { broken_since, ..fix(&["6.10", "6.9.10"]) };
        let of = |kernel| fix.bug_to_come(kernel).map(|release| release.to_string()).unwrap_or_default();
        for (kernel, since) in [
            ("6.1.176", "6.10"),
            ("6.8.12+deb13-amd64", "6.10"),
            ("6.6.35", "6.6.36"),
            ("6.6.36", ""),
            ("6.6.0-1-amd64", ""), // Debian's name for any release of 6.6
            ("6.6-rc3", ""),
            ("6.9.6", "6.9.7"),
            ("6.10.0", ""),
            ("6.10-rc1", ""),
            ("7.3.4", ""),
            ("", ""),
        ] {
            assert_eq!(of(kernel), since, "{kernel}");
        }
        assert_eq!(Fix { broken_since: vec![], ..fix }.bug_to_come("2.6.1"), None);
    }

    #[test]
    fn releases_and_commits_are_what_they_look_like() {
        for text in ["6.14", "6.12.9", "10.0"] {
            assert_eq!(Release::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "6", "6.", "v6.14", "6.14-rc1", "6.12.9.1", "+6.1", "6.99999999999"] {
            assert_eq!(Release::parse(text), None, "{text}");
        }
        let long = Commit::parse("f00ba4c0ffee00112233445566778899aabbccdd").unwrap();
        assert_eq!(long, Commit::parse("f00ba4c0ffee").unwrap());
        assert_eq!(long.to_string(), "f00ba4c0ffee");
        for text in ["", "f00ba4c", "F00BA4C0FFEE", "f00ba4c0ffeg", &"0".repeat(41), "ääääää"] {
            assert_eq!(Commit::parse(text), None, "{text}");
        }
    }
}
