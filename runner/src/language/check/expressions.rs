// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every expression compiles, knows its names, and gives what is needed wherever that is known before the run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::inputs::{Columns, Inputs, Row};
use super::written::{self, Kind, When, Written, names_in};
use super::{Checker, Path};
use crate::language::expression::{eval, kinds, scan};
use crate::language::verb::{Index, Key, Saves, Verb};
use crate::language::{
    BUILTINS, Case, Diagnostic, ExpressionError, Limit, Outcome, Placed, Procedure, Scalar, Scenario, Scope, Segment,
    Size, Target, Type, eval_as, is_computed, known_scope, names, undeclared,
};
use crate::{
    language::expression::eval::Name as Needed, language::expression::tree::Tree, language::text::suggest,
    model::BackendName, model::code::Code,
};

/// The bytes that are found within a text that is wholly one expression.
fn within(source: &str, find: impl Fn(&Tree) -> Option<Range<usize>>) -> Option<Range<usize>> {
    let inner = scan::whole(source)?;
    let found = find(&Tree::parse(&source[inner.clone()]).ok()?)?;
    Some(found.start + inner.start..found.end + inner.start)
}

/// The names that a case has, in the order in which it gives them, and how each gets its value. One may be given several times.
#[derive(Default)]
struct Known<'a>(BTreeMap<(&'a str, usize), Given<'a>>);

/// How a name gets its value.
enum Given<'a> {
    /// By itself, at this time.
    At(When),
    /// By the step at this path, which saves it then.
    Saved(When, &'a Path),
    /// By the variable at this path, which is computed then.
    Computed(When, &'a Path),
    /// By the verb at this path, for the steps that it counts.
    Counted(Path),
}

impl Given<'_> {
    /// Whether the name has its value for what stands at this path and is evaluated at this time.
    fn is_known(&self, path: &dyn Fn() -> Path, when: When) -> bool {
        match self {
            Given::At(since) | Given::Computed(since, _) => when >= *since,
            Given::Saved(since, step) => when >= *since && !beside(step, &path()),
            Given::Counted(verb) => path().starts_with(&verb.join("steps")),
        }
    }
}

impl<'a> Known<'a> {
    fn add(&mut self, name: &'a str, given: Given<'a>) {
        self.0.insert((name, self.0.len()), given);
    }

    /// The names of a case; `late` are those of its variables that are only computed at run time.
    fn of(
        scenario: &'a Scenario,
        case: &'a Case,
        procedure: Option<&'a Procedure>,
        steps: &'a [Placed],
        late: &BTreeSet<&str>,
    ) -> Known<'a> {
        let mut known = Known::default();
        for name in scenario.vars.keys().chain(case.vars.keys()).chain(case.matrix.keys()) {
            known.add(name, Given::At(if late.contains(name) { When::OPEN } else { When::PLANNED }));
        }
        case.devices.keys().for_each(|name| known.add(name, Given::At(When::OPEN)));
        case.regions.keys().for_each(|name| known.add(name, Given::At(When::step(0))));
        let parameters = procedure.into_iter().flat_map(|procedure| procedure.parameters.keys());
        parameters.for_each(|name| known.add(name, Given::At(When::OPEN)));
        for (index, placed) in steps.iter().enumerate() {
            if let Some(name) = &placed.step.save {
                known.add(&name.0, Given::Saved(When::outcome(index), &placed.path));
            }
            for (_, key) in placed.step.keys() {
                if let Key::Count(name) = key {
                    known.add(&name.0, Given::Counted(placed.path.join(placed.step.verb.name())));
                }
            }
        }
        known
    }

    fn given<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Given<'n>> {
        self.0.range((name, 0)..).take_while(move |((given, _), _)| *given == name).map(|(_, given)| given)
    }

    /// Whether an expression at this path that is evaluated at this time may use the name.
    fn has(&self, name: &str, path: &dyn Fn() -> Path, when: When) -> bool {
        names::STATIC.contains(&name)
            || names::RUN_TIME.contains(&name) && when >= When::OPEN
            || self.given(name).any(|given| given.is_known(path, when))
    }

    /// All names that it may use.
    fn all(&self, path: &dyn Fn() -> Path, when: When) -> BTreeSet<&'a str> {
        let given = self.0.keys().map(|(name, _)| *name).chain(names::STATIC.iter().chain(names::RUN_TIME).copied());
        given.filter(|name| self.has(name, path, when)).collect()
    }
}

