// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that nobody wrote down: made up one after the other, each answered as the model says, until something is wrong. Then the same
//! calls are made again and again on a device that is opened anew, fewer each time, for as long as it stays wrong.

mod call;
mod copies;
mod found;
mod generate;
mod ground;
mod judge;
mod race;
mod shorten;
mod steps;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration as Time, Instant},
};

use super::{fail_nth::injection, prelude::*};
use crate::{
    backend::{Iommu, IovaRange},
    engine::{
        fixture,
        last_step::Doing,
        leaves::{self, Leaves},
        ledger::{Ledger, Space},
        objects::Objects,
    },
    event::Free,
    host::{facts, kmsg::Window},
    language::{self, Name, Outcome, Path, Protection, Region, Size, Step},
    model::{BackendName, Random},
    plan::PlannedStep,
    uapi::{inject, system::page_size},
};
use call::Call;
use copies::Copies;
use generate::{ahead, last_calls};
use ground::{Ground, Memory, OTHER, Place, State};
use judge::{Held, pins, tables};
use race::Race;
use steps::written;

/// How many calls are made by default.
const STEPS: u64 = 1000;
/// How many calls a sequence has. Everything is unmapped after it, and the next one begins.
const SEQUENCE: u64 = 100;
/// One sequence in this number has calls that are the same on every backend.
const COMMON: u64 = 8;
/// Of this many sequences, what is not sure beforehand is told.
const TOLD: u64 = 100;
/// The device is opened anew before one sequence in this number.
const ANEW: u64 = 8;
/// The size of a transparent huge page.
const HUGE: u64 = 2 << 20;
/// The size of the largest huge page.
const GIANT: u64 = 1 << 30;

impl Act for Explore {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Explore { seed, steps, r#for } = self;
        let (seed, steps) = (step.size("seed", seed)?, step.optional("steps", steps)?.unwrap_or(STEPS));
        let (begin, at) = (Instant::now(), step.at(""));
        let mut explorer = Explorer::new(step, at, seed)?;
        let mut random = Random::new(seed);
        let (mut made, mut lasted) = (0, Time::ZERO);
        let is_done = |made: u64| r#for.as_ref().map_or(made >= steps, |time| begin.elapsed() >= time.0);
        while !is_done(made) {
            let length = if r#for.is_some() { SEQUENCE } else { SEQUENCE.min(steps - made) };
            made += length;
            let is_last = match r#for {
                Some(time) => begin.elapsed() + lasted * copies::LAST as u32 >= time.0,
                None => steps - made < copies::LAST * SEQUENCE,
            };
            let sequence = Instant::now();
            if let Err((calls, end)) = explorer.sequence(&mut random, length, is_last) {
                return Err(explorer.found(calls, end));
            }
            lasted = lasted.max(sequence.elapsed());
        }
        explorer.end()
    }
}

struct Explorer<'e, 's, 'f, 'a> {
    step: &'e mut Running<'s, 'f, 'a>,
    at: Path,
    seed: u64,
    ground: Ground,
    /// What is there now, if the kernel did what it has to.
    state: State,
    log: Option<Window>,
    held: Held,
    /// The calls since the device was opened anew, up to the last time that everything was unmapped.
    before: Vec<Call>,
    copies: Copies,
    /// How many sequences were made.
    sequences: u64,
    /// A fingerprint of the calls so far.
    calls: DefaultHasher,
    /// The regions of the case as YAML, in its order.
    regions: Vec<String>,
    /// Kept so that the kernel's fault injection is set up once.
    _faults: Option<inject::FailNth>,
}

