// SPDX-License-Identifier: MIT OR Apache-2.0
//! The project's own folder: packages, sources, kernels, the last run, and what was learned about this machine.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{error::LabError, progress::Progress};
use crate::file::write_atomic;

/// `VFIOSPEC_CACHE`, else `$XDG_CACHE_HOME/vfiospec`, else `~/.cache/vfiospec`.
pub fn default_cache() -> Result<PathBuf, LabError> {
    from_environment(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, LabError> {
    if let Some(folder) = variable("VFIOSPEC_CACHE") {
        return Ok(folder.into());
    }
    // The XDG specification ignores a relative path.
    if let Some(folder) = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(folder.join("vfiospec"));
    }
    match variable("HOME") {
        Some(home) => Ok(Path::new(&home).join(".cache/vfiospec")),
        None => {
            Err(LabError::new("failed to find a cache folder: neither VFIOSPEC_CACHE, XDG_CACHE_HOME nor HOME is set")
                .help("name a folder with VFIOSPEC_CACHE"))
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub fn open(folder: &Path) -> Result<Self, LabError> {
        create(folder)?;
        let root = folder.canonicalize().map_err(|error| LabError::io("find", folder, &error))?;
        // `make` splits its variables at spaces and its rules at colons; apt's configuration has quotes.
        if root.to_string_lossy().contains(|c: char| c.is_whitespace() || ":\"'$%#\u{fffd}".contains(c)) {
            return Err(LabError::usage(format!("failed to use the cache folder {}", root.display()))
                .detail("the kernel cannot be built below a path with spaces, colons or quotes")
                .help("name another folder with VFIOSPEC_CACHE"));
        }
        Ok(Self { root })
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    pub fn folder(&self, below: impl AsRef<Path>) -> Result<PathBuf, LabError> {
        let folder = self.path(below);
        create(&folder)?;
        Ok(folder)
    }

    /// Takes the lock `name`, waiting for another run that has it.
    pub fn lock(&self, name: &str, progress: Progress, interrupt: &AtomicBool) -> Result<Lock, LabError> {
        let path = self.folder("locks")?.join(name);
        let open = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = open.map_err(|error| LabError::io("open", &path, &error))?;
        let mut said = false;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock { _file: lock }),
                Err((back, Errno::EWOULDBLOCK)) => file = back,
                Err((_, errno)) => return Err(LabError::io("lock", &path, &errno.into())),
            }
            if !said {
                said = true;
                progress.say(&format!("waiting for another vfiospec that has the lock {}", path.display()));
            }
            if interrupt.load(Ordering::Relaxed) {
                return Err(LabError::interrupted("waiting for another vfiospec"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn recall(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.path("learned").join(key)).ok().map(|text| text.trim().to_owned())
    }

    /// Notes `value` under `key` for later runs; a failure costs time later and nothing now.
    pub fn learn(&self, key: &str, value: &str) {
        if let Ok(folder) = self.folder("learned") {
            let _ = write(&folder.join(key), value.as_bytes());
        }
    }

    /// Fails when there are fewer than `mib` MiB free.
    pub fn needs(&self, mib: u64, what: &str) -> Result<(), LabError> {
        let Ok(stat) = nix::sys::statvfs::statvfs(&self.root) else { return Ok(()) };
        let free = stat.blocks_available() * stat.fragment_size() / (1 << 20);
        if free >= mib {
            return Ok(());
        }
        Err(LabError::new(format!("failed to {what}: {} has too little space", self.root.display()))
            .detail(format!("{free} MiB are free, {mib} MiB are needed"))
            .help("free some space there, or name another folder with VFIOSPEC_CACHE"))
    }
}

/// Held until dropped, and released by the kernel if we die.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// A lock on a file that is created if it is not there; nothing if somebody has it, or if it cannot be had.
    pub fn try_on(path: &Path) -> Option<Lock> {
        let file = OpenOptions::new().create(true).append(true).open(path).ok()?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(|file| Lock { _file: file })
    }
}

pub(super) fn create(folder: &Path) -> Result<(), LabError> {
    fs::create_dir_all(folder).map_err(|error| LabError::io("create", folder, &error))
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    write_atomic(path, |out| out.write_all(bytes)).map_err(|error| LabError::io("write", path, &error.source))
}

/// The last `lines` lines of a text file; empty if it cannot be read.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let all = text.lines().collect::<Vec<_>>();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Removes a folder or file with everything in it; nothing there is fine.
pub(super) fn remove(path: &Path) -> Result<(), LabError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::io("remove", path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Exit;

    pub fn scratch(name: &str) -> Cache {
        let folder = std::env::temp_dir().join(format!("vfiospec-test-{}-{name}", std::process::id()));
        remove(&folder).unwrap();
        Cache::open(&folder).unwrap()
    }

    #[test]
    fn the_cache_is_where_the_environment_says() {
        let all = |name: &str| Some(format!("/{name}"));
        assert_eq!(from_environment(all).unwrap(), Path::new("/VFIOSPEC_CACHE"));
        let xdg = |name: &str| all(name).filter(|_| name != "VFIOSPEC_CACHE");
        assert_eq!(from_environment(xdg).unwrap(), Path::new("/XDG_CACHE_HOME/vfiospec"));
        let home = |name: &str| all(name).filter(|_| name == "HOME");
        assert_eq!(from_environment(home).unwrap(), Path::new("/HOME/.cache/vfiospec"));
        assert!(from_environment(|_| None).unwrap_err().help.is_some());
    }

    #[test]
    fn a_second_run_waits_for_the_lock_and_can_be_interrupted() {
        let cache = scratch("lock");
        let calm = AtomicBool::new(false);
        let held = cache.lock("build", Progress::Quiet, &calm).unwrap();
        let error = cache.lock("build", Progress::Quiet, &AtomicBool::new(true)).unwrap_err();
        assert_eq!(error.exit, Exit::Interrupted);
        drop(held);
        cache.lock("build", Progress::Quiet, &calm).unwrap();
        remove(&cache.root).unwrap();
    }

    #[test]
    fn what_was_learned_is_recalled() {
        let cache = scratch("learned");
        assert_eq!(cache.recall("kvm"), None);
        cache.learn("kvm", "hangs");
        assert_eq!(cache.recall("kvm").as_deref(), Some("hangs"));
        assert!(cache.needs(1, "test").is_ok());
        assert!(cache.needs(u64::MAX, "test").unwrap_err().to_string().contains("are needed"));
        remove(&cache.root).unwrap();
    }

    #[test]
    fn a_folder_that_make_cannot_use_is_refused() {
        let folder = std::env::temp_dir().join(format!("vfiospec test {}", std::process::id()));
        let error = Cache::open(&folder).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        remove(&folder).unwrap();
    }
}
