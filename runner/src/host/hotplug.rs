// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a device from vfio-pci and out of the machine while it is open, and having it back
//! (`Documentation/ABI/testing/sysfs-bus-pci`).

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::Root;
use super::bind::{BindError, VFIO};
use super::pci::{attribute, driver_in};
use super::use_of;
use crate::model::{Bdf, Errno};

/// How often a process that writes is looked at.
const TICK: Duration = Duration::from_micros(200);
/// How often a device is asked to come back: another driver, or a writer that is not heard of any more, may come in between.
const TRIES: u32 = 3;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(100);

/// What the kernel can be told of a device, by writing to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Take it from its driver.
    Unbind,
    /// Give it to vfio-pci, from the driver that it may have by now.
    Bind,
    /// Take it out of the machine.
    Remove,
    /// Look for devices on its bus.
    Rescan,
}

impl Order {
    /// The files to write and what to write, one after the other.
    fn writes(self, root: &Root, bdf: Bdf) -> Vec<(PathBuf, String)> {
        let file = |path: PathBuf, text: String| (root.join(path), text);
        match self {
            Order::Unbind => vec![file(attribute(bdf, "driver/unbind"), bdf.to_string())],
            Order::Bind => {
                let other = driver_in(root, bdf).filter(|driver| driver != VFIO);
                let unbind = other.map(|_| file(attribute(bdf, "driver/unbind"), bdf.to_string()));
                std::iter::once(file(attribute(bdf, "driver_override"), VFIO.to_owned()))
                    .chain(unbind)
                    .chain([file(format!("sys/bus/pci/drivers/{VFIO}/bind").into(), bdf.to_string())])
                    .collect()
            }
            Order::Remove => vec![file(attribute(bdf, "remove"), "1".to_owned())],
            // Of the bus: the device may be gone.
            Order::Rescan => vec![file(bus_rescan(bdf), "1".to_owned())],
        }
    }
}

fn bus_rescan(bdf: Bdf) -> PathBuf {
    format!("sys/class/pci_bus/{:04x}:{:02x}/rescan", bdf.domain, bdf.bus).into()
}

/// An order that the kernel was given, and that it may take its time for: it takes a device away only once nobody has it open.
///
/// A process of its own writes it, which has none of this one's files and memory. A thread, or a process that was only forked, would hold the
/// device that it waits for. If this process is killed, its device is closed, and the order is carried out.
#[derive(Debug)]
pub struct Ordered {
    process: Child,
    text: String,
}

/// `write("/sys/…/unbind", "0000:03:00.0")`
impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ordered {
    /// Gives an order. When this returns, the other process is about to write.
    ///
    /// # Errors
    /// If the device is to be bound, and another driver has it and is in use.
    pub fn give(order: Order, bdf: Bdf) -> Result<Ordered, BindError> {
        let root = Root::default();
        let is_others = || driver_in(&root, bdf).is_some_and(|driver| driver != VFIO);
        // Only then: what uses a device is read from files of sysfs that wait while the kernel takes it away, such as `sriov_numvfs`.
        if order == Order::Bind
            && is_others()
            && let Some(found) = use_of::find(&root, bdf)
        {
            return Err(BindError::InUse(bdf, found));
        }
        let writes = order.writes(&root, bdf);
        let mut command = Command::new("/proc/self/exe");
        command.arg0("vfiospec").arg("worker");
        for (path, text) in &writes {
            command.arg("--write").arg(path).arg(text);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = process.map_err(|error| BindError::Start(Errno::of(&error)))?;
        if let Some(mut ready) = process.stdout.take() {
            // One that says nothing has ended.
            let _ = ready.read_exact(&mut [0]);
        }
        let text = writes.iter().map(|(path, text)| format!("\"{}\", \"{text}\"", path.display()));
        Ok(Ordered { process, text: text.collect::<Vec<_>>().join("; ") })
    }

    /// What the kernel said; `None` if it is not done within this time, or before `stop` says that nobody waits any more.
    pub fn wait(&mut self, within: Duration, stop: impl Fn() -> bool) -> Option<Result<(), Errno>> {
        let end = Instant::now() + within;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => {
                    return Some(match status.code() {
                        Some(0) => Ok(()),
                        Some(errno) => Err(Errno(errno)),
                        None => Err(Errno(libc::EINTR)),
                    });
                }
                Ok(None) => {}
                Err(error) => return Some(Err(Errno::of(&error))),
            }
            if Instant::now() >= end || stop() {
                return None;
            }
            thread::sleep(TICK);
        }
    }
}

/// Writes these files, each followed by what to write, in a process that does nothing else. Returns the errno of the first that fails, 0 if
/// none does.
pub fn write_for(files: &[String]) -> i32 {
    // The process that waits for this may be gone.
    let _ = io::stdout().write_all(b"\n").and_then(|()| io::stdout().flush());
    let written = files.chunks_exact(2).try_for_each(|pair| write(Path::new(&pair[0]), &pair[1]));
    written.map_or_else(|errno| errno.0, |()| 0)
}

