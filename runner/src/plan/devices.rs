// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the given devices a case runs on, besides its own.

use crate::language::{Case, Ordered, Packs, Role};
use crate::model::DeviceKind;

/// A further device of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Further {
    /// Its name in the case. All other devices may share one name.
    pub name: String,
    /// Which device it is.
    pub which: Which,
    /// Whether it has an address space of its own.
    pub apart: bool,
}

/// Which device a further device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The given device with this index.
    Given(usize),
    /// The virtual function of the case's own device with this number, from 0. It is created for the case.
    Function(u32),
    /// It is missing, for this reason.
    Missing(String),
}

/// The device roles of a pack, and the given devices.
pub(super) struct Roles<'a> {
    pack: &'a str,
    roles: Option<&'a Ordered<Role>>,
    given: &'a [(String, DeviceKind)],
}

impl<'a> Roles<'a> {
    /// The roles of this pack.
    pub fn new(packs: &'a Packs, pack: &'a str, given: &'a [(String, DeviceKind)]) -> Roles<'a> {
        Roles { pack, roles: packs.get(pack).map(|loaded| &loaded.pack.devices), given }
    }

    fn role(&self, wanted: &str) -> Option<&'a Role> {
        self.roles.and_then(|roles| roles.get(wanted))
    }

    /// Whether `wanted` means the device with this index: by a role of the pack, or else by its name.
    pub fn is(&self, wanted: &str, index: usize) -> bool {
        let (name, kind) = &self.given[index];
        self.role(wanted).map_or(wanted == name, |role| role.matches(kind))
    }

    /// The reason if `wanted` means none of the given devices.
    pub fn missing(&self, wanted: &str) -> String {
        let pack = self.pack;
        match self.role(wanted) {
            Some(role) => format!(
                "no device is the `{wanted}` of the pack `{pack}`, which has {}; given: {}; name one with --device",
                role.wanted(),
                self.those_given(wanted)
            ),
            None => format!(
                "no device is called `{wanted}`; given: {}; `run` takes --device {wanted}=ADDRESS, `lab run` the names that its --help lists",
                self.those_given(wanted)
            ),
        }
    }

    /// The reason if `wanted` means only the case's own device.
    fn same(&self, wanted: &str) -> String {
        let which = match self.role(wanted) {
            Some(role) => format!("`{wanted}` of the pack `{}`, with {}", self.pack, role.wanted()),
            None => format!("device `{wanted}`"),
        };
        format!("the case needs one more {which}, beside its own; given: {}", self.those_given(wanted))
    }

    /// The given devices, each with what the role asks about.
    fn those_given(&self, wanted: &str) -> String {
        let role = self.role(wanted);
        let had = |kind: &DeviceKind| role.map_or(kind.ids.clone(), |role| role.had(kind));
        let all = self.given.iter().map(|(name, kind)| match had(kind) {
            none if none.is_empty() => name.clone(),
            had => format!("{name} ({had})"),
        });
        all.collect::<Vec<_>>().join(", ")
    }
}

/// The further devices of a case that runs on the device with the index `own`.
pub(super) fn further(case: &Case, own: usize, roles: &Roles<'_>) -> Vec<Further> {
    let given = roles.given.len();
    // Named devices first, so that `any` takes none of them.
    let named = |role: &str| (0..given).find(|index| *index != own && roles.is(role, *index));
    let mut taken: Vec<usize> = case.devices.iter().filter_map(|(_, role)| named(&role.0)).collect();
    let mut functions = 0;
    let mut all = Vec::new();
    for (name, role) in case.devices.iter() {
        let apart = case.apart.iter().any(|apart| apart.0 == name);
        let mut add = |which| all.push(Further { name: name.to_owned(), which, apart });
        match role.0.as_str() {
            "virtual_function" => {
                add(Which::Function(functions));
                functions += 1;
            }
            // Those after the case's own first, so that the choice stays the same when a device is added at the end.
            "any" => {
                let others = (own + 1..given).chain(0..own);
                match others.into_iter().find(|index| !taken.contains(index)) {
                    Some(index) => {
                        taken.push(index);
                        add(Which::Given(index));
                    }
                    None => add(Which::Missing(format!(
                        "the case needs one more device, as `{name}`: `run` and `lab run` take --device more than once"
                    ))),
                }
            }
            "all" => (0..given).filter(|index| *index != own).for_each(|index| add(Which::Given(index))),
            wanted => add(match named(wanted) {
                Some(index) => Which::Given(index),
                None if roles.is(wanted, own) => Which::Missing(roles.same(wanted)),
                None => Which::Missing(roles.missing(wanted)),
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Name, Ordered, Problems, decode, parse};

    fn case(devices: &[(&str, &str)]) -> Case {
        let devices: Ordered<Name> =
            devices.iter().map(|(name, role)| ((*name).to_owned(), Name((*role).to_owned()))).collect();
        let mut case = decode::<Case>(&parse("name: a\nsteps: []\n").unwrap(), &mut Problems::new()).unwrap();
        case.devices = devices;
        case
    }

    fn found(devices: &[(&str, &str)], own: usize, given: &[&str]) -> Vec<(String, Result<usize, String>)> {
        let given: Vec<_> = given.iter().map(|name| ((*name).to_owned(), DeviceKind::default())).collect();
        let which = |further: Further| match further.which {
            Which::Given(index) => (further.name, Ok(index)),
            Which::Function(number) => (further.name, Err(format!("function {number}"))),
            Which::Missing(why) => (further.name, Err(why)),
        };
        super::further(&case(devices), own, &Roles { pack: "p", roles: None, given: &given })
            .into_iter()
            .map(which)
            .collect()
    }

    #[test]
    fn any_is_another_one_and_never_one_that_is_named() {
        let second = |which| vec![("second".to_owned(), which)];
        assert_eq!(found(&[("second", "any")], 0, &["edu", "igb"]), second(Ok(1)));
        assert_eq!(found(&[("second", "any")], 1, &["edu", "igb"]), second(Ok(0)));
        let both = found(&[("second", "any"), ("nic", "igb")], 0, &["edu", "igb", "nvme"]);
        assert_eq!(both, [("second".to_owned(), Ok(2)), ("nic".to_owned(), Ok(1))]);
        let why = found(&[("second", "any")], 0, &["edu"]).remove(0).1.unwrap_err();
        assert!(why.contains("needs one more device, as `second`"), "{why}");
    }

    #[test]
    fn what_is_not_there_says_how_to_give_it() {
        let why = found(&[("nic", "igb")], 0, &["edu"]).remove(0).1.unwrap_err();
        assert!(why.contains("no device is called `igb`; given: edu; "), "{why}");
        let why = found(&[("nic", "igb")], 0, &["igb"]).remove(0).1.unwrap_err();
        assert_eq!(why, "the case needs one more device `igb`, beside its own; given: igb");
    }

    #[test]
    fn all_may_be_none_and_functions_are_numbered() {
        assert!(found(&[("others", "all")], 0, &["edu"]).is_empty());
        let all = found(&[("others", "all")], 1, &["a", "b", "c"]);
        assert_eq!(all, [("others".to_owned(), Ok(0)), ("others".to_owned(), Ok(2))]);
        let functions = found(&[("first", "virtual_function"), ("other", "virtual_function")], 0, &["igb"]);
        assert_eq!(functions[1], ("other".to_owned(), Err("function 1".to_owned())));
    }
}
