// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::failure::End,
    language::verb::{Hwpt, HwptFlag},
    uapi::hwpt,
};

impl Act for Hwpt {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Hwpt { ioas, flags } = self;
        let own = step.own()?;
        let ioas = step.object("ioas", ioas)?.unwrap_or(own.id());
        let flag = |flag: &HwptFlag| match flag {
            HwptFlag::NestParent => hwpt::NEST_PARENT,
            HwptFlag::DirtyTracking => hwpt::DIRTY_TRACKING,
            HwptFlag::Pasid => hwpt::PASID,
        };
        let flags = flags.iter().map(flag).fold(0, |all, flag| all | flag);
        let got = hwpt::hwpt_alloc(own.fd(), step.iommufd_id()?, ioas, flags, step.case.tracer);
        step.made(got)
    }
}
