// SPDX-License-Identifier: MIT OR Apache-2.0
//! The journal: the events of a run as lines of JSON, written before any report.
//!
//! The journal is what survives. If the runner is killed, at most the last line is torn, and the reader drops it. If the host
//! panics, everything up to the running case is on the disk.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::{fs::File, os::unix::fs::FileExt, path::Path};

use serde::Deserialize;

use crate::event::{Event, FORMAT, RunStarted};
use crate::{file, sanitize};

#[derive(Debug)]
pub struct Writer {
    name: String,
    file: File,
}

impl Writer {
    /// Starts an empty journal at `path` and creates missing folders. It replaces an older journal.
    pub fn create(path: &Path) -> io::Result<Self> {
        let create = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
            // Reports are made from what is read back.
            if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
        };
        Ok(Self { name: path.display().to_string(), file: named("create", path, create())? })
    }

    /// Checks that [`Writer::create`] can work at `path`, without changing a journal that is there.
    pub fn probe(path: &Path) -> io::Result<()> {
        let probed = match path.metadata() {
            Ok(there) if there.is_file() => File::options().read(true).write(true).open(path).map(drop),
            Ok(there) if !there.is_dir() => Err(not_regular()),
            _ => file::probe(path).map_err(|error| error.source),
        };
        named("create", path, probed)
    }

    /// Continues the journal at `path` after its last whole line; a kill may have torn the one after that.
    pub fn go_on(path: &Path) -> io::Result<Self> {
        let open = || {
            let mut file = File::options().read(true).write(true).open(path)?;
            let (mut whole, mut last) = (0, Vec::new());
            let mut lines = BufReader::new(&file);
            while lines.read_until(b'\n', &mut last)? > 0 && last.ends_with(b"\n") {
                whole += last.len() as u64;
                last.clear();
            }
            let only_its_end_is_missing = serde_json::from_slice::<Event>(&last).is_ok();
            if !only_its_end_is_missing {
                file.set_len(whole)?;
            }
            file.seek(SeekFrom::End(0))?;
            if only_its_end_is_missing {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        Ok(Self { name: path.display().to_string(), file: named("continue", path, open())? })
    }

    /// The text of the journal, to read it again. This works even if the file has lost its name since.
    pub fn into_text(self) -> Text {
        Text { name: self.name, store: Store::File(self.file) }
    }

    /// Writes to an open file, such as the lab's virtio-serial port.
    pub fn to(file: File) -> Self {
        Self { name: String::new(), file }
    }

    /// Appends one event with one `write`, so that a kill tears at most the last line.
    ///
    /// The journal is synced to the disk before a case starts, because it may panic this host. What ended the case before goes with it.
    ///
    /// # Errors
    /// Carries the errno. A part of the event may be in the journal.
    pub fn on(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        match event {
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::CasePlanned(_)
            | Event::Called { .. }
            | Event::Exploring { .. }
            | Event::Busy { .. }
            | Event::Kept
            | Event::CaseFinished(_) => Ok(()),
            // After an attempt comes the next one.
            Event::CaseStarted { .. } | Event::CaseAttempted(_) | Event::RunFinished(_) => self.sync(),
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

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Says in an error what failed, and with which journal.
fn named<T>(what: &str, path: &Path, result: io::Result<T>) -> io::Result<T> {
    let name = |error: io::Error| {
        io::Error::new(error.kind(), format!("failed to {what} the journal {}: {error}", path.display()))
    };
    result.map_err(name)
}

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the journal {}: {reason}", sanitize::line(journal))]
pub struct ReadError {
    pub journal: String,
    pub reason: Reason,
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("{0}")]
    Io(io::Error),
    /// A line is not an event, and not the torn end of the journal. Lines count from 1.
    #[error("line {line}: {reason}")]
    Line { line: usize, reason: String },
    /// A newer vfiospec wrote it.
    #[error(
        "it has format {0}, and this vfiospec knows formats up to {FORMAT}; use the version that wrote it, or a newer one"
    )]
    NewerFormat(u32),
    /// It does not even have the start of a run.
    #[error("there is no run in it")]
    Empty,
}

/// Reads all events of the journal at `path` into memory.
pub fn read_file(path: &Path) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    Text::open(path)?.scan(|_, event| events.push(event))?;
    Ok(events)
}

