// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hosts of a lab, in one file: what their devices are called, what must be there and must run, and what is known to fail there.

use std::collections::BTreeMap;

use schemars::json_schema;

use super::scenario::backends::matches;
use super::text::{decode::salvage, keys::NotEmpty};
use super::{
    At, Complaint, Date, Decode, Diagnostic, Dynamic, Invalid, KnownIssue, Name, Node, Ordered, Path, Problems, Role,
    Scalar, Source, Target, Template, check, described, keys, machine::NOT_ONE, schema::known_inventory_schema,
    text::suggest::shorten,
};
use crate::model::{BackendName, Bdf, CaseId, DeviceKind, Identity, code::Code};

keys! {
    /// The hosts of a lab, for `--inventory`. What stands beside `hosts` is for all of them.
    pub struct Inventory {
        /// What it is, in a sentence.
        #[example("The machines in the basement.")]
        pub summary: Option<String>,
        /// Values of variables of the scenarios, in place of those in their files. `--var` is in place of these.
        #[example({ "size": "2MiB" })]
        pub vars: Ordered<Scalar> = empty,
        /// Cases that must run on every host: if one is skipped, it has no verdict, which is an error.
        #[example(["kernel.dma_mapping.*"])]
        pub must_run: Vec<Cases> = empty,
        /// Known failures on every host.
        pub known_issues: Vec<SiteIssue> = empty,
        /// The hosts by name.
        #[example({ "rack1": { "devices": { "nic": { "address": "0000:03:00.0" } } } })]
        pub hosts: Ordered<Host>,
    }
}

keys! {
    /// A host of a lab.
    #[derive(Default)]
    pub struct Host {
        /// What it is, in a sentence.
        #[example("The one with AMD's IOMMU.")]
        pub summary: Option<String>,
        /// What `hostname` prints there. The default is the name that it has here.
        #[example("rack1.lab.example.org")]
        pub hostname: Option<String>,
        /// Its devices, each by the name that scenarios and reports know it by. A run takes all of them, unless it says `--device`.
        #[example({ "nic": { "address": "0000:03:00.0" } })]
        pub devices: Ordered<HostDevice> = empty,
        /// The backends that its kernel must have: without them nothing runs.
        #[example(["vfio_type1v2_iommu", "iommufd"])]
        pub backends: Vec<BackendName> = empty,
        /// Values of variables of the scenarios, in place of those for all hosts.
        #[example({ "size": "2MiB" })]
        pub vars: Ordered<Scalar> = empty,
        /// Cases that must run here, beside those of all hosts.
        #[example(["kernel.dma_mapping.*"])]
        pub must_run: Vec<Cases> = empty,
        /// Known failures on this host, beside those on all.
        pub known_issues: Vec<SiteIssue> = empty,
    }
}

keys! {
    /// A device of a host, by one of `address`, `serial`, `mac` and `slot`. The last three stay when cards are added or moved, which changes
    /// addresses.
    #[derive(Default)]
    pub struct HostDevice {
        /// What it is, in a sentence.
        #[example("The card that DMA goes through most.")]
        pub summary: Option<String>,
        /// Its PCI address.
        #[example("0000:03:00.0")]
        pub address: Option<Bdf>,
        /// Its serial number: of PCI Express, as `lspci -v` shows it, or of NVMe, as `nvme list` does. PCI Express's is read by root only; NVMe's
        /// is there only while the device has the driver `nvme`.
        #[example("00-1b-21-ff-ff-aa-bb-cc")]
        pub serial: Option<String>,
        /// The address of its network interface, which is there only while the device has its network driver.
        #[example("00:1b:21:aa:bb:cc")]
        pub mac: Option<String>,
        /// The slot that its card is in, as `/sys/bus/pci/slots` calls it.
        #[example("3")]
        pub slot: Option<Scalar>,
        /// Which function of the card, of several with one `serial` or in one `slot`. The default is 0 in a slot.
        #[example(1)]
        pub function: Option<u8>,
        /// What it must be: another device there is an error.
        #[example({ "ids": ["8086:10c9"] })]
        pub is: Option<Role>,
        /// Whether runs go on without it. By default nothing runs if it is not there.
        #[default(false)]
        pub optional: bool = default,
    }
}

