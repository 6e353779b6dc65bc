// SPDX-License-Identifier: MIT OR Apache-2.0
//! The README shows what a run prints.

use std::fs;

use crate::{
    Test, Tested,
    common::{command, folder, top},
    guests::{lab, place},
    tests,
};

pub const TESTS: &[Test] = tests![a_run_and_a_failure_look_as_the_readme_shows_them];

/// A text of the README's, as it stands below its mark.
fn picture(name: &str) -> String {
    let readme = fs::read_to_string(top().join("README.md")).expect("readable");
    let (_, below) = readme.split_once(&format!("<!-- picture: {name} -->\n```text\n")).expect("the picture is there");
    below.split_once("```").expect("it ends").0.to_owned()
}

/// The text with `#` for each number, decimal or hexadecimal: addresses, times and counts are others each time.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let hex =
            rest.strip_prefix("0x").map_or(0, |digits| 2 + digits.bytes().take_while(u8::is_ascii_hexdigit).count());
        let number = hex.max(rest.bytes().take_while(u8::is_ascii_digit).count());
        match number {
            0 => out.push(c),
            _ => out.push('#'),
        }
        rest = &rest[number.max(c.len_utf8())..];
    }
    out
}

fn a_run_and_a_failure_look_as_the_readme_shows_them() -> Tested {
    lab()?;
    let _place = place();
    let folder = folder("pictures");
    let scenarios = folder.join("scenarios/kernel");
    fs::create_dir_all(&scenarios).unwrap();
    let copy = |name: &str, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(top().join("scenarios/kernel").join(name)).unwrap();
        fs::write(scenarios.join(name), change(text)).unwrap();
    };
    copy("pack.yaml", &|text| text);
    copy("dma_mapping.yaml", &|text| text);
    copy("dma_mapping_mmio.yaml", &|text| text);
    let run = |files: &[&str]| {
        let mut command = command();
        command.current_dir(&folder).env("COLUMNS", "100"); // as wide as the README's
        let output = command.args(["lab", "run"]).args(files).output().expect("it starts");
        without_numbers(&String::from_utf8_lossy(&output.stdout))
    };
    let told = run(&["scenarios/kernel/dma_mapping.yaml", "scenarios/kernel/dma_mapping_mmio.yaml"]);
    let shown = without_numbers(&picture("run"));
    // Above it is what ran where, which another machine says otherwise.
    let (_, shown) = shown.split_once("\n\n").expect("first the place");
    assert!(told.ends_with(shown), "shown:\n{shown}\ntold:\n{told}");

    copy("dma_mapping_mmio.yaml", &|text| text.replacen("\"iommufd*\": EFAULT", "\"iommufd*\": EINVAL", 1));
    let told = run(&["scenarios/kernel/dma_mapping_mmio.yaml"]);
    let shown = without_numbers(&picture("failure"));
    assert!(told.contains(&shown), "shown:\n{shown}\ntold:\n{told}");
    Ok(())
}
