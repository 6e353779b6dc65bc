// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mistakes that several verbs have in common.

use super::{Object, Site};
use crate::language::{Diagnostic, Name, Path, Size, Target};
use crate::{language::text::suggest, model::code::Code};

/// Memory is filled with one thing, and has to hold one thing; `given` are the keys that say what, and whether each is written.
pub fn content(verb: &str, site: &Site, given: &[(&'static str, bool)]) -> Option<Diagnostic> {
    let ways = suggest::join(given.iter().map(|(key, _)| *key), "or");
    let written: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    match written.as_slice() {
        [_] => None,
        [] => Some(
            Diagnostic::error(Code::MissingKey, site.at.clone(), format!("`{verb}` does not say what the content is"))
                .at(Target::Key)
                .label(format!("expected {ways} in it"))
                .help("any text makes a content of its own: `pattern: sent`"),
        ),
        [first, second, ..] => Some(
            Diagnostic::error(Code::TwoForms, site.at.join(*second), format!("`{second}` beside `{first}`"))
                .at(Target::Key)
                .label(format!("expected one of {ways}"))
                .note(site.at.join(*first), Target::Key, "this says already what the content is"),
        ),
    }
}

/// On iommufd it is a page table that notes what devices write.
pub fn without_hwpt(verb: &str, hwpt: &Option<Object>, site: &Site) -> Option<Diagnostic> {
    (hwpt.is_none() && site.backends.iter().any(|backend| backend.has_objects())).then(|| {
        Diagnostic::error(Code::MissingKey, site.at.clone(), format!("`{verb}` without `hwpt`"))
            .at(Target::Key)
            .label("expected `hwpt` beside its other keys: on iommufd it is a page table that notes what is written")
            .help("make one with `- hwpt: { flags: [dirty_tracking] }` and `save`")
    })
}

/// What a poll waits for has to be possible under its mask.
pub fn never_is(mask: Option<Size>, is: Option<Size>, site: &Site) -> Option<Diagnostic> {
    let (mask, is) = (mask?.0, is?.0);
    (is & !mask != 0).then(|| {
        Diagnostic::error(Code::BadSize, site.at.join("is"), format!("`is` is {is:#x}, which the mask hides"))
            .label(format!("expected no bits outside of the mask {mask:#x}: what can never be is waited for in vain"))
            .note(site.at.join("mask"), Target::Value, "only these bits are compared")
    })
}

/// Only memory in a file can lose the file behind it.
pub fn no_memory_file(name: &Name, site: &Site) -> Option<Diagnostic> {
    let region = site.case.regions.get(&name.0).filter(|region| !region.memory.is_in_file())?;
    let mistake =
        Diagnostic::error(Code::NoFile, site.at.join("region"), format!("region `{name}` has no file to change"))
            .label(format!("expected `memory: memfd` or `file`, it is `{}`", region.memory.as_str()))
            .help("`madvise` and `munmap` change memory without a file");
    Some(mistake)
}

/// A device that the case does not have.
pub fn unknown_device(at: Path, name: &Name, known: &[&str]) -> Diagnostic {
    let mut problem = Diagnostic::error(Code::UnknownDevice, at, format!("no device is called `{name}`"))
        .label(suggest::expected_one_of(known.iter().copied()));
    problem.help.extend(suggest::did_you_mean(&name.0, known.iter().copied()));
    if problem.help.is_empty() {
        problem = problem.help(format!("`devices: {{ {name}: any }}` on the case gives it another device"));
    }
    problem
}
