// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this process may lock: the limit, and the right not to be held to it.

use super::{Tracer, trace::zero};
use crate::model::Errno;

/// `CAP_IPC_LOCK` (`include/uapi/linux/capability.h`): memory is locked beyond the limit.
const CAP_IPC_LOCK: u32 = 14;
/// `_LINUX_CAPABILITY_VERSION_3`
const VERSION: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`; pid 0 is the calling thread.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`, of which version 3 has two.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Capabilities {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// A lower limit on locked memory, held to: as it was when dropped.
#[derive(Debug)]
pub struct LockLimit {
    limit: libc::rlimit,
    capabilities: [Capabilities; 2],
    tracer: Tracer,
}

impl LockLimit {
    /// Lets this process lock `bytes` and no more: `RLIMIT_MEMLOCK`, and `CAP_IPC_LOCK` laid down by the calling thread.
    pub fn set(bytes: u64, tracer: &Tracer) -> Result<LockLimit, Errno> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes one `rlimit`, which is what is lent to it.
        check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }.into())?;
        let mut capabilities = [Capabilities::default(); 2];
        let header = Header { version: VERSION, pid: 0 };
        // SAFETY: of version 3 the kernel reads one header and writes two structs, which are what is lent to it.
        check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, capabilities.as_mut_ptr()) })?;
        let before = LockLimit { limit, capabilities, tracer: tracer.clone() };
        let mut fewer = capabilities;
        fewer[0].effective &= !(1 << CAP_IPC_LOCK);
        before.apply(libc::rlimit { rlim_cur: bytes, ..limit }, &fewer)?;
        Ok(before)
    }

    fn apply(&self, limit: libc::rlimit, capabilities: &[Capabilities; 2]) -> Result<(), Errno> {
        let run = || {
            // SAFETY: the kernel reads one `rlimit`.
            check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }.into())
        };
        self.tracer.call("setrlimit", format!("RLIMIT_MEMLOCK, {:#x}", limit.rlim_cur), run, zero)?;
        let header = Header { version: VERSION, pid: 0 };
        let run = || {
            // SAFETY: of version 3 the kernel reads one header and two structs.
            check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, capabilities.as_ptr()) })
        };
        self.tracer.call("capset", format!("effective={:#x}", capabilities[0].effective), run, zero)
    }
}

impl Drop for LockLimit {
    fn drop(&mut self) {
        // What was there before is allowed; the trace shows it.
        let _ = self.apply(self.limit, &self.capabilities);
    }
}

fn check(returned: i64) -> Result<(), Errno> {
    if returned < 0 { Err(Errno::last()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> (u64, u32) {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let mut capabilities = [Capabilities::default(); 2];
        let header = Header { version: VERSION, pid: 0 };
        // SAFETY: as above.
        unsafe {
            libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit);
            libc::syscall(libc::SYS_capget, &raw const header, capabilities.as_mut_ptr());
        }
        (limit.rlim_cur, capabilities[0].effective)
    }

    #[test]
    fn it_is_held_to_and_taken_back() {
        let before = now();
        let limit = LockLimit::set(4096, &Tracer::new()).unwrap();
        assert_eq!(now(), (4096, before.1 & !(1 << CAP_IPC_LOCK)));
        drop(limit);
        assert_eq!(now(), before);
    }
}
