//! `vfiospec lab exec`: a program of the user's own in the guest; and `vfiospec inside`, its part in there.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use clap::Args as ClapArgs;
use serde::{Deserialize, Serialize};

use super::{
    devices::{self, Named},
    guests::{TICK, indent},
    interrupt,
    lab::{Choice, Stop},
};
use crate::{
    lab::{self, Guest, JOURNAL_PORT, Job, LabError, Next},
    model::Exit,
};

/// The folder in the guest that everything is added to, and that the command starts in.
const WORK: &str = "/work";
/// How often the guest tells that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How long it may tell nothing before it counts as hung.
const SILENCE: Duration = Duration::from_secs(120);
/// How long the command's output is waited for after the command has ended.
const GRACE: Duration = Duration::from_secs(1);

/// Run a program of your own in the lab's guest
///
/// The devices are bound to vfio-pci, and the program starts in /work of the guest, where everything is that --add names; so is the
/// program itself where COMMAND is a file of this machine. Its output comes to this terminal, and its exit code is passed on. DEVICE is set
/// to the address of the first device, DEVICES to those of all. There is no loader in the guest: link programs statically. For scripts and
/// for a COMMAND that is no file of this machine, such as `sh -c '…'`, Debian's busybox is there; and so is `vfiospec` itself.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A file or a folder to put into /work of the guest; may be given several times
    #[arg(long, value_name = "PATH")]
    add: Vec<PathBuf>,

    #[command(flatten)]
    choice: Choice,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The part of `lab exec` that runs in the guest
#[derive(Debug, ClapArgs)]
pub struct Inside {
    #[arg(long = "device", value_name = "NAME=ADDRESS")]
    devices: Vec<Named>,

    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// What the guest tells, a line of JSON each. Each character of a text is one byte, which may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// The devices are bound.
    Started,
    /// The guest is there.
    Alive,
    Out(String),
    Err(String),
}

impl Said {
    fn bytes(stream: fn(String) -> Said, bytes: &[u8]) -> Said {
        stream(bytes.iter().copied().map(char::from).collect())
    }

    fn print(&self) -> io::Result<()> {
        let bytes = |text: &str| text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect::<Vec<_>>();
        match self {
            Said::Started | Said::Alive => Ok(()),
            Said::Out(text) => {
                let mut out = io::stdout().lock();
                out.write_all(&bytes(text)).and_then(|()| out.flush())
            }
            Said::Err(text) => io::stderr().write_all(&bytes(text)),
        }
    }
}

/// Runs the command in a guest and gives its exit code.
pub fn main(args: &Args) -> Result<u8, Stop> {
    let mut job = job(args)?;
    let interrupt = interrupt::flag();
    let prepared = args.choice.prepare(&interrupt)?;
    if needs_busybox(args, &job) {
        job.programs.push(("/bin/busybox".into(), lab::busybox(&prepared, &interrupt)?));
    }
    let mut guest = Guest::boot(&prepared, &job, &interrupt)?;
    let mut started = false;
    let mut heard = Instant::now();
    loop {
        match guest.next_line(TICK) {
            Next::Line(line) => match serde_json::from_str::<Said>(&line) {
                Ok(said) => {
                    started = true;
                    heard = Instant::now();
                    if said.print().is_err() {
                        return Ok(Exit::ReportNotWritten as u8); // nobody reads it any more
                    }
                }
                Err(error) => {
                    return Err(LabError::new(format!("failed to understand the guest: {error}: {line}")).into());
                }
            },
            Next::Finished { code } => {
                if !started {
                    eprintln!(
                        "vfiospec: the command was not started; the guest says:\n{}",
                        indent(&guest.last_words())
                    );
                }
                return Ok(code);
            }
            Next::Died { console_tail } => {
                eprintln!("vfiospec: the guest died; its console says:\n{}", indent(&console_tail));
                return Ok(Exit::NoVerdict as u8);
            }
            Next::TimedOut if heard.elapsed() > SILENCE => {
                let seconds = heard.elapsed().as_secs();
                eprintln!(
                    "vfiospec: nothing was heard of the guest for {seconds} s; its console says:\n{}",
                    indent(&guest.last_words())
                );
                return Ok(Exit::NoVerdict as u8);
            }
            Next::TimedOut => {}
        }
        if interrupt.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted as u8);
        }
    }
}

/// The guest's files and its command line.
fn job(args: &Args) -> Result<Job, LabError> {
    let mut job = Job { argv: vec!["inside".into()], ..Job::default() };
    for model in args.choice.models() {
        job.argv.extend(["--device".to_owned(), format!("{}={}", model.name(), model.bdf())]);
    }
    for path in &args.add {
        add(&mut job, path, &Path::new(WORK).join(file_name(path)?))?;
    }
    let mut command = args.command.clone();
    let program = Path::new(&command[0]);
    if command[0].contains('/') && program.is_file() {
        let inside = Path::new(WORK).join(file_name(program)?);
        job.files.retain(|(path, _)| *path != inside);
        job.programs.retain(|(path, _)| *path != inside);
        let bytes = fs::read(program).map_err(|error| LabError::io("read", program, &error))?;
        if lab::is_dynamic(&bytes) {
            return Err(LabError::usage(format!(
                "failed to take {} into the guest: it is linked dynamically",
                command[0]
            ))
            .detail("there is no loader in the guest")
            .help("link it statically, with gcc -static or -C target-feature=+crt-static"));
        }
        job.programs.push((inside.clone(), bytes));
        command[0] = inside.to_string_lossy().into_owned();
    }
    job.argv.push("--".to_owned());
    job.argv.extend(command);
    Ok(job)
}

