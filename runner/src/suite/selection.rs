// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which scenarios a command is about.

use std::path::{Path as FilePath, PathBuf};
use std::{collections::BTreeSet, io};

use clap::Args;

use super::find::{self, MANIFEST, Unread, name_in};
use super::{Error, Manifests, Problem, Text, collect};
use crate::language::{
    self, Condition, Diagnostic, Invalid, Loaded, LoadedPack, Packs, Path, Scalar, Site, Size, Source, Target,
    did_you_mean, join,
};
use crate::{model::code::Code, sanitize};

/// Where scenarios are unless the user says otherwise.
const PATH: &str = "scenarios";

/// Where a package puts them and their schemas, seen from the program's folder.
const INSTALLED: &str = "../share/vfiospec";

/// A folder that was installed with this program.
pub fn installed(folder: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?.join(INSTALLED).join(folder).canonicalize().ok()?;
    folder.is_dir().then_some(folder)
}

/// The folder `scenarios` here if it exists, and otherwise the one that was installed with this program.
fn home() -> PathBuf {
    let here = PathBuf::from(PATH);
    if here.exists() { here } else { installed(PATH).unwrap_or(here) }
}

/// Scenarios that are right, and the packs that they may call.
pub type Checked = (Vec<Loaded>, Packs);

/// Which scenarios, as every verb takes it.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Scenario files, or folders of them; without a folder `scenarios` here, those that were installed with vfiospec
    #[arg(value_name = "PATH", default_value = PATH)]
    paths: Vec<PathBuf>,

    /// A pack besides those among the paths and in `scenarios`: its folder
    #[arg(long = "pack", value_name = "FOLDER")]
    pack_folders: Vec<PathBuf>,

    /// Set a variable of the scenarios, in place of the value in the file
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    pub vars: Vec<(String, String)>,

    /// The hosts of a lab: their devices, variables, known issues, and what must run there
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,

    /// Which host of the inventory [default: the one with this machine's hostname]
    #[arg(long, value_name = "NAME", requires = "inventory")]
    pub host: Option<String>,
}

fn parse_var(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if language::Name::is_valid(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as size=2MiB".to_owned()),
    }
}

impl Selection {
    /// One file, and packs besides its own.
    pub fn of(file: &FilePath, packs: &[PathBuf]) -> Selection {
        let (vars, inventory, host) = Default::default();
        Selection { paths: vec![file.to_owned()], pack_folders: packs.to_vec(), vars, inventory, host }
    }