/// Where a case runs: what its expressions may depend on.
struct Combination<'a> {
    backend: BackendName,
    matrix: Vec<(&'a str, &'a Scalar)>,
}

impl<'a> Checker<'a> {
    /// Checks the expressions of a case where these of `every` step of it run.
    pub(super) fn expressions(
        &mut self,
        path: &Path,
        case: &Case,
        steps: &[Placed],
        every: &[Placed],
        backends: &[BackendName],
    ) {
        let mut all = written::expressions(path, case, steps);
        let gives = self.procedure.map(|procedure| &procedure.gives);
        all.extend(gives.into_iter().flat_map(|gives| written::given(path, case, gives)));
        all.extend(written::requirements(&Path::root().join("requires"), &self.scenario.requires));
        let (scenario, command_line) = (self.scenario, self.command_line);
        let inputs = Inputs::of(scenario, case, command_line);
        let late = self.variables(path, case, &inputs);
        let fields = self.fields(case, steps);
        let before = self.problems.len();
        let known = Known::of(scenario, case, self.procedure, steps, &late);
        for expression in &all {
            match &expression.needed {
                Ok(needed) => {
                    let is_outcome = matches!(expression.kind, Kind::Outcome { .. });
                    self.undeclared(&|| expression.path(), needed, expression.when, is_outcome, &known, &fields);
                }
                Err(error) => self.say(error.diagnostic(expression.path())),
            }
            self.fraction(expression, &inputs);
            self.bare_version(expression);
            self.unlike(&|| expression.path(), expression.source, case, &known);
        }
        // A name that is not known may be meant for one of the matrix.
        if self.problems.len() == before {
            match steps.len() == every.len() {
                true => self.unused_values(path, case, &all),
                false => self.unused_values(path, case, &written::expressions(path, case, every)),
            }
        }
        // What cannot be known before the run needs no evaluation, and what does not depend on a value only one.
        let may_be_known = |name: &Needed| inputs.has(&name.name) && !late.contains(name.name.as_str());
        let mut all: Vec<(Written, Columns)> = all
            .into_iter()
            .filter(|expression| expression.names().iter().all(may_be_known))
            .map(|expression| (inputs.of_names(expression.names()), expression))
            .map(|(columns, expression)| (expression, columns))
            .collect();
        for row in Row::all(&case.matrix) {
            for (index, &backend) in backends.iter().enumerate() {
                if !all.iter().any(|(_, columns)| columns.are_new(&row, index)) {
                    continue;
                }
                let (scope, _) = known_scope(scenario, case, command_line, backend, row.values(&case.matrix));
                // One mistake of an expression is enough.
                let mut wrong = Vec::new();
                all.retain(|(expression, columns)| {
                    let problem = match columns.are_new(&row, index) {
                        // A variable whose own expression fails is said by `variables`.
                        true if expression.names().iter().all(|name| scope.get(&name.name).is_some()) => {
                            problem(expression, &scope)
                        }
                        _ => None,
                    };
                    let is_right = problem.is_none();
                    wrong.extend(problem.map(|problem| (problem, expression.names().to_vec())));
                    is_right
                });
                for (problem, names) in wrong {
                    let here = Combination { backend, matrix: row.values(&case.matrix).collect() };
                    self.say_where(problem, &names, &here, case);
                }
            }
        }
    }

