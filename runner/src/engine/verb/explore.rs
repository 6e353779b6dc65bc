// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that nobody wrote down: made up one after the other, each answered as the model says, until something is wrong. Then the same
//! calls are made again and again on a device that is opened anew, fewer each time, for as long as it stays wrong.

mod generate;

use std::time::{Duration as Time, Instant};

use super::prelude::*;
use crate::{
    engine::{
        leaves::{self, Leaves},
        ledger::Ledger,
        log,
    },
    host::{
        facts::{self, ProcessMemory},
        kmsg::Window,
    },
    language::{Outcome, Path, Protection, Step},
    model::Random,
    plan::PlannedStep,
    uapi::system::page_size,
};
use generate::{Call, Generator, Ground, Memory};

/// Unless it is said how many calls are made.
const STEPS: u64 = 1000;
/// After so many calls everything is unmapped, and a new sequence begins.
const SEQUENCE: u64 = 100;
/// How long a sequence that shows something is made shorter.
const SHORTENING: Time = Time::from_secs(30);

impl Act for Explore {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Explore { seed, steps, r#for } = self;
        let (seed, steps) = (step.size("seed", seed)?, step.optional("steps", steps)?.unwrap_or(STEPS));
        let (begin, at) = (Instant::now(), step.at(""));
        let mut explorer = Explorer::new(step, at, seed)?;
        let mut random = Random::new(seed);
        let mut made = 0;
        let is_done = |made: u64| r#for.as_ref().map_or(made >= steps, |time| begin.elapsed() >= time.0);
        while !is_done(made) {
            let length = if r#for.is_some() { SEQUENCE } else { SEQUENCE.min(steps - made) };
            made += length;
            if let Err((calls, end)) = explorer.sequence(&mut random, length) {
                return Err(explorer.found(calls, end));
            }
        }
        explorer.end()
    }
}

struct Explorer<'e, 's, 'f, 'a> {
    step: &'e mut Running<'s, 'f, 'a>,
    at: Path,
    seed: u64,
    ground: Ground,
    log: Option<Window>,
    /// What the process held before anything was mapped.
    held: Option<ProcessMemory>,
}

impl<'e, 's, 'f, 'a> Explorer<'e, 's, 'f, 'a> {
    fn new(step: &'e mut Running<'s, 'f, 'a>, at: Path, seed: u64) -> Result<Self, End> {
        let (case, _) = step.case.plan.case(step.case.planned);
        let memory = step.frame.held.iter().map(|held| {
            let region = case.regions.get(&held.name);
            let writable = region.is_none_or(|region| region.protection != Some(Protection::Read));
            let (vaddr, size, page) = (held.mapping.addr(), held.mapping.len(), held.page().unwrap_or(page_size()));
            Memory { name: held.name.clone(), vaddr, size, page, writable }
        });
        let ground = Ground { backend: step.case.backend, memory: memory.collect(), ranges: Vec::new() };
        let mut explorer = Explorer { step, at, seed, ground, log: Window::look().ok(), held: None };
        explorer.open()?;
        explorer.held = facts::process_memory();
        Ok(explorer)
    }

    /// Carries out a step that is expected to come to this.
    fn run(&mut self, step: Step, outcome: Outcome) -> Result<(), End> {
        let at = self.at.clone();
        let planned = PlannedStep { step, outcome, outcome_at: at.clone(), at, steps: Vec::new(), branches: Vec::new() };
        self.step.run(std::slice::from_ref(&planned))
    }

    /// Opens the device, with nothing mapped.
    fn open(&mut self) -> Result<(), End> {
        self.run(DeviceOpen { token: None }.into(), Outcome::Ok)?;
        let open = self.step.case.opened.get(self.step.case.current).ok_or_else(|| self.step.not_open())?;
        self.ground.ranges.clone_from(&open.iova_ranges);
        self.forget();
        Ok(())
    }

    fn close(&mut self) -> Result<(), End> {
        self.run(DeviceClose(NoArguments {}).into(), Outcome::Ok)
    }

