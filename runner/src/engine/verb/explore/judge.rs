// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to hold besides the answers: the page table, what is held for devices, and the kernel's log.

use std::thread;

use super::{Explorer, ground::Place};
use crate::{
    backend::Pages,
    engine::{
        failure::{End, Problem},
        log,
        observers::PATIENCE,
    },
    host::facts::{self, ProcessMemory},
    language::Size,
    model::code::Code,
};

/// What is held for devices while nothing is mapped.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub process: Option<ProcessMemory>,
    /// How many pages are pinned, where nobody else pins any.
    pub pins: Option<i64>,
    /// The bytes of the page tables of IOMMUs with the device closed, where nobody else has any.
    pub tables: Option<u64>,
    /// How many more mappings a container takes.
    pub mappings: Option<u64>,
}

impl Explorer<'_, '_, '_, '_> {
    /// How many more mappings a container takes.
    pub(super) fn mappings(&self) -> Option<u64> {
        let open = self.step.case.opened.get(self.step.case.current)?;
        open.session.iommu().info().ok()?.dma_avail
    }

    /// Compares the page table with what is mapped: what is near a range, and all of it if `all` is set.
    pub(super) fn compare(&mut self, near: Option<(u64, u64)>, all: bool) -> Result<(), End> {
        let case = &mut *self.step.case;
        let Some(open) = case.opened.get(case.current) else { return Ok(()) };
        // Of a page table that is too long to read, what is near is compared all the same.
        if let Some(range) = near {
            case.leaves.compare_near(&case.ledger, &open, range, &self.at, case.tracer)?;
        }
        if all { case.leaves.compare(&case.ledger, &open, &self.at, true, case.tracer) } else { Ok(()) }
    }

    /// Notes where the memory is that is mapped in a part of an address space, if its pages were pinned just now.
    pub(super) fn pinned(&mut self, place: Place, (first, last): (u64, u64)) -> Result<(), End> {
        let Some(open) = self.step.case.opened.get(self.step.case.current) else { return Ok(()) };
        let space = self.space(&open, place)?;
        let case = &mut *self.step.case;
        for (first, mapped) in self.state.mappings(place).overlapping(first, last) {
            let Some(Pages { list, from }) = mapped.pages else { continue };
            let vaddr = self.ground.memory[list].vaddr + from;
            case.leaves.pinned(&mut case.ledger, &open, space, (first, vaddr, mapped.last - first + 1));
        }
        Ok(())
    }

    /// Closes the device. Fails, with the device opened again, if page tables are left of it, or if the kernel logged something.
    pub(super) fn closed(&mut self) -> Result<(), End> {
        self.close()?;
        let judged = self.leaked().and_then(|()| self.logged());
        if judged.is_err() {
            self.open()?;
        }
        judged
    }

    /// Closes the device and opens it again, and fails as [`Explorer::closed`] does.
    pub(super) fn reopened(&mut self) -> Result<(), End> {
        self.closed()?;
        self.open()
    }

    /// Fails if page tables are left of a device that was closed.
    fn leaked(&self) -> Result<(), End> {
        let (Some(before), Some(now)) = (self.held.tables, tables()) else { return Ok(()) };
        if now <= before {
            return Ok(());
        }
        let title = format!(
            "with the device closed, page tables of IOMMUs take {}, and took {} before it was opened",
            Size(now),
            Size(before)
        );
        Err(End::Failed(Problem::new(Code::Observer, self.at.clone(), title)))
    }

    /// Fails if the kernel logged what it should not.
    pub(super) fn logged(&mut self) -> Result<(), End> {
        let records = self.log.as_mut().and_then(|log| log.records().ok()).unwrap_or_default();
        let refused = self.copies.refused;
        let lines = records.into_iter().map(|record| record.text).filter(|line| !(refused && log::is_fault(line)));
        let lines: Vec<String> = lines.collect();
        let (case, _) = self.step.case.plan.case(self.step.case.planned);
        log::first_alarm(&lines, &case.kernel_log).map_or(Ok(()), |line| {
            Err(End::Failed(Problem::new(Code::KernelLog, self.at.clone(), format!("the kernel logged: {line}"))))
        })
    }

    /// Fails if more or less is held or pinned than before anything was mapped.
    pub(super) fn let_go(&self) -> Result<(), End> {
        if let Some(before) = self.held.pins
            && let Some(now) = pins_other_than(before)
        {
            let title =
                format!("with everything unmapped, {now} pages are pinned for devices, and {before} were before");
            return Err(End::Failed(Problem::new(Code::Observer, self.at.clone(), title)));
        }
        if let (Some(before), Some(now)) = (self.held.mappings, self.mappings())
            && before != now
        {
            let title =
                format!("with everything unmapped, the container takes {now} mappings, and took {before} before");
            return Err(End::Failed(Problem::new(Code::Observer, self.at.clone(), title)));
        }
        let (Some(before), Some(now)) = (self.held.process, facts::process_memory()) else { return Ok(()) };
        let fields = [("VmLck", before.locked, now.locked), ("VmPin", before.pinned, now.pinned)];
        fields.into_iter().find(|(_, before, now)| before != now).map_or(Ok(()), |(name, before, now)| {
            let title = format!(
                "{name} of the process is {} with everything unmapped, and was {} before",
                Size(now),
                Size(before)
            );
            Err(End::Failed(Problem::new(Code::Observer, self.at.clone(), title)))
        })
    }

    /// Notes what was seen of the page table.
    pub(super) fn observed(&mut self) {
        let case = &mut *self.step.case;
        if let Some(open) = case.opened.get(case.current) {
            let seen = std::mem::take(&mut case.leaves).observation(&case.ledger, &open);
            case.found.observers.push(seen);
        }
    }
}

/// The bytes of the page tables of IOMMUs, where nobody else has any.
pub fn tables() -> Option<u64> {
    facts::is_lab_guest().then(facts::kernel_memory).flatten().map(|memory| memory.page_tables)
}

/// How many pages are pinned for devices, where nobody else pins any: fewer than none if some were let go of twice.
pub fn pins() -> Option<i64> {
    facts::is_lab_guest().then(facts::page_pins).flatten()
}

/// The same if there are more or fewer than before, and not for a moment only: where the folder of the journal is one of the host's, each write
/// to it pins the pages that it takes meanwhile (`netfs_extract_user_iter` in `fs/netfs/iterator.c`).
fn pins_other_than(before: i64) -> Option<i64> {
    let other = || pins().filter(|now| *now != before);
    other()?;
    thread::sleep(PATIENCE);
    other()
}
