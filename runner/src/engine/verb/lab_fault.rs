// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{fs, path::Path};

use nix::sys::reboot::{RebootMode, reboot};

use super::prelude::*;
use crate::host::facts;

/// The file that is there once `fail_once` has failed.
const FAILED_ONCE: &str = "/tmp/vfiospec-failed-once";

impl Act for LabFault {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        if !facts::is_lab_guest() {
            let title = "this step breaks the machine, and is for the lab's guest only";
            return Err(step.error(Code::OnlyInTheLab, "", title, "expected only in `vfiospec lab run`"));
        }
        let cannot = |what: &str, error: &dyn std::fmt::Display| {
            step.error(Code::Fault, "", format!("failed to {what}: {error}"), "")
        };
        let mut got = Ok(None);
        match self {
            LabFault::Panic => fs::write("/proc/sysrq-trigger", "c").map_err(|error| cannot("panic", &error))?,
            LabFault::Reboot => {
                let Err(errno) = reboot(RebootMode::RB_AUTOBOOT);
                return Err(cannot("reboot", &errno));
            }
            LabFault::Crash => std::process::abort(),
            LabFault::ExhaustMemory => loop {
                // Written to, so that it is really taken.
                std::mem::forget(vec![1u8; 64 << 20]);
            },
            LabFault::Spin => loop {
                std::hint::spin_loop();
            },
            LabFault::Stuck => {
                // The driver waits until nobody has the device open, and the process that waits has it open.
                let bdf = step.case.devices.bdf(step.case.current);
                fs::write(format!("/sys/bus/pci/devices/{bdf}/driver/unbind"), bdf.to_string())
                    .map_err(|error| cannot("get stuck", &error))?;
            }
            LabFault::FailOnce => {
                if !Path::new(FAILED_ONCE).exists() {
                    got = Err(Errno(libc::EIO));
                }
                fs::write(FAILED_ONCE, "").map_err(|error| cannot("take a note", &error))?;
            }
        }
        step.compare(got)
    }
}
