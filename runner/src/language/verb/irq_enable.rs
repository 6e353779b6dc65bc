//! The verb `irq_enable`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Takes};
use super::fit::Fit;
use super::shared::Index;
use crate::language::{
    Dynamic, Size,
    quantity::{Number, as_number},
};

/// Interrupts to enable.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrqEnable {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
    /// How many vectors, from vector 0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 4, extend("default" = 1))]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub count: Option<Dynamic<Size>>,
}

impl Known for IrqEnable {
    const ABOUT: About = About {
        does: "Enable interrupts, each with an event to wait for. The device is opened anew after the case.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}

impl Takes for IrqEnable {
    fn keys(&self) -> Keys<'_> {
        let IrqEnable { index, count } = self;
        Keys::default().interrupt("index", index).number("count", count, Fit::Vectors)
    }
}
