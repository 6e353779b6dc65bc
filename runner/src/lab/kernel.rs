// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's kernel: built once from source and configuration, then found in the cache.

use std::path::{Path, PathBuf};
use std::{collections::HashSet, fs, process::Command, sync::atomic::AtomicBool};

use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::options::{KernelChoice, KernelOption};
use super::source::{self, Source};
use super::{arch::HOST, error::LabError, mock, progress::Progress, tools, version::Version};
use crate::language::{Arch, LARGE_PAGES, Machine};
use crate::model::{Exit, fingerprint};

/// Options on top of `allnoconfig`, beside those of the architecture; everything is built in.
const OPTIONS: &str = include_str!("kernel.config");

/// Options beside these for a kernel that looks for its own mistakes.
const DEBUG: &str = include_str!("debug.config");

/// A further option, for larger pages, which only arm64 has.
const PAGES_OF_64_KIB: &str = "CONFIG_ARM64_64K_PAGES=y";

/// Further options for a kernel that counts which of its lines run.
const COVERAGE: &str = include_str!("coverage.config");

/// What `make` is told so that it counts in these folders and what is below them, and in no others: the source stays as it is. The mock devices
/// are a part of the tests, and not of what they test.
const COUNTED: [&str; 4] = [
    "GCOV_PROFILE=$(if $(filter drivers/vfio drivers/vfio/% drivers/iommu drivers/iommu/%,$(obj)),y)",
    "GCOV_PROFILE_selftest.o=n",
    "GCOV_PROFILE_vfio_mock.o=n",
    "GCOV_PROFILE_mock_capabilities.o=n",
];

/// Lines that the build of Linux 7.3.4 prints; later builds use what the last one printed.
const LINES: u64 = 1865;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    /// The source package's version, or the image's path.
    pub name: String,
    pub image: PathBuf,
    /// The modules that the guest loads, in this order; the lab's own kernels have none.
    pub modules: Vec<PathBuf>,
    /// What it was built from, if it counts which of its lines run.
    pub counted: Option<Counted>,
}

/// What explains the counters of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    pub source: PathBuf,
    /// Where its objects are, and beside each what its compiler noted of the lines (`.gcno`).
    pub objects: PathBuf,
    pub arch: Arch,
}

pub(super) fn own(path: &Path) -> Result<Kernel, LabError> {
    let image = path
        .canonicalize()
        .map_err(|error| LabError { exit: Exit::Usage, ..LabError::io("find the kernel image", path, &error) })?;
    Ok(Kernel { name: image.display().to_string(), image, modules: Vec::new(), counted: None })
}

/// The newest kernel in the cache with today's configuration and these options that is what was asked for.
pub(super) fn cached(cache: &Cache, choice: &KernelChoice, fragment: &Fragment) -> Option<Kernel> {
    let suffix = format!("-{}", fragment.hash());
    let folders = fs::read_dir(cache.path("kernels")).ok()?.flatten();
    let kernels = folders.filter_map(|folder| {
        let version: Version = fs::read_to_string(folder.path().join("version")).ok()?.parse().ok()?;
        let finished = folder.file_name().to_string_lossy() == format!("{}{suffix}", version.file_name());
        (finished && source::chosen(choice, &version)).then(|| (version, folder.path()))
    });
    let (version, folder) = kernels.max_by(|a, b| a.0.cmp(&b.0))?;
    Some(finished(cache, &version, fragment, &folder))
}

/// What the kernel is configured with.
#[derive(Debug, Clone)]
pub(super) struct Fragment {
    pub text: String,
    pub arch: Arch,
    options: Vec<KernelOption>,
    checks: Checks,
}

/// What a kernel is built to do beside its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Checks {
    /// It looks for its own mistakes.
    pub debug: bool,
    /// It counts which of its lines run.
    pub coverage: bool,
}

impl Fragment {
    /// The lab's configuration for this machine, with these options in place of its own.
    pub fn new(machine: &Machine, options: &[KernelOption], checks: Checks) -> Self {
        let arch = machine.arch();
        let pages = if machine.page_size == Some(LARGE_PAGES) { PAGES_OF_64_KIB } else { "" };
        let more = [(checks.debug, DEBUG), (checks.coverage, COVERAGE)].into_iter().filter(|(wanted, _)| *wanted);
        let more = more.flat_map(|(_, text)| text.lines());
        let all = OPTIONS.lines().chain(arch.row().options.lines()).chain(pages.lines()).chain(more);
        let kept = all.filter(|line| {
            let symbol = symbol(line);
            !options.iter().any(|option| symbol == Some(option.symbol()))
        });
        let all = kept.map(str::to_owned).chain(options.iter().map(KernelOption::line));
        Self { text: all.map(|line| line + "\n").collect(), arch, options: options.to_vec(), checks }
    }

