//! Where expressions stand in a case, what each has to give, and when it is evaluated.

use std::rc::Rc;

use super::regions::Fit;
use crate::language::expression::eval::Name;
use crate::language::{
    ByBackend, Case, Dynamic, Ioctl, Ordered, Outcome, Path, Placed, Requirement, Scalar, Size, Tail, Template,
    every_step, is_computed, undeclared,
};

/// What an expression has to give.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Size(Fit),
    Bool,
    Text,
    /// A kind of interrupt.
    Interrupt,
    /// A field's value; what it may be is up to its field.
    Number,
}

/// An expression of a case, and where it stands.
pub(super) struct Written<'a> {
    pub path: Path,
    pub source: &'a str,
    pub kind: Kind,
    pub when: When,
    /// The variables that it needs.
    pub names: Rc<[Name]>,
}

/// When an expression is evaluated, which decides what it may refer to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct When(usize);

impl When {
    /// Before the run.
    pub const PLANNED: When = When(0);
    /// Once the device is open.
    pub const OPEN: When = When(1);

    /// When the step of this index among all of a case, in the order in which each runs first, begins.
    pub fn step(index: usize) -> When {
        When(2 + 2 * index)
    }

    /// When the step of this index has given its result.
    pub fn outcome(index: usize) -> When {
        When(3 + 2 * index)
    }
}

/// The names that a text's expressions need.
pub(super) fn names_in(source: &str) -> Rc<[Name]> {
    undeclared(source).unwrap_or_default()
}

/// All expressions of a case but those of its variables.
pub(super) fn expressions<'a>(path: &Path, case: &'a Case, steps: &[Placed<'a>]) -> Vec<Written<'a>> {
    let mut all = Expressions(Vec::new());
    for (index, template) in case.covers.iter().enumerate() {
        all.text(path.join("covers").join(index), template, When::PLANNED);
    }
    all.requirements(&path.join("requires"), &case.requires);
    if let Some(known) = &case.known_issue {
        let path = path.join("known_issue");
        if let Some(Dynamic::Expression(source)) = &known.when {
            all.add(path.join("when"), source, Kind::Bool, When::OPEN);
        }
        all.text(path.join("reason"), &known.reason, When::OPEN);
    }
    if let Some(memlock) = &case.limits.memlock {
        all.size(path.join("limits").join("memlock"), memlock, When::OPEN);
    }
    let unnamed = case.region.iter().map(|region| (path.join("region"), region));
    let named = case.regions.iter().map(|(name, region)| (path.join("regions").join(name), region));
    for (path, region) in unnamed.chain(named) {
        for (key, value) in [
            ("size", &region.size),
            ("page", &region.page),
            ("align", &region.align),
            ("misalign", &region.misalign),
            ("offset", &region.offset),
            ("hole", &region.hole),
        ] {
            if let Some(value) = value {
                all.fitting(path.join(key), value, Fit::of(key), When::OPEN);
            }
        }
    }
    if let Some(expect) = &case.expect {
        let path = path.join("expect");
        all.outcomes(&path.join("map"), expect.map.as_ref(), When::OPEN);
        all.outcomes(&path.join("unmap"), expect.unmap.as_ref(), When::OPEN);
        let path = path.join("pagesize");
        match &expect.pagesize {
            Some(ByBackend::All(size)) => all.size(path, size, When::OPEN),
            Some(ByBackend::Table(table)) => {
                table.iter().for_each(|(key, size)| all.size(path.join(key.0.as_str()), size, When::OPEN));
            }
            None => {}
        }
    }
    for (index, Placed { step, path, .. }) in steps.iter().enumerate() {
        let when = When::step(index);
        for (verb, key, value) in step.sizes() {
            let fit = Fit::of_step(step, verb, key);
            all.fitting(path.join(verb).join(key), value, fit, when);
        }
        for (name, value) in step.with.iter() {
            if let Some(source) = is_computed(value) {
                all.add(path.join("with").join(name), source, Kind::Number, when);
            }
        }
        for (verb, key, text) in step.texts() {
            all.text(path.join(verb).join(key), text, when);
        }
        if let Some((verb, Dynamic::Expression(source))) = step.irq_index() {
            all.add(path.join(verb).join("index"), source, Kind::Interrupt, when);
        }
        for (index, range) in step.allowed_ranges().iter().enumerate() {
            let path = path.join("allow_iovas").join("ranges").join(index);
            all.size(path.join("start"), &range.start, when);
            all.size(path.join("last"), &range.last, when);
        }
        for (field, value) in step.ioctl.iter().flat_map(|ioctl| ioctl.fields.iter()) {
            if let Scalar::Text(source) = value
                && source.contains("{{")
            {
                all.add(path.join("ioctl").join("fields").join(field), source, Kind::Number, when);
            }
        }
        if let Some(Ioctl { tail: Tail::Text(text), .. }) = &step.ioctl {
            all.text(path.join("ioctl").join("tail"), text, when);
        }
        all.outcomes(&path.join("expect"), step.expect.as_ref(), When::outcome(index));
        if let Some(Dynamic::Expression(source)) = &step.check {
            all.add(path.join("check"), source, Kind::Bool, when);
        }
    }
    all.0
}

/// The expressions of what a procedure gives once its last step is done.
pub(super) fn given<'a>(path: &Path, case: &'a Case, gives: &'a Ordered<Scalar>) -> Vec<Written<'a>> {
    let mut all = Expressions(Vec::new());
    let when = When::outcome(steps_of(path, case).len());
    for (name, value) in gives.iter() {
        if let Some(source) = is_computed(value) {
            all.add(path.join("gives").join(name), source, Kind::Number, when);
        }
    }
    all.0
}

/// All steps of a case.
pub(super) fn steps_of<'a>(path: &Path, case: &'a Case) -> Vec<Placed<'a>> {
    every_step(case.steps.as_deref().unwrap_or_default(), &path.join("steps"))
}

