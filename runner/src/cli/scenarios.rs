//! From the paths on the command line to scenarios that are known to be right.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    messages::MessageFormat,
    packs::{self, MANIFEST, Manifests},
};
use crate::{
    engine::worker::{Setup, Text},
    event::DeviceUsed,
    language::{self, Diagnostic, Loaded, Packs, Scalar, Source, did_you_mean, join},
    model::{Exit, code::Code},
    plan::Plan,
    report::sanitize,
};

/// Where scenarios are unless the user says otherwise.
const PATH: &str = "scenarios";
/// The largest file that is read as a scenario, in bytes.
const MOST_BYTES: u64 = 8 << 20;

/// Which scenarios, as every verb takes it.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Scenario files, or folders of them
    #[arg(value_name = "PATH", default_value = PATH)]
    pub paths: Vec<PathBuf>,

    /// A pack besides those among the paths and in `scenarios`: its folder
    #[arg(long = "pack", value_name = "FOLDER")]
    pub pack_folders: Vec<PathBuf>,

    /// Set a variable of the scenarios, in place of the value in the file
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    pub vars: Vec<(String, String)>,

    /// Whom what is wrong with them is told to.
    #[arg(skip)]
    pub messages: MessageFormat,
}

fn parse_var(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if language::Name::is_valid(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as size=2MiB".to_owned()),
    }
}

