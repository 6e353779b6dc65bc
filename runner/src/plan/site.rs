// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an inventory says about the cases of a plan, and which of its entries match nothing.

use std::{collections::BTreeSet, sync::Arc};

use super::Plan;
use crate::language::{Cases, Date, Diagnostic, Inventory, KnownIssue, Path, Site, Target, did_you_mean};
use crate::model::{CaseId, code::Code};

/// What an inventory says of a case.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// Where the inventory says that it must run.
    pub must_run: Option<Path>,
    /// What is known of it at the site, and where the inventory says so; what is known of the host first.
    pub issues: Vec<Arc<(Path, KnownIssue)>>,
}

impl Plan {
    /// The plan with what the inventory says of its cases.
    #[must_use]
    pub fn at(mut self, site: Site) -> Plan {
        let issues: Vec<_> = site
            .issues()
            .into_iter()
            .map(|(path, marked)| (marked.cases.clone(), Arc::new((path, marked.issue()))))
            .collect();
        let must_run: Vec<_> = site.must_run().collect();
        for planned in &mut self.cases {
            let id = planned.id.id();
            let known = issues.iter().filter(|(cases, _)| cases.iter().any(|cases| cases.has(&id)));
            planned.marks = Marks {
                must_run: must_run.iter().find(|(_, cases)| cases.has(&id)).map(|(path, _)| path.clone()),
                issues: known.map(|(_, issue)| issue.clone()).collect(),
            };
        }
        drop(must_run);
        self.site = Some(site);
        self
    }

    /// The ids that its cases may have on the host, which is not at hand: a device of which the inventory does not say what it is may be
    /// any that a pack knows.
    fn possible(&self) -> Vec<CaseId> {
        let Some(site) = &self.site else { return Vec::new() };
        let unknown = site.own().devices.iter().filter(|(_, device)| device.is.is_none());
        let unknown: Vec<&str> = unknown.map(|(name, _)| name).collect();
        let mut ids = Vec::new();
        for planned in &self.cases {
            let id = planned.id.id();
            let by_role = self.scenarios[planned.scenario].scenario.device.as_ref().is_some_and(|name| name.0 != "any");
            if by_role {
                ids.extend(unknown.iter().map(|name| CaseId { device: (*name).to_owned(), ..id.clone() }));
            }
            ids.push(id);
        }
        ids
    }
}

/// The entries of an inventory that match nothing: cases that no host of it has, variables that no scenario has, and issues whose day is
/// over. `plans` are the plans of all its hosts, marked, or of some: then only what is said of these is looked at.
pub fn unmatched(inventory: &Inventory, plans: &[Plan], today: Date) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    let known: Vec<Vec<CaseId>> = plans.iter().map(Plan::possible).collect();
    let is_meant = |cases: &Cases, at: &Path| {
        let here = plans.iter().zip(&known).filter(|(plan, _)| plan.site.as_ref().is_some_and(|site| says(site, at)));
        let mut here = here.peekable();
        here.peek().is_none() || here.any(|(_, ids)| ids.iter().any(|id| cases.has(id)))
    };
    let mut all: Vec<(Path, &Cases)> = Vec::new();
    for (at, issue) in inventory.issues_of_all() {
        all.extend(issue.cases.iter().enumerate().map(|(index, cases)| (at.join("cases").join(index), cases)));
        if issue.until < today {
            let title = format!("the issue was known until {}", issue.until);
            wrong.push(
                Diagnostic::error(Code::Expired, at.join("until"), title)
                    .label("expected a day to come: from now on these cases fail")
                    .help("if it is mended, remove the issue; otherwise give it another day, and tell its owner"),
            );
        }
    }
    let of_all = inventory.must_run.iter().enumerate();
    all.extend(of_all.map(|(index, cases)| (Path::root().join("must_run").join(index), cases)));
    for (name, host) in inventory.hosts.iter() {
        let at = Path::root().join("hosts").join(name).join("must_run");
        all.extend(host.must_run.iter().enumerate().map(|(index, cases)| (at.join(index), cases)));
    }
    for (at, cases) in all.into_iter().filter(|(at, cases)| !is_meant(cases, at)) {
        let names = known.iter().flatten().map(|id| id.case.split('[').next().unwrap_or_default());
        let names: BTreeSet<&str> = names.collect();
        let mistake = Diagnostic::error(Code::UnmatchedCases, at, format!("no case is called `{}`", cases.0))
            .label("expected the id of a case, or a part of it with `*`");
        let near = did_you_mean(&cases.0, names);
        wrong.push(mistake.help(near.unwrap_or_else(|| "`vfiospec list` prints the ids of all cases".to_owned())));
    }
    let scenarios = || plans.iter().flat_map(|plan| &plan.scenarios);
    let variables: BTreeSet<&str> = scenarios().flat_map(|loaded| loaded.scenario.vars.keys()).collect();
    let of_hosts = inventory.hosts.iter().flat_map(|(name, host)| {
        let at = Path::root().join("hosts").join(name).join("vars");
        host.vars.keys().map(move |name| (at.join(name), name))
    });
    let of_all = inventory.vars.keys().map(|name| (Path::root().join("vars").join(name), name));
    for (at, name) in of_all.chain(of_hosts).filter(|(_, name)| !variables.contains(name)) {
        let mistake = Diagnostic::error(Code::UnknownVariable, at, format!("no scenario has a variable `{name}`"))
            .at(Target::Key)
            .label("expected one of the `vars` of a scenario");
        wrong.push(did_you_mean(name, variables.iter().copied()).into_iter().fold(mistake, Diagnostic::help));
    }
    wrong
}

/// Whether what stands at a path of the inventory is said of this host.
fn says(site: &Site, at: &Path) -> bool {
    at.starts_with(&site.at()) || !at.starts_with(&Path::root().join("hosts"))
}
