// SPDX-License-Identifier: MIT OR Apache-2.0
//! Binding a device to vfio-pci for a while, and giving it back.
//!
//! By `driver_override` (`Documentation/ABI/testing/sysfs-bus-pci`), which concerns this one device only; never by
//! `new_id`, which would take every device of the kind.

use std::{path::PathBuf, thread, time::Duration};

use super::facts;
use super::hotplug;
use super::in_the_way::{
    Bridge, FREE_IT, LET_IN, Refused, bridge, find_anew, grant_command, listed, named, no_iommu_help, refused,
};
use super::link;
use super::pci::{attribute, driver_in};
use super::reset_method::ResetMethods;
use super::sriov::{self, SriovError};
use super::taken::{Holder, Left, Lock, Note};
use super::use_of::{self, Use};
use super::{Root, is_gone_in};
use crate::model::{Bdf, Errno, count};

pub const VFIO: &str = "vfio-pci";

/// How often a device is taken from its driver: one that appeared just now may get its driver, or lose it, meanwhile.
const TRIES: u32 = 5;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether the processes of a killed run still have a device open.
const GOING: u32 = 50;

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
    /// Until it was given back. `None` where the device has no file to lock.
    lock: Option<Lock>,
    left_behind: bool,
    /// Whether there was a note about it that cannot be read.
    unreadable: bool,
}

