// SPDX-License-Identifier: MIT OR Apache-2.0
//! A window on the kernel's log (`Documentation/ABI/testing/dev-kmsg`).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

const MARK: &str = "vfiospec: ";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 0 (emergency) to 7 (debug).
    pub level: u8,
    pub sequence: u64,
    pub micros: u64,
    /// The text; what is not printable is written as `\x1b`.
    pub text: String,
}

#[derive(Debug)]
pub struct Window {
    file: File,
    lost: bool,
}

impl Window {
    /// Opens `/dev/kmsg` at its end, and writes a line that says what begins there, for those who read the log later.
    ///
    /// The line may be missing: the kernel passes ten lines in five seconds from user space
    /// (`printk_devkmsg` = on lets all pass). The window does not depend on it.
    pub fn open(marker: &str) -> io::Result<Window> {
        let mut window = Window::look()?;
        window.mark(marker)?;
        Ok(window)
    }

    /// Opens `/dev/kmsg` at its end and writes nothing.
    pub fn look() -> io::Result<Window> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        let mut window = Window { file, lost: false };
        window.forget()?;
        Ok(window)
    }

    /// Goes to the end of the log: what was logged until now is not looked at.
    pub fn forget(&mut self) -> io::Result<()> {
        self.lost = false;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    pub fn mark(&mut self, marker: &str) -> io::Result<()> {
        // One record is one write; level 6 (info) of facility 1 (user).
        let line = format!("<14>{MARK}{}\n", marker.replace('\n', " "));
        // /dev/kmsg takes less than 1 KiB.
        let end = line.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end < 900).last().unwrap_or(0);
        self.file.write_all(&line.as_bytes()[..end])
    }

    /// The records since the opening or the last call, without our own lines.
    pub fn records(&mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut buffer = vec![0; 8192];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(records),
                Ok(length) => records.extend(parse(&buffer[..length]).filter(|record| !record.text.starts_with(MARK))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(records),
                // The ring went round before we came: the next read returns the oldest record that is left.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.lost = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub fn lost(&self) -> bool {
        self.lost
    }
}

/// `6,1234,567890,-;text`, then lines of ` KEY=value` that are not for us.
fn parse(bytes: &[u8]) -> Option<Record> {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text.split_once(';')?;
    let mut head = head.split(',');
    let priority: u32 = head.next()?.parse().ok()?;
    let (sequence, micros) = (head.next()?.parse().ok()?, head.next()?.parse().ok()?);
    Some(Record { level: (priority & 7) as u8, sequence, micros, text: rest.lines().next().unwrap_or("").to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_without_its_dictionary() {
        let bytes = b"4,339,5140900,-;DMAR: [DMA Write NO_PASID] Request device [00:03.0]\n SUBSYSTEM=pci\n";
        let text = "DMAR: [DMA Write NO_PASID] Request device [00:03.0]".to_string();
        assert_eq!(parse(bytes), Some(Record { level: 4, sequence: 339, micros: 5140900, text }));
        assert_eq!(parse(b"14,1,2,-;\n").unwrap().level, 6);
        assert_eq!(parse(b"nothing of the kind"), None);
    }
}