    /// Takes it that nothing is mapped.
    fn forget(&mut self) {
        self.step.case.ledger = Ledger::new(self.ground.backend);
        self.step.case.leaves = Leaves::default();
    }

    /// What the call has to come to, with what is mapped now.
    fn outcome(&self, call: Call) -> Result<Outcome, End> {
        let open = self.step.case.opened.get(self.step.case.current).ok_or_else(|| self.step.not_open())?;
        let ledger = &self.step.case.ledger;
        Ok(call.outcome(&self.ground, &ledger.model(), ledger.mappings(leaves::own(&open))))
    }

    /// Makes a call, and compares its answer and the page table with what is right.
    fn take(&mut self, call: Call) -> Result<(), End> {
        let outcome = self.outcome(call)?;
        self.run(call.step(&self.ground), outcome)?;
        let case = &mut *self.step.case;
        let Some(open) = case.opened.get(case.current) else { return Ok(()) };
        case.leaves.compare(&case.ledger, &open, &self.at, true, case.tracer)
    }

    /// Makes calls up, and makes them. Where something is wrong, those that led there come back with what it is.
    fn sequence(&mut self, random: &mut Random, length: u64) -> Result<(), (Vec<Call>, End)> {
        let mut calls = Vec::new();
        let mut freed = Vec::new();
        for _ in 1..length {
            let Some(open) = self.step.case.opened.get(self.step.case.current) else { break };
            let ledger = &self.step.case.ledger;
            let mut generator = Generator { random, ground: &self.ground, model: ledger.model(), freed };
            let call = generator.call(ledger.mappings(leaves::own(&open)));
            freed = generator.freed;
            calls.push(call);
            if let Err(end) = self.take(call) {
                return Err((calls, end));
            }
        }
        self.clean().map_err(|end| (calls, end))
    }

    /// Unmaps everything, and looks at what is told only now.
    fn clean(&mut self) -> Result<(), End> {
        self.take(Call::UnmapAll)?;
        self.logged()?;
        self.let_go()
    }

    /// Fails if the kernel logged what it should not.
    fn logged(&mut self) -> Result<(), End> {
        let records = self.log.as_mut().and_then(|log| log.records().ok()).unwrap_or_default();
        let lines: Vec<String> = records.into_iter().map(|record| record.text).collect();
        let (case, _) = self.step.case.plan.case(self.step.case.planned);
        log::first_alarm(&lines, &case.kernel_log).map_or(Ok(()), |line| {
            Err(End::Failed(Problem::new(Code::KernelLog, self.at.clone(), format!("the kernel logged: {line}"))))
        })
    }

