// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program of the user's own in the lab's guest.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, os::unix::fs::PermissionsExt};

use super::guests::{TICK, indent};
use super::inside::{Said, WORK};
use super::{Failure, Reached};
use crate::lab::{self, Guest, GuestDevice, Job, LabError, Next, Prepared};
use crate::{model::Exit, report::terminal::Terminal};

const SILENCE: Duration = Duration::from_secs(120);

/// Runs the command of a [`job()`] in a guest and returns its exit code.
///
/// Which lines of the kernel ran is written into the folder `coverage`, if the kernel counts them.
pub fn exec(
    mut job: Job,
    command: &str,
    prepared: &Prepared,
    coverage: Option<&Path>,
    interrupt: &AtomicBool,
) -> Result<u8, Failure> {
    if needs_busybox(command, &job) {
        job.programs.push(("/bin/busybox".into(), lab::busybox(prepared, interrupt)?));
    }
    let mut guest = Guest::boot(prepared, &job, interrupt)?;
    let mut started = false;
    let mut heard = Instant::now();
    loop {
        match guest.next_line(TICK) {
            Next::Line(line) => match serde_json::from_str::<Said>(&line) {
                Ok(said) => {
                    started = true;
                    heard = Instant::now();
                    if said.print().is_err() {
                        return Ok(Exit::ReportNotWritten as u8); // nobody reads it any more
                    }
                }
                Err(error) => {
                    return Err(LabError::new(format!("failed to understand the guest: {error}: {line}")).into());
                }
            },
            Next::Finished { code } => {
                if !started {
                    eprintln!(
                        "vfiospec: the command was not started; the guest says:\n{}",
                        indent(&guest.last_words())
                    );
                }
                if let Some(folder) = coverage {
                    let mut reached = Reached::default();
                    reached.told(guest.counters());
                    let terminal = Terminal::detect(&io::stderr());
                    eprint!("{}", reached.write(folder, prepared, interrupt, &terminal)?);
                }
                return Ok(code);
            }
            Next::Died { console_tail } => {
                eprintln!("vfiospec: the guest died; its console says:\n{}", indent(&console_tail));
                return Ok(Exit::NoVerdict as u8);
            }
            Next::Counted => heard = Instant::now(),
            Next::TimedOut if heard.elapsed() > SILENCE => {
                let seconds = heard.elapsed().as_secs();
                eprintln!(
                    "vfiospec: nothing was heard of the guest for {seconds} s; its console says:\n{}",
                    indent(&guest.last_words())
                );
                return Ok(Exit::NoVerdict as u8);
            }
            Next::TimedOut => {}
        }
        if interrupt.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted as u8);
        }
    }
}

/// The guest's files and its command line: the files of `add`, and the command with its arguments.
pub fn job(add_paths: &[PathBuf], command: &[String], devices: &[GuestDevice]) -> Result<Job, LabError> {
    let mut job = Job { argv: vec!["inside".into()], ..Job::default() };
    for device in devices {
        job.argv.extend(["--device".to_owned(), format!("{}={}", device.name, device.bdf())]);
    }
    for path in add_paths {
        add(&mut job, path, &Path::new(WORK).join(file_name(path)?))?;
    }
    let mut command = command.to_vec();
    let program = Path::new(&command[0]);
    if command[0].contains('/') && program.is_file() {
        let inside = Path::new(WORK).join(file_name(program)?);
        job.files.retain(|(path, _)| *path != inside);
        job.programs.retain(|(path, _)| *path != inside);
        let bytes = fs::read(program).map_err(|error| LabError::io("read", program, &error))?;
        if lab::is_dynamic(&bytes) {
            return Err(LabError::usage(format!(
                "failed to take {} into the guest: it is linked dynamically",
                command[0]
            ))
            .detail("there is no loader in the guest")
            .help("link it statically, with gcc -static or -C target-feature=+crt-static"));
        }
        job.programs.push((inside.clone(), bytes));
        command[0] = inside.to_string_lossy().into_owned();
    }
    job.argv.push("--".to_owned());
    job.argv.extend(command);
    Ok(job)
}

fn file_name(path: &Path) -> Result<PathBuf, LabError> {
    let whole = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let name = whole.file_name().map(PathBuf::from);
    // The name as the user gave it: that of a link, and not of its target.
    let name = path.file_name().map(PathBuf::from).or(name);
    name.ok_or_else(|| LabError::usage(format!("failed to add {}: it has no name", path.display())))
}

fn unreadable(path: &Path, error: &io::Error) -> LabError {
    LabError::usage(format!("failed to add {}: {error}", path.display()))
        .help("name a file or a folder of this machine with --add, or a program behind `--`")
}

/// Adds a file, or a folder with all that is in it; links within it are left out, as they may lead anywhere.
fn add(job: &mut Job, path: &Path, inside: &Path) -> Result<(), LabError> {
    let failed = |error: io::Error| unreadable(path, &error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let mut entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if !entry.file_type().map_err(failed)?.is_symlink() {
                add(job, &entry.path(), &inside.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(LabError::usage(format!("failed to add {}: it is neither a file nor a folder", path.display())));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let files = if metadata.permissions().mode() & 0o111 == 0 { &mut job.files } else { &mut job.programs };
    files.push((inside.to_owned(), bytes));
    Ok(())
}

/// Whether something has to be found in the guest that only busybox has: the command itself, or a script's shell.
fn needs_busybox(command: &str, job: &Job) -> bool {
    let ours = command == "vfiospec" || command.starts_with(WORK) || Path::new(command).exists();
    !ours || job.programs.iter().any(|(_, bytes)| bytes.starts_with(b"#!"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_is_added_with_the_right_to_execute_and_without_links() {
        let folder = std::env::temp_dir().join(format!("vfiospec-exec-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("data"), "1").unwrap();
        fs::write(folder.join("below/run"), "#!/bin/sh").unwrap();
        fs::set_permissions(folder.join("below/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/etc/passwd", folder.join("link")).unwrap();
        let mut job = Job::default();
        add(&mut job, &folder, Path::new("/work/a")).unwrap();
        assert_eq!(job.files, [("/work/a/data".into(), b"1".to_vec())]);
        assert_eq!(job.programs, [("/work/a/below/run".into(), b"#!/bin/sh".to_vec())]);
        fs::remove_dir_all(folder).unwrap();
    }
}
