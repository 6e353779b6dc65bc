//! `vfiospec check`

use clap::Args as ClapArgs;

use super::{interrupt, messages::MessageFormat, scenarios::Selection, watch};
use crate::{event::DeviceUsed, model::Exit, plan};

/// Check scenarios without running anything: needs no device, no root and no kernel module
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Whom the messages are for
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    message_format: MessageFormat,

    /// Stay, and check again whenever a file changes; Ctrl-C ends
    #[arg(long)]
    watch: bool,
}

/// Checks, and says how much is right.
pub fn main(args: &Args) -> Exit {
    let selection = Selection { messages: args.message_format, ..args.selection.clone() };
    if !args.watch {
        return check(&selection);
    }
    let interrupt = interrupt::flag();
    watch::on_change(&selection.paths, &interrupt, || {
        let _ = check(&selection);
    });
    Exit::Interrupted
}

fn check(selection: &Selection) -> Exit {
    let outcome = selection.read().and_then(|texts| {
        let packs = texts.iter().filter(|text| text.is_manifest()).count();
        let files = texts.len() - packs;
        let mut count = plan::Count::default();
        selection.load_each(&texts, |loaded| count.add(&loaded))?;
        let cases = match count.distinct() {
            Some(cases) => cases,
            None => {
                selection.plan(texts, vec![DeviceUsed { name: "any".into(), ..DeviceUsed::default() }])?.0.cases.len()
            }
        };
        Ok((cases, files, packs))
    });
    match outcome {
        Ok((cases, files, packs)) => {
            let count =
                |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
            if selection.messages == MessageFormat::Human {
                let packs = if packs == 0 { String::new() } else { format!(" and {}", count(packs, "pack")) };
                println!("{} in {}{packs}: no mistakes", count(cases, "case"), count(files, "file"));
            }
            Exit::Ok
        }
        Err(exit) => exit,
    }
}