/// The text of a journal. Each of its events can be read again by its place.
#[derive(Debug)]
pub struct Text {
    name: String,
    store: Store,
}

#[derive(Debug)]
enum Store {
    File(File),
    /// The events that came through a pipe, or of a run that did not begin.
    Events(Vec<Event>),
}

/// Where an event stands in the text of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The offset of its line in bytes; for events in memory, the index.
    at: u64,
    /// The length of its line in bytes.
    bytes: usize,
}

impl Text {
    /// Opens the journal at `path`. If it is not a regular file, such as a pipe, its events are read into memory.
    pub fn open(path: &Path) -> Result<Text, ReadError> {
        let name = path.display().to_string();
        let open = || {
            let file = File::open(path).map_err(Reason::Io)?;
            if file.metadata().map_err(Reason::Io)?.is_file() {
                return Ok(Store::File(file));
            }
            let mut events = Vec::new();
            scan(BufReader::new(file), &mut |_, event| {
                events.push(event);
                true
            })?;
            Ok(Store::Events(events))
        };
        match open() {
            Ok(store) => Ok(Text { name, store }),
            Err(reason) => Err(ReadError { journal: name, reason }),
        }
    }

    /// The journal of a run that has no file.
    pub fn events(events: Vec<Event>) -> Text {
        Text { name: "in memory".to_owned(), store: Store::Events(events) }
    }

    /// Reads the first event: where the run happens and with which devices.
    pub fn started(&self) -> Result<RunStarted, ReadError> {
        let mut first = None;
        self.scan_until(&mut |_, event| {
            first = Some(event);
            false
        })?;
        match first {
            Some(Event::RunStarted(started)) => Ok(started),
            _ => Err(self.error(Reason::Empty)),
        }
    }

    /// Reads all events in order, each with its place.
    pub fn scan(&self, mut each: impl FnMut(Place, Event)) -> Result<(), ReadError> {
        self.scan_until(&mut |place, event| {
            each(place, event);
            true
        })
    }

    fn scan_until(&self, each: &mut dyn FnMut(Place, Event) -> bool) -> Result<(), ReadError> {
        match &self.store {
            Store::File(file) => {
                let lines = BufReader::with_capacity(64 << 10, FromStart { file, at: 0 });
                scan(lines, each).map_err(|reason| self.error(reason))
            }
            Store::Events(events) => {
                let mut placed = (0..).zip(events).map(|(at, event)| (Place { at, bytes: 0 }, event.clone()));
                placed.all(|(place, event)| each(place, event));
                Ok(())
            }
        }
    }

    /// Reads again the event at a place that [`Text::scan`] passed on.
    ///
    /// # Errors
    /// If it is no longer there, because the file has changed.
    pub fn event(&self, place: Place) -> io::Result<Event> {
        let file = match &self.store {
            Store::File(file) => file,
            Store::Events(events) => return Ok(events[place.at as usize].clone()),
        };
        let mut line = vec![0; place.bytes];
        let read = file.read_exact_at(&mut line, place.at).and_then(|()| Ok(serde_json::from_slice(&line)?));
        read.map_err(|error| {
            io::Error::new(error.kind(), format!("failed to read the journal {} again: {error}", self.name))
        })
    }

    fn error(&self, reason: Reason) -> ReadError {
        ReadError { journal: self.name.clone(), reason }
    }
}

