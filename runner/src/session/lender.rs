// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices of this machine that a guest of the lab has.
//!
//! A process of its own binds them to vfio-pci, and gives them back when the run that started it is gone, in whichever way: it sees the end of
//! its standard input, also after a SIGKILL. It is in a process group of its own, which Ctrl-C at the terminal does not reach.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::{Failure, Named, devices};
use crate::host::{bind::BindError, pci};
use crate::lab::HostDevice;
use crate::language::{IommuModel, Machine, Place};
use crate::{lab::HOST_DEVICES, model::Exit};

/// What the lender says when it has bound all of them; anything else is why it has not.
const LENT: &str = "lent";

/// The devices while a guest can have them; given back when dropped.
#[derive(Debug)]
pub struct Lent(Option<Child>);

/// The devices as a guest is to have them, before anything is touched.
///
/// # Errors
/// They do not fit into the machine, or one is named twice.
pub fn to_lend(all: &[Named], machine: &Machine) -> Result<Vec<HostDevice>, Failure> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    if machine.iommu() == IommuModel::Smmuv3 {
        let help = "leave out --arch arm64: QEMU passes on what VT-d, AMD's IOMMU and virtio-iommu map";
        return Err(Failure::usage("QEMU's SMMUv3 cannot have a device of this machine behind it", help));
    }
    let ports = machine.devices.iter().filter(|(_, device)| device.place == Some(Place::Port)).count();
    if ports + all.len() > HOST_DEVICES {
        let what = format!("more than {HOST_DEVICES} devices at the place `port`, with those of this machine");
        return Err(Failure::usage(what, "name fewer with --host-device"));
    }
    let used = devices::named(all, "--host-device")?;
    if let Some(twice) = used.iter().find(|used| machine.devices.iter().any(|(name, _)| name == used.name)) {
        let help = format!("give this machine's another name: --host-device other={}", twice.bdf);
        return Err(Failure::usage(format!("two devices are called `{}`", twice.name), help));
    }
    if let Some((device, _)) = all.iter().zip(&used).find(|(_, used)| used.ids.is_empty()) {
        return Err(Failure::new(Exit::NoVerdict, BindError::NoDevice(device.bdf())));
    }
    Ok(all
        .iter()
        .zip(used)
        .map(|(named, used)| HostDevice { name: used.name.clone(), bdf: named.bdf(), kind: used.kind() })
        .collect())
}

/// Has the devices bound to vfio-pci. Without any, nothing happens.
///
/// # Errors
/// One cannot be had, such as one that is in use; all are back then.
pub fn lend(all: &[Named]) -> Result<Lent, Failure> {
    if all.is_empty() {
        return Ok(Lent(None));
    }
    let failed =
        |error: io::Error| Failure::new(Exit::NoVerdict, format!("failed to start what binds devices: {error}"));
    let mut command = Command::new("/proc/self/exe");
    command.arg0("vfiospec").arg("lender");
    for device in all {
        command.args(["--device", &device.to_string()]);
    }
    let mut child = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(failed)?;
    }
    let lent = Lent(Some(child));
    match said.trim_end() {
        LENT => Ok(lent),
        "" => Err(Failure::new(
            Exit::NoVerdict,
            "failed to bind the devices of this machine: the process that does it ended",
        )),
        why => Err(Failure::new(Exit::NoVerdict, why)),
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        drop(child.stdin.take()); // It gives them back, and says itself what does not work.
        let _ = child.wait();
    }
}

/// The process that [`lend`] starts: returns when its standard input ends and all are given back.
pub fn lender(all: &[Named]) -> Exit {
    let bound = devices::bind(all, devices::Taking::default()).map_err(|error| error.to_string()).and_then(|bound| {
        // A guest of the lab, which may be this machine, binds what has no IOMMU in front of it.
        match all.iter().find(|device| pci::group(device.bdf()).is_none()) {
            Some(device) => Err(BindError::NoIommu(device.bdf()).to_string()),
            None => Ok(bound),
        }
    });
    // The run may be gone by now; its end is seen below.
    let _ = writeln!(io::stdout(), "{}", bound.as_ref().map_or_else(String::as_str, |_| LENT));
    let Ok(bound) = bound else { return Exit::NoVerdict };
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    match bound.give_back(&[]) {
        true => Exit::Ok,
        false => Exit::NoVerdict,
    }
}
