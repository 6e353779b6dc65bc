// SPDX-License-Identifier: MIT OR Apache-2.0
use std::os::fd::AsFd;

use super::{prelude::*, space::access};

impl Act for MapFile {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MapFile { region, iova, size, offset, access: allowed, ioas } = self;
        let memory = step.memory(region);
        // The check knows the memory of a case's regions, but not of those that a procedure is given.
        let file = memory.file.as_ref().ok_or_else(|| {
            let title = format!("region `{region}` has no file to map");
            step.error(Code::NoFile, "region", title, "expected `memory: memfd`, `file` or `dmabuf`")
        })?;
        let (offset, size) = step.stretch(&memory.mapping, region, offset, size)?;
        let target = step.target(iova, size)?;
        let (own, id) = step.ioas("ioas", ioas)?;
        let (access, tracer) = (access(*allowed), step.case.tracer);
        let got = iommufd::ioas_map_file(own.fd(), id, file.as_fd(), offset, target, size, access, tracer);
        step.mapped(target, size, got, [])?;
        step.enter(ioas, got, size, access)?;
        if let (Ok(iova), true) = (got, memory.mapping.is_device()) {
            // As when its memory is switched off.
            let space = step.space_of(ioas)?;
            step.case.ledger.may_go(space, iova);
        }
        Ok(())
    }
}