    /// Checks the variables; returns the names of those that are computed only at run time.
    fn variables<'c>(&mut self, path: &Path, case: &'c Case, inputs: &Inputs) -> BTreeSet<&'c str>
    where
        'a: 'c,
    {
        let scenario = self.scenario;
        let mut late = BTreeSet::new();
        if scenario.vars.is_empty() && case.vars.is_empty() {
            return late;
        }
        let of_scenario = scenario.vars.iter().map(|(name, value)| (Path::root().join("vars").join(name), name, value));
        let of_case = case.vars.iter().map(|(name, value)| (path.join("vars").join(name), name, value));
        let all: Vec<_> = of_scenario.chain(of_case).collect();
        // They are computed one after the other, as steps are run.
        let mut known = Known::default();
        for (index, (path, name, _)) in all.iter().enumerate() {
            known.add(name, Given::Computed(When::outcome(index), path));
        }
        for (index, (path, name, value)) in all.iter().enumerate() {
            if index == scenario.vars.len() {
                case.matrix.keys().for_each(|name| known.add(name, Given::At(When::PLANNED)));
            }
            let Some(source) = is_computed(value) else { continue };
            let needed = match undeclared(source) {
                Ok(needed) => needed,
                Err(error) => {
                    self.say(error.diagnostic(path.clone()));
                    continue;
                }
            };
            self.undeclared(&|| path.clone(), &needed, When::step(index), false, &known, &Fields::new());
            self.unlike(&|| path.clone(), source, case, &known);
            let is_late =
                |name: &Needed| names::RUN_TIME.contains(&name.name.as_str()) || late.contains(name.name.as_str());
            if needed.iter().any(is_late) {
                late.insert(*name);
            }
        }
        let mut wrong = BTreeSet::new();
        let columns = inputs.of_variables(scenario, case);
        for row in Row::all(&case.matrix) {
            for (index, (backend, _)) in scenario.backends.list.iter().enumerate() {
                if !columns.are_new(&row, index) {
                    continue;
                }
                let (_, errors) = known_scope(scenario, case, self.command_line, *backend, row.values(&case.matrix));
                for (name, error) in errors {
                    if let Some((path, _, Scalar::Text(source))) = all.iter().rev().find(|(_, n, _)| *n == name)
                        && wrong.insert(name)
                    {
                        let here = Combination { backend: *backend, matrix: row.values(&case.matrix).collect() };
                        self.say_where(error.diagnostic(path.clone()), &names_in(source), &here, case);
                    }
                }
            }
        }
        late
    }

    /// Says what is wrong with an expression, and for which of the many values that its names can have.
    fn say_where(&mut self, mut problem: Diagnostic, names: &[Needed], here: &Combination, case: &Case) {
        let uses = |name: &str| {
            // A variable stands for what it was computed from.
            names.iter().any(|n| n.name == name)
                || names.iter().filter_map(|n| case.vars.get(&n.name)).any(|value| match value {
                    Scalar::Text(source) => names_in(source).iter().any(|n| n.name == name),
                    _ => false,
                })
        };
        let mut values: Vec<String> = here
            .matrix
            .iter()
            .filter(|(name, _)| uses(name))
            .map(|(name, value)| format!("`{name}` is `{value}`"))
            .collect();
        if uses("backend") {
            values.push(format!("`backend` is `{}`", here.backend));
        }
        match (values.join(" and "), problem.label.is_empty()) {
            (values, _) if values.is_empty() => {}
            (values, true) => problem.label = format!("where {values}"),
            (values, false) => problem.help.push(format!("it is so where {values}")),
        }
        for (name, value) in self.command_line.iter().filter(|(name, _)| names.iter().any(|n| n.name == *name)) {
            problem.help.push(format!("`{name}` is set by `--var {name}={value}`"));
        }
        self.say(problem);
    }

    /// Says which names an expression has that have no value when it is evaluated.
    fn undeclared(
        &mut self,
        path: &dyn Fn() -> Path,
        needed: &[Needed],
        when: When,
        is_outcome: bool,
        known: &Known,
        fields: &Fields,
    ) {
        for Needed { name, range, field } in needed {
            if known.has(name, path, when) {
                let of_result = fields.get(name.as_str());
                let saved = of_result.and_then(|(_, saved)| saved.as_ref());
                let all = of_result.map(|(all, _)| all.as_slice()).or_else(|| names::fields(name));
                if let (Some((field, range)), Some(all)) = (field, all)
                    && !all.contains(&field.as_str())
                {
                    let title = format!("`{name}` has no `{field}`");
                    let mut problem = Diagnostic::error(Code::UnknownField, path(), title)
                        .label(suggest::expected_one_of(all.iter().copied()));
                    if let Some(saved) = saved {
                        problem = problem.note(saved.clone(), Target::Value, "it is the result of this step");
                    }
                    problem.inside = Some(range.clone());
                    problem.help.extend(suggest::did_you_mean(field, all.iter().copied()));
                    self.say(problem);
                }
                continue;
            }
            let mut problem =
                Diagnostic::error(Code::UnknownName, path(), format!("`{name}` is not known here")).about(name);
            problem.inside = Some(range.clone());
            let all = known.all(path, when);
            let all = || all.iter().copied();
            let is_of_device = names::RUN_TIME.contains(&name.as_str());
            match known.given(name).next() {
                given if is_outcome && (is_of_device || given.is_some()) => {
                    problem.title = format!("`{name}` is not known before the run");
                    problem = problem
                        .label(suggest::expected_one_of(all()))
                        .help("an outcome is decided before the run; a `check` compares what is only known later");
                }
                None if !is_of_device => {
                    problem = problem.label(suggest::expected_one_of(all()));
                    problem.help.extend(suggest::did_you_mean(name, all().chain(BUILTINS)));
                }
                None | Some(Given::At(_)) => {
                    problem.title = format!("`{name}` is not known before the run");
                    problem = problem
                        .label(suggest::expected_one_of(all()))
                        .help("reports name a case by this, and a name must not depend on the machine");
                }
                Some(Given::Saved(_, step)) => {
                    problem.title = format!("`{name}` is not known yet here");
                    problem = problem.label("expected the result of an earlier step").note(
                        step.join("save"),
                        Target::Value,
                        "it gets its value here, once this step is done",
                    );
                }
                Some(Given::Counted(verb)) => {
                    problem.title = format!("`{name}` is not known outside of the steps that it counts");
                    problem = problem.label(suggest::expected_one_of(all())).note(
                        verb.join("as"),
                        Target::Value,
                        "it counts these",
                    );
                }
                Some(Given::Computed(_, variable)) => {
                    problem.title = format!("`{name}` is not known yet here");
                    problem = problem
                        .label("expected a variable from further up")
                        .note((*variable).clone(), Target::Key, "it gets its value here")
                        .help(format!("move `{name}` above its use"));
                }
            }
            self.say(problem);
        }
    }
}

