// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the pages of `vfiospec explain` show of runs is so.

use std::fs;

use vfiospec::{explain::Page, model::code::Found};

use crate::{
    Test, Tested,
    common::folder,
    guests::{events, lab_run},
    tests,
};

pub const TESTS: &[Test] = tests![what_only_a_run_finds_is_told_in_a_run];

fn what_only_a_run_finds_is_told_in_a_run() -> Tested {
    let folder = folder("explained");
    let mut expected = Vec::new();
    for page in Page::all().filter(|page| page.code.found() == Found::Run) {
        for kind in ["wrong", "right"] {
            for text in page.examples(kind) {
                let name = format!("{}_{kind}", page.code.as_str().replace('-', "_"));
                let text = text.replacen("name: example\n", &format!("name: {name}\n"), 1);
                fs::write(folder.join(&name).with_extension("yaml"), text).expect("writable");
                expected.push((name, (kind == "wrong").then_some(page.code)));
            }
        }
    }
    assert!(expected.len() >= 2, "{expected:?}");
    let ran = lab_run("explained-run", &[folder.to_str().expect("UTF-8")])?;
    let planned = events(&ran, "case_planned");
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), planned.len(), "{}", ran.stderr());
    for (case, result) in planned
        .iter()
        .map(|case| (case, results.iter().find(|result| result["case"] == case["case"]).expect("a result of each")))
    {
        let code = expected.iter().find(|(name, _)| case["scenario"] == **name).expect("planned of these").1;
        let detail = result["detail"].as_str().unwrap_or_default();
        match code {
            None => assert_eq!(result["verdict"], "passed", "{result:#}"),
            Some(code) => assert!(detail.contains(&format!("error[{code}]")), "{code}: {result:#}"),
        }
    }
    Ok(())
}
