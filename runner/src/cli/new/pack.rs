// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec new pack`

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{file, scenario};
use crate::language::{for_editors, pack_schema, schema};
use crate::session::Failure;

/// Write a pack: a folder with its `pack.yaml`, a first scenario, and the schemas that make editors complete their keys
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The folder to make; its name is the pack's name
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub fn main(args: &Args) -> Result<(), Failure> {
    let folder = &args.folder;
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(
            format!("{} is not empty", folder.display()),
            "name a folder that is not there yet",
        ));
    }
    let first = folder.join("first.yaml");
    // Who gets the pack may not have installed anything.
    let near = file::near(&first);
    let modeline = match near.is_empty() {
        true => {
            let schema = serde_json::to_string_pretty(&for_editors(schema())).expect("a schema is JSON");
            file::create(&folder.join("scenario.schema.json"), &(schema + "\n"))?;
            let schema = serde_json::to_string_pretty(&for_editors(pack_schema())).expect("a schema is JSON");
            file::create(&folder.join("pack.schema.json"), &(schema + "\n"))?;
            file::near(&first)
        }
        false => near,
    };
    let manifest = modeline.replace("scenario.schema.json", "pack.schema.json")
        + &format!("name: {}\n", file::name_of(folder))
        + include_str!("pack.yaml").replace("ENGINE", env!("CARGO_PKG_VERSION")).as_str();
    file::create(&folder.join("pack.yaml"), &manifest)?;
    file::create(&first, &scenario::template(&modeline, &file::name_of(Path::new("first"))))
}
