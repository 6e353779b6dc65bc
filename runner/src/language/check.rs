//! What is wrong with a scenario that reads well: found without a device, and all in one go.

use std::collections::{BTreeSet, HashMap};

use super::expression::eval::{self, Name as Needed};
use super::text::suggest;
use super::{
    ByBackend, Case, Diagnostic, Dynamic, Name, Outcome, Path, Pattern, Region, Requirement, Scalar, Scenario, Scope,
    Size, Step, Target, Template, eval_as, names,
};
use crate::{backend, language::Memory};

/// More combinations than this are a mistake.
const MOST_COMBINATIONS: usize = 10_000;

/// Everything that is wrong with the scenario.
pub fn check(scenario: &Scenario, command_line: &[(String, Scalar)]) -> Vec<Diagnostic> {
    let mut checker = Checker { scenario, command_line, problems: Vec::new(), seen: BTreeSet::new() };
    checker.scenario();
    checker.problems
}

struct Checker<'a> {
    scenario: &'a Scenario,
    command_line: &'a [(String, Scalar)],
    problems: Vec<Diagnostic>,
    /// What has been said where: the same mistake on five backends is one mistake.
    seen: BTreeSet<(String, String)>,
}

/// What an expression has to give.
#[derive(Clone, Copy)]
enum Kind {
    Size,
    Bool,
    Text,
    Anything,
}

/// An expression of a case, and where it stands.
struct Written<'a> {
    path: Path,
    source: &'a str,
    kind: Kind,
    when: When,
}

/// When an expression is evaluated, which decides what it may refer to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct When(usize);

impl When {
    /// Before the run.
    const PLANNED: When = When(0);
    /// Once the device is open.
    const OPEN: When = When(1);

    /// When the step of this index begins.
    fn step(index: usize) -> When {
        When(2 + 2 * index)
    }

    /// When the step of this index has given its result.
    fn outcome(index: usize) -> When {
        When(3 + 2 * index)
    }
}

