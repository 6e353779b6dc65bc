// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for IommuOption {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IommuOption { name, ioas, set } = self;
        let (own, ioas) = step.ioas("ioas", ioas)?;
        let (option, object) = match name {
            OptionName::HugePages => (iommufd::HUGE_PAGES, ioas),
            OptionName::RlimitMode => (iommufd::RLIMIT_MODE, 0),
        };
        let tracer = step.case.tracer;
        let got = match step.optional("set", set)? {
            None => iommufd::get_option(own.fd(), option, object, tracer),
            Some(value) => {
                if object == own.id() || object == 0 {
                    step.changes(Changed::More)?;
                }
                let got = iommufd::set_option(own.fd(), option, object, value, tracer);
                if got.is_ok() && *name == OptionName::HugePages {
                    step.case.ledger.told_small(object, value == 0);
                }
                got.map(|()| value)
            }
        };
        step.gave_value(got)
    }
}
