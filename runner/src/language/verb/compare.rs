// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `compare`.

use super::prelude::*;

verb! {
    /// Memory and what has to be there: what is `with` another region, or what `fill` puts there for a `pattern` or a `value`.
    pub struct Compare {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
        /// The region that it has to be like.
        #[example("source")]
        pub with: Option<Name> as RegionName,
        /// Where in the other region to start, in bytes. The default is the same offset as in this one.
        #[example("4KiB")]
        pub with_offset: Option<Dynamic<Size>> as Offset,
        /// The text that it was filled by, from `offset` on.
        #[example("sent")]
        pub pattern: Option<Template>,
        /// What every byte has to be, 0 to 0xff.
        #[example("0xa5")]
        pub value: Option<Dynamic<Size>> as Number(Fit::Byte),
    }
}

impl Known for Compare {
    const ABOUT: About = About {
        does: "Check that memory holds a pattern, a value, or what another region holds. A BAR is read in accesses of 32 bits.",
        examples: &["{ region: buffer, pattern: sent }"],
        fixture: Stands::Anywhere,
        ..About::CHECK
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let given =
            [("with", self.with.is_some()), ("pattern", self.pattern.is_some()), ("value", self.value.is_some())];
        let alone = (self.with_offset.is_some() && self.with.is_none()).then(|| {
            Diagnostic::error(Code::MissingKey, site.at.join("with_offset"), "`with_offset` without `with`")
                .at(Target::Key)
                .label("expected `with: REGION` beside it")
        });
        content("compare", site, &given).into_iter().chain(alone).collect()
    }
}
