// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running guest, seen from the host.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::accel::{Attempt, Experience};
use super::attached::Attached;
use super::cache::{self, Cache, Lock};
use super::child::{self, Ending, Group};
use super::initramfs::{Archive, Job, Order};
use super::protocol::{Counters, Message};
use super::qemu::{self, Engine, Files, Qemu};
use super::{
    device_tree, error::LabError, kernel::Kernel, layout, options::Options, prepare::Prepared, progress::Progress,
};
use crate::host::facts::LAB_JOB;

/// Lines of the console that come with a guest's death: a panic with its registers and trace, twice over.
const TAIL: usize = 120;

/// How many bytes of the console are kept of one case.
const MOST_OF_CONSOLE: u64 = 256 << 10;

/// How many guests may die while they boot before that is an error.
const MOST_DEATHS_BOOTING: u32 = 2;

enum NotAlive {
    Silent(String),
    Died(String),
}

const IN_USE: &str = "in-use";
/// The socket of an attachable guest's console.
const SOCKET: &str = "console";

/// A booted guest that has spoken; killed when dropped, and by the kernel if this process or the thread that booted it ends.
#[derive(Debug)]
pub struct Guest {
    qemu: Group,
    lines: Receiver<String>,
    folder: RunFolder,
    description: String,
    counters: Vec<Counters>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A line that the command wrote to [`JOURNAL_PORT`](super::JOURNAL_PORT), without its end.
    Line(String),
    /// The command has ended; nothing follows.
    Finished {
        /// Its exit code; 128 and the signal's number if a signal ended it.
        code: u8,
    },
    /// The guest has ended before its command did; nothing follows.
    Died {
        /// The end of its console, with the panic's text if it was one.
        console_tail: String,
    },
    /// The kernel's counters are coming.
    Counted,
    TimedOut,
}

impl Guest {
    /// Boots, and returns when the guest's user space runs. The thread that calls this must live as long as the guest.
    ///
    /// With `--accel auto` a guest that KVM leaves silent is booted again under software emulation, and the next run on
    /// this machine starts with that.
    pub fn boot(prepared: &Prepared, job: &Job, interrupt: &AtomicBool) -> Result<Self, LabError> {
        let Prepared { options, cache, kernel, qemu, program, progress, .. } = prepared;
        let folder = RunFolder::create(cache, *progress, interrupt)?;
        let initramfs = folder.path("initramfs.cpio");
        write(&initramfs, &pack(program, job, kernel, false)?)?;

        let experience = Experience::new(&qemu.version);
        let attempts = experience.attempts(options.accel, options.machine.arch(), cache)?;
        cache::create(&qemu::told_folder(&folder.path("")))?;
        let (console, errors) = (folder.path("console.log"), folder.path("qemu.log"));
        let socket = folder.path(SOCKET);
        let mut kvm_failed = false;
        let mut died_booting = 0;
        let mut at = 0;
        while let Some(Attempt { engine, patience }) = attempts.get(at).copied() {
            let files = Files {
                image: &kernel.image,
                initramfs: &initramfs,
                folder: &folder.path(""),
                console: Some(&console),
                socket: job.attachable.then_some(socket.as_path()),
                crowded: job.crowded,
            };
            write_parts(options, qemu, engine, files.folder)?;
            let arguments = qemu::arguments(options, engine, &qemu.version, &files);
            write(&folder.path("command"), qemu::as_line(&qemu.program, &arguments).as_bytes())?;
            let (group, lines) = start(&qemu.program, &arguments, &errors)?;
            let description = options.describe(&qemu.version, engine.name(), &kernel.name);
            let mut guest = Self { qemu: group, lines, folder: folder.clone(), description, counters: Vec::new() };
            match guest.wait_alive(patience, interrupt)? {
                None => {
                    if kvm_failed {
                        experience.kvm_is_no_use(cache);
                    }
                    // QEMU has read it; a later run of the same command packs it again.
                    let _ = cache::remove(&initramfs);
                    return Ok(guest);
                }
                // Software emulation on a busy host is no fair test of a kernel's patience with its timers.
                Some(NotAlive::Died(_)) if engine == Engine::Tcg && died_booting < MOST_DEATHS_BOOTING => {
                    died_booting += 1;
                    progress.say("the guest died while it booted; trying again");
                }
                Some(_) if at + 1 < attempts.len() => {
                    kvm_failed = true;
                    at += 1;
                    progress.say("/dev/kvm opens, but its guest does not answer: from now on with software emulation (--accel kvm insists)");
                }
                Some(NotAlive::Silent(why) | NotAlive::Died(why)) => {
                    return Err(LabError::new(format!("failed to boot the guest: {why}"))
                        .detail(guest.last_words())
                        .help(format!("the console and QEMU's command line are in {}", folder.root.display())));
                }
            }
        }
        Err(LabError::new("failed to boot the guest: no way to execute it")) // Never: there is at least one attempt.
    }

