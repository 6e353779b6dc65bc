// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `call`.

use super::prelude::*;

/// A procedure to run. In a file its `with` stands beside the verb.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "Name")]
pub struct Call {
    /// The procedure's name.
    pub procedure: Name,
    /// Its arguments, by the names of its parameters.
    pub with: Ordered<Scalar>,
}

impl Decode for Call {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        Name::decode(node, at).map(|procedure| Call { procedure, with: Ordered::default() })
    }

    fn made_up() -> Self {
        Call { procedure: Name::made_up(), with: Ordered::default() }
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

impl Keyed for Call {
    fn keys(&self) -> Keys<'_> {
        let Call { procedure: _, with } = self;
        vec![("procedure", Key::Word), ("with", Key::Arguments(with))]
    }
}

impl Known for Call {
    const ABOUT: About = About {
        does: "Run a procedure that a pack has for the device, with the arguments in `with`. Saves what the procedure returns. If no pack has it for the device, the case is skipped.",
        examples: &["dma_copy"],
        saves: Saves::Varies,
        expects: Expects::Nothing("what is expected of each call of the kernel is up to the procedure"),
        device: true,
        ..About::CALL
    };

    fn procedures(&self) -> Vec<&str> {
        vec![&self.procedure.0]
    }
}
