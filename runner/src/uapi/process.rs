// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that are forked from this one, and what they give up.

use std::io::{self, IoSlice, IoSliceMut, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use std::{fs, os::unix::process::CommandExt, process::Command, thread};

use caps::{CapSet, Capability};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, getppid, setgroups, setresgid, setresuid};

use serde::{Deserialize, Serialize};

use super::{Tracer, signal, trace::zero};
use crate::model::Errno;

/// How long a thread that has ended may take to be gone.
const THREADS_END: Duration = Duration::from_millis(200);
/// How often an interrupt is looked for.
const TICK: u16 = 50;

/// A process that was forked from this one.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    report: PipeReader,
}

/// Why no process was forked.
#[derive(Debug, PartialEq, Eq)]
pub enum NotForked {
    /// This process has this many threads instead of one: another thread may hold a lock, which the new process would wait for in vain.
    Threads(usize),
    Call(Errno),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, after it had done what it was to do.
    Done,
    Signal(Signal),
    Exit(i32),
}

/// Forks a process with the same memory and the same open files, which calls `run`, reports what that returns, and exits. `run` is given
/// the file that the report goes to. After `run` no destructor and no exit handler runs there: they belong to this process.
pub fn fork(tracer: &Tracer, run: impl FnOnce(BorrowedFd) -> Vec<u8>) -> Result<Forked, NotForked> {
    let begin = Instant::now();
    while threads() != 1 {
        if begin.elapsed() > THREADS_END {
            return Err(NotForked::Threads(threads()));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let failed = |error: io::Error| NotForked::Call(Errno::of(&error));
    let (report, mut out) = io::pipe().map_err(failed)?;
    // SAFETY: this process has no other thread, which could hold a lock or be in the middle of a change: all that this one may do, the
    // forked one may do, too.
    let forked = unsafe { nix::unistd::fork() };
    match forked.map_err(Errno::from) {
        Ok(ForkResult::Child) => {
            drop(report);
            let code = match catch_unwind(AssertUnwindSafe(|| run(out.as_fd()))) {
                Ok(bytes) => i32::from(out.write_all(&bytes).is_err()),
                Err(_) => 101, // the hook has told it
            };
            // SAFETY: it ends this process, in which nothing is left to be done.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => {
            let _ = tracer.call("fork", String::new(), || Ok(()), |()| child.to_string());
            Ok(Forked { pid: child, report })
        }
        Err(errno) => {
            let _ = tracer.call("fork", String::new(), || Err::<(), _>(errno), zero);
            Err(NotForked::Call(errno))
        }
    }
}

/// How many threads this process has.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

impl Forked {
    /// Waits until it has ended: what it reported, and how it ended. An interrupt of this process is passed on to it.
    pub fn wait(mut self) -> (Vec<u8>, Ended) {
        let _waiting = signal::wait();
        let (mut bytes, mut piece, mut told) = (Vec::new(), [0; 16 << 10], false);
        loop {
            if signal::interrupted().is_some() && !told {
                told = kill(self.pid, Signal::SIGINT).is_ok();
            }
            match poll(&mut [PollFd::new(self.report.as_fd(), PollFlags::POLLIN)], PollTimeout::from(TICK)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                _ => {}
            }
            match self.report.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => bytes.extend(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let status = loop {
            match waitpid(self.pid, None) {
                Err(nix::errno::Errno::EINTR) => {}
                status => break status,
            }
        };
        let ended = match status {
            Ok(WaitStatus::Exited(_, 0)) => Ended::Done,
            Ok(WaitStatus::Exited(_, code)) => Ended::Exit(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ended::Signal(signal),
            // Nobody else waits for it, and it is not traced.
            Ok(_) | Err(_) => Ended::Exit(-1),
        };
        (bytes, ended)
    }
}

/// A way for files from one process to another, by `SCM_RIGHTS`.
#[derive(Debug)]
pub struct Passage {
    near: OwnedFd,
    far: OwnedFd,
}

impl Passage {
    /// The end that passes, for a process that inherits it.
    pub fn far(&self) -> BorrowedFd<'_> {
        self.far.as_fd()
    }

    /// In a process that inherited the end that passes.
    pub fn inherited(far: RawFd) -> Result<Passage, Errno> {
        let far = inherited(far)?;
        Ok(Passage { near: far.try_clone().map_err(|error| Errno::of(&error))?, far })
    }

    /// A way to this process from one that is forked later.
    pub fn new() -> Result<Passage, Errno> {
        let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok(Passage { near, far })
    }

    /// Passes a file, from the forked process.
    pub fn pass(&self, file: BorrowedFd, tracer: &Tracer) -> Result<(), Errno> {
        let number = [file.as_raw_fd()];
        let run = || {
            let (bytes, rights) = ([IoSlice::new(&[0])], [ControlMessage::ScmRights(&number)]);
            Ok(sendmsg::<()>(self.far.as_raw_fd(), &bytes, &rights, MsgFlags::MSG_DONTWAIT, None).map(drop)?)
        };
        tracer.call("sendmsg", format!("SCM_RIGHTS {{{}}}", number[0]), run, zero)
    }

    /// Takes the next file that was passed, which is there already.
    pub fn take(&self, tracer: &Tracer) -> Result<OwnedFd, Errno> {
        let run = || {
            let (mut byte, mut room) = ([0], nix::cmsg_space!([RawFd; 1]));
            let mut bytes = [IoSliceMut::new(&mut byte)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.near.as_raw_fd(), &mut bytes, Some(&mut room), flags)?;
            let passed = message.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::ScmRights(files) => files.first().copied(),
                _ => None,
            });
            let number = passed.ok_or(Errno(libc::EMFILE))?; // the kernel leaves out what there is no number for
            // SAFETY: the kernel made this number just now for this message, of which nobody else knows.
            Ok(unsafe { OwnedFd::from_raw_fd(number) })
        };
        tracer.call("recvmsg", String::new(), run, |file| format!("1, SCM_RIGHTS {{{}}}", file.as_raw_fd()))
    }
}

/// A file that this process inherited from the one that it was before [`replace`], by its number. Nothing else may know of it.
pub fn inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel says whether it is open; nobody else in this process closes it, since only this process' past knew of it.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and whoever calls this takes each number over once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Replaces this process by this binary with other arguments: all its memory is gone, and of its files those that are named here stay
/// open. Returns only if that fails.
pub fn replace(arguments: &[&str], files: &[BorrowedFd], tracer: &Tracer) -> Errno {
    let run = || {
        for file in files {
            fcntl(*file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Err(Errno::of(&Command::new("/proc/self/exe").arg0("vfiospec").args(arguments).exec()))
    };
    let call = tracer.call("execve", format!("\"/proc/self/exe\", {arguments:?}"), run, |()| String::new());
    call.err().unwrap_or(Errno(libc::EIO))
}

/// Writes what a process reports that was [`fork`]ed and then [`replace`]d to where its predecessor would have, and ends it.
pub fn report(to: OwnedFd, bytes: &[u8]) -> ! {
    let code = i32::from(fs::File::from(to).write_all(bytes).is_err());
    // SAFETY: it ends this process, in which nothing is left to be done.
    unsafe { libc::_exit(code) }
}

/// What a process gives up. It takes effect in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivesUp {
    /// `RLIMIT_MEMLOCK` in bytes.
    pub memlock: Option<u64>,
    /// `RLIMIT_AS` in bytes.
    pub address_space: Option<u64>,
    /// `RLIMIT_NOFILE`: one more than the highest number that a file may have.
    pub open_files: Option<u64>,
    /// The user that it becomes, and the group of the same number.
    pub user: Option<u32>,
    /// Whether it goes into a user namespace of its own, where it is root.
    pub user_namespace: bool,
    #[serde(with = "by_name")]
    pub without: Vec<Capability>,
}

/// Capabilities by their names.
mod by_name {
    use caps::Capability;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(all: &[Capability], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.iter().map(Capability::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Capability>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.into_iter().map(|name| name.parse().map_err(de::Error::custom)).collect()
    }
}

impl GivesUp {
    /// A capability that is to be given up, and that this process does not have.
    pub fn lacks(&self) -> Option<Capability> {
        let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
        self.without.iter().copied().find(|&capability| !has(capability))
    }

    /// Gives it up, in a process that was [forked](fork) for it, and has the process end with the one that forked it. Where a call fails, its
    /// name comes with the errno.
    pub fn apply(&self, parent: Pid, tracer: &Tracer) -> Result<(), (&'static str, Errno)> {
        for (name, limit, most) in [
            ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, self.memlock),
            ("RLIMIT_AS", Resource::RLIMIT_AS, self.address_space),
        ] {
            most.map_or(Ok(()), |most| lower(name, limit, most, tracer))?;
        }
        if let Some(user) = self.user {
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
            call(tracer, "setgroups", "[]".into(), || setgroups(&[]))?;
            call(tracer, "setresgid", format!("{gid}, {gid}, {gid}"), || setresgid(gid, gid, gid))?;
            call(tracer, "setresuid", format!("{uid}, {uid}, {uid}"), || setresuid(uid, uid, uid))?;
        }
        // Otherwise its files in /proc are root's from now on, also those that it has to write below.
        let _ = prctl::set_dumpable(true);
        if self.user_namespace {
            let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
            call(tracer, "unshare", "CLONE_NEWUSER".into(), || unshare(CloneFlags::CLONE_NEWUSER))?;
            let _ = prctl::set_dumpable(true);
            for (file, text) in
                [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))]
            {
                let path = format!("/proc/self/{file}");
                let run = || fs::write(&path, &text).map_err(|error| Errno::of(&error));
                tracer.call("write", format!("\"{path}\", \"{text}\""), run, zero).map_err(|errno| ("write", errno))?;
            }
        }
        for &capability in &self.without {
            for set in [CapSet::Effective, CapSet::Permitted] {
                let run = || caps::drop(None, set, capability).map_err(|_| Errno::last());
                let fields = format!("{set:?}-{capability}").to_lowercase().replace("cap_", "CAP_");
                tracer.call("capset", fields, run, zero).map_err(|errno| ("capset", errno))?;
            }
        }
        // Last: a change of user or capabilities takes it back.
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
        if getppid() != parent {
            // SAFETY: it ends this process, whose parent is gone, so that nobody waits for what it does.
            unsafe { libc::_exit(1) }
        }
        // Behind all that needs a file.
        self.open_files.map_or(Ok(()), |most| lower("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, most, tracer))
    }
}

fn lower(name: &str, limit: Resource, most: u64, tracer: &Tracer) -> Result<(), (&'static str, Errno)> {
    call(tracer, "setrlimit", format!("{name}, {most:#x}"), || setrlimit(limit, most, most))
}

fn call(
    tracer: &Tracer,
    name: &'static str,
    fields: String,
    run: impl FnOnce() -> nix::Result<()>,
) -> Result<(), (&'static str, Errno)> {
    tracer.call(name, fields, || Ok(run()?), zero).map_err(|errno| (name, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_passed_is_the_same_file() {
        let (tracer, passage) = (Tracer::new(), Passage::new().unwrap());
        let (mut out, into) = io::pipe().unwrap();
        passage.pass(into.as_fd(), &tracer).unwrap();
        drop(into);
        let mut taken = fs::File::from(passage.take(&tracer).unwrap());
        taken.write_all(b"here").unwrap();
        drop(taken);
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(text, "here");
        assert_eq!(passage.take(&tracer).unwrap_err(), Errno(libc::EAGAIN));
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let refused = thread::scope(|scope| {
            // This test is a thread beside the main one already.
            let other = scope.spawn(|| thread::sleep(2 * THREADS_END));
            let refused = fork(&Tracer::new(), |_| Vec::new()).unwrap_err();
            other.join().unwrap();
            refused
        });
        assert!(matches!(refused, NotForked::Threads(2..)), "{refused:?}");
    }
}
