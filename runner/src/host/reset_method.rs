// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the kernel resets a device: its file `reset_method` (`Documentation/ABI/testing/sysfs-bus-pci`).

use std::fs;

use super::Root;
use super::pci::attribute;
use crate::model::{Bdf, Errno};

/// The ways to reset a device that are switched on, the first one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetMethods {
    root: Root,
    bdf: Bdf,
    /// As the kernel lists them; empty where it knows none, or before Linux 5.15, which had no such file.
    text: String,
}

impl ResetMethods {
    pub fn of(bdf: Bdf) -> ResetMethods {
        ResetMethods::of_in(Root::default(), bdf)
    }

    pub(super) fn of_in(root: Root, bdf: Bdf) -> ResetMethods {
        let text = root.text(attribute(bdf, "reset_method")).unwrap_or_default();
        ResetMethods { root, bdf, text }
    }

    pub fn list(&self) -> Vec<&str> {
        self.text.split_whitespace().collect()
    }

    /// Has the kernel use only this one of them, until it is put back.
    pub fn choose(self, method: &str) -> Result<Chosen, Errno> {
        self.write(method)?;
        Ok(Chosen(self))
    }

    /// Switches on what was when this was read, if something else is now.
    pub fn put_back(&self) -> Result<(), Errno> {
        if self.list().is_empty() || *self == ResetMethods::of_in(self.root.clone(), self.bdf) {
            return Ok(());
        }
        self.write(&self.text)
    }

    fn write(&self, text: &str) -> Result<(), Errno> {
        let path = self.root.join(attribute(self.bdf, "reset_method"));
        fs::write(path, text).map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

/// A way that was chosen. A process that dies before it puts the others back leaves that to the [`super::bind::Binding`].
#[must_use]
pub struct Chosen(ResetMethods);

impl Chosen {
    pub fn put_back(self) -> Result<(), Errno> {
        self.0.put_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::use_of::tests::Tree;

    #[test]
    fn the_methods_that_were_on_are_on_again() {
        let tree = Tree::new("reset-method");
        let file = tree.root().join(attribute(tree.bdf(), "reset_method"));
        let methods = || ResetMethods::of_in(tree.root(), tree.bdf());
        assert!(methods().list().is_empty());
        assert_eq!(methods().put_back(), Ok(()), "there is nothing to put back");
        assert!(!file.exists());
        fs::write(&file, "flr pm bus\n").unwrap();
        let before = methods();
        assert_eq!(before.list(), ["flr", "pm", "bus"]);
        let chosen = methods().choose("bus").unwrap();
        assert_eq!(methods().list(), ["bus"]);
        chosen.put_back().unwrap();
        assert_eq!(methods(), before);
        methods().choose("pm").map(drop).unwrap();
        before.put_back().unwrap();
        assert_eq!(methods(), before, "what a killed process left");
    }
}
