//! What a region says fits its memory.

use super::Checker;
use crate::language::{Diagnostic, Dynamic, Memory, Path, Region, Size, Target};

/// What a size has to be beyond a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Any,
    /// Something to map.
    NotZero,
    /// Something to do.
    Rounds,
    /// The value of a byte.
    Byte,
    /// A page or an alignment.
    PowerOfTwo,
}

impl Fit {
    /// What every region's key of this name has to be.
    pub fn of(key: &str) -> Fit {
        match key {
            "size" => Fit::NotZero,
            "page" | "align" => Fit::PowerOfTwo,
            _ => Fit::Any,
        }
    }

    /// What is expected instead, where the size does not fit.
    pub fn refuses(self, size: Size) -> Option<&'static str> {
        match self {
            Fit::NotZero if size.0 == 0 => Some("expected at least one byte"),
            Fit::Rounds if size.0 == 0 => Some("expected at least 1: what is never done is never checked"),
            Fit::Byte if size.0 > 0xff => Some("expected at most 0xff, the largest value of a byte"),
            Fit::PowerOfTwo if !size.0.is_power_of_two() || size.0 < 4096 => {
                Some("expected a power of two of at least 4KiB")
            }
            _ => None,
        }
    }
}

impl Checker<'_> {
    pub(super) fn region(&mut self, path: &Path, region: &Region) {
        let memory = match region.memory {
            Memory::Anonymous => "anonymous",
            Memory::Hugetlb => "hugetlb",
            Memory::Bar => "bar",
            Memory::Reserved => "reserved",
        };
        let is_bar = region.memory == Memory::Bar;
        let has_pages = matches!(region.memory, Memory::Anonymous | Memory::Hugetlb);
        for (key, misplaced, only) in [
            ("bar", region.bar.is_some() && !is_bar, "`memory: bar`"),
            ("offset", region.offset.is_some() && !is_bar, "`memory: bar`"),
            ("page", region.page.is_some() && !has_pages, "`memory: anonymous` or `memory: hugetlb`"),
            (
                "protection",
                region.protection.is_some() && region.memory == Memory::Reserved,
                "memory that exists, and `reserved` is a range of addresses with nothing mapped",
            ),
        ] {
            if misplaced {
                self.say(
                    Diagnostic::error(
                        "misplaced-key",
                        path.join(key),
                        format!("`{key}` does not go with `memory: {memory}`"),
                    )
                    .at(Target::Key)
                    .label(format!("expected only with {only}"))
                    .help("remove it, or choose another `memory`"),
                );
            }
        }
        if region.size.is_none() && !is_bar {
            self.say(
                Diagnostic::error("missing-key", path.join("memory"), "a region without `size`")
                    .label("expected `size` beside it")
                    .help("add the length in bytes, such as `size: 4KiB`"),
            );
        }
        for (key, value) in [("size", &region.size), ("page", &region.page), ("align", &region.align)] {
            if let Some(Dynamic::Is(size)) = value
                && let Some(expected) = Fit::of(key).refuses(*size)
            {
                self.say(Diagnostic::error("bad-size", path.join(key), format!("`{key}` is {size}")).label(expected));
            }
        }
        match (&region.misalign, &region.align) {
            (Some(_), None) => self.say(
                Diagnostic::error("missing-key", path.join("misalign"), "`misalign` without `align`")
                    .at(Target::Key)
                    .label("expected `align` beside it")
                    .help("say what the address is not a multiple of, such as `align: 2MiB`"),
            ),
            (Some(Dynamic::Is(misalign)), Some(Dynamic::Is(align))) if misalign >= align => self.say(
                Diagnostic::error("bad-size", path.join("misalign"), format!("`misalign` is {misalign}"))
                    .label(format!("expected less than `align`, which is {align}"))
                    .note(path.join("align"), Target::Value, "the address is a multiple of this, plus `misalign`"),
            ),
            _ => {}
        }
    }
}
