// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};
use crate::uapi::{Mapping, request};

impl Act for Feature {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Feature { methods, data, on, .. } = self;
        let (method, name) = self.methods_named().next().expect("the check wants one of them");
        let feature = name.feature();
        let flags = match method {
            "get" => request::Method::Get.flag(),
            "set" => request::Method::Set.flag(),
            _ => methods.iter().fold(request::PROBE, |flags, method| flags | method.method().flag()),
        };
        let flags = u64::from(flags | feature.number);
        let filled = given::fill(step, "data", &feature.request, data)?;
        let mut values = vec![(request::FLAGS, flags)];
        values.extend(&filled.values);
        let refused = |step: &Running, why: &dyn std::fmt::Display| step.error(Code::Refused, "", why.to_string(), "");
        let memory: Vec<&Mapping> = step.frame.held.iter().map(|held| &*held.mapping).collect();
        // A probe takes no data.
        let size = (method == "probe").then_some(8);
        let prepared = feature.request.prepare(&values, &filled.arrays, size, &[], &memory);
        let prepared = prepared.map_err(|error| refused(step, &error))?;
        let (file, of_fixture) = match on {
            Some(name) => step.file(name)?,
            None => (step.vfio()?.fd(), true),
        };
        let of_fixture = step.device.filter(|_| of_fixture);
        of_fixture.inspect(|open| _ = open.config_space());
        let mut answer = prepared.call(file, step.case.tracer).map_err(|error| refused(step, &error))?;
        let written = answer.decoded.iter().filter(|_| answer.value.is_ok() && method != "probe");
        let written = written.map(|(name, decoded)| (*name, given::value(decoded)));
        let file =
            answer.value.ok().filter(|_| feature.makes_file() && method == "get").map(|fd| ("fd", Value::from(fd)));
        step.save(Value::from_pairs(written.chain(file)));
        if let (Some(name), Some(file)) = (&step.planned.step.save, answer.files.pop()) {
            step.case.files.insert(name.0.clone(), file);
        }
        if let Some(open) = of_fixture {
            step.case.device.changes(Changed::by_request(feature.request.name, flags, answer.value.is_err()), open);
        }
        step.compare(answer.value.map(|_| None))
    }
}