/// In one write(2): sysfs takes each for a value of its own.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Errno> {
    let written = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Errno::of(&error))
}

/// Has a device back on vfio-pci that a case took from it, or out of the machine. Does nothing if it is there.
///
/// # Errors
/// If the kernel does not find it again, or if it is in use by now.
pub fn bring_back(bdf: Bdf) -> Result<(), BindError> {
    bring_back_in(&Root::default(), bdf)
}

fn bring_back_in(root: &Root, bdf: Bdf) -> Result<(), BindError> {
    let wrote = |path: PathBuf, text: &str| {
        let path = root.join(path);
        write(&path, text).map_err(|errno| BindError::Write(path, errno))
    };
    let once = || {
        if !root.join(attribute(bdf, "vendor")).exists() {
            wrote(bus_rescan(bdf), "1")?;
        }
        match driver_in(root, bdf) {
            Some(driver) if driver == VFIO => return Ok(()),
            None if !root.join(attribute(bdf, "vendor")).exists() => return Err(BindError::Gone(bdf)),
            // The device's own driver, which took it when it was found.
            Some(_) => use_of::find(root, bdf).map_or(Ok(()), |found| Err(BindError::InUse(bdf, found)))?,
            None => {}
        }
        wrote(attribute(bdf, "driver_override"), VFIO)?;
        if driver_in(root, bdf).is_some() {
            wrote(attribute(bdf, "driver/unbind"), &bdf.to_string())?;
        }
        wrote("sys/bus/pci/drivers_probe".into(), &bdf.to_string())?;
        match driver_in(root, bdf) {
            Some(driver) if driver == VFIO => Ok(()),
            other => Err(BindError::OtherDriver(bdf, VFIO, other)),
        }
    };
    let mut done = once();
    for _ in 1..TRIES {
        match done {
            Ok(()) | Err(BindError::InUse(..)) => break,
            Err(_) => thread::sleep(PAUSE),
        }
        done = once();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn each_order_is_about_the_device_that_it_is_given_for() {
        let tree = Tree::new("orders");
        let (root, bdf) = (tree.root(), tree.bdf());
        let writes = |order: Order| {
            let written = order.writes(&root, bdf).into_iter();
            let below = |path: PathBuf| path.strip_prefix(root.join("")).unwrap().display().to_string();
            written.map(|(path, text)| format!("{} {text}", below(path))).collect::<Vec<_>>()
        };
        let device = "sys/bus/pci/devices/0000:03:00.0";
        assert_eq!(writes(Order::Unbind), [format!("{device}/driver/unbind 0000:03:00.0")]);
        assert_eq!(
            writes(Order::Bind),
            [format!("{device}/driver_override vfio-pci"), "sys/bus/pci/drivers/vfio-pci/bind 0000:03:00.0".into()]
        );
        let _tree = tree.driver("e1000e");
        assert_eq!(writes(Order::Bind)[1], format!("{device}/driver/unbind 0000:03:00.0"));
        assert_eq!(writes(Order::Remove), [format!("{device}/remove 1")]);
        assert_eq!(writes(Order::Rescan), ["sys/class/pci_bus/0000:03/rescan 1"]);
    }

    #[test]
    fn what_is_on_vfio_pci_is_left_alone_and_what_is_on_no_driver_is_bound() {
        let tree = Tree::new("back").driver("vfio-pci");
        assert_eq!(bring_back_in(&tree.root(), tree.bdf()), Ok(()));
        assert_eq!(tree.read("sys/bus/pci/drivers_probe"), "");
        // The tree's files do nothing when written.
        let tree = Tree::new("unbound");
        let error = bring_back_in(&tree.root(), tree.bdf()).unwrap_err();
        assert_eq!(error, BindError::OtherDriver(tree.bdf(), VFIO, None));
        assert_eq!(tree.read(attribute(tree.bdf(), "driver_override")), "vfio-pci");
        assert_eq!(tree.read("sys/bus/pci/drivers_probe"), tree.bdf().to_string());
    }

    #[test]
    fn what_is_gone_is_looked_for_on_its_bus() {
        let tree = Tree::new("gone");
        tree.put("sys/class/pci_bus/0000:ff/rescan", "");
        let gone: Bdf = "ff:1f.7".parse().unwrap();
        assert_eq!(bring_back_in(&tree.root(), gone).unwrap_err(), BindError::Gone(gone));
        assert_eq!(tree.read("sys/class/pci_bus/0000:ff/rescan"), "1");
    }

    #[test]
    fn what_somebody_uses_by_now_is_not_taken_again() {
        let tree = Tree::new("used-again").driver("e1000e").file("net/eth0/operstate", "up\n");
        let error = bring_back_in(&tree.root(), tree.bdf()).unwrap_err();
        assert!(matches!(error, BindError::InUse(..)), "{error}");
        assert_eq!(tree.read(attribute(tree.bdf(), "driver_override")), "(null)\n");
    }
}