/// Reads a file from its start, whatever the position of its writer.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Passes the events of a journal to `each` until it returns false. A last line without its line end is torn, and is dropped unless
/// it is a whole event.
fn scan(mut journal: impl BufRead, each: &mut dyn FnMut(Place, Event) -> bool) -> Result<(), Reason> {
    let mut bytes = Vec::new();
    let mut at = 0;
    for line in 1.. {
        bytes.clear();
        if journal.read_until(b'\n', &mut bytes).map_err(Reason::Io)? == 0 {
            break;
        }
        match parse(line, &bytes) {
            Ok(event) => {
                if !each(Place { at, bytes: bytes.len() }, event) {
                    break;
                }
            }
            Err(Reason::Line { .. }) if bytes.last() != Some(&b'\n') => break,
            Err(e) => return Err(e),
        }
        at += bytes.len() as u64;
    }
    Ok(())
}

fn parse(line: usize, bytes: &[u8]) -> Result<Event, Reason> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    // Checked first: a newer format may have changed everything else.
    if line == 1
        && let Ok(Head { format }) = serde_json::from_slice(bytes)
        && format > FORMAT
    {
        return Err(Reason::NewerFormat(format));
    }
    let event = serde_json::from_slice(bytes).map_err(|e| Reason::Line { line, reason: e.to_string() })?;
    match event {
        Event::RunStarted(_) if line > 1 => {
            Err(Reason::Line { line, reason: "a second `run_started`; a journal holds one run".into() })
        }
        Event::RunStarted(_) => Ok(event),
        _ if line == 1 => {
            Err(Reason::Line { line, reason: "expected `run_started`, which begins every journal".into() })
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

    fn read(text: &Text) -> Vec<Event> {
        let mut events = Vec::new();
        let each = |place, event| {
            assert_eq!(text.event(place).expect("still there"), event, "it is read again at its place");
            events.push(event);
        };
        text.scan(each).expect("readable");
        events
    }

    fn parsed(journal: &[u8]) -> Result<Vec<Event>, Reason> {
        let mut events = Vec::new();
        scan(journal, &mut |_, event| {
            events.push(event);
            true
        })?;
        Ok(events)
    }

    fn error(journal: &str) -> String {
        let reason = parsed(journal.as_bytes()).expect_err("not a journal");
        ReadError { journal: "a.jsonl".into(), reason }.to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = std::env::temp_dir().join(format!("vfiospec-journal-{}", std::process::id()));
        let path = folder.join("deep/run.jsonl");
        let mut writer = Writer::create(&path).expect("a journal");
        for (at, event) in mixed().iter().enumerate() {
            writer.on(event).expect("written");
            if at == 60 {
                let text = Text::open(&path).expect("there");
                assert_eq!(read(&text).len(), 61, "each event is there at once");
            }
        }
        assert_eq!(read(&Text::open(&path).expect("there")), mixed());
        std::fs::remove_file(&path).expect("ours");
        assert_eq!(read(&writer.into_text()), mixed(), "readable without its name");
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
            assert_eq!(parsed(&journal.as_bytes()[..cut]).expect("torn, not broken"), events[..whole], "cut at {cut}");
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
        assert!(error(&journal).starts_with("failed to read the journal a.jsonl: line 4: "), "{}", error(&journal));
    }

    #[test]
    fn a_journal_begins_with_its_run_and_holds_only_one() {
        let first = lines(&mixed()[..1]);
        assert_eq!(
            error(&lines(&mixed()[1..])),
            "failed to read the journal a.jsonl: line 1: expected `run_started`, which begins every journal"
        );
        assert_eq!(
            error(&(first.clone() + &first)),
            "failed to read the journal a.jsonl: line 2: a second `run_started`; a journal holds one run"
        );
    }

    #[test]
    fn a_newer_format_is_refused_whatever_else_it_changed() {
        let message = error("{\"event\":\"begin\",\"format\":2}\n");
        assert!(message.contains("it has format 2, and this vfiospec knows formats up to 1"), "{message}");
    }

    #[test]
    fn an_error_names_the_file() {
        let message = Text::open(Path::new("no/such.jsonl")).expect_err("not there").to_string();
        assert_eq!(message, "failed to read the journal no/such.jsonl: No such file or directory (os error 2)");
    }
}
