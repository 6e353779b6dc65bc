// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines, branches and functions of the kernel ran.
//!
//! ```text
//! counters of a guest ──gcov──▶ gcov (JSON) ──▶ Coverage ──▶ lcov: a file, which other programs read, too
//!                                                  │
//!                                                  └───────▶ table, compare: on the terminal
//! ```

mod compare;
mod gcov;
mod lcov;
mod table;

use std::collections::BTreeMap;

pub use compare::compare;
pub use gcov::of_gcov;
pub use lcov::{read, write};
pub use table::{beside, short};

/// What ran, by the path of each file in the kernel's source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The kernel, in letters, digits and `_`: lines of one kernel mean nothing in another.
    pub kernel: String,
    pub files: BTreeMap<String, File>,
}

/// What ran of one file. The objects that a header is compiled into add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// How often each line ran that has code.
    pub lines: BTreeMap<u32, u64>,
    /// How often each way out of a line was taken; they are numbered.
    pub branches: BTreeMap<(u32, u32), u64>,
    /// By the line that a function begins with. Those that a macro makes on one line are one.
    pub functions: BTreeMap<u32, Function>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// How often it was called.
    pub calls: u64,
}

/// How many of how many ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    pub ran: usize,
    pub all: usize,
}

impl Coverage {
    /// Adds what another run of the same kernel reached.
    pub fn add(&mut self, other: Coverage) {
        if self.kernel.is_empty() {
            self.kernel = other.kernel;
        }
        for (path, File { lines, branches, functions }) in other.files {
            let file = self.files.entry(path).or_default();
            lines.into_iter().for_each(|(line, count)| file.line(line, count));
            branches.into_iter().for_each(|(branch, count)| file.branch(branch, count));
            functions.into_iter().for_each(|(line, function)| file.function(line, function));
        }
    }

    pub fn share(&self, of: impl Fn(&File) -> Share) -> Share {
        self.files
            .values()
            .map(of)
            .fold(Share::default(), |sum, one| Share { ran: sum.ran + one.ran, all: sum.all + one.all })
    }
}

impl File {
    fn line(&mut self, line: u32, count: u64) {
        let sum = self.lines.entry(line).or_default();
        *sum = sum.saturating_add(count);
    }

    fn branch(&mut self, branch: (u32, u32), count: u64) {
        let sum = self.branches.entry(branch).or_default();
        *sum = sum.saturating_add(count);
    }

    fn function(&mut self, line: u32, function: Function) {
        let known = self.functions.entry(line).or_insert_with(|| Function { calls: 0, ..function.clone() });
        known.calls = known.calls.saturating_add(function.calls);
        // Whichever is added first.
        if function.name < known.name {
            known.name = function.name;
        }
    }

    pub fn of_lines(&self) -> Share {
        Share::of(self.lines.values())
    }

    pub fn of_branches(&self) -> Share {
        Share::of(self.branches.values())
    }

    pub fn of_functions(&self) -> Share {
        Share::of(self.functions.values().map(|function| &function.calls))
    }

    /// The lines with code from the beginning of a function to that of the next one.
    pub fn lines_of(&self, begin: u32) -> impl Iterator<Item = (u32, u64)> {
        let next = self.functions.range(begin + 1..).next().map_or(u32::MAX, |(line, _)| *line);
        self.lines.range(begin..next).map(|(line, count)| (*line, *count))
    }

    /// The function that a line belongs to, and where it begins.
    pub fn function_at(&self, line: u32) -> Option<(u32, &Function)> {
        self.functions.range(..=line).next_back().map(|(begin, function)| (*begin, function))
    }
}

impl Share {
    fn of<'a>(counts: impl Iterator<Item = &'a u64>) -> Share {
        let mut share = Share::default();
        counts.for_each(|count| share = Share { ran: share.ran + usize::from(*count > 0), all: share.all + 1 });
        share
    }

    /// Rounded down: 100 is all of it.
    pub fn percent(self) -> Option<usize> {
        (self.ran * 100).checked_div(self.all)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with a function at line 10 that ran, and one at line 20 that did not.
    pub fn file() -> File {
        let function = |name: &str, calls| Function { name: name.to_owned(), calls };
        File {
            lines: [(10, 3), (11, 3), (12, 0), (20, 0), (21, 0)].into(),
            branches: [((11, 0), 3), ((11, 1), 0)].into(),
            functions: [(10, function("bind", 3)), (20, function("unbind", 0))].into(),
        }
    }

    pub fn coverage() -> Coverage {
        Coverage { kernel: "7_3_4".into(), files: [("drivers/vfio/group.c".into(), file())].into() }
    }

    #[test]
    fn runs_of_the_same_kernel_add_up() {
        let mut both = coverage();
        let mut other = coverage();
        let file = other.files.get_mut("drivers/vfio/group.c").unwrap();
        file.lines.insert(20, 1);
        file.lines.insert(30, u64::MAX);
        file.functions.insert(20, Function { name: "a".into(), calls: 1 });
        both.add(other.clone());
        both.add(other);
        let sum = &both.files["drivers/vfio/group.c"];
        assert_eq!((sum.lines[&10], sum.lines[&20], sum.lines[&30]), (9, 2, u64::MAX));
        assert_eq!(sum.functions[&20], Function { name: "a".into(), calls: 2 });
        assert_eq!(both.share(File::of_lines), Share { ran: 4, all: 6 });
    }

    #[test]
    fn shares_are_of_what_there_is() {
        let file = file();
        assert_eq!(file.of_lines(), Share { ran: 2, all: 5 });
        assert_eq!(file.of_lines().percent(), Some(40));
        assert_eq!(file.of_branches().percent(), Some(50));
        assert_eq!(file.of_functions(), Share { ran: 1, all: 2 });
        assert_eq!(Share::default().percent(), None);
        assert_eq!(file.lines_of(10).count(), 3);
        assert_eq!(file.lines_of(20).map(|(line, _)| line).collect::<Vec<_>>(), [20, 21]);
        assert_eq!(file.function_at(12).unwrap().1.name, "bind");
        assert_eq!(file.function_at(9), None);
    }
}
