//! Files that `new` writes: never over another one, and only what `check` accepts.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::{
    cli::{
        messages::MessageFormat,
        packs::{self, Manifests},
    },
    language::{self, Packs, Source},
    model::Exit,
    report::{file::write_atomic, sanitize},
};

/// Writes a new file and says so; says on standard error why not.
pub fn create(path: &Path, text: &str) -> Result<(), Exit> {
    if path.exists() {
        eprintln!("vfiospec: {} is there already", path.display());
        eprintln!("  help: name a file that is not");
        return Err(Exit::Usage);
    }
    replace(path, text)
}

/// Writes a file, be it there or not.
pub fn replace(path: &Path, text: &str) -> Result<(), Exit> {
    write_atomic(path, |file| file.write_all(text.as_bytes())).map_err(|error| {
        eprintln!("vfiospec: {error}");
        Exit::ReportNotWritten
    })?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Reads a scenario that has to be right; says on standard error what is wrong with it.
pub fn read_right(path: &Path) -> Result<language::Loaded, Exit> {
    let bytes = fs::read(path).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        };
        eprintln!("vfiospec: failed to read {}: {reason}", path.display());
        if error.kind() == io::ErrorKind::NotFound {
            eprintln!("  help: `vfiospec new scenario {}` writes one", path.display());
        }
        Exit::Usage
    })?;
    let say = |source: &Source, wrong: &[language::Diagnostic]| {
        MessageFormat::Human.diagnostics(source, wrong);
        Exit::Usage
    };
    let source = Source::from_bytes(path.display().to_string(), bytes);
    let source = source.map_err(|wrong| say(&wrong.0, std::slice::from_ref(&wrong.1)))?;
    let (packs, pack) = pack_of(path);
    language::load(source, pack, &packs, &[]).map_err(|invalid| say(&invalid.source, &invalid.diagnostics))
}

/// The pack that a scenario's file belongs to, with its name: what its scenarios inherit is part of them.
pub fn pack_of(path: &Path) -> (Packs, String) {
    let mut packs = Packs::default();
    let mut name = "pack".to_owned();
    let mut found = Manifests::default();
    if let Some(index) = found.of(path) {
        let file = &found.files[index].0;
        if let Ok(text) = fs::read_to_string(file) {
            name = packs::name(&text).unwrap_or(name);
            // What is wrong with it is said by `check`.
            let _ = packs.add(Source::new(file.display().to_string(), text));
        }
    }
    (packs, name)
}

/// The name of a file without its ending, or of a folder, as a name in the language.
pub fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = sanitize::identifier(&stem);
    if language::Name::is_valid(&name) { name } else { format!("_{name}") }
}

/// The first line of a scenario at this path, which makes editors complete and explain its keys; empty where no schema is near.
pub fn modeline(path: &Path) -> String {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = beside_or_above(folder, "scenario.schema.json", 1)
        .or_else(|| beside_or_above(folder, "schemas/scenario.schema.json", 16));
    found.map_or_else(String::new, |schema| format!("# yaml-language-server: $schema={}\n", schema.display()))
}

/// Where a file is in this folder or at most so many above, relative to the folder.
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
