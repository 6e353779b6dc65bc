// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cases for which any of several backends will do: each gets the first that the kernel has.

use crate::{
    backend,
    event::DeviceUsed,
    language::BackendOptions,
    model::{BackendName, Bdf},
    plan::{self, Plan},
};

/// Gives such cases their backend, one of `only` unless that is empty. Where the kernel has none of them, they keep the first, and say that it is missing.
pub fn settle(plan: &mut Plan, devices: &[DeviceUsed], only: &[BackendName]) {
    let Some(bdf) = devices.iter().find_map(|device| device.bdf.parse::<Bdf>().ok()) else { return };
    let mut known: Vec<(BackendName, bool)> = Vec::new();
    settle_by(plan, only, |name| match known.iter().find(|(known, _)| *known == name) {
        Some((_, is_there)) => *is_there,
        None => {
            // Another error is no missing backend, and the case is to say it.
            let is_there = backend::look(name, bdf).err().is_none_or(|error| !error.is_missing());
            known.push((name, is_there));
            is_there
        }
    });
}

fn settle_by(plan: &mut Plan, only: &[BackendName], mut is_there: impl FnMut(BackendName) -> bool) {
    for at in 0..plan.cases.len() {
        let planned = &plan.cases[at];
        let mut meant = planned.any.iter().copied().filter(|name| only.is_empty() || only.contains(name));
        // Where none is there, the first of those that are meant is what is missing.
        let Some(chosen) = meant.clone().find(|name| is_there(*name)).or_else(|| meant.next()) else { continue };
        if chosen == planned.backend {
            continue;
        }
        let scenario = &plan.scenarios[planned.scenario].scenario;
        let case = &scenario.cases[planned.case];
        let options = scenario.backends.list.iter().find(|(name, _)| *name == chosen).map(|(_, options)| *options);
        let scope = plan::static_scope(scenario, case, &plan.command_line, chosen, &planned.combination);
        let planned = &mut plan.cases[at];
        (planned.backend, planned.options) = (chosen, options.unwrap_or(BackendOptions::default()));
        if let Ok(scope) = scope {
            planned.scope = scope;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Packs, Source, load};

    const TEXT: &str = "name: s\nbackends: any\ncases:\n- { name: one, steps: [{ info: }] }\n\
                        - { name: cdev, backends: [iommufd], steps: [{ info: }] }\n";

    fn backends(there: &[BackendName], only: &[BackendName]) -> Vec<(String, BackendName, String)> {
        let loaded = load(Source::new("s.yaml", TEXT), "p".into(), &Packs::default(), &[]).expect("a scenario");
        let edu = DeviceUsed { name: "edu".into(), ..DeviceUsed::default() };
        let mut plan = plan::expand(vec![loaded], Packs::default(), &[edu], &[]).expect("no collision");
        settle_by(&mut plan, only, |name| there.contains(&name));
        let known = |case: &plan::Planned| case.scope.get("backend").expect("known").to_string();
        plan.cases.iter().map(|case| (case.id.id().to_string(), case.backend, known(case))).collect()
    }

    #[test]
    fn a_case_runs_on_the_first_backend_that_is_there_and_is_called_the_same() {
        use BackendName::{CompatType1v2, Iommufd, VfioType1v2};
        for (there, one) in [
            (&BackendName::ALL[..], Iommufd),
            (&[VfioType1v2, CompatType1v2], VfioType1v2),
            (&[CompatType1v2], CompatType1v2),
            (&[], Iommufd),
        ] {
            let all = backends(there, &[]);
            assert_eq!(all[0], ("p.s.any__edu.one".to_owned(), one, one.to_string()));
            assert_eq!(all[1], ("p.s.any__edu.cdev".to_owned(), Iommufd, "iommufd".to_owned()), "for that one alone");
        }
        assert_eq!(backends(&BackendName::ALL, &[VfioType1v2])[0].1, VfioType1v2, "as --backend says");
        assert_eq!(backends(&[Iommufd], &[VfioType1v2])[0].1, VfioType1v2, "and it is missing then");
    }
}
