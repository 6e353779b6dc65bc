// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `fill`.

use serde::Serialize;

use super::about::{About, Expects, Keys, Known, Site, Stands, Takes};
use super::fit::Fit;
use super::mistakes::content;
use crate::language::{
    Diagnostic, Dynamic, Name, Size, Template, keys,
    quantity::{Number, Offset},
};

keys! {
    /// Memory and what to put there: either a `pattern` or a `value`.
    #[derive(Serialize)]
    pub struct Fill {
        /// The region's name.
        #[schemars(example = &"buffer")]
        pub region: Name,
        /// Where in the region to start, in bytes.
        #[schemars(example = "4KiB", extend("default" = 0))]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Option<Dynamic<Size>> as Offset::read,
        /// How many bytes; by default the whole region from `offset` on.
        #[schemars(example = "4KiB")]
        pub size: Option<Dynamic<Size>>,
        /// Any text: each stands for a content of its own, in which no eight bytes are like the next ones.
        #[schemars(example = &"sent", example = &"round {{ round }}")]
        pub pattern: Option<Template>,
        /// What every byte becomes, 0 to 0xff.
        #[schemars(example = "0xa5")]
        #[schemars(with = "Dynamic<Number>")]
        pub value: Option<Dynamic<Size>> as Number::read,
    }
}

impl Known for Fill {
    const ABOUT: About = About {
        does: "Fill memory with a pattern or a value.",
        examples: &["{ region: buffer, pattern: sent }"],
        expects: Expects::Nothing("`fill` always succeeds, and has no result"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CHECK
    };
}

impl Takes for Fill {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        content("fill", site, &[("pattern", self.pattern.is_some()), ("value", self.value.is_some())])
            .into_iter()
            .collect()
    }

    fn keys(&self) -> Keys<'_> {
        let Fill { region, offset, size, pattern, value } = self;
        Keys::default()
            .region("region", region)
            .size("offset", offset)
            .number("size", size, Fit::NotZero)
            .text("pattern", pattern)
            .number("value", value, Fit::Byte)
    }
}
