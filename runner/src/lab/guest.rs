// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's side: what this program does as process 1 of the lab.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io::Write, os::unix::process::ExitStatusExt};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, wait};

use super::protocol::{Counters, JOURNAL_PORT, Message, PORT_NAME, TOLD_TAG};
use super::{arch, initramfs::Order, modules};
use crate::host::facts::{self, LAB_JOB, TOLD};

/// What is mounted where; debugfs shows the IOMMU's page tables.
const MOUNTS: [(&str, &str); 5] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("debugfs", "/sys/kernel/debug"), ("tmpfs", "/tmp")];

/// Whether this process is a lab guest's init, and not just the first process of some container.
pub fn is_guest_init() -> bool {
    std::process::id() == 1 && Path::new(LAB_JOB).exists()
}

/// What process 1 of a guest does: mounts, runs the job's command, tells the host, powers off.
pub fn guest_main() -> ! {
    if let Err(what) = work() {
        eprintln!("vfiospec init: {what}");
        // The host may be unable to hear it; then it reads the console.
        if let Ok(mut port) = open_port() {
            let _ = tell(&mut port, &Message::Failed(what));
        }
    }
    nix::unistd::sync();
    // With -no-reboot this ends QEMU, and faster than ACPI does.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn work() -> Result<(), String> {
    for (kind, target) in MOUNTS {
        mount_new(kind, target).map_err(|error| format!("failed to mount {kind} on {target}: {error}"))?;
    }
    let _ = fs::write("/proc/sys/kernel/hostname", "vfiospec-lab"); // A kernel without sysctl is just nameless.
    let order = fs::read(LAB_JOB).map_err(|error| format!("failed to read {LAB_JOB}: {error}"))?;
    let order: Order = serde_json::from_slice(&order).map_err(|error| format!("failed to read {LAB_JOB}: {error}"))?;
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    order.modules.iter().try_for_each(|module| modules::load(module, &command_line))?;
    mount_told();
    check_lockdown(&command_line)?;
    if order.shell {
        return shell(&order);
    }
    // One opener at a time: the port is closed while the command has it.
    tell(&mut open_port()?, &Message::Alive)?;
    let mut command = Command::new("/init");
    command.args(&order.argv).envs(order.env).env("PATH", "/bin").env("HOME", "/root").stdin(Stdio::null());
    let status = run(&mut command)?;
    let code = exit_code(status);
    let mut port = open_port()?;
    if let Some(signal) = status.signal() {
        eprintln!("vfiospec init: the command was ended by signal {signal}");
    }
    if order.counted {
        counters(Path::new(COUNTERS)).into_iter().try_for_each(|one| tell(&mut port, &Message::Counted(one)))?;
    }
    tell(&mut port, &Message::Exit(code))
}

/// Where the kernel shows what it counted (linux/Documentation/dev-tools/gcov.rst).
const COUNTERS: &str = "/sys/kernel/debug/gcov";

/// What the kernel counted in each object. The folders are those in which it was built, wherever that was.
fn counters(folder: &Path) -> Vec<Counters> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(counters(&path));
        } else if path.extension().is_some_and(|end| end == "gcda") {
            let text = path.with_extension("").display().to_string();
            let object = text.rfind("/drivers/").map(|at| text[at + 1..].to_owned());
            all.extend(object.zip(fs::read(&path).ok()).map(|(object, data)| Counters { object, data }));
        }
    }
    all
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(70);
    u8::try_from(code).unwrap_or(70)
}

/// A person's shell on the console, with the job's command line as a suggestion.
fn shell(order: &Order) -> Result<(), String> {
    let mut command = shell_at_console()?;
    println!(
        "\nThis is the lab's guest. `vfiospec {}` runs what `lab run` would; `exit` or Ctrl-A X ends it.",
        order.argv.join(" ")
    );
    run(command.envs(order.env.iter().cloned())).map(drop)
}

