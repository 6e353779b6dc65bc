// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec explain`

use clap::{Args as ClapArgs, builder::StringValueParser};

use super::{error::Error, offered::Offered};
use crate::session::{Failure, print};
use crate::{
    explain::Page,
    language::{did_you_mean, features, requests},
    model::code::Code,
};

/// Explain the code of a message, such as `unknown-key`: what it means, and of a mistake in a scenario or pack a wrong and a right example.
/// Or list the fields and flags of a request or a feature of the kernel, such as VFIO_IOMMU_MAP_DMA
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The code, as it stands in brackets behind `error`; without one, all are listed
    #[arg(hide_possible_values = true, value_parser = Offered(StringValueParser::new(), codes))]
    code: Option<String>,
}

fn codes() -> Vec<&'static str> {
    Code::ALL.iter().map(|code| code.as_str()).collect()
}

pub fn main(args: &Args) -> Result<(), Error> {
    let Some(code) = &args.code else {
        let longest = codes().iter().map(|code| code.len()).max().unwrap_or_default();
        let list: String = Page::all().map(|page| format!("{:longest$}  {}\n", page.code, page.summary())).collect();
        return Ok(print(&list)?);
    };
    // As it is copied from a message: `error[unknown-key]`.
    let code = code.trim().trim_start_matches("error").trim_matches(['[', ']', ':']);
    let fields = requests().into_iter().chain(features()).find(|(name, _)| *name == code);
    match (Page::of(code), fields) {
        (Some(page), _) => Ok(print(&format!("{}\n\n{}", page.code, page.plain()))?),
        (None, Some((name, fields))) => Ok(print(&format!("{name}\n\n{}", fields.replace('`', "")))?),
        (None, None) => {
            let known = requests().into_iter().map(|(name, _)| name);
            let help = did_you_mean(code, codes().into_iter().chain(known))
                .unwrap_or_else(|| "`vfiospec explain` lists them all".to_owned());
            Err(Failure::usage(format!("there is no code `{code}`"), help).into())
        }
    }
}
