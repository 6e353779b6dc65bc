// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one run reaches that another does not.

use std::collections::BTreeMap;

use super::{Coverage, File};
use crate::model::count;
use crate::report::terminal::{BOLD, Terminal};
use crate::sanitize::line;

/// The lines that `second` reaches and `first` does not, by file and function.
pub fn compare(first: &Coverage, second: &Coverage, names: [&str; 2], terminal: &Terminal) -> String {
    let mut text = String::new();
    let (mut lines, mut files) = (0, 0);
    for (path, file) in &second.files {
        let gained = gained(first.files.get(path), file);
        if gained.is_empty() {
            continue;
        }
        lines += gained.len();
        files += 1;
        text += &format!("\n{}\n", terminal.paint(BOLD, format!("{}: {}", line(path), count(gained.len(), "line"))));
        let mut functions: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for line in gained {
            functions.entry(file.function_at(line).map_or(0, |(begin, _)| begin)).or_default().push(line);
        }
        for (begin, lines) in functions {
            let name = file.functions.get(&begin).map_or("outside of functions", |function| function.name.as_str());
            text += &format!("  {}: {}\n", line(name), ranges(file, &lines));
        }
    }
    let [first, second] = names.map(line);
    if lines == 0 {
        return format!("{second} reaches no line that {first} does not reach\n");
    }
    let (lines, files) = (count(lines, "line"), count(files, "file"));
    format!("{second} reaches {lines} in {files} that {first} does not reach\n{text}")
}

fn gained(first: Option<&File>, second: &File) -> Vec<u32> {
    let before = |line: &u32| first.and_then(|file| file.lines.get(line)).is_some_and(|count| *count > 0);
    second.lines.iter().filter(|(line, count)| **count > 0 && !before(line)).map(|(line, _)| *line).collect()
}

/// Lines as ranges, such as `12-15, 18`: lines without code between them do not end a range.
fn ranges(file: &File, lines: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if file.lines.range(*last + 1..).next().is_some_and(|(next, _)| next == line) => {
                *last = *line
            }
            _ => ranges.push((*line, *line)),
        }
    }
    let shown = ranges.into_iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::coverage::tests::coverage;

    #[test]
    fn what_only_the_second_reaches_is_listed_by_function() {
        let mut second = coverage();
        let file = second.files.get_mut("drivers/vfio/group.c").unwrap();
        for line in [12, 20, 21, 30] {
            file.lines.insert(line, 1);
        }
        file.lines.insert(25, 0);
        let names = ["a.info", "b.info"];
        let expected = "\
b.info reaches 4 lines in 1 file that a.info does not reach

drivers/vfio/group.c: 4 lines
  bind: 12
  unbind: 20-21, 30
";
        assert_eq!(compare(&coverage(), &second, names, &Terminal::PLAIN), expected);
        let nothing = "a.info reaches no line that b.info does not reach\n";
        assert_eq!(compare(&second, &coverage(), ["b.info", "a.info"], &Terminal::PLAIN), nothing);
    }
}