fn file_name(path: &Path) -> Result<PathBuf, LabError> {
    let whole = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let name = whole.file_name().map(PathBuf::from);
    // The name that the user gave, where it is one: a link's own and not that of what it leads to.
    let name = path.file_name().map(PathBuf::from).or(name);
    name.ok_or_else(|| LabError::usage(format!("failed to add {}: it has no name", path.display())))
}

fn unreadable(path: &Path, error: &io::Error) -> LabError {
    LabError::usage(format!("failed to add {}: {error}", path.display()))
        .help("name a file or a folder of this machine with --add, or a program behind `--`")
}

/// Adds a file, or a folder with all that is in it; links within it are left out, as they may lead anywhere.
fn add(job: &mut Job, path: &Path, inside: &Path) -> Result<(), LabError> {
    let failed = |error: io::Error| unreadable(path, &error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let mut entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if !entry.file_type().map_err(failed)?.is_symlink() {
                add(job, &entry.path(), &inside.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(LabError::usage(format!("failed to add {}: it is neither a file nor a folder", path.display())));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let files = if metadata.permissions().mode() & 0o111 == 0 { &mut job.files } else { &mut job.programs };
    files.push((inside.to_owned(), bytes));
    Ok(())
}

/// Whether something has to be found in the guest that only busybox has: the command itself, or a script's shell.
fn needs_busybox(args: &Args, job: &Job) -> bool {
    let ours = |command: &str| command == "vfiospec" || command.starts_with(WORK) || Path::new(command).exists();
    !ours(&args.command[0]) || job.programs.iter().any(|(_, bytes)| bytes.starts_with(b"#!"))
}

/// Runs the command in the guest: binds the devices, passes on what it says, and gives its exit code.
pub fn inside(args: &Inside) -> u8 {
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vfiospec: failed to run the command: {error}");
            Exit::NoVerdict as u8
        }
    }
}

fn run(args: &Inside) -> io::Result<u8> {
    let _devices = match devices::bind(&args.devices) {
        Ok(devices) => devices,
        Err(error) => return Ok(devices::not_bound(&error) as u8),
    };
    let mut port = fs::OpenOptions::new().write(true).open(JOURNAL_PORT)?;
    tell(&mut port, &Said::Started)?;
    fs::create_dir_all("/bin")?;
    symlink("/init", "/bin/vfiospec")?;
    if Path::new("/bin/busybox").exists() {
        Command::new("/bin/busybox").args(["--install", "-s", "/bin"]).status()?;
    }
    fs::create_dir_all(WORK)?;

    let addresses: Vec<String> = args.devices.iter().map(|device| device.bdf().to_string()).collect();
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).current_dir(WORK).stdin(Stdio::null());
    command.env("DEVICES", addresses.join(" ")).env("DEVICE", addresses.first().map_or("", String::as_str));
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let text = format!("vfiospec: failed to start {} in the guest: {error}\n", args.command[0]);
            tell(&mut port, &Said::bytes(Said::Err, text.as_bytes()))?;
            return Ok(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }); // as a shell says it
        }
    };
    let (sender, said) = mpsc::channel();
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        read(out, Said::Out, sender.clone());
        read(err, Said::Err, sender);
    }
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut beat = Instant::now();
    loop {
        if beat.elapsed() > BEAT {
            beat = Instant::now();
            tell(&mut port, &Said::Alive)?;
        }
        match said.recv_timeout(Duration::from_millis(20)) {
            Ok(said) => tell(&mut port, &said)?,
            Err(RecvTimeoutError::Disconnected) => break,
            // Something that it left in the background may hold its output open for ever.
            Err(RecvTimeoutError::Timeout) if ended.is_some_and(|(_, at)| at.elapsed() > GRACE) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait()?,
    };
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(Exit::Bug as i32);
    Ok(u8::try_from(code).unwrap_or(Exit::Bug as u8))
}

fn tell(port: &mut File, said: &Said) -> io::Result<()> {
    port.write_all(format!("{}\n", serde_json::to_string(said)?).as_bytes())
}

/// Sends what a stream brings until it ends.
fn read(mut from: impl Read + Send + 'static, stream: fn(String) -> Said, to: mpsc::Sender<Said>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        while let Ok(count) = from.read(&mut bytes) {
            if count == 0 || to.send(Said::bytes(stream, &bytes[..count])).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_the_way_out_of_the_guest() {
        let all: Vec<u8> = (0..=255).collect();
        let line = serde_json::to_string(&Said::bytes(Said::Out, &all)).unwrap();
        assert!(!line.contains('\n'));
        let Ok(Said::Out(text)) = serde_json::from_str(&line) else { panic!("{line}") };
        assert_eq!(text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_folder_is_added_with_the_right_to_execute_and_without_links() {
        let folder = std::env::temp_dir().join(format!("vfiospec-exec-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("data"), "1").unwrap();
        fs::write(folder.join("below/run"), "#!/bin/sh").unwrap();
        fs::set_permissions(folder.join("below/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/etc/passwd", folder.join("link")).unwrap();
        let mut job = Job::default();
        add(&mut job, &folder, Path::new("/work/a")).unwrap();
        assert_eq!(job.files, [("/work/a/data".into(), b"1".to_vec())]);
        assert_eq!(job.programs, [("/work/a/below/run".into(), b"#!/bin/sh".to_vec())]);
        fs::remove_dir_all(folder).unwrap();
    }
}