    /// What is special about it, behind a kernel's name.
    pub fn words(&self) -> String {
        let Checks { debug, coverage } = self.checks;
        let words = [(debug, " --debug"), (coverage, " --coverage")].into_iter().filter(|(there, _)| *there);
        let words = words.map(|(_, word)| word.to_owned());
        words.chain(self.options.iter().map(|option| format!(" {option}"))).collect()
    }

    /// What is in the name of a kernel's folder.
    fn hash(&self) -> String {
        let files = mock::FILES.iter().map(|(_, text)| *text);
        hash(&[self.text.as_str()].into_iter().chain(files).collect::<String>())
    }

    /// What explains the counters of a kernel that was built so.
    pub fn counted(&self, source: &Path, objects: &Path) -> Option<Counted> {
        let counted = || Counted { source: source.to_owned(), objects: objects.to_owned(), arch: self.arch };
        self.checks.coverage.then(counted)
    }
}

/// The option that a line of a configuration is about.
fn symbol(line: &str) -> Option<&str> {
    line.split([' ', '=']).find(|word| word.starts_with("CONFIG_"))
}

fn finished(cache: &Cache, version: &Version, fragment: &Fragment, folder: &Path) -> Kernel {
    let name = format!("{version}{}", fragment.words());
    let counted = fragment.counted(&source::tree(cache, version), &folder.join("build"));
    Kernel { name, image: folder.join(fragment.arch.row().image), modules: Vec::new(), counted }
}

/// Builds the kernel; the objects and the source stay for incremental builds.
///
/// The programs that build it are in the folders of `tools`. An interrupted build goes on where it was: its folder gets its final name only when all is there.
pub(super) fn build(
    cache: &Cache,
    source: &Source,
    tools: &[PathBuf],
    fragment: &Fragment,
    progress: Progress,
    interrupt: &AtomicBool,
) -> Result<Kernel, LabError> {
    let name = format!("{}-{}", source.version.file_name(), fragment.hash());
    let folder = cache.path("kernels").join(&name);
    let building = cache.folder(format!("kernels/{name}.building"))?;
    let objects = building.join("build");

    let version = &source.version;
    mock::add(&source.tree, version)?;
    let seeded = seed(cache, version, fragment, &objects, interrupt)?;
    cache::create(&objects)?;
    let takes = if seeded {
        "from an earlier build, with other options"
    } else {
        "this takes minutes, and only the first time"
    };
    progress.say(&format!("building Linux {version}; {takes}"));
    Build { tree: &source.tree, tools, objects: &objects, folder: &building, cache, progress, interrupt }
        .make(&format!("Linux {version}"), fragment)?;

    let keep = |from: &Path, name: &str| {
        fs::copy(from, building.join(name)).map(drop).map_err(|error| LabError::io("copy", from, &error))
    };
    let row = fragment.arch.row();
    keep(&objects.join(row.image_file), row.image)?;
    keep(&objects.join(".config"), "config")?;
    cache::write(&building.join("version"), version.as_str().as_bytes())?;
    cache::remove(&folder)?;
    fs::rename(&building, &folder).map_err(|error| LabError::io("rename", &building, &error))?;
    moved(&objects, &folder.join("build"))?;
    Ok(finished(cache, version, fragment, &folder))
}

/// A build of a source tree outside of it.
pub(super) struct Build<'a> {
    pub tree: &'a Path,
    /// The folders of the programs that build it.
    pub tools: &'a [PathBuf],
    pub objects: &'a Path,
    /// Where the configuration and the log of the build are.
    pub folder: &'a Path,
    pub cache: &'a Cache,
    pub progress: Progress,
    pub interrupt: &'a AtomicBool,
}

