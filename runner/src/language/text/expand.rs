// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a scenario says once for several cases: the `regions` of the file, and the `requests` that an `ioctl` may be `like`.
//!
//! Both are copied to where they are used before the tree is decoded, so that everything after it sees whole cases. A copy keeps the
//! place where it is written: a message about it points there.

use super::node::{Key, Node, Value};
use super::{diagnostic::Diagnostic, syntax};

/// What a file says once, with its key.
type Entry = (Key, Node);

/// The regions and requests of a file.
struct Copies {
    regions: Option<Entry>,
    requests: Vec<Entry>,
    /// What copies may still cost, in nodes and bytes of text: a small file must not stand for a huge tree.
    budget: usize,
}

/// Copies the file's `regions` into its cases with steps, except where a case has one of the same name, and the keys and fields of a
/// request into each `ioctl` that is `like` it, except those that the `ioctl` has itself.
///
/// An `ioctl` that is like none of the file's `requests` stays as it is: the check reports it.
pub(super) fn expand(root: &mut Node, length: usize) -> Result<(), Box<Diagnostic>> {
    let regions = root.entries().iter().find(|(key, _)| key.text == "regions").cloned();
    let requests = root.get("requests").map_or(Vec::new(), |node| node.entries().to_vec());
    if regions.is_none() && requests.is_empty() {
        return Ok(());
    }
    let mut copies = Copies { regions, requests, budget: length.saturating_mul(4) + (64 << 10) };
    let cases = root.get_mut("cases").map(Node::elements_mut).unwrap_or_default();
    for case in cases.iter_mut().filter(|case| case.get("steps").is_some()) {
        copies.regions_into(case)?;
        if let Some(steps) = case.get_mut("steps").filter(|_| !copies.requests.is_empty()) {
            copies.requests_into(steps)?;
        }
    }
    Ok(())
}

impl Copies {
    fn regions_into(&mut self, case: &mut Node) -> Result<(), Box<Diagnostic>> {
        let Some((key, regions)) = &self.regions else { return Ok(()) };
        match case.get_mut("regions") {
            Some(own) => {
                let added = missing(regions.entries(), own.entries());
                pay(&mut self.budget, &added)?;
                own.rewrite("", added);
            }
            None => {
                let added = vec![(key.clone(), regions.clone())];
                pay(&mut self.budget, &added)?;
                case.rewrite("", added);
            }
        }
        Ok(())
    }

    fn requests_into(&mut self, node: &mut Node) -> Result<(), Box<Diagnostic>> {
        for (key, value) in node.entries_mut() {
            match key.text.as_str() {
                "ioctl" => self.request_into(value)?,
                _ => self.requests_into(value)?,
            }
        }
        node.elements_mut().iter_mut().try_for_each(|element| self.requests_into(element))
    }

    fn request_into(&mut self, ioctl: &mut Node) -> Result<(), Box<Diagnostic>> {
        let Some(Value::Text(like)) = ioctl.get("like").map(Node::value) else { return Ok(()) };
        let request =
            self.requests.iter().find(|(key, _)| key.text == *like).filter(|_| ioctl.get("request").is_none());
        let Some((_, request)) = request else { return Ok(()) };
        if let (Some(fields), Some(own)) = (request.get("fields"), ioctl.get_mut("fields")) {
            let added = missing(fields.entries(), own.entries());
            pay(&mut self.budget, &added)?;
            own.rewrite("", added);
        }
        let added = missing(request.entries(), ioctl.entries());
        pay(&mut self.budget, &added)?;
        ioctl.rewrite("like", added);
        Ok(())
    }
}

/// Those of the entries whose key the others do not have.
fn missing(entries: &[Entry], others: &[Entry]) -> Vec<Entry> {
    entries.iter().filter(|(key, _)| others.iter().all(|(other, _)| other.text != key.text)).cloned().collect()
}

/// Takes what these copies cost from the budget.
fn pay(budget: &mut usize, added: &[Entry]) -> Result<(), Box<Diagnostic>> {
    let cost = |(key, node): &Entry| key.text.len() + node.cost();
    for entry in added {
        *budget = budget.checked_sub(cost(entry)).ok_or_else(|| syntax::copies(entry.0.extent.range()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Target;
    use super::super::path::Path;
    use super::super::source::Source;
    use crate::model::code::Code;

    const TEXT: &str = "\
regions: { a: { size: 1 }, b: { size: 2 } }
requests: { map: { request: MAP, on: iommu, fields: { flags: 7, iova: 1 } } }
cases:
  - steps: [{ ioctl: { like: map, fields: { flags: 3 } } }, { repeat: { steps: [{ ioctl: { like: map, size: 8 } }] } }]
    regions: { b: { size: 3 } }
  - steps: [{ ioctl: { like: none } }, { ioctl: { like: map, request: UNMAP } }]
  - region: { size: 4 }
";

    #[test]
    fn a_case_gets_what_the_file_says_once_and_keeps_what_is_its_own() {
        let source = Source::new("f", TEXT);
        let cases = source.tree().unwrap().get("cases").unwrap().to_string();
        let expected = "[{steps: [\
            {ioctl: {request: MAP, on: iommu, fields: {iova: 1, flags: 3}}}, \
            {repeat: {steps: [{ioctl: {request: MAP, on: iommu, fields: {flags: 7, iova: 1}, size: 8}}]}}], \
            regions: {a: {size: 1}, b: {size: 3}}}, \
            {regions: {a: {size: 1}, b: {size: 2}}, steps: [{ioctl: {like: none}}, {ioctl: {like: map, request: UNMAP}}]}, \
            {region: {size: 4}}]";
        assert_eq!(cases, expected);
    }

    #[test]
    fn a_copy_points_to_where_it_is_written() {
        let source = Source::new("f", TEXT);
        let path = |keys: &[&str]| keys.iter().fold(Path::root().join("cases").join(0), |path, key| path.join(*key));
        let fields = path(&["steps"]).join(0).join("ioctl").join("fields");
        for (path, line, column) in
            [(path(&["regions", "a", "size"]), 1, 23), (fields.join("iova"), 2, 71), (fields.join("flags"), 4, 52)]
        {
            let place = source.locate(&path, Target::Value);
            assert_eq!((place.line, place.column), (line, column), "{path}");
        }
    }

    #[test]
    fn copies_cannot_make_a_huge_tree_of_a_small_file() {
        let tail = "1, ".repeat(20_000);
        let steps = "{ ioctl: { like: big } }, ".repeat(10_000);
        let text = format!("requests: {{ big: {{ tail: [{tail}] }} }}\ncases: [{{ steps: [{steps}] }}]\n");
        assert_eq!(Source::new("f", text).tree().unwrap_err().code, Code::AliasBomb);
    }
}
