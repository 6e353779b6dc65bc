// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a text to a scenario that is known to be right.

use std::collections::HashSet;

use super::{
    Case, Diagnostic, ExpressionError, Node, Note, Ordered, Pack, Packs, Path, Problems, Scalar, Scenario, Scope,
    Segment, Source, Target, Template, check, did_you_mean, eval, expected_one_of,
    expression::scan,
    is_computed, render,
    schema::known_schema,
    text::decode::{decode, salvage},
    undeclared,
    verb::Verb,
};
use crate::model::{BackendName, code::Code};

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
            scenario.inherit(&manifest.pack.defaults, says_backends);
            problems.extend(mistyped_device(&scenario, &manifest.pack));
            missing &= manifest.pack.defaults.backends.is_none();
        }
        if missing {
            problems.push(no_backends(node));
            scenario.backends = Scenario::named("all").backends;
        }
        let mut found = check::check(&scenario, &pack, packs, command_line);
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

/// The complaint about a device that is none of its pack's and called nearly as one. Any other name is one that a user gives on the command
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
                scenario.inherit(&manifest.pack.defaults, node.get("backends").is_some());
            }
            Ok(Loaded { source, pack, scenario })
        }
        None => Err(Invalid { source, diagnostics: problems.into_vec() }),
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

/// Every combination of a matrix, the last value changing fastest; one empty combination without a matrix.
pub fn combinations(matrix: &Ordered<Vec<Scalar>>) -> Vec<Vec<(String, Scalar)>> {
    let mut all = vec![Vec::new()];
    for (name, values) in matrix.iter() {
        all = all
            .into_iter()
            .flat_map(|combination| {
                values.iter().map(move |value| {
                    let mut next = combination.clone();
                    next.push((name.to_owned(), value.clone()));
                    next
                })
            })
            .collect();
    }
    all
}

/// What the expressions of a case know before the run: the backend, the matrix and the variables that need no more than these.
/// An error names the variable whose expression failed.
pub fn static_scope(
    scenario: &Scenario,
    case: &Case,
    command_line: &[(String, Scalar)],
    backend: BackendName,
    combination: &[(String, Scalar)],
) -> Result<Scope, (String, ExpressionError)> {
    let combination = combination.iter().map(|(name, value)| (name.as_str(), value));
    let (scope, mut wrong) = known_scope(scenario, case, command_line, backend, combination);
    if wrong.is_empty() { Ok(scope) } else { Err(wrong.swap_remove(0)) }
}

/// [`static_scope()`] without the variables whose expressions failed, and these.
pub(in crate::language) fn known_scope<'a>(
    scenario: &Scenario,
    case: &Case,
    command_line: &[(String, Scalar)],
    backend: BackendName,
    combination: impl Iterator<Item = (&'a str, &'a Scalar)>,
) -> (Scope, Vec<(String, ExpressionError)>) {
    let mut scope = Scope::new();
    let mut wrong = Vec::new();
    scope.set("backend", backend.as_str());
    for (name, value) in scenario.vars.iter() {
        let given = command_line.iter().find(|(given, _)| given == name).map(|(_, given)| given);
        let given = given.map(|given| Scalar::in_place_of(value, &given.to_string()).unwrap_or_else(|| given.clone()));
        wrong.extend(variable(&mut scope, name, given.as_ref().unwrap_or(value)).err());
    }
    // A mistake of its own, and no value.
    for (name, value) in combination.filter(|(_, value)| is_computed(value).is_none()) {
        scope.set(name, value.value());
    }
    for (name, value) in case.vars.iter() {
        wrong.extend(variable(&mut scope, name, value).err());
    }
    (scope, wrong)
}

/// Sets a variable, unless its expression needs a name that has no value yet.
fn variable(scope: &mut Scope, name: &str, value: &Scalar) -> Result<(), (String, ExpressionError)> {
    let value = match value {
        Scalar::Text(source) if source.contains("{{") => {
            let blame = |error| (name.to_owned(), error);
            if !undeclared(source).map_err(blame)?.iter().all(|needed| scope.get(&needed.name).is_some()) {
                return Ok(());
            }
            computed(scope, source).map_err(blame)?
        }
        value => value.value(),
    };
    scope.set(name, value);
    Ok(())
}

/// What a text with expressions in it stands for: of a text that is wholly one expression its value, else a text.
pub fn computed(scope: &Scope, source: &str) -> Result<minijinja::Value, ExpressionError> {
    match scan::whole(source) {
        Some(_) => eval(scope, source),
        None => Template::new(source)?.render(scope).map(minijinja::Value::from),
    }
}

/// Sets the variables that had to wait for the device. One that fails stays unknown, and whatever uses it says so.
pub fn late_variables(scope: &mut Scope, scenario: &Scenario, case: &Case) {
    for (name, value) in scenario.vars.iter().chain(case.vars.iter()) {
        if scope.get(name).is_none() {
            let _ = variable(scope, name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_matrix_changes_fastest() {
        let matrix = Ordered(vec![
            ("a".to_owned(), vec![Scalar::Integer(1), Scalar::Integer(2)]),
            ("b".to_owned(), vec![Scalar::Text("x".into()), Scalar::Text("y".into())]),
        ]);
        let names: Vec<String> = combinations(&matrix)
            .iter()
            .map(|c| c.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!(names, ["a=1,b=x", "a=1,b=y", "a=2,b=x", "a=2,b=y"]);
        assert_eq!(combinations(&Ordered::default()), [vec![]]);
    }
}
