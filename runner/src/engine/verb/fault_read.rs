// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{poll::PATIENCE, prelude::*};
use crate::uapi::fault::{self, Fault};

impl Act for FaultRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let FaultRead { on, timeout } = self;
        let patience = timeout.map_or(PATIENCE, |timeout| timeout.0);
        let got = fault::take(step.file(on)?.0, patience, step.case.tracer);
        step.gave(got, |faults| {
            let faults: Value = faults.into_iter().map(fields).collect();
            Value::from_pairs([("faults", faults)])
        })
    }
}

fn fields(fault: Fault) -> Value {
    let Fault { dev_id, pasid, group, last, read, write, addr, cookie } = fault;
    Value::from_pairs([
        ("dev_id", Value::from(dev_id)),
        ("pasid", Value::from(pasid)),
        ("group", Value::from(group)),
        ("last", Value::from(last)),
        ("read", Value::from(read)),
        ("write", Value::from(write)),
        ("addr", Value::from(addr)),
        ("cookie", Value::from(cookie)),
    ])
}
