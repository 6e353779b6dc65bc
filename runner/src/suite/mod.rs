// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the paths that a user names to scenarios that are known to be right.

mod error;
mod find;
mod selection;
mod text;

pub use error::{Error, Problem};
pub use find::{Manifests, collect, machine, machines};
pub use selection::{Checked, Selection, packs_elsewhere};
pub use text::Text;
