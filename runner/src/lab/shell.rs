// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab shell`: a person at the guest's console.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use super::apt::{Apt, Suites};
use super::boot::{self, RunFolder};
use super::initramfs::{Job, Order};
use super::qemu::{self, Engine, Files};
use super::{accel::Experience, cache, child, error::LabError, layout, options::Accel, prepare::Prepared, tools};

/// Boots the guest with its console on this terminal and returns when it ends. The shell is Debian's busybox, which is
/// fetched into the cache and not installed; the job's command is not run but suggested.
///
/// KVM is used only with [`Accel::Kvm`]: a person would stare at a guest that hangs.
pub fn shell(prepared: &Prepared, job: &Job, interrupt: &AtomicBool) -> Result<(), LabError> {
    let Prepared { options, cache, kernel, qemu, progress } = prepared;
    let mut job = job.clone();
    job.programs.push(("/bin/busybox".into(), busybox(prepared, interrupt)?));
    let folder = RunFolder::create(cache, *progress, interrupt)?;
    let order = Order { argv: job.argv.clone(), env: job.env.clone(), shell: true };
    let initramfs = folder.path("initramfs.cpio");
    boot::write(&initramfs, &boot::pack(&job, &order)?)?;

    let roms = folder.path("");
    for (file, rom) in layout::roms(&layout::devices(&options.machine), &roms) {
        boot::write(&file, &rom)?;
    }

    let engine = if options.accel == Accel::Kvm { Engine::Kvm } else { Engine::Tcg };
    Experience::new(qemu).attempts(if engine == Engine::Kvm { Accel::Kvm } else { Accel::Tcg }, cache)?;
    let files = Files { image: &kernel.image, initramfs: &initramfs, folder: &roms, console: None, crowded: false };
    let arguments = qemu::arguments(options, engine, qemu, &files);
    // In our own process group: it reads the terminal.
    let status = child::killed_with_us(tools::QEMU).args(&arguments).status();
    let _ = cache::remove(&initramfs);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(LabError::new(format!("failed to run the guest: QEMU gave {status}")).detail(qemu::as_line(&arguments)))
        }
        Err(error) => Err(LabError::new(format!("failed to start {}: {error}", tools::QEMU))),
    }
}

/// Debian's busybox, fetched into the cache the first time and not installed.
pub fn busybox(prepared: &Prepared, interrupt: &AtomicBool) -> Result<Vec<u8>, LabError> {
    let Prepared { cache, progress, .. } = prepared;
    let kept = cache.path("tools/busybox");
    for path in [&kept, Path::new("/bin/busybox")] {
        if let Ok(bytes) = fs::read(path)
            && !boot::is_dynamic(&bytes)
        {
            return Ok(bytes);
        }
    }
    let _lock = cache.lock("prepare", *progress, interrupt)?;
    let apt = Apt::open(cache, Suites::Installable, *progress, interrupt)?;
    let candidates = apt.candidates("^busybox-static$")?;
    let newest = candidates.last().ok_or_else(|| {
        LabError::new("failed to find the package busybox-static").help("put a static busybox at /bin/busybox")
    })?;
    let deb = apt.download(newest, *progress)?;
    let unpacked = cache.folder("tools/unpacked")?;
    apt.unpack(&deb, &unpacked)?;
    let program = ["bin/busybox", "usr/bin/busybox"].map(|path| unpacked.join(path));
    let program = program.iter().find(|path| path.exists());
    let program = program.ok_or_else(|| {
        LabError::new(format!("failed to find busybox in {} {}", newest.package, newest.version))
            .help("put a static busybox at /bin/busybox")
    })?;
    let bytes = fs::read(program).map_err(|error| LabError::io("read", program, &error))?;
    cache::write(&kept, &bytes)?;
    cache::remove(&unpacked)?;
    cache::remove(&deb)?;
    Ok(bytes)
}
