// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case knows and holds while it runs: the data that verbs, checks and judges share.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Serialize};

use super::{
    answers::Answers,
    device::DeviceState,
    devices::{Devices, Opened},
    failure::{End, Problem},
    fixture::Open,
    iova::IovaAllocator,
    leaves::Leaves,
    ledger::Ledger,
    objects::Objects,
    procedure::Procedures,
    regions::{Held, Pool},
    verb::Given,
};
use crate::{
    event::{Explored, Injected, Measured, Observation, Unchecked},
    language::{BackendOptions, Dynamic, LoadedPack, Path, Scope, Size, Source, Target},
    model::{BackendName, Errno},
    plan::{Plan, Planned},
    uapi::{Trace, Tracer, limits},
};

/// A case while it runs.
pub struct Context<'a> {
    pub plan: &'a Plan,
    pub planned: &'a Planned,
    pub tracer: &'a Tracer,
    pub devices: Arc<Devices>,
    /// The number of the device that the step is on.
    pub current: usize,
    /// The devices that the case opened itself.
    pub opened: Arc<Opened>,
    /// The backend whose outcomes are expected: the one that answers. It differs from the planned one if IOMMUFD
    /// plays VFIO's container.
    pub backend: BackendName,
    pub options: BackendOptions,
    /// How many bytes this process may lock by the limits of its login, unless the case sets a limit of its own; `None` if they do not
    /// matter.
    pub limited: Option<u64>,
    /// What expressions know by now.
    pub scope: Scope,
    pub iovas: IovaAllocator,
    pub steps_run: u64,
    /// The state of the device that the step is on.
    pub device: DeviceState,
    /// The states of the other devices by their numbers.
    pub others: BTreeMap<usize, DeviceState>,
    /// The files that the case opened.
    pub files: BTreeMap<String, OwnedFd>,
    /// The number of the device whose address space the step is on. What is known of it stands below.
    pub home: usize,
    pub objects: Objects,
    /// What is known of the other address spaces.
    pub spaces: BTreeMap<usize, Mapped>,
    pub procedures: Procedures<'a>,
    /// What the kernel was told to do with a device and has not done yet.
    pub orders: Vec<Given>,
    pub ledger: Ledger,
    pub leaves: Leaves,
    pub found: Findings,
}

/// What a case has mapped and made in an address space.
#[derive(Serialize, Deserialize)]
pub struct Mapped {
    pub ledger: Ledger,
    pub leaves: Leaves,
    pub objects: Objects,
}

/// What a case has found, besides its end.
#[derive(Default)]
pub struct Findings {
    /// The number of checks that were made.
    pub checks: u32,
    /// The times of steps that ran at the same time.
    pub measured: Vec<Measured>,
    /// The steps whose allocations were made to fail.
    pub injected: Vec<Injected>,
    /// What the last call failed with.
    pub errno: Option<Errno>,
    /// Checks that were asked for and not made.
    pub unchecked: Vec<Unchecked>,
    pub observers: Vec<Observation>,
    /// What the steps came to, if the case is asked.
    pub answers: Option<Answers>,
    /// The calls that led to the problem, if there is one.
    pub trace: Trace,
    /// What the page table held at the problem.
    pub page_table: Vec<String>,
    /// Whether the device was made to do what the IOMMU has to refuse, so that the kernel logs faults.
    pub refused: bool,
    /// What the calls that `explore` made up came to.
    pub explored: Option<Explored>,
    /// The scenario that shows the problem, if `explore` found it.
    pub scenario: Option<String>,
}

/// What steps run in.
pub struct Frame<'f, 'a> {
    /// The device that is open for the case.
    pub open: Option<&'f Open>,
    /// The regions that the steps know.
    pub held: &'f [Held],
    /// Where memory comes from; threads have none.
    pub pool: Option<&'f mut Pool>,
    /// The pack whose procedure the steps are.
    pub pack: Option<&'a LoadedPack>,
    /// The file that the steps are written in.
    pub source: &'f Source,
}

impl Frame<'_, '_> {
    /// Where in the file something is written: `file:line`.
    pub fn place(&self, at: &Path) -> String {
        format!("{}:{}", self.source.name, self.source.locate(at, Target::Value).line)
    }
}

/// The limit of the process as it was when the first case began: a child may have lowered it.
fn limited_by_login(plan: &Plan, planned: &Planned) -> Option<u64> {
    static LOCKABLE: LazyLock<Option<u64>> = LazyLock::new(limits::lockable);
    let own = &plan.case(planned).0.limits.memlock;
    LOCKABLE.filter(|_| own.is_none())
}

impl<'a> Context<'a> {
    /// A case that is about to run on these devices.
    pub fn new(plan: &'a Plan, planned: &'a Planned, devices: Arc<Devices>, tracer: &'a Tracer) -> Context<'a> {
        Context {
            plan,
            planned,
            tracer,
            devices,
            current: 0,
            opened: Arc::default(),
            backend: planned.backend,
            limited: limited_by_login(plan, planned),
            options: planned.options,
            scope: planned.scope.clone(),
            iovas: IovaAllocator::new(Vec::new()),
            steps_run: 0,
            device: DeviceState::default(),
            others: BTreeMap::new(),
            files: BTreeMap::new(),
            home: 0,
            objects: Objects::default(),
            spaces: BTreeMap::new(),
            procedures: Procedures::default(),
            orders: Vec::new(),
            ledger: Ledger::new(planned.backend),
            leaves: Leaves::default(),
            found: Findings::default(),
        }
    }

    /// Makes the device of this number the current one. Returns the number of the one before.
    pub fn turn_to(&mut self, number: usize) -> usize {
        let before = std::mem::replace(&mut self.current, number);
        if before != number {
            let state = self.others.remove(&number).unwrap_or_default();
            self.others.insert(before, std::mem::replace(&mut self.device, state));
        }
        let home = self.devices.home(number);
        if home != self.home {
            let other = self.spaces.remove(&home).unwrap_or_else(|| self.untouched());
            let Mapped { ledger, leaves, objects } = other;
            let before = Mapped {
                ledger: std::mem::replace(&mut self.ledger, ledger),
                leaves: std::mem::replace(&mut self.leaves, leaves),
                objects: std::mem::replace(&mut self.objects, objects),
            };
            self.spaces.insert(std::mem::replace(&mut self.home, home), before);
        }
        before
    }

    /// What is known of an address space that no step was on yet.
    fn untouched(&self) -> Mapped {
        // Where nobody follows, nobody begins to.
        let ledger = self.ledger.untouched();
        Mapped { ledger, leaves: Leaves::new(self.leaves.paused), objects: Objects::default() }
    }

    /// The value of a size that is written at `at`.
    pub fn size(&self, value: &Dynamic<Size>, at: &Path) -> Result<u64, End> {
        value
            .resolve(&self.scope)
            .map(|size| size.0)
            .map_err(|error| End::Error(Problem::expression(at.clone(), &error)))
    }
}
