// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fixes of the kernel, as a scenario or a case names them.

use crate::language::text::{keys::NotEmpty, suggest::shorten};
use crate::language::{At, Case, Complaint, Decode, Node, Scenario, keys};
use crate::model::{self, Commit, Release, code::Code};

keys! {
    /// A commit of the kernel that mended a bug, and the releases that have it.
    pub struct Fix {
        /// The title of the commit.
        #[example("iommufd: Do not free what is in use")]
        pub title: String,
        /// Its id in mainline. Without one, the title tells it apart from others.
        #[example("f00ba4c0ffee")]
        pub commit: Option<Commit>,
        /// The first release that has it, of mainline, and of each stable series that it was taken to. A failure shows the one of the
        /// kernel's own series, or else mainline's. They need quotes, for YAML reads 6.10 as the number 6.1.
        #[example(["6.14", "6.12.9", "6.1.130"])]
        pub releases: Vec<Release> as NotEmpty,
        /// The first release that has the bug, of mainline, and of each stable series that got it by another way, if that is known. An older kernel
        /// does not need the fix, and the report says so.
        #[example(["6.10", "6.9.7"])]
        pub broken_since: Vec<Release> = empty,
    }
}

impl Fix {
    fn known(&self) -> model::Fix {
        let Fix { title, commit, releases, broken_since } = self.clone();
        model::Fix { title, commit, releases, broken_since }
    }
}

impl Scenario {
    /// All fixes whose absence a case shows: those of the scenario and its own.
    pub fn fixes_of(&self, case: &Case) -> Vec<model::Fix> {
        let mut all: Vec<model::Fix> = Vec::new();
        for fix in self.fixes.iter().chain(&case.fixes) {
            let fix = fix.known();
            if !all.iter().any(|known| known.key() == fix.key()) {
                all.push(fix);
            }
        }
        all
    }
}

impl Decode for Commit {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        const EXPECTED: &str = "12 to 40 hexadecimal digits, such as f00ba4c0ffee";
        // Digits alone are a number to YAML, and so is 1234567890e5: such an id needs quotes.
        at.text_as(node, "the id of a commit in quotes", |text| {
            Commit::parse(text).ok_or_else(|| {
                Complaint::new(Code::InvalidCommit, format_args!("`{}` is no id of a commit", shorten(text)))
                    .expected(EXPECTED)
            })
        })
    }

    fn made_up() -> Self {
        Commit::parse("000000000000").expect("12 digits")
    }
}

impl Decode for Release {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "a release in quotes", |text| {
            Release::parse(text).ok_or_else(|| {
                Complaint::new(Code::Releases, format_args!("`{}` is no release of Linux", shorten(text)))
                    .expected("two numbers, or three of a stable series, such as \"6.14\" or \"6.12.9\"")
            })
        })
    }

    fn made_up() -> Self {
        Release::parse("0.0").expect("two numbers")
    }
}
