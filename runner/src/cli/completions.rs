// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec completions` and `vfiospec man`: what shells and `man` need, made from the same description of the command line as `--help`.

use std::{io, path::PathBuf};

use clap::{Args as ClapArgs, Command};
use clap_complete::Shell;

use super::error::Error;
use crate::model::Exit;
use crate::session::{Failure, print};

/// Print completions for a shell, such as `vfiospec completions bash > /etc/bash_completion.d/vfiospec`
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or write it and those of all verbs to a folder
#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// The folder, such as /usr/local/share/man/man1
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub fn main(args: &Args, mut command: Command) -> Result<(), Error> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "vfiospec", &mut text);
    Ok(print(&String::from_utf8_lossy(&text))?)
}

pub fn man(args: &ManArgs, command: Command) -> Result<(), Error> {
    // As wide as the reader's terminal is: `man` breaks the lines.
    let command = command.term_width(0);
    match &args.folder {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).expect("memory takes all");
            Ok(print(&String::from_utf8_lossy(&page))?)
        }
        Some(folder) => {
            let written: io::Result<()> =
                std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
            written.map_err(|error| {
                let what = format!("failed to write the manual to {}: {error}", folder.display());
                Failure::new(Exit::ReportNotWritten, what).into()
            })
        }
    }
}
