// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's packages through a configuration of our own: the machine's sources and lists stay as they are.

use std::path::{Path, PathBuf};
use std::{fs, process::Command, sync::atomic::AtomicBool};

use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::{error::LabError, mirror, progress::Progress, version::Version};
use crate::model::Exit;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suites {
    /// This machine's release and its backports: what may be installed.
    Installable,
    /// Those and Debian's stable with its backports: what may be downloaded and unpacked. Installing from here
    /// would turn an older Debian into a mixture.
    Unpackable,
}

impl Suites {
    fn name(self) -> &'static str {
        match self {
            Self::Installable => "install",
            Self::Unpackable => "unpack",
        }
    }

    /// Each is tried: a mirror has no backports of testing, and that is no error.
    fn list(codenames: &[&str]) -> Vec<String> {
        let all = |name: &&str| ["", "-updates", "-backports"].map(|end| format!("{name}{end}"));
        codenames.iter().flat_map(all).collect()
    }
}

#[derive(Debug)]
pub(super) struct Apt<'a> {
    folder: PathBuf,
    pub codename: String,
    interrupt: &'a AtomicBool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub package: String,
    pub version: Version,
    pub suite: String,
}

pub(super) fn codename() -> Result<String, String> {
    mirror::codename(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

impl<'a> Apt<'a> {
    pub fn open(
        cache: &Cache,
        suites: Suites,
        progress: Progress,
        interrupt: &'a AtomicBool,
    ) -> Result<Self, LabError> {
        let codename = codename().map_err(|id| {
            LabError::new(format!("failed to get packages: this is no Debian but `{id}`"))
                .help("name a kernel image with --kernel ./bzImage")
        })?;
        let folder = cache.folder(Path::new("apt").join(suites.name()))?;
        let apt = Self { folder, codename, interrupt };

        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format", mirror::FORMAT]).env("LC_ALL", "C");
        let targets = apt.runner("reading this machine's apt configuration").read(targets)?;
        let mirror = mirror::mirror(&targets, &apt.codename)?;

        for below in ["sources", "lists/partial", "cache/archives/partial", "download"] {
            cache::create(&apt.folder.join(below))?;
        }
        cache::write(&apt.configuration(), configuration(&apt.folder).as_bytes())?;
        progress.say("reading Debian's lists of packages");
        let mut codenames = vec![apt.codename.clone()];
        if suites == Suites::Unpackable {
            // Some mirrors have copies under the alias that are weeks old, so only the name is read from it.
            apt.update(&mirror, &["stable".into()])?;
            codenames.extend(apt.codename_of("_stable_InRelease").filter(|stable| *stable != apt.codename));
        }
        let codenames = codenames.iter().map(String::as_str).collect::<Vec<_>>();
        let output = apt.update(&mirror, &Suites::list(&codenames))?;
        if apt.lists().any(|(name, _)| name.contains("_Packages")) {
            return Ok(apt);
        }
        Err(LabError::new("failed to read Debian's lists of packages")
            .detail(output)
            .help("check the network and /etc/apt"))
    }

    /// Fetches the lists of these suites. One that the mirror lacks makes apt-get fail after it has fetched the others,
    /// so success is read off the lists that it leaves; the output is for the error.
    fn update(&self, mirror: &str, suites: &[String]) -> Result<String, LabError> {
        let signed = if Path::new(KEYRING).exists() { format!("Signed-By: {KEYRING}\n") } else { String::new() };
        let suites = suites.join(" ");
        let sources = format!("Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\n{signed}");
        cache::write(&self.folder.join("sources/lab.sources"), sources.as_bytes())?;
        let ran =
            self.runner("reading Debian's lists of packages").run(self.command("apt-get", &["update"]), |_| {})?;
        Ok(ran.tail)
    }

    /// The lists that apt keeps: file name and path.
    fn lists(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let files = fs::read_dir(self.folder.join("lists")).into_iter().flatten().flatten();
        files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.path()))
    }

    /// The `Codename` in the signed index whose file name ends like this.
    fn codename_of(&self, end: &str) -> Option<String> {
        let (_, path) = self.lists().find(|(name, _)| name.ends_with(end))?;
        let index = fs::read_to_string(path).ok()?;
        index.lines().find_map(|line| line.strip_prefix("Codename: ")).map(|name| name.trim().to_owned())
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    fn runner<'b>(&'b self, doing: &'b str) -> Runner<'b> {
        Runner { doing, interrupt: self.interrupt, ending: Ending::Killed, log: None }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = child::command(program, Ending::Killed);
        command.args(arguments).env("APT_CONFIG", self.configuration());
        command
    }

    /// What the lists offer of the packages whose names match this regular expression, oldest first.
    pub fn candidates(&self, pattern: &str) -> Result<Vec<Candidate>, LabError> {
        let runner = self.runner("searching Debian's lists of packages");
        let names = runner.read(self.command("apt-cache", &["search", "--names-only", pattern]))?;
        let names = names.lines().filter_map(|line| line.split_whitespace().next()).collect::<Vec<_>>();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let table = runner.read(self.command("apt-cache", &[&["madison"], &names[..]].concat()))?;
        Ok(candidates(&table))
    }

    /// Downloads one package, checked by apt against the signed lists, and returns the file.
    pub fn download(&self, candidate: &Candidate, progress: Progress) -> Result<PathBuf, LabError> {
        let Candidate { package, version, .. } = candidate;
        let folder = self.folder.join("download");
        cache::remove(&folder)?;
        cache::create(&folder)?;
        let wanted = format!("{package}={version}");
        let doing = format!("downloading {package} {version}");
        let size = self.runner(&doing).read(self.command("apt-get", &["download", "--print-uris", &wanted]))?;
        let size = size.split_whitespace().nth(2).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);

        let mut bar = progress.bar(&format!("{doing} ({} MB)", size.div_ceil(1_000_000)), size.max(1));
        let mut command = self.command("apt-get", &["download", "-q", &wanted]);
        command.current_dir(&folder);
        let here = || fs::read_dir(&folder).into_iter().flatten().flatten();
        self.runner(&doing).succeed(command, |_| {
            bar.set(here().filter_map(|file| Some(file.metadata().ok()?.len())).sum());
        })?;
        let deb = here().map(|file| file.path()).find(|path| path.extension().is_some_and(|end| end == "deb"));
        deb.ok_or_else(|| {
            LabError::new(format!("failed while {doing}: apt-get left no package in {}", folder.display()))
        })
    }

    /// Unpacks a package into `folder`; a damaged one is removed.
    pub fn unpack(&self, deb: &Path, folder: &Path) -> Result<(), LabError> {
        let mut command = child::command("dpkg-deb", Ending::Killed);
        command.arg("-x").arg(deb).arg(folder);
        self.runner("unpacking a package").succeed(command, |_| {}).map_err(|error| {
            if error.exit == Exit::Interrupted
                || error.detail.as_deref().is_some_and(|text| text.contains("No space left"))
            {
                return error;
            }
            let _ = cache::remove(deb);
            error.help(format!("{} may be damaged and has been removed; run the command again", deb.display()))
        })
    }

    /// Installs packages on this machine, from a certain release if one is given; only root can.
    pub fn install(
        &self,
        packages: &[&str],
        release: Option<&str>,
        progress: Progress,
        log: &Path,
    ) -> Result<(), LabError> {
        let from = release.map(|release| format!(" from {release}")).unwrap_or_default();
        progress.say(&format!("installing {}{from}", packages.join(" ")));
        let mut command = child::command("apt-get", Ending::Asked);
        command.args(["install", "-y", "-q", "--no-install-recommends"]);
        command.args(release.map(|release| format!("--target-release={release}"))).args(packages);
        command.env("APT_CONFIG", self.configuration()).env("DEBIAN_FRONTEND", "noninteractive");
        let doing = "installing packages";
        Runner { doing, interrupt: self.interrupt, ending: Ending::Asked, log: Some(log) }.succeed(command, |_| {})
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"// Written by vfiospec; everything that apt changes with it stays below this folder, installed packages aside.
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/sources";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
APT::Update::Post-Invoke-Success "";
APT::Update::Post-Invoke "";
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke;
"#
    )
}

