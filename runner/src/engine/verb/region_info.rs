// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for RegionInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let RegionInfo { region } = self;
        let index = step.small("region", region)?;
        step.gave(step.vfio()?.region(index), |region| {
            Value::from_pairs([
                ("size", Value::from(region.size)),
                ("offset", Value::from(region.offset)),
                ("readable", Value::from(region.readable())),
                ("writable", Value::from(region.writable())),
                ("mappable", Value::from(region.mappable())),
            ])
        })
    }
}
