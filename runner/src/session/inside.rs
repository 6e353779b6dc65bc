// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of `lab exec` that runs in the guest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{os::unix::fs::symlink, os::unix::process::ExitStatusExt, path::Path};

use serde::{Deserialize, Serialize};

use super::{Failure, Named, devices};
use crate::{lab::JOURNAL_PORT, model::Exit};

/// The folder in the guest that everything is added to, and that the command starts in.
pub(super) const WORK: &str = "/work";
/// How often the guest says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How long the command's output is waited for after the command has ended.
const GRACE: Duration = Duration::from_secs(1);

/// What the guest says, a line of JSON each. Each character of a text is one byte, which may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Started,
    Alive,
    Out(String),
    Err(String),
}

impl Said {
    fn bytes(stream: fn(String) -> Said, bytes: &[u8]) -> Said {
        stream(bytes.iter().copied().map(char::from).collect())
    }

    pub fn print(&self) -> io::Result<()> {
        let bytes = |text: &str| text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect::<Vec<_>>();
        match self {
            Said::Started | Said::Alive => Ok(()),
            Said::Out(text) => {
                let mut out = io::stdout().lock();
                out.write_all(&bytes(text)).and_then(|()| out.flush())
            }
            Said::Err(text) => io::stderr().write_all(&bytes(text)),
        }
    }
}

/// Runs the command in the guest: binds the devices, passes on what it says, and returns its exit code.
pub fn inside(devices: &[Named], command: &[String]) -> Result<u8, Failure> {
    let mut bound =
        devices::bind(devices, devices::Taking::default()).map_err(|error| Failure::new(Exit::NoVerdict, error))?;
    bound.hand_over();
    let addresses: Vec<String> = devices.iter().map(|device| device.bdf().to_string()).collect();
    run(&addresses, command)
        .map_err(|error| Failure::new(Exit::NoVerdict, format!("failed to run the command: {error}")))
}

fn run(addresses: &[String], words: &[String]) -> io::Result<u8> {
    let mut port = fs::OpenOptions::new().write(true).open(JOURNAL_PORT)?;
    tell(&mut port, &Said::Started)?;
    fs::create_dir_all("/bin")?;
    symlink("/init", "/bin/vfiospec")?;
    if Path::new("/bin/busybox").exists() {
        Command::new("/bin/busybox").args(["--install", "-s", "/bin"]).status()?;
    }
    fs::create_dir_all(WORK)?;

    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(WORK).stdin(Stdio::null());
    command.env("DEVICES", addresses.join(" ")).env("DEVICE", addresses.first().map_or("", String::as_str));
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let text = format!("vfiospec: failed to start {} in the guest: {error}\n", words[0]);
            tell(&mut port, &Said::bytes(Said::Err, text.as_bytes()))?;
            return Ok(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }); // as a shell says it
        }
    };
    let (sender, said) = mpsc::channel();
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        read(out, Said::Out, sender.clone());
        read(err, Said::Err, sender);
    }
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut beat = Instant::now();
    loop {
        if beat.elapsed() > BEAT {
            beat = Instant::now();
            tell(&mut port, &Said::Alive)?;
        }
        match said.recv_timeout(Duration::from_millis(20)) {
            Ok(said) => tell(&mut port, &said)?,
            Err(RecvTimeoutError::Disconnected) => break,
            // Something that it left in the background may hold its output open for ever.
            Err(RecvTimeoutError::Timeout) if ended.is_some_and(|(_, at)| at.elapsed() > GRACE) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait()?,
    };
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(Exit::Bug as i32);
    Ok(u8::try_from(code).unwrap_or(Exit::Bug as u8))
}

fn tell(port: &mut File, said: &Said) -> io::Result<()> {
    port.write_all(format!("{}\n", serde_json::to_string(said)?).as_bytes())
}

fn read(mut from: impl Read + Send + 'static, stream: fn(String) -> Said, to: mpsc::Sender<Said>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        while let Ok(count) = from.read(&mut bytes) {
            if count == 0 || to.send(Said::bytes(stream, &bytes[..count])).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_the_way_out_of_the_guest() {
        let all: Vec<u8> = (0..=255).collect();
        let line = serde_json::to_string(&Said::bytes(Said::Out, &all)).unwrap();
        assert!(!line.contains('\n'));
        let Ok(Said::Out(text)) = serde_json::from_str(&line) else { panic!("{line}") };
        assert_eq!(text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>(), all);
    }
}
