// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that `new` writes: never over another one, and only what `check` accepts.

use std::path::{Component, Path, PathBuf};

use crate::{file::write_atomic, language, model::Exit, sanitize, session::Failure, suite};

const SCHEMA: &str = "scenario.schema.json";

/// Writes a new file and says so.
pub fn create(path: &Path, text: &str) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::usage(format!("{} is there already", path.display()), "name a file that is not"));
    }
    replace(path, text)
}

/// Writes a file, be it there or not.
pub fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    write_atomic(path, |file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(Exit::ReportNotWritten, error))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The name of a file without its ending, or of a folder, as a name in the language.
pub fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = sanitize::identifier(&stem);
    if language::Name::is_valid(&name) { name } else { format!("_{name}") }
}

/// The first line of a scenario at this path, which makes editors complete and explain its keys: with the schema that is near, or else the one that
/// was installed with this program. Returns an empty text if there is no schema.
pub fn modeline(path: &Path) -> String {
    let near = near(path);
    let schema = || Some(suite::installed("schemas")?.join(SCHEMA)).filter(|schema| schema.is_file());
    if near.is_empty() { schema().map_or(near, |schema| line(&schema)) } else { near }
}

fn line(schema: &Path) -> String {
    format!("# yaml-language-server: $schema={}\n", schema.display())
}

/// The same with the schema that is near, which goes where the file goes.
pub fn near(path: &Path) -> String {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = beside_or_above(folder, SCHEMA, 1);
    let found = found.or_else(|| beside_or_above(folder, &format!("schemas/{SCHEMA}"), 16));
    found.map_or_else(String::new, |schema| line(&schema))
}

/// Where a file is in this folder, or in one of the `most - 1` above it, relative to the folder.
fn beside_or_above(folder: &Path, wanted: &str, most: usize) -> Option<PathBuf> {
    // A folder that is still to be made is near the one it will be made in.
    let mut here = folder.to_owned();
    let mut missing = 0;
    while !here.exists() {
        missing += here.components().next_back().is_some_and(|last| matches!(last, Component::Normal(_))) as usize;
        here = here.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    }
    let here = here.canonicalize().ok()?;
    let above = here.ancestors().take(most).position(|folder| folder.join(wanted).is_file())?;
    let mut path: PathBuf = std::iter::repeat_n("..", above + missing).collect();
    path.push(wanted);
    Some(path)
}