keys! {
    /// A failure that is known at a site. It does what a `known_issue` does in a scenario, for the cases that it names.
    pub struct SiteIssue {
        /// Which cases.
        #[example(["kernel.dma_mapping.iommufd__*"])]
        pub cases: Vec<Cases> as NotEmpty,
        /// Who looks after it.
        #[example("lab@example.org")]
        pub owner: String,
        /// Where the cases are known to fail. The default is everywhere.
        #[example("{{ backend == 'iommufd' }}")]
        pub when: Option<Dynamic<bool>>,
        /// A text that the failure's message contains, so that another failure is not mistaken for this one. The default is any failure.
        #[example("the kernel logged: WARNING")]
        pub message: Option<String>,
        /// What is known about it, for the report.
        #[example("the card's firmware answers resets late")]
        pub reason: Template,
        /// Where it is described, such as a ticket.
        #[example("https://bugs.example.org/4711")]
        pub link: Option<String>,
        /// The last day on which it is accepted. After that day it is a failure.
        pub until: Date,
    }
}

/// Cases: an id as reports show it, or its end, with `*` for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cases(pub String);

impl Cases {
    /// Whether a case is meant. The matrix values may be left out.
    pub fn has(&self, id: &CaseId) -> bool {
        if !self.0.contains('*') {
            return id.is_called(&self.0);
        }
        let (pattern, whole) = (format!("*.{}", self.0), format!(".{id}"));
        let short = whole.split('[').next().unwrap_or_default();
        [whole.as_str(), short].iter().any(|id| matches(pattern.as_bytes(), id.as_bytes()))
    }
}

impl Decode for Cases {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| match text.trim() {
            "" => Err(Complaint::new(Code::InvalidInventory, "an empty text means no case")
                .expected("the id of a case, or a part of it with `*`, such as kernel.dma_mapping.*")),
            _ => Ok(Cases(text.to_owned())),
        })
    }

    fn made_up() -> Self {
        Cases("*".to_owned())
    }
}

described!(Cases, "Selector", |_| json_schema!({
    "description": "Cases: an id as reports and `vfiospec list` show it, or the end of one, with `*` for any number of characters. The matrix values may be left out.",
    "type": "string",
    "examples": ["kernel.dma_mapping.*"],
}));

impl Decode for Bdf {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "a PCI address in quotes", |text| {
            text.parse().map_err(|_| {
                Complaint::new(Code::InvalidInventory, format_args!("`{}` is no PCI address", shorten(text)))
                    .expected("domain, bus, device and function, such as 0000:03:00.0")
            })
        })
    }

    fn made_up() -> Self {
        Bdf { domain: 0, bus: 0, device: 0, function: 0 }
    }
}

described!(Bdf, "Address", |_| json_schema!({
    "description": "A PCI address: domain, bus, device and function.",
    "type": "string",
    "pattern": "^([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\\.[0-7]$",
    "examples": ["0000:03:00.0"],
}));

impl Decode for BackendName {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| {
            let names = BackendName::ALL.map(BackendName::as_str);
            text.parse().map_err(|_| Complaint::unknown_word(Code::UnknownBackend, "backend", &shorten(text), &names))
        })
    }

    fn made_up() -> Self {
        BackendName::Iommufd
    }
}

impl HostDevice {
    /// By what it is found.
    pub fn identity(&self) -> Option<Identity> {
        let HostDevice { address, serial, mac, slot, function, .. } = self;
        let function = *function;
        match (address, serial, mac, slot) {
            (Some(address), None, None, None) => Some(Identity::Address(*address)),
            (None, Some(serial), None, None) => Some(Identity::Serial(serial.clone(), function)),
            (None, None, Some(mac), None) => Some(Identity::Mac(mac.to_ascii_lowercase())),
            (None, None, None, Some(slot)) => Some(Identity::Slot(slot.to_string(), function.unwrap_or(0))),
            _ => None,
        }
    }

