// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest's console on this process's terminal.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// How often it is looked for the end, in milliseconds.
const TICK: u8 = 100;
/// Ends the input of a terminal (Ctrl-D).
const END: u8 = 4;
/// Ctrl-A, which an `x` follows, leaves the guest, as in `lab shell`.
const ESCAPE: u8 = 1;

/// A console that this process's standard input and output have; they are as before once it is dropped.
#[derive(Debug)]
pub struct Attached {
    done: Arc<AtomicBool>,
    passes_on: Option<JoinHandle<()>>,
    /// How the terminal was, if there is one.
    before: Option<Termios>,
}

impl Attached {
    pub(super) fn to(socket: &Path, leave: Arc<AtomicBool>) -> io::Result<Attached> {
        let console = UnixStream::connect(socket)?;
        let input = io::stdin();
        let before = tcgetattr(&input).ok();
        if let Some(mut raw) = before.clone() {
            cfmakeraw(&mut raw);
            tcsetattr(&input, SetArg::TCSANOW, &raw)?;
        }
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let passes_on = thread::spawn(move || pass_on(&console, &is_done, &leave));
        Ok(Attached { done, passes_on: Some(passes_on), before })
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let _ = self.passes_on.take().map(JoinHandle::join);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

/// Passes on what is typed and what the guest writes, until either is over.
fn pass_on(mut console: &UnixStream, done: &AtomicBool, leave: &AtomicBool) {
    let input = io::stdin();
    let (mut typing, mut escaped) = (true, false);
    let mut bytes = [0; 4 << 10];
    loop {
        let readable = {
            let mut polled = vec![PollFd::new(console.as_fd(), PollFlags::POLLIN)];
            polled.extend(typing.then(|| PollFd::new(input.as_fd(), PollFlags::POLLIN)));
            let _ = poll(&mut polled, PollTimeout::from(TICK));
            [0, 1].map(|at| polled.get(at).is_some_and(|one| one.any() == Some(true)))
        };
        if readable[0] {
            // What the guest said last is passed on, also when the run goes on already.
            let Ok(count @ 1..) = console.read(&mut bytes) else { return };
            let mut out = io::stdout().lock();
            let _ = out.write_all(&bytes[..count]).and_then(|()| out.flush());
        } else if done.load(Ordering::Relaxed) {
            return;
        }
        if readable[1] {
            // Not by `Stdin`, which would keep what it has read beyond.
            let count = nix::unistd::read(&input, &mut bytes).unwrap_or(0);
            typing = count > 0;
            let typed = if typing { &bytes[..count] } else { &[END][..] };
            for byte in typed {
                if escaped && byte.eq_ignore_ascii_case(&b'x') {
                    leave.store(true, Ordering::Relaxed);
                    return;
                }
                escaped = *byte == ESCAPE;
            }
            if console.write_all(typed).is_err() {
                return;
            }
        }
    }
}
