// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the paths that a user names to scenarios that are known to be right.

mod error;
mod find;
mod selection;
mod site;
mod text;

pub use error::{Error, Problem};
pub use find::{Manifests, collect, inventory, machine, machines};
pub use selection::{Checked, Selection, installed, packs_elsewhere};
pub use site::SiteText;
pub use text::Text;
