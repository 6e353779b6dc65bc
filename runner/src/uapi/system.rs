// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process may know of its system.

use nix::sys::utsname::{UtsName, uname};
use nix::unistd::{SysconfVar, geteuid, sysconf};

/// The base page, in bytes.
pub fn page_size() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |bytes| bytes as u64)
}

/// Whether the effective user is root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The name of the user, or the number where it has none.
pub fn user() -> String {
    let user = nix::unistd::User::from_uid(geteuid()).ok().flatten();
    user.map_or_else(|| geteuid().to_string(), |user| user.name)
}

/// The number of a user; `None` if there is no such user.
pub fn user_id(name: &str) -> Option<u32> {
    nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

/// The machine's name (`uname -n`).
pub fn hostname() -> String {
    uname().as_ref().map(UtsName::nodename).unwrap_or_default().to_string_lossy().into_owned()
}

/// The kernel's release (`uname -r`), such as `6.12.48+deb13-amd64`.
pub fn release() -> String {
    uname().as_ref().map(UtsName::release).unwrap_or_default().to_string_lossy().into_owned()
}

/// The kernel's architecture (`uname -m`), such as `x86_64`.
pub fn machine() -> String {
    uname().as_ref().map(UtsName::machine).unwrap_or_default().to_string_lossy().into_owned()
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
}
