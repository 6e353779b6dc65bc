// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conditions of cases: written where they are required, or once in the pack.

use std::{collections::BTreeMap, path::Component, sync::Arc};

use schemars::json_schema;

use crate::language::{
    At, Decode, Diagnostic, Dynamic, MACHINE, Name, Node, Packs, Path, Scenario, Template, Value, described,
    did_you_mean, expected_one_of, keys,
};
use crate::{language::text::suggest::shorten, model::code::Code};

keys! {
    /// A condition that a case requires.
    #[serde(serialize)]
    pub struct Condition {
        /// What must be true.
        #[example("{{ bar.size >= 2 * page_size }}")]
        pub that: Dynamic<bool>,
        /// Why the case does not apply if it is false, for the report.
        #[example("a part of a BAR needs one of two pages or more")]
        pub because: Template,
        /// The file of a machine of the lab where it is true, `NAME.lab.yaml` beside this file or below. A case that is skipped says so.
        #[example("labs/one_group.lab.yaml")]
        pub lab: Option<String>,
    }
}

impl Condition {
    /// What is wrong with the name of its machine, where the condition stands at `at`.
    pub fn mistake(&self, at: &Path) -> Option<Diagnostic> {
        let lab = self.lab.as_ref()?;
        let is_below = std::path::Path::new(lab).components().all(|part| matches!(part, Component::Normal(_)));
        (!is_below || !lab.ends_with(MACHINE)).then(|| {
            let title = format!("`{}` is no file of a machine", shorten(lab));
            Diagnostic::error(Code::NoMachine, at.join("lab"), title)
                .label("expected NAME.lab.yaml, in the folder of this file or below")
        })
    }
}

/// What a case requires: a condition, or the name of one that its pack has.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// The name, if it is the pack's.
    pub name: Option<Name>,
    /// The condition. That of a name is known once the pack is.
    pub condition: Option<Arc<Condition>>,
}

impl Decode for Requirement {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Text(name) if Name::is_valid(name) => {
                Some(Requirement { name: Some(Name(name.clone())), condition: None })
            }
            Value::Mapping(_) => {
                let condition = Condition::decode(node, at)?;
                Some(Requirement { name: None, condition: Some(Arc::new(condition)) })
            }
            _ => at.wrong_type(node, "the name of a condition of the pack, or `that` and `because`"),
        }
    }

    fn made_up() -> Self {
        Requirement { name: None, condition: None }
    }
}

described!(Requirement, |generator| {
    let (name, condition) = (generator.subschema_for::<Name>(), generator.subschema_for::<Condition>());
    json_schema!({
        "description": "A condition, or the name of one that the pack has in `conditions`.",
        "anyOf": [name, condition],
        "examples": [{ "that": "{{ bar.size >= 2 * page_size }}", "because": "a part of a BAR needs one of two pages or more" }, "has_bar"],
    })
});

impl Scenario {
    /// Looks up the conditions that are given by name in the scenario's pack, and reports those that it does not have.
    pub(in crate::language) fn find_conditions(&mut self, pack: &str, packs: &Packs) -> Vec<Diagnostic> {
        let pack = packs.get(pack).map(|loaded| &loaded.pack);
        let shared = |(name, condition): (&str, &Condition)| (name.to_owned(), Arc::new(condition.clone()));
        let known: BTreeMap<String, Arc<Condition>> =
            pack.map(|pack| pack.conditions.iter().map(shared).collect()).unwrap_or_default();
        let root = Path::root();
        let cases = self.cases.iter_mut().enumerate();
        let of_cases = cases.map(|(index, case)| (root.join("cases").join(index), &mut case.requires));
        let mut problems = Vec::new();
        for (path, requires) in std::iter::once((root.clone(), &mut self.requires)).chain(of_cases) {
            for (index, requirement) in requires.iter_mut().enumerate() {
                let Some(name) = &requirement.name else { continue };
                requirement.condition = known.get(&name.0).cloned();
                // A pack that could not be read may have it.
                if requirement.condition.is_none() && (pack.is_some() || packs.complete) {
                    problems.push(unknown(path.join("requires").join(index), name, known.keys().map(String::as_str)));
                }
            }
        }
        problems
    }
}

fn unknown<'k>(at: Path, name: &Name, known: impl Iterator<Item = &'k str> + Clone) -> Diagnostic {
    let expected = match known.clone().next() {
        Some(_) => expected_one_of(known.clone()),
        None => "expected `that` and `because`: the pack has no `conditions`".to_owned(),
    };
    let problem =
        Diagnostic::error(Code::UnknownCondition, at, format!("no condition is called `{name}`")).label(expected);
    did_you_mean(&name.0, known).into_iter().fold(problem, Diagnostic::help)
}
