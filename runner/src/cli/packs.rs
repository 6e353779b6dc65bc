//! Where packs are found: the `pack.yaml` that a folder's scenarios belong to.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use crate::language::{Name, Value, parse};

/// The file that makes a folder a pack of its own.
pub const MANIFEST: &str = "pack.yaml";

/// The packs that were found, each once.
#[derive(Default)]
pub struct Manifests {
    /// Their files, as the user named them and as the machine does.
    pub files: Vec<(PathBuf, PathBuf)>,
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

/// The name that a pack's text gives it, if it can be read.
pub fn name(text: &str) -> Option<String> {
    match parse(text).ok()?.get("name")?.value() {
        Value::Text(name) if Name::is_valid(name) => Some(name.clone()),
        _ => None,
    }
}
