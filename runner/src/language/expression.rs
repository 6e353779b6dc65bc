//! PROVISIONAL
#![allow(missing_docs)]
use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use minijinja::{Environment, UndefinedBehavior, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Diagnostic, Path, Size};

pub const GLOBALS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "U64_MAX", "align_up", "align_down", "min", "max", "pow2", "version_at_least", "hex"];

#[derive(Debug, Clone, PartialEq)]
pub enum Dynamic<T> { Is(T), Expression(String) }
impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Dynamic<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let v = serde_yaml::Value::deserialize(d)?;
        if let serde_yaml::Value::String(s) = &v && s.contains("{{") { return Ok(Dynamic::Expression(s.clone())) }
        T::deserialize(v).map(Dynamic::Is).map_err(serde::de::Error::custom)
    }
}
impl<T: Serialize> Serialize for Dynamic<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self { Dynamic::Is(t) => t.serialize(s), Dynamic::Expression(e) => s.serialize_str(e) }
    }
}
impl<T: JsonSchema> JsonSchema for Dynamic<T> {
    fn schema_name() -> Cow<'static, str> { format!("Dynamic{}", T::schema_name()).into() }
    fn json_schema(g: &mut SchemaGenerator) -> Schema { T::json_schema(g) }
}
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Template(pub String);

#[derive(Debug, Clone)]
pub struct ExpressionError { pub message: String, pub range: Option<Range<usize>>, pub help: Option<String> }

#[derive(Clone, Default)]
pub struct Scope(BTreeMap<String, Value>);

thread_local!(static ENV: Environment<'static> = {
    let mut e = Environment::new();
    e.set_undefined_behavior(UndefinedBehavior::Strict);
    e.set_fuel(Some(100_000));
    for (n, v) in [("KiB", 1u64<<10), ("MiB", 1<<20), ("GiB", 1<<30), ("TiB", 1<<40), ("U64_MAX", u64::MAX)] { e.add_global(n, v); }
    e.add_function("align_down", |x: u64, a: u64| x / a * a);
    e.add_function("align_up", |x: u64, a: u64| x.div_ceil(a) * a);
    e.add_function("min", |a: Value, b: Value| if a < b { a } else { b });
    e.add_function("max", |a: Value, b: Value| if a > b { a } else { b });
    e.add_function("version_at_least", |v: String, w: String| {
        let n = |s: &str| s.split(|c: char| !c.is_ascii_digit()).take(2).map(|p| p.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
        n(&v) >= n(&w)
    });
    e
});
fn inner(s: &str) -> &str { s.trim().strip_prefix("{{").and_then(|s| s.strip_suffix("}}")).unwrap_or(s) }
fn err(e: minijinja::Error) -> ExpressionError { ExpressionError { message: e.to_string(), range: None, help: None } }

impl Scope {
    pub fn new() -> Self { Self::default() }
    pub fn set(&mut self, n: &str, v: Value) { self.0.insert(n.to_owned(), v); }
    pub fn contains(&self, n: &str) -> bool { self.0.contains_key(n) || GLOBALS.contains(&n) }
    pub fn value(&self, s: &str) -> Result<Value, ExpressionError> {
        if !(s.trim().starts_with("{{") && s.trim().ends_with("}}") && s.matches("{{").count() == 1) { return self.text(s).map(Value::from) }
        ENV.with(|e| e.compile_expression(inner(s)).and_then(|x| x.eval(Value::from_serialize(&self.0))).map_err(err))
    }
    pub fn size(&self, s: &str) -> Result<u64, ExpressionError> { let v = self.value(s)?; u64::try_from(v.clone()).map_err(|_| ExpressionError { message: format!("{v} is no size"), range: None, help: None }) }
    pub fn boolean(&self, s: &str) -> Result<bool, ExpressionError> { Ok(self.value(s)?.is_true()) }
    pub fn text(&self, s: &str) -> Result<String, ExpressionError> { ENV.with(|e| e.render_str(s, Value::from_serialize(&self.0)).map_err(err)) }
    pub fn resolve(&self, d: &Dynamic<Size>) -> Result<u64, ExpressionError> { match d { Dynamic::Is(s) => Ok(s.0), Dynamic::Expression(e) => self.size(e) } }
    pub fn truth(&self, d: &Dynamic<bool>) -> Result<bool, ExpressionError> { match d { Dynamic::Is(s) => Ok(*s), Dynamic::Expression(e) => self.boolean(e) } }
    pub fn values_in(&self, s: &str) -> Vec<(String, String)> { names(s).into_iter().filter_map(|n| Some((n.clone(), self.0.get(&n)?.to_string()))).collect() }
}
pub fn names(s: &str) -> Vec<String> {
    ENV.with(|e| e.template_from_str(s).map(|t| t.undeclared_variables(false).into_iter().filter(|n| !GLOBALS.contains(&n.as_str())).collect()).unwrap_or_default())
}
pub fn undeclared(s: &str) -> Result<Vec<(String, Option<Range<usize>>)>, ExpressionError> {
    ENV.with(|e| e.template_from_str(s).map(drop).map_err(err))?;
    Ok(names(s).into_iter().map(|n| (n, None)).collect())
}
impl Diagnostic {
    pub fn from_expression(path: Path, e: &ExpressionError) -> Self { Diagnostic::error("expression", path, e.message.clone()) }
}
