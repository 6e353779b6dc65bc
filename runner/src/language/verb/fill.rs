// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `fill`.

use super::prelude::*;

verb! {
    /// Memory and what to put there: either a `pattern` or a `value`.
    pub struct Fill {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
        /// Any text: each stands for a content of its own, in which no eight bytes are like the next ones.
        #[example("sent")] #[example("round {{ round }}")]
        pub pattern: Option<Template>,
        /// What every byte becomes, 0 to 0xff.
        #[example("0xa5")]
        pub value: Option<Dynamic<Size>> as Number(Fit::Byte),
    }
}

impl Known for Fill {
    const ABOUT: About = About {
        does: "Fill memory with a pattern or a value. A BAR is written in accesses of 32 bits.",
        examples: &["{ region: buffer, pattern: sent }"],
        expects: Expects::Nothing("`fill` always succeeds, and has no result"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CHECK
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        content("fill", site, &[("pattern", self.pattern.is_some()), ("value", self.value.is_some())])
            .into_iter()
            .collect()
    }
}
