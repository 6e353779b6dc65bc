// SPDX-License-Identifier: MIT OR Apache-2.0
//! What travels over the virtio port: lines of the journal (JSON objects) and between them ours, which begin with `#`.

/// The port's path in the guest: pass it as the journal of the command in [`Job::argv`](super::Job::argv).
///
/// Only one process may have it open at a time. Each write is in the host's hands when it returns, so that a panic of the
/// guest right afterwards loses nothing. It is no file: it cannot be truncated, synced or locked.
pub const JOURNAL_PORT: &str = "/dev/virtio-ports/vfiospec";

pub(super) const PORT_NAME: &str = "vfiospec";

/// What the folder that QEMU shares with the guest is called there.
pub(super) const TOLD_TAG: &str = "told";

const MARK: &str = "#vfiospec ";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Alive,
    Exit(u8),
    Failed(String),
    Line(String),
}

impl Message {
    pub fn parse(line: &str) -> Self {
        let Some(ours) = line.strip_prefix(MARK) else { return Self::Line(line.to_owned()) };
        match ours.split_once(' ').unwrap_or((ours, "")) {
            ("alive", _) => Self::Alive,
            ("exit", code) => match code.parse() {
                Ok(code) => Self::Exit(code),
                Err(_) => Self::Failed(format!("failed to read the exit code `{code}`")),
            },
            ("failed", what) => Self::Failed(what.to_owned()),
            _ => Self::Failed(format!("failed to understand the guest's line `{line}`")),
        }
    }

    pub fn to_line(&self) -> String {
        match self {
            Self::Alive => format!("{MARK}alive\n"),
            Self::Exit(code) => format!("{MARK}exit {code}\n"),
            Self::Failed(what) => format!("{MARK}failed {}\n", what.replace('\n', " | ")),
            Self::Line(line) => format!("{line}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_port() {
        let line = r##"{"event":"case_started","case":1,"why":"#vfiospec exit 0"}"##;
        for message in [Message::Alive, Message::Exit(70), Message::Failed("a b".into()), Message::Line(line.into())] {
            assert_eq!(Message::parse(message.to_line().trim_end()), message);
        }
        assert!(matches!(Message::parse("#vfiospec exit x"), Message::Failed(_)));
    }
}
