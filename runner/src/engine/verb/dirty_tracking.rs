// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::dirty;

impl Act for DirtyTracking {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DirtyTracking { enable, hwpt } = self;
        let (hwpt, tracer) = (step.object("hwpt", hwpt)?, step.case.tracer);
        let got = match (step.open()?.session.container(), hwpt) {
            (Some(container), _) => {
                step.changes(Changed::More)?;
                dirty::type1_set_dirty_tracking(container.fd(), *enable, tracer)
            }
            (None, Some(hwpt)) => dirty::hwpt_set_dirty_tracking(step.own()?.fd(), hwpt, *enable, tracer),
            (None, None) => return Err(step.no_hwpt()),
        };
        step.done(got)
    }
}
