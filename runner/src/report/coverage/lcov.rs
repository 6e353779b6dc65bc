// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tracefiles in the format of LCOV (geninfo(1)), which grcov, genhtml and many services read.

use std::io::{self, Write};

use super::{Coverage, File, Function};

/// Writes a tracefile.
///
/// # Errors
/// `out` cannot be written.
pub fn write(coverage: &Coverage, out: &mut dyn Write) -> io::Result<()> {
    for (path, file) in &coverage.files {
        writeln!(out, "TN:{}\nSF:{path}", coverage.kernel)?;
        for (line, function) in &file.functions {
            writeln!(out, "FN:{line},{}", function.name)?;
        }
        for function in file.functions.values() {
            writeln!(out, "FNDA:{},{}", function.calls, function.name)?;
        }
        let functions = file.of_functions();
        writeln!(out, "FNF:{}\nFNH:{}", functions.all, functions.ran)?;
        for ((line, number), count) in &file.branches {
            // grcov takes any number, also 0, for a branch that was taken.
            let taken = if *count > 0 { count.to_string() } else { "-".to_owned() };
            writeln!(out, "BRDA:{line},0,{number},{taken}")?;
        }
        let branches = file.of_branches();
        writeln!(out, "BRF:{}\nBRH:{}", branches.all, branches.ran)?;
        for (line, count) in &file.lines {
            writeln!(out, "DA:{line},{count}")?;
        }
        let lines = file.of_lines();
        writeln!(out, "LF:{}\nLH:{}\nend_of_record", lines.all, lines.ran)?;
    }
    Ok(())
}

/// Reads a tracefile that [`write()`] wrote, or another program. What is not needed here is skipped.
///
/// # Errors
/// The number of the line that is not as the format has it; or that of the last one, if the file is not whole or has no record.
pub fn read(text: &str) -> Result<Coverage, usize> {
    let mut coverage = Coverage::default();
    let mut kernel = "";
    let mut open: Option<(&str, File)> = None;
    for (number, line) in (1usize..).zip(text.lines()) {
        let (kind, rest) = line.split_once(':').unwrap_or((line, ""));
        let known = match (kind, &mut open) {
            ("TN", _) => {
                kernel = rest;
                Some(())
            }
            ("SF", None) => {
                open = Some((rest, File::default()));
                Some(())
            }
            ("end_of_record", Some(_)) => {
                let (path, file) = open.take().expect("it is open");
                let files = [(path.to_owned(), file)].into();
                coverage.add(Coverage { kernel: kernel.to_owned(), files });
                Some(())
            }
            ("SF" | "end_of_record", _) => None,
            (_, Some((_, file))) => record(kind, rest, file),
            (_, None) if line.is_empty() || line.starts_with('#') => Some(()),
            (_, None) => None,
        };
        known.ok_or(number)?;
    }
    match open {
        None if !coverage.files.is_empty() => Ok(coverage),
        _ => Err(text.lines().count().max(1)),
    }
}

/// One line of a file's record.
fn record(kind: &str, rest: &str, file: &mut File) -> Option<()> {
    let mut words = rest.split(',');
    match kind {
        "FN" => {
            let (line, name) = rest.split_once(',')?;
            // LCOV since 2.0 names the last line, too.
            let name =
                name.split_once(',').filter(|(end, _)| end.parse::<u32>().is_ok()).map_or(name, |(_, name)| name);
            file.function(line.parse().ok()?, Function { name: name.to_owned(), calls: 0 });
        }
        "FNDA" => {
            let (calls, name) = rest.split_once(',')?;
            let calls: u64 = calls.parse().ok()?;
            let function = file.functions.values_mut().find(|function| function.name == name)?;
            function.calls = function.calls.saturating_add(calls);
        }
        "BRDA" => {
            let (line, _block, branch, taken) = (words.next()?, words.next()?, words.next()?, words.next()?);
            let taken = if taken == "-" { 0 } else { taken.parse().ok()? };
            file.branch((line.parse().ok()?, branch.parse().ok()?), taken);
        }
        "DA" => file.line(words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::coverage::tests::coverage;

    fn written(coverage: &Coverage) -> String {
        let mut bytes = Vec::new();
        write(coverage, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let coverage = coverage();
        let text = written(&coverage);
        assert!(
            text.starts_with("TN:7_3_4\nSF:drivers/vfio/group.c\nFN:10,bind\nFN:20,unbind\nFNDA:3,bind\n"),
            "{text}"
        );
        assert!(text.contains("BRDA:11,0,1,-\nBRF:2\nBRH:1\nDA:10,3\n"), "{text}");
        assert_eq!(read(&text), Ok(coverage));
    }

    #[test]
    fn what_other_programs_add_is_read_too() {
        let text = written(&coverage()).replace("FN:10,bind", "VER:1\nFN:10,13,bind").replace("DA:12,0", "DA:12,0,sum");
        assert_eq!(read(&format!("# made by hand\n{text}")), Ok(coverage()));
    }

    #[test]
    fn a_damaged_file_is_told_its_line() {
        let text = written(&coverage());
        assert_eq!(read(""), Err(1));
        assert_eq!(read("name: a scenario\n"), Err(1));
        assert_eq!(read(&text.replace("DA:10,3", "DA:10,three")), Err(13));
        assert_eq!(read(&text.replace("FNDA:3,bind", "FNDA:3,unknown")), Err(5));
        let half = &text[..text.len() / 2];
        assert_eq!(read(half).unwrap_err(), half.lines().count());
        let lines = text.lines().count();
        assert_eq!(read(&text.replace("end_of_record\n", "")), Err(lines - 1));
    }
}
