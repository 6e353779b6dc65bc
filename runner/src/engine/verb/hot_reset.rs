// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{os::fd::BorrowedFd, sync::Arc};

use super::prelude::*;
use crate::{backend::Group, engine::fixture::Open, language::Name};

impl Act for HotReset {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let HotReset { groups } = self;
        // Of all devices on the bus.
        let open = step.changes(Changed::More)?;
        let opened = step.case.opened.all();
        let got = match groups {
            None => {
                let files = on_its_bus(open, step.frame.open, &opened);
                step.while_locked(|| open.session.device().hot_reset(&files))
            }
            Some(names) => {
                let file = |name| file(step, name, &opened);
                let files: Vec<BorrowedFd> = names.iter().map(file).collect::<Result<_, End>>()?;
                step.while_locked(|| open.session.device().hot_reset(&files))
            }
        };
        step.done(got)
    }
}

/// The groups of the open devices on the bus of this one, each once.
fn on_its_bus<'o>(open: &Open, fixture: Option<&'o Open>, opened: &'o [Arc<Open>]) -> Vec<BorrowedFd<'o>> {
    let place = |open: &Open| (open.session.device().bdf().domain, open.session.device().bdf().bus);
    let all = fixture.into_iter().flat_map(Open::devices).chain(opened.iter().map(|open| &**open));
    let mut groups: Vec<&Arc<Group>> = Vec::new();
    for group in all.filter(|other| place(other) == place(open)).filter_map(|other| other.session.group()) {
        if !groups.iter().any(|known| Arc::ptr_eq(known, group)) {
            groups.push(group);
        }
    }
    groups.into_iter().map(|group| group.fd()).collect()
}

/// The file of the group of the device of this name, or the file that has this name.
fn file<'s>(step: &'s Running, name: &Name, opened: &'s [Arc<Open>]) -> Result<BorrowedFd<'s>, End> {
    let Some(bdf) = step.case.devices.numbers(&name.0).first().map(|number| step.case.devices.bdf(*number)) else {
        return step.file(name).map(|(file, _)| file);
    };
    let all = step.frame.open.into_iter().flat_map(Open::devices).chain(opened.iter().map(|open| &**open));
    let device = all.into_iter().find(|open| open.session.device().bdf() == bdf).ok_or_else(|| step.not_open())?;
    device.session.group().map(|group| group.fd()).ok_or_else(|| {
        let title = format!("`{name}` was opened by its own file, and not through its group");
        step.error(Code::NotOpen, "groups", title, "expected no group: `groups: []`")
    })
}
