// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec coverage`, on tracefiles as `lab run --coverage` leaves them.

use std::{fs, path::Path};

use crate::common::{expect, folder, vfiospec};

/// A tracefile in a folder of its own, as a run leaves it: `bind` ran, and these lines of `unbind`.
fn tracefile(folder: &Path, name: &str, unbind: [u32; 2]) -> String {
    let run = folder.join(name);
    fs::create_dir_all(&run).unwrap();
    let text = format!(
        "TN:7_3_4\nSF:drivers/vfio/group.c\nFN:10,bind\nFN:20,unbind\nFNDA:3,bind\nFNDA:{0},unbind\nFNF:2\nFNH:1\n\
         BRDA:11,0,0,3\nBRDA:11,0,1,0\nBRF:2\nBRH:1\nDA:10,3\nDA:11,3\nDA:20,{0}\nDA:21,{1}\nLF:4\nLH:2\nend_of_record\n",
        unbind[0], unbind[1]
    );
    fs::write(run.join("coverage.info"), text).unwrap();
    run.display().to_string()
}

#[test]
fn one_run_is_a_table_with_the_largest_functions_that_never_ran() {
    let run = tracefile(&folder("coverage-one"), "run", [0, 0]);
    let expected = "\
file                            lines         branches        functions
drivers/vfio/group.c        50 % of 4        50 % of 2        50 % of 2
all of these                50 % of 4        50 % of 2        50 % of 2

the largest of 1 function that never ran
     2 lines  unbind  drivers/vfio/group.c:20
";
    assert_eq!(expect(&vfiospec(&["coverage", &run]), 0).0, expected);
    // The file is as good as its folder.
    assert_eq!(expect(&vfiospec(&["coverage", &format!("{run}/coverage.info")]), 0).0, expected);
}

#[test]
fn runs_of_one_label_add_up_and_others_stand_beside_them() {
    let folder = folder("coverage-columns");
    let runs = [("edu", [0, 0]), ("igb", [1, 0]), ("explore", [1, 1])].map(|(name, ran)| tracefile(&folder, name, ran));
    let columns = [format!("packs={}", runs[0]), format!("packs={}", runs[1]), format!("explore={}", runs[2])];
    let expected = "\
| file | lines | packs | explore |
|---|---:|---:|---:|
| drivers/vfio/group.c | 4 | 75 % | 100 % |
";
    let output = vfiospec(&["coverage", &columns[0], &columns[1], &columns[2]]);
    assert_eq!(expect(&output, 0).0, expected);
}

#[test]
fn what_one_run_adds_is_told_by_function() {
    let folder = folder("coverage-against");
    let (before, after) = (tracefile(&folder, "before", [0, 0]), tracefile(&folder, "after", [1, 0]));
    let expected = "\
after reaches 1 line in 1 file that before does not reach

drivers/vfio/group.c: 1 line
  unbind: 20
";
    let output = vfiospec(&["coverage", &format!("before={before}"), "--against", &format!("after={after}")]);
    assert_eq!(expect(&output, 0).0, expected);
}
