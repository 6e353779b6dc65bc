// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errno: what a request of the kernel fails with, by number, by name and in words.

use std::{fmt, io, sync::LazyLock};

const MOST: i32 = libc::EHWPOISON;

/// The names by number, as nix has them.
static NAMES: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let name = |number| match nix::errno::Errno::from_raw(number) {
        nix::errno::Errno::UnknownErrno => None,
        known => Some(format!("{known:?}")),
    };
    (0..=MOST).map(name).collect()
});

/// An error number of Linux, as the generic headers number them (`include/uapi/asm-generic/errno*.h`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Not an errno but the signal that stands in its place if an access to memory fails: a device did not answer,
    /// or the file behind the memory ends before.
    pub const SIGBUS: Errno = Errno(-7);

    /// The calling thread's errno, right after a call that failed.
    pub fn last() -> Errno {
        Errno::of(&std::io::Error::last_os_error())
    }

    /// The number behind an I/O error; `EIO` where there is none.
    pub fn of(error: &std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }

    /// Its name, such as `EINVAL`; `None` for a number without a name.
    pub fn name(self) -> Option<&'static str> {
        if self == Errno::SIGBUS {
            return Some("SIGBUS");
        }
        NAMES.get(usize::try_from(self.0).ok()?)?.as_deref()
    }

    /// The number of a name such as `EINVAL`; also of the two second names, `EWOULDBLOCK` and `ENOTSUP`.
    pub fn from_name(name: &str) -> Option<Errno> {
        let name = match name {
            "EWOULDBLOCK" => "EAGAIN",
            "ENOTSUP" => "EOPNOTSUPP",
            name => name,
        };
        (0..=MOST).map(Errno).chain([Errno::SIGBUS]).find(|errno| errno.name() == Some(name))
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().flatten().map(String::as_str).chain(Errno::SIGBUS.name())
    }

    /// What the C library calls it, in lower case.
    fn words(self) -> String {
        if self == Errno::SIGBUS {
            return "nothing answered there".into();
        }
        let text = io::Error::from_raw_os_error(self.0).to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        let (first, rest) = words.split_at_checked(1).unwrap_or_default();
        // An abbreviation stays as it is.
        if rest.starts_with(|c: char| c.is_uppercase()) { words.into() } else { first.to_lowercase() + rest }
    }
}

/// `EINVAL (invalid argument)`; `errno 4711` for a number without a name.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.words()),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl std::error::Error for Errno {}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Errno {
        Errno(errno as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_libc() {
        for (number, name) in [
            (libc::EPERM, "EPERM"),
            (libc::ENOENT, "ENOENT"),
            (libc::ENOMEM, "ENOMEM"),
            (libc::EFAULT, "EFAULT"),
            (libc::EBUSY, "EBUSY"),
            (libc::EEXIST, "EEXIST"),
            (libc::EINVAL, "EINVAL"),
            (libc::ENOTTY, "ENOTTY"),
            (libc::ENOSPC, "ENOSPC"),
            (libc::EOVERFLOW, "EOVERFLOW"),
            (libc::EMSGSIZE, "EMSGSIZE"),
            (libc::EOPNOTSUPP, "EOPNOTSUPP"),
            (libc::ETIMEDOUT, "ETIMEDOUT"),
            (libc::EHWPOISON, "EHWPOISON"),
        ] {
            assert_eq!(Errno(number).name(), Some(name));
            assert_eq!(Errno::from_name(name), Some(Errno(number)));
        }
    }

    #[test]
    fn every_name_has_one_number() {
        assert_eq!(Errno::names().filter(|name| name.starts_with('E')).count(), 131);
        for name in Errno::names() {
            assert_eq!(Errno::from_name(name).and_then(Errno::name), Some(name));
        }
    }

    #[test]
    fn it_reads_as_name_and_words() {
        assert_eq!(Errno(libc::EINVAL).to_string(), "EINVAL (invalid argument)");
        assert_eq!(Errno(libc::EDOTDOT).to_string(), "EDOTDOT (RFS specific error)");
        assert_eq!(Errno(4711).to_string(), "errno 4711");
        assert_eq!(Errno::from_name("EWOULDBLOCK"), Some(Errno(libc::EAGAIN)));
        assert_eq!(Errno::from_name("EINVALID"), None);
    }
}
