// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec show`

use clap::Args as ClapArgs;

use super::{cases::no_case, error::Error};
use crate::language::{Duration, Fixture, Path, Size, Source, Target, eval, undeclared};
use crate::plan::{self, Plan, Planned};
use crate::{event::DeviceUsed, model::device_in, sanitize::line, session::print, suite::Selection};

/// Show what a case stands for on each backend: its values, its regions and its steps, with the lines they come from
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The case: an id as `list` and failures print it, or its end, such as `map_unmap[page=2MiB]`, or `map_unmap` for all of its matrix
    case: String,

    #[command(flatten)]
    selection: Selection,
}

pub fn main(args: &Args) -> Result<(), Error> {
    let name = device_in(&args.case).unwrap_or("any").to_owned();
    let (plan, _) = super::plan(&args.selection, Ok(()), vec![DeviceUsed { name, ..DeviceUsed::default() }])?;
    let mut shown = String::new();
    for planned in plan.cases.iter().filter(|planned| planned.id.id().is_called(&args.case)) {
        let case = Shown { planned, plan: &plan, source: &plan.scenarios[planned.scenario].source };
        shown += &format!("{}{}\n", case.head(), case.body());
    }
    if shown.is_empty() {
        return Err(no_case(&args.case, &plan).into());
    }
    Ok(print(&shown)?)
}

/// A case that is written out.
struct Shown<'p> {
    planned: &'p Planned,
    plan: &'p Plan,
    source: &'p Source,
}

impl Shown<'_> {
    fn line_of(&self, path: &Path, target: Target) -> usize {
        self.source.locate(path, target).line
    }

    /// Comments: which case it is, and the values that it has, each with where it comes from.
    fn head(&self) -> String {
        let id = &self.planned.id;
        let (case, path) = self.plan.case(self.planned);
        let scenario = &self.plan.scenarios[self.planned.scenario].scenario;
        let mut head = format!("# {}\n# {}:{}\n", line(&id.id().to_string()), line(&id.file), id.line);
        let mut say =
            |name: &str, value: &str, from: String| head += &format!("#   {name} = {}  ({from})\n", line(value));
        let at = |path: &Path| format!("line {}", self.line_of(path, Target::Key));
        let root = Path::root();
        say("backend", &id.backend, at(&root.join("backends")));
        if self.planned.options.skip_pagesize {
            let from = at(&root.join("backends").join(id.backend.as_str()));
            say("skip_pagesize", "true", format!("{from}: `pagesize` steps are left out"));
        }
        for (name, whose) in [(&scenario.vars, &root), (&case.vars, &path)]
            .iter()
            .flat_map(|(vars, whose)| vars.keys().map(move |name| (name, *whose)))
        {
            let value = self.planned.scope.get(name).map(text_of);
            let written = whose.join("vars").join(name);
            let of_pack = self.plan.packs.get(&id.pack).is_some_and(|loaded| loaded.pack.vars.get(name).is_some());
            let from = if of_pack { "of the pack".to_owned() } else { at(&written) };
            say(name, &value.unwrap_or_else(|| "known once the device is open".to_owned()), from);
        }
        for name in case.matrix.keys() {
            let value = self.planned.scope.get(name).map(text_of).unwrap_or_default();
            say(name, &value, format!("{}: the matrix", at(&path.join("matrix").join(name))));
        }
        let inherited = |key: &str, of_case: bool, of_file: bool| match (of_case, of_file) {
            (true, _) => at(&path.join(key)),
            (_, true) => format!("{}: for all cases of the file", at(&root.join(key))),
            _ => "unless given".to_owned(),
        };
        let from = inherited("timeout", case.timeout.is_some(), scenario.timeout.is_some());
        say("timeout", &Duration(self.planned.timeout).to_string(), from);
        let fixture = match self.planned.fixture {
            Fixture::Shared => "shared",
            Fixture::Fresh => "fresh",
            Fixture::None => "none",
        };
        say("fixture", fixture, inherited("fixture", case.fixture.is_some(), scenario.fixture.is_some()));
        if !self.planned.id.tags.is_empty() {
            let from = inherited("tags", !case.tags.is_empty(), !scenario.tags.is_empty());
            say("tags", &self.planned.id.tags.join(", "), from);
        }
        for (requirements, whose) in [(&scenario.requires, &root), (&case.requires, &path)] {
            for (index, requirement) in requirements.iter().enumerate() {
                let place = self.line_of(&whose.join("requires").join(index), Target::Value);
                let condition = requirement.condition.as_ref();
                say("requires", &condition.map(|it| it.that.to_string()).unwrap_or_default(), format!("line {place}"));
            }
        }
        head
    }

    /// The regions and steps as YAML, each with its line; what is known before the run stands in place of its expression.
    fn body(&self) -> String {
        let (case, path) = self.plan.case(self.planned);
        let (regions, steps) = plan::planned(case, &path, self.planned.backend, &self.planned.scope);
        let mut body = String::new();
        if !regions.is_empty() {
            body += "regions:\n";
        }
        for (name, region, at) in regions {
            let place = self.line_of(&at, Target::Value);
            let text = self.yaml(serde_yaml::to_value(region).expect("a region has a YAML form"));
            body += &format!("  {name}: # line {place}\n{}", indented(&text, "    ", "    "));
        }
        body += "steps:\n";
        for planned in steps {
            let (place, expected) =
                (self.line_of(&planned.at, Target::Value), self.line_of(&planned.outcome_at, Target::Value));
            let expected = if expected == place { String::new() } else { format!(", expected in line {expected}") };
            let text = self.yaml(serde_yaml::to_value(planned.step).expect("a step has a YAML form"));
            body += &format!("  # line {place}{expected}\n{}", indented(&text, "  - ", "    "));
        }
        body
    }

    /// A value as YAML, with expressions that are known replaced by what they give, and kept as comments.
    fn yaml(&self, mut value: serde_yaml::Value) -> String {
        let mut known = Vec::new();
        self.resolve(&mut value, &mut known);
        let mut text = serde_yaml::to_string(&value).expect("a value has a YAML form");
        for (index, (value, source)) in known.iter().enumerate() {
            text = text.replace(&marker(index), &format!("{value} # {source}"));
        }
        text
    }

    fn resolve(&self, value: &mut serde_yaml::Value, known: &mut Vec<(String, String)>) {
        match value {
            serde_yaml::Value::String(source) if source.starts_with("{{") => {
                let names = undeclared(source).unwrap_or_default();
                if names.iter().all(|name| self.planned.scope.get(&name.name).is_some())
                    && let Ok(found) = eval(&self.planned.scope, source)
                {
                    known.push((text_of(&found), line(source)));
                    *source = marker(known.len() - 1);
                }
            }
            serde_yaml::Value::Sequence(elements) => {
                elements.iter_mut().for_each(|element| self.resolve(element, known))
            }
            serde_yaml::Value::Mapping(entries) => entries.values_mut().for_each(|value| self.resolve(value, known)),
            _ => {}
        }
    }
}

/// What stands for a value until its comment can be written behind it.
fn marker(index: usize) -> String {
    format!("VALUE-{index}-KNOWN")
}

/// A value as one would write it: a number of bytes with its unit.
fn text_of(value: &minijinja::Value) -> String {
    match u64::try_from(value.clone()) {
        Ok(number) if number >= 4096 && value.is_number() => Size(number).to_string(),
        _ => value.to_string(),
    }
}

fn indented(text: &str, first: &str, rest: &str) -> String {
    text.lines().enumerate().map(|(index, line)| format!("{}{line}\n", if index == 0 { first } else { rest })).collect()
}
