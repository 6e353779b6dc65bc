// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the language knows of a verb: facts that hold for all its steps, and the keys of one step.

use super::{AllowedRange, Index, Ioctl, Object, Tail, Where, fit::Fit};
use crate::{
    language::{Case, Diagnostic, Dynamic, Name, Ordered, Path, Scalar, Size, Step, Template},
    model::BackendName,
};

/// The facts about a verb.
pub trait Known: Takes {
    /// What holds for every step of the verb.
    const ABOUT: About;
}

/// What a step says of its verb.
pub trait Takes {
    /// The keys that the step has. Implementations name every field of their struct, so that the compiler finds a key that nothing reads.
    fn keys(&self) -> Keys<'_>;

    /// What a list of assertions calls the step, if the name of its verb says too little.
    fn title(&self) -> Option<String> {
        None
    }

    /// The lists of steps that it holds, each with its place, in a step at `at`.
    fn nested(&self, _at: &Path) -> Vec<(Path, &[Step])> {
        Vec::new()
    }

    /// The fields of its result, if the verb [saves](Saves::Varies) different ones and they are known.
    fn fields(&self) -> Option<Vec<&'static str>> {
        None
    }

    /// What is wrong with its keys beyond what each [`Key`] says by itself.
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
    /// Whether only the backend iommufd has it.
    pub iommufd: bool,
    /// Whether its result is an object of IOMMUFD, which later steps call by the name of the result.
    pub makes_object: bool,
    /// Whether its result may be an open file, which later steps call by the name of the result.
    pub makes_file: bool,
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
        iommufd: false,
        makes_object: false,
        makes_file: false,
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
    /// Each step's own fields, which [`Takes::fields`] may know.
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

/// The value of a key.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// A size or a number.
    Size(&'a Dynamic<Size>, Fit),
    /// Where something is mapped.
    Place(&'a Where),
    /// The name of a region.
    Region(&'a Name),
    /// A text that may have expressions in it.
    Text(&'a Template),
    /// An object of IOMMUFD.
    Object(&'a Object),
    /// An open file, or one of the open device's.
    File(&'a Name),
    /// A file that an earlier step opened.
    Opened(&'a Name),
    /// A kind of interrupt.
    Interrupt(&'a Dynamic<Index>),
    /// What has to be true.
    Truth(&'a Dynamic<bool>),
    /// The name by which the steps inside know how often they have run.
    Count(&'a Name),
    /// Ranges of IOVAs.
    Ranges(&'a [AllowedRange]),
    /// The fields of a request.
    Fields(&'a Ordered<Scalar>),
    /// The bytes behind the struct of a request.
    Tail(&'a Tail),
    /// The arguments of a procedure.
    Arguments(&'a Ordered<Scalar>),
    /// A value that is complete once it is read.
    Word,
}

/// The keys of a step's verb.
#[derive(Default)]
pub struct Keys<'a>(Vec<(&'static str, Key<'a>)>);

impl<'a> Keys<'a> {
    /// Adds a key of any kind.
    #[must_use]
    pub fn add(mut self, key: &'static str, value: impl Into<Option<Key<'a>>>) -> Self {
        self.0.extend(value.into().map(|value| (key, value)));
        self
    }

    /// Adds a size in bytes, or a number that may be any of 64 bits.
    pub fn size(self, key: &'static str, value: impl Into<Option<&'a Dynamic<Size>>>) -> Self {
        self.number(key, value, Fit::Any)
    }

    /// Adds a number that has to fit.
    pub fn number(self, key: &'static str, value: impl Into<Option<&'a Dynamic<Size>>>, fit: Fit) -> Self {
        self.add(key, value.into().map(|value| Key::Size(value, fit)))
    }

    /// Adds an IOVA to map at.
    pub fn place(self, key: &'static str, value: &'a Option<Where>) -> Self {
        self.add(key, value.as_ref().map(Key::Place))
    }

    /// Adds the name of a region.
    pub fn region(self, key: &'static str, value: impl Into<Option<&'a Name>>) -> Self {
        self.add(key, value.into().map(Key::Region))
    }

    /// Adds a text.
    pub fn text(self, key: &'static str, value: impl Into<Option<&'a Template>>) -> Self {
        self.add(key, value.into().map(Key::Text))
    }

    /// Adds an object of IOMMUFD.
    pub fn object(self, key: &'static str, value: impl Into<Option<&'a Object>>) -> Self {
        self.add(key, value.into().map(Key::Object))
    }

    /// Adds the name of a file.
    pub fn file(self, key: &'static str, value: &'a Name) -> Self {
        self.add(key, Key::File(value))
    }

    /// Adds a kind of interrupt.
    pub fn interrupt(self, key: &'static str, value: &'a Dynamic<Index>) -> Self {
        self.add(key, Key::Interrupt(value))
    }

    /// Adds the name of a count.
    pub fn count(self, key: &'static str, value: &'a Option<Name>) -> Self {
        self.add(key, value.as_ref().map(Key::Count))
    }

    /// Adds a key whose value is complete once it is read.
    pub fn word<T>(self, key: &'static str, _value: &T) -> Self {
        self.add(key, Key::Word)
    }
}

impl<'a> IntoIterator for Keys<'a> {
    type Item = (&'static str, Key<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
