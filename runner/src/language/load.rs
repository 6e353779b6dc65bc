// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a text to a scenario that is known to be right.

use std::collections::HashSet;

use super::text::decode::{decode, salvage};
use super::{
    Diagnostic, Node, Note, Pack, Packs, Path, Problems, Scalar, Scenario, Segment, Source, Target, Value, check,
    did_you_mean, expected_one_of, render, schema::known_schema, text::node::Key, verb::Verb,
};
use crate::model::code::Code;

/// A scenario and the text that it was read from.
pub struct Loaded {
    /// The text, for messages that point into it.
    pub source: Source,
    /// The pack that it belongs to.
    pub pack: String,
    /// What it says.
    pub scenario: Scenario,
}

/// A text that is no valid scenario, with everything that is wrong with it.
#[derive(Debug)]
pub struct Invalid {
    /// The text.
    pub source: Source,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

impl Invalid {
    /// All that is wrong, with the lines and carets.
    pub fn render(&self, colour: bool) -> String {
        render(&self.source, &self.diagnostics, colour)
    }
}

/// Reads and checks a scenario of the pack of this name. `command_line` holds the variables that override those of the file.
pub fn load(source: Source, pack: String, packs: &Packs, command_line: &[(String, Scalar)]) -> Result<Loaded, Invalid> {
    let mut problems = Problems::new();
    let node = match source.tree() {
        Ok(node) => node,
        Err(problem) => return Err(Invalid { diagnostics: vec![problem.clone()], source }),
    };
    let salvaged = salvage::<Scenario>(node, known_schema, Verb::NAMES, &mut problems);
    let scenario = salvaged.map(|(mut scenario, wounds)| {
        let says_backends = node.get("backends").is_some();
        let mut missing = !says_backends;
        problems.extend(scenario.find_conditions(&pack, packs));
        if let Some(manifest) = packs.get(&pack) {
            problems.extend(taken_by_pack(&scenario, &manifest.pack));
            scenario.inherit(&manifest.pack, says_backends);
            problems.extend(mistyped_device(&scenario, &manifest.pack));
            missing &= manifest.pack.defaults.backends.is_none();
        }
        if missing {
            problems.push(no_backends(node));
            scenario.backends = Scenario::named("all").backends;
        }
        let mut found = check::check(&scenario, &pack, packs, command_line);
        found.extend(unused_requests(node));
        // On which backends what is expected is not known then.
        found.retain(|problem| !(missing && matches!(problem.code, Code::UnmatchedBackend | Code::Unreachable)));
        problems.extend(found.into_iter().filter(|problem| !wounds.explain(problem)));
        scenario
    });
    match scenario.filter(|_| problems.is_empty()) {
        Some(scenario) => Ok(Loaded { source, pack, scenario }),
        None => {
            let mut diagnostics = problems.into_vec();
            // A region or a request of the file is in many cases, and a mistake in it is one mistake.
            let mut seen = HashSet::new();
            diagnostics.retain(|problem| seen.insert((source.place(problem).span.start, problem.title.clone())));
            diagnostics.iter_mut().for_each(|problem| say_where_used(&source, problem));
            Err(Invalid { source, diagnostics })
        }
    }
}

/// Adds the `ioctl` to a mistake in the request of the file that it is like: with its case's names the request may be right or wrong.
fn say_where_used(source: &Source, problem: &mut Diagnostic) {
    let segments = problem.path.segments();
    let Some(end) = segments.iter().position(|segment| *segment == Segment::from("ioctl")) else { return };
    let ioctl: Path = segments[..=end].iter().cloned().collect();
    if source.place(problem).span.start < source.locate(&ioctl, Target::Key).span.start {
        problem.notes.push(Note { path: ioctl, target: Target::Key, label: "used here".to_owned() });
    }
}

/// The complaint about a device whose name is nearly one of the pack's. Any other name is one that a user gives on the command
/// line, and so is that of the second of several: `card2`.
fn mistyped_device(scenario: &Scenario, pack: &Pack) -> Option<Diagnostic> {
    let name = scenario.device.as_ref()?.0.as_str();
    let plain = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    if name == "any" || pack.devices.keys().any(|role| plain(role) == plain(name)) {
        return None;
    }
    let near = did_you_mean(name, pack.devices.keys())?;
    let title = format!("the pack `{}` knows no device `{name}`", pack.name);
    let problem = Diagnostic::error(Code::UnknownRole, Path::root().join("device"), title);
    Some(problem.label(expected_one_of(pack.devices.keys())).help(near))
}

/// The file's variables whose names the pack has for all its scenarios.
fn taken_by_pack<'a>(scenario: &'a Scenario, pack: &'a Pack) -> impl Iterator<Item = Diagnostic> + 'a {
    let taken = scenario.vars.keys().filter(|name| pack.vars.get(name).is_some());
    taken.map(|name| {
        let title = format!("`{name}` is already a variable of the pack `{}`", pack.name);
        Diagnostic::error(Code::NameTaken, Path::root().join("vars").join(name), title)
            .at(Target::Key)
            .label("expected another name for a variable")
            .help(format!("all scenarios of the pack have its `{name}`: remove this one, or give it another name"))
    })
}

/// Reads a scenario that was checked before.
pub fn read(source: Source, pack: String, packs: &Packs) -> Result<Loaded, Invalid> {
    let node = match source.tree() {
        Ok(node) => node,
        Err(problem) => return Err(Invalid { diagnostics: vec![problem.clone()], source }),
    };
    let mut problems = Problems::new();
    match decode::<Scenario>(node, &mut problems).filter(|_| problems.is_empty()) {
        Some(mut scenario) => {
            scenario.find_conditions(&pack, packs);
            if let Some(manifest) = packs.get(&pack) {
                scenario.inherit(&manifest.pack, node.get("backends").is_some());
            }
            Ok(Loaded { source, pack, scenario })
        }
        None => Err(Invalid { source, diagnostics: problems.into_vec() }),
    }
}

/// The file's requests that no `ioctl` is like. A copy keeps the place where it is written, so that the places tell.
fn unused_requests(node: &Node) -> Vec<Diagnostic> {
    let mut copied = HashSet::new();
    keys_of_ioctls(node.get("cases"), &mut copied);
    let requests = node.get("requests").map_or(&[][..], Node::entries);
    let unused = requests.iter().filter(|(_, request)| {
        let keys = request.entries();
        // Where something else is wrong with a request, that is why.
        !keys.is_empty()
            && request.get("like").is_none()
            && !keys.iter().any(|(key, _)| copied.contains(&key.extent.range().start))
    });
    let mistake = |(name, _): &(Key, Node)| {
        let at = Path::root().join("requests").join(name.text.as_str());
        Diagnostic::error(Code::UnusedRequest, at, format!("no step uses the request `{}`", name.text))
            .at(Target::Key)
            .label(format!("expected an `ioctl` with `like: {}`", name.text))
            .help("remove the request, or use it")
    };
    unused.map(mistake).collect()
}

/// Adds where the keys of each `ioctl` are written.
fn keys_of_ioctls(node: Option<&Node>, places: &mut HashSet<usize>) {
    let Some(node) = node else { return };
    for (key, value) in node.entries() {
        if key.text == "ioctl" {
            places.extend(value.entries().iter().map(|(key, _)| key.extent.range().start));
        } else {
            keys_of_ioctls(Some(value), places);
        }
    }
    if let Value::Sequence(elements) = node.value() {
        elements.iter().for_each(|element| keys_of_ioctls(Some(element), places));
    }
}

/// The complaint about a scenario without backends.
fn no_backends(node: &Node) -> Diagnostic {
    let first = node.entries().first().map(|(key, _)| key.text.as_str());
    let path = first.map_or_else(Path::root, |key| Path::root().join(key));
    Diagnostic::error(Code::MissingKey, path, "missing key `backends` in a scenario")
        .at(Target::Key)
        .label("`backends` is required here, or in the `defaults` of the scenario's pack")
}