impl Selection {
    /// Reads the files; says on standard error what cannot be read.
    pub fn read(&self) -> Result<Vec<Text>, Exit> {
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, &mut files).map_err(|(at, error)| {
                self.unreadable(
                    &at,
                    &error,
                    match *path == Path::new(PATH) {
                        true => "name a scenario file or a folder with some: `.` is this folder",
                        false => "name a scenario file or a folder with some, such as `scenarios/`",
                    },
                )
            })?;
        }
        if files.is_empty() {
            let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
            let paths = paths.join(", ");
            let help = ["`vfiospec new scenario FILE` writes one to start from"];
            self.messages.say(Code::NoScenario, &paths, &format!("no scenario (*.yaml, *.yml) below {paths}"), &help);
            return Err(Exit::Usage);
        }
        let mut found = self.named_packs()?;
        let (manifests, scenarios): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|file| file.file_name().is_some_and(|name| name == MANIFEST));
        for file in manifests {
            found.add(file);
        }
        let belongs: Vec<Option<usize>> = scenarios.iter().map(|file| found.of(file)).collect();
        let scenarios: Vec<_> = scenarios.into_iter().map(|file| (read(&file), file)).collect();
        // The packs in `scenarios/` are there to be called, and take longer to read than many a scenario.
        if scenarios.iter().any(|(text, _)| text.as_ref().is_ok_and(|text| may_call(text))) {
            self.packs_below(Path::new("scenarios"), false, &mut found)?;
        }
        let mut texts = Vec::new();
        let mut unreadable = false;
        let mut add = |file: &Path,
                       text: Result<String, Unread>,
                       pack: &dyn Fn(&str) -> String,
                       manifest: Option<String>| match text {
            Ok(text) => {
                let pack = pack(&text);
                texts.push(Text { pack: pack.clone(), name: file.display().to_string(), text, manifest });
                pack
            }
            Err(unread) => {
                match unread {
                    Unread::File(reason) => {
                        self.messages.say(Code::Unreadable, &file.to_string_lossy(), &reason, &[]);
                    }
                    Unread::Text(wrong) => self.messages.diagnostics(&wrong.0, std::slice::from_ref(&wrong.1)),
                }
                unreadable = true;
                String::new()
            }
        };
        let mut packs = Vec::new();
        for (file, _) in &found.files {
            let name = |text: &str| packs::name(text).unwrap_or_else(|| pack(file));
            packs.push(add(file, read(file), &name, Some(file.display().to_string())));
        }
        for ((text, file), manifest) in scenarios.into_iter().zip(belongs) {
            let name = |_: &str| manifest.map_or_else(|| pack(&file), |index| packs[index].clone());
            add(&file, text, &name, manifest.map(|index| found.files[index].0.display().to_string()));
        }
        if unreadable {
            let _ = self.load(&texts); // what is wrong with the others is said in the same go
            return Err(Exit::Usage);
        }
        Ok(texts)
    }

    /// The command that does it once more with the same scenarios: the verb, these words of its own, and what was selected here.
    pub fn again(&self, verb: &str, words: impl IntoIterator<Item = String>) -> String {
        let mut again = format!("vfiospec {verb}");
        let folders = self.pack_folders.iter().flat_map(|folder| ["--pack".to_owned(), folder.display().to_string()]);
        let vars = self.vars.iter().flat_map(|(name, value)| ["--var".to_owned(), format!("{name}={value}")]);
        let paths = self.paths.iter().map(|path| path.display().to_string());
        let paths = paths.filter(|_| self.paths != [Path::new(PATH)]);
        for word in words.into_iter().chain(folders).chain(vars).chain(paths) {
            again.push(' ');
            again.push_str(&sanitize::word(&word));
        }
        again
    }

    /// The packs of `--pack`.
    fn named_packs(&self) -> Result<Manifests, Exit> {
        let mut found = Manifests::default();
        for folder in &self.pack_folders {
            self.packs_below(folder, true, &mut found)?;
        }
        Ok(found)
    }

    /// Says that a file or folder cannot be read, and which would do.
    fn unreadable(&self, at: &Path, error: &io::Error, other: &str) -> Exit {
        let file = at.display().to_string();
        let (reason, help): (String, &[&str]) = match error.kind() {
            io::ErrorKind::NotFound => ("there is no such file or folder".to_owned(), &[other]),
            _ => (error.to_string(), &[]),
        };
        self.messages.say(Code::Unreadable, &file, &format!("failed to read {file}: {reason}"), help);
        Exit::Usage
    }

    /// Adds the packs below a folder; of one that was `named` it is said if there are none.
    fn packs_below(&self, folder: &Path, named: bool, found: &mut Manifests) -> Result<(), Exit> {
        if !named && !folder.is_dir() {
            return Ok(());
        }
        let mut files = Vec::new();
        collect(folder, &mut files)
            .map_err(|(at, error)| self.unreadable(&at, &error, "name a pack's folder, or one with packs in it"))?;
        files.retain(|file| file.file_name().is_some_and(|name| name == MANIFEST));
        if named && files.is_empty() {
            let folder = sanitize::line(&folder.to_string_lossy());
            let help = format!("a pack is a folder with a {MANIFEST} in it");
            self.messages.say(Code::NoPack, &folder, &format!("there is no pack in {folder}"), &[&help]);
            return Err(Exit::Usage);
        }
        for file in files {
            found.add(file);
        }
        Ok(())
    }

    /// Reads and checks; says on standard error everything that is wrong, of all files in one go.
    pub fn load(&self, texts: &[Text]) -> Result<(Vec<Loaded>, Packs), Exit> {
        let mut scenarios = Vec::new();
        let packs = self.load_each(texts, |loaded| scenarios.push(loaded))?;
        Ok((scenarios, packs))
    }

    /// [`load()`](Self::load) that keeps no scenario but hands out one after the other.
    pub fn load_each(&self, texts: &[Text], mut take: impl FnMut(Loaded)) -> Result<Packs, Exit> {
        let vars: Vec<_> = self.vars.iter().map(|(name, value)| (name.clone(), Scalar::Text(value.clone()))).collect();
        let (mut of_files, mut of_cases) = (BTreeSet::new(), BTreeSet::new());
        let (packs, invalid) = Text::load_each(texts, &vars, |loaded| {
            if !vars.is_empty() {
                of_files.extend(loaded.scenario.vars.keys().map(str::to_owned));
                of_cases.extend(loaded.scenario.cases.iter().flat_map(|case| case.vars.keys()).map(str::to_owned));
            }
            take(loaded);
        });
        let errors: usize = invalid.iter().map(|problems| problems.diagnostics.len()).sum();
        for problems in &invalid {
            self.messages.diagnostics(&problems.source, &problems.diagnostics);
        }
        if errors > 0 {
            let plural =
                |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
            let files = plural(texts.len(), "file");
            self.messages.total(&format!("{} in {} of {files}", plural(errors, "error"), invalid.len()));
            return Err(Exit::Usage);
        }
        for (name, _) in &self.vars {
            if !of_files.contains(name) {
                let message = format!("no scenario has a variable `{name}`, which --var sets");
                let names = || of_files.iter().map(String::as_str);
                let help = match did_you_mean(name, names()) {
                    _ if of_cases.contains(name) => {
                        format!(
                            "`{name}` is in the `vars` of a case, which --var does not set: move it to those of the file"
                        )
                    }
                    Some(near) => near,
                    None if of_files.is_empty() => "variables are the `vars` of a scenario; there are none".to_owned(),
                    None => format!("there is {}", join(names(), "and")),
                };
                self.messages.say(Code::UnknownVariable, "", &message, &[&help]);
                return Err(Exit::Usage);
            }
        }
        Ok(packs)
    }

    /// Reads, checks and plans for devices of these names; says on standard error what is wrong.
    pub fn plan(&self, texts: Vec<Text>, devices: Vec<DeviceUsed>) -> Result<(Plan, Setup), Exit> {
        let loaded = self.load(&texts)?;
        self.plan_of(loaded, texts, devices)
    }

    /// Plans what these texts say for devices of these names; says on standard error which cases collide.
    pub fn plan_of(
        &self,
        (scenarios, packs): (Vec<Loaded>, Packs),
        texts: Vec<Text>,
        devices: Vec<DeviceUsed>,
    ) -> Result<(Plan, Setup), Exit> {
        let vars: Vec<_> = self.vars.iter().map(|(name, value)| (name.clone(), Scalar::Text(value.clone()))).collect();
        match crate::plan::expand(scenarios, packs, &devices, &vars) {
            Ok(plan) => Ok((plan, Setup { scenarios: texts, vars: self.vars.clone(), devices })),
            Err(collisions) => {
                // On several backends two cases collide several times, and are the same two.
                let mut said = BTreeSet::new();
                for collision in collisions {
                    if !said.insert((collision.first.clone(), collision.second.clone())) {
                        continue;
                    }
                    let [id, first, second] =
                        [&collision.id, &collision.first, &collision.second].map(|text| sanitize::line(text));
                    let file = second.rsplit_once(':').map_or(second.as_str(), |(file, _)| file).to_owned();
                    let message = format!("two cases are called {id}\n  at {first} and at {second}");
                    let help = ["reports know a case by this name; rename the case, the scenario or its folder"];
                    self.messages.say(Code::SameCase, &file, &message, &help);
                }
                Err(Exit::Usage)
            }
        }
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

/// Whether a key `call` may be in a scenario's text. A false alarm only takes time.
fn may_call(text: &str) -> bool {
    text.match_indices("call").any(|(at, call)| {
        let behind = text[at + call.len()..].trim_start_matches(['"', '\'', ' ', '\t', '\r', '\n']);
        behind.starts_with(':')
    })
}

/// Why a file gives no text.
enum Unread {
    /// It cannot be read, for this reason.
    File(String),
    /// It is no text.
    Text(Box<(Source, Diagnostic)>),
}

/// The text of a file, or why there is none.
fn read(file: &Path) -> Result<String, Unread> {
    let refused = |reason: &dyn std::fmt::Display| {
        Unread::File(format!("failed to read {}: {reason}", sanitize::line(&file.to_string_lossy())))
    };
    let metadata = fs::metadata(file).map_err(|error| refused(&error))?;
    if metadata.len() > MOST_BYTES {
        return Err(refused(&format_args!("it has {} bytes, expected at most {MOST_BYTES}", metadata.len())));
    }
    let bytes = fs::read(file).map_err(|error| refused(&error))?;
    Source::from_bytes(file.display().to_string(), bytes).map(|source| source.text).map_err(Unread::Text)
}

/// The pack of a file: the name of its folder, as an identifier.
fn pack(file: &Path) -> String {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = folder.canonicalize().ok().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    sanitize::identifier(&name.unwrap_or_else(|| "pack".to_owned()))
}
