// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's packages through a configuration of our own: the machine's sources and lists stay as they are.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::{fs, process::Command, sync::atomic::AtomicBool};

use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::{arch::HOST, error::LabError, mirror, progress::Progress, version::Version};
use crate::model::Exit;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Names the mirror; by default it is that of the machine's own apt configuration.
const MIRROR: &str = "VFIOSPEC_MIRROR";

/// Debian's packages, whose lists are read when the first one is asked for.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    pub cache: &'a Cache,
    pub progress: Progress,
    pub interrupt: &'a AtomicBool,
    /// Another architecture whose packages are there, too, by Debian's name.
    foreign: Option<&'static str>,
    opened: OnceCell<Apt<'a>>,
}

impl<'a> Archive<'a> {
    pub fn new(cache: &'a Cache, progress: Progress, interrupt: &'a AtomicBool) -> Self {
        Self { cache, progress, interrupt, foreign: None, opened: OnceCell::new() }
    }

    /// The same with the packages of another architecture.
    pub fn with(&self, foreign: &'static str) -> Self {
        Self { foreign: Some(foreign), ..Self::new(self.cache, self.progress, self.interrupt) }
    }

    /// For `what`, of which an error speaks.
    pub fn open(&self, what: &str) -> Result<&Apt<'a>, LabError> {
        if let Some(apt) = self.opened.get() {
            return Ok(apt);
        }
        if child::find("apt-get").is_none() || child::find("dpkg-deb").is_none() {
            return Err(without_apt(what));
        }
        let apt = Apt::open(self.cache, self.foreign, self.progress, self.interrupt)?;
        Ok(self.opened.get_or_init(|| apt))
    }

    /// Unpacks a package of the user's into `folder`.
    pub fn unpack(&self, deb: &Path, folder: &Path) -> Result<(), LabError> {
        if child::find("dpkg-deb").is_none() {
            return Err(without_apt("a kernel"));
        }
        unpack(deb, folder, self.interrupt)
    }
}

fn unpack(deb: &Path, folder: &Path, interrupt: &AtomicBool) -> Result<(), LabError> {
    let mut command = child::command("dpkg-deb", Ending::Killed);
    command.arg("-x").arg(deb).arg(folder);
    let runner = Runner { doing: "unpacking a package", interrupt, ending: Ending::Killed, log: None };
    runner.succeed(command, |_| {})
}

#[derive(Debug)]
pub(super) struct Apt<'a> {
    folder: PathBuf,
    mirror: String,
    keyring: Option<PathBuf>,
    /// Debian's stable release and the one before it, by their names.
    stable: String,
    before: Option<String>,
    foreign: Option<&'static str>,
    progress: Progress,
    interrupt: &'a AtomicBool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub package: String,
    pub version: Version,
}

/// What a list of packages is of.
const BINARIES: &str = "deb";
const SOURCES: &str = "deb-src";

/// So that only the signed index of a suite is fetched.
const NO_LISTS: [&str; 2] = ["-o", "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false"];

/// A release with its updates and backports. Each is tried: a mirror has no backports of testing, and that is no error.
fn suites(codename: &str) -> String {
    format!("{codename} {codename}-updates {codename}-backports")
}

impl<'a> Apt<'a> {
    fn open(
        cache: &Cache,
        foreign: Option<&'static str>,
        progress: Progress,
        interrupt: &'a AtomicBool,
    ) -> Result<Self, LabError> {
        let folder = cache.folder("apt/unpack")?;
        let (mirror, stable) = (String::new(), String::new());
        let mut apt = Self { folder, mirror, keyring: None, stable, before: None, foreign, progress, interrupt };
        let own = mirror::codename(&fs::read_to_string("/etc/os-release").unwrap_or_default());
        apt.mirror = apt.mirror(own.as_deref().map_err(String::as_str))?;
        for below in ["sources", "stable", "lists/partial", "own/partial", "cache/archives/partial", "download"] {
            cache::create(&apt.folder.join(below))?;
        }
        cache::write(&apt.folder.join("status"), b"")?;
        cache::write(&apt.configuration(), configuration(&apt.folder).as_bytes())?;
        apt.keyring = apt.keyring(own.is_ok())?;
        progress.say("reading Debian's lists of packages");
        // Some mirrors have copies under the alias that are weeks old, so only the name is read from it.
        let output = apt.update(BINARIES, "stable oldstable", &NO_LISTS)?;
        let stable = apt.codename_of("_stable_InRelease");
        let unread = |output| {
            LabError::new("failed to read Debian's lists of packages")
                .detail(output)
                .help(format!("check the network, and /etc/apt or the mirror that {MIRROR} names"))
        };
        apt.stable = stable.ok_or_else(|| unread(output))?;
        apt.before = apt.codename_of("_oldstable_InRelease");
        let own = own.ok().filter(|own| *own != apt.stable);
        apt.sources("stable", BINARIES, &suites(&apt.stable))?;
        let all = own.iter().chain([&apt.stable]).map(|name| suites(name)).collect::<Vec<_>>().join(" ");
        let output = apt.update(BINARIES, &all, &[])?;
        let list = format!("_dists_{}_main_", apt.stable);
        if apt.lists().any(|(name, _)| name.contains(&list) && name.contains("_Packages")) {
            return Ok(apt);
        }
        Err(unread(output))
    }