    pub fn next_line(&mut self, timeout: Duration) -> Next {
        let message = match self.lines.recv_timeout(timeout) {
            Ok(line) => Message::parse(&line),
            Err(RecvTimeoutError::Timeout) => return Next::TimedOut,
            Err(RecvTimeoutError::Disconnected) => return self.died(""),
        };
        match message {
            Message::Line(line) => Next::Line(line),
            Message::Alive => Next::TimedOut,
            Message::Counted(counters) => {
                self.counters.push(counters);
                Next::Counted
            }
            Message::Exit(code) => {
                // Nobody waits for the guest to power off.
                self.qemu.kill();
                Next::Finished { code }
            }
            Message::Failed(what) => self.died(&what),
        }
    }

    /// Gives the console of an attachable guest ([`Job::attachable`]) to this process's standard input and output, until the value is dropped.
    /// Ctrl-A X sets `leave`.
    ///
    /// # Errors
    /// The console cannot be had.
    pub fn attach(&self, leave: Arc<AtomicBool>) -> io::Result<Attached> {
        Attached::to(&self.folder.path(SOCKET), leave)
    }

    /// The lab in one line, for [`RunStarted::lab`](crate::event::RunStarted::lab).
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What the kernel counted, once the command has ended; nothing if it does not count.
    pub fn counters(&mut self) -> Vec<Counters> {
        std::mem::take(&mut self.counters)
    }

    /// The file with the guest's console; it stays until the next run.
    pub fn console(&self) -> PathBuf {
        self.folder.path("console.log")
    }

    /// How many bytes the guest has written to its console.
    pub fn console_length(&self) -> u64 {
        fs::metadata(self.console()).map_or(0, |file| file.len())
    }

    /// The lines of the console behind this many bytes, the last ones if they are many.
    pub fn console_since(&self, length: u64) -> Vec<String> {
        let mut bytes = Vec::new();
        let read = fs::File::open(self.console()).and_then(|mut file| {
            file.seek(SeekFrom::Start(length.max(self.console_length().saturating_sub(MOST_OF_CONSOLE))))?;
            file.read_to_end(&mut bytes)
        });
        // What is not there is not shown.
        let _ = read;
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    fn died(&mut self, what: &str) -> Next {
        self.qemu.kill();
        let words = self.last_words();
        Next::Died { console_tail: if what.is_empty() { words } else { format!("{what}\n{words}") } }
    }

    /// `None` when the guest's user space runs, else what happened instead.
    fn wait_alive(&mut self, patience: Duration, interrupt: &AtomicBool) -> Result<Option<NotAlive>, LabError> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if interrupt.load(Ordering::Relaxed) {
                return Err(LabError::interrupted("booting the guest"));
            }
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => match Message::parse(&line) {
                    Message::Alive => return Ok(None),
                    Message::Failed(what) => return Ok(Some(NotAlive::Died(what))),
                    _ => {}
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.qemu.kill();
                    return Ok(Some(NotAlive::Died("it ended before its user space ran".into())));
                }
            }
        }
        self.qemu.kill();
        Ok(Some(NotAlive::Silent(format!("it said nothing for {} s", patience.as_secs()))))
    }

    pub fn last_words(&self) -> String {
        let qemu = cache::tail(&self.folder.path("qemu.log"), 20);
        let console = cache::tail(&self.console(), TAIL).replace('\r', "");
        [qemu, console].into_iter().filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// Writes a file of a run, which nobody else reads meanwhile.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    fs::write(path, bytes).map_err(|error| LabError::io("write", path, &error))
}

