// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::Arc;

use super::prelude::*;
use crate::engine::{
    devices::{abilities, cannot_open},
    fixture,
};

impl Act for DeviceOpen {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DeviceOpen { token } = self;
        let token = token.as_ref().map_or(Ok(None), |token| step.token(token))?;
        let (opened, current) = (step.case.opened.clone(), step.case.current);
        let bdf = step.case.devices.bdf(current);
        if opened.get(current).is_some() {
            return Err(step.error(
                Code::Open,
                "",
                format!("{bdf} is open already"),
                "expected a `device_close` before",
            ));
        }
        let home = step.case.devices.home(current);
        let space = opened.space(home, step.case.planned.backend, bdf, step.case.tracer);
        let session = match space.and_then(|space| space.open(bdf, token.as_ref())) {
            Ok(session) => session,
            Err(error) if error.is_missing() => return Err(End::Skipped(error.to_string())),
            Err(error) => {
                opened.close_spaces();
                step.save(Value::UNDEFINED);
                return match error.errno() {
                    Some(errno) => step.compare(Err(errno)).map_err(|end| end.help(error.to_string())),
                    None => Err(step.error(Code::Open, "", error.to_string(), "")),
                };
            }
        };
        let open =
            fixture::Open::new(session, home, step.case.tracer).map_err(|error| cannot_open(error, step.at("")))?;
        let ioas = open.session.ioas().map(|ioas| ("ioas", Value::from(ioas.id())));
        step.save(Value::from_pairs(abilities(&open).into_iter().chain(ioas)));
        step.case.iovas.confine(&open.iova_ranges);
        opened.add(current, Arc::new(open));
        step.compare(Ok(None))
    }
}
