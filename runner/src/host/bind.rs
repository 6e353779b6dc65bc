// SPDX-License-Identifier: MIT OR Apache-2.0
//! Binding a device to vfio-pci for a while, and giving it back.
//!
//! By `driver_override` (`Documentation/ABI/testing/sysfs-bus-pci`), which concerns this one device only; never by
//! `new_id`, which would take every device of the kind.

use std::path::PathBuf;

use super::Root;
use super::hotplug;
use super::pci::{attribute, driver_in};
use super::reset_method::ResetMethods;
use super::sriov::{self, SriovError};
use super::use_of::{self, Use};
use crate::model::{Bdf, Errno};

pub(super) const VFIO: &str = "vfio-pci";

/// A device that is bound to vfio-pci; it goes back to its driver when this is dropped.
#[derive(Debug)]
pub struct Binding {
    root: Root,
    bdf: Bdf,
    /// `None` if it was on vfio-pci already, or was given back.
    before: Option<Before>,
    /// How the kernel resets it, which a case may change and a killed one does not put back.
    reset_methods: ResetMethods,
    /// Whether it had virtual functions: those that it gets later are ours to take away.
    had_functions: bool,
    /// What `driver_override` was before, empty if it was unset. A case that removes the device and has it found again loses it. `None` if
    /// nothing is to be put back.
    driver_override: Option<String>,
}

#[derive(Debug, Clone)]
struct Before {
    driver: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    #[error("failed to find the PCI device {0}; see lspci -D for those there are")]
    NoDevice(Bdf),
    /// No IOMMU is in front of it: vfio-pci would refuse it, after its driver had to let go.
    #[error("failed to find an IOMMU in front of {0}; switch it on in the firmware and boot with intel_iommu=on")]
    NoIommu(Bdf),
    #[error("failed to find the driver vfio-pci; load it with: modprobe vfio-pci")]
    NoVfioPci,
    /// It does something that someone would miss.
    #[error("failed to bind {0} to vfio-pci, as it is in use: {1}")]
    InUse(Bdf, Use),
    #[error("failed to write {path}: {1}", path = .0.display())]
    Write(PathBuf, Errno),
    /// The writes went well, but the device ended up on another driver, or on none.
    #[error("failed to bind {0} to {1}: it is now bound to {got}; the kernel log says why", got = .2.as_deref().unwrap_or("no driver"))]
    OtherDriver(Bdf, &'static str, Option<String>),
    #[error("failed to take away its virtual functions: {0}")]
    Functions(SriovError),
    #[error("failed to start a process that writes to sysfs: {0}")]
    Start(Errno),
    /// It was taken out of the machine, and a look at its bus did not find it.
    #[error("failed to find {0} again on its bus; look for it with: echo 1 > /sys/bus/pci/rescan")]
    Gone(Bdf),
}

impl Binding {
    /// Binds a device to vfio-pci. Nothing happens, now or later, if it is bound to it already; it is refused if
    /// the device is in use.
    pub fn to_vfio(bdf: Bdf) -> Result<Binding, BindError> {
        Binding::to_vfio_in(Root::default(), bdf)
    }

    fn to_vfio_in(root: Root, bdf: Bdf) -> Result<Binding, BindError> {
        if !root.join(attribute(bdf, "vendor")).exists() {
            return Err(BindError::NoDevice(bdf));
        }
        let driver = driver_in(&root, bdf);
        let reset_methods = ResetMethods::of_in(root.clone(), bdf);
        let driver_override = Some(override_in(&root, bdf));
        if driver.as_deref() == Some(VFIO) {
            let had_functions = sriov::number(&root, bdf, "sriov_numvfs") > 0;
            return Ok(Binding { root, bdf, before: None, reset_methods, had_functions, driver_override });
        }
        // Before Linux 6.15 an IOMMU that the firmware describes by VIOT, IORT or a device tree gives a device its group only when a driver
        // is bound to it (its commit bcb81ac6ae3c).
        let no_group = |root: &Root| !root.join(attribute(bdf, "iommu_group")).exists();
        if driver.is_some() && no_group(&root) {
            return Err(BindError::NoIommu(bdf));
        }
        if let Some(found) = use_of::find(&root, bdf) {
            return Err(BindError::InUse(bdf, found));
        }
        if !root.join(format!("sys/bus/pci/drivers/{VFIO}")).exists() {
            return Err(BindError::NoVfioPci);
        }
        let before = Some(Before { driver });
        // From here on a failure puts everything back, by the drop.
        let binding = Binding { root, bdf, before, reset_methods, had_functions: false, driver_override };
        binding.write(attribute(bdf, "driver_override"), VFIO)?;
        binding.unbind()?;
        binding.probe()?;
        match driver_in(&binding.root, bdf) {
            Some(driver) if driver == VFIO => Ok(binding),
            None if no_group(&binding.root) => Err(BindError::NoIommu(bdf)),
            other => Err(BindError::OtherDriver(bdf, VFIO, other)),
        }
    }

