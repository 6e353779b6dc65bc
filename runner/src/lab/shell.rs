// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab shell`: a person at the guest's console.

use std::{fs, sync::atomic::AtomicBool};

use super::apt::Archive;
use super::arch::HOST;
use super::boot::{self, RunFolder};
use super::initramfs::Job;
use super::qemu::{self, Engine, Files};
use super::{accel::Experience, cache, child, error::LabError, options::Accel, prepare::Prepared, tools};

/// Boots the guest with its console on this terminal and returns when it ends. The shell is Debian's busybox, which is
/// fetched into the cache and not installed; the job's command is not run but suggested.
///
/// KVM is used only with [`Accel::Kvm`]: a person would stare at a guest that hangs.
pub fn shell(prepared: &Prepared, job: &Job, interrupt: &AtomicBool) -> Result<(), LabError> {
    let Prepared { options, cache, kernel, qemu, program, progress, .. } = prepared;
    let mut job = job.clone();
    job.programs.push(("/bin/busybox".into(), busybox(prepared, interrupt)?));
    let folder = RunFolder::create(cache, *progress, interrupt)?;
    let initramfs = folder.path("initramfs.cpio");
    boot::write(&initramfs, &boot::pack(program, &job, kernel, true)?)?;

    let engine = if options.accel == Accel::Kvm { Engine::Kvm } else { Engine::Tcg };
    let accel = if engine == Engine::Kvm { Accel::Kvm } else { Accel::Tcg };
    Experience::new(&qemu.version).attempts(accel, options.machine.arch(), cache)?;
    let parts = folder.path("");
    boot::write_parts(options, qemu, engine, &parts)?;
    let files = Files {
        image: &kernel.image,
        initramfs: &initramfs,
        folder: &parts,
        console: None,
        socket: None,
        crowded: false,
    };
    let arguments = qemu::arguments(options, engine, &qemu.version, &files);
    // In our own process group: it reads the terminal.
    let status = child::killed_with_us(&qemu.program.to_string_lossy()).args(&arguments).status();
    let _ = cache::remove(&initramfs);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(LabError::new(format!("failed to run the guest: QEMU gave {status}"))
            .detail(qemu::as_line(&qemu.program, &arguments))),
        Err(error) => Err(LabError::new(format!("failed to start {}: {error}", qemu.program.display()))),
    }
}

/// Debian's busybox, fetched into the cache the first time and not installed; or this machine's, if it needs no loader.
pub fn busybox(prepared: &Prepared, interrupt: &AtomicBool) -> Result<Vec<u8>, LabError> {
    let Prepared { options, cache, progress, .. } = prepared;
    let arch = options.machine.arch();
    if arch == HOST.arch
        && let Ok(bytes) = fs::read("/bin/busybox")
        && !boot::is_dynamic(&bytes)
    {
        return Ok(bytes);
    }
    let bundle = tools::shell(arch);
    let folder = match bundle.cached(cache) {
        Some(folder) => folder,
        None => {
            let _lock = cache.lock("prepare", *progress, interrupt)?;
            bundle.get(&Archive::new(cache, *progress, interrupt))?
        }
    };
    let program = folder.join("usr/bin/busybox");
    fs::read(&program).map_err(|error| LabError::io("read", &program, &error))
}