    /// The files and folders.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.paths.iter().map(|path| if *path == FilePath::new(PATH) { home() } else { path.clone() }).collect()
    }

    /// The files and folders that a change of what is planned may come from.
    pub fn watched(&self) -> Vec<PathBuf> {
        self.paths().into_iter().chain(self.inventory.clone()).collect()
    }

    /// Reads the files. Of files that cannot be read, the error also says what is wrong with the others.
    pub fn read(&self) -> Result<Vec<Text>, Error> {
        let mut files = Vec::new();
        for path in &self.paths() {
            let other = if *path == FilePath::new(PATH) { "`.` is this folder" } else { "such as `scenarios/`" };
            let separator = if *path == FilePath::new(PATH) { ":" } else { "," };
            let help = format!("name a scenario file or a folder with some{separator} {other}");
            collect(path, &mut files).map_err(|(at, error)| unreadable(&at, &error, &help))?;
        }
        if files.is_empty() {
            let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
            let file = paths.join(", ");
            let message = format!("no scenario (*.yaml, *.yml) below {file}");
            let help = Some("`vfiospec new scenario FILE` writes one to start from".to_owned());
            return Err(Problem { code: Code::NoScenario, file, message, help }.into());
        }
        let mut found = Manifests::default();
        for folder in &self.pack_folders {
            packs_below(folder, true, &mut found)?;
        }
        let (machines, files): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|file| find::is_machine(file));
        let (manifests, scenarios): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|file| file.file_name().is_some_and(|name| name == MANIFEST));
        for file in manifests {
            found.add(file);
        }
        let belongs: Vec<Option<usize>> = scenarios.iter().map(|file| found.of(file)).collect();
        let scenarios: Vec<_> = scenarios.into_iter().map(|file| (find::read(&file), file)).collect();
        // The packs in `scenarios/` are there to be called, and take longer to read than most scenarios.
        if scenarios.iter().any(|(text, _)| text.as_ref().is_ok_and(|text| find::may_call(text))) {
            packs_below(&home(), false, &mut found)?;
        }
        let mut texts = Vec::new();
        let mut wrong = Error::default();
        for error in machines.iter().filter_map(|file| find::machine(file).err()) {
            wrong.problems.extend(error.problems);
            wrong.invalid.extend(error.invalid);
        }
        let mut take = |file: &FilePath, text: Result<String, Unread>| match text {
            Ok(text) => Some(text),
            Err(Unread::File(message)) => {
                let file = file.to_string_lossy().into_owned();
                wrong.problems.push(Problem { code: Code::Unreadable, file, message, help: None });
                None
            }
            Err(Unread::Text(invalid)) => {
                wrong.invalid.push(invalid);
                None
            }
        };
        let mut packs = Vec::new();
        for (file, _) in &found.files {
            let name = file.display().to_string();
            let text = take(file, find::read(file));
            packs.push(text.as_ref().map(|text| name_in(text).unwrap_or_else(|| find::pack(file))).unwrap_or_default());
            let pack = packs[packs.len() - 1].clone();
            texts.extend(text.map(|text| Text { pack, name: name.clone(), text, manifest: Some(name) }));
        }
        for ((text, file), manifest) in scenarios.into_iter().zip(belongs) {
            let pack = manifest.map_or_else(|| find::pack(&file), |index| packs[index].clone());
            let manifest = manifest.map(|index| found.files[index].0.display().to_string());
            let text = take(&file, text);
            texts.extend(text.map(|text| Text { pack, name: file.display().to_string(), text, manifest }));
        }
        if wrong.problems.is_empty() && wrong.invalid.is_empty() {
            return Ok(texts);
        }
        wrong.files = texts.len() + wrong.problems.len() + wrong.invalid.len();
        if let Err(others) = self.load(&texts, None) {
            wrong.problems.extend(others.problems);
            wrong.invalid.extend(others.invalid);
        }
        Err(wrong)
    }

    /// The command that runs a case of these scenarios again, up to the case and its file: the verb, the words of its own, and what was
    /// selected here.
    ///
    pub fn again(&self, verb: &str, words: impl IntoIterator<Item = String>, texts: &[Text]) -> String {
        let mut again = format!("vfiospec {verb}");
        let scenarios = texts.iter().filter(|text| !text.is_manifest());
        let folders: BTreeSet<String> =
            scenarios.flat_map(|text| packs_elsewhere(texts, text.manifest.as_deref())).collect();
        let others = folders.into_iter().flat_map(|folder| ["--pack".to_owned(), folder]);
        let vars = self.vars.iter().flat_map(|(name, value)| ["--var".to_owned(), format!("{name}={value}")]);
        let inventory = self.inventory.iter().flat_map(|file| ["--inventory".to_owned(), file.display().to_string()]);
        let host = self.host.iter().flat_map(|host| ["--host".to_owned(), host.clone()]);
        for word in words.into_iter().chain(others).chain(vars).chain(inventory).chain(host) {
            again.push(' ');
            again.push_str(&sanitize::word(&word));
        }
        again
    }

    /// Reads and checks all texts as the site has them, and finds everything that is wrong in one go.
    pub fn load(&self, texts: &[Text], site: Option<&Site>) -> Result<Checked, Error> {
        let mut scenarios = Vec::new();
        let packs = self.load_each(texts, site, |loaded| scenarios.push(loaded))?;
        Ok((scenarios, packs))
    }

    /// [`load()`](Self::load) that keeps no scenario but hands out one after the other.
    pub fn load_each(&self, texts: &[Text], site: Option<&Site>, mut take: impl FnMut(Loaded)) -> Result<Packs, Error> {
        let vars = self.vars_on(site);
        let vars: Vec<_> = vars.into_iter().map(|(name, value)| (name, Scalar::Text(value))).collect();
        let of_site = self.vars_of(site);
        let mut wrong_at_site: Vec<Diagnostic> = Vec::new();
        let (mut of_files, mut of_cases, mut of_other_kinds) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let mut no_machine = Vec::new();
        let mut required = BTreeSet::new();
        let (packs, mut invalid) = Text::load_each(texts, &vars, |loaded| {
            no_machine.extend(of_scenario(&loaded));
            required.extend(conditions(&loaded));
            if !vars.is_empty() {
                of_files.extend(loaded.scenario.vars.keys().map(str::to_owned));
                of_other_kinds.extend(self.vars.iter().filter_map(|(name, text)| mistyped(&loaded, name, text)));
                of_cases.extend(loaded.scenario.cases.iter().flat_map(|case| case.vars.keys()).map(str::to_owned));
                wrong_at_site.extend(of_site.iter().filter_map(|var| mistyped_at_site(&loaded, var)));
            }
            take(loaded);
        });
        no_machine.extend(packs.list.iter().filter_map(of_pack));
        invalid.extend(no_machine);
        if invalid.is_empty() {
            let paths = self.paths();
            // All that may require a condition of a pack was read where its whole folder was.
            let is_whole = |pack: &&LoadedPack| {
                let file = FilePath::new(&pack.source.name);
                paths.iter().any(|path| path.is_dir() && file.starts_with(path))
            };
            invalid.extend(packs.list.iter().filter(is_whole).filter_map(|pack| unused(pack, &required)));
        }
        if let Some(site) = site.filter(|_| !wrong_at_site.is_empty()) {
            wrong_at_site.dedup_by(|other, first| other.path == first.path);
            invalid.push(Invalid { source: site.source.clone(), diagnostics: wrong_at_site });
        }
        if !invalid.is_empty() {
            return Err(Error { invalid, files: texts.len() + usize::from(site.is_some()), ..Error::default() });
        }
        match self.vars.iter().find_map(|(name, _)| unknown(name, &of_files, &of_cases)) {
            Some(problem) => Err(problem.into()),
            None if of_other_kinds.is_empty() => Ok(packs),
            None => Err(Error { problems: of_other_kinds, ..Error::default() }),
        }
    }
}

