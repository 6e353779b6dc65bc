// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many times pages are pinned for devices, on a host where nobody else pins any.

use super::{Look, Observer, Shared, State};
use crate::host::facts;

pub struct PagePins;

impl Observer for PagePins {
    fn name(&self) -> &'static str {
        "page_pins"
    }

    fn look(&self, _: &Shared) -> Look {
        let pins = if facts::is_lab_guest() { facts::page_pins() } else { None };
        let pins = pins.ok_or("it is told for the whole host, where others may pin pages, too")?;
        Ok(State::from([(0, u64::try_from(pins).unwrap_or(0))]))
    }

    fn wrong(&self, before: &State, now: &State) -> Option<String> {
        let more = now[&0].saturating_sub(before[&0]);
        (more > 0).then(|| format!("{more} pages that were pinned for a device have not been let go of"))
    }

    fn may_lag(&self) -> bool {
        true
    }
}