    /// The driver that the device goes back to; `None` if to none, or if it stays.
    pub fn previous_driver(&self) -> Option<&str> {
        self.before.as_ref()?.driver.as_deref()
    }

    /// Notes that the device, which is on vfio-pci already, was taken from this driver by a run that could not give it back.
    pub fn taken_from(&mut self, driver: &str) {
        if self.before.is_none() {
            self.before = Some(Before { driver: Some(driver.to_owned()) });
            self.driver_override = Some(String::new());
        }
    }

    pub fn keep(&mut self) {
        (self.before, self.driver_override) = (None, None);
    }

    /// Gives the device back: to the driver that had it, with the override that it had. Does nothing the second time.
    pub fn restore(&mut self) -> Result<(), BindError> {
        // A worker that was killed in the midst of a case could not.
        if !std::mem::replace(&mut self.had_functions, true) {
            sriov::remove_in(&self.root, self.bdf).map_err(BindError::Functions)?;
        }
        let put_back = self.reset_methods.put_back();
        let path = || self.root.join(attribute(self.bdf, "reset_method"));
        put_back.map_err(|errno| BindError::Write(path(), errno))?;
        let before = self.before.take();
        let driver_override = self.driver_override.take();
        if let Some(text) = driver_override.filter(|text| *text != override_in(&self.root, self.bdf)) {
            // A newline clears the override: nothing at all would not be a write.
            let text = if text.is_empty() { "\n" } else { &text };
            self.write(attribute(self.bdf, "driver_override"), text)?;
        }
        let Some(before) = before else { return Ok(()) };
        let put_back = || {
            let current = driver_in(&self.root, self.bdf);
            if current == before.driver {
                return Ok(());
            }
            self.unbind()?;
            let Some(driver) = &before.driver else { return Ok(()) };
            self.write(format!("sys/bus/pci/drivers/{driver}/bind"), &self.bdf.to_string())
        };
        put_back()
    }

    fn unbind(&self) -> Result<(), BindError> {
        match driver_in(&self.root, self.bdf) {
            Some(_) => self.write(attribute(self.bdf, "driver/unbind"), &self.bdf.to_string()),
            None => Ok(()),
        }
    }

    fn probe(&self) -> Result<(), BindError> {
        self.write("sys/bus/pci/drivers_probe", &self.bdf.to_string())
    }

