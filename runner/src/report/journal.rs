//! The journal: the events of a run as JSON lines, written before any report is.
//!
//! It is what survives. A killed runner leaves at worst a torn last line, which the reader drops; a host that panics leaves
//! what had reached the disk, and that is everything up to the case that was running.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;

use crate::event::{Event, FORMAT, RunStarted};
use crate::report::{file, sanitize};

/// Appends events to a journal.
#[derive(Debug)]
pub struct Writer {
    name: String,
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
            let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
            // Reports are made of what is read back from it.
            match file.metadata()?.is_file() {
                true => Ok(file),
                false => Err(not_regular()),
            }
        };
        let file = create().map_err(|error| creating(path, &error))?;
        Ok(Self { name: path.display().to_string(), file })
    }

    /// Finds out whether [`Writer::create`] can work at `path`. A journal that is there stays as it is.
    ///
    /// # Errors
    /// Names the path and the errno.
    pub fn probe(path: &Path) -> io::Result<()> {
        let try_it = || match path.metadata() {
            Ok(there) if there.is_file() => File::options().read(true).write(true).open(path).map(drop),
            Ok(there) if !there.is_dir() => Err(not_regular()),
            _ => file::probe(path).map_err(|error| error.source),
        };
        try_it().map_err(|error| creating(path, &error))
    }

    /// Goes on with the journal at `path`: behind its last whole line, where a kill may have torn one.
    ///
    /// # Errors
    /// Names the path and the errno.
    pub fn go_on(path: &Path) -> io::Result<Self> {
        let open = || {
            let mut file = File::options().read(true).write(true).open(path)?;
            let (mut whole, mut last) = (0, Vec::new());
            let mut lines = BufReader::new(&file);
            while lines.read_until(b'\n', &mut last)? > 0 && last.ends_with(b"\n") {
                whole += last.len() as u64;
                last.clear();
            }
            if serde_json::from_slice::<Event>(&last).is_ok() {
                file.seek(SeekFrom::End(0))?;
                file.write_all(b"\n")?; // only its end is missing
            } else {
                file.set_len(whole)?;
                file.seek(SeekFrom::End(0))?;
            }
            Ok(file)
        };
        let file = open().map_err(|e: io::Error| {
            io::Error::new(e.kind(), format!("failed to go on with the journal {}: {e}", path.display()))
        })?;
        Ok(Self { name: path.display().to_string(), file })
    }

    /// What was written, to be read again; also where the file's name is gone by now.
    pub fn into_text(self) -> Text {
        Text { name: self.name, bytes: Bytes::File(self.file) }
    }

    /// Writes to a file that is open already, such as the lab's virtio-serial port.
    pub fn to(file: File) -> Self {
        Self { name: String::new(), file }
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
            Event::RunStarted(_) | Event::RunResumed(_) | Event::CasePlanned(_) | Event::Called { .. } => Ok(()),
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

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn creating(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to create the journal {}: {error}", path.display()))
}

/// Why a journal could not be read.
#[derive(Debug)]
pub struct ReadError {
    /// The journal.
    pub journal: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a journal.
#[derive(Debug)]
pub enum Reason {
    /// It could not be opened or read.
    Io(io::Error),
    /// A line that is no event, and not the torn end of the journal either.
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer vfiospec wrote it: the format that its first line names.
    NewerFormat(u32),
    /// Not even the beginning of a run.
    Empty,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to read the journal {}: ", sanitize::line(&self.journal))?;
        match &self.reason {
            Reason::Io(source) => write!(f, "{source}"),
            Reason::Line { line, reason } => write!(f, "line {line}: {reason}"),
            Reason::NewerFormat(format) => write!(
                f,
                "it has format {format}, and this vfiospec knows formats up to {FORMAT}; \
                 use the version that wrote it, or a newer one"
            ),
            Reason::Empty => write!(f, "there is no run in it"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io(source) => Some(source),
            Reason::Line { .. } | Reason::NewerFormat(_) | Reason::Empty => None,
        }
    }
}

/// The events of the journal at `path`, all of them in memory.
///
/// # Errors
/// See [`ReadError`].
pub fn read_file(path: &Path) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    Text::open(path)?.scan(|_, event| events.push(event))?;
    Ok(events)
}

/// A journal's text, in which an event can be read again at its place.
#[derive(Debug)]
pub struct Text {
    name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    /// What came through a pipe.
    Memory(Vec<u8>),
}

/// Where an event stands in a journal's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The offset of its line in bytes.
    pub at: u64,
    /// The length of its line in bytes.
    pub bytes: usize,
}

