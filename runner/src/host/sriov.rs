// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual functions of an SR-IOV device, made for a while (`sriov_*` in `Documentation/ABI/testing/sysfs-bus-pci`).
//!
//! Only of a device that vfio-pci has: the kernel then keeps host drivers away from the functions, by giving each the same driver.

use std::path::PathBuf;

use super::Root;
use super::pci::{attribute, driver_in};
use crate::model::{Bdf, Errno};

/// Without it vfio-pci makes no virtual functions.
const PARAMETER: &str = "sys/module/vfio_pci/parameters/enable_sriov";

/// Virtual functions that were made here; they go when this is dropped.
#[derive(Debug)]
pub struct Functions {
    root: Root,
    of: Bdf,
    pub bdfs: Vec<Bdf>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SriovError {
    #[error("the device has no SR-IOV")]
    None,
    #[error("the device has {total} virtual functions, {wanted} are needed")]
    TooFew { wanted: u32, total: u32 },
    #[error(
        "vfio-pci makes no virtual functions here; on a test machine, write Y to /{PARAMETER}, or boot with vfio_pci.enable_sriov=1"
    )]
    Disabled,
    /// There are some already, which are somebody's.
    #[error("{0} has {1} virtual functions already; write 0 to its sriov_numvfs first")]
    Taken(Bdf, u32),
    #[error("failed to write {path}: {1}", path = .0.display())]
    Write(PathBuf, Errno),
    /// A function did not come, or not on vfio-pci.
    #[error("failed to bind virtual function {1} of {0} to vfio-pci: it is bound to {driver}", driver = .2.as_deref().unwrap_or("no driver"))]
    Lost(Bdf, u32, Option<String>),
}

impl SriovError {
    /// Whether nothing is broken: this machine cannot have them, or is not to.
    pub fn is_missing(&self) -> bool {
        matches!(self, SriovError::None | SriovError::TooFew { .. } | SriovError::Disabled | SriovError::Taken(..))
    }
}

pub fn count(bdf: Bdf) -> u32 {
    number(&Root::default(), bdf, "sriov_numvfs")
}

/// Takes away all virtual functions of a device; returns once nobody has them open.
pub fn remove(bdf: Bdf) -> Result<(), SriovError> {
    remove_in(&Root::default(), bdf)
}

pub(super) fn remove_in(root: &Root, bdf: Bdf) -> Result<(), SriovError> {
    match number(root, bdf, "sriov_numvfs") {
        0 => Ok(()),
        _ => write(root, bdf, "0"),
    }
}

pub(super) fn number(root: &Root, bdf: Bdf, name: &str) -> u32 {
    root.text(attribute(bdf, name)).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn write(root: &Root, bdf: Bdf, text: &str) -> Result<(), SriovError> {
    let path = root.join(attribute(bdf, "sriov_numvfs"));
    std::fs::write(&path, text).map_err(|error| SriovError::Write(path, Errno::of(&error)))
}

impl Functions {
    /// Makes `count` virtual functions of a device that is bound to vfio-pci and has none.
    pub fn make(of: Bdf, count: u32) -> Result<Functions, SriovError> {
        Functions::make_in(Root::default(), of, count)
    }

    fn make_in(root: Root, of: Bdf, count: u32) -> Result<Functions, SriovError> {
        let total = number(&root, of, "sriov_totalvfs");
        if total < count {
            return Err(if total == 0 { SriovError::None } else { SriovError::TooFew { wanted: count, total } });
        }
        match number(&root, of, "sriov_numvfs") {
            0 => {}
            taken => return Err(SriovError::Taken(of, taken)),
        }
        if root.text(PARAMETER).as_deref() == Some("N") {
            return Err(SriovError::Disabled);
        }
        write(&root, of, &count.to_string())?;
        // From here on a failure takes them away, by the drop.
        let mut made = Functions { root, of, bdfs: Vec::new() };
        for index in 0..count {
            let bdf = made.root.link_name(attribute(of, &format!("virtfn{index}"))).and_then(|name| name.parse().ok());
            match bdf.map(|bdf| (bdf, driver_in(&made.root, bdf))) {
                Some((bdf, Some(driver))) if driver == super::bind::VFIO => made.bdfs.push(bdf),
                other => return Err(SriovError::Lost(of, index, other.and_then(|(_, driver)| driver))),
            }
        }
        Ok(made)
    }

    pub fn of(&self) -> Bdf {
        self.of
    }

    /// Takes them away; returns once nobody has them open.
    pub fn remove(&mut self) -> Result<(), SriovError> {
        remove_in(&self.root, self.of)
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        // Whoever wants to know calls remove().
        let _ = self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    fn make(tree: &Tree, count: u32) -> String {
        Functions::make_in(tree.root(), tree.bdf(), count).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_have_virtual_functions_says_so_and_is_left_alone() {
        let tree = Tree::new("no-sriov");
        assert_eq!(make(&tree, 1), "the device has no SR-IOV");
        let tree = tree.file("sriov_totalvfs", "7\n").file("sriov_numvfs", "0\n");
        assert_eq!(make(&tree, 8), "the device has 7 virtual functions, 8 are needed");
        tree.put(PARAMETER, "N\n");
        assert!(make(&tree, 1).contains("vfio_pci.enable_sriov=1"));
        let numvfs = attribute(tree.bdf(), "sriov_numvfs");
        assert_eq!(tree.read(&numvfs), "0\n");
        let tree = tree.file("sriov_numvfs", "2\n");
        assert!(make(&tree, 1).contains("has 2 virtual functions already"));
        assert_eq!(tree.read(&numvfs), "2\n", "these are somebody's");
    }

    #[test]
    fn what_was_made_goes_with_a_failure() {
        // The tree makes no function when its file is written.
        let tree = Tree::new("sriov").file("sriov_totalvfs", "7\n").file("sriov_numvfs", "0\n");
        assert!(make(&tree, 1).contains("bound to no driver"));
        assert_eq!(tree.read(attribute(tree.bdf(), "sriov_numvfs")), "0");
    }
}
