// SPDX-License-Identifier: MIT OR Apache-2.0
//! A text of the kernel that is read before and after every case.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use super::Root;

/// A file of procfs or sysfs that stays open, since finding it by its path costs more than reading it. Not one of `/proc/self`, which
/// would go on speaking of this process in a child.
pub struct Gauge(Option<File>);

impl Gauge {
    /// `path` has no leading slash. A file that cannot be opened has no text.
    pub fn open(path: impl AsRef<Path>) -> Gauge {
        Gauge(File::open(Root::default().join(path)).ok())
    }

    /// What the kernel says now, without the newline at its end; `None` if it cannot be read.
    pub fn text(&self) -> Option<String> {
        let file = self.0.as_ref()?;
        let (mut text, mut end) = (vec![0; 16 << 10], 0);
        loop {
            match file.read_at(&mut text[end..], end as u64).ok()? {
                0 => break,
                read => end += read,
            }
            if end == text.len() {
                text.resize(2 * end, 0);
            }
        }
        text.truncate(end);
        let mut text = String::from_utf8(text).ok()?;
        text.truncate(text.trim_end().len());
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reading_is_a_new_one() {
        let folder = std::env::temp_dir().join(format!("vfiospec-gauge-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("count");
        std::fs::write(&file, "1\n").unwrap();
        let gauge = Gauge::open(&file);
        assert_eq!(gauge.text().as_deref(), Some("1"));
        let long = "9".repeat(40_000);
        std::fs::write(&file, format!("{long}\n")).unwrap();
        assert_eq!(gauge.text(), Some(long));
        assert_eq!(Gauge::open(folder.join("none")).text(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
