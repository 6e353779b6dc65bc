// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where expressions stand in a case, what each has to give, and when it is evaluated.

use std::rc::Rc;

use super::regions;
use crate::language::expression::eval::Name;
use crate::language::verb::{Element, Expects, Fit, Given, Key, Object, Tail, Where};
use crate::language::{
    ByBackend, Case, Condition, Dynamic, ExpressionError, Ordered, Outcome, Path, Placed, Requirement, Scalar, Size,
    Template, every_step, is_computed, undeclared,
};

/// What an expression has to give.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Size(Fit),
    Bool,
    Text,
    /// A kind of interrupt.
    Interrupt,
    /// What a call is expected to return; `reports` is whether that may be a number of bytes.
    Outcome {
        reports: bool,
    },
    /// How long a step may take.
    Limit,
    /// A field's value; what it may be is up to its field.
    Number,
}

/// An expression of a case, and where it stands.
pub(super) struct Written<'a> {
    place: Place<'a>,
    pub source: &'a str,
    pub kind: Kind,
    pub when: When,
    /// The variables that it needs, or what is wrong with it.
    pub needed: Result<Rc<[Name]>, ExpressionError>,
}

impl Written<'_> {
    pub fn path(&self) -> Path {
        match &self.place {
            Place::Made(path) => path.clone(),
            Place::Below(above, keys) => keys.iter().flatten().fold((*above).clone(), |path, key| path.join(*key)),
        }
    }

    /// The variables that it needs; none where it is no expression.
    pub fn names(&self) -> &[Name] {
        self.needed.as_deref().unwrap_or_default()
    }
}

/// Where an expression stands. Few have anything said of them, and only these need a path.
enum Place<'a> {
    Made(Path),
    Below(&'a Path, [Option<&'a str>; 4]),
}