    /// The mirror that the user names, or else the one of this machine; `own` is the name of its release or, if it is not Debian, its own.
    fn mirror(&self, own: Result<&str, &str>) -> Result<String, LabError> {
        let named = std::env::var(MIRROR).ok().filter(|mirror| !mirror.is_empty());
        match (named, own) {
            (Some(mirror), _) => Ok(format!("{}/", mirror.trim_end_matches('/'))),
            (None, Ok(codename)) => {
                let mut targets = Command::new("apt-get");
                targets.args(["indextargets", "--format", mirror::FORMAT]).env("LC_ALL", "C");
                let targets = self.runner("reading this machine's apt configuration").read(targets)?;
                mirror::mirror(&targets, codename)
            }
            (None, Err(id)) => Err(LabError::new(format!(
                "failed to find a Debian mirror: this is `{id}`, whose own mirrors have other packages"
            ))
            .help(format!("name a mirror of Debian with {MIRROR}=http://…/debian"))),
        }
    }

    /// The keys that Debian signs its lists with; `None` if apt knows them without. A distribution that is not Debian has a package of them,
    /// signed with keys that this machine trusts.
    fn keyring(&self, is_debian: bool) -> Result<Option<PathBuf>, LabError> {
        let kept = self.folder.join(format!("keyring{KEYRING}"));
        if let Some(found) = [Path::new(KEYRING), kept.as_path()].into_iter().find(|path| path.exists()) {
            return Ok(Some(found.to_owned()));
        }
        if is_debian {
            return Ok(None);
        }
        let own = ["Dir::Etc::sourcelist=sources.list", "Dir::Etc::sourceparts=sources.list.d"].map(str::to_owned);
        let own = own.into_iter().chain([format!("Dir::State::lists={}", self.folder.join("own").display())]);
        let own = own.flat_map(|option| ["-o".to_owned(), option]).collect::<Vec<_>>();
        let doing = "getting Debian's keys";
        self.progress.say(doing);
        let mut update = self.command("apt-get", &["update", "-q"]);
        update.args(&own);
        self.runner(doing).succeed(update, |_| {})?;
        let deb = self.download_alone(doing, &["download", "debian-archive-keyring"], ".deb", &own, |_| {})?;
        self.unpack(&deb, &self.folder.join("keyring"))?;
        Ok(Some(kept))
    }

    /// Fetches the lists of these suites. One that the mirror lacks makes apt-get fail after it has fetched the others,
    /// so success is read off the lists that it leaves; the output is for the error.
    fn update(&self, kind: &str, suites: &str, options: &[&str]) -> Result<String, LabError> {
        self.sources("sources", kind, suites)?;
        let mut command = self.command("apt-get", &["update"]);
        command.args(options);
        Ok(self.runner("reading Debian's lists of packages").run(command, |_| {})?.tail)
    }

    /// Writes a folder of apt's sources.
    fn sources(&self, below: &str, kind: &str, suites: &str) -> Result<(), LabError> {
        let Self { mirror, keyring, .. } = self;
        let signed = keyring.iter().map(|keyring| format!("Signed-By: {}\n", keyring.display())).collect::<String>();
        let sources = format!("Types: {kind}\nURIs: {mirror}\nSuites: {suites}\nComponents: main\n{signed}");
        cache::write(&self.folder.join(below).join("lab.sources"), sources.as_bytes())
    }

