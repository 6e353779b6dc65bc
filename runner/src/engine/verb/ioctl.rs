// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};
use crate::{
    engine::leaves,
    model::{Bdf, Errno},
    uapi::{Mapping, request::Lies},
};

impl Act for Ioctl {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Ioctl { request: Some(request), on: Some(on), fields, size, tail, read_only, missing, like: None } = self
        else {
            unreachable!("the check refuses it, and the file's requests are in their places");
        };
        let request = request.request();
        let filled = given::fill(step, "fields", request, fields)?;
        let refused = |step: &Running, why: &dyn std::fmt::Display| step.error(Code::Refused, "", why.to_string(), "");
        let size = step.optional("size", size)?.map(u32::try_from).transpose();
        let size = size.map_err(|_| refused(step, &"the size does not fit 32 bits"))?;
        let memory: Vec<&Mapping> = step.frame.held.iter().map(|held| &*held.mapping).collect();
        let tail = bytes(step, tail)?;
        let lies = Lies { read_only: *read_only, missing: step.optional("missing", missing)? };
        let prepared = request
            .prepare(&filled.values, &filled.arrays, size, &tail, &memory)
            .and_then(|prepared| prepared.lies(lies))
            .map_err(|error| refused(step, &error))?;
        let (file, of_fixture) = step.file(on)?;
        let of_fixture = step.device.filter(|_| of_fixture);
        of_fixture.inspect(|open| _ = open.config_space());
        let mut answer = prepared.call(file, step.case.tracer).map_err(|error| refused(step, &error))?;
        let result = answer.value.as_ref().copied().unwrap_or(-1);
        let written = answer.decoded.iter().map(|(name, decoded)| (*name, given::value(decoded)));
        step.save(Value::from_pairs([("result", Value::from(result))].into_iter().chain(written)));
        // A file that the kernel made is the case's under the name of the result; without a name it is closed here.
        if let (Some(name), Some(file)) = (&step.planned.step.save, answer.files.pop()) {
            step.case.files.insert(name.0.clone(), file);
        }
        let outcome = step.compare_as(request.name, answer.value.map(|_| None));
        let Some(open) = of_fixture else { return outcome };
        let given = |field: &str| filled.value(field);
        let written = |field: &str| {
            let found = answer.fields.iter().find(|(name, _)| *name == field);
            found.map_or_else(|| given(field), |(_, value)| *value)
        };
        if let (Ok(_), Some((iova, size))) = (answer.value, mapped(request.name)) {
            step.case.iovas.reserve(written(iova), given(size));
        }
        let own = (leaves::own(open), step.case.devices.part(step.case.current, step.case.home));
        if *read_only && answer.value == Err(Errno(libc::EFAULT)) {
            step.case.ledger.unanswered(own.0, request, &given);
        }
        let followed = step.case.ledger.request(own, request, answer.value, &given, &written);
        // Whatever else was done to the open device, the next case is not to find it so.
        if followed != Ok(true) {
            let changed = Changed::by_request(request.name, given("flags"), answer.value.is_err());
            step.case.device.changes(changed, open);
            if request.name == "VFIO_DEVICE_SET_IRQS" {
                step.case.device.enables(u32::try_from(given("index")).unwrap_or(u32::MAX));
            }
        }
        outcome?;
        step.reported(followed.map(drop))
    }
}

/// The fields of a request that say what it mapped: the IOVA, which the kernel may choose, and the size.
fn mapped(request: &str) -> Option<(&'static str, &'static str)> {
    match request {
        "VFIO_IOMMU_MAP_DMA" => Some(("iova", "size")),
        "IOMMU_IOAS_MAP" | "IOMMU_IOAS_MAP_FILE" => Some(("iova", "length")),
        "IOMMU_IOAS_COPY" => Some(("dst_iova", "length")),
        _ => None,
    }
}

/// The bytes behind a request's struct.
fn bytes(step: &Running, tail: &Tail) -> Result<Vec<u8>, End> {
    let text = match tail {
        Tail::Bytes(bytes) => return Ok(bytes.clone()),
        Tail::Text(text) => step.text("tail", text)?,
    };
    // A group may have other devices, which the user did not name.
    if text.parse::<Bdf>().is_ok_and(|bdf| bdf != step.case.devices.bdf(step.case.current)) {
        let title = format!("`{text}` is not the device under test");
        return Err(step.error(Code::Refused, "tail", title, "expected `{{ device.bdf }}`"));
    }
    Ok(text.bytes().chain([0]).collect())
}
