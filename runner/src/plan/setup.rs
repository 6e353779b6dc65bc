// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run is planned from: the same in the runner, in its workers and in the lab's guest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Plan, Planned, expand};
use crate::{
    event::DeviceUsed, language::Scalar, model::BackendName, model::fingerprint, suite::SiteText, suite::Text,
};

/// What a worker plans from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// The scenarios.
    pub scenarios: Vec<Text>,
    /// `--var` of the command line.
    pub vars: Vec<(String, String)>,
    /// The devices, bound to vfio-pci.
    pub devices: Vec<DeviceUsed>,
    /// The only backends for cases that take any; empty if there is no such choice.
    #[serde(default)]
    pub only: Vec<BackendName>,
    /// What the inventory says of the host.
    #[serde(default)]
    pub site: Option<SiteText>,
}

impl Setup {
    /// A number for scenarios, variables and the inventory: it is another one when they are changed.
    pub fn fingerprint(&self) -> String {
        let bytes = match &self.site {
            None => serde_json::to_vec(&(&self.scenarios, &self.vars)),
            Some(site) => serde_json::to_vec(&(&self.scenarios, &self.vars, site)),
        };
        let bytes = bytes.expect("these types always have a JSON form");
        format!("{:016x}", fingerprint(&bytes))
    }

    /// No more than a worker needs for these cases of the plan, and the number in its plan of each case.
    pub fn narrowed(&self, plan: &Plan, cases: &[u32]) -> (Setup, Vec<u32>) {
        let mut needed = vec![false; plan.scenarios.len()];
        cases.iter().for_each(|case| needed[plan.cases[*case as usize].scenario] = true);
        let mut before = 0;
        let number = |planned: &Planned| {
            before += u32::from(needed[planned.scenario]);
            before.saturating_sub(1)
        };
        let numbers = plan.cases.iter().map(number).collect();
        let needed = || plan.scenarios.iter().zip(&needed).filter_map(|(loaded, needed)| needed.then_some(loaded));
        let (mut files, mut packs) = (BTreeSet::new(), BTreeSet::new());
        for loaded in needed() {
            files.insert(&loaded.source.name);
            packs.insert(&loaded.pack);
        }
        let all_packs = needed().any(|loaded| loaded.scenario.calls());
        let wanted = |text: &&Text| match text.is_manifest() {
            true => all_packs || packs.contains(&text.pack),
            false => files.contains(&text.name),
        };
        let scenarios = self.scenarios.iter().filter(wanted).cloned().collect();
        (Setup { scenarios, ..self.clone() }, numbers)
    }

    /// The variables of the command line as values.
    pub fn vars(&self) -> Vec<(String, Scalar)> {
        self.vars.iter().map(|(name, value)| (name.clone(), Scalar::Text(value.clone()))).collect()
    }

    /// Plans what was checked before: in the runner, and the same in its workers and in the lab's guest.
    pub fn plan(&self) -> Result<Plan, String> {
        let (loaded, packs) = Text::read_all(&self.scenarios).map_err(|invalid| invalid.render(false))?;
        let plan = expand(loaded, packs, &self.devices, &self.vars())
            .map_err(|collisions| format!("cases collide: {collisions:?}"))?;
        Ok(match self.site.clone() {
            Some(site) => plan.at(site.read()?),
            None => plan,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, pack: &str, manifest: Option<&str>, text: &str) -> Text {
        let manifest = manifest.map(|folder| format!("{folder}/pack.yaml"));
        Text { name: name.into(), pack: pack.into(), text: text.into(), manifest }
    }

    #[test]
    fn a_worker_gets_what_its_cases_need_and_numbers_them_as_it_plans_them() {
        let cases =
            "backends: [iommufd]\ncases:\n- { name: one, steps: [{ info: }] }\n- { name: two, steps: [{ info: }] }\n";
        let calls =
            "backends: [iommufd]\ncases: [{ name: one, steps: [{ repeat: { times: 2, steps: [{ call: act }] } }] }]\n";
        let pack = "name: card\nversion: 1.0.0\nengine: 0.1.0\nsummary: A card.\nvendor: V\n\
                    procedures: { act: { summary: It acts., steps: [{ info: }] } }\n";
        let setup = Setup {
            scenarios: vec![
                text("card/pack.yaml", "card", Some("card"), pack),
                text("a.yaml", "p", None, &format!("name: a\n{cases}")),
                text("b.yaml", "p", None, &format!("name: b\n{calls}")),
                text("c.yaml", "p", None, &format!("name: c\n{cases}")),
            ],
            vars: Vec::new(),
            only: Vec::new(),
            site: None,
            devices: vec![DeviceUsed { name: "any".into(), ..DeviceUsed::default() }],
        };
        let plan = setup.plan().unwrap();
        let ids = |plan: &Plan| plan.cases.iter().map(|case| case.id.id()).collect::<Vec<_>>();
        let narrowed = |cases: &[u32]| {
            let (narrow, numbers) = setup.narrowed(&plan, cases);
            let its = ids(&narrow.plan().unwrap());
            for case in cases {
                assert_eq!(its[numbers[*case as usize] as usize], ids(&plan)[*case as usize]);
            }
            narrow.scenarios.into_iter().map(|text| text.name).collect::<Vec<_>>()
        };
        assert_eq!(narrowed(&[4]), ["c.yaml"]);
        assert_eq!(narrowed(&[1, 3]), ["a.yaml", "c.yaml"]);
        assert_eq!(narrowed(&[2]), ["card/pack.yaml", "b.yaml"], "what it calls may be in any pack");
        assert_eq!(narrowed(&[0, 1, 2, 3, 4]).len(), 4);
    }
}