/// Reads `apt-cache madison`: `package | version | uri suite/component arch Packages`.
fn candidates(table: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for line in table.lines() {
        let [package, version, place] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { continue };
        let suite = place.split_whitespace().nth(1).and_then(|suite| suite.split('/').next());
        if let (Ok(version), Some(suite)) = (version.parse(), suite) {
            found.push(Candidate { package: package.into(), version, suite: suite.into() });
        }
    }
    found.sort_by(|a, b| a.version.cmp(&b.version));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_sorted_by_version_and_know_their_suite() {
        let table = "\
 linux-source-7.3 | 7.3.4-1~bpo13+1 | http://m.test/debian stable-backports/main amd64 Packages
linux-source-6.1 |    6.1.9-1 | http://m.test/debian bookworm/main amd64 Packages
linux-source-6.12 | 6.12.1-1 | http://m.test/debian stable/main amd64 Packages
N: something else
";
        let found = candidates(table);
        let names = found.iter().map(|one| one.package.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["linux-source-6.1", "linux-source-6.12", "linux-source-7.3"]);
        assert_eq!(found[2].suite, "stable-backports");
    }

    #[test]
    fn each_release_comes_with_its_updates_and_backports() {
        assert_eq!(Suites::list(&["a"]), ["a", "a-updates", "a-backports"]);
        assert!(Suites::list(&["a", "b"]).contains(&"b-backports".to_owned()));
    }

    #[test]
    fn the_configuration_names_no_folder_of_the_machine() {
        let text = configuration(Path::new("/cache/apt"));
        assert!(text.contains("Dir::State::lists \"/cache/apt/lists\";"));
        assert!(!text.contains("/etc/apt"));
    }
}
