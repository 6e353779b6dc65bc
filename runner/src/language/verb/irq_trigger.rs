//! The verb `irq_trigger`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Takes};
use super::fit::Fit;
use super::shared::Index;
use crate::language::{
    Dynamic, Size,
    quantity::{Number, as_number},
};

/// One interrupt to trigger.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrqTrigger {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
    /// Which vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0, extend("default" = 0))]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub vector: Option<Dynamic<Size>>,
}

impl Known for IrqTrigger {
    const ABOUT: About = About {
        does: "Have the kernel act as if an interrupt had arrived.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}

impl Takes for IrqTrigger {
    fn keys(&self) -> Keys<'_> {
        let IrqTrigger { index, vector } = self;
        Keys::default().interrupt("index", index).number("vector", vector, Fit::Bits(32))
    }
}
