// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::hwpt;

impl Act for HwInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let HwInfo(NoArguments {}) = self;
        let got = hwpt::hw_info(step.own()?.fd(), step.iommufd_id()?, step.case.tracer);
        step.gave(got, |info| {
            Value::from_pairs([
                ("type", Value::from(info.data_type)),
                ("capabilities", Value::from(info.capabilities)),
                ("dirty_tracking", Value::from(info.dirty_tracking())),
                ("pasid_bits", Value::from(info.max_pasid_log2)),
            ])
        })
    }
}