/// What is wrong with a variable of an inventory that is not of the kind of the value whose place it takes.
fn mistyped_at_site(loaded: &Loaded, (name, value, at): &(&str, &Scalar, Path)) -> Option<Diagnostic> {
    let (_, default) = loaded.scenario.vars.iter().find(|(known, _)| known == name)?;
    if Scalar::in_place_of(default, &value.to_string()).is_some() {
        return None;
    }
    let title = format!("`{name}` is {value} here, and {default} in {}", loaded.source.name);
    Some(Diagnostic::error(Code::WrongType, at.clone(), title).label(format!("expected {}", of_kind(default))))
}

/// What may take the place of a value that is no text.
fn of_kind(default: &Scalar) -> &'static str {
    if matches!(default, Scalar::Bool(_)) { "true or false" } else { "a number or a size, such as 2MiB" }
}

/// The conditions of its pack that a scenario requires, each with the name of the pack.
fn conditions(Loaded { pack, scenario, .. }: &Loaded) -> Vec<(String, String)> {
    let of_cases = scenario.cases.iter().flat_map(|case| &case.requires);
    let names = of_cases.chain(&scenario.requires).filter_map(|requirement| requirement.name.as_ref());
    names.map(|name| (pack.clone(), name.0.clone())).collect()
}

/// The conditions of a pack that none of its scenarios requires.
fn unused(LoadedPack { source, pack }: &LoadedPack, required: &BTreeSet<(String, String)>) -> Option<Invalid> {
    let is_unused = |name: &&str| !required.contains(&(pack.name.0.clone(), (*name).to_owned()));
    let mistake = |name: &str| {
        let at = Path::root().join("conditions").join(name);
        Diagnostic::error(Code::UnusedCondition, at, format!("no scenario of the pack requires `{name}`"))
            .at(Target::Key)
            .label(format!("expected a scenario or a case with `requires: [{name}]`"))
            .help("remove the condition, or require it")
    };
    let diagnostics: Vec<Diagnostic> = pack.conditions.keys().filter(is_unused).map(mistake).collect();
    (!diagnostics.is_empty()).then(|| Invalid { source: source.clone(), diagnostics })
}

/// The machines that a pack's conditions name and that are not there.
fn of_pack(LoadedPack { source, pack }: &LoadedPack) -> Option<Invalid> {
    let at = Path::root().join("conditions");
    machines(source, pack.conditions.iter().map(|(name, condition)| (at.join(name), condition)))
}

/// The same of the conditions that a scenario and its cases have of their own.
fn of_scenario(Loaded { source, scenario, .. }: &Loaded) -> Option<Invalid> {
    let cases = scenario.cases.iter().enumerate();
    let of_cases = cases.map(|(index, case)| (Path::root().join("cases").join(index), &case.requires));
    let all = of_cases.chain([(Path::root(), &scenario.requires)]).flat_map(|(path, requires)| {
        let own = requires.iter().enumerate().filter(|(_, requirement)| requirement.name.is_none());
        own.filter_map(move |(index, it)| Some((path.join("requires").join(index), &**it.condition.as_ref()?)))
    });
    machines(source, all)
}

