// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which runs are of the same environment, and how reports name environments that stand side by side.

use std::collections::HashSet;

use crate::event::RunStarted;
use crate::report::{run::Environment, words};

/// Whether two runs are of the same environment, so that their results add up.
pub(super) fn is_same(a: &RunStarted, b: &RunStarted) -> bool {
    let devices = |a: &RunStarted, b: &RunStarted| {
        a.devices.iter().all(|of_a| b.devices.iter().all(|of_b| of_a.name != of_b.name || of_a.ids == of_b.ids))
    };
    let of = |run: &RunStarted| [words::kernel(run), run.iommu.clone(), run.lab_iommu.clone().unwrap_or_default()];
    a.host == b.host && of(a) == of(b) && devices(a, b)
}

/// Labels each environment as the user did, or else by what differs between them. A single one that the user has not labelled
/// stays without a label.
pub(super) fn label(environments: &mut [Environment], chosen: Vec<Option<String>>) {
    if environments.len() < 2 && chosen.iter().all(Option::is_none) {
        return;
    }
    let all: Vec<_> = environments.iter().map(|environment| traits(&environment.parts[0].started)).collect();
    let differing: Vec<usize> = (0..4).filter(|&at| all.iter().any(|traits| traits[at] != all[0][at])).collect();
    let mut taken = HashSet::new();
    for ((environment, traits), label) in environments.iter_mut().zip(&all).zip(chosen) {
        environment.named = label.is_some();
        let own = || differing.iter().map(|&which| traits[which].as_str()).collect::<Vec<_>>().join(" ");
        let label = label.unwrap_or_else(own);
        let mut unique = label.clone();
        let mut count = 1;
        while unique.is_empty() || !taken.insert(unique.clone()) {
            count += 1;
            unique = format!("{label} {count}").trim().to_owned();
        }
        environment.label = unique;
    }
}

fn traits(started: &RunStarted) -> [String; 4] {
    let devices: Vec<_> = started.devices.iter().map(|device| format!("{} {}", device.name, device.ids)).collect();
    let iommu = started.lab_iommu.as_ref().unwrap_or(&started.iommu).clone();
    [started.host.clone().unwrap_or_default(), format!("Linux {}", words::kernel(started)), iommu, devices.join(" ")]
}
