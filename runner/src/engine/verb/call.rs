// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::Arc;

use super::prelude::*;
use crate::{
    engine::{
        context::{Context, Frame},
        procedure::{Callee, find},
        regions::{Around, Held},
    },
    language::{self, FromValue, Name, Ordered, Parameter, Path, Scalar, Target, Type, is_computed, region_named},
};

impl Act for Call {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Call { procedure, with } = self;
        let result = called(step, procedure, with)?;
        step.save(result);
        Ok(())
    }
}

/// Runs a procedure of the device's pack with these arguments, and returns its result.
pub fn called(step: &mut Running, procedure: &Name, with: &Ordered<Scalar>) -> Result<Value, End> {
    let callee = callee(step, procedure)?;
    let mut scope = callee.scope.clone();
    if step.case.current != 0 {
        scope.set("device", step.case.devices.facts(step.case.current, step.device));
    }
    let mut held = Vec::new();
    for (name, parameter) in callee.procedure.parameters.iter() {
        let value = with.get(name).or(parameter.default.as_ref());
        let value = value.expect("the check wants an argument where there is no default");
        if parameter.r#type == Type::Region {
            let of_caller = region_named(value).and_then(|region| step.frame.held.iter().find(|h| h.name == region));
            let given = of_caller.expect("the check knows the regions").called(name);
            scope.set(name, given.facts());
            held.push(given);
        } else {
            let of = || format!("`{procedure}` of {}", callee.loaded.pack.name);
            let at = step.planned.at.join("with").join(name);
            scope.set(name, argument(step.case, value, parameter, name, of, at)?);
        }
    }
    // Names of the caller mean nothing to the procedure, nor do its files.
    let outer = std::mem::replace(&mut step.case.scope, scope);
    let files = std::mem::take(&mut step.case.files);
    let done = run(step, &callee, held);
    step.case.files = files;
    step.case.scope = outer;
    // A failure names both what is written in the procedure and the call.
    done.map_err(|end| {
        let Frame { source, .. } = step.frame;
        let line = source.locate(&step.planned.at, Target::Value).line;
        end.map(|mut problem| {
            problem.source.get_or_insert_with(|| callee.loaded.source.clone());
            problem.help(format!("in `{procedure}`, called at {}:{line}", source.name))
        })
    })
}

/// The procedure that a call means, prepared once.
pub fn callee<'a>(step: &mut Running<'_, '_, 'a>, name: &Name) -> Result<Arc<Callee<'a>>, End> {
    let at = step.at("");
    let case = &mut *step.case;
    let kind = case.devices.kind(case.current);
    let found = find(case.plan, case.planned, &name.0, step.frame.pack, kind, &at)?;
    let key = (found.0.pack.name.0.clone(), name.0.clone());
    if let Some(known) = case.procedures.prepared.get(&key) {
        return Ok(known.clone());
    }
    let callee = Arc::new(Callee::new(found, name, case.planned.backend, &case.plan.command_line, &case.scope)?);
    case.procedures.prepared.insert(key, callee.clone());
    Ok(callee)
}

/// Runs a procedure in its own scope, and returns its result.
fn run<'a>(step: &mut Running<'_, '_, 'a>, callee: &Callee<'a>, mut held: Vec<Held>) -> Result<Value, End> {
    let Running { case, frame, device, say, sequence, .. } = step;
    for (name, region, at) in &callee.regions {
        // Each device has its own: two of a kind would disturb each other.
        let key = (case.current, callee.loaded.pack.name.0.clone(), name.clone());
        if !case.procedures.memory.contains_key(&key) {
            let pool = frame.pool.as_deref_mut().expect("the check lets no thread call procedures");
            let around = Around { scope: &case.scope, devices: &case.devices, open: *device, held: &held };
            let mut made = pool.make(name, region, at, &around)?;
            made.device = case.current;
            case.procedures.memory.insert(key.clone(), made);
        }
        let own = case.procedures.memory[&key].called(name);
        case.scope.set(name, own.facts());
        held.push(own);
    }
    let (open, pool) = (frame.open, frame.pool.as_deref_mut());
    let mut inner = Frame { open, held: &held, pool, pack: Some(callee.loaded), source: &callee.loaded.source };
    sequence(case, &callee.steps, &mut inner, say)?;
    let mut result = Vec::new();
    for (name, value) in callee.procedure.gives.iter() {
        let at = callee.path.join("gives").join(name);
        result.push((name, self::value(case, value, at)?));
    }
    Ok(Value::from_pairs(result))
}

fn value(case: &Context, value: &Scalar, at: Path) -> Result<Value, End> {
    match is_computed(value) {
        Some(source) => {
            language::computed(&case.scope, source).map_err(|error| End::Error(Problem::expression(at, &error)))
        }
        None => Ok(value.value()),
    }
}

/// The value of an argument, in the scope of the caller.
fn argument(
    case: &Context,
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
        _ => self::value(case, value, at.clone())?,
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
