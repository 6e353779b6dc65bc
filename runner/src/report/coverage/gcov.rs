// SPDX-License-Identifier: MIT OR Apache-2.0
//! What gcov says of the counters of a kernel: its JSON, whose format number is 2 since GCC 14.

use serde::Deserialize;

use super::{Coverage, File, Function};

#[derive(Deserialize)]
struct Document {
    files: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    file: String,
    functions: Vec<Counted>,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Counted {
    name: String,
    start_line: u32,
    execution_count: u64,
}

#[derive(Deserialize)]
struct Line {
    line_number: u32,
    count: u64,
    #[serde(default)]
    branches: Vec<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    count: u64,
}

/// The folders of the kernel whose files count. Others have inline functions that are compiled into these.
const FOLDERS: [&str; 2] = ["drivers/vfio/", "drivers/iommu/"];

/// Reads gcov's documents, one in each line.
///
/// # Errors
/// A document cannot be read.
pub fn of_gcov(documents: &str, kernel: &str) -> Result<Coverage, serde_json::Error> {
    let mut coverage = Coverage { kernel: name(kernel), ..Coverage::default() };
    for document in documents.lines().filter(|line| !line.trim().is_empty()) {
        let document: Document = serde_json::from_str(document)?;
        for Source { file, functions, lines } in document.files {
            let Some(path) = path(&file) else { continue };
            let into = coverage.files.entry(path.to_owned()).or_default();
            let calls = |one: Counted| (one.start_line, Function { name: one.name, calls: one.execution_count });
            functions.into_iter().map(calls).for_each(|(line, function)| into.function(line, function));
            lines.into_iter().for_each(|line| add(into, &line));
        }
    }
    Ok(coverage)
}

/// A line is there once for each function that it is compiled into.
fn add(file: &mut File, line: &Line) {
    file.line(line.line_number, line.count);
    (0..).zip(&line.branches).for_each(|(number, branch)| file.branch((line.line_number, number), branch.count));
}

/// The path of a file in the kernel's source, if it counts.
fn path(file: &str) -> Option<&str> {
    let inside = FOLDERS.iter().filter_map(|folder| file.rfind(&format!("/{folder}"))).max();
    match inside {
        Some(at) => Some(&file[at + 1..]),
        None => FOLDERS.iter().any(|folder| file.starts_with(folder)).then_some(file),
    }
}

/// A name that a tracefile can hold.
fn name(kernel: &str) -> String {
    let words = kernel.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::coverage::tests::file;

    const GROUP: &str = r#"{"gcc_version":"14","format_version":"2","files":[
        {"file":"/c/sources/7/tree/drivers/vfio/group.c","functions":[
            {"name":"bind","demangled_name":"bind","start_line":10,"end_line":13,"blocks":4,"execution_count":3},
            {"name":"unbind","demangled_name":"unbind","start_line":20,"end_line":22,"blocks":4,"execution_count":0}],
         "lines":[
            {"line_number":10,"function_name":"bind","count":3,"unexecuted_block":false,"branches":[]},
            {"line_number":11,"function_name":"bind","count":3,"branches":[{"count":3,"throw":false},{"count":0,"throw":false}]},
            {"line_number":12,"function_name":"bind","count":0},
            {"line_number":20,"function_name":"unbind","count":0},
            {"line_number":21,"function_name":"unbind","count":0}]},
        {"file":"/c/sources/7/tree/include/linux/slab.h","functions":[],"lines":[{"line_number":1,"count":1}]}]}"#;

    #[test]
    fn files_of_the_folders_count_and_headers_of_others_do_not() {
        let document = GROUP.replace('\n', "");
        let coverage = of_gcov(&document, "7.3.4-1~bpo13+1 --coverage").unwrap();
        assert_eq!(coverage.kernel, "7_3_4_1_bpo13_1_coverage");
        assert_eq!(coverage.files, [("drivers/vfio/group.c".to_owned(), file())].into());
    }

    #[test]
    fn a_header_adds_up_over_the_objects_that_it_is_compiled_into() {
        let document = GROUP.replace('\n', "");
        let twice = of_gcov(&format!("{document}\n{document}\n"), "7").unwrap();
        assert_eq!(twice.files["drivers/vfio/group.c"].lines[&10], 6);
        assert_eq!(twice.files["drivers/vfio/group.c"].functions[&10].calls, 6);
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        assert!(of_gcov("group.gcno:stamp mismatch", "7").is_err());
        assert_eq!(of_gcov("", "7").unwrap().files.len(), 0);
    }

    #[test]
    fn a_path_begins_where_the_kernels_tree_does() {
        assert_eq!(path("drivers/iommu/iommu.c"), Some("drivers/iommu/iommu.c"));
        assert_eq!(path("/a/drivers/vfio/b/drivers/iommu/x.h"), Some("drivers/iommu/x.h"));
        assert_eq!(path("./include/linux/pci.h"), None);
    }
}