#[derive(Debug, Clone)]
struct Before {
    driver: Option<String>,
    /// The network interfaces of the device that were up.
    up: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    #[error("failed to find the PCI device {0}; see lspci -D for those there are")]
    NoDevice(Bdf),
    /// No IOMMU is in front of it: vfio-pci would refuse it, after its driver had to let go.
    #[error("failed to find an IOMMU in front of {0}; {help}", help = no_iommu_help(&Root::default()))]
    NoIommu(Bdf),
    #[error("failed to find the driver vfio-pci; load it with: modprobe vfio-pci, or run with --load-modules")]
    NoVfioPci,
    #[error("failed to load the module {0}: {1}")]
    Module(&'static str, String),
    /// It does something that someone would miss.
    #[error("failed to bind {0} to vfio-pci, as it is in use: {1}; if you can do without it: {mend}", mend = .1.mend())]
    InUse(Bdf, Use),
    #[error("failed to take {0}: {1} has it")]
    Taken(Bdf, Holder),
    #[error("failed to bind {0} to vfio-pci: it is {1}; name another device")]
    Bridge(Bdf, Bridge),
    /// Other drivers have devices of its group.
    #[error("failed to use {0}: its IOMMU group has devices that other drivers have: {others}; test them, too: {options}; or take them without testing them: --whole-group", others = listed(.1), options = named(.1))]
    NotViable(Bdf, Vec<(Bdf, String)>),
    /// VFIO would refuse the device in each case.
    #[error("failed to use {0}: interrupts are not remapped, and VFIO refuses such devices; switch on interrupt remapping in the firmware, or on a test machine: {commands}", commands = facts::ALLOW_UNSAFE_INTERRUPTS)]
    UnsafeInterrupts(Bdf),
    /// The same.
    #[error("failed to use {0}: the firmware reserves {count} for it (RMRR), and the kernel lets no program map for such a device; {FREE_IT}", count = count(*.1, "range"))]
    Reserved(Bdf, usize),
    /// An ordinary user cannot bind.
    #[error("failed to bind {0} to vfio-pci: that takes root; as root, once: {command}", command = grant_command(*.0))]
    NotRoot(Bdf),
    /// The file of the device that is to be opened.
    #[error("failed to open {file}: this user may not; as root: {command}", file = .1.display(), command = grant_command(*.0))]
    NoAccess(Bdf, PathBuf),
    #[error("failed to open {file}: the control group of this process may not; {LET_IN}", file = .0.display())]
    Forbidden(PathBuf),
    #[error("failed to bind {0} to vfio-pci: /sys cannot be written to here, as in a container; outside of it: {command}", command = grant_command(*.0))]
    ReadOnly(Bdf),
    #[error("failed to leave a note in /run that {0} is taken: {1}")]
    Note(Bdf, Errno),
    /// A run that was killed took it, and nothing says where it belongs.
    #[error("failed to give {0} back: its note {path} cannot be read ({2}), so its driver is not known; give it to the driver that the kernel finds: {commands}", path = .1.display(), commands = by_kernel(*.0, .1))]
    Unreadable(Bdf, PathBuf, String),
    /// It was up before.
    #[error("failed to set the network interface {1} of {0} up again: {2}")]
    Interface(Bdf, String, Errno),
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
    /// It was pulled out, and there is nothing that could be given back.
    #[error("{0} is no longer in the machine; once it is there again, the kernel finds its driver")]
    PulledOut(Bdf),
    /// VFIO could not open it.
    #[error("failed to use {0}: the kernel failed to wake it, and it cannot be opened; find it anew: {commands}", commands = find_anew(*.0))]
    Asleep(Bdf),
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
        let lock = Lock::take(&root, bdf).map_err(|holder| BindError::Taken(bdf, holder))?;
        let driver = driver_in(&root, bdf);
        let driver_override = override_in(&root, bdf);
        if driver.as_deref() == Some(VFIO) {
            // The one who left the note is gone: nobody has the lock.
            let left = Note::about(&root, bdf);
            let found = if left == Left::Nothing { use_of::opened(&root, bdf) } else { still_open(&root, bdf) };
            if let Some(found) = found {
                return Err(BindError::InUse(bdf, found));
            }
            let had_functions = sriov::number(&root, bdf, "sriov_numvfs") > 0;
            let mut binding = Binding::new(root, bdf, lock);
            binding.had_functions = had_functions;
            binding.left_behind = matches!(left, Left::Note(_));
            binding.unreadable = matches!(left, Left::Unreadable(..));
            match left {
                Left::Note(note) => binding.was(note),
                Left::Nothing | Left::Unreadable(..) => binding.driver_override = Some(driver_override),
            }
            return Ok(binding);
        }
        if let Some(bridge) = bridge(&root, bdf) {
            return Err(BindError::Bridge(bdf, bridge));
        }
        // Before Linux 6.15 an IOMMU that the firmware describes by VIOT, IORT or a device tree gives a device its group only when a driver
        // is bound to it (its commit bcb81ac6ae3c).
        let no_group = |root: &Root| !root.join(attribute(bdf, "iommu_group")).exists();
        if no_group(&root) && (driver.is_some() || root.names("sys/class/iommu").is_empty()) {
            return Err(BindError::NoIommu(bdf));
        }
        if let Some(found) = use_of::find(&root, bdf) {
            return Err(BindError::InUse(bdf, found));
        }
        if !root.join(format!("sys/bus/pci/drivers/{VFIO}")).exists() {
            return Err(BindError::NoVfioPci);
        }
        match refused(&root.join(attribute(bdf, "driver_override"))) {
            None => {}
            Some(Refused::ReadOnly) => return Err(BindError::ReadOnly(bdf)),
            Some(Refused::User | Refused::Group) => return Err(BindError::NotRoot(bdf)),
        }
        let now = Note { up: link::up(&root, bdf), ..Note::new(bdf, driver, driver_override) };
        // One that was killed on the way to vfio-pci knows better what was there before.
        let note = match Note::about(&root, bdf) {
            Left::Note(note) => Note {
                driver: now.driver.or(note.driver),
                up: if now.up.is_empty() { note.up } else { now.up },
                driver_override: note.driver_override,
                ..Note::new(bdf, None, String::new())
            },
            Left::Nothing | Left::Unreadable(..) => now,
        };
        note.leave(&root, bdf).map_err(|error| BindError::Note(bdf, Errno::of(&error)))?;
        // From here on a failure puts everything back, by the drop.
        let mut binding = Binding::new(root, bdf, lock);
        binding.was(note);
        binding.write(attribute(bdf, "driver_override"), VFIO)?;
        let mut taken = binding.take();
        for _ in 1..TRIES {
            // A driver that was loading has it by now, or is gone: vfio-pci is the only one that may have it next.
            let is_moving =
                matches!(&taken, Err(BindError::Write(_, Errno(libc::ENOENT | libc::ENODEV | libc::EBUSY))));
            if !is_moving {
                break;
            }
            thread::sleep(PAUSE);
            taken = binding.take();
        }
        taken?;
        match driver_in(&binding.root, bdf) {
            Some(driver) if driver == VFIO => Ok(binding),
            None if no_group(&binding.root) => Err(BindError::NoIommu(bdf)),
            other => Err(BindError::OtherDriver(bdf, VFIO, other)),
        }
    }

