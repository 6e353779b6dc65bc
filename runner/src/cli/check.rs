//! `vfiospec check`

use clap::Args as ClapArgs;

use super::{Exit, scenarios::Selection};
use crate::event::DeviceUsed;

/// Check scenarios without running anything: needs no device, no root and no kernel module
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// Checks, and says how much is right.
pub fn main(args: &Args) -> Exit {
    let outcome = args.selection.read().and_then(|texts| {
        let files = texts.len();
        args.selection
            .plan(texts, vec![DeviceUsed { name: "any".into(), ..DeviceUsed::default() }])
            .map(|plan| (plan.0, files))
    });
    match outcome {
        Ok((plan, files)) => {
            let count =
                |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
            println!("{} in {}: no mistakes", count(plan.cases.len(), "case"), count(files, "file"));
            Exit::Ok
        }
        Err(exit) => exit,
    }
}