/// Where the kernel's modules are in the guest.
const MODULES: &str = "/vfiospec/modules";

/// The guest's files: its program as init, the kernel's modules, and the job; `shell`: whether a person is to have the console.
pub(super) fn pack(program: &Path, job: &Job, kernel: &Kernel, shell: bool) -> Result<Vec<u8>, LabError> {
    let program = fs::read(program).map_err(|error| LabError::io("read", program, &error))?;
    static_program(&program)?;
    let mut archive = Archive::new();
    archive.program("init", &program);
    let mut modules = Vec::new();
    for module in &kernel.modules {
        let bytes = fs::read(module).map_err(|error| LabError::io("read", module, &error))?;
        let inside = Path::new(MODULES).join(module.file_name().unwrap_or_default());
        archive.data(&inside.to_string_lossy(), &bytes);
        modules.push(inside);
    }
    let order =
        Order { argv: job.argv.clone(), env: job.env.clone(), shell, modules, counted: kernel.counted.is_some() };
    let order =
        serde_json::to_vec(&order).map_err(|error| LabError::new(format!("failed to write the job: {error}")))?;
    archive.data(LAB_JOB, &order);
    for (path, bytes) in &job.files {
        archive.data(&path.to_string_lossy(), bytes);
    }
    for (path, bytes) in &job.programs {
        archive.program(&path.to_string_lossy(), bytes);
    }
    Ok(archive.finish())
}

/// A dynamic program cannot be init: there is no loader in the guest.
fn static_program(elf: &[u8]) -> Result<(), LabError> {
    if is_dynamic(elf) {
        return Err(LabError::new("failed to pack this program for the guest: it is linked dynamically")
            .help("build it with `-C target-feature=+crt-static`, as the repository's .cargo/config.toml does"));
    }
    Ok(())
}

/// Whether a 64-bit little-endian ELF file names a loader (`PT_INTERP`, 3), which no guest has.
pub fn is_dynamic(elf: &[u8]) -> bool {
    let number = |at: usize, size: usize| -> usize {
        elf.get(at..at + size)
            .map_or(0, |bytes| bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    };
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|at| number(offset.saturating_add(at * size), 4) == 3)
}

fn start(program: &Path, arguments: &[String], errors: &Path) -> Result<(Group, Receiver<String>), LabError> {
    let log = fs::File::create(errors).map_err(|error| LabError::io("create", errors, &error))?;
    let mut command = child::command(&program.to_string_lossy(), Ending::Killed);
    let spawned = command.args(arguments).stdout(Stdio::piped()).stderr(log).spawn();
    let mut group =
        Group::new(spawned.map_err(|error| LabError::new(format!("failed to start {}: {error}", program.display())))?);
    let (sender, lines) = mpsc::channel();
    if let Some(output) = group.0.stdout.take() {
        std::thread::spawn(move || forward(output, &sender));
    }
    Ok((group, lines))
}

/// Whole lines only: half a line is what a dying guest did not finish.
fn forward(output: ChildStdout, sender: &mpsc::Sender<String>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) && line.ends_with(b"\n") {
        let text = String::from_utf8_lossy(&line[..line.len() - 1]).into_owned();
        if sender.send(text).is_err() {
            return;
        }
        line.clear();
    }
}

