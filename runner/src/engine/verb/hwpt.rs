// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{engine::leaves, uapi::hwpt};

impl Act for Hwpt {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Hwpt { ioas, flags } = self;
        let (own, ioas) = step.ioas("ioas", ioas)?;
        let flag = |flag: &HwptFlag| match flag {
            HwptFlag::NestParent => hwpt::NEST_PARENT,
            HwptFlag::DirtyTracking => hwpt::DIRTY_TRACKING,
            HwptFlag::Pasid => hwpt::PASID,
        };
        let flags = flags.iter().map(flag).fold(0, |all, flag| all | flag);
        let got = hwpt::hwpt_alloc(own.fd(), step.iommufd_id()?, ioas, flags, step.case.tracer);
        if let Ok(table) = got {
            let space = step.case.ledger.space_of(leaves::own(step.open()?), ioas);
            step.case.ledger.made_table(table, space);
        }
        step.made(got)
    }
}
