// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packs of vendors: folders of YAML, anywhere, as the verbs that touch no device take them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
};

use vfiospec::language::{self, Packs, Source};

use crate::common::{folder_outside, guides_pack, read, said, top, vfiospec_in};

#[test]
fn a_vendors_pack_outside_of_the_repository_works_like_ours() {
    let folder = folder_outside("outside");
    guides_pack(&folder.join("card"));
    assert!(said(&vfiospec_in(&folder, &["check", "card"]), 0).contains("1 file and 1 pack: no mistakes"));
    // The pack alone, from within it, and one scenario of it.
    said(&vfiospec_in(&folder.join("card"), &["check", "pack.yaml"]), 0);
    let listed = said(&vfiospec_in(&folder.join("card"), &["list", "liveness.yaml"]), 0);
    assert_eq!(
        listed.trim().lines().collect::<Vec<_>>(),
        ["acme.liveness.iommufd__card.inverts", "acme.liveness.iommufd__card.has_one_vector"]
    );
    let shown = said(&vfiospec_in(&folder, &["show", "inverts", "card"]), 0);
    assert!(shown.contains("call: invert") && shown.contains("number: 90"), "{shown}");

    // A scenario that lies elsewhere calls it, too.
    let other = folder.join("generic.yaml");
    let text = "name: generic\nbackends: [iommufd]\ncases:\n  - name: calls\n    steps: [{ call: invert, save: a }]\n";
    fs::write(&other, text).unwrap();
    let told = said(&vfiospec_in(&folder, &["check", "generic.yaml"]), 2);
    assert!(told.contains("no procedure is called `invert`"), "{told}");
    said(&vfiospec_in(&folder, &["check", "generic.yaml", "--pack", "card"]), 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_pack_does_not_reach_out_of_its_folder() {
    let folder = folder_outside("links");
    let (pack, outside) = (folder.join("card"), folder.join("outside.yaml"));
    guides_pack(&pack);
    fs::write(&outside, "name: outside\n").unwrap();
    symlink(&outside, pack.join("link.yaml")).unwrap();
    let told = said(&vfiospec_in(&folder, &["check", "card"]), 2);
    assert!(told.contains("link.yaml") && told.contains("out of its folder"), "{told}");
    fs::remove_file(pack.join("link.yaml")).unwrap();

    fs::rename(pack.join("pack.yaml"), &outside).unwrap();
    symlink(&outside, pack.join("pack.yaml")).unwrap();
    let told = said(&vfiospec_in(&folder, &["check", "card"]), 2);
    assert!(told.contains("pack.yaml") && told.contains("out of its folder"), "{told}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_strangers_pack_is_refused_before_it_does_harm() {
    let folder = folder_outside("hostile");
    let pack = |procedures: &str| {
        format!("name: hostile\ndevices: {{ x: {{ ids: [\"1234:11e8\"] }} }}\nprocedures:\n{procedures}")
    };
    let calls = |name: usize| {
        let again = format!("{{ call: p{} }}, ", name + 1).repeat(50);
        format!("  p{name}: {{ summary: x, steps: [{again}] }}\n")
    };
    for (name, text) in [
        ("deep", pack(&format!("  a: {{ summary: x, steps: {}1{} }}\n", "[".repeat(100_000), "]".repeat(100_000)))),
        ("bomb", {
            let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
            (1..12).for_each(|n| bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")));
            bomb
        }),
        ("chain", pack(&((0..40).map(calls).collect::<String>() + "  p40: { summary: x, steps: [{ info: }] }\n"))),
        ("rounds", pack("  a: { summary: x, steps: [{ repeat: { times: 999999999999, steps: [{ info: }] } }] }\n")),
        ("huge", pack("  a: { summary: x, gives: { v: \"{{ 'x' * 1000000000 }}\" } }\n")),
    ] {
        let at = folder.join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("pack.yaml"), text).unwrap();
        let told = said(&vfiospec_in(&folder, &["check", name]), 2);
        assert!(told.contains("error["), "{name}: {told}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A fix as the table of `scenarios/fixes/README.md` has it, and as the cases name it: its key, its title, its releases.
type Fixed = (String, String, String);

/// The rows of the table, each with its cases; none if the row says why.
fn rows_of_fixes() -> Vec<(Fixed, BTreeSet<String>)> {
    let readme = read("scenarios/fixes/README.md");
    let (_, table) = readme.split_once("| title | commit |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|')).map(|line| {
        let columns: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [title, commit, releases, user_sees, case] = columns[..] else { panic!("five columns: {line}") };
        assert!(!user_sees.is_empty() && !case.is_empty(), "each row names a case, or says why it has no case: {line}");
        let key = if commit.is_empty() { title } else { commit.trim_matches('`') };
        let cases = case.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        ((key.to_owned(), title.to_owned(), releases.to_owned()), cases)
    });
    rows.collect()
}

#[test]
fn the_table_of_fixes_and_the_cases_name_each_other() {
    let rows = rows_of_fixes();
    let mut keys = BTreeSet::new();
    rows.iter().for_each(|((key, ..), _)| assert!(keys.insert(key), "two rows for {key}"));
    let folder = top().join("scenarios/fixes");
    let mut packs = Packs::default();
    packs.add(Source::new("pack.yaml", read("scenarios/fixes/pack.yaml"))).expect("a pack");
    // Cases call the procedures of devices.
    for vendor in fs::read_dir(top().join("scenarios/vendor")).expect("the packs of vendors") {
        let file = vendor.expect("an entry").path().join("pack.yaml");
        packs.add(Source::new("pack.yaml", fs::read_to_string(file).expect("readable"))).expect("a pack");
    }
    let mut named: BTreeMap<Fixed, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the pack") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.ends_with(".yaml") || name == "pack.yaml" {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        let loaded = language::load(Source::new(name, text), "fixes".into(), &packs, &[]).expect("a scenario");
        for case in &loaded.scenario.cases {
            let fixes = loaded.scenario.fixes_of(case);
            // What nobody has fixed yet is a known issue.
            let known = case.known_issue.is_some();
            let case = format!("{}.{}", loaded.scenario.name, case.name);
            assert!(known || !fixes.is_empty(), "{case} names no fix, and no known issue");
            for fix in fixes {
                let releases: Vec<String> = fix.releases.iter().map(ToString::to_string).collect();
                let fixed = (fix.key().to_owned(), fix.title.clone(), releases.join(", "));
                named.entry(fixed).or_default().insert(case.clone());
            }
        }
    }
    let in_table: BTreeMap<_, _> = rows.into_iter().filter(|(_, cases)| !cases.is_empty()).collect();
    assert_eq!(in_table, named, "left: scenarios/fixes/README.md; right: what the cases name in `fixes`");
}
