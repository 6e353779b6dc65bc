// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that the lab calls: what is missing, and how it gets here.

use std::{path::Path, sync::atomic::AtomicBool};

use super::apt::{self, Apt, Candidate, Suites};
use super::{arch::ARCH, cache::Cache, child, error::LabError, progress::Progress, version::Version};
use crate::model::Exit;

/// The oldest QEMU that is chosen when there is a choice: with it come all device models.
const GOOD_QEMU: &str = "8.0";

pub(super) const QEMU: &str = ARCH.qemu;

const QEMU_PACKAGE: &str = ARCH.qemu_package;

/// What a package is needed for, as a file that proves it is there.
#[derive(Debug, Clone, Copy)]
enum Proof {
    Program(&'static str),
    Header(&'static str),
}

const BUILD: [(&str, Proof); 9] = [
    ("bc", Proof::Program("bc")),
    ("bison", Proof::Program("bison")),
    ("flex", Proof::Program("flex")),
    ("gcc", Proof::Program("gcc")),
    ("libc6-dev", Proof::Header("stdio.h")),
    ("libelf-dev", Proof::Header("gelf.h")), // objtool reads the kernel's objects with it.
    ("make", Proof::Program("make")),
    ("perl", Proof::Program("perl")),
    ("xz-utils", Proof::Program("xz")),
];

impl Proof {
    fn is_there(self) -> bool {
        match self {
            Self::Program(name) => child::find(name).is_some(),
            Self::Header(name) => Path::new("/usr/include").join(name).exists(),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Program(name) => name.to_owned(),
            Self::Header(name) => format!("the C header {name}"),
        }
    }
}

fn missing(build: bool) -> Vec<(&'static str, Proof)> {
    let qemu = [(QEMU_PACKAGE, Proof::Program(QEMU))];
    let tools = BUILD.iter().filter(|_| build).chain(&qemu);
    tools.filter(|(_, proof)| !proof.is_there()).copied().collect()
}

/// Whether all is there that [`provide`] sees to.
pub(super) fn complete(build: bool) -> bool {
    missing(build).is_empty()
}

/// Sees to it that QEMU is there, and the tools to build a kernel if it is to be built. Touches neither network nor
/// apt when all is there.
pub(super) fn provide(build: bool, cache: &Cache, progress: Progress, interrupt: &AtomicBool) -> Result<(), LabError> {
    let missing = missing(build);
    if missing.is_empty() {
        return Ok(());
    }
    if let Err(id) = apt::codename() {
        let things = missing.iter().map(|(_, proof)| proof.describe()).collect::<Vec<_>>().join(", ");
        return Err(LabError::new(format!("failed to find {things}"))
            .detail(format!("packages are installed on Debian only, this is `{id}`"))
            .help(format!("install with this system's package manager: {things}")));
    }
    let root = crate::uapi::system::is_root();
    let names = missing.iter().map(|(package, _)| *package).collect::<Vec<_>>();
    // Only QEMU may have to come from elsewhere than the machine's own release; for all else no list is needed.
    if !root && !names.contains(&QEMU_PACKAGE) {
        return Err(administrator(&names, &command_line(&names, None, None)));
    }
    let apt = match Apt::open(cache, Suites::Installable, progress, interrupt) {
        Err(error) if !root && error.exit != Exit::Interrupted => {
            return Err(administrator(&names, &command_line(&names, None, None)));
        }
        apt => apt?,
    };
    let qemu = best_qemu(&apt.candidates(&format!("^{QEMU_PACKAGE}$"))?, &apt.codename);
    let qemu = qemu.filter(|_| names.contains(&QEMU_PACKAGE));
    if !root {
        let configuration = qemu.is_some().then(|| apt.configuration());
        return Err(administrator(&names, &command_line(&names, qemu.as_deref(), configuration.as_deref())));
    }
    let log = cache.folder("logs")?.join("install.log");
    for (packages, release) in installs(&names, qemu.as_deref()) {
        apt.install(&packages, release, progress, &log)?;
    }
    match self::missing(build)[..] {
        [] => Ok(()),
        [(package, proof), ..] => {
            Err(LabError::new(format!("failed to find {} after installing {package}", proof.describe()))
                .help(format!("see what is installed with `dpkg -L {package}`")))
        }
    }
}

fn administrator(names: &[&str], line: &str) -> LabError {
    LabError::new(format!("failed to find {}: not installed, and only root can install", names.join(", ")))
        .help(format!("an administrator runs: {line}"))
}

/// What to install in one go each: a QEMU from another release by itself, with whatever it needs from there, so that nothing
/// else comes from it.
fn installs<'a>(names: &[&'a str], qemu: Option<&'a str>) -> Vec<(Vec<&'a str>, Option<&'a str>)> {
    let Some(release) = qemu else { return vec![(names.to_vec(), None)] };
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != QEMU_PACKAGE).collect();
    let mut all = vec![(others, None), (vec![QEMU_PACKAGE], Some(release))];
    all.retain(|(packages, _)| !packages.is_empty());
    all
}