fn machines<'c>(source: &Source, conditions: impl Iterator<Item = (Path, &'c Condition)>) -> Option<Invalid> {
    // In the lab's guest the scenarios are those of the host, where this was checked: their files are not here.
    if !FilePath::new(&source.name).is_file() {
        return None;
    }
    let missing = conditions.filter_map(|(at, condition)| {
        let lab = condition.lab.as_ref()?;
        let file = FilePath::new(&source.name).with_file_name(lab);
        (!file.is_file()).then(|| {
            let title = format!("there is no file {}", sanitize::line(&file.to_string_lossy()));
            Diagnostic::error(Code::NoMachine, at.join("lab"), title)
                .label("expected the file of a machine, beside this one")
        })
    });
    let diagnostics: Vec<Diagnostic> = missing.collect();
    (!diagnostics.is_empty()).then(|| Invalid { source: source.clone(), diagnostics })
}

/// What is wrong with a text of `--var` that is not of the kind of the value whose place it takes.
fn mistyped(loaded: &Loaded, name: &str, text: &str) -> Option<Problem> {
    let (_, default) = loaded.scenario.vars.iter().find(|(known, _)| *known == name)?;
    if Scalar::in_place_of(default, text).is_some() {
        return None;
    }
    let file = loaded.source.name.clone();
    let message = format!("failed to read --var {name}={text}: {file} has {default} there");
    let expected = of_kind(default);
    let written = text.parse::<Size>().err().filter(|_| !matches!(default, Scalar::Bool(_)));
    let written = written.and_then(|complaint| complaint.help.into_iter().find(|help| help.starts_with("write ")));
    let help = Some(written.unwrap_or_else(|| format!("give `{name}` {expected}")));
    Some(Problem { code: Code::WrongType, file, message, help })
}

/// The folders of the packs that are found neither in `scenarios` nor from a scenario of the pack `own`.
pub fn packs_elsewhere(texts: &[Text], own: Option<&str>) -> Vec<String> {
    let manifests = texts.iter().filter(|text| text.is_manifest()).map(|text| text.name.as_str());
    let home = home();
    let others = manifests.filter(|name| Some(*name) != own && !FilePath::new(name).starts_with(&home));
    others.filter_map(|name| Some(FilePath::new(name).parent()?.display().to_string())).collect()
}

/// What is wrong with a variable of `--var` that no scenario has.
fn unknown(name: &str, of_files: &BTreeSet<String>, of_cases: &BTreeSet<String>) -> Option<Problem> {
    if of_files.contains(name) {
        return None;
    }
    let names = || of_files.iter().map(String::as_str);
    let help = match did_you_mean(name, names()) {
        _ if of_cases.contains(name) => {
            format!("`{name}` is in the `vars` of a case, which --var does not set: move it to those of the file")
        }
        Some(near) => near,
        None if of_files.is_empty() => "variables are the `vars` of a scenario; there are none".to_owned(),
        None => format!("there is {}", join(names(), "and")),
    };
    let message = format!("no scenario has a variable `{name}`, which --var sets");
    Some(Problem { code: Code::UnknownVariable, file: String::new(), message, help: Some(help) })
}

/// A file or folder that cannot be read; `other` says which would do.
fn unreadable(at: &FilePath, error: &io::Error, other: &str) -> Problem {
    let file = at.display().to_string();
    let (reason, help) = match error.kind() {
        io::ErrorKind::NotFound => ("there is no such file or folder".to_owned(), Some(other.to_owned())),
        _ => (error.to_string(), None),
    };
    let message = format!("failed to read {file}: {reason}");
    Problem { code: Code::Unreadable, file, message, help }
}

/// Adds the packs below a folder; one that was `named` has to have some.
fn packs_below(folder: &FilePath, named: bool, found: &mut Manifests) -> Result<(), Problem> {
    if !named && !folder.is_dir() {
        return Ok(());
    }
    let mut files = Vec::new();
    collect(folder, &mut files)
        .map_err(|(at, error)| unreadable(&at, &error, "name a pack's folder, or one with packs in it"))?;
    files.retain(|file| file.file_name().is_some_and(|name| name == MANIFEST));
    if named && files.is_empty() {
        let file = sanitize::line(&folder.to_string_lossy());
        let help = Some(format!("a pack is a folder with a {MANIFEST} in it"));
        let message = format!("there is no pack in {file}");
        return Err(Problem { code: Code::NoPack, file, message, help });
    }
    for file in files {
        found.add(file);
    }
    Ok(())
}
