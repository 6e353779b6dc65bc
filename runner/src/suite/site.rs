// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an inventory says of the host that a command is about.

use serde::{Deserialize, Serialize};

use super::{Error, Problem, Selection, find};
use crate::language::{Inventory, Path, Scalar, Site, Source, did_you_mean, join};
use crate::{model::code::Code, sanitize, uapi::system};

/// An inventory and one of its hosts, for workers and guests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteText {
    source: Source,
    host: String,
}

impl SiteText {
    /// As the other side reads it.
    pub fn of(site: &Site) -> SiteText {
        SiteText { source: site.source.clone(), host: site.host.clone() }
    }

    /// Reads an inventory that was checked before.
    pub fn read(self) -> Result<Site, String> {
        let SiteText { source, host } = self;
        let (source, inventory) = Inventory::read(source).map_err(|invalid| invalid.render(false))?;
        Ok(Site { source, inventory, host })
    }
}

impl Selection {
    /// What the inventory says, as the host of `--host` has it, or else this machine; `None` without an inventory.
    pub fn site(&self) -> Result<Option<Site>, Error> {
        let Some(file) = &self.inventory else { return Ok(None) };
        let (source, inventory) = find::inventory(file)?;
        let found = match &self.host {
            Some(host) => inventory.hosts.get(host).map(|_| host.clone()),
            None => this_host(&inventory, &system::hostname()),
        };
        match found {
            Some(host) => Ok(Some(Site { source, inventory, host })),
            None => Err(self.no_host(&source, &inventory).into()),
        }
    }

    fn no_host(&self, source: &Source, inventory: &Inventory) -> Problem {
        let there_is = format!("there is {}", join(inventory.hosts.keys(), "and"));
        let file = source.name.clone();
        let (message, help) = match &self.host {
            Some(host) => {
                let near = did_you_mean(host, inventory.hosts.keys());
                (format!("{file} has no host `{}`", sanitize::line(host)), near.unwrap_or(there_is))
            }
            None => {
                let message = format!("no host of {file} has this machine's hostname, {}", system::hostname());
                (message, format!("name one with --host, or give one this `hostname`; {there_is}"))
            }
        };
        Problem { code: Code::UnknownHost, file, message, help: Some(help) }
    }

    /// The variables of an inventory that the command line does not set.
    pub(super) fn vars_of<'s>(&self, site: Option<&'s Site>) -> Vec<(&'s str, &'s Scalar, Path)> {
        let mut vars = site.map(Site::vars).unwrap_or_default();
        vars.retain(|(name, ..)| self.vars.iter().all(|(set, _)| set != name));
        vars
    }

    /// The variables of the command line, and those of the inventory that it does not set.
    pub fn vars_on(&self, site: Option<&Site>) -> Vec<(String, String)> {
        let of_site = self.vars_of(site).into_iter().map(|(name, value, _)| (name.to_owned(), value.to_string()));
        of_site.chain(self.vars.iter().cloned()).collect()
    }
}

/// The host of this hostname: as it is written, or without its domain on either side.
fn this_host(inventory: &Inventory, hostname: &str) -> Option<String> {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let all = || inventory.hosts.iter().map(|(name, host)| (name, host.hostname.as_deref().unwrap_or(name)));
    let same = all().find(|(_, known)| *known == hostname);
    let mut alike =
        all().filter(|(_, known)| (!known.contains('.') || !hostname.contains('.')) && short(known) == short(hostname));
    let only = same.or_else(|| alike.next().filter(|_| alike.next().is_none()));
    only.map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_the_host_of_its_name_with_or_without_the_domain() {
        let text = "hosts:\n  one: {}\n  two: { hostname: rack2.example.org }\n  three: { hostname: rack3.a }\n  four: { hostname: rack3.b }\n";
        let (_, inventory) = Inventory::read(Source::new("lab.yaml", text)).expect("an inventory");
        for (hostname, host) in [
            ("one", Some("one")),
            ("one.example.org", Some("one")),
            ("rack2.example.org", Some("two")),
            ("rack2", Some("two")),
            ("rack2.elsewhere.org", None),
            ("two", None),
            ("rack3.b", Some("four")),
            ("rack3", None),
        ] {
            assert_eq!(this_host(&inventory, hostname).as_deref(), host, "{hostname}");
        }
    }
}
