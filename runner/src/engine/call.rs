// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of procedures: the device decides which pack's it is.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::Value;

use super::{
    case::{Execution, Frame},
    failure::{End, Problem},
    fixture::Open,
    last_step::Doing,
    regions::{Around, Held},
    verb::sequence,
};
use crate::model::code::Code;
use crate::{
    language::{
        self, FromValue, LoadedPack, Name, Parameter, Path, Procedure, Region, Scalar, Scope, Size, Target, Type,
        is_computed, region_named,
        verb::{Call, Verb},
    },
    plan::{self, PlannedStep},
};

/// The regions of packs whose procedures were called, by the packs' names and their own.
pub type Kept = BTreeMap<(String, String), Held>;

/// Procedures that were called before, by their packs' names and their own.
pub type Prepared<'a> = BTreeMap<(String, String), Arc<Callee<'a>>>;

/// A procedure, ready to run.
pub struct Callee<'a> {
    loaded: &'a LoadedPack,
    procedure: &'a Procedure,
    regions: Vec<(String, Region, Path)>,
    steps: Vec<PlannedStep>,
    /// What its expressions know whatever it is called with.
    scope: Scope,
    path: Path,
}

impl<'a> Execution<'a> {
    /// The reason to skip a case that calls what no pack has for its device.
    pub fn can_call(&self, steps: &[PlannedStep]) -> Result<(), End> {
        steps.iter().try_for_each(|planned| {
            if let Verb::Call(call) = &planned.step.verb {
                let number = planned.step.device.as_ref().map_or(0, |name| self.devices.number(&name.0));
                self.find(&call.procedure, None, number, &planned.at)?;
            }
            self.can_call(&planned.steps)
        })
    }

