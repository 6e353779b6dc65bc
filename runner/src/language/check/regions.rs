// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a region says fits its memory.

use super::Checker;
use crate::language::{
    Diagnostic, Dynamic, Memory, Ordered, Path, Protection, Region, Seal, Target, expected_one_of, verb::Fit,
};
use crate::model::code::Code;

/// What every region's key of this name has to be.
pub(super) fn fit(key: &str) -> Fit {
    match key {
        "size" => Fit::NotZero,
        "page" | "align" => Fit::PowerOfTwo,
        _ => Fit::Any,
    }
}

impl Checker<'_> {
    pub(super) fn region(&mut self, path: &Path, region: &Region) {
        let memory = region.memory.as_str();
        let is_bar = region.memory.is_bar();
        let has_pages = matches!(region.memory, Memory::Anonymous | Memory::Hugetlb | Memory::Memfd);
        let is_shared = region.memory == Memory::Shared;
        for (key, misplaced, only) in [
            ("bar", region.bar.is_some() && !is_bar, "`memory: bar` or `memory: dmabuf`"),
            ("device", region.device.is_some() && !is_bar, "`memory: bar` or `memory: dmabuf`"),
            (
                "offset",
                region.offset.is_some() && !is_bar && !is_shared,
                "`memory: bar`, `memory: dmabuf` or `memory: shared`",
            ),
            ("page", region.page.is_some() && !has_pages, "`memory: anonymous`, `memory: hugetlb` or `memory: memfd`"),
            ("of", region.of.is_some() && !is_shared, "`memory: shared`"),
            (
                "hole",
                region.hole.is_some() && (region.memory != Memory::Anonymous || region.page.is_some()),
                "`memory: anonymous` without `page`",
            ),
            (
                "private",
                region.private && !is_shared && !region.memory.is_in_file(),
                "`memory: memfd`, `file` or `shared`",
            ),
            ("read_only", region.read_only && !region.memory.is_in_file(), "`memory: memfd` or `memory: file`"),
            ("sealed", !region.sealed.is_empty() && region.memory != Memory::Memfd, "`memory: memfd`"),
            (
                "protection",
                region.protection.is_some() && region.memory == Memory::Reserved,
                "memory that exists, and `reserved` is a range of addresses with nothing mapped",
            ),
        ] {
            if misplaced {
                self.say(
                    Diagnostic::error(
                        Code::MisplacedKey,
                        path.join(key),
                        format!("`{key}` does not go with `memory: {memory}`"),
                    )
                    .at(Target::Key)
                    .label(format!("expected only with {only}"))
                    .help("remove it, or choose another `memory`"),
                );
            }
        }
        let is_sealed = region.sealed.iter().any(|seal| matches!(seal, Seal::Write | Seal::FutureWrite));
        let writes = !region.private && region.protection.unwrap_or(Protection::ReadWrite) == Protection::ReadWrite;
        for (key, refuses) in [("read_only", region.read_only), ("sealed", is_sealed)] {
            if refuses && writes && region.memory.is_in_file() {
                self.say(
                    Diagnostic::error(Code::MissingKey, path.join(key), format!("`{key}` without `protection: read`"))
                        .at(Target::Key)
                        .label("expected `protection: read` or `private: true` beside it")
                        .help("nobody can write to such a file by mapping it"),
                );
            }
        }
        if is_shared && region.of.is_none() {
            self.say(
                Diagnostic::error(Code::MissingKey, path.join("memory"), "a shared region without `of`")
                    .label("expected `of` beside it")
                    .help("say which region's memory it is, such as `of: buffer`"),
            );
        }
        if region.size.is_none() && !is_bar && !is_shared {
            self.say(
                Diagnostic::error(Code::MissingKey, path.join("memory"), "a region without `size`")
                    .label("expected `size` beside it")
                    .help("add the length in bytes, such as `size: 4KiB`"),
            );
        }
        for (key, value) in [("size", &region.size), ("page", &region.page), ("align", &region.align)] {
            if let Some(Dynamic::Is(size)) = value
                && let Some(expected) = fit(key).refuses(*size)
            {
                self.say(
                    Diagnostic::error(Code::BadSize, path.join(key), format!("`{key}` is {size}")).label(expected),
                );
            }
        }
        match (&region.misalign, &region.align) {
            (Some(_), None) => self.say(
                Diagnostic::error(Code::MissingKey, path.join("misalign"), "`misalign` without `align`")
                    .at(Target::Key)
                    .label("expected `align` beside it")
                    .help("say what the address is not a multiple of, such as `align: 2MiB`"),
            ),
            (Some(Dynamic::Is(misalign)), Some(Dynamic::Is(align))) if misalign >= align => self.say(
                Diagnostic::error(Code::BadSize, path.join("misalign"), format!("`misalign` is {misalign}"))
                    .label(format!("expected less than `align`, which is {align}"))
                    .note(path.join("align"), Target::Value, "the address is a multiple of this, plus `misalign`"),
            ),
            _ => {}
        }
    }
    /// A region that shares another one's memory comes below it, and that one is made of a file.
    pub(super) fn shared_regions(&mut self, path: &Path, regions: &Ordered<Region>) {
        let mut above: Vec<(&str, Memory)> = Vec::new();
        for (name, region) in regions.iter() {
            if let Some(of) = region.of.as_ref().filter(|_| region.memory == Memory::Shared) {
                let path = path.join(name).join("of");
                let possible = || above.iter().filter(|(_, memory)| memory.is_in_file()).map(|(name, _)| *name);
                let problem = match above.iter().find(|(name, _)| *name == of.0) {
                    Some((_, memory)) if memory.is_in_file() => None,
                    Some((_, memory)) => Some(
                        Diagnostic::error(Code::NotShareable, path, format!("region `{of}` cannot be shared"))
                            .label(format!(
                                "expected a region of `memory: memfd` or `file`, it is `{}`",
                                memory.as_str()
                            ))
                            .help("only what is in a file can be mapped twice"),
                    ),
                    None => {
                        let expected = match possible().next() {
                            Some(_) => expected_one_of(possible()),
                            None => "expected a region above this one, of `memory: memfd` or `file`".to_owned(),
                        };
                        let mut problem =
                            Diagnostic::error(Code::UnknownRegion, path, format!("no region above is called `{of}`"))
                                .about(&of.0)
                                .label(expected);
                        problem.help.extend(crate::language::did_you_mean(&of.0, possible()));
                        Some(problem)
                    }
                };
                problem.into_iter().for_each(|problem| self.say(problem));
            }
            above.push((name, region.memory));
        }
    }
}