impl Build<'_> {
    /// Configures and builds what changed; `what` is for people. Returns the release, as `uname -r` has it.
    pub fn make(&self, what: &str, fragment: &Fragment) -> Result<String, LabError> {
        let Self { cache, progress, interrupt, .. } = self;
        let arch = fragment.arch;
        let log = self.folder.join("log");
        let _ = fs::remove_file(&log);
        let said = self.folder.join("fragment");
        cache::write(&said, fragment.text.as_bytes())?;
        let runner = |doing| Runner { doing, interrupt, ending: Ending::Killed, log: Some(&log) };
        let mut configure = self.command(fragment, "allnoconfig");
        configure.arg(format!("KCONFIG_ALLCONFIG={}", said.display()));
        runner("configuring the kernel").succeed(configure, |_| {})?;
        self.check(what, fragment)?;

        let known = if arch == HOST.arch { "build-lines".to_owned() } else { format!("build-lines-{}", arch.as_str()) };
        let expected = cache.recall(&known).and_then(|lines| lines.parse().ok()).unwrap_or(LINES);
        let mut lines = 0;
        let mut bar = progress.bar(&format!("building {what}"), expected);
        runner("building the kernel").succeed(self.command(fragment, arch.row().image), |line| {
            if line.is_some_and(|line| line.starts_with("  ")) {
                lines += 1;
                bar.set(lines);
            }
        })?;
        drop(bar);
        if lines > LINES / 2 {
            cache.learn(&known, &lines.to_string());
        }
        let release = self.objects.join("include/config/kernel.release");
        let text = fs::read_to_string(&release).map_err(|error| LabError::io("read", &release, &error))?;
        Ok(text.trim().to_owned())
    }

    /// Fails if an option of the user's did not take effect, and says which of the lab's did not: an older kernel does not have them all.
    fn check(&self, what: &str, fragment: &Fragment) -> Result<(), LabError> {
        let config = self.objects.join(".config");
        let config = fs::read_to_string(&config).map_err(|error| LabError::io("read", &config, &error))?;
        let lacks = lacks(&fragment.text, &config);
        if let Some(option) = fragment.options.iter().find(|option| lacks.contains(&option.line())) {
            return Err(LabError::usage(format!("failed to configure {what} with {option}: that has no effect"))
                .detail("the option is not known there, or others that it depends on or conflicts with are not as it needs them")
                .help(format!(
                    "see its `depends on` in {}, and set those with --kernel-config too",
                    self.tree.join("**/Kconfig").display()
                )));
        }
        // Where there is an image, this was said before.
        if !lacks.is_empty() && !self.objects.join(fragment.arch.row().image_file).exists() {
            self.progress.say(&format!("{what} does without {}", lacks.join(", ")));
        }
        Ok(())
    }

    fn command(&self, fragment: &Fragment, target: &str) -> Command {
        let Self { tree, tools, objects, .. } = self;
        let arch = fragment.arch;
        let jobs = std::thread::available_parallelism().map_or(1, |jobs| jobs.get());
        let mut make = child::command("make", Ending::Killed);
        make.arg("-C").arg(tree).arg(format!("O={}", objects.display())).arg(format!("-j{jobs}")).arg(target);
        // The same kernel whoever builds it, and none of a person's own settings for other kernels.
        make.env("KBUILD_BUILD_USER", "vfiospec").env("KBUILD_BUILD_HOST", "lab").env("ARCH", arch.row().kernel);
        make.env("PATH", tools::path(tools));
        // Nothing is added to the version because of what git says of the tree, and the tree's scripts leave nothing in it.
        make.env("LOCALVERSION", "").env("PYTHONDONTWRITEBYTECODE", "1");
        // The entry that the lab boots x86's kernels by (PVH) compares strings before KASAN can take it.
        make.arg("KASAN_SANITIZE_string.o=n");
        if fragment.checks.coverage {
            make.args(COUNTED);
        }
        for variable in ["CROSS_COMPILE", "LLVM", "KBUILD_OUTPUT", "KCONFIG_CONFIG", "KCFLAGS", "CC"] {
            make.env_remove(variable);
        }
        if let Some(cross) = arch.row().cross {
            make.env("CROSS_COMPILE", cross.prefix);
        }
        make
    }
}

