// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::host::reset_method::ResetMethods;

impl Act for Reset {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Reset { method } = self;
        let bdf = step.case.devices.bdf(step.case.current);
        let open = step.changes(Changed::Shown)?;
        let reset = || open.session.device().reset();
        let Some(method) = method.map(ResetMethod::as_str) else { return step.done(step.while_locked(reset)) };
        let methods = ResetMethods::of(bdf);
        if !methods.list().contains(&method) {
            let others = match methods.list().as_slice() {
                [] => "and it has no other way".to_owned(),
                known => format!("only by {}", known.join(", ")),
            };
            return Err(End::Skipped(format!("the kernel cannot reset the device by {method}, {others}")));
        }
        let cannot = |errno: Errno| {
            let title = format!("failed to write {method} to the device's reset_method: {errno}");
            End::only_root_may("choose how the device is reset", errno).unwrap_or_else(|| {
                step.error(Code::Refused, "method", title, "expected a kernel that lets root choose it")
            })
        };
        let chosen = methods.choose(method).map_err(cannot)?;
        let got = step.while_locked(reset);
        chosen.put_back().map_err(cannot)?;
        step.done(got)
    }
}
