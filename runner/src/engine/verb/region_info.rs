// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};

impl Act for RegionInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let RegionInfo { region } = self;
        let index = match region {
            RegionNumber::Named(region) => region.number(),
            RegionNumber::Number(number) => step.small("region", number)?.into(),
        };
        let got = step.asked("VFIO_DEVICE_GET_REGION_INFO", &[("index", index)])?;
        step.gave(got, |fields| {
            let has = |flag: &str| Value::from(given::has(&fields, "flags", flag));
            let able = [("readable", has("READ")), ("writable", has("WRITE")), ("mappable", has("MMAP"))];
            Value::from_pairs(given::only(&fields, &["flags", "size", "offset", "capabilities"]).chain(able))
        })
    }
}