impl Checker<'_> {
    fn say(&mut self, problem: Diagnostic) {
        if self.seen.insert((problem.path.to_string(), problem.title.clone())) {
            self.problems.push(problem);
        }
    }

    fn scenario(&mut self) {
        let scenario = self.scenario;
        let mut backends = BTreeSet::new();
        for (name, _) in &scenario.backends.0 {
            if !backends.insert(*name) {
                self.say(
                    Diagnostic::error(
                        "duplicate-backend",
                        Path::root().join("backends"),
                        format!("`{name}` is listed twice"),
                    )
                    .label("once is enough"),
                );
            }
        }
        if scenario.backends.0.is_empty() {
            self.say(
                Diagnostic::error("no-backend", Path::root().join("backends"), "no backend to run on")
                    .label("expected `all`, or at least one of the five"),
            );
        }
        for (name, _) in scenario.vars.iter() {
            self.not_reserved(&Path::root().join("vars").join(name), name, Target::Key);
        }
        let mut first: HashMap<&Name, usize> = HashMap::new();
        for (index, case) in scenario.cases.iter().enumerate() {
            let path = Path::root().join("cases").join(index);
            if let Some(first) = first.insert(&case.name, index) {
                self.say(
                    Diagnostic::error(
                        "duplicate-case",
                        path.join("name"),
                        format!("two cases are called `{}`", case.name),
                    )
                    .label("a case's name is its identity in every report")
                    .help(format!("the first one is cases[{first}]; give this one another name")),
                );
            }
            self.case(&path, case);
        }
    }

    fn case(&mut self, path: &Path, case: &Case) {
        let backends = self.backends(path, case);
        self.form(path, case);
        self.names(path, case);
        if let Some(region) = &case.region {
            self.region(&path.join("region"), region);
        }
        for (name, region) in case.regions.iter() {
            self.region(&path.join("regions").join(name), region);
        }
        if let Some(expect) = &case.expect {
            let path = path.join("expect");
            if let Some(map) = &expect.map {
                self.outcomes(&path.join("map"), map, &backends, false);
            }
            if let Some(pagesize) = &expect.pagesize {
                self.table(&path.join("pagesize"), pagesize, &backends);
            }
            if let Some(unmap) = &expect.unmap {
                self.outcomes(&path.join("unmap"), unmap, &backends, true);
            }
        }
        for (index, step) in case.steps.iter().flatten().enumerate() {
            self.step(&path.join("steps").join(index), case, step, &backends);
        }
        let combinations: usize = case.matrix.iter().map(|(_, values)| values.len()).product();
        if combinations > MOST_COMBINATIONS {
            self.say(
                Diagnostic::error(
                    "matrix-too-large",
                    path.join("matrix"),
                    format!("the matrix has {combinations} combinations"),
                )
                .label(format!("expected at most {MOST_COMBINATIONS}")),
            );
            return;
        }
        self.expressions(path, case, &backends);
    }

    /// The backends that the case runs on.
    fn backends(&mut self, path: &Path, case: &Case) -> Vec<backend::Name> {
        let all: Vec<_> = self.scenario.backends.0.iter().map(|(name, _)| *name).collect();
        let Some(patterns) = &case.backends else { return all };
        for (index, pattern) in patterns.iter().enumerate() {
            let path = path.join("backends").join(index);
            if !pattern.matches_any() {
                self.unknown_backend(path, pattern);
            } else if !all.iter().any(|&name| pattern.matches(name)) {
                self.say(
                    Diagnostic::error(
                        "unmatched-backend",
                        path,
                        format!("`{}` matches none of the scenario's backends", pattern.0),
                    )
                    .label(suggest::expected_one_of(all.iter().map(|name| name.as_str()))),
                );
            }
        }
        all.into_iter().filter(|&name| patterns.iter().any(|pattern| pattern.matches(name))).collect()
    }

    fn unknown_backend(&mut self, path: Path, pattern: &Pattern) {
        let names = || backend::Name::ALL.iter().map(|name| name.as_str());
        let mut problem =
            Diagnostic::error("unknown-backend", path, format!("`{}` is no backend, and no glob of one", pattern.0))
                .label(format!("{}, or a glob such as `iommufd*`", suggest::expected_one_of(names())));
        problem.help.extend(suggest::did_you_mean(&pattern.0, names()));
        self.say(problem);
    }

    /// A case is declarative or has steps.
    fn form(&mut self, path: &Path, case: &Case) {
        let declarative = case.region.is_some() || case.expect.is_some();
        match (declarative, &case.steps) {
            (true, Some(_)) => self.say(
                Diagnostic::error(
                    "two-forms",
                    path.join("steps"),
                    format!("case `{}` has both `steps` and the declarative form", case.name),
                )
                .at(Target::Key)
                .label("expected either `region` and `expect`, or `regions` and `steps`"),
            ),
            (false, None) => self.say(
                Diagnostic::error("nothing-to-do", path.join("name"), format!("case `{}` does nothing", case.name))
                    .label("expected `region` and `expect`, or `regions` and `steps`"),
            ),
            (true, None) => {
                if case.region.is_none() {
                    self.say(
                        Diagnostic::error(
                            "missing-region",
                            path.join("expect"),
                            format!("case `{}` expects something of a region that it does not describe", case.name),
                        )
                        .at(Target::Key)
                        .label("expected a `region` beside it"),
                    );
                }
                if case.expect.is_none() {
                    self.say(
                        Diagnostic::error(
                            "missing-expect",
                            path.join("region"),
                            format!("case `{}` has a region and expects nothing of it", case.name),
                        )
                        .at(Target::Key)
                        .label("expected an `expect` beside it")
                        .help("`expect: { map: ok }` is the least; the unmap is then checked to the byte"),
                    );
                }
                if let Some((name, _)) = case.regions.iter().next() {
                    self.say(
                        Diagnostic::error(
                            "two-forms",
                            path.join("regions").join(name),
                            format!("region `{name}` is for `steps`, and case `{}` has none", case.name),
                        )
                        .at(Target::Key)
                        .label("expected only `region` beside `expect`"),
                    );
                }
            }
            (false, Some(steps)) => {
                if steps.is_empty() {
                    self.say(
                        Diagnostic::error(
                            "nothing-to-do",
                            path.join("steps"),
                            format!("case `{}` does nothing", case.name),
                        )
                        .at(Target::Key)
                        .label("expected at least one step"),
                    );
                }
                for (name, _) in case.regions.iter() {
                    let used = |step: &Step| step.map.as_ref().is_some_and(|map| map.region.0 == *name);
                    let mentioned = |source: &str| names_in(source).iter().any(|n| n == name);
                    let path = path.join("regions").join(name);
                    if !steps.iter().any(used)
                        && !written(&path, case).iter().any(|expression| mentioned(expression.source))
                    {
                        self.say(
                            Diagnostic::error("unused-region", path, format!("no step uses region `{name}`"))
                                .at(Target::Key)
                                .label("expected a `map` of it, or no such region"),
                        );
                    }
                }
            }
        }
    }

    /// Names do not hide one another.
    fn names(&mut self, path: &Path, case: &Case) {
        let mut taken: Vec<(String, &'static str)> = Vec::new();
        let mut given: Vec<(Path, &str, &'static str)> = Vec::new();
        for (name, values) in case.matrix.iter() {
            let path = path.join("matrix").join(name);
            if values.is_empty() {
                self.say(
                    Diagnostic::error("empty-matrix", path.clone(), format!("`{name}` has no values"))
                        .label("expected at least one: without any there would be no case"),
                );
            }
            given.push((path, name, "a matrix value"));
        }
        for (name, _) in case.vars.iter() {
            given.push((path.join("vars").join(name), name, "a variable"));
        }
        for (name, _) in case.regions.iter() {
            given.push((path.join("regions").join(name), name, "a region"));
        }
        for (index, step) in case.steps.iter().flatten().enumerate() {
            if let Some(name) = &step.save {
                given.push((path.join("steps").join(index).join("save"), &name.0, "a result"));
            }
        }
        for (name, _) in self.scenario.vars.iter() {
            taken.push((name.to_owned(), "a variable of the scenario"));
        }
        for (path, name, what) in given {
            let target = if what == "a result" { Target::Value } else { Target::Key };
            self.not_reserved(&path, name, target);
            if let Some((_, other)) = taken.iter().find(|(other, _)| other == name) {
                // A result may replace an earlier result, as a variable does in most languages.
                if !(what == "a result" && *other == what) {
                    self.say(
                        Diagnostic::error("name-taken", path, format!("`{name}` is already {other}"))
                            .at(target)
                            .label(format!("expected a name of its own for {what}")),
                    );
                }
            }
            taken.push((name.to_owned(), what));
        }
    }

    fn not_reserved(&mut self, path: &Path, name: &str, target: Target) {
        if names::is_reserved(name) {
            self.say(
                Diagnostic::error("name-taken", path.clone(), format!("`{name}` means something in every expression"))
                    .at(target)
                    .label("expected another name"),
            );
        } else if !Name::is_valid(name) {
            self.say(
                Diagnostic::error("invalid-name", path.clone(), format!("`{name}` is no name"))
                    .at(target)
                    .label("expected letters, digits and `_`, not starting with a digit"),
            );
        }
    }

    fn region(&mut self, path: &Path, region: &Region) {
        let mut misplaced = |key: &str, present: bool, only: &str| {
            if present {
                let problem =
                    Diagnostic::error("misplaced-key", path.join(key), format!("`{key}` does not go with this memory"))
                        .at(Target::Key);
                self.say(problem.label(format!("expected only with {only}")));
            }
        };
        let is_bar = region.memory == Memory::Bar;
        let has_pages = matches!(region.memory, Memory::Anonymous | Memory::Hugetlb);
        misplaced("bar", region.bar.is_some() && !is_bar, "`memory: bar`");
        misplaced("offset", region.offset.is_some() && !is_bar, "`memory: bar`");
        misplaced("page", region.page.is_some() && !has_pages, "`memory: anonymous` or `hugetlb`");
        misplaced("protection", region.protection.is_some() && region.memory == Memory::Reserved, "memory that exists");
        if region.size.is_none() && !is_bar {
            self.say(
                Diagnostic::error("missing-key", path.join("memory"), "a region without `size`")
                    .label("expected `size: SIZE` beside it, such as 4KiB"),
            );
        }
        for (key, value) in [("page", &region.page), ("align", &region.align)] {
            if let Some(Dynamic::Is(Size(bytes))) = value
                && !(bytes.is_power_of_two() && *bytes >= 4096)
            {
                self.say(
                    Diagnostic::error("bad-size", path.join(key), format!("`{key}` is {}", Size(*bytes)))
                        .label("expected a power of two of at least 4KiB"),
                );
            }
        }
        match (&region.misalign, &region.align) {
            (Some(_), None) => self.say(
                Diagnostic::error("missing-key", path.join("misalign"), "`misalign` without `align`")
                    .at(Target::Key)
                    .label("expected `align` beside it: misaligned against what?"),
            ),
            (Some(Dynamic::Is(misalign)), Some(Dynamic::Is(align))) if misalign.0 >= align.0 => self.say(
                Diagnostic::error("bad-size", path.join("misalign"), format!("`misalign` is {misalign}"))
                    .label(format!("expected less than `align`, {align}")),
            ),
            _ => {}
        }
    }

    fn step(&mut self, path: &Path, case: &Case, step: &Step, backends: &[backend::Name]) {
        let verbs = step.verbs();
        let verb = match verbs.as_slice() {
            [verb] => *verb,
            [] => {
                return self.say(
                    Diagnostic::error("no-verb", path.clone(), "a step that does nothing")
                        .label(suggest::expected_one_of(Step::VERBS.iter().copied())),
                );
            }
            [_, second, ..] => {
                return self.say(
                    Diagnostic::error(
                        "two-verbs",
                        path.join(*second),
                        format!("a step with {} verbs: {}", verbs.len(), suggest::join(verbs.iter().copied(), "and")),
                    )
                    .at(Target::Key)
                    .label("expected one verb a step")
                    .help("start the second with a `-` of its own"),
                );
            }
        };
        if let Some(map) = &step.map
            && !case.regions.iter().any(|(name, _)| *name == map.region.0)
        {
            let names = || case.regions.keys();
            let mut problem = Diagnostic::error(
                "unknown-region",
                path.join("map").join("region"),
                format!("no region is called `{}`", map.region),
            )
            .label(match names().next() {
                Some(_) => suggest::expected_one_of(names()),
                None => "expected a region from the case's `regions`, and it has none".to_owned(),
            });
            problem.help.extend(suggest::did_you_mean(&map.region.0, names()));
            self.say(problem);
        }
        if !Step::is_call(verb) {
            for (key, present) in [("expect", step.expect.is_some()), ("save", step.save.is_some())] {
                if present {
                    self.say(
                        Diagnostic::error(
                            "misplaced-key",
                            path.join(key),
                            format!("`{key}` does not go with `{verb}`"),
                        )
                        .at(Target::Key)
                        .label("expected only with a call: `map`, `unmap`, `unmap_all`, `iova_ranges`, `info`"),
                    );
                }
            }
        } else if let Some(expect) = &step.expect {
            self.outcomes(&path.join("expect"), expect, backends, verb.starts_with("unmap"));
        }
    }

    /// An outcome for every backend, and no outcome that no backend can reach.
    fn outcomes(&mut self, path: &Path, outcomes: &ByBackend<Outcome>, backends: &[backend::Name], reports: bool) {
        self.table(path, outcomes, backends);
        let entries: Vec<(Path, &Outcome)> = match outcomes {
            ByBackend::All(outcome) => vec![(path.clone(), outcome)],
            ByBackend::Table(table) => {
                table.iter().map(|(key, outcome)| (path.join(key.0.as_str()), outcome)).collect()
            }
        };
        for (path, outcome) in entries {
            if !reports && matches!(outcome, Outcome::Bytes(_)) {
                self.say(
                    Diagnostic::error("misplaced-key", path.join("bytes"), "this call reports no bytes")
                        .at(Target::Key)
                        .label("expected only of `unmap` and `unmap_all`")
                        .help("write `ok` for success"),
                );
            }
        }
    }

    fn table<T>(&mut self, path: &Path, values: &ByBackend<T>, backends: &[backend::Name]) {
        let ByBackend::Table(table) = values else { return };
        for &backend in backends {
            if values.get(backend).is_none() {
                self.say(
                    Diagnostic::error(
                        "unmatched-backend",
                        path.clone(),
                        format!("nothing is said for `{backend}`, on which the case runs"),
                    )
                    .at(Target::Key)
                    .label(format!("expected a key for {backend}"))
                    .help("add the backend, or `\"*\"` for all others"),
                );
            }
        }
        for (index, (pattern, _)) in table.iter().enumerate() {
            let path = path.join(pattern.0.as_str());
            if !pattern.matches_any() {
                self.unknown_backend(path, pattern);
                continue;
            }
            let meant: Vec<_> = backends.iter().filter(|&&backend| pattern.matches(backend)).collect();
            let earlier = |backend| table[..index].iter().find(|(pattern, _)| pattern.matches(backend));
            if meant.is_empty() {
                self.say(
                    Diagnostic::error("unreachable", path, format!("`{}` matches no backend of this case", pattern.0))
                        .label(suggest::expected_one_of(backends.iter().map(|name| name.as_str()))),
                );
            } else if meant.iter().all(|&&backend| earlier(backend).is_some()) {
                let (first, _) = earlier(*meant[0]).expect("every backend has an earlier key");
                self.say(
                    Diagnostic::error("unreachable", path, format!("`{}` is never reached", pattern.0))
                        .label("the first key that matches counts")
                        .help(format!("`{}` above matches the same backends; put the narrower key first", first.0)),
                );
            }
        }
    }

    /// Every expression compiles, knows its names, and gives what is needed wherever that is known before the run.
    fn expressions(&mut self, path: &Path, case: &Case, backends: &[backend::Name]) {
        let mut all = written(path, case);
        requirements(&Path::root().join("requires"), &self.scenario.requires, &mut all);
        let late: BTreeSet<String> = self.variables(path, case);
        for expression in &all {
            let when = expression.when;
            let mut known: Vec<String> = names::STATIC.iter().map(|&name| name.to_owned()).collect();
            let mut later: Vec<String> = Vec::new();
            let mut add = |names: &mut dyn Iterator<Item = &str>, from: When| {
                let list = if when >= from { &mut known } else { &mut later };
                list.extend(names.map(str::to_owned));
            };
            add(
                &mut self.scenario.vars.keys().chain(case.vars.keys()).filter(|name| !late.contains(*name)),
                When::PLANNED,
            );
            add(&mut case.matrix.keys(), When::PLANNED);
            add(&mut names::RUN_TIME.iter().copied(), When::OPEN);
            add(&mut late.iter().map(String::as_str), When::OPEN);
            add(&mut case.regions.keys(), When::step(0));
            for (index, step) in case.steps.iter().flatten().enumerate() {
                add(&mut step.save.iter().map(|name| name.0.as_str()), When::outcome(index));
            }
            self.undeclared(expression, &known, &later);
        }
        for combination in super::combinations(&case.matrix) {
            for &backend in backends {
                let Ok(scope) = super::static_scope(self.scenario, case, self.command_line, backend, &combination)
                else {
                    continue; // said by `variables`
                };
                for expression in &all {
                    let names = names_in(expression.source);
                    if names.iter().all(|name| scope.get(name).is_some()) {
                        self.evaluate(expression, &scope);
                    }
                }
            }
        }
    }

    /// Checks the variables; returns the names of those that are computed only at run time.
    fn variables(&mut self, path: &Path, case: &Case) -> BTreeSet<String> {
        let mut known: Vec<String> = names::STATIC.iter().chain(names::RUN_TIME).map(|n| (*n).to_owned()).collect();
        let mut late = BTreeSet::new();
        let scenario = self.scenario.vars.iter().map(|(name, value)| (Path::root().join("vars"), name, value, false));
        let case_vars = case.vars.iter().map(|(name, value)| (path.join("vars"), name, value, true));
        let mut matrix_known = false;
        for (path, name, value, in_case) in scenario.chain(case_vars) {
            if in_case && !matrix_known {
                known.extend(case.matrix.keys().map(str::to_owned));
                matrix_known = true;
            }
            if let Scalar::Text(source) = value
                && source.contains("{{")
            {
                let expression = Written { path: path.join(name), source, kind: Kind::Anything, when: When::OPEN };
                self.undeclared(&expression, &known, &[]);
                let names = names_in(source);
                if names.iter().any(|n| names::RUN_TIME.contains(&n.as_str()) || late.contains(n)) {
                    late.insert(name.to_owned());
                }
            }
            known.push(name.to_owned());
        }
        for combination in super::combinations(&case.matrix) {
            for (backend, _) in &self.scenario.backends.0 {
                if let Err((name, error)) =
                    super::static_scope(self.scenario, case, self.command_line, *backend, &combination)
                {
                    let at = match case.vars.iter().any(|(n, _)| *n == name) {
                        true => path.join("vars").join(name),
                        false => Path::root().join("vars").join(name),
                    };
                    self.say(error.diagnostic(at));
                }
            }
        }
        late
    }

    fn undeclared(&mut self, expression: &Written, known: &[String], later: &[String]) {
        let undeclared = match super::undeclared(expression.source) {
            Ok(undeclared) => undeclared,
            Err(error) => return self.say(error.diagnostic(expression.path.clone())),
        };
        for Needed { name, range } in undeclared {
            if known.contains(&name) {
                continue;
            }
            let mut problem =
                Diagnostic::error("unknown-name", expression.path.clone(), format!("`{name}` is not known here"));
            problem.inside = Some(range);
            if later.contains(&name) {
                problem.title = format!("`{name}` is not known yet here");
                problem.label = "it gets its value later, during the run".into();
            } else {
                let mut known = known.to_vec();
                known.sort_unstable();
                problem = problem.label(suggest::expected_one_of(known.iter().map(String::as_str)));
                problem.help.extend(suggest::did_you_mean(&name, known.iter().map(String::as_str)));
            }
            self.say(problem);
        }
    }

    fn evaluate(&mut self, expression: &Written, scope: &Scope) {
        let outcome = match expression.kind {
            Kind::Size => eval_as::<Size>(scope, expression.source).map(drop),
            Kind::Bool => eval_as::<bool>(scope, expression.source).map(drop),
            Kind::Text => eval::render(scope, expression.source).map(drop),
            Kind::Anything => Ok(()), // evaluated by `static_scope`
        };
        if let Err(error) = outcome {
            self.say(error.diagnostic(expression.path.clone()));
        }
    }
}

/// The names that a text's expressions need.
fn names_in(source: &str) -> Vec<String> {
    super::undeclared(source).map_or_else(|_| Vec::new(), |names| names.into_iter().map(|name| name.name).collect())
}

/// All expressions of a case but those of its variables.
fn written<'a>(path: &Path, case: &'a Case) -> Vec<Written<'a>> {
    let mut all = Vec::new();
    for (index, template) in case.covers.iter().enumerate() {
        all.extend(text(path.join("covers").join(index), template, When::PLANNED));
    }
    requirements(&path.join("requires"), &case.requires, &mut all);
    let unnamed = case.region.iter().map(|region| (path.join("region"), region));
    let named = case.regions.iter().map(|(name, region)| (path.join("regions").join(name), region));
    let mut sizes: Vec<(Path, &Dynamic<Size>, When)> = Vec::new();
    let mut add =
        |path: Path, value: Option<&'a Dynamic<Size>>, when| sizes.extend(value.map(|value| (path, value, when)));
    for (path, region) in unnamed.chain(named) {
        for (key, value) in [
            ("size", &region.size),
            ("page", &region.page),
            ("align", &region.align),
            ("misalign", &region.misalign),
            ("offset", &region.offset),
        ] {
            add(path.join(key), value.as_ref(), When::OPEN);
        }
    }
    if let Some(expect) = &case.expect {
        let path = path.join("expect");
        for (path, size) in bytes(&path.join("map"), expect.map.as_ref())
            .into_iter()
            .chain(bytes(&path.join("unmap"), expect.unmap.as_ref()))
        {
            add(path, Some(size), When::OPEN);
        }
        let path = path.join("pagesize");
        match &expect.pagesize {
            Some(ByBackend::All(size)) => add(path, Some(size), When::OPEN),
            Some(ByBackend::Table(table)) => {
                table.iter().for_each(|(key, size)| add(path.join(key.0.as_str()), Some(size), When::OPEN));
            }
            None => {}
        }
    }
    for (index, step) in case.steps.iter().flatten().enumerate() {
        let path = path.join("steps").join(index);
        let when = When::step(index);
        if let Some(map) = &step.map {
            let path = path.join("map");
            add(path.join("iova"), map.iova.as_ref(), when);
            add(path.join("size"), map.size.as_ref(), when);
            add(path.join("offset"), map.offset.as_ref(), when);
        }
        if let Some(unmap) = &step.unmap {
            let path = path.join("unmap");
            add(path.join("iova"), Some(&unmap.iova), when);
            add(path.join("size"), Some(&unmap.size), when);
        }
        if let Some(gone) = &step.gone {
            let path = path.join("gone");
            add(path.join("iova"), Some(&gone.iova), when);
            add(path.join("size"), Some(&gone.size), when);
        }
        if let Some(pagesize) = &step.pagesize {
            let path = path.join("pagesize");
            add(path.join("iova"), Some(&pagesize.iova), when);
            add(path.join("size"), Some(&pagesize.size), when);
            add(path.join("is"), Some(&pagesize.is), when);
        }
        for (path, size) in bytes(&path.join("expect"), step.expect.as_ref()) {
            add(path, Some(size), When::outcome(index));
        }
        if let Some(Dynamic::Expression(source)) = &step.check {
            all.push(Written { path: path.join("check"), source, kind: Kind::Bool, when });
        }
    }
    for (path, size, when) in sizes {
        if let Dynamic::Expression(source) = size {
            all.push(Written { path, source, kind: Kind::Size, when });
        }
    }
    all
}