impl<'e, 's, 'f, 'a> Explorer<'e, 's, 'f, 'a> {
    fn new(step: &'e mut Running<'s, 'f, 'a>, at: Path, seed: u64) -> Result<Self, End> {
        let (case, _) = step.case.plan.case(step.case.planned);
        let own = facts::is_lab_guest();
        let memory = step.frame.held.iter().map(|held| {
            let region = case.regions.get(&held.name);
            let writable = region.is_none_or(|region| region.protection != Some(Protection::Read));
            let (vaddr, size, page) = (held.mapping.addr(), held.mapping.len(), held.page().unwrap_or(page_size()));
            let is_shared_file = |region: &Region| !region.private && !region.read_only && region.of.is_none();
            let file =
                held.file.is_some() && step.case.backend == BackendName::Iommufd && region.is_some_and(is_shared_file);
            let is_private = |region: &Region| region.memory == language::Memory::Anonymous && region.of.is_none();
            let is_shared = case.regions.iter().any(|(_, other)| other.of.as_ref().is_some_and(|of| of.0 == held.name));
            let renews = region.is_some_and(is_private) && !is_shared;
            // On a machine in use there may be no memory for a huge page, and others may hold pages for a while.
            let collapses = own
                && facts::has_transparent_huge_pages()
                && writable
                && renews
                && size == HUGE
                && vaddr.is_multiple_of(HUGE);
            let alone = region.is_some_and(|region| region.of.is_none()) && !is_shared;
            Memory { name: held.name.clone(), vaddr, size, page, writable, renews, collapses, file, alone }
        });
        let memory: Vec<Memory> = memory.collect();
        let is_virtio = step.case.scope.get("iommu").is_some_and(|iommu| iommu.as_str() == Some("virtio"));
        let faults = match is_virtio {
            true => Err("virtio-iommu allocates for the message that it sends of each mapping".to_owned()),
            false => injection(),
        };
        let whole = faults.as_ref().err().cloned();
        let (backend, model) = (step.case.backend, step.case.ledger.model());
        let slow = is_virtio && model.rules.small_pages;
        let is_giant = |memory: &Memory| memory.page >= GIANT && memory.writable && !slow;
        let giant = memory.iter().position(is_giant);
        // These three are known once the device is open.
        let (ranges, aperture, dma) = (Vec::new(), Vec::new(), Err(String::new()));
        let ground = Ground { backend, model, memory, ranges, aperture, giant, slow, whole, dma };
        let held = Held { process: None, pins: None, tables: None, mappings: None };
        let state = State::new();
        let (log, before) = (Window::look().ok(), Vec::new());
        let (copies, sequences, calls) = (Copies::default(), 0, DefaultHasher::new());
        let yaml = |region: &Region| serde_yaml::to_string(region).expect("a region has a YAML form");
        let regions = case.regions.iter().map(|(_, region)| yaml(region)).collect();
        let faults = faults.ok();
        let mut explorer = Explorer {
            step,
            at,
            seed,
            ground,
            state,
            log,
            held,
            before,
            copies,
            sequences,
            calls,
            regions,
            _faults: faults,
        };
        // The first time, more is made than goes away again.
        explorer.open()?;
        explorer.ground.dma = explorer.most_copied()?;
        explorer.close()?;
        explorer.begin()?;
        Ok(explorer)
    }

    /// Begins anew: with a device that was closed, memory that nobody holds, and nothing mapped.
    fn begin(&mut self) -> Result<(), End> {
        self.held.tables = tables();
        self.before.clear();
        for Memory { name, collapses, renews, file, .. } in self.ground.memory.clone() {
            let advices = [
                (Advice::Dontneed, renews),
                (Advice::Hugepage, collapses),
                // Where the pages of a file are, the process knows only of those that it has used.
                (Advice::PopulateWrite, collapses || file),
            ];
            for (advice, _) in advices.into_iter().filter(|(_, is_given)| *is_given) {
                let step = Madvise { region: Name(name.clone()), offset: None, size: None, advice };
                let done = self.run(step.into(), Outcome::Ok);
                // A region of which a step before took a part away keeps its pages.
                if collapses {
                    done?;
                }
            }
        }
        self.open()?;
        self.held.process = facts::process_memory();
        self.held.pins = pins();
        self.held.mappings = self.mappings();
        Ok(())
    }

    fn collapsing(&self) -> impl Iterator<Item = &Memory> {
        self.ground.memory.iter().filter(|memory| memory.collapses)
    }

    fn planned(&self, step: Step, outcome: Outcome) -> PlannedStep {
        let at = self.at.clone();
        PlannedStep { step, outcome, outcome_at: at.clone(), at, steps: Vec::new(), branches: Vec::new() }
    }

    /// Carries out a step that is expected to come to this.
    fn run(&mut self, step: Step, outcome: Outcome) -> Result<(), End> {
        self.run_planned(&self.planned(step, outcome))
    }

    /// The runner was told of all calls of a sequence, so that it does not have to hear of each.
    fn run_planned(&mut self, planned: &PlannedStep) -> Result<(), End> {
        let Running { case, frame, sequence, .. } = &mut *self.step;
        sequence(case, std::slice::from_ref(planned), frame, &mut |_| ())
    }

    /// Opens the device, with nothing mapped.
    fn open(&mut self) -> Result<(), End> {
        self.run(DeviceOpen { token: None }.into(), Outcome::Ok)?;
        let open = self.step.case.opened.get(self.step.case.current).ok_or_else(|| self.step.not_open())?;
        self.ground.ranges.clone_from(&open.iova_ranges);
        self.forget();
        if self.ground.has_other() {
            self.run(other(), Outcome::Ok)?;
        }
        if self.ground.has_other() && self.ground.aperture.is_empty() {
            self.ground.aperture = self.aperture()?;
        }
        Ok(())
    }

