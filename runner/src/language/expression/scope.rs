// SPDX-License-Identifier: MIT OR Apache-2.0
//! The variables of an expression.

use std::{collections::BTreeMap, fmt, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object},
};

/// The variables of an expression. Cloning is cheap: clones share what they have in common until one is changed.
#[derive(Clone, Debug, Default)]
pub struct Scope(Arc<Names>);

#[derive(Clone, Debug, Default)]
struct Names(BTreeMap<String, Value>);

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).cloned()
    }
}

impl Scope {
    /// No variables.
    pub fn new() -> Self {
        Scope::default()
    }

    /// Gives a name a value; an earlier one is replaced.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        Arc::make_mut(&mut self.0).0.insert(name.into(), value.into());
    }

    /// This scope and one name more.
    #[must_use]
    pub fn with(&self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let mut scope = self.clone();
        scope.set(name, value);
        scope
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.0.get(name)
    }

    /// This scope as what an expression is evaluated in.
    pub(super) fn shared(&self) -> Arc<impl Object + use<>> {
        self.0.clone()
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.0.keys().map(String::as_str)
    }
}

/// Fields of a value, some of which are read only when an expression names them: a case that asks for nothing reads no file.
#[derive(Debug, Default)]
pub struct Fields(BTreeMap<String, Field>);

enum Field {
    Known(Value),
    Read(Box<dyn Fn() -> Value + Send + Sync>),
}

impl Fields {
    /// Adds fields whose values are known.
    pub fn known(&mut self, fields: impl IntoIterator<Item = (&'static str, Value)>) {
        self.0.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), Field::Known(value))));
    }

    /// Adds a field that is read each time an expression names it.
    pub fn read<T: Into<Value>>(&mut self, name: impl Into<String>, read: impl Fn() -> T + Send + Sync + 'static) {
        self.0.insert(name.into(), Field::Read(Box::new(move || read().into())));
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Value {
        Value::from_object(fields)
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match self.0.get(key.as_str()?)? {
            Field::Known(value) => value.clone(),
            Field::Read(read) => read(),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Known(value) => value.fmt(f),
            Field::Read(_) => f.write_str("read when it is named"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    fn a_field_is_read_only_when_it_is_named() {
        static READ: AtomicU32 = AtomicU32::new(0);
        let mut fields = Fields::default();
        fields.known([("name", Value::from("edu"))]);
        fields.read("group", || READ.fetch_add(1, Relaxed) + 7);
        let fields = Value::from(fields);
        assert_eq!((fields.get_attr("name").unwrap().as_str(), READ.load(Relaxed)), (Some("edu"), 0));
        assert_eq!((fields.get_attr("group").unwrap(), READ.load(Relaxed)), (Value::from(7), 1));
        assert!(fields.get_attr("nothing").unwrap().is_undefined());
    }
}