impl Text {
    /// Opens the journal at `path`. What is no regular file, such as a pipe, is read into memory.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(path: &Path) -> Result<Text, ReadError> {
        let name = path.display().to_string();
        let open = || {
            let mut file = File::open(path)?;
            if file.metadata()?.is_file() {
                return Ok(Bytes::File(file));
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Bytes::Memory(bytes))
        };
        match open() {
            Ok(bytes) => Ok(Text { name, bytes }),
            Err(error) => Err(ReadError { journal: name, reason: Reason::Io(error) }),
        }
    }

    /// A journal in memory.
    pub fn memory(name: &str, bytes: Vec<u8>) -> Text {
        Text { name: name.to_owned(), bytes: Bytes::Memory(bytes) }
    }

    /// Its first event: with what and where the run happens.
    ///
    /// # Errors
    /// See [`ReadError`].
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

    /// Gives each event with its place.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn scan(&self, mut each: impl FnMut(Place, Event)) -> Result<(), ReadError> {
        self.scan_until(&mut |place, event| {
            each(place, event);
            true
        })
    }

    fn scan_until(&self, each: &mut dyn FnMut(Place, Event) -> bool) -> Result<(), ReadError> {
        let reader: Box<dyn BufRead + '_> = match &self.bytes {
            Bytes::File(file) => Box::new(BufReader::with_capacity(64 << 10, FromStart { file, at: 0 })),
            Bytes::Memory(bytes) => Box::new(&bytes[..]),
        };
        scan(reader, each).map_err(|reason| self.error(reason))
    }

    /// The event at a place that [`Text::scan`] gave.
    ///
    /// # Errors
    /// When it is no longer there, because the file was changed meanwhile.
    pub fn event(&self, place: Place) -> io::Result<Event> {
        let read = || {
            let mut line = vec![0; place.bytes];
            match &self.bytes {
                Bytes::File(file) => file.read_exact_at(&mut line, place.at)?,
                Bytes::Memory(bytes) => line.copy_from_slice(&bytes[place.at as usize..][..place.bytes]),
            }
            Ok(serde_json::from_slice(&line)?)
        };
        read().map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("failed to read the journal {} again: {error}", self.name))
        })
    }

    fn error(&self, reason: Reason) -> ReadError {
        ReadError { journal: self.name.clone(), reason }
    }
}

/// Reads a file from its start, wherever its writer stands.
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

/// Gives the events of a journal one by one, until `each` says that it is enough. A last line without its end is a torn one and is
/// dropped, unless it is whole.
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
    // Asked first: a newer format may have changed anything but this.
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

    fn read(text: &Text) -> Result<Vec<Event>, ReadError> {
        let mut events = Vec::new();
        text.scan(|place, event| {
            assert_eq!(text.event(place).expect("still there"), event, "it is read again at its place");
            events.push(event);
        })?;
        Ok(events)
    }

    fn error(journal: &str) -> String {
        read(&Text::memory("a.jsonl", journal.into())).expect_err("not a journal").to_string()
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
                assert_eq!(read(&text).expect("readable meanwhile").len(), 61, "each event is there at once");
            }
        }
        assert_eq!(read(&Text::open(&path).expect("there")).expect("readable"), mixed());
        std::fs::remove_file(&path).expect("ours");
        assert_eq!(read(&writer.into_text()).expect("readable without its name"), mixed());
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
            let text = Text::memory("a.jsonl", journal.as_bytes()[..cut].to_vec());
            assert_eq!(read(&text).expect("torn, not broken"), events[..whole], "cut at {cut}");
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
