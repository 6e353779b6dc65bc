// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::request::{FEATURES, FLAGS, Feature, Method, PROBE};

impl Act for Features {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Features(NoArguments {}) = self;
        let device = step.vfio()?;
        let tracer = step.case.tracer;
        let has = |feature: &'static Feature, method: u32| {
            let flags = u64::from(PROBE | method | feature.number);
            let prepared =
                feature.request.prepare(&[(FLAGS, flags)], &[], Some(8), &[], &[]).expect("it has this field");
            prepared.call(device.fd(), tracer).expect("a probe has no data, and no addresses in it").value.is_ok()
        };
        let found = FEATURES.iter().filter(|feature| has(feature, 0)).map(|feature| {
            let methods = [("get", Method::Get), ("set", Method::Set)];
            let can = methods.into_iter().filter(|(_, method)| has(feature, method.flag())).map(|(name, _)| name);
            (feature.name, Value::from_iter(can))
        });
        let found = Value::from_pairs(found);
        step.gave(Ok(()), |()| found)
    }
}