    /// What can be mapped where the device has a page table and is not.
    fn aperture(&mut self) -> Result<Vec<IovaRange>, End> {
        let (mut state, mut ranges) = (State::new(), Vec::new());
        for call in [Call::MakeTable { place: Place::Other, short: false }, Call::DropTable] {
            for (step, outcome) in call.steps(&self.ground, &state) {
                self.run(step, outcome.clone())?;
                call.enter(&self.ground, &mut state, &outcome);
            }
            if state.table.is_some() {
                let open = self.step.case.opened.get(self.step.case.current).ok_or_else(|| self.step.not_open())?;
                let other = open.session.ioas().zip(self.space(&open, Place::Other)?);
                let found = other.map(|(own, id)| own.space(id).iova_ranges()).unwrap_or(Ok(Vec::new()));
                ranges = found.map_err(|errno| {
                    let title = format!("failed to ask what can be mapped: {errno}");
                    End::Error(Problem::new(Code::Open, self.at.clone(), title))
                })?;
            }
        }
        Ok(ranges)
    }

    /// An address space, as the ledger knows it.
    fn space(&self, open: &fixture::Open, place: Place) -> Result<Space, End> {
        match place {
            Place::Own => Ok(leaves::own(open)),
            Place::Other => self.step.object("explore", &Some(Object::Named(Name(OTHER.to_owned())))),
        }
    }

    fn close(&mut self) -> Result<(), End> {
        self.run(DeviceClose(NoArguments {}).into(), Outcome::Ok)
    }

    /// Assumes that nothing is mapped.
    fn forget(&mut self) {
        self.state = State::new();
        let case = &mut *self.step.case;
        (case.ledger, case.leaves) = (Ledger::new(self.ground.backend), Leaves::default());
        case.objects = Objects::default();
    }

    /// Makes a call, and compares its answer and the page table with what is right: all of it, or what is near the call. A call that is
    /// about an object that is not there is left out.
    fn take(&mut self, call: Call, all: bool) -> Result<(), End> {
        if !call.is_possible(&self.ground, &self.state) {
            return Ok(());
        }
        if let Call::Beside(race) = call {
            return self.race(race);
        }
        let (mut steps, outcome) = (call.steps(&self.ground, &self.state), call.outcome(&self.ground, &self.state));
        let undo = call.undoing(&self.ground, &self.state);
        let before = self.state.clone();
        let refuses = call.reached(&self.ground, &self.state).is_some_and(|reached| !reached.is_let);
        if refuses && !self.copies.refused {
            self.logged()?;
            (self.copies.refused, self.step.case.found.refused) = (true, true);
        }
        call.enter(&self.ground, &mut self.state, &outcome);
        self.note_gone(&before);
        let near = call.range(self.state.device);
        if let (Some((undo, undone)), Some((step, outcome))) = (undo, steps.first().cloned()) {
            steps.clear();
            let (inner, undo) = (self.planned(step, outcome), self.planned(undo, undone));
            let first = Some(Size(call.fails_first().into()).into());
            let short =
                FailNth { steps: vec![inner.step.clone()], first, undo: vec![undo.step.clone()], still: Vec::new() };
            let short = self.planned(short.into(), Outcome::Ok);
            let planned = PlannedStep { steps: vec![inner], branches: vec![vec![undo], Vec::new()], ..short };
            self.run_planned(&planned)?;
            self.compare(near, all)?;
        }
        for (step, outcome) in steps {
            self.run(step, outcome)?;
            self.compare(near, all)?;
        }
        // Pages that were pinned just now; those of a copy may have been before, and may no longer be the process'.
        let was_reached =
            |place: Place| before.is_reached(place) || before.renewed && before.is_reached(place.opposite());
        let pinned = match (call, self.state.device) {
            (Call::Attach { .. }, Some(place)) if !was_reached(place) => Some((place, 0, u64::MAX)),
            (Call::Map { iova, size, place, file: true, .. }, _) if outcome == Outcome::Ok => {
                Some((place, iova, iova.saturating_add(size - 1)))
            }
            _ => None,
        };
        if let Some((place, first, last)) = pinned {
            self.pinned(place, (first, last))?;
            self.compare(near, all)?;
        }
        Ok(())
    }