/// A person's shell on the guest's console, from within a command that goes on when it ends. The guest has busybox for it.
///
/// # Errors
/// The shell does not start.
pub fn shell_of_guest(environment: impl IntoIterator<Item = (&'static str, String)>) -> Result<(), String> {
    let mut command = shell_at_console()?;
    let ended = command.envs(environment).status();
    ended.map(drop).map_err(|error| format!("failed to start {command:?}: {error}"))
}

/// A login shell, whose programs are busybox and this one.
fn shell_at_console() -> Result<Command, String> {
    let busybox = "/bin/busybox";
    let install = Command::new(busybox).args(["--install", "-s", "/bin"]).status();
    install.map_err(|error| format!("failed to start {busybox}: {error}"))?;
    let _ = std::os::unix::fs::symlink("/init", "/bin/vfiospec");
    // The console itself cannot be a controlling terminal; the serial line behind it can, and then Ctrl-C works.
    let terminal = || -> Result<Stdio, String> {
        let path = format!("/dev/{}", arch::OWN.row().console);
        let line = OpenOptions::new().read(true).write(true).open(&path);
        line.map(Stdio::from).map_err(|error| format!("failed to open {path}: {error}"))
    };
    let mut command = Command::new(busybox);
    command.args(["setsid", "-c", "/bin/sh", "-l"]);
    command.stdin(terminal()?).stdout(terminal()?).stderr(terminal()?);
    command.env("PATH", "/bin").env("HOME", "/root").env("TERM", "linux");
    Ok(command)
}

/// Runs a command to its end, reaping what its descendants leave: nobody else does in the guest.
fn run(command: &mut Command) -> Result<ExitStatus, String> {
    let child = command.spawn().map_err(|error| format!("failed to start {command:?}: {error}"))?;
    let id = child.id();
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw().cast_unsigned() == id => {
                return Ok(ExitStatus::from_raw((code & 0xff) << 8));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw().cast_unsigned() == id => {
                return Ok(ExitStatus::from_raw(signal as i32));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(format!("failed to wait for {command:?}: {error}")),
        }
    }
}

/// Mounts what virtio-iommu was told. Other machines have nothing of that, and not every kernel has 9p: then nothing shows it.
fn mount_told() {
    let _ = fs::create_dir_all(TOLD);
    let options = Some("trans=virtio,version=9p2000.L");
    let _ = mount(Some(TOLD_TAG), TOLD, Some("9p"), MsFlags::MS_RDONLY, options);
}

/// Fails if the kernel was told to lock itself down and has not: not every kernel can.
fn check_lockdown(command_line: &str) -> Result<(), String> {
    let _ = mount(Some("securityfs"), "/sys/kernel/security", Some("securityfs"), MsFlags::empty(), None::<&str>);
    let wanted = command_line.split_whitespace().find_map(|word| word.strip_prefix("lockdown="));
    match wanted {
        Some(mode) if facts::lockdown().as_deref() != Some(mode) => Err(format!(
            "this kernel has no lockdown: it is built without CONFIG_SECURITY_LOCKDOWN_LSM (asked for {mode})"
        )),
        Some(_) | None => Ok(()),
    }
}

fn mount_new(kind: &str, target: &str) -> nix::Result<()> {
    let _ = fs::create_dir(target);
    mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>)
}

/// The port to the host, also linked at [`JOURNAL_PORT`]; it appears a little after user space does.
fn open_port() -> Result<File, String> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let why = match find_port(Path::new("/sys/class/virtio-ports")) {
            None => format!("no virtio port has the name {PORT_NAME}"),
            Some(device) => {
                let link = Path::new(JOURNAL_PORT);
                let _ = link.parent().map(fs::create_dir);
                let _ = std::os::unix::fs::symlink(&device, link);
                match OpenOptions::new().write(true).open(&device) {
                    Ok(port) => return Ok(port),
                    Err(error) => format!("{}: {error}", device.display()),
                }
            }
        };
        if Instant::now() > until {
            return Err(format!("failed to open the port to the host: {why}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn find_port(class: &Path) -> Option<PathBuf> {
    let ports = fs::read_dir(class).ok()?.flatten();
    let mut named =
        ports.filter(|port| fs::read_to_string(port.path().join("name")).is_ok_and(|name| name.trim() == PORT_NAME));
    Some(Path::new("/dev").join(named.next()?.file_name()))
}

fn tell(port: &mut File, message: &Message) -> Result<(), String> {
    port.write_all(message.to_line().as_bytes()).map_err(|error| format!("failed to write to the host: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_process_is_no_guest() {
        assert!(!is_guest_init());
    }

    #[test]
    fn the_port_is_found_by_its_name() {
        let cache = super::super::cache::tests::scratch("ports");
        for (device, name) in [("vport0p0", "other"), ("vport0p1", PORT_NAME)] {
            let folder = cache.folder(device).unwrap();
            fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(find_port(&cache.path("")), Some("/dev/vport0p1".into()));
        assert_eq!(find_port(&cache.path("none")), None);
        fs::remove_dir_all(cache.path("")).unwrap();
    }

    #[test]
    fn counters_are_named_by_their_place_in_the_kernels_tree() {
        let cache = super::super::cache::tests::scratch("counters");
        let folder = cache.folder("home/drivers/build/drivers/vfio").unwrap();
        for name in ["reset", "group.gcda", "group.gcno"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let expected = Counters { object: "drivers/vfio/group".into(), data: b"group.gcda".to_vec() };
        assert_eq!(counters(&cache.path("")), [expected]);
        fs::remove_dir_all(cache.path("")).unwrap();
    }

    #[test]
    fn a_signal_is_an_exit_code_of_its_own() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }
}