    /// One that has nothing to put back yet.
    fn new(root: Root, bdf: Bdf, lock: Option<Lock>) -> Binding {
        Binding {
            reset_methods: ResetMethods::of_in(root.clone(), bdf),
            root,
            bdf,
            before: None,
            had_functions: false,
            driver_override: None,
            lock,
            left_behind: false,
            unreadable: false,
        }
    }

    /// What the note says is put back.
    fn was(&mut self, note: Note) {
        self.before = Some(Before { driver: note.driver, up: note.up });
        self.driver_override = Some(note.driver_override);
    }

    fn take(&self) -> Result<(), BindError> {
        self.unbind()?;
        self.probe()
    }

    /// Gives a device back that a killed run left on vfio-pci. Returns `None` if there is no note about the device.
    ///
    /// # Errors
    /// Somebody has the device, or it cannot be given back.
    pub fn release(bdf: Bdf) -> Result<Option<Note>, BindError> {
        Binding::release_in(Root::default(), bdf)
    }

    fn release_in(root: Root, bdf: Bdf) -> Result<Option<Note>, BindError> {
        let lock = Lock::take(&root, bdf).map_err(|holder| BindError::Taken(bdf, holder))?;
        if is_gone_in(&root, bdf) {
            Note::remove(&root, bdf);
            return Ok(None);
        }
        let driver = driver_in(&root, bdf);
        let note = match Note::about(&root, bdf) {
            Left::Note(note) => note,
            Left::Nothing => return Ok(None),
            Left::Unreadable(_, _) if driver.as_deref() != Some(VFIO) => {
                Note::remove(&root, bdf);
                return Ok(None);
            }
            Left::Unreadable(path, why) => return Err(BindError::Unreadable(bdf, path, why)),
        };
        let is_set = override_in(&root, bdf) != note.driver_override;
        let is_back = driver == note.driver && !is_set && link::down(&root, bdf, &note.up).is_empty();
        // It may have been killed before it had the device, too.
        if is_back || driver.as_ref().is_some_and(|driver| driver != VFIO && note.driver.as_ref() != Some(driver)) {
            // Somebody has done it by now.
            Note::remove(&root, bdf);
            return Ok(None);
        }
        // Its driver would wait for ever for whoever has it open.
        if let Some(found) = still_open(&root, bdf) {
            return Err(BindError::InUse(bdf, found));
        }
        let mut binding = Binding::new(root, bdf, lock);
        binding.was(note.clone());
        binding.restore().map(|()| Some(note))
    }

    /// The driver that the device goes back to; `None` if to none, or if it stays.
    pub fn previous_driver(&self) -> Option<&str> {
        self.before.as_ref()?.driver.as_deref()
    }

    /// Whether a run that was killed took it, and this one gives it back.
    pub fn was_left_behind(&self) -> bool {
        self.left_behind
    }

    /// Whether a run left a note about it that cannot be read: it stays on vfio-pci.
    pub fn has_unreadable_note(&self) -> bool {
        self.unreadable
    }

    /// Notes that the device, which is on vfio-pci already, was taken from this driver by a run that could not give it back.
    pub fn taken_from(&mut self, driver: &str) {
        if self.before.is_none() {
            self.before = Some(Before { driver: Some(driver.to_owned()), up: Vec::new() });
            self.driver_override = Some(String::new());
        }
    }

    /// Lets another vfiospec use the device meanwhile, which finds it as if it had always been on vfio-pci.
    pub fn hand_over(&mut self) {
        self.lock = None;
        Note::remove(&self.root, self.bdf);
    }

    pub fn keep(&mut self) {
        (self.before, self.driver_override) = (None, None);
        // It is not given back by anybody.
        Note::remove(&self.root, self.bdf);
    }