    fn write(&self, path: impl Into<PathBuf>, text: &str) -> Result<(), BindError> {
        let path = self.root.join(path.into());
        hotplug::write(&path, text).map_err(|errno| BindError::Write(path, errno))
    }
}

/// The only driver that may bind the device (`driver_override`); empty if any may.
fn override_in(root: &Root, bdf: Bdf) -> String {
    root.text(attribute(bdf, "driver_override")).filter(|text| text != "(null)").unwrap_or_default()
}

impl Drop for Binding {
    fn drop(&mut self) {
        // Whoever wants to know calls restore().
        let _ = self.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn a_device_on_vfio_pci_already_is_left_as_it_is() {
        let tree = Tree::new("bound").driver("vfio-pci");
        let mut binding = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap();
        assert_eq!(binding.previous_driver(), None);
        assert_eq!(binding.restore(), Ok(()));
        assert_eq!(tree.read("sys/bus/pci/drivers_probe"), "");
    }

    #[test]
    fn a_device_that_a_killed_run_left_behind_goes_back_to_where_it_was_taken_from() {
        let tree = Tree::new("left").driver("vfio-pci");
        tree.put("sys/bus/pci/drivers/e1000e/bind", "");
        tree.put(attribute(tree.bdf(), "driver_override").to_str().unwrap(), "vfio-pci\n");
        let mut binding = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap();
        binding.taken_from("e1000e");
        assert_eq!(binding.restore(), Ok(()));
        assert_eq!(tree.read("sys/bus/pci/drivers/e1000e/bind"), tree.bdf().to_string());
        assert!(tree.read(attribute(tree.bdf(), "driver_override")).starts_with('\n'));
    }

    #[test]
    fn an_override_that_a_case_changed_is_as_it_was() {
        let tree = Tree::new("override").driver("vfio-pci");
        let file = attribute(tree.bdf(), "driver_override");
        let mut binding = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap();
        tree.put(file.to_str().unwrap(), "vfio-pci\n");
        assert_eq!(binding.restore(), Ok(()));
        assert!(tree.read(&file).starts_with('\n'));
    }

    #[test]
    fn virtual_functions_that_a_run_made_go_with_it_and_no_others() {
        let tree = Tree::new("functions").driver("vfio-pci").file("sriov_numvfs", "0\n");
        let numvfs = attribute(tree.bdf(), "sriov_numvfs");
        let mut binding = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap();
        let tree = tree.file("sriov_numvfs", "1\n");
        assert_eq!(binding.restore(), Ok(()));
        assert_eq!(tree.read(&numvfs), "0");
        let tree = tree.file("sriov_numvfs", "1\n");
        drop(Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap());
        assert_eq!(tree.read(&numvfs), "1\n", "they were there before");
    }

    #[test]
    fn a_device_in_use_is_refused_before_anything_is_written() {
        let tree = Tree::new("in-use").driver("e1000e").file("net/eth0/flags", "0x1003");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert!(matches!(error, BindError::InUse(..)), "{error}");
        assert_eq!(tree.read(attribute(tree.bdf(), "driver_override")), "(null)\n");
    }

    #[test]
    fn without_the_driver_it_says_how_to_load_it() {
        let tree = Tree::new("no-vfio").driver("e1000e").without("sys/bus/pci/drivers/vfio-pci");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(error.to_string(), "failed to find the driver vfio-pci; load it with: modprobe vfio-pci");
    }

    #[test]
    fn a_failure_midway_clears_the_override_again() {
        // The tree's files do nothing when written, so that the device stays where it is.
        let tree = Tree::new("stays").driver("e1000e");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        let text =
            format!("failed to bind {} to vfio-pci: it is now bound to e1000e; the kernel log says why", tree.bdf());
        assert_eq!(error.to_string(), text);
        assert!(tree.read(attribute(tree.bdf(), "driver_override")).starts_with('\n'));
    }

    #[test]
    fn without_an_iommu_the_driver_stays() {
        let tree = Tree::new("no-iommu").driver("e1000e").without("sys/kernel/iommu_groups");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(error, BindError::NoIommu(tree.bdf()));
        assert_eq!(tree.read("sys/bus/pci/drivers/e1000e/unbind"), "");
    }

    #[test]
    fn a_device_without_a_driver_may_get_its_group_by_being_bound() {
        let tree = Tree::new("late-iommu").without("sys/kernel/iommu_groups");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        // The tree's files do nothing when written: it got none.
        assert_eq!(error, BindError::NoIommu(tree.bdf()));
        assert_eq!(tree.read("sys/bus/pci/drivers_probe"), tree.bdf().to_string());
    }

    #[test]
    fn a_device_that_is_not_there_is_said_to_be() {
        let tree = Tree::new("absent");
        let error = Binding::to_vfio_in(tree.root(), "ff:1f.7".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "failed to find the PCI device 0000:ff:1f.7; see lspci -D for those there are");
    }
}
