// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the language knows of a verb beyond its keys: facts that hold for all its steps.

use super::{Ioctl, keys::Keyed};
use crate::language::{Case, Diagnostic, Ordered, Path, Step};
use crate::model::BackendName;

/// What the language knows of a verb beyond its keys.
pub trait Known: Keyed {
    /// What holds for every step of the verb.
    const ABOUT: About;

    /// What a list of assertions calls the step, if the name of its verb says too little.
    fn title(&self) -> Option<String> {
        None
    }

    /// The lists of steps that it holds, each with its place, in a step at `at`.
    fn nested(&self, _at: &Path) -> Vec<(Path, &[Step])> {
        Vec::new()
    }

    /// The names of the procedures of a pack that it calls.
    fn procedures(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The fields of its result, if the verb [saves](Saves::Varies) different ones and they are known.
    fn fields(&self) -> Option<Vec<&'static str>> {
        None
    }

    /// What is wrong with its keys beyond what each key says by itself.
    fn mistakes(&self, _site: &Site) -> Vec<Diagnostic> {
        Vec::new()
    }
}

/// The facts about a verb. [`About::CALL`] and [`About::CHECK`] are what most verbs have in common.
#[derive(Debug)]
pub struct About {
    /// What it does, as editors and the reference show it.
    pub does: &'static str,
    /// Values for it, as YAML; the first is shown most often.
    pub examples: &'static [&'static str],
    /// What `save` beside it keeps.
    pub saves: Saves,
    /// What `expect` beside it is compared with.
    pub expects: Expects,
    /// Whether it can fail the case. The other verbs only prepare.
    pub asserts: bool,
    /// What has to be open.
    pub fixture: Stands,
    /// Whether it is about one device, so that `device` may stand beside it. Memory is mapped for all devices of a case.
    pub device: bool,
    /// Whether it is about an address space, so that `device` may name a device that has one of its own.
    pub space: bool,
    /// Whether only the backend iommufd has it.
    pub iommufd: bool,
    /// Whether its result is an object of IOMMUFD, which later steps call by the name of the result.
    pub makes_object: bool,
    /// Whether its result may be an open file, which later steps call by the name of the result.
    pub makes_file: bool,
    /// Whether it is there to read something, which `--ask` shows.
    pub reads: bool,
    /// Whether the engine knows what it maps and unmaps. After any other verb the page table is no longer compared with the mappings.
    pub is_followed: bool,
}

impl About {
    /// A call on an open device that succeeds or fails.
    pub const CALL: About = About {
        does: "",
        examples: &[],
        saves: Saves::Nothing,
        expects: Expects::Outcome,
        asserts: true,
        fixture: Stands::Open,
        device: false,
        space: false,
        iommufd: false,
        makes_object: false,
        makes_file: false,
        reads: false,
        is_followed: true,
    };
    /// A check that fails the case by itself.
    pub const CHECK: About = About {
        expects: Expects::Nothing("it fails by itself where it does not hold, and has no result"),
        ..About::CALL
    };
}

/// What a verb's result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saves {
    /// There is no result: `save` beside it is a mistake.
    Nothing,
    /// These fields.
    Fields(&'static [&'static str]),
    /// It is a list.
    List,
    /// Each step's own fields, which [`Known::fields`] may know.
    Varies,
}

/// What `expect` beside a verb is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// Success or an errno.
    Outcome,
    /// Success or an errno, and with success the number of bytes that the call reports.
    Bytes,
    /// Nothing, so that `expect` beside it is a mistake; with what to do instead.
    Nothing(&'static str),
}

/// Where a verb may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Where the device is open.
    Open,
    /// Everywhere.
    Anywhere,
    /// Only with `fixture: none`.
    Alone,
}

/// What a verb may look at to find its mistakes.
pub struct Site<'a> {
    /// The path of the verb.
    pub at: Path,
    /// The case that the step is of.
    pub case: &'a Case,
    /// The backends that the case runs on.
    pub backends: &'a [BackendName],
    /// The requests that the file has by name.
    pub requests: &'a Ordered<Ioctl>,
}