/// Begins with a copy of the objects of the most similar build of this version, where there is one: the kernel's build knows by
/// itself what other options change, so that minutes become seconds.
fn seed(
    cache: &Cache,
    version: &Version,
    fragment: &Fragment,
    objects: &Path,
    interrupt: &AtomicBool,
) -> Result<bool, LabError> {
    if objects.exists() {
        return Ok(false); // of this very build, which was interrupted
    }
    let row = fragment.arch.row();
    let wanted: HashSet<&str> = fragment.text.lines().collect();
    // These change nearly every object, and other options few.
    let checks = |lines: &HashSet<&str>| [DEBUG, COVERAGE].map(|text| text.lines().all(|line| lines.contains(line)));
    let folders = fs::read_dir(cache.path("kernels")).into_iter().flatten().flatten().map(|folder| folder.path());
    let earlier = folders.filter_map(|folder| {
        let text = fs::read_to_string(folder.join("version")).ok()?;
        let fragment = fs::read_to_string(folder.join("fragment")).ok()?;
        let lines: HashSet<&str> = fragment.lines().collect();
        let different = (checks(&lines) != checks(&wanted), lines.symmetric_difference(&wanted).count());
        let build = folder.join("build");
        let whole = build.join("arch").join(row.objects).exists() && build.join(row.image_file).exists();
        (text.trim() == version.as_str() && whole).then_some((different, folder))
    });
    let Some((_, earlier)) = earlier.min() else { return Ok(false) };
    // Beside first: half a copy must not be taken for the objects of an interrupted build.
    let beside = objects.with_extension("copying");
    cache::remove(&beside)?;
    let mut copy = child::command("cp", Ending::Killed);
    copy.args(["-a", "--reflink=auto"]).arg(earlier.join("build")).arg(&beside);
    let doing = "copying an earlier build";
    Runner { doing, interrupt, ending: Ending::Killed, log: None }.succeed(copy, |_| {})?;
    fs::rename(&beside, objects).map_err(|error| LabError::io("rename", &beside, &error))?;
    moved(&earlier.join("build"), objects)?;
    Ok(true)
}

/// Notes that the objects lie elsewhere now. The build of objtool, which everything depends on, knows its own by absolute paths, and
/// would begin anew.
fn moved(from: &Path, to: &Path) -> Result<(), LabError> {
    let (from, to_text) = (format!("{}/", from.display()), format!("{}/", to.display()));
    let mut folders = vec![to.join("tools")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "cmd") {
                let text = fs::read_to_string(&path).map_err(|error| LabError::io("read", &path, &error))?;
                fs::write(&path, text.replace(&from, &to_text))
                    .map_err(|error| LabError::io("write", &path, &error))?;
            }
        }
    }
    Ok(())
}

/// The fragment's lines that the finished configuration does not have.
fn lacks(fragment: &str, config: &str) -> Vec<String> {
    let has: HashSet<&str> = config.lines().collect();
    let unset = |line: &str| line.starts_with("# CONFIG_");
    let missing = fragment.lines().filter(|line| line.starts_with("CONFIG_") || unset(line));
    let missing = missing.filter(|line| !has.contains(line));
    // What is to be off is also off where the version does not know it.
    let missing = missing.filter(|line| {
        let assigned = symbol(line).map(|symbol| format!("{symbol}="));
        !unset(line) || assigned.is_some_and(|assigned| config.lines().any(|line| line.starts_with(&assigned)))
    });
    missing.map(str::to_owned).collect()
}

