// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{
        device::{Changed, width},
        failure::End,
    },
    language::verb::ConfigWrite,
};

impl Act for ConfigWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigWrite { offset, bits, value } = self;
        let offset = step.size("offset", offset)?;
        let value = step.fitting("value", value, *bits)?;
        let open = step.open()?;
        step.case.device.changes(Changed::Shown, open);
        let device = open.session.device();
        let got = device.config().and_then(|region| device.write(&region, offset, width(*bits), value));
        step.done(got)
    }
}
