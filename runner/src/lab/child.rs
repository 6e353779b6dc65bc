// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that we start: they end when we end, in whichever way that is.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::error::LabError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is killed, even if we are killed ourselves.
    Killed,
    /// It gets an interrupt and may tidy up: a killed package manager leaves work for the administrator.
    Asked,
}

/// The folder of a program on the `PATH`, and where Debian keeps those of administrators.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && file.is_file())
}

/// A command that is killed when the *thread* that starts it ends, in whichever way: by util-linux's setpriv, where it is there.
pub(super) fn killed_with_us(program: &str) -> Command {
    let Some(setpriv) = find("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// A command in a process group of its own, so that Ctrl-C reaches it through us only.
pub(super) fn command(program: &str, ending: Ending) -> Command {
    let mut command = if ending == Ending::Killed { killed_with_us(program) } else { Command::new(program) };
    command.process_group(0).stdin(Stdio::null());
    command.env("LC_ALL", "C").env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL");
    command
}

#[derive(Debug)]
pub(super) struct Ran {
    pub status: ExitStatus,
    /// The last lines of its output, both streams.
    pub tail: String,
}

#[derive(Debug)]
pub(super) struct Runner<'a> {
    pub doing: &'a str,
    pub interrupt: &'a AtomicBool,
    pub ending: Ending,
    pub log: Option<&'a Path>,
}

impl Runner<'_> {
    /// Calls `tick` with each line of output, and with none every 200 ms.
    pub fn run(&self, mut command: Command, mut tick: impl FnMut(Option<&str>)) -> Result<Ran, LabError> {
        let name = format!("{command:?}");
        let failed = |error| LabError::new(format!("failed to start {name} while {}: {error}", self.doing));
        let mut log = match self.log {
            Some(path) => Some(append(path)?),
            None => None,
        };
        let (reader, writer) = std::io::pipe().map_err(&failed)?;
        let errors = writer.try_clone().map_err(&failed)?;
        let spawned = command.stdout(writer).stderr(errors).spawn();
        let mut child = Group::new(spawned.map_err(&failed)?);
        drop(command); // With it goes our end of the pipe, which would never close otherwise.

        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut tail = std::collections::VecDeque::new();
        let mut ended = None;
        loop {
            match lines.recv_timeout(Duration::from_millis(200)) {
                Ok(line) => {
                    if let Some(log) = &mut log {
                        let _ = writeln!(log, "{line}");
                    }
                    tick(Some(&line));
                    if tail.len() == 30 {
                        tail.pop_front();
                    }
                    tail.push_back(line);
                }
                Err(RecvTimeoutError::Timeout) => tick(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.interrupt.load(Ordering::Relaxed) {
                child.end(self.ending);
                return Err(LabError::interrupted(self.doing));
            }
            // A grandchild that stays in the background would hold the pipe open.
            match ended {
                None => ended = child.0.try_wait().ok().flatten().map(|_| Instant::now()),
                Some(at) if at.elapsed() > Duration::from_secs(2) => break,
                Some(_) => {}
            }
        }
        let status =
            child.0.wait().map_err(|error| LabError::new(format!("failed to wait while {}: {error}", self.doing)))?;
        Ok(Ran { status, tail: Vec::from(tail).join("\n") })
    }

    /// Runs `command` and returns its standard output; fails when it does.
    pub fn read(&self, mut command: Command) -> Result<String, LabError> {
        let output = command.stderr(Stdio::piped()).output();
        let output = output
            .map_err(|error| LabError::new(format!("failed to start {command:?} while {}: {error}", self.doing)))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(LabError::new(format!("failed while {}: {command:?} gave {}", self.doing, output.status))
            .detail(String::from_utf8_lossy(&output.stderr)))
    }

    /// As [`Runner::run`], and an error unless the program succeeds.
    pub fn succeed(&self, command: Command, tick: impl FnMut(Option<&str>)) -> Result<(), LabError> {
        let name = format!("{command:?}");
        let ran = self.run(command, tick)?;
        if ran.status.success() {
            return Ok(());
        }
        let error = LabError::new(format!("failed while {}: {name} gave {}", self.doing, ran.status));
        Err(match self.log {
            Some(log) => error.detail(ran.tail).help(format!("the whole output is in {}", log.display())),
            None => error.detail(ran.tail),
        })
    }
}

/// A child with its descendants; killed when dropped.
#[derive(Debug)]
pub(super) struct Group(pub Child);

impl Group {
    /// Of a child that was started by [`command`].
    pub fn new(child: Child) -> Self {
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }

    fn end(&mut self, ending: Ending) {
        if ending == Ending::Asked {
            self.signal(Signal::SIGINT);
            let _ = self.0.wait();
        }
        self.kill();
    }

    pub fn kill(&mut self) {
        // Once reaped, its number may be another's.
        if let Ok(None) = self.0.try_wait() {
            self.signal(Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn append(path: &Path) -> Result<File, LabError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| LabError::io("open", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Exit;

    fn sh(script: &str) -> Command {
        let mut command = command("sh", Ending::Killed);
        command.args(["-c", script]);
        command
    }

    fn runner(interrupt: &AtomicBool) -> Runner<'_> {
        Runner { doing: "testing", interrupt, ending: Ending::Killed, log: None }
    }

    #[test]
    fn output_comes_line_by_line_and_failure_carries_its_tail() {
        let calm = AtomicBool::new(false);
        let mut seen = Vec::new();
        runner(&calm).succeed(sh("echo a; echo b >&2"), |line| seen.extend(line.map(str::to_owned))).unwrap();
        assert_eq!(seen, ["a", "b"]);
        let error = runner(&calm).succeed(sh("echo no room; exit 4"), |_| {}).unwrap_err().to_string();
        assert!(error.contains("no room") && error.contains("exit status: 4"), "{error}");
    }

    #[test]
    fn an_interrupt_ends_the_whole_group_at_once() {
        // Whoever of the group lives on holds the pipe, and this never returns.
        let error = runner(&AtomicBool::new(true)).succeed(sh("sleep infinity & sleep infinity"), |_| {}).unwrap_err();
        assert_eq!(error.exit, Exit::Interrupted);
    }

    #[test]
    fn a_program_is_found_or_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program"), None);
    }
}
