//! The verb `call`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::about::{About, Expects, Key, Keys, Known, Saves, Takes};
use crate::language::{Name, Ordered, Scalar};

/// A procedure to run. In a file its `with` stands beside the verb.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(from = "Name", into = "Name")]
pub struct Call {
    /// The procedure's name.
    pub procedure: Name,
    /// Its arguments, by the names of its parameters.
    pub with: Ordered<Scalar>,
}

impl From<Name> for Call {
    fn from(procedure: Name) -> Call {
        Call { procedure, with: Ordered::default() }
    }
}

impl From<Call> for Name {
    fn from(call: Call) -> Name {
        call.procedure
    }
}

impl JsonSchema for Call {
    fn schema_name() -> Cow<'static, str> {
        "Call".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Name>()
    }
}

impl Known for Call {
    const ABOUT: About = About {
        does: "Run a procedure that a pack has for the device; `with` says what it takes. Saves what the procedure gives. \
            Where no pack has it for the device, the case is skipped.",
        examples: &["dma_copy"],
        saves: Saves::Varies,
        expects: Expects::Nothing("what is expected of each call of the kernel is up to the procedure"),
        device: true,
        ..About::CALL
    };
}

impl Takes for Call {
    fn keys(&self) -> Keys<'_> {
        let Call { procedure, with } = self;
        Keys::default().word("procedure", procedure).add("with", Key::Arguments(with))
    }
}
