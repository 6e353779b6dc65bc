//! The journal: the events of a run as JSON lines, written before any report is.
//!
//! It is what survives. A killed runner leaves at worst a torn last line, which the reader drops; a host that panics leaves
//! what had reached the disk, and that is everything up to the case that was running.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::event::{Event, FORMAT};

/// Appends events to a journal.
#[derive(Debug)]
pub struct Writer {
    file: File,
}

impl Writer {
    /// Starts an empty journal at `path`, with the folders above it; an older journal there is replaced.
    ///
    /// # Errors
    /// Names the path and the errno.
    pub fn create(path: &Path) -> io::Result<Self> {
        let create = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            File::create(path)
        };
        let file = create()
            .map_err(|e| io::Error::new(e.kind(), format!("failed to create the journal {}: {e}", path.display())))?;
        Ok(Self { file })
    }

    /// Goes on with the journal at `path`: behind its last whole line, where a kill may have torn one.
    ///
    /// # Errors
    /// Names the path and the errno.
    pub fn go_on(path: &Path) -> io::Result<Self> {
        let open = || {
            let text = std::fs::read(path)?;
            let mut file = File::options().write(true).open(path)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if serde_json::from_slice::<Event>(&text[whole..]).is_ok() {
                file.seek(SeekFrom::End(0))?;
                file.write_all(b"\n")?; // only its end is missing
            } else {
                file.set_len(whole as u64)?;
                file.seek(SeekFrom::End(0))?;
            }
            Ok(file)
        };
        let file = open().map_err(|e: io::Error| {
            io::Error::new(e.kind(), format!("failed to go on with the journal {}: {e}", path.display()))
        })?;
        Ok(Self { file })
    }

    /// Writes to a file that is open already, such as the lab's virtio-serial port.
    pub fn to(file: File) -> Self {
        Self { file }
    }

    /// Appends one event with one `write`, so that a kill tears at most the last line.
    ///
    /// Before a case starts and after it ends the journal is also on the disk: what a case does may panic this host.
    ///
    /// # Errors
    /// Carries the errno; the event may be in the journal in part.
    pub fn on(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        match event {
            Event::RunStarted(_) | Event::RunResumed(_) | Event::CasePlanned(_) => Ok(()),
            Event::CaseStarted { .. } | Event::CaseAttempted(_) | Event::CaseFinished(_) | Event::RunFinished(_) => {
                self.sync()
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.file.sync_data() {
            // A pipe or a port has no disk behind it.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }
}

/// Why a journal could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be opened or read.
    Io {
        /// The journal; `None` when it is not a file.
        path: Option<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is no event, and not the torn end of the journal either.
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer vfiospec wrote it.
    NewerFormat(
        /// The format that its first line names.
        u32,
    ),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path: Some(path), source } => {
                write!(f, "failed to read the journal {}: {source}", path.display())
            }
            Self::Io { path: None, source } => write!(f, "failed to read the journal: {source}"),
            Self::Line { line, reason } => write!(f, "failed to read line {line} of the journal: {reason}"),
            Self::NewerFormat(format) => write!(
                f,
                "failed to read the journal: it has format {format}, and this vfiospec knows formats up to {FORMAT}; \
                 use the version that wrote it, or a newer one"
            ),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Line { .. } | Self::NewerFormat(_) => None,
        }
    }
}

/// The events of the journal at `path`; see [`read`].
///
/// # Errors
/// See [`ReadError`].
pub fn read_file(path: &Path) -> Result<Vec<Event>, ReadError> {
    let name = |source| ReadError::Io { path: Some(path.to_owned()), source };
    read(BufReader::new(File::open(path).map_err(name)?)).map_err(|e| match e {
        ReadError::Io { source, .. } => name(source),
        other => other,
    })
}

/// The events of a journal. A last line without its end is a torn one and is dropped, unless it is whole.
///
/// # Errors
/// See [`ReadError`].
pub fn read(mut journal: impl BufRead) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if journal.read_until(b'\n', &mut bytes).map_err(|source| ReadError::Io { path: None, source })? == 0 {
            break;
        }
        match parse(line, &bytes) {
            Ok(event) => events.push(event),
            Err(ReadError::Line { .. }) if bytes.last() != Some(&b'\n') => break,
            Err(e) => return Err(e),
        }
    }
    Ok(events)
}

