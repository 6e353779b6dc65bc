// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes files whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that was not written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}: {source}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Writes a file beside `path` and renames it, so that readers see either the old content or the new. Creates missing folders.
/// `content` may write in pieces of any size.
///
/// If something other than a regular file is at `path`, such as a pipe, it is written to: a rename would remove it.
///
/// # Errors
/// Names the path and the errno. Nothing is left behind.
pub fn write_atomic(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    write(path, content).map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Checks that [`write_atomic`] can write a file at `path`, and creates missing folders. A file that is there stays.
pub fn probe(path: &Path) -> Result<(), WriteError> {
    let try_it = || match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(there) if !there.is_file() => Ok(()), // a pipe may have no reader yet
        _ => {
            let beside = beside(path)?;
            File::create(&beside)?;
            fs::remove_file(&beside)
        }
    };
    try_it().map_err(|source| WriteError { path: path.to_owned(), source })
}

/// The same for two names of one file.
pub fn place(path: &Path) -> Option<PathBuf> {
    path.canonicalize().or_else(|_| std::path::absolute(path)).ok()
}

/// The name of a file until it is whole. Creates its folder.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)?;
    Ok(folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id())))
}

fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return write_to(&File::options().write(true).open(path)?, content);
    }
    let beside = beside(path)?;
    let written = File::create(&beside)
        .and_then(|file| write_to(&file, content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside); // the first error is the one that matters
    }
    written
}

fn write_to(file: &File, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, file);
    content(&mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("vfiospec-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn folders_are_created_and_old_content_is_replaced_whole() {
        let folder = folder("file");
        let path = folder.join("a/b/junit.xml");
        write_atomic(&path, |out| out.write_all(b"a long first report")).expect("first");
        write_atomic(&path, |out| out.write_all(b"second")).expect("second");
        assert_eq!(fs::read(&path).expect("readable"), b"second");
        assert_eq!(fs::read_dir(folder.join("a/b")).expect("a folder").count(), 1, "nothing stays beside it");
        fs::remove_dir_all(folder).expect("ours");
    }

    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        write_atomic(Path::new("/dev/null"), |out| out.write_all(b"x")).expect("it takes all");
        assert!(!fs::metadata("/dev/null").expect("there").is_file());
    }

    #[test]
    fn an_error_names_the_path_and_the_errno_and_leaves_nothing() {
        let folder = folder("file-error");
        fs::create_dir_all(folder.join("taken/full")).expect("creatable");
        let error = write_atomic(&folder.join("taken"), |out| out.write_all(b"x"));
        let error = error.expect_err("a folder is no file").to_string();
        assert_eq!(error, format!("failed to write {}/taken: Is a directory (os error 21)", folder.display()));
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        let broken =
            write_atomic(&folder.join("half"), |out| out.write_all(b"x").and(Err(io::ErrorKind::Other.into())));
        assert!(broken.is_err());
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        fs::remove_dir_all(folder).expect("ours");
    }
}
