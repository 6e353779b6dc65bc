// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of IOMMUFD that a case makes, and the devices that it attaches elsewhere. Both are undone after the case.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fixture::{Open, Unclean};
use crate::{
    model::Errno,
    uapi::{Tracer, iommufd},
};

/// What a case made and moved on the open device's IOMMUFD.
#[derive(Default, Serialize, Deserialize)]
pub struct Objects {
    pub made: Vec<u32>,
    /// The devices that it attached elsewhere, or detached, by their numbers; with the address space where each is now, if that is known.
    pub moved: BTreeMap<usize, Option<u32>>,
    /// The PASIDs that it attached: the device's number and the PASID.
    pub pasids: BTreeSet<(usize, u32)>,
    /// Whether it destroyed the device's own address space.
    homeless: bool,
}

impl Objects {
    /// Takes over what a thread made and moved.
    pub fn take_over(&mut self, other: Objects) {
        self.made.extend(other.made);
        self.moved.extend(other.moved);
        self.pasids.extend(other.pasids);
        self.homeless |= other.homeless;
    }

    /// Notes that an object was destroyed. Returns whether it was the device's `own` address space.
    pub fn destroyed(&mut self, object: u32, own: u32) -> bool {
        self.made.retain(|made| *made != object);
        self.homeless |= object == own;
        object == own
    }

    /// Takes back what the case made and moved in the address space of this number, so that only this is left. Returns whether even that is
    /// gone.
    pub fn take_back(self, open: &Open, home: usize, tracer: &Tracer) -> Result<bool, Unclean> {
        let Objects { mut made, moved, pasids, homeless } = self;
        let Some(own) = open.device(home).session.ioas() else { return Ok(false) };
        let failed = |what: String, errno| Unclean::Left("leaves", format!("failed to {what}: {errno}"));
        // Devices of one group can only be attached to the same.
        for number in moved.keys().filter(|_| moved.len() > 1) {
            let _ = open.device(*number).session.device().detach(None);
        }
        for (number, pasid) in pasids {
            // One that is detached already succeeds.
            let gone = open.device(number).session.device().detach(Some(pasid));
            gone.map_err(|errno| failed(format!("detach PASID {pasid}"), errno))?;
        }
        for number in moved.into_keys() {
            let device = open.device(number).session.device();
            let back = if homeless { device.detach(None) } else { device.attach(own.id(), None).map(drop) };
            // A device that is detached already is what was wanted.
            back.or_else(|errno| if homeless { Ok(()) } else { Err(errno) })
                .map_err(|errno| failed("attach the device to its own address space again".into(), errno))?;
        }
        // What was made last may use what was made first.
        while let Some(id) = made.pop() {
            match iommufd::destroy(own.fd(), id, tracer) {
                Ok(()) | Err(Errno(libc::ENOENT)) => {}
                Err(errno) => return Err(failed(format!("destroy object {id}, which nothing uses any more"), errno)),
            }
        }
        Ok(homeless)
    }
}
