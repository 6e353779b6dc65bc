// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the files of scenarios and the `pack.yaml` that each belongs to.

use std::path::{Path, PathBuf};
use std::{collections::HashMap, fs, io};

use super::{Error, Problem};
use crate::language::{Diagnostic, Invalid, Inventory, MACHINE, Machine, Name, Source, Value, parse, verb};
use crate::{model::code::Code, sanitize};

/// Whether a file is that of a machine of the lab, which is no scenario.
pub(super) fn is_machine(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(MACHINE))
}

/// How many files of machines are below the paths.
pub fn machines(paths: &[PathBuf]) -> usize {
    let mut files = Vec::new();
    // What cannot be read was told before.
    paths.iter().for_each(|path| drop(collect(path, &mut files)));
    files.iter().filter(|file| is_machine(file)).count()
}

/// Reads and checks the file of a machine of the lab.
pub fn machine(file: &Path) -> Result<Machine, Error> {
    read_as(file, Machine::read)
}

/// Reads and checks an inventory, its scenarios apart.
pub fn inventory(file: &Path) -> Result<(Source, Inventory), Error> {
    read_as(file, Inventory::read)
}

fn read_as<T>(file: &Path, parse: fn(Source) -> Result<T, Invalid>) -> Result<T, Error> {
    let wrong = |invalid| Error { invalid: vec![invalid], files: 1, ..Error::default() };
    match read(file) {
        Ok(text) => parse(Source::new(file.display().to_string(), text)).map_err(wrong),
        Err(Unread::Text(invalid)) => Err(wrong(invalid)),
        Err(Unread::File(message)) => {
            let file = file.to_string_lossy().into_owned();
            Err(Problem { code: Code::Unreadable, file, message, help: None }.into())
        }
    }
}

/// The largest file that is read as a scenario, in bytes.
const MOST_BYTES: u64 = 8 << 20;

/// The file that makes a folder a pack of its own.
pub(super) const MANIFEST: &str = "pack.yaml";

#[derive(Default)]
pub struct Manifests {
    /// Their files, as the user named them and as the machine does.
    pub(super) files: Vec<(PathBuf, PathBuf)>,
    /// Which of them a folder belongs to.
    of_folder: HashMap<PathBuf, Option<usize>>,
}

impl Manifests {
    /// Adds one, unless it is known; its number.
    pub fn add(&mut self, file: PathBuf) -> usize {
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        let known = self.files.iter().position(|(_, known)| *known == real);
        known.unwrap_or_else(|| {
            self.files.push((file, real));
            self.files.len() - 1
        })
    }

    /// The `pack.yaml` that a scenario's file belongs to.
    pub fn of_file(file: &Path) -> Option<String> {
        let mut found = Manifests::default();
        let index = found.of(file)?;
        Some(found.files[index].0.display().to_string())
    }

    /// The pack that a scenario's file belongs to: that of its folder, or of the nearest one above that is a pack.
    pub fn of(&mut self, file: &Path) -> Option<usize> {
        let parent = file.parent().unwrap_or(Path::new(""));
        if let Some(known) = self.of_folder.get(parent) {
            return *known;
        }
        let start = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let real = start.canonicalize().ok();
        let found = real.iter().flat_map(|real| real.ancestors().enumerate()).find_map(|(levels, folder)| {
            let manifest = folder.join(MANIFEST);
            // A link is not followed: it would lead out of the pack.
            fs::symlink_metadata(&manifest).is_ok_and(|found| found.is_file()).then_some((levels, manifest))
        });
        let number = found.map(|(levels, manifest)| {
            let named = parent.ancestors().nth(levels).map(|folder| folder.join(MANIFEST));
            self.add(named.filter(|named| named.exists()).unwrap_or(manifest))
        });
        self.of_folder.insert(parent.to_owned(), number);
        number
    }
}

/// The name in a pack's text, if it can be read.
pub(super) fn name_in(text: &str) -> Option<String> {
    match parse(text).ok()?.get("name")?.value() {
        Value::Text(name) if Name::is_valid(name) => Some(name.clone()),
        _ => None,
    }
}

/// The scenario files of a folder and those below it, sorted; a file that was named itself is taken whatever its name.
pub fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let wrap = |error| (path.to_owned(), error);
    if !fs::metadata(path).map_err(wrap)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<_> = fs::read_dir(path).map_err(wrap)?.collect::<Result<_, _>>().map_err(wrap)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| (path.clone(), error))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // Symbolic links are not followed: a pack is a stranger's data, and must not reach out of its folder.
        if kind.is_dir() && !hidden {
            collect(&path, files)?;
        } else if kind.is_file() && yaml && !hidden {
            files.push(path);
        } else if kind.is_symlink() && yaml && !hidden && leaves_its_folder(&path) {
            let reason = "it is a link out of its folder, and the files of a pack lie within it";
            return Err((path, io::Error::other(reason)));
        }
    }
    Ok(())
}

/// Whether a link leads to a file outside of the folder that it lies in; what lies within is read in its own right.
fn leaves_its_folder(link: &Path) -> bool {
    let target = link.canonicalize().ok();
    let folder = link.parent().and_then(|folder| folder.canonicalize().ok());
    target.is_some_and(|target| folder.is_none_or(|folder| !target.starts_with(folder)))
}

/// Whether a key may be in a scenario's text whose verb calls procedures. A false alarm only takes time.
pub(super) fn may_call(text: &str) -> bool {
    let has = |key: &str| {
        text.match_indices(key).any(|(at, _)| {
            let behind = text[at + key.len()..].trim_start_matches(['"', '\'', ' ', '\t', '\r', '\n']);
            behind.starts_with(':')
        })
    };
    verb::CALLING.iter().any(|verb| has(verb))
}

pub(super) enum Unread {
    File(String),
    Text(Invalid),
}

pub(super) fn read(file: &Path) -> Result<String, Unread> {
    let refused = |reason: &dyn std::fmt::Display| {
        Unread::File(format!("failed to read {}: {reason}", sanitize::line(&file.to_string_lossy())))
    };
    let metadata = fs::metadata(file).map_err(|error| refused(&error))?;
    if metadata.len() > MOST_BYTES {
        return Err(refused(&format_args!("it has {} bytes, expected at most {MOST_BYTES}", metadata.len())));
    }
    let bytes = fs::read(file).map_err(|error| refused(&error))?;
    Source::from_bytes(file.display().to_string(), bytes).map(|source| source.text).map_err(|wrong| {
        let (source, diagnostic): (Source, Diagnostic) = *wrong;
        Unread::Text(Invalid { source, diagnostics: vec![diagnostic] })
    })
}

/// The pack of a file: the name of its folder, as an identifier.
pub(super) fn pack(file: &Path) -> String {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = folder.canonicalize().ok().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    sanitize::identifier(&name.unwrap_or_else(|| "pack".to_owned()))
}
