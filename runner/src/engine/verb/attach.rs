// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Attach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Attach { to, pasid } = self;
        let (own, to) = step.ioas("to", to)?;
        let pasid = pasid.as_ref().map(|pasid| step.small("pasid", pasid)).transpose()?;
        let got = step.vfio()?.attach(to, pasid);
        let (current, home) = (step.case.current, step.case.home);
        let part = step.case.devices.part(current, home);
        let (ledger, objects) = (&mut step.case.ledger, &mut step.case.objects);
        let ioas = ledger.space_of(Some(own.id()), to).unwrap_or(to);
        if let Ok(table) = got {
            ledger.attached(part, Some(own.id()), to, pasid);
            // What is no page table is an address space, which gets one.
            if table != to {
                ledger.made_table(table, Some(ioas));
            }
        }
        match (pasid, got) {
            (Some(pasid), Ok(_)) => _ = objects.pasids.insert((current, pasid)),
            (Some(_), Err(_)) => {}
            (None, Ok(_)) => _ = objects.moved.insert(current, Some(ioas)),
            // It is where it was.
            (None, Err(_)) => _ = objects.moved.entry(current).or_insert(Some(own.id())),
        }
        step.gave_id(got)
    }
}
