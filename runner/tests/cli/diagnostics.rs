// SPDX-License-Identifier: MIT OR Apache-2.0
//! The catalogue of mistakes: `diagnostics/<mistake>.yaml` is wrong, and `diagnostics/<mistake>.txt` is what `vfiospec check` says.
//!
//! `<mistake>.args` holds the arguments instead where the mistake is in those. `SNAPSHOTS=overwrite cargo test --test cli diagnostics`
//! writes what is said now; read the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::Data;
use snapbox::assert::{Assert, DEFAULT_ACTION_ENV};
use vfiospec::model::code::{Code, Found};

/// Codes without a golden file.
const WITHOUT: [(Code, &str); 2] = [
    (Code::TooLarge, "the file would have 16 MiB"),
    (Code::InvalidValue, "what a visitor raises that gives no code, and none does so"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

/// The names of the files of the catalogue that end like this, without the ending.
fn stems(extension: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder()).expect("the catalogue").map(|entry| entry.expect("an entry").path());
    let wanted = files.filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

#[test]
fn every_mistake_is_told_as_the_catalogue_shows() {
    let args = stems("args");
    for name in stems("yaml").union(&args) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfiospec"));
        command.current_dir(folder()).env_clear().env("NO_COLOR", "1");
        match args.contains(name) {
            true => {
                let line = fs::read_to_string(folder().join(name).with_extension("args")).expect("arguments");
                command.args(line.split_whitespace());
            }
            false => drop(command.args(["check", &format!("{name}.yaml")])),
        }
        let output = command.output().expect("vfiospec starts");
        let said = String::from_utf8(output.stderr).expect("vfiospec writes UTF-8");
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name}");
        let golden = Data::read_from(&folder().join(name).with_extension("txt"), None).raw();
        Assert::new().action_env(DEFAULT_ACTION_ENV).eq(said, golden);
    }
}

#[test]
fn every_page_of_the_catalogue_has_its_mistake() {
    let inputs: BTreeSet<String> = stems("yaml").union(&stems("args")).cloned().collect();
    assert_eq!(stems("txt"), inputs);
}

#[test]
fn five_mistakes_are_told_in_one_go() {
    for name in ["five-mistakes.txt", "five-mistakes-in-one-case.txt"] {
        let said = fs::read_to_string(folder().join(name)).expect("the golden file");
        assert_eq!(said.matches("error[").count(), 5, "{said}");
        assert!(said.ends_with("\n5 errors in 1 of 1 file\n"), "{said}");
    }
}

#[test]
fn every_code_that_check_finds_is_in_the_catalogue() {
    let said: String = stems("txt")
        .iter()
        .map(|name| fs::read_to_string(folder().join(name).with_extension("txt")).expect("a golden file"))
        .collect();
    for code in Code::ALL.iter().filter(|code| code.found() == Found::Check) {
        let is_shown = said.contains(&format!("[{code}]: "));
        let is_exempt = WITHOUT.iter().any(|(without, _)| without == code);
        assert!(
            is_shown || is_exempt,
            "no golden file shows the code `{code}`: add runner/tests/diagnostics/NAME.yaml with the mistake, run \
             `SNAPSHOTS=overwrite cargo test --test cli diagnostics`, and read NAME.txt as its user would"
        );
        assert!(!(is_shown && is_exempt), "a golden file shows the code `{code}`");
    }
}
