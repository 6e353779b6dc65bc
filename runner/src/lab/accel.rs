// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM or software emulation: `/dev/kvm` may open and its guests still hang, so only a guest that speaks is believed.

use std::fs::{self, OpenOptions};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{arch::HOST, cache::Cache, error::LabError, options::Accel, qemu::Engine, version::Version};
use crate::{host::facts, language::Arch};

/// A guest with KVM says its first word within a second; one that hangs never does.
const KVM_PATIENCE: Duration = Duration::from_secs(6);

const PATIENCE: Duration = Duration::from_secs(120);

/// For a guest in a guest, where each instruction is emulated twice.
const PATIENCE_IN_A_GUEST: Duration = Duration::from_secs(600);

/// How long a KVM that booted no guest is left alone. The administrator may repair it meanwhile, and a try costs little.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// One way to try, and how long to wait for the guest's first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub engine: Engine,
    pub patience: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Experience {
    key: String,
}

impl Experience {
    /// With this QEMU on this host's kernel; another of either tries again.
    pub fn new(qemu: &Version) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        Self { key: format!("kvm-{qemu}-{}", host.trim()).chars().map(plain).collect() }
    }

    /// KVM booted no guest, and software emulation did.
    pub fn kvm_is_no_use(&self, cache: &Cache) {
        cache.learn(&self.key, &seconds(SystemTime::now()).to_string());
    }

    fn is_kvm_no_use(&self, cache: &Cache) -> bool {
        let noted = cache.recall(&self.key).and_then(|text| text.parse().ok());
        noted.is_some_and(|noted| still_holds(noted, seconds(SystemTime::now())))
    }

    pub fn attempts(&self, accel: Accel, arch: Arch, cache: &Cache) -> Result<Vec<Attempt>, LabError> {
        if arch != HOST.arch && accel == Accel::Kvm {
            let what = format!("failed to run a guest of {} with KVM on {}", arch.as_str(), HOST.arch.as_str());
            return Err(LabError::usage(what).help("leave out --accel kvm: it is emulated"));
        }
        let accel = if arch == HOST.arch { accel } else { Accel::Tcg };
        let open = OpenOptions::new().read(true).write(true).open("/dev/kvm");
        let patience = if facts::is_lab_guest() { PATIENCE_IN_A_GUEST } else { PATIENCE };
        attempts(accel, patience, open.map(drop), self.is_kvm_no_use(cache))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether what was noted then still counts now; not if it was noted in the future, by a clock that was wrong.
fn still_holds(noted: u64, now: u64) -> bool {
    now.checked_sub(noted).is_some_and(|age| age < MEMORY.as_secs())
}

fn attempts(
    accel: Accel,
    patience: Duration,
    open: std::io::Result<()>,
    no_use: bool,
) -> Result<Vec<Attempt>, LabError> {
    let tcg = Attempt { engine: Engine::Tcg, patience };
    match (accel, open) {
        (Accel::Tcg, _) => Ok(vec![tcg]),
        (Accel::Auto, Ok(())) if !no_use => Ok(vec![Attempt { engine: Engine::Kvm, patience: KVM_PATIENCE }, tcg]),
        (Accel::Auto, _) => Ok(vec![tcg]),
        (Accel::Kvm, Ok(())) => Ok(vec![Attempt { engine: Engine::Kvm, patience }]),
        (Accel::Kvm, Err(error)) => Err(LabError::new(format!("failed to open /dev/kvm: {error}"))
            .help("give yourself access (group kvm), or leave out --accel kvm")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines(accel: Accel, opens: bool, no_use: bool) -> Vec<&'static str> {
        let open = if opens { Ok(()) } else { Err(std::io::ErrorKind::PermissionDenied.into()) };
        attempts(accel, PATIENCE, open, no_use).unwrap().iter().map(|attempt| attempt.engine.name()).collect()
    }

    #[test]
    fn kvm_is_tried_again_after_a_day() {
        assert!(still_holds(1_000, 1_000) && still_holds(1_000, 1_000 + 23 * 3600));
        assert!(!still_holds(1_000, 1_000 + 24 * 3600) && !still_holds(1_000, 999));
        let cache = super::super::cache::tests::scratch("kvm");
        let experience = Experience { key: "kvm-test".into() };
        assert!(!experience.is_kvm_no_use(&cache));
        experience.kvm_is_no_use(&cache);
        assert!(experience.is_kvm_no_use(&cache));
        cache.learn("kvm-test", "no use"); // as earlier versions noted it, for ever
        assert!(!experience.is_kvm_no_use(&cache));
        super::super::cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn kvm_is_tried_only_where_it_may_work() {
        assert_eq!(engines(Accel::Auto, true, false), ["kvm", "tcg"]);
        assert_eq!(engines(Accel::Auto, true, true), ["tcg"]);
        assert_eq!(engines(Accel::Auto, false, false), ["tcg"]);
        assert_eq!(engines(Accel::Tcg, true, false), ["tcg"]);
        assert_eq!(engines(Accel::Kvm, true, true), ["kvm"]);
        assert!(attempts(Accel::Kvm, PATIENCE, Err(std::io::ErrorKind::NotFound.into()), false).is_err());
        let cache = super::super::cache::tests::scratch("arm");
        let experience = Experience { key: "kvm-test".into() };
        let engines = |accel| experience.attempts(accel, Arch::Arm64, &cache);
        assert!(engines(Accel::Auto).unwrap().iter().all(|attempt| attempt.engine == Engine::Tcg));
        assert_eq!(engines(Accel::Kvm).unwrap_err().what, "failed to run a guest of arm64 with KVM on x86-64");
        super::super::cache::remove(&cache.path("")).unwrap();
    }
}
