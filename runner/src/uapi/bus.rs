// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bus error of an access to a device whose memory does not answer, as a value rather than the end of the process.
//!
//! The kernel sends SIGBUS to the thread that touches a BAR while the device's memory decoding is off (`vfio_pci_mmap_huge_fault`), and
//! to one that touches a file's mapping beyond the file's end. The handler puts an empty page there, so that the access ends, and notes it;
//! whoever made the access then puts the device back.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::{sync::Once, sync::atomic::Ordering::SeqCst};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::system::page_size;
use crate::model::Errno;

thread_local! {
    /// The page that this thread is about to touch; 0 if none. The handler runs in the thread that touched it.
    static WATCHED: AtomicU64 = const { AtomicU64::new(0) };
    static CAUGHT: AtomicBool = const { AtomicBool::new(false) };
}

static HANDLER: Once = Once::new();

/// Makes an access to the page at `page`, an address; [`Errno::SIGBUS`] if nothing answered, and then an empty page of this process lies there.
pub(super) fn touch<T>(page: u64, access: impl FnOnce() -> T) -> Result<T, Errno> {
    HANDLER.call_once(|| {
        let action = SigAction::new(SigHandler::SigAction(replace), SaFlags::SA_SIGINFO, SigSet::empty());
        // SAFETY: the handler only uses atomics of its thread and mmap(2), which a signal handler may call.
        let _ = unsafe { sigaction(Signal::SIGBUS, &action) }; // without it a bus error ends the process, as before
    });
    WATCHED.with(|watched| watched.store(page, SeqCst));
    let got = access();
    WATCHED.with(|watched| watched.store(0, SeqCst));
    match CAUGHT.with(|caught| caught.swap(false, SeqCst)) {
        false => Ok(got),
        true => Err(Errno::SIGBUS),
    }
}

extern "C" fn replace(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands over the information about this signal, which is a fault and has an address.
    let touched = unsafe { (*info).si_addr() } as u64;
    let page = WATCHED.with(|watched| watched.load(SeqCst));
    let length = page_size();
    let is_watched = page != 0 && touched & !(length - 1) == page;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the page is one of a mapping that the thread in `touch` holds, and nobody has a reference into it.
    let replaced = |at| unsafe { libc::mmap(at, length as usize, prot, flags, -1, 0) } != libc::MAP_FAILED;
    if is_watched && replaced(page as *mut libc::c_void) {
        CAUGHT.with(|caught| caught.store(true, SeqCst));
        return;
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default ends the process at the same access, which is what a bus error elsewhere does.
    let _ = unsafe { sigaction(Signal::SIGBUS, &default) };
}
