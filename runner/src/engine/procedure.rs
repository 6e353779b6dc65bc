// SPDX-License-Identifier: MIT OR Apache-2.0
//! Procedures of packs: the device decides which pack's a call means. What a call does is in `verb/call.rs`.

use std::{collections::BTreeMap, sync::Arc};

use super::failure::{End, Problem};
use super::regions::Held;
use crate::language::{self, ExpressionError, LoadedPack, Name, Path, Procedure, Region, Scalar, Scope, join};
use crate::model::code::Code;
use crate::model::{BackendName, DeviceKind};
use crate::plan::{self, Plan, Planned, PlannedStep};

/// What is kept of the procedures that a case called, by the packs' names and their own.
#[derive(Default)]
pub struct Procedures<'a> {
    /// The regions of the packs, by the device that a procedure was called for.
    pub memory: BTreeMap<(usize, String, String), Held>,
    pub prepared: BTreeMap<(String, String), Arc<Callee<'a>>>,
}

/// A procedure, ready to run.
pub struct Callee<'a> {
    pub loaded: &'a LoadedPack,
    pub procedure: &'a Procedure,
    pub regions: Vec<(String, Region, Path)>,
    pub steps: Vec<PlannedStep>,
    /// What its expressions know whatever its arguments are.
    pub scope: Scope,
    pub path: Path,
}

impl<'a> Callee<'a> {
    /// A procedure for a backend, with the variables of the command line; `run` has what the run knows.
    pub fn new(
        (loaded, procedure): (&'a LoadedPack, &'a Procedure),
        name: &Name,
        backend: BackendName,
        command_line: &[(String, Scalar)],
        run: &Scope,
    ) -> Result<Callee<'a>, End> {
        let path = Path::root().join("procedures").join(name.0.as_str());
        let (scenario, case) = procedure.as_case(&name.0, &loaded.pack);
        let in_pack = |at: Path, error: &ExpressionError| {
            let mut problem = Problem::expression(at, error);
            problem.source = Some(loaded.source.clone());
            End::Error(problem)
        };
        let scope = plan::static_scope(&scenario, &case, command_line, backend, &[]);
        let mut scope = scope.map_err(|(name, error)| in_pack(Path::root().join("vars").join(name), &error))?;
        for known in language::RUN_TIME {
            if let Some(value) = run.get(known) {
                scope.set(*known, value.clone());
            }
        }
        let (mut regions, steps) =
            plan::try_planned(&case, &path, backend, &scope).map_err(|(at, error)| in_pack(at, &error))?;
        for (name, _, at) in &mut regions {
            *at = Path::root().join("regions").join(name.as_str());
        }
        plan::late_variables(&mut scope, &scenario, &case);
        Ok(Callee { loaded, procedure, regions, steps, scope, path })
    }
}

/// The procedure that a verb at `at` means on a device: one of the pack that the verb stands in, or of the only pack that has it.
pub fn find<'a>(
    plan: &'a Plan,
    planned: &Planned,
    name: &str,
    pack: Option<&'a LoadedPack>,
    device: &DeviceKind,
    at: &Path,
) -> Result<(&'a LoadedPack, &'a Procedure), End> {
    if let Some(own) = pack {
        let procedure = own.pack.procedures.get(name).expect("the check knows the procedures of a pack");
        return Ok((own, procedure));
    }
    let (packs, ids) = (&plan.packs.list, &device.ids);
    let having = packs.iter().filter_map(|loaded| Some((loaded, loaded.pack.procedure_for(name, device)?)));
    let found: Vec<_> = having.collect();
    let of_own = &plan.scenarios[planned.scenario].pack;
    if let Some(own) = found.iter().find(|(loaded, _)| loaded.pack.name.0 == *of_own) {
        return Ok(*own);
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => {
            let known: Vec<&str> =
                packs.iter().filter(|loaded| loaded.pack.is_for(device)).map(|loaded| &*loaded.pack.name.0).collect();
            Err(End::Skipped(match known.as_slice() {
                [] => format!("no pack has a procedure `{name}` for this device, {ids}"),
                [only] => format!("the pack `{only}`, for this device, {ids}, has no procedure `{name}`"),
                all => {
                    let all = join(all.iter().copied(), "and");
                    format!("the packs {all}, for this device, {ids}, have no procedure `{name}`")
                }
            }))
        }
        [(first, _), (second, _), ..] => {
            let title = format!(
                "both the packs `{}` and `{}` have a procedure `{name}` for this device, {ids}",
                first.pack.name, second.pack.name
            );
            let problem = Problem::new(Code::Ambiguous, at.clone(), title).label("expected only one");
            Err(End::Error(problem.help("leave one of the packs out")))
        }
    }
}
