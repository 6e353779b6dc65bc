// SPDX-License-Identifier: MIT OR Apache-2.0
//! The server: its disk, what is put on it, and the shell that is typed into.

use std::{
    fs,
    hash::{Hash as _, Hasher as _},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    NotTested, Place,
    common::{folder, text, top},
    field::SLOW,
    guests::{lab, place},
};

/// How long a command may take under emulation.
const PATIENCE: Duration = Duration::from_secs(1800);

pub struct Server {
    qemu: Child,
    line: UnixStream,
    pub monitor: UnixStream,
    read: String,
    folder: PathBuf,
    _place: Place,
}

/// The disk, made the first time.
fn image() -> Result<PathBuf, NotTested> {
    let script = top().join("runner/tests/stock-image");
    let cache = vfiospec::lab::default_cache().expect("a cache");
    let made_by = fs::read(&script).expect("it is there");
    let mut sum = std::hash::DefaultHasher::new();
    made_by.hash(&mut sum);
    let image = cache.join(format!("stock/debian13-{:016x}", sum.finish()));
    fs::create_dir_all(image.parent().expect("the cache")).expect("writable");
    // Whoever comes first makes it, and the others wait.
    let lock = fs::File::create(image.with_extension("lock")).expect("writable");
    lock.lock().expect("a file that can be locked");
    if image.exists() {
        return Ok(image);
    }
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !nix::unistd::geteuid().is_root() || !is_there("mmdebstrap") {
        return Err(NotTested::because("a server's disk is made by root and mmdebstrap"));
    }
    let output = Command::new(script).arg(&image).output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    Ok(image)
}

fn qemu() -> Result<PathBuf, NotTested> {
    lab()?;
    let tools = vfiospec::lab::default_cache().expect("a cache").join("tools");
    let folders = fs::read_dir(tools).into_iter().flatten().flatten();
    let programs = folders.map(|folder| folder.path().join("usr/bin/qemu-system-x86_64"));
    programs.into_iter().find(|program| program.exists()).ok_or_else(|| NotTested::because("the lab has no QEMU"))
}

/// A tar archive of this program and its scenarios, as a package has them.
pub fn program(name: &str) -> PathBuf {
    let root = folder(&format!("stock-{name}"));
    let share = root.join("usr/share/vfiospec");
    for part in [root.join("usr/bin"), share.clone()] {
        fs::create_dir_all(part).expect("writable");
    }
    fs::copy(env!("CARGO_BIN_EXE_vfiospec"), root.join("usr/bin/vfiospec")).expect("writable");
    let copied = Command::new("cp").arg("-r").arg(top().join("scenarios")).arg(&share).status();
    assert!(copied.expect("cp starts").success());
    fs::create_dir_all(root.join("root")).expect("writable");
    for (file, text) in [("waits.yaml", WAITS), ("fast.yaml", FAST), ("slow.yaml", SLOW)] {
        fs::write(root.join("root").join(file), text).expect("writable");
    }
    archive(&root, &["usr", "root"])
}

/// Of what is in a folder.
pub fn archive(root: &Path, what: &[&str]) -> PathBuf {
    let archive = root.with_extension("tar");
    // A disk is a whole number of sectors, as an archive is.
    let packed = Command::new("tar").arg("-C").arg(root).arg("-cf").arg(&archive).args(what).status();
    assert!(packed.expect("tar starts").success());
    archive
}

/// A table of VT-d (DMAR) that reserves a range for the share and for the USB controller, as firmware does for its own drivers; the kernel takes it
/// in place of that of QEMU, whose revision is lower. Laid out as `include/acpi/actbl1.h` has it.
pub fn reserving() -> PathBuf {
    const ENDPOINT: u8 = 1;
    const BRIDGE: u8 = 2;
    const IOAPIC: u8 = 3;
    let scope = |kind: u8, bus: u8, slot: u8, function: u8| vec![kind, 8, 0, 0, 0, bus, slot, function];
    let part = |kind: u16, fixed: &[u8], scopes: Vec<Vec<u8>>| {
        let rest = [fixed.to_vec(), scopes.concat()].concat();
        let length = u16::try_from(4 + rest.len()).expect("it is short");
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), &rest].concat()
    };
    // What is on the first bus, except the bus that is beside it.
    let kind = |slot| if matches!(slot, 0x9 | 0xe) { BRIDGE } else { ENDPOINT };
    let unit = [&[0; 4][..], &0xfed9_0000_u64.to_le_bytes()].concat();
    let mut all: Vec<_> = (0..32).map(|slot| scope(kind(slot), 0, slot, 0)).collect();
    all.extend([scope(ENDPOINT, 0, 0x1f, 2), scope(ENDPOINT, 0, 0x1f, 3), scope(IOAPIC, 0xff, 0, 0)]);
    let range = [&[0; 4][..], &0xfeff_c000_u64.to_le_bytes(), &0xfeff_ffff_u64.to_le_bytes()].concat();
    let reserved = part(1, &range, vec![scope(ENDPOINT, 0, 0xd, 0), scope(ENDPOINT, 0, 0xb, 0)]);
    let mut table = [
        &b"DMAR\0\0\0\0\x01\0BOCHS BXPC    "[..],
        &2_u32.to_le_bytes(),
        b"BXPC\x01\0\0\0",
        // 48 bits of addresses, and interrupts can be remapped.
        &[47, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &part(0, &unit, all),
        &reserved,
    ]
    .concat();
    let length = u32::try_from(table.len()).expect("it is short");
    table[4..8].copy_from_slice(&length.to_le_bytes());
    table[9] = table.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    let mut file = cpio::newc::Builder::new("kernel/firmware/acpi/DMAR.aml").mode(0o100_644).write(Vec::new(), length);
    file.write_all(&table).expect("to memory");
    let archive = cpio::newc::trailer(file.finish().expect("to memory")).expect("to memory");
    let path = folder("stock-tables").join("tables");
    fs::write(&path, archive).expect("writable");
    path
}

