//! What the lab's init and the pool of workers need of the system, without unsafe code of theirs.

use std::ffi::{CStr, CString};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::Errno;

fn checked(returned: libc::c_long) -> Result<libc::c_long, Errno> {
    if returned < 0 { Err(Errno::last()) } else { Ok(returned) }
}

fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno(libc::EINVAL))
}

/// Mounts a file system such as `proc` (mount(2), no flags); the target folder has to exist.
pub fn mount(source: &str, target: &str, fstype: &str, options: &str) -> Result<(), Errno> {
    let (source, target) = (c_string(source)?, c_string(target)?);
    let (fstype, options) = (c_string(fstype)?, c_string(options)?);
    // SAFETY: four strings that end in zero and outlive the call.
    let returned =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), fstype.as_ptr(), 0, options.as_ptr().cast()) };
    checked(returned.into()).map(drop)
}

/// Writes everything to disk and switches the machine off (reboot(2)); returns only if that failed.
/// For the guest's init: there is no shutdown of services.
pub fn power_off() -> Errno {
    sync();
    // SAFETY: takes a number; ends the machine, no memory is concerned.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    Errno::last()
}

/// Writes everything to disk (sync(2)).
pub fn sync() {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::sync() };
}

/// Sends a signal to one process (kill(2)); `EINVAL` for what would be a group or everyone.
pub fn kill(pid: u32, signal: i32) -> Result<(), Errno> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(Errno(libc::EINVAL))?;
    // SAFETY: takes numbers.
    checked(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Reaps any child that has ended, without waiting: `None` if none has, `ECHILD` if there are none.
/// For PID 1, whom orphans are given to; elsewhere it would take children from those who wait for them.
pub fn reap_any() -> Result<Option<(u32, ExitStatus)>, Errno> {
    let mut status = 0;
    // SAFETY: status is a live local.
    let pid = checked(unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) }.into())?;
    Ok((pid > 0).then(|| (pid as u32, ExitStatus::from_raw(status))))
}

/// Asks the kernel to send this process a signal when the thread that started it ends (`PR_SET_PDEATHSIG`).
/// A parent that ended before is not noticed: compare [`std::os::unix::process::parent_id`] afterwards.
pub fn set_parent_death_signal(signal: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) }.into()).map(drop)
}

/// The base page, in bytes.
pub fn page_size() -> u64 {
    // SAFETY: takes a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// Whether the effective user is root.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The machine's name (`uname -n`).
pub fn hostname() -> String {
    uname(|names| &names.nodename)
}

/// The kernel's release (`uname -r`), such as `6.12.48+deb13-amd64`.
pub fn release() -> String {
    uname(|names| &names.release)
}

fn uname(field: fn(&libc::utsname) -> &[libc::c_char; 65]) -> String {
    // SAFETY: a struct of character arrays, for which zeroes are fine.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is a live local.
    if unsafe { libc::uname(&mut names) } < 0 {
        return String::new();
    }
    // SAFETY: the kernel ends each field with a zero byte; the arrays were zero before.
    unsafe { CStr::from_ptr(field(&names).as_ptr()) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_the_machine_it_is_on() {
        assert!(page_size().is_power_of_two() && page_size() >= 4096);
        assert_eq!(release(), std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
        assert_eq!(hostname(), std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    }

    #[test]
    fn a_signal_goes_to_one_process_or_to_none() {
        assert_eq!(kill(0, 0), Err(Errno(libc::EINVAL)));
        assert_eq!(kill(u32::MAX, 0), Err(Errno(libc::EINVAL)));
        assert_eq!(kill(std::process::id(), 0), Ok(()));
    }
}
