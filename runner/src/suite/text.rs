// SPDX-License-Identifier: MIT OR Apache-2.0
//! The texts of scenarios and packs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::language::{self, Invalid, Loaded, Packs, Scalar, Source};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Text {
    pub name: String,
    pub pack: String,
    pub text: String,
    /// The file of its pack, `pack.yaml`, where there is one; of that file itself its own name.
    #[serde(default)]
    pub manifest: Option<String>,
}

impl Text {
    pub fn is_manifest(&self) -> bool {
        self.manifest.as_ref() == Some(&self.name)
    }

    /// Reads packs, then scenarios, that were checked before.
    pub fn read_all(texts: &[Text]) -> Result<(Vec<Loaded>, Packs), Invalid> {
        let (manifests, scenarios): (Vec<&Text>, Vec<&Text>) = texts.iter().partition(|text| text.is_manifest());
        let mut packs = Packs::default();
        for text in manifests {
            packs.add_checked(text.source())?;
        }
        let read = |text: &Text| language::read(text.source(), text.pack.clone(), &packs);
        Ok((scenarios.into_iter().map(read).collect::<Result<_, _>>()?, packs))
    }

    fn source(&self) -> Source {
        Source::new(self.name.clone(), self.text.clone())
    }

    /// Reads and checks packs, then scenarios, which are handed out one by one; what is wrong with some keeps nobody from the others.
    pub fn load_each(texts: &[Text], vars: &[(String, Scalar)], mut take: impl FnMut(Loaded)) -> (Packs, Vec<Invalid>) {
        let (manifests, scenarios): (Vec<&Text>, Vec<&Text>) = texts.iter().partition(|text| text.is_manifest());
        let (mut packs, mut invalid) = (Packs::default(), Vec::new());
        for text in manifests {
            invalid.extend(packs.add(text.source()).err());
        }
        let wrong: BTreeSet<String> = invalid.iter().map(|pack| pack.source.name.clone()).collect();
        for text in scenarios {
            // Of a pack that is wrong it is not known what its scenarios have of it.
            if text.manifest.as_ref().is_some_and(|manifest| wrong.contains(manifest)) {
                continue;
            }
            match language::load(text.source(), text.pack.clone(), &packs, vars) {
                Ok(scenario) => take(scenario),
                Err(problems) => invalid.push(problems),
            }
        }
        (packs, invalid)
    }
}
