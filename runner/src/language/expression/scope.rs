// SPDX-License-Identifier: MIT OR Apache-2.0
//! The variables of an expression.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::{Value, value::Object};

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