fn parse(line: usize, bytes: &[u8]) -> Result<Event, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    // Asked first: a newer format may have changed anything but this.
    if line == 1
        && let Ok(Head { format }) = serde_json::from_slice(bytes)
        && format > FORMAT
    {
        return Err(ReadError::NewerFormat(format));
    }
    let event = serde_json::from_slice(bytes).map_err(|e| ReadError::Line { line, reason: e.to_string() })?;
    match event {
        Event::RunStarted(_) if line > 1 => {
            Err(ReadError::Line { line, reason: "a second `run_started`; a journal holds one run".into() })
        }
        Event::RunStarted(_) => Ok(event),
        _ if line == 1 => {
            Err(ReadError::Line { line, reason: "expected `run_started`, which begins every journal".into() })
        }
        _ => Ok(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{mixed, passed};

    fn lines(events: &[Event]) -> String {
        events.iter().map(|event| serde_json::to_string(event).expect("JSON") + "\n").collect()
    }

    fn error(journal: &str) -> String {
        read(journal.as_bytes()).expect_err("not a journal").to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = std::env::temp_dir().join(format!("vfiospec-journal-{}", std::process::id()));
        let path = folder.join("deep/run.jsonl");
        let mut writer = Writer::create(&path).expect("a journal");
        for (at, event) in mixed().iter().enumerate() {
            writer.on(event).expect("written");
            if at == 60 {
                assert_eq!(read_file(&path).expect("readable meanwhile").len(), 61, "each event is there at once");
            }
        }
        assert_eq!(read_file(&path).expect("readable"), mixed());
        std::fs::remove_dir_all(folder).expect("ours");
    }

    #[test]
    fn cut_anywhere_it_gives_all_whole_lines() {
        let events = &mixed()[..50];
        let journal = lines(events);
        for cut in 0..journal.len() {
            let whole = journal[..cut].matches('\n').count();
            // The line whose end alone is missing counts too.
            let whole = if journal[cut..].starts_with('\n') { whole + 1 } else { whole };
            assert_eq!(read(&journal.as_bytes()[..cut]).expect("torn, not broken"), events[..whole], "cut at {cut}");
        }
    }

    #[test]
    fn cut_anywhere_it_goes_on_behind_the_last_whole_line() {
        let folder = std::env::temp_dir().join(format!("vfiospec-journal-on-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        let path = folder.join("run.jsonl");
        let events = &mixed()[..50];
        let journal = lines(events);
        for cut in (journal.len() - 400..=journal.len()).chain([1, 50]) {
            std::fs::write(&path, &journal[..cut]).expect("written");
            let mut expected = read_file(&path).expect("torn, not broken");
            if expected.is_empty() {
                continue; // a run that has not begun does not go on
            }
            expected.push(Event::CaseStarted { case: 7 });
            Writer::go_on(&path).and_then(|mut writer| writer.on(&expected[expected.len() - 1])).expect("written");
            assert_eq!(read_file(&path).expect("whole"), expected, "cut at {cut}");
        }
        std::fs::remove_dir_all(folder).expect("ours");
    }

    #[test]
    fn a_broken_line_elsewhere_is_named() {
        let journal = lines(&mixed()[..3]) + "{\"event\":\"case_fin\n" + &lines(&[Event::CaseFinished(passed(1))]);
        assert!(error(&journal).starts_with("failed to read line 4 of the journal: "), "{}", error(&journal));
    }

    #[test]
    fn a_journal_begins_with_its_run_and_holds_only_one() {
        let first = lines(&mixed()[..1]);
        assert_eq!(
            error(&lines(&mixed()[1..])),
            "failed to read line 1 of the journal: expected `run_started`, which begins every journal"
        );
        assert_eq!(
            error(&(first.clone() + &first)),
            "failed to read line 2 of the journal: a second `run_started`; a journal holds one run"
        );
    }

    #[test]
    fn a_newer_format_is_refused_whatever_else_it_changed() {
        let message = error("{\"event\":\"begin\",\"format\":2}\n");
        assert!(message.contains("it has format 2, and this vfiospec knows formats up to 1"), "{message}");
    }

    #[test]
    fn an_error_names_the_file() {
        let message = read_file(Path::new("no/such.jsonl")).expect_err("not there").to_string();
        assert_eq!(message, "failed to read the journal no/such.jsonl: No such file or directory (os error 2)");
    }
}