/// The one line; packages of backports need our configuration, which has them.
fn command_line(names: &[&str], qemu: Option<&str>, configuration: Option<&Path>) -> String {
    let one = |(packages, release): (Vec<&str>, Option<&str>)| {
        let own = match (release, configuration) {
            (Some(_), Some(path)) => format!("env APT_CONFIG={} ", path.display()),
            _ => String::new(),
        };
        let release = release.map(|release| format!("-t {release} ")).unwrap_or_default();
        format!("sudo {own}apt-get install --no-install-recommends {release}{}", packages.join(" "))
    };
    installs(names, qemu).into_iter().map(one).collect::<Vec<_>>().join(" && ")
}

/// The release that has a better QEMU than the machine's own has; `None` where its own is good, or the only one.
fn best_qemu(candidates: &[Candidate], codename: &str) -> Option<String> {
    let good: Version = GOOD_QEMU.parse().ok()?;
    let upstream = |one: &Candidate| one.version.without_epoch();
    let own = candidates.iter().rfind(|one| one.suite == codename);
    match (own, candidates.last()) {
        (Some(own), _) if upstream(own) >= good => None,
        (_, Some(newest)) if newest.suite != codename => Some(newest.suite.clone()),
        _ => None,
    }
}

pub(super) fn newer_qemu_help(needed: &Version) -> String {
    match apt::codename() {
        Ok(codename) => format!(
            "install QEMU {needed} or later, for example from {codename}-backports: \
             sudo apt-get install --no-install-recommends -t {codename}-backports {QEMU_PACKAGE}"
        ),
        Err(_) => format!("install QEMU {needed} or later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(version: &str, suite: &str) -> Candidate {
        Candidate { package: QEMU_PACKAGE.into(), version: version.parse().unwrap(), suite: suite.into() }
    }

    #[test]
    fn an_old_release_gets_its_qemu_from_backports_and_a_new_one_its_own() {
        let old = [candidate("1:7.2+dfsg-7", "bookworm"), candidate("1:10.0.2-1~bpo12+1", "bookworm-backports")];
        assert_eq!(best_qemu(&old, "bookworm").as_deref(), Some("bookworm-backports"));
        let new = [candidate("1:10.0.2-1", "trixie"), candidate("1:11.0-1~bpo13+1", "trixie-backports")];
        assert_eq!(best_qemu(&new, "trixie"), None);
        assert_eq!(best_qemu(&old[..1], "bookworm"), None);
    }

    #[test]
    fn without_root_the_error_is_one_line_to_run() {
        let line = command_line(&["bc", "make"], None, None);
        assert_eq!(line, "sudo apt-get install --no-install-recommends bc make");
        let line = command_line(&["bc", QEMU_PACKAGE], Some("r-backports"), Some(Path::new("/c/apt.conf")));
        assert_eq!(
            line,
            "sudo apt-get install --no-install-recommends bc && sudo env APT_CONFIG=/c/apt.conf apt-get install \
             --no-install-recommends -t r-backports qemu-system-x86"
        );
        let error = administrator(&["bc"], &line);
        assert_eq!(error.exit, Exit::NoVerdict);
    }

    #[test]
    fn what_is_there_is_not_missing() {
        assert!(Proof::Program("sh").is_there());
        assert!(!Proof::Program("no-such-program").is_there());
        assert!(!Proof::Header("no-such-header.h").is_there());
    }
}