impl<'a> Place<'a> {
    fn below<const N: usize>(above: &'a Path, keys: [&'a str; N]) -> Place<'a> {
        let mut all = [None; 4];
        all.iter_mut().zip(keys).for_each(|(place, key)| *place = Some(key));
        Place::Below(above, all)
    }
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
pub(super) fn expressions<'a>(path: &'a Path, case: &'a Case, steps: &'a [Placed<'a>]) -> Vec<Written<'a>> {
    let mut all = Expressions(Vec::new());
    for (index, template) in case.covers.iter().enumerate() {
        all.text(|| Place::Made(path.join("covers").join(index)), template, When::PLANNED);
    }
    all.requirements(&path.join("requires"), &case.requires);
    if let Some(known) = &case.known_issue {
        if let Some(Dynamic::Expression(source)) = &known.when {
            all.add(Place::below(path, ["known_issue", "when"]), source, Kind::Bool, When::OPEN);
        }
        all.text(|| Place::below(path, ["known_issue", "reason"]), &known.reason, When::OPEN);
    }
    if let Some(memlock) = &case.limits.memlock {
        all.size(Place::below(path, ["limits", "memlock"]), memlock, When::OPEN);
    }
    let unnamed = case.region.iter().map(|region| (None, region.as_ref()));
    let named = case.regions.iter().map(|(name, region)| (Some(name), region));
    for (name, region) in unnamed.chain(named) {
        for (key, value) in [
            ("size", &region.size),
            ("page", &region.page),
            ("align", &region.align),
            ("misalign", &region.misalign),
            ("offset", &region.offset),
            ("hole", &region.hole),
        ] {
            let Some(value) = value else { continue };
            let place = match name {
                Some(name) => Place::below(path, ["regions", name, key]),
                None => Place::below(path, ["region", key]),
            };
            all.fitting(place, value, regions::fit(key), When::OPEN);
        }
    }
    if let Some(expect) = &case.expect {
        all.outcomes(path, Some("map"), expect.map.as_ref(), false, When::OPEN);
        all.outcomes(path, Some("unmap"), expect.unmap.as_ref(), true, When::OPEN);
        match &expect.pagesize {
            Some(ByBackend::All(size)) => all.size(Place::below(path, ["expect", "pagesize"]), size, When::OPEN),
            Some(ByBackend::Table(table)) => {
                for (key, size) in table {
                    all.size(Place::below(path, ["expect", "pagesize", &key.0]), size, When::OPEN);
                }
            }
            None => {}
        }
    }
    for (index, Placed { step, path, .. }) in steps.iter().enumerate() {
        let when = When::step(index);
        for (below, key) in step.keys() {
            let [first, second] = below.0;
            let place = || Place::Below(path, [first, second, None, None]);
            let within = |name| Place::Below(path, [first, second, Some(name), None]);
            match key {
                Key::Size(value, fit) => all.fitting(place(), value, fit, when),
                Key::Place(Where::At(iova)) => all.size(place(), iova, when),
                Key::Object(Object::Id(id)) => all.size(place(), id, when),
                Key::Text(text) | Key::Tail(Tail::Text(text)) => all.text(place, text, when),
                Key::Interrupt(Dynamic::Expression(source)) => all.add(place(), source, Kind::Interrupt, when),
                Key::Truth(Dynamic::Expression(source)) => all.add(place(), source, Kind::Bool, when),
                Key::Arguments(values) => {
                    for (name, value) in values.iter() {
                        is_computed(value).into_iter().for_each(|it| all.add(within(name), it, Kind::Number, when));
                    }
                }
                Key::Fields(values) => {
                    for (name, value) in values.iter() {
                        match value {
                            Given::One(value) => {
                                is_computed(value)
                                    .into_iter()
                                    .for_each(|it| all.add(within(name), it, Kind::Number, when));
                            }
                            Given::List(elements) => all.elements(&below.of(path).join(name), elements, when),
                        }
                    }
                }
                Key::Ranges(ranges) => {
                    for (index, range) in ranges.iter().enumerate() {
                        let at = below.of(path).join(index);
                        all.size(Place::Made(at.join("start")), &range.start, when);
                        all.size(Place::Made(at.join("last")), &range.last, when);
                    }
                }
                Key::Place(Where::Kernel)
                | Key::Object(Object::Named(_))
                | Key::Tail(Tail::Bytes(_))
                | Key::Interrupt(Dynamic::Is(_))
                | Key::Truth(Dynamic::Is(_))
                | Key::Region(_)
                | Key::File(_)
                | Key::Opened(_)
                | Key::Count(_)
                | Key::Word => {}
            }
        }
        let reports = step.verb.about().expects == Expects::Bytes;
        all.outcomes(path, None, step.expect.as_ref(), reports, When::outcome(index));
        if let Some(source) = step.within.as_ref().and_then(Dynamic::expression) {
            all.add(Place::below(path, ["within"]), source, Kind::Limit, When::outcome(index));
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
            all.add(Place::Made(path.join("gives").join(name)), source, Kind::Number, when);
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
    fn add(&mut self, place: Place<'a>, source: &'a str, kind: Kind, when: When) {
        self.0.push(Written { place, source, kind, when, needed: undeclared(source) });
    }

    fn size(&mut self, place: Place<'a>, size: &'a Dynamic<Size>, when: When) {
        self.fitting(place, size, Fit::Any, when);
    }

    fn fitting(&mut self, place: Place<'a>, size: &'a Dynamic<Size>, fit: Fit, when: When) {
        if let Dynamic::Expression(source) = size {
            self.add(place, source, Kind::Size(fit), when);
        }
    }

    /// A text, if it has expressions in it.
    fn text(&mut self, place: impl FnOnce() -> Place<'a>, template: &'a Template, when: When) {
        if !template.is_literal() {
            self.add(place(), template.as_str(), Kind::Text, when);
        }
    }

    /// The elements of the list at a path.
    fn elements(&mut self, path: &Path, elements: &'a [Element], when: When) {
        for (index, element) in elements.iter().enumerate() {
            let path = path.join(index);
            let fields: Vec<(Path, &Scalar)> = match element {
                Element::One(value) => vec![(path, value)],
                Element::Fields(fields) => fields.iter().map(|(name, value)| (path.join(name), value)).collect(),
            };
            for (path, value) in fields {
                is_computed(value)
                    .into_iter()
                    .for_each(|it| self.add(Place::Made(path.clone()), it, Kind::Number, when));
            }
        }
    }

    fn requirements(&mut self, path: &Path, requirements: &'a [Requirement]) {
        for (index, requirement) in requirements.iter().enumerate() {
            let Some(Condition { that, because, lab: _ }) = requirement.condition.as_deref() else { continue };
            let path = path.join(index);
            if let Dynamic::Expression(source) = that {
                self.add(Place::Made(path.join("that")), source, Kind::Bool, When::OPEN);
            }
            self.text(|| Place::Made(path.join("because")), because, When::OPEN);
        }
    }

    /// The outcomes that are computed, and the sizes, of the `expect` at a path: in its own table or in that of a key.
    fn outcomes(
        &mut self,
        path: &'a Path,
        key: Option<&'a str>,
        outcomes: Option<&'a ByBackend<Dynamic<Outcome>>>,
        reports: bool,
        when: When,
    ) {
        let mut outcome = |backend, outcome: &'a Dynamic<Outcome>| {
            let place = |below| Place::Below(path, [Some("expect"), key, backend, below]);
            match outcome {
                Dynamic::Expression(source) => {
                    self.add(place(None), source, Kind::Outcome { reports }, When::PLANNED);
                }
                Dynamic::Is(Outcome::Bytes(size)) => self.size(place(Some("bytes")), size, when),
                Dynamic::Is(Outcome::Ok | Outcome::Fails | Outcome::Either | Outcome::Errno(_)) => {}
            }
        };
        match outcomes {
            Some(ByBackend::All(all)) => outcome(None, all),
            Some(ByBackend::Table(table)) => table.iter().for_each(|(backend, its)| outcome(Some(&backend.0), its)),
            None => {}
        }
    }
}
