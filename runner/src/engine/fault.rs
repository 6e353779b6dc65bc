//! The step that breaks things, in the lab only.

use std::{fs, path::Path as FilePath};

use super::{
    case::Execution,
    failure::{End, Problem},
};
use crate::{
    lab,
    language::LabFault,
    model::{Errno, code::Code},
    plan::PlannedStep,
};

/// What is there once `fail_once` has failed.
const FAILED_ONCE: &str = "/tmp/vfiospec-failed-once";

impl Execution<'_> {
    /// Does what it says, and most of it does not return.
    pub fn lab_fault(&mut self, fault: LabFault, planned: &PlannedStep) -> Result<(), End> {
        let at = planned.at.join("lab_fault");
        if !lab::is_guest() {
            let problem =
                Problem::new(Code::OnlyInTheLab, at, "this step breaks the machine, and is for the lab's guest only");
            return Err(End::Error(problem.label("expected only in `vfiospec lab run`")));
        }
        let cannot = |what: &str, error: &dyn std::fmt::Display| {
            End::Error(Problem::new(Code::Fault, at.clone(), format!("failed to {what}: {error}")))
        };
        match fault {
            LabFault::Panic => fs::write("/proc/sysrq-trigger", "c").map_err(|error| cannot("panic", &error))?,
            LabFault::Reboot => {
                let Err(errno) = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
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
                // A device's driver lets go of it once nobody has it open, and here the one who waits for that has.
                let bdf = self.devices.bdf(self.current);
                fs::write(format!("/sys/bus/pci/devices/{bdf}/driver/unbind"), bdf.to_string())
                    .map_err(|error| cannot("get stuck", &error))?;
            }
            LabFault::FailOnce => {
                let first = !FilePath::new(FAILED_ONCE).exists();
                fs::write(FAILED_ONCE, "").map_err(|error| cannot("take a note", &error))?;
                return self.compare("lab_fault", planned, if first { Err(Errno(libc::EIO)) } else { Ok(None) });
            }
        }
        self.compare("lab_fault", planned, Ok(None))
    }
}
