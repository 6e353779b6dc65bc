//! What one decoding has reported, and what it leaves out of the tree since.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use super::diagnostic::Diagnostic;
use super::fault::{Fault, Inner, Kind, Site};
use super::node::Node;
use super::path::{Path, Segment};
use super::shape::Shape;
use super::stand_in::ATTEMPTS;
use crate::language::scenario::step::VERB;
use crate::model::code::Code;

/// A value that was reported is not decoded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::language) enum Treatment {
    /// As if its entry or element was not written.
    Hidden,
    /// A made-up value takes its place: this attempt.
    StandIn(usize),
}

/// Serde stops at the first mistake in a value. So the tree is decoded again with that value left out, until nothing is
/// wrong or nothing is left; list elements that passed are left out too, which keeps the work in proportion to the text.
/// Without a mistake there is one pass.
pub(in crate::language) struct Session {
    /// Where the tree's root stands in its document.
    pub base: Path,
    /// The document's schema, where there is one.
    schema: Option<fn() -> &'static serde_json::Value>,
    /// The most diagnostics that are kept.
    limit: usize,
    found: RefCell<Vec<Diagnostic>>,
    once: RefCell<HashSet<usize>>,
    repairing: Cell<bool>,
    repairs: RefCell<Repairs>,
}

#[derive(Default)]
struct Repairs {
    values: HashMap<usize, Treatment>,
    supplied: HashMap<usize, Vec<(&'static str, usize)>>,
    starts: HashMap<usize, usize>,
    blamed: Vec<Path>,
    /// List elements that are left out.
    hidden: Vec<Path>,
    /// Values that were made up where another message tells why.
    made_up: Vec<Path>,
}

/// Nodes are told apart by where they are in memory: a tree is borrowed, and so stays where it is, while it is decoded.
pub(in crate::language) fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Session {
    pub fn new(base: Path, limit: usize) -> Self {
        Session {
            base,
            schema: None,
            limit,
            found: RefCell::default(),
            once: RefCell::default(),
            repairing: Cell::new(false),
            repairs: RefCell::default(),
        }
    }

    /// The same for a document with a schema.
    pub fn with_schema(self, schema: fn() -> &'static serde_json::Value) -> Self {
        Session { schema: Some(schema), ..self }
    }

    pub fn into_found(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }

    /// Whether no more diagnostics are kept.
    pub fn is_full(&self) -> bool {
        self.found.borrow().len() >= self.limit
    }

    pub fn is_repairing(&self) -> bool {
        self.repairing.get()
    }

    /// Reports a mistake that does not stop the decoding, in the first pass that comes across it.
    pub fn report_once<D: Into<Option<Diagnostic>>>(&self, node: &Node, diagnostic: impl FnOnce() -> D) {
        if self.once.borrow_mut().insert(address(node)) && !self.is_full() {
            let diagnostic = diagnostic();
            self.found.borrow_mut().extend(diagnostic.into());
        }
    }

    /// What is known of the document's places.
    pub fn shape(&self) -> Option<Shape> {
        self.schema.map(|schema| Shape(schema()))
    }

    pub fn treatment(&self, node: &Node) -> Option<Treatment> {
        if !self.is_repairing() {
            return None;
        }
        self.repairs.borrow().values.get(&address(node)).copied()
    }

    /// Keys that a mapping lacks, to be made up.
    pub fn supplied(&self, mapping: &Node) -> Vec<(&'static str, usize)> {
        self.repairs.borrow().supplied.get(&address(mapping)).cloned().unwrap_or_default()
    }

    /// The first element of a list that has not passed yet.
    pub fn start(&self, list: &Node) -> usize {
        self.repairs.borrow().starts.get(&address(list)).copied().unwrap_or_default()
    }

    /// Lets list elements that passed be decoded again.
    pub fn rewind(&self) {
        self.repairs.borrow_mut().starts.clear();
    }

    /// The list elements that are left out.
    pub fn hidden_elements(&self) -> Vec<Path> {
        self.repairs.borrow().hidden.clone()
    }

    /// The values that were made up without a message of their own.
    pub fn made_up(&self) -> Vec<Path> {
        self.repairs.borrow().made_up.clone()
    }

    /// Reports a fault and works around it; `false` when there is no way around.
    pub fn repair(&self, root: &Node, fault: Fault) -> bool {
        self.repairing.set(true);
        let Inner { kind, site } = *fault.0;
        let Some(site) = site else { return false };
        let mut repairs = self.repairs.borrow_mut();
        repairs.skip_passed(&self.base, &site);
        match &kind {
            Kind::StandIn { owner, key: Some(key) } => {
                let supplied = repairs.supplied.entry(*owner).or_default();
                match supplied.iter_mut().find(|(name, _)| name == key) {
                    Some((_, attempt)) if *attempt + 1 < ATTEMPTS => {
                        *attempt += 1;
                        true
                    }
                    _ => repairs.leave_out(&self.base, &site.path, &site.nodes),
                }
            }
            Kind::StandIn { owner, key: None } => match repairs.values.get_mut(owner) {
                Some(Treatment::StandIn(attempt)) if *attempt + 1 < ATTEMPTS => {
                    *attempt += 1;
                    true
                }
                _ => {
                    let above = site.nodes.split_last().map_or(&[][..], |(_, above)| above);
                    repairs.leave_out(&self.base, &site.path, above)
                }
            },
            Kind::Missing(key) => {
                let mapping = node_at(root, &self.base, &site.path);
                // Missing because it was left out: that is reported already.
                if let Some(value) = mapping.and_then(|mapping| mapping.get(key))
                    && let Some(treatment) = repairs.values.get_mut(&address(value))
                {
                    *treatment = Treatment::StandIn(0);
                    return true;
                }
                let parent = site.path.parent().and_then(|above| node_at(root, &self.base, &above));
                let is_beside =
                    parent.zip(self.shape()).is_some_and(|(parent, shape)| shape.is_beside(&site, key, parent));
                // A step without a verb is told of unless something else is wrong in it, which may be its verb.
                let is_told =
                    *key == VERB && self.found.borrow().iter().any(|found| found.path.starts_with(&site.path));
                match is_beside || is_told || self.is_misspelt(&site, key) {
                    true => repairs.made_up.push(site.path.join(*key)),
                    false => self.report(&site, &kind),
                }
                let Some(owner) = site.nodes.last() else { return false };
                let supplied = repairs.supplied.entry(*owner).or_default();
                if supplied.iter().any(|(name, _)| name == key) {
                    return repairs.leave_out(&self.base, &site.path, &site.nodes);
                }
                supplied.push((key, 0));
                true
            }
            Kind::Complaint(complaint) => {
                let follows = repairs.blamed.iter().any(|blamed| blamed.starts_with(&site.path));
                if !follows {
                    self.report(&site, &kind);
                }
                let mut nodes = site.nodes.clone();
                if let Some(at) = &complaint.at
                    && let Some(value) = node_at(root, &self.base, &site.path).and_then(|node| node.get(&at.key))
                {
                    nodes.push(address(value));
                }
                repairs.blamed.push(site.path.clone());
                repairs.leave_out(&self.base, &site.path, &nodes)
            }
            Kind::Type { .. } | Kind::Variant { .. } => {
                self.report(&site, &kind);
                repairs.blamed.push(site.path.clone());
                repairs.leave_out(&self.base, &site.path, &site.nodes)
            }
        }
    }

    /// Whether a missing key was reported already, as an unknown key that probably means it, or a merge that would have brought it.
    fn is_misspelt(&self, site: &Site, key: &str) -> bool {
        let name = format!("`{key}`");
        self.found.borrow().iter().any(|found| {
            let means_it = match found.code {
                Code::UnknownKey => found.help.iter().any(|sentence| sentence.contains(&name)),
                code => code == Code::MergeKey,
            };
            means_it && found.path.parent().as_ref() == Some(&site.path)
        })
    }

    fn report(&self, site: &Site, kind: &Kind) {
        let Some(mut diagnostic) = site.diagnostic(kind) else { return };
        if let Some(shape) = self.shape() {
            shape.advise(&mut diagnostic, site, kind);
        }
        let mut found = self.found.borrow_mut();
        if found.len() < self.limit && !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
}

impl Repairs {
    /// Leaves out the last of these nodes; when it is left out already, the one above.
    fn leave_out(&mut self, base: &Path, path: &Path, nodes: &[usize]) -> bool {
        for (depth, node) in nodes.iter().enumerate().rev() {
            if depth == 0 {
                return false;
            }
            if self.values.get(node) != Some(&Treatment::Hidden) {
                self.values.insert(*node, Treatment::Hidden);
                let steps = base.segments().len() + depth;
                if let Some(Segment::Index(_)) = path.segments().get(steps - 1) {
                    self.hidden.push(path.segments()[..steps].iter().cloned().collect());
                }
                return true;
            }
        }
        false
    }

    fn skip_passed(&mut self, base: &Path, site: &Site) {
        let steps = site.path.segments().iter().skip(base.segments().len());
        for (list, segment) in site.nodes.iter().zip(steps) {
            if let Segment::Index(index) = segment {
                let start = self.starts.entry(*list).or_default();
                *start = (*start).max(*index);
            }
        }
    }
}

fn node_at<'n>(root: &'n Node, base: &Path, path: &Path) -> Option<&'n Node> {
    root.at(&path.segments().iter().skip(base.segments().len()).cloned().collect())
}
