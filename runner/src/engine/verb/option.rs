// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{
    engine::{device::Changed, failure::End},
    language::verb::{IommuOption, OptionName},
    uapi::iommufd,
};

impl Act for IommuOption {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IommuOption { name, ioas, set } = self;
        let (own, tracer) = (step.own()?, step.case.tracer);
        let (option, object) = match name {
            OptionName::HugePages => (iommufd::HUGE_PAGES, step.object("ioas", ioas)?.unwrap_or(own.id())),
            OptionName::RlimitMode => (iommufd::RLIMIT_MODE, 0),
        };
        let got = match step.optional("set", set)? {
            None => iommufd::get_option(own.fd(), option, object, tracer),
            Some(value) => {
                if object == own.id() || object == 0 {
                    step.case.device.changed = Changed::More;
                }
                iommufd::set_option(own.fd(), option, object, value, tracer).map(|()| value)
            }
        };
        step.gave(got, |value| Value::from_pairs([("value", value)]))
    }
}
