// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};
use crate::uapi::{hwpt, request::find};

impl Act for HwInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let HwInfo(NoArguments {}) = self;
        let got = hwpt::hw_info(step.own()?.fd(), step.iommufd_id()?, step.case.tracer);
        step.gave(got, |info| {
            let named = |field: &str, value: u64| {
                let field = find("IOMMU_GET_HW_INFO").and_then(|request| request.field(field));
                field.map(|field| given::value(&field.named(value))).unwrap_or_default()
            };
            Value::from_pairs([
                ("type", named("out_data_type", info.data_type.into())),
                ("capabilities", named("out_capabilities", info.capabilities)),
                ("dirty_tracking", Value::from(info.dirty_tracking())),
                ("pasid_bits", Value::from(info.max_pasid_log2)),
            ])
        })
    }
}
