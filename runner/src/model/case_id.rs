// SPDX-License-Identifier: MIT OR Apache-2.0
//! What identifies a case, the same from run to run.

use std::{fmt, str::FromStr};

use super::{ANY_BACKEND, BackendName};

/// The identity of a case, such as `kernel.dma_mapping.iommufd__edu.map_unmap[page=2MiB]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseId {
    pub pack: String,
    pub scenario: String,
    /// The backend's name, or `any`; text, because a report also reads journals of versions that have other backends.
    pub backend: String,
    /// The device; `any` in a list of cases for which no device was named.
    pub device: String,
    /// The case's name with its matrix values.
    pub case: String,
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CaseId { pack, scenario, backend, device, case } = self;
        write!(f, "{pack}.{scenario}.{backend}__{device}.{case}")
    }
}

/// A text that is not the whole id of a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read '{0}' as the id of a case: it looks like pack.scenario.iommufd__edu.case")]
pub struct NotCaseId(pub String);

impl FromStr for CaseId {
    type Err = NotCaseId;

    fn from_str(text: &str) -> Result<CaseId, NotCaseId> {
        let parsed = || {
            let (before, backend, device, case) = from_the_right(text)?;
            let (pack, scenario) = before?.rsplit_once('.')?;
            let [pack, scenario, backend, device, case] = [pack, scenario, backend, device, case].map(str::to_owned);
            Some(CaseId { pack, scenario, backend, device, case })
        };
        parsed().ok_or_else(|| NotCaseId(text.to_owned()))
    }
}

impl CaseId {
    /// Whether a person who writes `name` means this case: its id or the end of its id, either with or without the matrix values.
    pub fn is_called(&self, name: &str) -> bool {
        let whole = format!(".{self}");
        let ending = format!(".{name}");
        whole.ends_with(&ending) || whole.split('[').next().is_some_and(|short| short.ends_with(&ending))
    }
}

/// The device that an id names, or an end of an id that is long enough to name one.
pub fn device_in(name: &str) -> Option<&str> {
    from_the_right(name).map(|(_, _, device, _)| device)
}

/// The parts of an id: those before the backend, if any, then the backend, the device and the case.
///
/// Only the matrix values may contain any character, so the parts are found from the `[` towards the left. A scenario may be called
/// `to_iommufd__raw`: a backend is one only where a whole part is made of it and a device.
fn from_the_right(id: &str) -> Option<(Option<&str>, &str, &str, &str)> {
    let names = &id[..id.find('[').unwrap_or(id.len())];
    let (before, _) = names.rsplit_once('.')?;
    let case = &id[before.len() + 1..];
    let (before, place) = before.rsplit_once('.').map_or((None, before), |(before, place)| (Some(before), place));
    let (backend, device) = place.split_once("__")?;
    let is_known = backend == ANY_BACKEND || backend.parse::<BackendName>().is_ok();
    is_known.then_some((before, backend, device, case))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_as_text_and_in_parts() {
        for (text, parts) in [
            ("kernel.dma.iommufd__edu.map[page=2MiB]", ("kernel", "dma", "iommufd", "edu", "map[page=2MiB]")),
            ("uapi.pci.any__edu.bars", ("uapi", "pci", "any", "edu", "bars")),
            ("p.to_iommufd__raw.iommufd__any.c", ("p", "to_iommufd__raw", "iommufd", "any", "c")),
            ("p.s.vfio_type1_iommu__a__b.c", ("p", "s", "vfio_type1_iommu", "a__b", "c")),
            ("my.pack.s.iommufd__edu.c[to=x.iommufd__y.z]", ("my.pack", "s", "iommufd", "edu", "c[to=x.iommufd__y.z]")),
        ] {
            let id: CaseId = text.parse().unwrap();
            let CaseId { pack, scenario, backend, device, case } = &id;
            assert_eq!((pack.as_str(), scenario.as_str(), backend.as_str(), device.as_str(), case.as_str()), parts);
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn an_end_of_an_id_is_no_id_but_may_name_a_device() {
        for (text, device) in [
            ("map", None),
            ("to_iommufd__raw.c", None),
            ("iommufd__edu.map", Some("edu")),
            ("s.iommufd__edu.map[page=2MiB]", Some("edu")),
        ] {
            assert_eq!(text.parse::<CaseId>(), Err(NotCaseId(text.to_owned())));
            assert_eq!(device_in(text), device, "{text}");
        }
    }

    #[test]
    fn a_case_is_called_by_its_id_or_the_end_of_it() {
        let id: CaseId = "kernel.dma.iommufd__edu.map[page=2MiB]".parse().unwrap();
        for name in ["map", "map[page=2MiB]", "iommufd__edu.map", "kernel.dma.iommufd__edu.map[page=2MiB]"] {
            assert!(id.is_called(name), "{name}");
        }
        for name in ["ap", "map[page=4KiB]", "other.dma.iommufd__edu.map"] {
            assert!(!id.is_called(name), "{name}");
        }
    }
}
