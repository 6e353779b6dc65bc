// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `explore`.

use super::prelude::*;
use crate::language::{Memory, Region};

verb! {
    /// What `explore` takes.
    pub struct Explore {
        /// Which calls it makes: the same for the same seed on the same device.
        #[example(1)] #[example("{{ seed }}")]
        pub seed: Dynamic<Size> as Number,
        /// How many calls it makes.
        #[example(10000)] #[default(1000)]
        pub steps: Option<Dynamic<Size>> as Number(Fit::Rounds),
        /// How long it makes calls. Unless given, it makes as many as `steps` says.
        #[example("2min")]
        pub r#for: Option<Duration>,
    }
}

impl Known for Explore {
    const ABOUT: About = About {
        does: "Make calls that nobody wrote down: map and unmap the case's regions in many ways, and hold each answer, the page table, the \
               accounting, what the device reaches by DMA and the kernel's log against what is right. What goes wrong is made as short as it can be, and given as a scenario.",
        examples: &["{ seed: 1, steps: 10000 }"],
        fixture: Stands::Alone,
        ..About::CHECK
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let both = self.steps.is_some() && self.r#for.is_some();
        let both = both.then(|| {
            Diagnostic::error(Code::MisplacedKey, site.at.join("for"), "`explore` with both `steps` and `for`")
                .at(Target::Key)
                .label("expected one of them")
        });
        let nothing = site.case.regions.is_empty().then(|| {
            Diagnostic::error(Code::NothingToDo, site.at.clone(), "`explore` without memory to map")
                .at(Target::Key)
                .label("expected `regions` in the case: it maps all of them")
        });
        let missing = |(name, region): (&str, &Region)| {
            let known = [Memory::Anonymous, Memory::Hugetlb, Memory::Memfd, Memory::File, Memory::Shared];
            let what = match region {
                Region { hole: Some(_), .. } => "has a hole",
                Region { protection: Some(Protection::None), .. } => "cannot be accessed",
                Region { memory, .. } if !known.contains(memory) => "is no memory of the process",
                _ => return None,
            };
            let title = format!("`explore` maps region `{name}`, which {what}");
            let mistake = Diagnostic::error(Code::MisplacedKey, site.at.clone(), title).at(Target::Key);
            Some(mistake.label("expected regions that can be mapped from the first byte to the last"))
        };
        let missing = site.case.regions.iter().filter_map(missing);
        both.into_iter().chain(nothing).chain(missing).collect()
    }
}
