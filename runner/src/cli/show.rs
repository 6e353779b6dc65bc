//! `vfiospec show`

use clap::Args as ClapArgs;

use super::{Exit, output::print, scenarios::Selection};
use crate::{
    event::{DeviceUsed, PlannedCase},
    language::did_you_mean,
    plan::{self, Plan, Planned},
    report::sanitize::line,
};

/// Show what a case stands for on each backend: its regions and its steps, written out
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The case: an id as `list` prints it, or its end, such as `map_unmap[page=2MiB]`, or `map_unmap` for all of its matrix
    case: String,

    #[command(flatten)]
    selection: Selection,
}

/// Prints the case as YAML, once for each backend.
pub fn main(args: &Args) -> Exit {
    let devices = vec![DeviceUsed { name: "any".into(), ..DeviceUsed::default() }];
    let plan = match args.selection.read().and_then(|texts| args.selection.plan(texts, devices)) {
        Ok((plan, _)) => plan,
        Err(exit) => return exit,
    };
    let ending = format!(".{}", args.case);
    let meant = |id: &PlannedCase| {
        let whole = format!(".{}", id.id());
        let without_matrix = whole.split('[').next().unwrap_or(&whole);
        whole.ends_with(&ending) || without_matrix.ends_with(&ending)
    };
    let mut shown = String::new();
    for planned in plan.cases.iter().filter(|planned| meant(&planned.id)) {
        shown += &format!("# {}\n# {}:{}\n", line(&planned.id.id()), line(&planned.id.file), planned.id.line);
        if planned.options.skip_pagesize {
            shown += "# skip_pagesize: `pagesize` steps are left out\n";
        }
        shown += &format!("{}\n", written_out(planned, &plan));
    }
    if !shown.is_empty() {
        return print(&shown);
    }
    eprintln!("vfiospec: no case is called `{}`", args.case);
    let near = did_you_mean(&args.case, plan.cases.iter().map(|planned| planned.id.name.as_str()));
    eprintln!("  help: {}", near.as_deref().unwrap_or("`vfiospec list` prints them all"));
    Exit::Usage
}

/// The regions and steps of a case as YAML.
fn written_out(planned: &Planned, plan: &Plan) -> String {
    let (case, path) = plan.case(planned);
    let (regions, steps) = plan::planned(case, &path, planned.backend);
    let value = |part: Result<serde_yaml::Value, _>| part.expect("a region or a step has a YAML form");
    let regions: serde_yaml::Mapping =
        regions.into_iter().map(|(name, region, _)| (name.into(), value(serde_yaml::to_value(region)))).collect();
    let steps: Vec<_> = steps.into_iter().map(|planned| planned.step).collect();
    let parts = [("regions", regions.into()), ("steps", value(serde_yaml::to_value(steps)))];
    let parts: serde_yaml::Mapping = parts.into_iter().map(|(key, part)| (key.into(), part)).collect();
    serde_yaml::to_string(&parts).expect("a mapping has a YAML form")
}
