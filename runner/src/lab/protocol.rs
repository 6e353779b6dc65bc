// SPDX-License-Identifier: MIT OR Apache-2.0
//! What travels over the virtio port: lines of the journal (JSON objects) and between them ours, which begin with `#`.

use std::path::{Component, Path};

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
    /// What the kernel counted in one object.
    Counted(Counters),
    Line(String),
}

/// The counters of one object of a kernel that counts which of its lines run, in the compiler's own format (`.gcda`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Its path below the folder of the kernel's objects, without its ending, such as `drivers/vfio/vfio_main`.
    pub object: String,
    pub data: Vec<u8>,
}

impl Counters {
    /// `None` if the path leads out of its folder, or the data are damaged.
    fn parse(text: &str) -> Option<Self> {
        let (object, hex) = text.split_once(' ')?;
        let inside = Path::new(object).components().all(|part| matches!(part, Component::Normal(_)));
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = |pair: &[u8]| Some(digit(&pair[0])? << 4 | digit(pair.get(1)?)?);
        let data = hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>()?;
        (inside && !object.is_empty()).then(|| Self { object: object.to_owned(), data })
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} ", self.object);
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
        text.extend(self.data.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]));
        text
    }
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
            ("counted", counters) => match Counters::parse(counters) {
                Some(counters) => Self::Counted(counters),
                None => Self::Failed("failed to read the counters of the kernel".to_owned()),
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
            Self::Counted(counters) => format!("{MARK}counted {}\n", counters.to_text()),
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
        let counted = Counters { object: "drivers/vfio/group".into(), data: vec![0, 0x1f, 0xff] };
        for message in [
            Message::Alive,
            Message::Exit(70),
            Message::Failed("a b".into()),
            Message::Counted(counted),
            Message::Line(line.into()),
        ] {
            assert_eq!(Message::parse(message.to_line().trim_end()), message);
        }
        for wrong in ["exit x", "counted a", "counted /etc/a 00", "counted a/../../b 00", "counted a 0", "counted a 0x"]
        {
            assert!(matches!(Message::parse(&format!("#vfiospec {wrong}")), Message::Failed(_)), "{wrong}");
        }
    }
}