fn requirements<'a>(path: &Path, requirements: &'a [Requirement], all: &mut Vec<Written<'a>>) {
    for (index, requirement) in requirements.iter().enumerate() {
        let path = path.join(index);
        if let Dynamic::Expression(source) = &requirement.that {
            all.push(Written { path: path.join("that"), source, kind: Kind::Bool, when: When::OPEN });
        }
        all.extend(text(path.join("because"), &requirement.because, When::OPEN));
    }
}

/// A text, if it has expressions in it.
fn text(path: Path, template: &Template, when: When) -> Option<Written<'_>> {
    let source = template.as_str();
    (!template.is_literal()).then_some(Written { path, source, kind: Kind::Text, when })
}

/// The sizes in a table of outcomes.
fn bytes<'a>(path: &Path, outcomes: Option<&'a ByBackend<Outcome>>) -> Vec<(Path, &'a Dynamic<Size>)> {
    let size = |path: Path, outcome: &'a Outcome| match outcome {
        Outcome::Bytes(size) => Some((path.join("bytes"), size)),
        _ => None,
    };
    match outcomes {
        Some(ByBackend::All(outcome)) => size(path.clone(), outcome).into_iter().collect(),
        Some(ByBackend::Table(table)) => {
            table.iter().filter_map(|(key, outcome)| size(path.join(key.0.as_str()), outcome)).collect()
        }
        None => Vec::new(),
    }
}
