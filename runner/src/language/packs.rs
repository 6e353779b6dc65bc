// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packs of a run: where scenarios find their defaults, and calls their procedures.

use super::text::decode::{decode, salvage};
use super::{
    Diagnostic, Invalid, Pack, Problems, Source, Target, check, schema::known_pack_schema, text::path::Path, verb::Verb,
};
use crate::model::code::Code;

/// A pack and the text that it was read from.
pub struct LoadedPack {
    /// The text, for messages that point into it.
    pub source: Source,
    /// What it says.
    pub pack: Pack,
}

/// All packs that were found.
pub struct Packs {
    /// In the order in which they were found.
    pub list: Vec<LoadedPack>,
    /// Whether all that were found are right: otherwise something that is missing may be in a pack that is not.
    pub complete: bool,
}

impl Default for Packs {
    fn default() -> Packs {
        Packs { list: Vec::new(), complete: true }
    }
}

impl Packs {
    /// Adds the pack of this text, unless it is wrong.
    pub fn add(&mut self, source: Source) -> Result<(), Invalid> {
        let mut found = load(source);
        if let Ok(LoadedPack { source, pack }) = &found
            && let Some(first) = self.list.iter().find(|known| known.pack.name == pack.name)
        {
            let problem = Diagnostic::error(
                Code::DuplicatePack,
                Path::root().join("name"),
                format!("two packs are called `{}`", pack.name),
            )
            .at(Target::Value)
            .label(format!("expected another name than that of {}", first.source.name))
            .help("reports know the cases of a pack by its name: give one of them another one");
            found = Err(Invalid { source: source.clone(), diagnostics: vec![problem] });
        }
        self.complete &= found.is_ok();
        self.list.push(found?);
        Ok(())
    }

    /// Adds the pack of this text, which was checked before.
    pub fn add_checked(&mut self, source: Source) -> Result<(), Invalid> {
        let mut problems = Problems::new();
        let pack = match source.tree() {
            Ok(node) => decode::<Pack>(node, &mut problems).filter(|_| problems.is_empty()),
            Err(problem) => return Err(Invalid { diagnostics: vec![problem.clone()], source }),
        };
        match pack {
            Some(pack) => self.list.push(LoadedPack { source, pack }),
            None => return Err(Invalid { source, diagnostics: problems.into_vec() }),
        }
        Ok(())
    }

    /// The pack of this name.
    pub fn get(&self, name: &str) -> Option<&LoadedPack> {
        self.list.iter().find(|loaded| loaded.pack.name.0 == name)
    }
}

/// Reads and checks a pack, without its scenarios.
fn load(source: Source) -> Result<LoadedPack, Invalid> {
    let mut problems = Problems::new();
    let salvaged = match source.tree() {
        Ok(node) => salvage::<Pack>(node, known_pack_schema, Verb::NAMES, &mut problems),
        Err(problem) => return Err(Invalid { diagnostics: vec![problem.clone()], source }),
    };
    let pack = salvaged.map(|(pack, wounds)| {
        problems.extend(check::pack(&pack).into_iter().filter(|problem| !wounds.explain(problem)));
        pack
    });
    match pack.filter(|_| problems.is_empty()) {
        Some(pack) => Ok(LoadedPack { source, pack }),
        None => Err(Invalid { source, diagnostics: problems.into_vec() }),
    }
}