    /// Gives the device back: to the driver that had it, with the override that it had. Does nothing the second time.
    pub fn restore(&mut self) -> Result<(), BindError> {
        if is_gone_in(&self.root, self.bdf) {
            Note::remove(&self.root, self.bdf);
            let was_taken = self.before.take().is_some() | self.driver_override.take().is_some();
            return if was_taken { Err(BindError::PulledOut(self.bdf)) } else { Ok(()) };
        }
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
        let put_back = || {
            put_back()?;
            link::set_up(&self.root, self.bdf, &before.up)
                .map_err(|(name, errno)| BindError::Interface(self.bdf, name, errno))
        };
        put_back().inspect(|()| Note::remove(&self.root, self.bdf))
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

/// Who has a device open, once those that belonged to a killed run had time to end: the kernel closes what they had open, and that may take a
/// reset of the device.
fn still_open(root: &Root, bdf: Bdf) -> Option<Use> {
    for _ in 0..GOING {
        use_of::opened(root, bdf)?;
        thread::sleep(PAUSE);
    }
    use_of::opened(root, bdf)
}

/// The commands by which the kernel gives a device to a driver that takes its kind.
fn by_kernel(bdf: Bdf, note: &std::path::Path) -> String {
    let device = format!("/sys/bus/pci/devices/{bdf}");
    format!(
        "rm {note}; echo > {device}/driver_override; echo {bdf} > {device}/driver/unbind; echo {bdf} > /sys/bus/pci/drivers_probe",
        note = note.display()
    )
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
    fn of_a_device_that_was_pulled_out_nothing_is_left() {
        let tree = Tree::new("pulled-out").driver("vfio-pci");
        let mut binding = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap();
        binding.taken_from("e1000e");
        let note = format!("run/vfiospec/{}.json", tree.bdf());
        tree.put(&note, "{}");
        let tree = tree.without("sys/bus/pci/devices");
        assert_eq!(binding.restore(), Err(BindError::PulledOut(tree.bdf())));
        assert!(!tree.root().join(&note).exists());
        assert_eq!(binding.restore(), Ok(()));
        tree.put(&note, "{}");
        drop(binding);
        assert_eq!(Binding::release_in(tree.root(), tree.bdf()).map(|note| note.is_none()), Ok(true));
        assert!(!tree.root().join(&note).exists());
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
        drop(binding);
        assert_eq!(tree.read(&numvfs), "0");
        let tree = tree.file("sriov_numvfs", "1\n");
        drop(Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap());
        assert_eq!(tree.read(&numvfs), "1\n", "they were there before");
    }

    #[test]
    fn a_device_in_use_is_refused_before_anything_is_written() {
        let tree = Tree::new("in-use").driver("e1000e").file("net/eth0/carrier", "1");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert!(matches!(error, BindError::InUse(..)), "{error}");
        assert_eq!(tree.read(attribute(tree.bdf(), "driver_override")), "(null)\n");
    }

    #[test]
    fn without_the_driver_it_says_how_to_load_it() {
        let tree = Tree::new("no-vfio").driver("e1000e").without("sys/bus/pci/drivers/vfio-pci");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        let text = "failed to find the driver vfio-pci; load it with: modprobe vfio-pci, or run with --load-modules";
        assert_eq!(error.to_string(), text);
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
        tree.put("sys/class/iommu/virtio0/name", "");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        // The tree's files do nothing when written: it got none.
        assert_eq!(error, BindError::NoIommu(tree.bdf()));
        assert_eq!(tree.read("sys/bus/pci/drivers_probe"), tree.bdf().to_string());
    }

    #[test]
    fn a_run_that_is_killed_leaves_a_note_and_the_next_one_gives_back() {
        let tree = Tree::new("killed").driver("e1000e");
        tree.put("sys/bus/pci/drivers/e1000e/bind", "");
        let note = Note::new(tree.bdf(), Some("e1000e".into()), "x".into());
        note.leave(&tree.root(), tree.bdf()).unwrap();
        // Nobody has it any more.
        assert_eq!(
            Binding::release_in(tree.root(), tree.bdf()),
            Ok(Some(note.clone())),
            "the override is not as it was"
        );
        assert!(tree.read(attribute(tree.bdf(), "driver_override")).starts_with('x'));
        assert_eq!(Binding::release_in(tree.root(), tree.bdf()), Ok(None), "it was given back");
        note.leave(&tree.root(), tree.bdf()).unwrap();
        let tree = tree.driver("vfio-pci");
        let mut binding = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap();
        assert!(binding.was_left_behind() && binding.previous_driver() == Some("e1000e"));
        let error = Binding::release_in(tree.root(), tree.bdf()).unwrap_err();
        assert!(matches!(error, BindError::Taken(..)), "{error}");
        assert_eq!(binding.restore(), Ok(()));
        drop(binding);
        assert_eq!(tree.read("sys/bus/pci/drivers/e1000e/bind"), tree.bdf().to_string());
        assert!(tree.read(attribute(tree.bdf(), "driver_override")).starts_with('x'));
        assert_eq!(Note::about(&tree.root(), tree.bdf()), Left::Nothing);
    }

    #[test]
    fn a_run_that_is_killed_between_two_drivers_leaves_the_device_to_the_first() {
        let tree = Tree::new("between");
        tree.put("sys/bus/pci/drivers/e1000e/bind", "");
        tree.put(attribute(tree.bdf(), "driver_override").to_str().unwrap(), "vfio-pci\n");
        let note = Note::new(tree.bdf(), Some("e1000e".to_owned()), String::new());
        note.leave(&tree.root(), tree.bdf()).unwrap();
        // The tree's files do nothing when written: it is not taken, and goes back.
        Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(tree.read("sys/bus/pci/drivers/e1000e/bind"), tree.bdf().to_string());
        assert!(tree.read(attribute(tree.bdf(), "driver_override")).starts_with('\n'));
        tree.put("sys/bus/pci/drivers/e1000e/bind", "");
        note.leave(&tree.root(), tree.bdf()).unwrap();
        assert_eq!(Binding::release_in(tree.root(), tree.bdf()), Ok(Some(note)));
        assert_eq!(tree.read("sys/bus/pci/drivers/e1000e/bind"), tree.bdf().to_string());
    }

    #[test]
    fn a_bridge_stays_where_it_is() {
        let tree = Tree::new("bridge").driver("pcieport");
        let mut config = vec![0; 64];
        config[0x0e] = 0x81;
        tree.put_bytes(attribute(tree.bdf(), "config").to_str().unwrap(), &config);
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(error, BindError::Bridge(tree.bdf(), Bridge::Pci));
        assert_eq!(tree.read(attribute(tree.bdf(), "driver_override")), "(null)\n");
        let tree = Tree::new("host-bridge").file("class", "0x060000\n");
        let error = Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(error, BindError::Bridge(tree.bdf(), Bridge::Host));
    }

    #[test]
    fn an_interface_that_was_up_is_up_again_whether_the_run_ends_or_is_killed() {
        let tree = Tree::new("was-up").driver("e1000e").file("net/eth0/flags", "0x1003\n");
        tree.put("sys/bus/pci/drivers/e1000e/bind", "");
        let flags = "sys/class/net/eth0/flags";
        // The tree's files do nothing when written: it is not taken, and goes back.
        Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(Note::about(&tree.root(), tree.bdf()), Left::Nothing);
        let note = Note { up: vec!["eth0".into()], ..Note::new(tree.bdf(), Some("e1000e".into()), String::new()) };
        note.leave(&tree.root(), tree.bdf()).unwrap();
        tree.put(flags, "0x1002\n");
        assert_eq!(Binding::release_in(tree.root(), tree.bdf()), Ok(Some(note)));
        assert!(tree.read(flags).starts_with("0x1003"));
    }

    #[test]
    fn a_note_that_cannot_be_read_is_said() {
        let tree = Tree::new("torn").driver("vfio-pci");
        let note = format!("run/vfiospec/{}.json", tree.bdf());
        tree.put(&note, "{");
        assert!(Binding::to_vfio_in(tree.root(), tree.bdf()).unwrap().has_unreadable_note());
        tree.put(&note, "{");
        let error = Binding::release_in(tree.root(), tree.bdf()).unwrap_err().to_string();
        assert!(
            error.contains("cannot be read (EOF") && error.contains(&note) && error.contains("drivers_probe"),
            "{error}"
        );
        let tree = tree.driver("e1000e");
        assert_eq!(Binding::release_in(tree.root(), tree.bdf()), Ok(None), "it is somewhere else by now");
        assert_eq!(Note::about(&tree.root(), tree.bdf()), Left::Nothing);
    }

    #[test]
    fn a_device_that_is_not_there_is_said_to_be() {
        let tree = Tree::new("absent");
        let error = Binding::to_vfio_in(tree.root(), "ff:1f.7".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "failed to find the PCI device 0000:ff:1f.7; see lspci -D for those there are");
    }
}
