// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several tests need, of those that only start the binary (`tests/cli`) and of those that boot guests (`tests/lab`).

pub mod fixture;
pub mod runs;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

/// The repository's top folder.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The text of a file of the repository.
pub fn read(file: &str) -> String {
    fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The binary, as a user in the clone starts it.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfiospec"));
    command.current_dir(top()).env("NO_COLOR", "1").env("LANG", "C.UTF-8").env_remove("COLUMNS");
    command
}

/// What the binary says to these arguments.
pub fn vfiospec(arguments: &[&str]) -> Output {
    vfiospec_in(top(), arguments)
}

/// What it says to them in this folder.
pub fn vfiospec_in(folder: &Path, arguments: &[&str]) -> Output {
    command().args(arguments).current_dir(folder).output().expect("the binary starts")
}

/// The standard output and the standard error, after the exit code was compared.
#[track_caller]
pub fn expect(output: &Output, code: i32) -> (String, String) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{stdout}\nstderr:\n{stderr}");
    (stdout, stderr)
}

/// Both in one, after the exit code was compared.
#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    let (stdout, stderr) = expect(output, code);
    stdout + "\n" + &stderr
}

/// What a program printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty folder, of which each test takes its own: tests of one binary run at the same time.
#[track_caller]
pub fn folder(name: &str) -> PathBuf {
    static TAKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let is_new = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(name.to_owned());
    assert!(is_new, "two tests use a folder called {name}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// An empty folder outside of the repository; the test removes it.
pub fn folder_outside(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("vfiospec-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("there is a folder for temporary files");
    folder
}

/// The vendors' guide's pack and scenario, written to a folder.
pub fn guides_pack(at: &Path) {
    let guide = read("scenarios/README.md");
    let (_, after) = guide.split_once("<!-- a vendor's pack -->").expect("the marker");
    let blocks = blocks(after);
    fs::create_dir_all(at).expect("writable");
    fs::write(at.join("pack.yaml"), &blocks[0].2).expect("writable");
    fs::write(at.join("liveness.yaml"), &blocks[1].2).expect("writable");
}

/// The YAML blocks of a Markdown text that are whole scenarios, each with the line that its first line stands on.
///
/// A whole scenario is a block of plain `yaml` that begins with a modeline or with `name:`. A block that is only a part of one says
/// `yaml fragment`.
pub fn yaml_examples(markdown: &str) -> Vec<(usize, String)> {
    let mut examples = blocks(markdown);
    examples.retain(|(_, info, text)| {
        info == "yaml" && (text.starts_with("# yaml-language-server:") || text.starts_with("name:"))
    });
    examples.into_iter().map(|(line, _, text)| (line, text)).collect()
}

/// The fenced blocks of a Markdown text: the line that the first line of each stands on, what stands behind the fence, and the text.
pub fn blocks(markdown: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((index + 2, info.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed: {open:?}");
    blocks
}