/// Writes what QEMU reads from files of the run's folder: ROMs of devices, and the device tree where there are two IOMMUs.
pub(super) fn write_parts(options: &Options, qemu: &Qemu, engine: Engine, folder: &Path) -> Result<(), LabError> {
    for (file, rom) in layout::roms(&layout::devices(&options.machine, &options.host_devices), folder) {
        write(&file, &rom)?;
    }
    if !options.machine.has_second_iommu() {
        return Ok(());
    }
    let tree = qemu::tree(qemu, options, engine, folder)?;
    let tree = device_tree::with_second_iommu(&tree).ok_or_else(|| {
        LabError::new("failed to put a second IOMMU into QEMU's device tree")
            .detail(format!("QEMU {} describes its machine otherwise than 11.1 does", qemu.version))
    })?;
    write(&qemu::tree_file(folder), &tree)
}

/// The folder of one guest's console and command line; those of guests that have ended go when the next begins.
///
/// It is known to be in use by a lock and not by a process's number: two containers that share the cache may have the same numbers.
#[derive(Debug, Clone)]
pub(super) struct RunFolder {
    root: PathBuf,
    _in_use: Arc<Lock>,
}

impl RunFolder {
    pub fn create(cache: &Cache, progress: Progress, interrupt: &AtomicBool) -> Result<Self, LabError> {
        // The guests of one run wait for each other without a word about another vfiospec.
        static OURS: Mutex<()> = Mutex::new(());
        let _ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody clears away a folder that is not locked yet.
        let _alone = cache.lock("runs", progress, interrupt)?;
        let runs = cache.folder("runs")?;
        for run in fs::read_dir(&runs).into_iter().flatten().flatten() {
            // Versions without locks named it after their process.
            let lock = run.path().join(IN_USE);
            let of_a_process = !lock.exists() && Path::new("/proc").join(run.file_name()).exists();
            if !of_a_process && Lock::try_on(&lock).is_some() {
                let _ = cache::remove(&run.path());
            }
        }
        let pid = std::process::id();
        let numbered = (1u32..).map(|number| runs.join(format!("{pid}-{number}")));
        let free = [runs.join(pid.to_string())].into_iter().chain(numbered).find(|folder| !folder.exists());
        let root = free.expect("there are more numbers than folders");
        cache::create(&root)?;
        let in_use = Lock::try_on(&root.join(IN_USE));
        let in_use = in_use.ok_or_else(|| LabError::new(format!("failed to lock the folder {}", root.display())))?;
        Ok(Self { root, _in_use: Arc::new(in_use) })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_runs_this_test_could_be_init() {
        let job = Job { files: vec![("/scenarios/a.yaml".into(), b"name: a".to_vec())], ..Job::default() };
        let program = std::env::current_exe().unwrap();
        let kernel = Kernel { name: String::new(), image: PathBuf::new(), modules: Vec::new(), counted: None };
        let archive = pack(&program, &job, &kernel, false).unwrap();
        assert!(archive.starts_with(b"070701"));
        assert!(archive.windows(7).any(|bytes| bytes == b"name: a"));
    }

    #[test]
    fn a_dynamic_program_is_told_from_a_static_one() {
        let mut elf = vec![0; 64 + 2 * 56];
        (elf[32], elf[54], elf[56]) = (64, 56, 2);
        elf[64] = 1;
        assert!(!is_dynamic(&elf));
        elf[64 + 56] = 3;
        assert!(is_dynamic(&elf));
        assert!(!is_dynamic(b"#!/bin/sh"));
    }

    #[test]
    fn the_folder_of_a_run_stays_while_it_goes_on_and_until_the_next_begins() {
        let cache = cache::tests::scratch("runs");
        let create = || RunFolder::create(&cache, Progress::Quiet, &AtomicBool::new(false)).unwrap();
        cache.folder("runs/4194305").unwrap(); // As a version without locks left it.
        let (one, other) = (create(), create());
        assert_ne!(one.root, other.root);
        assert!(one.root.exists() && other.root.exists() && !cache.path("runs/4194305").exists());
        let console = one.path("console.log");
        fs::write(&console, "the last words").unwrap();
        drop(one);
        assert!(console.exists());
        create();
        assert!(!console.exists() && other.root.exists());
        cache::remove(&cache.path("")).unwrap();
    }
}
