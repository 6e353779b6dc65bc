//! `vfiospec show`

use clap::Args as ClapArgs;

use super::{Exit, scenarios::Selection};
use crate::{event::DeviceUsed, language::did_you_mean, plan};

/// Show what a case stands for on each backend: its regions and its steps, written out
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The case: an id as `list` prints it, or the end of one, such as `map_unmap[page=2MiB]`
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
    let meant = |id: &str| id == args.case || id.ends_with(&format!(".{}", args.case));
    let mut found = false;
    for planned in plan.cases.iter().filter(|planned| meant(&planned.id.id())) {
        found = true;
        let (case, path) = plan.case(planned);
        let (regions, steps) = plan::planned(case, &path, planned.backend);
        println!("# {}", planned.id.id());
        println!("# {}:{}", planned.id.file, planned.id.line);
        if planned.options.skip_pagesize {
            println!("# skip_pagesize: `pagesize` steps are left out");
        }
        let regions: serde_yaml::Mapping = regions
            .into_iter()
            .map(|(name, region, _)| (name.into(), serde_yaml::to_value(region).expect("a region has a YAML form")))
            .collect();
        let steps: Vec<_> = steps.into_iter().map(|planned| planned.step).collect();
        let shown =
            [("regions", serde_yaml::Value::from(regions)), ("steps", serde_yaml::to_value(steps).expect("steps too"))];
        let shown: serde_yaml::Mapping = shown.into_iter().map(|(key, value)| (key.into(), value)).collect();
        println!("{}", serde_yaml::to_string(&shown).expect("a mapping has a YAML form"));
    }
    if found {
        return Exit::Ok;
    }
    eprintln!("vfiospec: no case is called `{}`", args.case);
    let near = did_you_mean(&args.case, plan.cases.iter().map(|planned| planned.id.name.as_str()));
    eprintln!("  help: {}", near.as_deref().unwrap_or("`vfiospec list` prints them all"));
    Exit::Usage
}
