// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec new case`

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{file, from};
use crate::language::{self, Name, Source, Target};
use crate::{cli::error::Error, model::Exit, session::Failure, suite::Selection};

/// Add a case to a scenario, or make a small scenario of a case that failed
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The name of the new case; with --from, the failed case: its id in the journal or the end of it, such as `map_unmap[page=2MiB]`
    #[arg(value_name = "CASE")]
    case: String,

    /// The scenario to add it to; with --from, the file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Take a case from this run: with the one backend and the values of the matrix that it had, and nothing behind the step that failed
    #[arg(long, value_name = "JOURNAL")]
    from: Option<PathBuf>,

    /// A pack besides that of the scenario and those in `scenarios`, whose procedures it calls: its folder
    #[arg(long = "pack", value_name = "FOLDER")]
    packs: Vec<PathBuf>,
}

pub fn main(args: &Args) -> Result<(), Error> {
    match &args.from {
        Some(journal) => from::main(journal, &args.packs, &args.case, &args.file),
        None => add(&args.file, &args.packs, &args.case),
    }
}

fn add(path: &Path, packs: &[PathBuf], name: &str) -> Result<(), Error> {
    let wrong = |what: String| Err(Failure::new(Exit::Usage, what).into());
    if !Name::is_valid(name) {
        return wrong(format!("`{name}` is no name: expected letters, digits and `_`, not starting with a digit"));
    }
    if !path.exists() {
        let help = format!("`vfiospec new scenario {}` writes one", path.display());
        return Err(Failure::usage(format!("failed to read {}: there is no such file", path.display()), help).into());
    }
    let selection = Selection::of(path, packs);
    let (scenarios, packs) = selection.load(&selection.read()?, None)?;
    let [loaded] = scenarios.as_slice() else {
        return wrong(format!("{} is no scenario", path.display()));
    };
    let scenario = &loaded.scenario;
    if scenario.cases.iter().any(|case| case.name.0 == name) {
        return wrong(format!("{} has a case `{name}` already", path.display()));
    }
    let text = insert(&loaded.source.text, scenario.cases.len(), name);
    // Cases in braces, anchors and other liberties of YAML have no place to insert lines at.
    let fits = language::load(Source::new("", text.as_str()), loaded.pack.clone(), &packs, &[])
        .is_ok_and(|new| new.scenario.cases.len() == scenario.cases.len() + 1);
    if !fits {
        let case = case(name, 2);
        return wrong(format!("found no place for a case in {}; add it by hand:\n\n{case}", path.display()));
    }
    Ok(file::replace(path, &text)?)
}

/// The text with a case more behind the last one.
fn insert(text: &str, cases: usize, name: &str) -> String {
    let last = language::Path::root().join("cases").join(cases.saturating_sub(1));
    let place = Source::new("", text).locate(&last, Target::Value);
    let lines: Vec<&str> = text.lines().collect();
    // The case's first key stands behind its dash; everything in that column or further right belongs to it.
    let column = place.column.saturating_sub(1);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut end = place.line;
    for (index, line) in lines.iter().enumerate().skip(place.line) {
        match line.trim() {
            "" => {}
            _ if indent(line) >= column => end = index + 1,
            _ => break,
        }
    }
    let mut new = lines[..end.min(lines.len())].join("\n");
    new += "\n\n";
    new += &case(name, column.saturating_sub(2));
    for line in &lines[end.min(lines.len())..] {
        new += line;
        new.push('\n');
    }
    new
}

fn case(name: &str, indent: usize) -> String {
    let template = "\
- name: NAME
  summary: What it is about, in a sentence.
  region: { memory: anonymous, size: 4KiB }
  expect: { map: ok }
";
    template.replace("NAME", name).lines().map(|line| format!("{:indent$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_inserted_behind_the_last_one() {
        let head = "name: a\nbackends: all\ncases:\n";
        let first = "  - name: b\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
        let text = insert(&format!("{head}{first}"), 1, "c");
        assert_eq!(text, format!("{head}{first}\n{}", case("c", 2)));
        let text = insert(&format!("cases:\n{first}\n# end\nname: a\nbackends: all\n"), 1, "c");
        assert_eq!(text, format!("cases:\n{first}\n{}\n# end\nname: a\nbackends: all\n", case("c", 2)));
    }
}