    /// Runs the procedure that a step calls.
    pub fn call(
        &mut self,
        Call { procedure, with }: &Call,
        planned: &PlannedStep,
        open: Option<&Open>,
        frame: &mut Frame<'_, 'a>,
        say: &mut dyn FnMut(Doing),
    ) -> Result<Value, End> {
        let callee = self.callee(procedure, frame.pack, &planned.at)?;
        let mut scope = callee.scope.clone();
        if self.current != 0 {
            scope.set("device", self.devices.facts(self.current, open));
        }
        let mut held = Vec::new();
        for (name, parameter) in callee.procedure.parameters.iter() {
            let at = planned.at.join("with").join(name);
            let value = with.get(name).or(parameter.default.as_ref());
            let value = value.expect("the check wants an argument where there is no default");
            if parameter.r#type == Type::Region {
                let of_caller = region_named(value).and_then(|region| frame.held.iter().find(|h| h.name == region));
                let given = of_caller.expect("the check knows the regions").called(name);
                scope.set(name, given.facts());
                held.push(given);
            } else {
                let of = || format!("`{procedure}` of {}", callee.loaded.pack.name);
                scope.set(name, self.argument(value, parameter, name, of, at)?);
            }
        }
        // Names of the caller mean nothing to the procedure, nor do its files.
        let mut outer = std::mem::replace(&mut self.scope, scope);
        let files = std::mem::take(&mut self.files);
        let done = self.run_callee(&callee, held, open, frame, say);
        self.files = files;
        std::mem::swap(&mut self.scope, &mut outer);
        done.map_err(|end| self.called_from(end, &callee, procedure, planned, frame))
    }

    /// Runs it in its own scope; what it gives.
    fn run_callee(
        &mut self,
        callee: &Callee<'a>,
        mut held: Vec<Held>,
        open: Option<&Open>,
        frame: &mut Frame<'_, 'a>,
        say: &mut dyn FnMut(Doing),
    ) -> Result<Value, End> {
        for (name, region, at) in &callee.regions {
            let key = (callee.loaded.pack.name.0.clone(), name.clone());
            if !self.kept.contains_key(&key) {
                let pool = frame.pool.as_deref_mut().expect("the check lets no thread call procedures");
                let (device, largest) =
                    (open.map(|open| open.session.device()), open.and_then(|open| open.largest_bar.as_ref()));
                let around = Around { scope: &self.scope, device, largest, held: &held };
                let made = pool.make(name, region, at, &around)?;
                self.kept.insert(key.clone(), made);
            }
            let own = self.kept[&key].called(name);
            self.scope.set(name, own.facts());
            held.push(own);
        }
        let mut inner = Frame {
            open: frame.open,
            held: &held,
            iovas: frame.iovas,
            pool: frame.pool.as_deref_mut(),
            pack: Some(callee.loaded),
            source: &callee.loaded.source,
        };
        sequence(self, &callee.steps, &mut inner, say)?;
        let mut result = Vec::new();
        for (name, value) in callee.procedure.gives.iter() {
            let at = callee.path.join("gives").join(name);
            result.push((name, self.value(value, at)?));
        }
        Ok(Value::from_pairs(result))
    }

    /// What a scalar stands for here.
    fn value(&self, value: &Scalar, at: Path) -> Result<Value, End> {
        match is_computed(value) {
            Some(source) => {
                language::computed(&self.scope, source).map_err(|error| End::Error(Problem::expression(at, &error)))
            }
            None => Ok(value.value()),
        }
    }

    /// The value of an argument, in the scope of the caller.
    fn argument(
        &self,
        value: &Scalar,
        parameter: &Parameter,
        name: &str,
        of: impl Fn() -> String,
        at: Path,
    ) -> Result<Value, End> {
        let kind = parameter.r#type;
        let computed = match (value, is_computed(value)) {
            (Scalar::Text(text), None) if kind != Type::Text => match text.parse::<Size>() {
                Ok(size) => Value::from(size.0),
                Err(_) => Value::from(text.as_str()),
            },
            (Scalar::Text(text), None) => Value::from(text.as_str()),
            _ => self.value(value, at.clone())?,
        };
        let fits = match kind {
            Type::Iova | Type::Size => u64::from_value(&computed).map(Value::from),
            Type::Integer => {
                i64::from_value(&computed).map(Value::from).or_else(|_| u64::from_value(&computed).map(Value::from))
            }
            Type::Boolean => bool::from_value(&computed).map(Value::from),
            Type::Text => String::from_value(&computed).map(Value::from),
            Type::Region => unreachable!("regions are no values"),
        };
        let wrong = |expected: String| {
            let title = format!("`{name}` of {} cannot be {computed}", of());
            End::Error(Problem::new(Code::WrongArgument, at, title).label(format!("expected {expected}")))
        };
        let Ok(fits) = fits else { return Err(wrong(kind.expected().to_owned())) };
        match i128::try_from(fits.clone()).ok().and_then(|number| parameter.bounds_against(number)) {
            Some(bounds) if kind.is_number() => Err(wrong(bounds)),
            _ => Ok(fits),
        }
    }

    /// Says of what went wrong in a procedure where that is written, and where it was called.
    fn called_from(&self, end: End, callee: &Callee, name: &Name, planned: &PlannedStep, frame: &Frame) -> End {
        let line = frame.source.locate(&planned.at, Target::Value).line;
        end.map(|mut problem| {
            problem.source.get_or_insert_with(|| callee.loaded.source.clone());
            problem.help(format!("in `{name}`, called at {}:{line}", frame.source.name))
        })
    }

    /// The procedure that a call means, prepared once.
    fn callee(&mut self, name: &Name, pack: Option<&'a LoadedPack>, at: &Path) -> Result<Arc<Callee<'a>>, End> {
        let (loaded, procedure) = self.find(name, pack, self.current, at)?;
        let key = (loaded.pack.name.0.clone(), name.0.clone());
        if let Some(known) = self.procedures.get(&key) {
            return Ok(known.clone());
        }
        let path = Path::root().join("procedures").join(name.0.as_str());
        let (scenario, case) = procedure.as_case(&name.0, &loaded.pack);
        let (regions, steps) = plan::planned(&case, &path, self.planned.backend);
        let placed = |(name, region, _): (String, Region, Path)| {
            let at = Path::root().join("regions").join(name.as_str());
            (name, region, at)
        };
        let regions = regions.into_iter().map(placed).collect();
        let wrong = |(name, error): (String, _)| {
            let mut problem = Problem::expression(Path::root().join("vars").join(name), &error);
            problem.source = Some(loaded.source.clone());
            End::Error(problem)
        };
        let mut scope = language::static_scope(&scenario, &case, &[], self.planned.backend, &[]).map_err(wrong)?;
        for known in language::RUN_TIME {
            if let Some(value) = self.scope.get(known) {
                scope.set(*known, value.clone());
            }
        }
        language::late_variables(&mut scope, &scenario, &case);
        let callee = Arc::new(Callee { loaded, procedure, regions, steps, scope, path });
        self.procedures.insert(key, callee.clone());
        Ok(callee)
    }

    /// The procedure that a call means on the device: one of the pack that the call stands in, or of the only pack that has it.
    fn find(
        &self,
        name: &Name,
        pack: Option<&'a LoadedPack>,
        device: usize,
        at: &Path,
    ) -> Result<(&'a LoadedPack, &'a Procedure), End> {
        let plan = self.plan;
        if let Some(own) = pack {
            let procedure = own.pack.procedures.get(&name.0).expect("the check knows the procedures of a pack");
            return Ok((own, procedure));
        }
        let kind = self.devices.kind(device);
        let ids = &kind.ids;
        let found: Vec<_> = plan
            .packs
            .list
            .iter()
            .filter_map(|loaded| Some((loaded, loaded.pack.procedure_for(&name.0, kind)?)))
            .collect();
        let of_own = &plan.scenarios[self.planned.scenario].pack;
        if let Some(own) = found.iter().find(|(loaded, _)| loaded.pack.name.0 == *of_own) {
            return Ok(*own);
        }
        match found.as_slice() {
            [only] => Ok(*only),
            [] => Err(End::Skipped(match plan.packs.list.iter().find(|loaded| loaded.pack.is_for(kind)) {
                None => format!("no pack has a procedure `{name}` for this device, {ids}"),
                Some(known) => {
                    format!("the pack `{}`, for this device, {ids}, has no procedure `{name}`", known.pack.name)
                }
            })),
            [(first, _), (second, _), ..] => {
                let title = format!(
                    "both the packs `{}` and `{}` have a procedure `{name}` for this device, {ids}",
                    first.pack.name, second.pack.name
                );
                let problem = Problem::new(Code::Ambiguous, at.join("call"), title).label("expected only one");
                Err(End::Error(problem.help("leave one of the packs out")))
            }
        }
    }
}