impl Server {
    pub fn boot(name: &str, payload: &Path, words: &[&str]) -> Result<Server, NotTested> {
        Server::boot_with(name, payload, words, &[])
    }

    /// With variables of the environment for `tests/stock-server`.
    pub fn boot_with(
        name: &str,
        payload: &Path,
        words: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Server, NotTested> {
        let (image, qemu) = (image()?, qemu()?);
        let place = place();
        // The path of a socket is short.
        let folder = std::env::temp_dir().join(format!("vfiospec-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("writable");
        let mut command = Command::new(top().join("runner/tests/stock-server"));
        command.arg(qemu).arg(image).arg(payload).arg(&folder).args(words).stdin(Stdio::null());
        command.envs(variables.iter().copied());
        let mut child = command.spawn().expect("it starts");
        let begin = Instant::now();
        let connected = |name: &str| loop {
            match UnixStream::connect(folder.join(name)) {
                Ok(line) => break line,
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(20), "QEMU: {error}"),
            }
            thread::sleep(Duration::from_millis(50));
        };
        let (line, monitor) = (connected("typed"), connected("monitor"));
        assert_eq!(child.try_wait().expect("it can be waited for"), None);
        line.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut server = Server { qemu: child, line, monitor, read: String::new(), folder, _place: place };
        server.until("ready");
        // Emulated, the disk may be there only after systemd gave up waiting for it.
        server.expect("tar -xf /dev/vdb -C /; udevadm settle; systemctl start srv.mount", 0);
        eprintln!("{name}: the server is up after {:.0} s", begin.elapsed().as_secs_f64());
        Ok(server)
    }

    /// Reads up to a text, and returns what was before it.
    pub fn until(&mut self, end: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.read.find(end) {
                let before = self.read[..at].to_owned();
                self.read.drain(..at + end.len());
                return before;
            }
            match self.line.read(&mut bytes) {
                Ok(0) => {
                    let status = self.qemu.wait();
                    panic!("the server ended, QEMU with {status:?}; it said:\n{}\n{}", self.read, self.console());
                }
                Ok(number) => self.read += &String::from_utf8_lossy(&bytes[..number]).replace('\r', ""),
                Err(error) => panic!(
                    "nothing of {end:?} after {PATIENCE:?} ({error}); it said:\n{}\n{}",
                    self.read,
                    self.console()
                ),
            }
        }
    }

    pub fn console(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(self.folder.join("console")).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Types a command as root; what it said and its exit code.
    pub fn types(&mut self, command: &str) -> (i32, String) {
        assert!(!command.contains('\n'), "one line: {command}");
        // To a file, so that nothing takes the line for a person's terminal. Quoted, because what doctor prints may end in a comment.
        let command = command.replace('\'', "'\\''");
        let line = format!("{{ eval '{command}'; }} > /tmp/said 2>&1; code=$?; cat /tmp/said; echo \"@@$code@@\"\n");
        self.line.write_all(line.as_bytes()).expect("the server reads");
        let said = self.until("@@");
        let code = self.until("@@\n").parse().expect("an exit code");
        (code, said)
    }

    /// The same as another user, with a login's limits. The command has no quotes of its own.
    pub fn types_as_qa(&mut self, command: &str) -> (i32, String) {
        self.types(&format!("su -l qa -c '{command}'"))
    }

    #[track_caller]
    pub fn expect(&mut self, command: &str, code: i32) -> String {
        let (got, said) = self.types(command);
        assert_eq!(got, code, "{command}:\n{said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A case that takes its time.
const WAITS: &str = "name: waits\nbackends: any\ncases:\n  - name: waits\n    timeout: 600s\n    steps:\n      - mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 500s }\n        expect: ETIMEDOUT\n";

const FAST: &str = "name: fast\nbackends: any\ncases:\n  - { name: info, steps: [{ device_info: }] }\n";
