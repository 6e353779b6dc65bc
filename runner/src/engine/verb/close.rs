// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Close {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Close { file } = self;
        let closed = step.case.files.remove(&file.0).ok_or_else(|| step.no_file("file", file))?;
        crate::uapi::close(closed, step.case.tracer);
        step.compare(Ok(None))
    }
}