    /// Makes calls up, and makes them. Where something is wrong, those that led there come back with what it is.
    fn sequence(&mut self, random: &mut Random, length: u64, is_last: bool) -> Result<(), (Vec<Call>, End)> {
        // A sequence has its own end, so that a case may have any number of them.
        self.step.case.steps_run = 0;
        let mut calls = Vec::new();
        let number = self.sequences;
        self.sequences += 1;
        let (is_common, mut of_all) = (number % COMMON == 1, Random::new(self.seed ^ number.rotate_right(16)));
        let random = if is_common { &mut of_all } else { random };
        let anew = random.one_in(ANEW);
        if anew {
            self.closed().and_then(|()| self.begin()).map_err(|end| (Vec::new(), end))?;
        }
        let ground = if is_common { self.ground.common() } else { self.ground.clone() };
        let ahead = ahead(random, &ground, anew, length - 1);
        // If nothing is heard of this process any more, it was one of them.
        let title = "one of these calls did not come back, or the machine or the worker died of it";
        let scenario = Some(self.scenario(&ahead, title));
        let place = Some(self.step.frame.place(&self.step.planned.at));
        (self.step.say)(Doing { what: "explore".to_owned(), place, scenario });
        // The device copies without changing what follows, so that the calls are the same on any other.
        let mut of_copies = Random::new(random.clone().number());
        self.copies.gone.clear();
        for (index, call) in (0..).zip(ahead) {
            calls.push(call);
            call.hash(&mut self.calls);
            let free = self.free(call).filter(|_| number < TOLD);
            if let Err(end) = self.take(call, false) {
                return Err((calls, end));
            }
            if let (Some((step, may)), Some(gave)) = (free, self.step.case.found.errno) {
                let free = Free { sequence: number, call: index, step, may, gave: errno_name(gave) };
                self.step.case.found.explored.get_or_insert_default().free.push(free);
            }
        }
        self.step.case.found.explored.get_or_insert_default().calls = format!("{:016x}", self.calls.finish());
        self.copies.calls += length;
        if let Err(end) = self.copy(&mut of_copies, is_last, &mut calls) {
            return Err((calls, end));
        }
        for _ in 0..race::EACH_SEQUENCE {
            let Some(race) = Race::made_up(&mut of_copies, &self.ground, &self.state) else { continue };
            calls.push(Call::Beside(race));
            if let Err(end) = self.take(Call::Beside(race), false) {
                return Err((calls, end));
            }
        }
        match self.clean() {
            Ok(last) => self.before.extend(calls.iter().copied().chain(last)),
            Err((last, end)) => return Err((calls.into_iter().chain(last).collect(), end)),
        }
        if let Err(end) = self.faults_are_over() {
            return Err((calls, end));
        }
        if anew { self.reopened().map_err(|end| (calls, end)) } else { Ok(()) }
    }

    /// A call that may fail with any of several errnos: its step, and these.
    fn free(&self, call: Call) -> Option<(String, Vec<String>)> {
        let Outcome::Errno(errnos) = call.outcome(&self.ground, &self.state) else { return None };
        let is_free =
            errnos.len() > 1 && call.undo(&self.state).is_none() && call.is_possible(&self.ground, &self.state);
        let (step, _) = call.steps(&self.ground, &self.state).into_iter().next().filter(|_| is_free)?;
        Some((written(&step, &Outcome::Ok), errnos.into_iter().map(errno_name).collect()))
    }

    /// Unmaps everything, and looks at what is told only now. Returns the calls; where one goes wrong, it comes back with those before it.
    fn clean(&mut self) -> Result<Vec<Call>, (Vec<Call>, End)> {
        let mut made = Vec::new();
        for call in last_calls(&self.ground, &self.state) {
            made.push(call);
            if let Err(end) = self.take(call, true) {
                return Err((made, end));
            }
        }
        self.logged().and_then(|()| self.let_go()).map_err(|end| (Vec::new(), end))?;
        Ok(made)
    }

    /// Closes the device, with everything unmapped.
    fn end(mut self) -> Result<(), End> {
        self.observed();
        if let Some(why) = &self.ground.whole {
            self.step.not_checked(format!("no allocation was made to fail: {why}"), false);
        }
        let not_copied = match &self.ground.dma {
            Err(why) => Some(why.as_str()),
            Ok(_) => (self.copies.made == 0).then_some("there was no memory to copy in time"),
        };
        if let Some(why) = not_copied {
            self.step.not_checked(format!("what the device reaches by DMA was not looked at: {why}"), false);
        }
        if self.ground.has_the_end() {
            self.step.not_checked("maps and copies of ranges that end at 2^64 are left out for now".to_owned(), false);
        }
        self.close()
    }
}

fn errno_name(errno: Errno) -> String {
    errno.name().map_or_else(|| format!("errno {}", errno.0), str::to_owned)
}

/// The step that makes the other address space.
fn other() -> Step {
    Step { save: Some(Name(OTHER.to_owned())), ..Ioas(NoArguments {}).into() }
}
