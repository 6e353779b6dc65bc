// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields that hold a value or an expression for one, and texts with expressions in them.

use std::{borrow::Cow, fmt, rc::Rc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{convert::FromValue, error::ExpressionError, eval as expression, eval::Name, scan, scope::Scope};
use crate::language::{At, Decode, Node, described};
use crate::{
    language::schema::Expression, language::text::complaint::Complaint, language::text::suggest::shorten,
    model::code::Code,
};

/// A literal value, or a text that is wholly one expression, `{{ … }}`, which gives such a value.
///
/// For single values and lists of them; within a mapping's fields use it, not around the mapping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dynamic<T> {
    /// The value itself.
    Is(T),
    /// The expression with its braces.
    Expression(String),
}

impl<T> Dynamic<T> {
    /// The expression with its braces, if it is one.
    pub fn expression(&self) -> Option<&str> {
        match self {
            Dynamic::Is(_) => None,
            Dynamic::Expression(source) => Some(source),
        }
    }

    /// The value, if it is written out.
    pub fn literal(&self) -> Option<&T> {
        match self {
            Dynamic::Is(value) => Some(value),
            Dynamic::Expression(_) => None,
        }
    }

    /// The variables it needs; none for a value that is written out.
    pub fn undeclared(&self) -> Result<Rc<[Name]>, ExpressionError> {
        self.expression().map_or(Ok(Rc::default()), expression::undeclared)
    }
}

impl<T: FromValue + Clone> Dynamic<T> {
    /// The value: as written, or what the expression gives in this scope.
    pub fn resolve(&self, scope: &Scope) -> Result<T, ExpressionError> {
        match self {
            Dynamic::Is(value) => Ok(value.clone()),
            Dynamic::Expression(source) => expression::eval_as(scope, source),
        }
    }
}

impl<T> From<T> for Dynamic<T> {
    fn from(value: T) -> Self {
        Dynamic::Is(value)
    }
}

impl<T: Default> Default for Dynamic<T> {
    fn default() -> Self {
        Dynamic::Is(T::default())
    }
}

impl<T: fmt::Display> fmt::Display for Dynamic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dynamic::Is(value) => value.fmt(f),
            Dynamic::Expression(source) => f.pad(source),
        }
    }
}

impl<T: Serialize> Serialize for Dynamic<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Dynamic::Is(value) => value.serialize(serializer),
            Dynamic::Expression(source) => serializer.serialize_str(source),
        }
    }
}

impl<T: Decode> Decode for Dynamic<T> {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        let Some(text) = node.text().filter(|text| text.contains("{{")) else {
            return T::decode(node, at).map(Dynamic::Is);
        };
        let is_whole = scan::whole(text).is_some();
        if (is_whole || scan::pieces(text).is_err())
            && let Err(error) = expression::undeclared(text)
        {
            return at.complain(node, error.into());
        }
        if is_whole {
            return Some(Dynamic::Expression(text.to_owned()));
        }
        let title = format!("`{}` is only partly an expression", shorten(text));
        let complaint = Complaint::new(Code::PartialExpression, title)
            .expected("an expression in double braces and nothing beside it")
            .help("compute the whole value within one pair of double braces, such as \"{{ page * KiB }}\"");
        at.complain(node, complaint)
    }

    fn made_up() -> Self {
        Dynamic::Is(T::made_up())
    }
}

impl<T: JsonSchema> JsonSchema for Dynamic<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}OrExpression", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let literal = generator.subschema_for::<T>();
        let expression = generator.subschema_for::<Expression>();
        json_schema!({ "description": "The value itself, or an expression for it.", "anyOf": [literal, expression] })
    }
}

/// Free text with expressions in double braces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Template(String);

impl Template {
    /// A text, whose expressions have to be right.
    pub fn new(text: impl Into<String>) -> Result<Self, ExpressionError> {
        let text = text.into();
        if text.contains("{{") {
            expression::undeclared(&text)?;
        }
        Ok(Template(text))
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no expression in it.
    pub fn is_literal(&self) -> bool {
        !self.0.contains("{{")
    }

    /// The text with its expressions replaced by their values.
    pub fn render(&self, scope: &Scope) -> Result<String, ExpressionError> {
        expression::render(scope, &self.0)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Decode for Template {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| Template::new(text).map_err(Complaint::from))
    }

    fn made_up() -> Self {
        Template::default()
    }
}

described!(Template, |_| {
    json_schema!({ "description": "Text; expressions in double braces are replaced by their values.", "type": "string" })
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::quantity::Size;
    use crate::language::text::reader::parse;
    use crate::language::text::{render::render, source::Source};
    use crate::language::{Ordered, Problems, decode, keys};

    keys! {
        struct Map {
            size: Dynamic<Size>,
            iova: Option<Dynamic<Size>>,
            count: Option<Dynamic<u8>>,
            locked: Option<Dynamic<bool>>,
            name: Option<Template>,
        }
    }

    fn read(text: &str) -> (Option<Ordered<Map>>, String) {
        let mut problems = Problems::new();
        let value = decode(&parse(text).unwrap(), &mut problems);
        (value, render(&Source::new("f", text), problems.as_slice(), false))
    }

    #[test]
    fn a_field_is_a_value_or_an_expression_for_one() {
        let text = "a: { size: 2MiB, iova: \"{{ page * 2 }}\", count: 3, locked: true, name: \"at {{ page }}\" }\n";
        let (maps, drawn) = read(text);
        let maps = maps.unwrap_or_else(|| panic!("{drawn}"));
        let map = maps.get("a").unwrap();
        let scope = Scope::new().with("page", 4096);
        assert_eq!(map.size, Dynamic::Is(Size(2 << 20)));
        assert_eq!((&map.count, &map.locked), (&Some(Dynamic::Is(3)), &Some(Dynamic::Is(true))));
        assert_eq!(map.iova.as_ref().unwrap().resolve(&scope), Ok(Size(8192)));
        assert_eq!(map.name.as_ref().unwrap().render(&scope), Ok("at 4096".to_owned()));
        assert_eq!(map.size.undeclared(), Ok(Rc::default()));
    }

    #[test]
    fn mistakes_in_values_and_expressions_are_found_together() {
        let (_, drawn) = read(
            "a: { size: \"{{ page }}KiB\", iova: \"{{ page + }}\", count: -1, locked: yes, name: \"{{ a\" }\nb: { size: {{ page }}, count: x }\n",
        );
        for part in [
            "f:1:12",
            "only partly an expression",
            "f:1:44",
            "this is no expression",
            "f:1:58",
            "`count` cannot be the number -1",
            "`locked` cannot be the text `yes`",
            "these braces are never closed",
            "f:2:12",
            "quote it: \"{{ page }}\"",
            "`count` cannot be the text `x`",
        ] {
            assert!(drawn.contains(part), "{part}\n{drawn}");
        }
        assert_eq!(drawn.matches("error[").count(), 7, "{drawn}");
    }

    #[test]
    fn the_schema_allows_both() {
        let schema = schemars::schema_for!(Map).to_value().to_string();
        assert!(schema.contains(r##""anyOf":[{"$ref":"#/$defs/Size"},{"$ref":"#/$defs/Expression"}]"##), "{schema}");
    }
}