/// What the case's further devices have, and the results of steps, by the names that they are saved under, and where the last one is saved.
type Fields<'a> = BTreeMap<&'a str, (Vec<&'a str>, Option<Path>)>;

impl<'a> Checker<'a> {
    /// What is known of the results of a case's steps. A result that is not known as a whole is not among them.
    fn fields<'c>(&self, case: &'c Case, steps: &[Placed<'c>]) -> Fields<'c>
    where
        'a: 'c,
    {
        let mut fields = Fields::new();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for Placed { step, path, .. } in steps {
            let Some(name) = &step.save else { continue };
            let of_call = |name: &str| -> Option<Vec<&'c str>> {
                let callable = self.callable;
                let found: Vec<&'c Procedure> =
                    callable.packs.iter().filter_map(|(_, pack)| pack.procedures.get(name)).collect();
                let is_known = callable.complete && !found.is_empty();
                is_known.then(|| found.iter().flat_map(|procedure| procedure.gives.keys()).collect())
            };
            let all: Option<Vec<&str>> = match (step.verb.about().saves, &step.verb) {
                (Saves::List, _) => None,
                // `save` itself is a mistake, which is reported.
                (Saves::Nothing, verb) if !verb.is_timed() => None,
                (Saves::Nothing, _) => Some(Vec::new()),
                (Saves::Fields(fields), _) => Some(fields.to_vec()),
                (Saves::Varies, Verb::Call(call)) => of_call(&call.procedure.0),
                (Saves::Varies, verb) => verb.fields(),
            };
            match all {
                Some(mut all) => {
                    all.push("micros");
                    let (known, saved) = fields.entry(name.0.as_str()).or_insert_with(|| (Vec::new(), None));
                    all.into_iter().for_each(|field| {
                        if !known.contains(&field) {
                            known.push(field)
                        }
                    });
                    *saved = Some(path.join("save"));
                }
                None => drop(open.insert(name.0.as_str())),
            }
        }
        fields.retain(|name, _| !open.contains(name));
        for (name, _) in case.devices.iter().filter(|(_, role)| role.0 != "all") {
            fields.insert(name, (names::DEVICE.to_vec(), None));
        }
        fields
    }

    /// `/` always returns a fraction, which is no size. This finds it where the operands are not known before the run.
    fn fraction(&mut self, expression: &Written, inputs: &Inputs) {
        let divides = matches!(expression.kind, Kind::Size(_)) && expression.source.contains('/');
        if !divides || expression.names().iter().all(|name| inputs.has(&name.name)) {
            return; // evaluated
        }
        let Some(range) = within(expression.source, |tree| tree.last_division()) else { return };
        let mut problem =
            Diagnostic::error(Code::Expression, expression.path(), "`/` gives a fraction, not a whole number")
                .label("expected `//`, whole division");
        problem.inside = Some(range);
        self.say(problem);
    }

    /// A comparison of a text with a number never holds.
    fn unlike(&mut self, path: &dyn Fn() -> Path, source: &str, case: &Case, known: &Known) {
        let of_value = |value: &Scalar| match value {
            Scalar::Bool(_) => Some(kinds::Kind::Boolean),
            Scalar::Integer(_) => Some(kinds::Kind::Number),
            Scalar::Text(text) if Size::from_text_with_unit(text).is_some() => Some(kinds::Kind::Number),
            Scalar::Text(text) if text.contains("{{") => None,
            Scalar::Text(_) => Some(kinds::Kind::Text),
        };
        let (scenario, procedure) = (self.scenario, self.procedure);
        let kind = |name: &str| match name {
            "backend" | "kernel" | "iommu" => Some(kinds::Kind::Text),
            "iommufd_mock" | "transparent_huge_pages" => Some(kinds::Kind::Boolean),
            "page_size" | "KiB" | "MiB" | "GiB" | "TiB" | "U64_MAX" => Some(kinds::Kind::Number),
            _ => {
                if let Some(value) = case.vars.get(name).or_else(|| scenario.vars.get(name)) {
                    return of_value(value);
                }
                if let Some(values) = case.matrix.get(name) {
                    let first = of_value(values.first()?);
                    return first.filter(|_| values.iter().all(|value| of_value(value) == first));
                }
                if let Some(parameter) = procedure.and_then(|procedure| procedure.parameters.get(name)) {
                    return match parameter.r#type {
                        Type::Iova | Type::Size | Type::Integer => Some(kinds::Kind::Number),
                        Type::Boolean => Some(kinds::Kind::Boolean),
                        Type::Text => Some(kinds::Kind::Text),
                        Type::Region => None,
                    };
                }
                known.given(name).any(|given| matches!(given, Given::Counted(_))).then_some(kinds::Kind::Number)
            }
        };
        for error in kinds::unlike(source, &kind) {
            self.say(error.diagnostic(path()));
        }
    }

    /// A version is text.
    fn bare_version(&mut self, expression: &Written) {
        if !expression.source.contains("version_at_least") {
            return;
        }
        let Some(range) = within(expression.source, |tree| tree.bare_version()) else { return };
        let written = &expression.source[range.clone()];
        let title = format!("{written} is a number, and no version");
        let mut problem = Diagnostic::error(Code::Expression, expression.path(), title)
            .label(format!("expected '{written}', in quotes"))
            .help("as numbers 6.10 and 6.1 are the same");
        problem.inside = Some(range);
        self.say(problem);
    }

    /// A name of the matrix that nothing depends on makes cases that are all the same.
    fn unused_values(&mut self, path: &Path, case: &Case, all: &[Written]) {
        for (name, values) in case.matrix.iter().filter(|(_, values)| values.len() > 1) {
            let in_variable = |value: &Scalar| matches!(value, Scalar::Text(source) if names_in(source).iter().any(|needed| needed.name == name));
            let is_used = all.iter().any(|expression| expression.names().iter().any(|needed| needed.name == name))
                || case.vars.iter().any(|(_, value)| in_variable(value));
            if !is_used {
                let title = format!("nothing uses `{name}`, so its {} cases are all the same", values.len());
                self.say(
                    Diagnostic::error(Code::UnusedValue, path.join("matrix").join(name), title)
                        .at(Target::Key)
                        .label("expected an expression with it")
                        .help(format!("write \"{{{{ {name} }}}}\" where it counts, or remove it"))
                        .help("`--repeat` of `run` runs the same case several times"),
                );
            }
        }
    }
}