    /// What is known of it without looking.
    pub fn kind(&self) -> DeviceKind {
        let Some(role) = &self.is else { return DeviceKind::default() };
        DeviceKind {
            ids: role.ids.iter().flatten().next().map(|ids| ids.0.clone()).unwrap_or_default(),
            class: role.class.iter().flatten().next().map_or(0, |class| class.number()),
            capabilities: role.capabilities.clone().unwrap_or_default(),
            largest_bar: role.largest_bar.or(role.bar).map_or(0, |size| size.0),
        }
    }

    fn mistakes(&self, name: &str, at: &Path) -> Vec<Diagnostic> {
        let wrong = |at: Path, title: String| Diagnostic::error(Code::InvalidInventory, at, title);
        let mut mistakes = Vec::new();
        if NOT_ONE.contains(&name) || !Name::is_valid(name) {
            let title = format!("a device cannot be called `{name}`");
            let mistake = wrong(at.clone(), title).at(Target::Key);
            mistakes.push(mistake.label("expected a name that means nothing else in scenarios"));
        }
        let says = [self.address.is_some(), self.serial.is_some(), self.mac.is_some(), self.slot.is_some()];
        match says.iter().filter(|says| **says).count() {
            1 => {}
            0 => mistakes.push(
                wrong(at.clone(), format!("nothing says which device `{name}` is"))
                    .at(Target::Key)
                    .label("expected one of `address`, `serial`, `mac`, `slot` in it")
                    .help("`vfiospec devices` lists the devices of a machine with their addresses"),
            ),
            _ => mistakes.push(
                wrong(at.clone(), format!("`{name}` is said to be a device in more than one way"))
                    .at(Target::Key)
                    .label("expected only one of `address`, `serial`, `mac`, `slot` in it")
                    .help("`is` says what the device that is found must be"),
            ),
        }
        if self.function.is_some() && self.serial.is_none() && self.slot.is_none() {
            mistakes.push(
                wrong(at.join("function"), "`function` without `serial` or `slot`".to_owned())
                    .at(Target::Key)
                    .label("expected it only beside one of these: an address has its function in it"),
            );
        }
        if let Some(function) = self.function.filter(|function| *function > 7) {
            mistakes.push(
                wrong(at.join("function"), format!("no device has a function {function}")).label("expected 0 to 7"),
            );
        }
        mistakes
    }
}

impl SiteIssue {
    /// The issue as that of a case. Its owner stands behind its reason.
    pub fn issue(&self) -> KnownIssue {
        let SiteIssue { cases: _, owner, when, message, reason, link, until } = self.clone();
        let reason = Template::new(format!("{reason} (owner: {owner})")).unwrap_or(reason);
        KnownIssue { when, message, reason, link, until }
    }

    fn mistakes(&self, at: &Path) -> Vec<Diagnostic> {
        let mut mistakes = check::known_issue(&self.issue(), at);
        if self.owner.trim().is_empty() {
            let mistake = Diagnostic::error(Code::InvalidInventory, at.join("owner"), "nobody looks after this issue");
            mistakes.push(mistake.label("expected a name or an address"));
        }
        mistakes
    }
}

impl Inventory {
    /// Reads and checks an inventory, its scenarios apart.
    pub fn read(source: Source) -> Result<(Source, Inventory), Invalid> {
        let mut problems = Problems::new();
        let salvaged = match source.tree() {
            Ok(node) => salvage::<Inventory>(node, known_inventory_schema, &[], &mut problems),
            Err(problem) => return Err(Invalid { diagnostics: vec![problem.clone()], source }),
        };
        let inventory = salvaged.map(|(inventory, wounds)| {
            problems.extend(inventory.mistakes().into_iter().filter(|problem| !wounds.explain(problem)));
            inventory
        });
        match inventory.filter(|_| problems.is_empty()) {
            Some(inventory) => Ok((source, inventory)),
            None => Err(Invalid { source, diagnostics: problems.into_vec() }),
        }
    }

