// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec new scenario`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::file;
use crate::session::Failure;

/// Write a scenario with two cases, one in each form, to change into yours
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The file to write; its name is the scenario's name
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn main(args: &Args) -> Result<(), Failure> {
    if !args.file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        let what = format!("a scenario's file ends in .yaml, and this does not: {}", args.file.display());
        return Err(Failure::usage(what, format!("write {}", args.file.with_extension("yaml").display())));
    }
    file::create(&args.file, &template(&file::modeline(&args.file), &file::name_of(&args.file)))
}

pub fn template(modeline: &str, name: &str) -> String {
    format!("{modeline}name: {name}\n{}", include_str!("scenario.yaml"))
}
