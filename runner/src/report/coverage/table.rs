// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shares of each file, as a table.

use std::collections::BTreeSet;

use super::{Coverage, File, Share};
use crate::model::count;
use crate::report::terminal::{BOLD, DIM, Terminal};
use crate::sanitize::line;

/// How many functions that never ran are listed.
const LISTED: usize = 10;

/// Of a file of which less ran, in percent, only the start of the machine looked whether its hardware is there.
const LEAST: usize = 10;

/// One run: a row for each file, and the largest functions that never ran.
pub fn short(coverage: &Coverage, terminal: &Terminal) -> String {
    let ran = |file: &File| file.of_lines().percent().is_some_and(|percent| percent >= LEAST);
    let (most, least): (Vec<_>, Vec<_>) = coverage.files.iter().partition(|(_, file)| ran(file));
    let width = most.iter().map(|(path, _)| path.len()).chain(["file".len()]).max().unwrap_or_default();
    let mut text = format!("{:<width$}  {:>15}  {:>15}  {:>15}", "file", "lines", "branches", "functions");
    text = format!("{}\n", terminal.paint(BOLD, text));
    let mut row = |path: &str, shares: [Share; 3]| {
        let shares = shares.map(|share| format!("  {:>15}", of(share))).concat();
        text += &format!("{:<width$}{shares}\n", line(path));
    };
    for (path, file) in &most {
        row(path, [file.of_lines(), file.of_branches(), file.of_functions()]);
    }
    let whole = Coverage {
        files: most.iter().map(|(path, file)| ((*path).clone(), (*file).clone())).collect(),
        ..Coverage::default()
    };
    row("all of these", [whole.share(File::of_lines), whole.share(File::of_branches), whole.share(File::of_functions)]);
    if !least.is_empty() {
        let lines: usize = least.iter().map(|(_, file)| file.lines.len()).sum();
        let files = count(least.len(), "file");
        let told = format!("left out: {files} with {lines} lines, of which less than {LEAST} % ran");
        text += &format!("{}\n", terminal.paint(DIM, told));
    }
    text + &never(&most, terminal)
}

/// The largest functions that never ran.
fn never(files: &[(&String, &File)], terminal: &Terminal) -> String {
    let mut all = Vec::new();
    for (path, file) in files {
        for (begin, function) in file.functions.iter().filter(|(_, function)| function.calls == 0) {
            // One that is inlined everywhere has no call of its own.
            if file.lines_of(*begin).all(|(_, count)| count == 0) {
                all.push((file.lines_of(*begin).count(), *path, *begin, &function.name));
            }
        }
    }
    if all.is_empty() {
        return String::new();
    }
    all.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| (one.1, one.2).cmp(&(other.1, other.2))));
    let heading = format!("the largest of {} that never ran", count(all.len(), "function"));
    let mut text = format!("\n{}\n", terminal.paint(BOLD, heading));
    for (lines, path, begin, name) in all.into_iter().take(LISTED) {
        text += &format!("{lines:>6} lines  {}  {}:{begin}\n", line(name), line(path));
    }
    text
}

fn of(share: Share) -> String {
    match share.percent() {
        Some(percent) => format!("{percent} % of {}", share.all),
        None => "-".to_owned(),
    }
}

/// Several runs beside each other, as a table of Markdown: the share of lines of each file.
pub fn beside(columns: &[(String, Coverage)]) -> String {
    let paths: BTreeSet<&String> = columns.iter().flat_map(|(_, coverage)| coverage.files.keys()).collect();
    let share = |coverage: &Coverage, path: &str| coverage.files.get(path).map_or_else(Share::default, File::of_lines);
    let worth = |path: &&&String| {
        columns.iter().any(|(_, coverage)| share(coverage, path).percent().is_some_and(|percent| percent >= LEAST))
    };
    let names: Vec<String> = columns.iter().map(|(name, _)| line(name)).collect();
    let mut text = format!("| file | lines | {} |\n|---|---:|{}\n", names.join(" | "), "---:|".repeat(columns.len()));
    for path in paths.iter().filter(worth) {
        let shares = columns.iter().map(|(_, coverage)| share(coverage, path));
        let lines = shares.clone().map(|share| share.all).max().unwrap_or_default();
        let percents =
            shares.map(|share| share.percent().map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")));
        text += &format!("| {} | {lines} | {} |\n", line(path), percents.collect::<Vec<_>>().join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::coverage::tests::coverage;

    #[test]
    fn the_table_has_the_shares_and_what_never_ran() {
        let mut coverage = coverage();
        let dead = File { lines: (1..=20).map(|line| (line, 0)).collect(), ..File::default() };
        coverage.files.insert("drivers/iommu/amd/init.c".into(), dead);
        let text = short(&coverage, &Terminal::PLAIN);
        let expected = "\
file                            lines         branches        functions
drivers/vfio/group.c        40 % of 5        50 % of 2        50 % of 2
all of these                40 % of 5        50 % of 2        50 % of 2
left out: 1 file with 20 lines, of which less than 10 % ran

the largest of 1 function that never ran
     2 lines  unbind  drivers/vfio/group.c:20
";
        assert_eq!(text, expected);
    }

    #[test]
    fn runs_stand_beside_each_other() {
        let mut more = coverage();
        more.files.get_mut("drivers/vfio/group.c").unwrap().lines.insert(20, 1);
        let columns =
            [("packs".to_owned(), more), ("explore".to_owned(), coverage()), ("none".to_owned(), Coverage::default())];
        let expected = "\
| file | lines | packs | explore | none |
|---|---:|---:|---:|---:|
| drivers/vfio/group.c | 5 | 60 % | 40 % | - |
";
        assert_eq!(beside(&columns), expected);
    }
}