    fn mistakes(&self) -> Vec<Diagnostic> {
        let root = Path::root();
        let mut mistakes = Vec::new();
        if self.hosts.is_empty() {
            let mistake = Diagnostic::error(Code::InvalidInventory, root.join("hosts"), "the inventory has no host");
            mistakes.push(mistake.at(Target::Key).label("expected at least one"));
        }
        let mut hostnames: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, host) in self.hosts.iter() {
            let at = root.join("hosts").join(name);
            let hostname = host.hostname.as_deref().unwrap_or(name);
            if let Some(first) = hostnames.insert(hostname, name) {
                let title = format!("`{first}` and `{name}` have the same hostname, {hostname}");
                let note = root.join("hosts").join(first);
                let mistake = Diagnostic::error(Code::InvalidInventory, at.clone(), title).at(Target::Key);
                mistakes.push(mistake.label("expected one of its own").note(note, Target::Key, "the first one"));
            }
            let mut taken: BTreeMap<Identity, &str> = BTreeMap::new();
            for (name, device) in host.devices.iter() {
                let at = at.join("devices").join(name);
                mistakes.extend(device.mistakes(name, &at));
                let Some(first) = device.identity().and_then(|identity| taken.insert(identity, name)) else { continue };
                let title = format!("`{first}` and `{name}` are the same device");
                mistakes.push(
                    Diagnostic::error(Code::InvalidInventory, at, title)
                        .at(Target::Key)
                        .label("expected each device under one name"),
                );
            }
        }
        for (at, issue) in self.issues_of_all() {
            mistakes.extend(issue.mistakes(&at));
        }
        mistakes
    }

    /// Every known issue and where it stands, those of all hosts first.
    pub fn issues_of_all(&self) -> Vec<(Path, &SiteIssue)> {
        let own = self.hosts.iter().flat_map(|(name, host)| {
            let at = Path::root().join("hosts").join(name).join("known_issues");
            host.known_issues.iter().enumerate().map(move |(index, issue)| (at.join(index), issue))
        });
        let at = Path::root().join("known_issues");
        let all = self.known_issues.iter().enumerate().map(|(index, issue)| (at.join(index), issue));
        all.chain(own).collect()
    }
}

/// An inventory as one of its hosts has it.
#[derive(Debug, Clone)]
pub struct Site {
    /// The text, for messages that point into it.
    pub source: Source,
    /// What it says.
    pub inventory: Inventory,
    /// The name of the host, which is one of its hosts.
    pub host: String,
}

impl Site {
    /// The host.
    pub fn own(&self) -> &Host {
        self.inventory.hosts.get(&self.host).expect("it is one of its hosts")
    }

    /// Where the host stands.
    pub fn at(&self) -> Path {
        Path::root().join("hosts").join(self.host.as_str())
    }

    /// The variables with their places; those of the host take the place of those of all.
    pub fn vars(&self) -> Vec<(&str, &Scalar, Path)> {
        let own = &self.own().vars;
        let at = |at: Path, name: &str| at.join("vars").join(name);
        let all = self.inventory.vars.iter().filter(|(name, _)| own.get(name).is_none());
        let all = all.map(|(name, value)| (name, value, at(Path::root(), name)));
        all.chain(own.iter().map(|(name, value)| (name, value, at(self.at(), name)))).collect()
    }