/// Whether two paths lie in two branches of one `parallel`: neither comes before the other.
fn beside(one: &Path, other: &Path) -> bool {
    let (one, other) = (one.segments(), other.segments());
    let parts = one.iter().zip(other).position(|(one, other)| one != other);
    parts.is_some_and(|at| matches!(one[..at].last(), Some(Segment::Key(key)) if **key == *"branches"))
}

/// The key that a path ends with.
fn key(path: &Path) -> &str {
    match path.last() {
        Some(Segment::Key(key)) => key,
        _ => "this",
    }
}

/// What is wrong with what an expression gives.
fn problem(expression: &Written, scope: &Scope) -> Option<Diagnostic> {
    let wrong = |error: ExpressionError| error.diagnostic(expression.path());
    match expression.kind {
        Kind::Size(fit) => match eval_as::<Size>(scope, expression.source) {
            Ok(size) => fit.refuses(size).map(|expected| {
                let title = format!("the expression gives {size} for `{}`", key(&expression.path()));
                Diagnostic::error(Code::BadSize, expression.path(), title).label(expected)
            }),
            Err(error) => Some(wrong(error)),
        },
        Kind::Bool => eval_as::<bool>(scope, expression.source).err().map(wrong),
        Kind::Text => eval::render(scope, expression.source).err().map(wrong),
        Kind::Number => eval::eval(scope, expression.source).err().map(wrong),
        Kind::Limit => eval_as::<Limit>(scope, expression.source).err().map(wrong),
        Kind::Interrupt => eval_as::<Index>(scope, expression.source).err().map(wrong),
        Kind::Outcome { reports } => match eval_as::<Outcome>(scope, expression.source) {
            Ok(Outcome::Bytes(_)) if !reports => {
                let title = "the expression gives a number of bytes, which this call does not report";
                let problem = Diagnostic::error(Code::Expression, expression.path(), title);
                Some(problem.label("expected `ok`, `fails` or the name of an errno"))
            }
            Ok(_) => None,
            Err(error) => Some(wrong(error)),
        },
    }
}