/// The expressions of conditions.
pub(super) fn requirements<'a>(path: &Path, requirements: &'a [Requirement]) -> Vec<Written<'a>> {
    let mut all = Expressions(Vec::new());
    all.requirements(path, requirements);
    all.0
}

struct Expressions<'a>(Vec<Written<'a>>);

impl<'a> Expressions<'a> {
    fn add(&mut self, path: Path, source: &'a str, kind: Kind, when: When) {
        self.0.push(Written { path, source, kind, when, names: names_in(source) });
    }

    fn size(&mut self, path: Path, size: &'a Dynamic<Size>, when: When) {
        self.fitting(path, size, Fit::Any, when);
    }

    fn fitting(&mut self, path: Path, size: &'a Dynamic<Size>, fit: Fit, when: When) {
        if let Dynamic::Expression(source) = size {
            self.add(path, source, Kind::Size(fit), when);
        }
    }

    /// A text, if it has expressions in it.
    fn text(&mut self, path: Path, template: &'a Template, when: When) {
        if !template.is_literal() {
            self.add(path, template.as_str(), Kind::Text, when);
        }
    }

    fn requirements(&mut self, path: &Path, requirements: &'a [Requirement]) {
        for (index, requirement) in requirements.iter().enumerate() {
            let path = path.join(index);
            if let Dynamic::Expression(source) = &requirement.that {
                self.add(path.join("that"), source, Kind::Bool, When::OPEN);
            }
            self.text(path.join("because"), &requirement.because, When::OPEN);
        }
    }

    /// The sizes in a table of outcomes.
    fn outcomes(&mut self, path: &Path, outcomes: Option<&'a ByBackend<Outcome>>, when: When) {
        let entries: Vec<(Path, &Outcome)> = match outcomes {
            Some(ByBackend::All(outcome)) => vec![(path.clone(), outcome)],
            Some(ByBackend::Table(table)) => {
                table.iter().map(|(key, outcome)| (path.join(key.0.as_str()), outcome)).collect()
            }
            None => Vec::new(),
        };
        for (path, outcome) in entries {
            if let Outcome::Bytes(size) = outcome {
                self.size(path.join("bytes"), size, when);
            }
        }
    }
}