    /// What must run here, with its place.
    pub fn must_run(&self) -> impl Iterator<Item = (Path, &Cases)> {
        let of = |at: Path, list: &'_ [Cases]| {
            (0..list.len()).map(move |index| at.join("must_run").join(index)).collect::<Vec<_>>()
        };
        let (all, own) = (&self.inventory.must_run, &self.own().must_run);
        of(Path::root(), all).into_iter().zip(all).chain(of(self.at(), own).into_iter().zip(own))
    }

    /// What is known to fail here, with its place; what is known of this host first.
    pub fn issues(&self) -> Vec<(Path, &SiteIssue)> {
        let is_own = |path: &Path| path.starts_with(&self.at());
        let of_all = |path: &Path| path.starts_with(&Path::root().join("known_issues"));
        let mut issues = self.inventory.issues_of_all();
        issues.retain(|(path, _)| is_own(path) || of_all(path));
        issues.sort_by_key(|(path, _)| !is_own(path));
        issues
    }

    /// `file:line` of what stands at a path.
    pub fn place(&self, path: &Path) -> String {
        format!("{}:{}", self.source.name, self.source.locate(path, Target::Value).line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Inventory, String> {
        Inventory::read(Source::new("lab.yaml", text)).map(|read| read.1).map_err(|invalid| invalid.render(false))
    }

    #[test]
    fn what_stands_beside_the_hosts_is_for_all_and_a_host_may_say_otherwise() {
        let text = "vars: { size: 2MiB, many: 4 }\nmust_run: [a]\nhosts:\n  one: { vars: { many: 8 }, must_run: [b] }\n  two:\n    hostname: x\n";
        let (source, inventory) = Inventory::read(Source::new("lab.yaml", text)).expect("an inventory");
        let site = |host: &str| Site { source: source.clone(), inventory: inventory.clone(), host: host.into() };
        let vars = |site: &Site| -> Vec<String> {
            site.vars().iter().map(|(name, value, at)| format!("{name}={value} at {}", site.place(at))).collect()
        };
        assert_eq!(vars(&site("one")), ["size=2MiB at lab.yaml:1", "many=8 at lab.yaml:4"]);
        assert_eq!(vars(&site("two")), ["size=2MiB at lab.yaml:1", "many=4 at lab.yaml:1"]);
        let must = |host: &str| site(host).must_run().map(|(_, cases)| cases.0.clone()).collect::<Vec<_>>();
        assert_eq!((must("one"), must("two")), (vec!["a".to_owned(), "b".into()], vec!["a".to_owned()]));
    }

    #[test]
    fn cases_are_meant_by_their_id_its_end_and_patterns() {
        let id: CaseId = "kernel.dma.iommufd__nic.map[page=2MiB]".parse().unwrap();
        for pattern in
            ["map", "map[page=2MiB]", "kernel.dma.*", "*__nic.*", "dma.*.map", "kernel.*.map", "*", "m*[page=*]"]
        {
            assert!(Cases(pattern.into()).has(&id), "{pattern}");
        }
        for pattern in ["ap", "ap*", "kernel", "kernel.dm*.iommufd", "*__edu.*", "m*[page=4*]"] {
            assert!(!Cases(pattern.into()).has(&id), "{pattern}");
        }
    }

    #[test]
    fn a_device_is_found_in_one_way() {
        let device = |keys: &str| read(&format!("hosts: {{ a: {{ devices: {{ nic: {{ {keys} }} }} }} }}\n"));
        let identity = |keys: &str| device(keys).unwrap().hosts.0[0].1.devices.0[0].1.identity();
        assert_eq!(identity("address: 0000:03:00.0"), Some(Identity::Address("03:00.0".parse().unwrap())));
        assert_eq!(identity("slot: 3"), Some(Identity::Slot("3".into(), 0)));
        assert_eq!(identity("serial: 00-1b-21-ff, function: 1"), Some(Identity::Serial("00-1b-21-ff".into(), Some(1))));
        assert_eq!(identity("mac: 00:1B:21:AA:BB:CC"), Some(Identity::Mac("00:1b:21:aa:bb:cc".into())));
        for (keys, told) in [
            ("summary: a card", "nothing says which device `nic` is"),
            ("slot: 3, serial: x", "in more than one way"),
            ("address: 0000:03:00.0, function: 1", "`function` without `serial` or `slot`"),
            ("slot: 3, function: 8", "no device has a function 8"),
            ("address: 3", "a PCI address in quotes"),
            ("address: 03.00.0", "`03.00.0` is no PCI address"),
        ] {
            let said = device(keys).unwrap_err();
            assert!(said.contains(told), "{said}");
        }
    }
}
