//! The verb `allow_iovas`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Key, Keys, Known, Takes};
use super::shared::Object;
use crate::language::{
    Dynamic, Size,
    quantity::{Iova, as_iova},
};

/// What `allow_iovas` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowIovas {
    /// The address space; the device's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
    /// The ranges that the kernel may choose from; none for all.
    #[schemars(example = serde_json::json!([{ "start": "1GiB", "last": "{{ 2 * GiB - 1 }}" }]))]
    pub ranges: Vec<AllowedRange>,
}

/// A range of IOVAs that the kernel may choose from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedRange {
    /// The first IOVA.
    #[schemars(example = "1GiB")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub start: Dynamic<Size>,
    /// The last IOVA, which is part of it.
    #[schemars(example = "{{ 2 * GiB - 1 }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub last: Dynamic<Size>,
}

impl Known for AllowIovas {
    const ABOUT: About = About {
        does: "Say which IOVAs the kernel may choose.",
        examples: &[r#"{ ranges: [{ start: 1GiB, last: "{{ 2 * GiB - 1 }}" }] }"#],
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for AllowIovas {
    fn keys(&self) -> Keys<'_> {
        let AllowIovas { ioas, ranges } = self;
        Keys::default().object("ioas", ioas).add("ranges", Key::Ranges(ranges))
    }
}