    /// The source packages of Linux that the archive still has, oldest first: its stable release's, with each of the backports that
    /// there were, those of the release before it, and the newest. From here on, the lists are of source packages.
    pub fn sources_of_linux(&self) -> Result<Vec<Candidate>, LabError> {
        self.progress.say("reading Debian's lists of source packages");
        let releases = self.before.iter().chain([&self.stable]).map(|name| suites(name));
        let all: Vec<String> = releases.chain(["sid".to_owned()]).collect();
        self.update(SOURCES, &all.join(" "), &[])?;
        self.madison("searching Debian's lists of source packages", &["linux"])
    }

    /// The lists that apt keeps: file name and path.
    fn lists(&self) -> impl Iterator<Item = (String, PathBuf)> {
        files(self.folder.join("lists")).map(|file| (file.file_name().to_string_lossy().into_owned(), file.path()))
    }

    /// The `Codename` in the signed index whose file name ends like this.
    fn codename_of(&self, end: &str) -> Option<String> {
        let (_, path) = self.lists().find(|(name, _)| name.ends_with(end))?;
        let index = fs::read_to_string(path).ok()?;
        index.lines().find_map(|line| line.strip_prefix("Codename: ")).map(|name| name.trim().to_owned())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    fn runner<'b>(&'b self, doing: &'b str) -> Runner<'b> {
        Runner { doing, interrupt: self.interrupt, ending: Ending::Killed, log: None }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = child::command(program, Ending::Killed);
        command.args(arguments).env("APT_CONFIG", self.configuration());
        if let Some(arch) = self.foreign {
            command.args(["-o", &format!("APT::Architectures::={arch}")]);
        }
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
        self.madison("searching Debian's lists of packages", &names)
    }

    fn madison(&self, doing: &str, names: &[&str]) -> Result<Vec<Candidate>, LabError> {
        let table = self.runner(doing).read(self.command("apt-cache", &[&["madison"], names].concat()))?;
        Ok(candidates(&table))
    }

    /// Downloads one package, checked by apt against the signed lists, and returns the file.
    pub fn download(&self, candidate: &Candidate) -> Result<PathBuf, LabError> {
        let wanted = format!("{}={}", candidate.package, candidate.version);
        self.fetch(candidate, &["download", &wanted], ".deb")
    }

    /// Downloads the upstream part of a source package, likewise.
    pub fn download_source(&self, candidate: &Candidate) -> Result<PathBuf, LabError> {
        let wanted = format!("{}={}", candidate.package, candidate.version);
        self.fetch(candidate, &["source", "--download-only", "--tar-only", &wanted], ".orig.tar.xz")
    }

    fn fetch(&self, candidate: &Candidate, command: &[&str], end: &str) -> Result<PathBuf, LabError> {
        let Candidate { package, version } = candidate;
        let doing = format!("downloading {package} {version}");
        let uris = self.runner(&doing).read(self.command("apt-get", &[command, &["--print-uris"]].concat()))?;
        let bytes = total(&uris);
        let mut bar = self.progress.bar(&format!("{doing} ({} MB)", bytes.div_ceil(1_000_000)), bytes.max(1));
        self.download_alone(&doing, command, end, &[], |bytes| bar.set(bytes))
    }

    /// Downloads one file, whose name ends like this, into a folder that has nothing else, and says how many bytes are there.
    fn download_alone(
        &self,
        doing: &str,
        command: &[&str],
        end: &str,
        options: &[String],
        mut tick: impl FnMut(u64),
    ) -> Result<PathBuf, LabError> {
        let folder = self.folder.join("download");
        cache::remove(&folder)?;
        cache::create(&folder)?;
        let mut command = self.command("apt-get", command);
        command.arg("-q").args(options).current_dir(&folder);
        self.runner(doing).succeed(command, |_| tick(size(&folder)))?;
        let file = files(&folder).map(|file| file.path()).find(|path| path.to_string_lossy().ends_with(end));
        file.ok_or_else(|| {
            LabError::new(format!("failed while {doing}: apt-get left no file {end} in {}", folder.display()))
        })
    }

    /// Downloads these packages, the newest of Debian's stable release and its backports, with all that they need, and returns the files.
    pub fn closure(&self, what: &str, packages: &[&str]) -> Result<Vec<PathBuf>, LabError> {
        let archives = self.folder.join("cache/archives");
        let mut remains = files(&archives).map(|file| file.path()).filter(|path| path.is_file());
        remains.try_for_each(|path| cache::remove(&path))?;
        let doing = format!("downloading {what}");
        let install = |options: &[&str]| {
            let stable = format!("Dir::Etc::sourceparts={}", self.folder.join("stable").display());
            let release = format!("--target-release={}-backports", self.stable);
            let mut command = self.command("apt-get", &["install", "-y", &release, "-o", &stable]);
            command.args(options).args(packages);
            command
        };
        let uris = self.runner(&doing).read(install(&["-qq", "--print-uris"]))?;
        let bytes = total(&uris);
        let names: Vec<&str> = uris.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let megabytes = bytes.div_ceil(1_000_000);
        let mut bar = self.progress.bar(&format!("{doing} ({} packages, {megabytes} MB)", names.len()), bytes.max(1));
        let partial = archives.join("partial");
        self.runner(&doing)
            .succeed(install(&["--download-only"]), |_| bar.set(size(&archives) + size(&partial)))
            .map_err(|error| match error.exit {
                Exit::NoVerdict => error.help("check the network, and run the command again"),
                _ => error,
            })?;
        Ok(names.iter().map(|name| archives.join(name)).collect())
    }

    /// Unpacks a package into `folder`; a damaged one is removed.
    pub fn unpack(&self, deb: &Path, folder: &Path) -> Result<(), LabError> {
        unpack(deb, folder, self.interrupt).map_err(|error| {
            if error.exit == Exit::Interrupted
                || error.detail.as_deref().is_some_and(|text| text.contains("No space left"))
            {
                return error;
            }
            let _ = cache::remove(deb);
            error.help(format!("{} may be damaged and has been removed; run the command again", deb.display()))
        })
    }
}

fn without_apt(what: &str) -> LabError {
    LabError::new(format!("failed to get {what} from Debian's packages: there is no apt-get and dpkg-deb here"))
        .detail("the Containerfile of vfiospec's repository makes a container image with everything in it")
        .help("use that image, or what this machine has: --qemu FILE, --kernel ./bzImage, and a static busybox as /bin/busybox")
}

fn files(folder: impl AsRef<Path>) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// Bytes of a folder's files.
fn size(folder: &Path) -> u64 {
    files(folder).filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// The bytes of what `--print-uris` lists: `'uri' file size hash`.
fn total(uris: &str) -> u64 {
    uris.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum()
}

fn configuration(folder: &Path) -> String {
    let (folder, architecture) = (folder.display(), HOST.debian);
    format!(
        r#"// Written by vfiospec; everything that apt changes with it stays below this folder.
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
#clear APT::Architectures;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
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
        let [package, version, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { continue };
        if let Ok(version) = version.parse() {
            found.push(Candidate { package: package.into(), version });
        }
    }
    found.sort_by(|a, b| a.version.cmp(&b.version));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_sorted_by_version() {
        let table = "\
 linux-source-7.3 | 7.3.4-1~bpo13+1 | http://m.test/debian stable-backports/main amd64 Packages
linux-source-6.1 |    6.1.9-1 | http://m.test/debian bookworm/main amd64 Packages
linux-source-6.12 | 6.12.1-1 | http://m.test/debian stable/main amd64 Packages
N: something else
";
        let found = candidates(table);
        let names = found.iter().map(|one| one.package.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["linux-source-6.1", "linux-source-6.12", "linux-source-7.3"]);
    }

    #[test]
    fn what_is_downloaded_is_known_before() {
        let uris = "'http://m.test/a_1.deb' a_1.deb 1200 SHA256:00\n'http://m.test/b_2.deb' b_2%3a2.deb 34 SHA256:00\n";
        assert_eq!(total(uris), 1234);
    }

    #[test]
    fn the_configuration_names_no_folder_of_the_machine() {
        let text = configuration(Path::new("/cache/apt"));
        assert!(text.contains("Dir::State::lists \"/cache/apt/lists\";"));
        assert!(!text.contains("/etc/apt"));
    }
}
