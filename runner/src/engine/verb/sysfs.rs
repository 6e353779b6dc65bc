// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{
    thread,
    time::{Duration, Instant},
};

use super::prelude::*;
use crate::{
    host::{
        hotplug::{Order, Ordered},
        pci,
    },
    language::Template,
    uapi::signal,
};

/// How long a step waits if it does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a text is read until it is the wanted one.
const TICK: Duration = Duration::from_micros(500);

impl Act for Sysfs {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Sysfs { read, is, write, wait, timeout } = self;
        let patience = timeout.map_or(PATIENCE, |timeout| timeout.0);
        if let Some(order) = write {
            return give(step, *order, patience);
        }
        if let Some(order) = wait {
            let current = step.case.current;
            let goes_on = step.case.orders.iter().position(|given| given.is(*order, current));
            let Some(index) = goes_on else {
                let title = format!("no order to {} the device goes on", order.as_str());
                return Err(step.error(
                    Code::Hotplug,
                    "wait",
                    title,
                    "expected a `write` before that was not done in time",
                ));
            };
            let given = step.case.orders.remove(index);
            return wait_for(step, given, patience);
        }
        let fact = read.expect("the check wants one of the three");
        self::read(step, fact, is, patience)
    }
}

/// An order that a step of the case gave.
#[derive(Debug)]
pub struct Given {
    order: SysfsOrder,
    /// The number of the device.
    device: usize,
    pub ordered: Ordered,
}

impl Given {
    fn is(&self, order: SysfsOrder, device: usize) -> bool {
        self.order == order && self.device == device
    }
}

fn give(step: &mut Running, order: SysfsOrder, patience: Duration) -> Result<(), End> {
    let current = step.case.current;
    if step.device.is_some() && order != SysfsOrder::Rescan {
        step.changes(Changed::More)?;
    }
    let of_host = match order {
        SysfsOrder::Unbind => Order::Unbind,
        SysfsOrder::Bind => Order::Bind,
        SysfsOrder::Remove => Order::Remove,
        SysfsOrder::Rescan => Order::Rescan,
    };
    let ordered = Ordered::give(of_host, step.case.devices.bdf(current));
    let ordered = ordered.map_err(|error| step.error(Code::Hotplug, "write", error.to_string(), ""))?;
    wait_for(step, Given { order, device: current, ordered }, patience)
}

fn wait_for(step: &mut Running, mut given: Given, patience: Duration) -> Result<(), End> {
    let text = given.ordered.to_string();
    let run = || given.ordered.wait(patience, || signal::interrupted().is_some()).transpose();
    let shown = |done: &Option<()>| if done.is_some() { "0" } else { "(goes on)" }.to_owned();
    let got = step.case.tracer.call("write", text, run, shown);
    let act = format!("{} the device", given.order.as_str());
    if let Some(end) = got.as_ref().err().and_then(|errno| End::only_root_may(&act, *errno)) {
        return Err(end);
    }
    if let Ok(None) = got {
        step.case.orders.push(given);
    }
    step.save(Value::UNDEFINED);
    step.done(got.and_then(|done| done.ok_or(Errno(libc::ETIMEDOUT))))
}

fn read(step: &mut Running, fact: SysfsFact, is: &Option<Template>, patience: Duration) -> Result<(), End> {
    let wanted = is.as_ref().map(|is| step.text("is", is)).transpose()?;
    let bdf = step.case.devices.bdf(step.case.current);
    let once = || match fact {
        SysfsFact::Driver => pci::driver_or_none(bdf),
        SysfsFact::PowerState => pci::text(bdf, "power_state").map(Some),
        SysfsFact::RuntimeStatus => pci::text(bdf, "power/runtime_status").map(Some),
    };
    let end = Instant::now() + patience;
    let run = || {
        loop {
            let told = once();
            let Some(wanted) = &wanted else { return told.map(|text| (text, true)) };
            if told.as_ref().is_ok_and(|text| text.as_ref() == Some(wanted)) {
                return told.map(|text| (text, true));
            }
            if Instant::now() >= end || signal::interrupted().is_some() {
                // A device that is gone may come back: it is too late all the same.
                return Ok((told.ok().flatten(), false));
            }
            thread::sleep(TICK);
        }
    };
    let shown = |told: &(Option<String>, bool)| format!("{:?}", told.0.as_deref().unwrap_or("none"));
    let got = step.case.tracer.call("read", format!("{bdf}, {}", fact.as_str()), run, shown);
    let last = got.clone().ok().map(|(text, _)| text);
    let outcome = got.and_then(|(_, in_time)| if in_time { Ok(()) } else { Err(Errno(libc::ETIMEDOUT)) });
    step.save(last.clone().map_or(Value::UNDEFINED, |text| Value::from_pairs([("value", Value::from(text))])));
    step.done(outcome).map_err(|end| match (wanted, last) {
        (Some(wanted), Some(last)) if outcome.is_err() => {
            let last = last.unwrap_or_else(|| "none".to_owned());
            let (fact, within) = (fact.as_str(), crate::language::Duration(patience));
            end.title(format!("sysfs: {fact} was still {last} after {within}, expected {wanted} (ETIMEDOUT)"))
        }
        _ => end,
    })
}
