// SPDX-License-Identifier: MIT OR Apache-2.0
//! The long texts of failed cases as files, which JUnit names for Jenkins' junit-attachments plugin and for GitLab.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::event::CaseResult;
use crate::model::fingerprint;
use crate::sanitize::{cdata, text};

/// The ends of the files' names.
const ENDS: [&str; 5] = [".detail.txt", ".calls.txt", ".kernel-log.txt", ".page-table.txt", ".console.txt"];

/// What is in each file, in the order of [`ENDS`].
fn texts(result: &CaseResult) -> [String; 5] {
    let CaseResult { detail, kernel_log, page_table, console, .. } = result;
    let lines = [kernel_log, page_table, console].map(|lines| lines.join("\n"));
    let [kernel_log, page_table, console] = lines;
    [detail.clone().unwrap_or_default(), result.calls().join("\n"), kernel_log, page_table, console]
}

/// The longest id that is the name of a file as it is; file systems take 255 bytes.
const LONGEST: usize = 200;

/// The folder of the files.
pub struct Attachments<'f>(&'f Path);

impl<'f> Attachments<'f> {
    /// Makes the folder, and removes the files in it that an earlier run left.
    pub fn begin(folder: &'f Path) -> io::Result<Attachments<'f>> {
        fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        for entry in fs::read_dir(folder).map_err(|error| named(folder, &error))?.flatten() {
            let name = entry.file_name();
            if ENDS.iter().any(|end| name.to_string_lossy().ends_with(end)) {
                fs::remove_file(entry.path()).map_err(|error| named(&entry.path(), &error))?;
            }
        }
        Ok(Attachments(folder))
    }

    /// Writes the texts of a case that it has; returns the line for each that names it to Jenkins, safe in a CDATA section.
    pub fn write(&self, id: &str, result: &CaseResult) -> io::Result<Vec<String>> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '_' };
        let mut name: String = id.chars().map(plain).collect();
        if name.len() > LONGEST {
            name = format!("{}-{:016x}", &name[..LONGEST], fingerprint(id.as_bytes()));
        }
        let mut lines = Vec::new();
        for (end, content) in ENDS.into_iter().zip(texts(result)) {
            let content = text(&content);
            if content.is_empty() {
                continue;
            }
            let file: PathBuf = self.0.join(format!("{name}{end}"));
            fs::write(&file, content + "\n").map_err(|error| named(&file, &error))?;
            let absolute = std::path::absolute(&file).unwrap_or(file);
            lines.push(format!("[[ATTACHMENT|{}]]\n", cdata(&absolute.to_string_lossy())));
        }
        Ok(lines)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to write {}: {error}", path.display()))
}
