// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `compare`.

use serde::Serialize;

use super::about::{About, Keys, Known, Site, Stands, Takes};
use super::fit::Fit;
use super::mistakes::content;
use crate::language::{
    Diagnostic, Dynamic, Name, Size, Target, Template, keys,
    quantity::{Number, Offset},
};
use crate::model::code::Code;

keys! {
    /// Memory and what has to be there: what is `with` another region, or what `fill` puts there for a `pattern` or a `value`.
    #[derive(Serialize)]
    pub struct Compare {
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
        /// The region that it has to be like.
        #[schemars(example = &"source")]
        pub with: Option<Name>,
        /// Where in the other region to start, in bytes. The default is the same offset as in this one.
        #[schemars(example = "4KiB")]
        #[schemars(with = "Dynamic<Offset>")]
        pub with_offset: Option<Dynamic<Size>> as Offset::read,
        /// The text that it was filled by, from `offset` on.
        #[schemars(example = &"sent")]
        pub pattern: Option<Template>,
        /// What every byte has to be, 0 to 0xff.
        #[schemars(example = "0xa5")]
        #[schemars(with = "Dynamic<Number>")]
        pub value: Option<Dynamic<Size>> as Number::read,
    }
}

impl Known for Compare {
    const ABOUT: About = About {
        does: "Check that memory holds a pattern, a value, or what another region holds.",
        examples: &["{ region: buffer, pattern: sent }"],
        fixture: Stands::Anywhere,
        ..About::CHECK
    };
}

impl Takes for Compare {
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

    fn keys(&self) -> Keys<'_> {
        let Compare { region, offset, size, with, with_offset, pattern, value } = self;
        Keys::default()
            .region("region", region)
            .size("offset", offset)
            .number("size", size, Fit::NotZero)
            .region("with", with)
            .size("with_offset", with_offset)
            .text("pattern", pattern)
            .number("value", value, Fit::Byte)
    }
}