    /// Fails if the process holds more than before anything was mapped.
    fn let_go(&self) -> Result<(), End> {
        let (Some(before), Some(now)) = (self.held, facts::process_memory()) else { return Ok(()) };
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

    /// Makes these calls on a device that is opened anew. Returns how many it took until something was wrong, and what.
    fn again(&mut self, calls: &[Call]) -> Result<Option<(usize, End)>, End> {
        self.close()?;
        self.open()?;
        self.log = self.log.take().and_then(|mut log| log.forget().is_ok().then_some(log));
        for (index, call) in calls.iter().enumerate() {
            match self.take(*call).and_then(|()| self.logged()) {
                Ok(()) => {}
                Err(end @ End::Failed(_)) => return Ok(Some((index + 1, end))),
                Err(end) => return Err(end),
            }
        }
        match self.clean() {
            Ok(()) => Ok(None),
            Err(end @ End::Failed(_)) => Ok(Some((calls.len(), end))),
            Err(end) => Err(end),
        }
    }

    /// Makes the calls that led to a failure as few and as plain as they can be, and keeps them as a scenario.
    fn found(&mut self, mut calls: Vec<Call>, end: End) -> End {
        if !matches!(end, End::Failed(_)) {
            return end;
        }
        let until = Instant::now() + SHORTENING;
        let (end, is_sure) = match self.again(&calls) {
            Ok(Some((length, end))) => {
                calls.truncate(length);
                (end, true)
            }
            Ok(None) => (end, false),
            Err(error) => return error,
        };
        let mut end = end;
        if is_sure {
            if let Err(error) = self.shorten(&mut calls, until) {
                return error;
            }
            // Once more, so that the calls that are told are those of the scenario.
            _ = self.step.case.tracer.take();
            match self.again(&calls) {
                Ok(Some((_, last))) => end = last,
                Ok(None) => {}
                Err(error) => return error,
            }
        }
        let steps = crate::model::count(calls.len(), "step");
        let note = match is_sure {
            true => format!("{steps} show it, which the scenario below has"),
            false => format!(
                "it did not happen again: the scenario below has the {steps} that were made since everything was unmapped"
            ),
        };
        match self.scenario(&calls, &end) {
            Ok(text) => self.step.case.found.scenario = Some(text),
            Err(error) => return error,
        }
        end.help(note)
    }

    /// Leaves out and makes plainer what can be without the failure going away.
    fn shorten(&mut self, calls: &mut Vec<Call>, until: Instant) -> Result<(), End> {
        let attempt = |explorer: &mut Self, calls: &mut Vec<Call>, fewer: Vec<Call>| -> Result<bool, End> {
            if Instant::now() > until {
                return Ok(false);
            }
            let Some((length, _)) = explorer.again(&fewer)? else { return Ok(false) };
            *calls = fewer;
            calls.truncate(length);
            Ok(true)
        };
        let mut part = calls.len().div_ceil(2);
        while part > 0 {
            let (mut at, mut is_shorter) = (0, false);
            while at < calls.len() && calls.len() > 1 {
                let fewer: Vec<Call> = calls[..at].iter().chain(calls.iter().skip(at + part)).copied().collect();
                if attempt(self, calls, fewer)? {
                    is_shorter = true;
                } else {
                    at += part;
                }
            }
            if part > 1 || !is_shorter {
                part /= 2;
            }
        }
        for index in 0..calls.len() {
            for plainer in calls.get(index).map(Call::plainer).unwrap_or_default() {
                let mut fewer = calls.clone();
                fewer[index] = plainer;
                if attempt(self, calls, fewer)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The calls as a scenario: what each has to come to is what the model says, whatever the kernel does.
    fn scenario(&mut self, calls: &[Call], end: &End) -> Result<String, End> {
        let case = &*self.step.case;
        let open = case.opened.get(case.current).ok_or_else(|| self.step.not_open())?;
        let space = leaves::own(&open);
        let mut ledger = Ledger::new(self.ground.backend);
        let mut steps = String::new();
        for call in calls {
            let outcome = call.outcome(&self.ground, &ledger.model(), ledger.mappings(space));
            let text = call.yaml(&self.ground, &outcome);
            steps += &text.lines().enumerate().fold(String::new(), |text, (index, line)| {
                format!("{text}      {}{line}\n", if index == 0 { "- " } else { "  " })
            });
            call.enter(&mut ledger, space, &outcome);
        }
        let (written, _) = case.plan.case(case.planned);
        let regions = serde_yaml::to_string(&written.regions).expect("regions have a YAML form");
        let regions: String = regions.lines().map(|line| format!("      {line}\n")).collect();
        let title = match end {
            End::Failed(problem) | End::Error(problem) => problem.what.title.as_str(),
            End::Skipped(reason) => reason,
        };
        let backend = case.planned.backend;
        Ok(format!(
            "# `vfiospec explore` made this up, with the seed {} on Linux {}:\n# {title}\n\
             name: found_{}_{}\nsummary: Steps that `explore` found, as few as show it.\nbackends: [{backend}]\ncases:\n  \
             - name: sequence\n    regions:\n{regions}    steps:\n{steps}",
            self.seed,
            facts::kernel(),
            backend,
            self.seed,
        ))
    }

    /// Closes the device, with everything unmapped.
    fn end(mut self) -> Result<(), End> {
        let case = &mut *self.step.case;
        if let Some(open) = case.opened.get(case.current) {
            let seen = std::mem::take(&mut case.leaves).observation(&case.ledger, &open);
            case.found.observers.push(seen);
        }
        self.close()
    }
}