fn hash(text: &str) -> String {
    let hash = fingerprint(text.as_bytes());
    format!("{:08x}", hash >> 32 ^ hash & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Size;

    #[test]
    fn options_that_did_not_take_effect_are_named() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_D=y\n";
        let fragment = "# a comment\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\n";
        assert_eq!(lacks(fragment, config), ["CONFIG_B=y", "# CONFIG_D is not set"]);
    }

    #[test]
    fn type1_stays_type1() {
        assert!(OPTIONS.contains("CONFIG_VFIO_CONTAINER=y"));
        assert!(!OPTIONS.contains("CONFIG_IOMMUFD_VFIO_CONTAINER=y"));
    }

    #[test]
    fn an_option_takes_the_place_of_the_labs_own() {
        let options = ["VFIO_CONTAINER=n", "KASAN=y"].map(|text| text.parse().unwrap());
        let fragment = |options: &[KernelOption], debug| {
            Fragment::new(&Machine::default(), options, Checks { debug, ..Checks::default() })
        };
        let text = fragment(&options, false).text;
        assert!(text.ends_with("CONFIG_PVH=y\n# CONFIG_VFIO_CONTAINER is not set\nCONFIG_KASAN=y\n"), "{text}");
        assert!(!text.contains("CONFIG_VFIO_CONTAINER=y"));
        assert_eq!(fragment(&[], false).text, format!("{OPTIONS}{}", Arch::X86_64.row().options));
        assert_eq!(fragment(&options, false).words(), " VFIO_CONTAINER=n KASAN=y");
        let debug = fragment(&options[..1], true);
        assert!(debug.text.contains("\nCONFIG_PVH=y\nCONFIG_KASAN=y\n"), "{}", debug.text);
        assert_eq!(debug.words(), " --debug VFIO_CONTAINER=n");
        let coverage = Fragment::new(&Machine::default(), &[], Checks { coverage: true, ..Checks::default() });
        assert!(coverage.text.ends_with("CONFIG_GCOV_KERNEL=y\n"), "{}", coverage.text);
        assert_eq!(coverage.words(), " --coverage");
    }

    #[test]
    fn another_configuration_is_another_kernel() {
        assert_ne!(hash("CONFIG_A=y"), hash("CONFIG_A=n"));
        let of = |arch, page_size| {
            let machine = Machine { arch: Some(arch), page_size, ..Machine::default() };
            Fragment::new(&machine, &[], Checks::default()).hash()
        };
        assert_ne!(of(Arch::X86_64, None), of(Arch::Arm64, None));
        assert_ne!(of(Arch::Arm64, None), of(Arch::Arm64, Some(LARGE_PAGES)));
        assert_eq!(of(Arch::Arm64, None), of(Arch::Arm64, Some(Size(4 << 10))));
        assert_eq!(hash("").len(), 8);
    }

    #[test]
    fn a_build_begins_with_one_that_counts_if_it_counts_itself() {
        let cache = cache::tests::scratch("seed");
        let fragment = Fragment::new(&Machine::default(), &[], Checks { coverage: true, ..Checks::default() });
        let row = fragment.arch.row();
        // Each lacks one line: the first the one that changes all objects.
        for (name, lacks) in [("a", "CONFIG_GCOV_KERNEL=y\n"), ("b", "CONFIG_VFIO_MOCK=y\n")] {
            let folder = cache.folder(format!("kernels/{name}")).unwrap();
            let image = folder.join("build").join(row.image_file);
            for file in [folder.join("build/arch").join(row.objects).join("x"), image, folder.join("build").join(name)]
            {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            fs::write(folder.join("version"), "7.3.4-1").unwrap();
            assert!(fragment.text.contains(lacks));
            fs::write(folder.join("fragment"), fragment.text.replace(lacks, "")).unwrap();
        }
        let (version, objects) = ("7.3.4-1".parse().unwrap(), cache.path("kernels/new/build"));
        fs::create_dir_all(objects.parent().unwrap()).unwrap();
        assert!(seed(&cache, &version, &fragment, &objects, &AtomicBool::new(false)).unwrap());
        assert!(objects.join("b").exists() && !objects.join("a").exists());
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn objects_that_move_say_so_themselves() {
        let cache = cache::tests::scratch("moved");
        let folder = cache.folder("b/tools/objtool").unwrap();
        cache::write(&folder.join(".x.o.cmd"), b"gcc -o /k/a.building/build/tools/x.o /k/a.building/buildx").unwrap();
        moved(Path::new("/k/a.building/build"), &cache.path("b")).unwrap();
        let text = fs::read_to_string(folder.join(".x.o.cmd")).unwrap();
        assert_eq!(text, format!("gcc -o {}/tools/x.o /k/a.building/buildx", cache.path("b").display()));
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn an_unfinished_build_is_never_booted() {
        let cache = cache::tests::scratch("kernel");
        let fragment = Fragment::new(&Machine::default(), &[], Checks::default());
        let hash = fragment.hash();
        for name in [format!("7.3.4-1-{hash}"), format!("9.9-1-{hash}.building"), "8.0-1-00000000".into()] {
            let folder = cache.folder(format!("kernels/{name}")).unwrap();
            let version = name.split_once("-1-").unwrap().0;
            cache::write(&folder.join("version"), format!("{version}-1").as_bytes()).unwrap();
        }
        assert_eq!(cached(&cache, &KernelChoice::Newest, &fragment).unwrap().name, "7.3.4-1");
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn an_image_that_is_not_there_is_the_users_error() {
        assert_eq!(own(Path::new("/no/bzImage")).unwrap_err().exit, Exit::Usage);
    }
}
