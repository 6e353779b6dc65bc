// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{engine::failure::End, language::verb::Attach};

impl Act for Attach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Attach { to } = self;
        let own = step.own()?;
        let to = step.object("to", to)?.unwrap_or(own.id());
        step.moved();
        let got = step.open()?.session.device().attach(to);
        step.gave(got, |id| Value::from_pairs([("id", id)]))
    }
}
