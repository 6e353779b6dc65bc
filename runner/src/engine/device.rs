//! The steps on the device itself: configuration space, registers, interrupts, reset.

use std::{
    collections::BTreeMap,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use minijinja::Value;

use super::{
    case::{Execution, Got},
    failure::{End, Problem},
    fixture::Open,
};
use crate::{
    language::{self, Bits, Dynamic, Index, Path, Size},
    model::{Errno, code::Code},
    plan::PlannedStep,
    uapi::{
        Mapping, Placement, Prot,
        access::Width,
        irq::{self, EventFd, IrqAction, IrqData},
        signal,
        system::page_size,
    },
};

/// How long a step waits unless it says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// More vectors than MSI-X can have are a mistake.
const MOST_VECTORS: u64 = 2048;

/// What a case holds of its device while it runs.
#[derive(Clone, Default)]
pub struct Held {
    /// BARs that registers were accessed in.
    bars: BTreeMap<u32, Arc<Mapping>>,
    /// Events of interrupts that were enabled.
    events: BTreeMap<(Index, u32), Arc<EventFd>>,
    /// Whether the case changed the device's state.
    pub changed: Changed,
    /// The configuration space before the first step that changed something in it.
    before: Option<Vec<u8>>,
}

/// Whether a case changed a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// It did not.
    #[default]
    No,
    /// Only what the configuration space shows: where that is as it was, so is the device.
    Shown,
    /// More than can be seen: only closing and opening it restores it.
    More,
}

impl Held {
    /// Lets go of what it holds, for the device to be closed.
    pub fn let_go(&mut self) {
        self.bars.clear();
        self.events.clear();
    }

    /// Takes over what a thread holds.
    pub fn take_over(&mut self, other: Held) {
        self.bars.extend(other.bars);
        self.events.extend(other.events);
        // What was there before a thread began has not been kept.
        if other.changed > Changed::No {
            self.changed = Changed::More;
        }
    }

    /// A step is about to change something that the configuration space shows.
    fn changes(&mut self, open: &Open) {
        if self.changed == Changed::No {
            self.before = open.session.device().config_space().ok();
            self.changed = Changed::Shown;
        }
    }

    /// Whether the device is as it was before the case: it was not changed, or its configuration space is the same as before and no
    /// interrupt is enabled.
    pub fn is_as_before(&self, open: &Open) -> bool {
        match self.changed {
            Changed::No => true,
            Changed::Shown => {
                let now = || open.session.device().config_space().ok();
                self.events.is_empty() && self.before.is_some() && self.before == now()
            }
            Changed::More => false,
        }
    }
}

impl Execution<'_> {
    /// Runs a step on the device; `None` for a step of another kind.
    pub fn device_step(&mut self, planned: &PlannedStep, open: &Open) -> Option<Result<(), End>> {
        let PlannedStep { step, at, .. } = planned;
        let verb = step.verbs()[0];
        let at = at.join(verb);
        let result = if step.device_info.is_some() {
            Ok(self.device_info(open))
        } else if let Some(info) = &step.region_info {
            self.region_info(info, &at, open)
        } else if let Some(language::ConfigRead { offset, bits }) = step.config_read.as_deref() {
            self.config_read(offset, *bits, &at, open)
        } else if let Some(language::ConfigWrite { offset, bits, value }) = step.config_write.as_deref() {
            self.config_write(offset, *bits, value, &at, open)
        } else if let Some(language::MmioRead { bar, offset, bits }) = step.mmio_read.as_deref() {
            self.mmio_read(bar, offset, *bits, &at, open)
        } else if let Some(language::MmioWrite { bar, offset, bits, value }) = step.mmio_write.as_deref() {
            self.mmio_write((bar, offset), *bits, value, &at, open)
        } else if let Some(poll) = &step.mmio_poll {
            self.mmio_poll(poll, &at, open)
        } else if let Some(language::Interrupts { index }) = step.irq_info.as_deref() {
            self.index(index, &at).map(|index| irq_info(index, open))
        } else if let Some(language::IrqEnable { index, count }) = step.irq_enable.as_deref() {
            self.index(index, &at).and_then(|index| self.irq_enable(index, count.as_ref(), &at, open))
        } else if let Some(language::IrqTrigger { index, vector }) = step.irq_trigger.as_deref() {
            self.index(index, &at).and_then(|index| self.irq_trigger(index, vector.as_ref(), &at, open))
        } else if let Some(language::IrqWait { index, vector, timeout }) = step.irq_wait.as_deref() {
            self.index(index, &at).and_then(|index| self.irq_wait(index, vector.as_ref(), *timeout, &at))
        } else if let Some(language::Interrupts { index }) = step.irq_disable.as_deref() {
            self.index(index, &at).map(|index| {
                self.device.events.retain(|(kind, _), _| *kind != index);
                let device = open.session.device();
                (None, device.set_irqs(number(index), 0, IrqAction::Trigger, IrqData::None(0)))
            })
        } else if step.reset.is_some() {
            self.device.changes(open);
            Ok((None, open.session.device().reset()))
        } else {
            return None;
        };
        Some(result.and_then(|(value, got)| {
            let told = self.in_words(step, &at, value.as_ref(), got, open)?;
            // Of a call that failed nothing is known, least of all what an earlier call gave under the same name.
            self.save(planned, || value.unwrap_or(Value::UNDEFINED));
            self.compare(verb, planned, got.map(|()| None) as Got).map_err(|end| match (end, told) {
                (End::Failed(problem), Some(told)) if told.instead => End::Failed(problem.title(told.text)),
                (End::Failed(problem), Some(told)) => End::Failed(problem.help(told.text)),
                (end, _) => end,
            })
        }))
    }

    fn device_info(&self, open: &Open) -> Told {
        let got = open.session.device().info();
        let value = got.as_ref().ok().map(|info| {
            Value::from_pairs([
                ("regions", Value::from(info.regions)),
                ("irqs", Value::from(info.irqs)),
                ("resets", Value::from(info.can_reset())),
            ])
        });
        (value, got.map(drop))
    }

    fn region_info(&self, info: &language::RegionInfo, at: &Path, open: &Open) -> Result<Told, End> {
        let index = self.small(&info.region, &at.join("region"))?;
        let got = open.session.device().region(index);
        let value = got.as_ref().ok().map(|region| {
            Value::from_pairs([
                ("size", Value::from(region.size)),
                ("offset", Value::from(region.offset)),
                ("readable", Value::from(region.readable())),
                ("writable", Value::from(region.writable())),
                ("mappable", Value::from(region.mappable())),
            ])
        });
        Ok((value, got.map(drop)))
    }

    fn config_read(&self, offset: &Dynamic<Size>, bits: Bits, at: &Path, open: &Open) -> Result<Told, End> {
        let offset = self.size(offset, &at.join("offset"))?;
        let device = open.session.device();
        let got = device.config().and_then(|region| device.read(&region, offset, width(bits)));
        Ok((got.ok().map(read), got.map(drop)))
    }

    fn config_write(
        &mut self,
        offset: &Dynamic<Size>,
        bits: Bits,
        value: &Dynamic<Size>,
        at: &Path,
        open: &Open,
    ) -> Result<Told, End> {
        let offset = self.size(offset, &at.join("offset"))?;
        let value = self.fitting(value, bits, &at.join("value"))?;
        self.device.changes(open);
        let device = open.session.device();
        let got = device.config().and_then(|region| device.write(&region, offset, width(bits), value));
        Ok((None, got))
    }

    fn mmio_read(
        &mut self,
        bar: &Dynamic<Size>,
        offset: &Dynamic<Size>,
        bits: Bits,
        at: &Path,
        open: &Open,
    ) -> Result<Told, End> {
        let (bar, offset) = self.register(bar, offset, bits, at, open)?;
        let got = self.device.bars[&bar].mmio_read(offset, width(bits));
        Ok((got.ok().map(read), got.map(drop)))
    }

    fn mmio_write(
        &mut self,
        (bar, offset): (&Dynamic<Size>, &Dynamic<Size>),
        bits: Bits,
        value: &Dynamic<Size>,
        at: &Path,
        open: &Open,
    ) -> Result<Told, End> {
        let value = self.fitting(value, bits, &at.join("value"))?;
        let (bar, offset) = self.register(bar, offset, bits, at, open)?;
        self.device.changed = Changed::More;
        Ok((None, self.device.bars[&bar].mmio_write(offset, width(bits), value)))
    }

    fn mmio_poll(&mut self, poll: &language::MmioPoll, at: &Path, open: &Open) -> Result<Told, End> {
        let wanted = self.fitting(&poll.is, poll.bits, &at.join("is"))?;
        let mask = match &poll.mask {
            Some(mask) => self.fitting(mask, poll.bits, &at.join("mask"))?,
            None => width(poll.bits).max(),
        };
        let (bar, offset) = self.register(&poll.bar, &poll.offset, poll.bits, at, open)?;
        let until = Instant::now() + poll.timeout.map_or(PATIENCE, |timeout| timeout.0);
        let _waiting = signal::wait();
        loop {
            let got = self.device.bars[&bar].mmio_read(offset, width(poll.bits));
            match got {
                Ok(_) if signal::interrupted().is_some() => return Ok((None, Err(Errno(libc::EINTR)))),
                Ok(value) if value & mask != wanted && Instant::now() < until => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                Ok(value) if value & mask != wanted => return Ok((Some(read(value)), Err(Errno(libc::ETIMEDOUT)))),
                Ok(value) => return Ok((Some(read(value)), Ok(()))),
                Err(errno) => return Ok((None, Err(errno))),
            }
        }
    }

    fn irq_enable(&mut self, index: Index, count: Option<&Dynamic<Size>>, at: &Path, open: &Open) -> Result<Told, End> {
        let at = at.join("count");
        let count = count.map_or(Ok(1), |count| self.size(count, &at))?;
        if !(1..=MOST_VECTORS).contains(&count) {
            let title = format!("{count} vectors cannot be enabled, expected 1 to {MOST_VECTORS}");
            return Err(End::Error(Problem::new(Code::OutOfRange, at, title)));
        }
        let broken =
            |errno| End::Error(Problem::new(Code::Eventfd, at.clone(), format!("failed to make an event: {errno}")));
        let made: Result<Vec<EventFd>, Errno> = (0..count).map(|_| EventFd::new(self.tracer)).collect();
        let events = made.map_err(broken)?;
        self.device.changes(open);
        let fds: Vec<_> = events.iter().map(|event| Some(event.as_fd())).collect();
        let device = open.session.device();
        let got = device.set_irqs(number(index), 0, IrqAction::Trigger, IrqData::EventFds(&fds));
        if got.is_ok() {
            let numbered = events.into_iter().enumerate();
            self.device.events.extend(numbered.map(|(vector, event)| ((index, vector as u32), Arc::new(event))));
        }
        Ok((None, got))
    }

    fn irq_trigger(&self, index: Index, vector: Option<&Dynamic<Size>>, at: &Path, open: &Open) -> Result<Told, End> {
        let vector = vector.map_or(Ok(0), |vector| self.small(vector, &at.join("vector")))?;
        let device = open.session.device();
        let got = device.set_irqs(number(index), vector, IrqAction::Trigger, IrqData::None(1));
        Ok((None, got))
    }

    fn irq_wait(
        &self,
        index: Index,
        vector: Option<&Dynamic<Size>>,
        timeout: Option<language::Duration>,
        at: &Path,
    ) -> Result<Told, End> {
        let vector = vector.map_or(Ok(0), |vector| self.small(vector, &at.join("vector")))?;
        let Some(event) = self.device.events.get(&(index, vector)) else {
            let title = format!("vector {vector} of {} is not enabled", index.as_str());
            return Err(End::Error(
                Problem::new(Code::NotEnabled, at.clone(), title).label("expected an `irq_enable` of it before"),
            ));
        };
        Ok(match event.wait(timeout.map_or(PATIENCE, |timeout| timeout.0)) {
            Ok(Some(count)) => (Some(Value::from_pairs([("count", count)])), Ok(())),
            Ok(None) => (Some(Value::from_pairs([("count", 0)])), Err(Errno(libc::ETIMEDOUT))),
            Err(errno) => (None, Err(errno)),
        })
    }

    /// A register's BAR and place: one that cannot be is the scenario's mistake, and none of the kernel's.
    fn register(
        &mut self,
        bar: &Dynamic<Size>,
        offset: &Dynamic<Size>,
        bits: Bits,
        at: &Path,
        open: &Open,
    ) -> Result<(u32, u64), End> {
        let place = at.join("offset");
        let offset = self.size(offset, &place)?;
        let bar = self.bar(bar, at, open)?;
        let (bytes, size) = (u64::from(bits.0) / 8, self.device.bars[&bar].len());
        match offset.is_multiple_of(bytes) && offset.checked_add(bytes).is_some_and(|end| end <= size) {
            true => Ok((bar, offset)),
            false => {
                let title = format!("BAR {bar} has no register of {} bits at {offset:#x}", bits.0);
                let label = format!("expected a multiple of {bytes} below {size:#x}");
                Err(End::Error(Problem::new(Code::OutOfRange, place, title).label(label)))
            }
        }
    }

    /// Maps a BAR, once a case.
    fn bar(&mut self, bar: &Dynamic<Size>, at: &Path, open: &Open) -> Result<u32, End> {
        let at = at.join("bar");
        let index = self.small(bar, &at)?;
        if self.device.bars.contains_key(&index) {
            return Ok(index);
        }
        let cannot = |why: String| End::Skipped(format!("BAR {index} of the device cannot be mapped: {why}"));
        if index > 5 {
            let problem =
                Problem::new(Code::OutOfRange, at, format!("there is no BAR {index}")).label("expected 0 to 5");
            return Err(End::Error(problem));
        }
        let device = open.session.device();
        let region = device.region(index).map_err(|errno| {
            let title = format!("failed to ask for BAR {index}: {errno}");
            End::Error(Problem::new(Code::Bar, at.clone(), title))
        })?;
        if region.size == 0 {
            return Err(cannot("the device does not have it".into()));
        }
        if !region.mappable() {
            return Err(cannot("the driver does not allow it".into()));
        }
        let prot = if region.writable() { Prot::ReadWrite } else { Prot::Read };
        let mapping = device
            .map_region(&region, 0, region.size, prot, Placement::aligned(page_size()))
            .map_err(|errno| End::Error(Problem::new(Code::Bar, at, format!("failed to map BAR {index}: {errno}"))))?;
        self.device.bars.insert(index, Arc::new(mapping));
        Ok(index)
    }

    pub(super) fn index(&self, index: &Dynamic<Index>, at: &Path) -> Result<Index, End> {
        index.resolve(&self.scope).map_err(|error| End::Error(Problem::expression(at.join("index"), &error)))
    }

    /// A value that fits a register.
    pub fn fitting(&self, value: &Dynamic<Size>, bits: Bits, at: &Path) -> Result<u64, End> {
        let value = self.size(value, at)?;
        match value <= width(bits).max() {
            true => Ok(value),
            false => {
                let title = format!("{value:#x} does not fit a register of {} bits", bits.0);
                let label = format!("expected at most {:#x}", width(bits).max());
                Err(End::Error(Problem::new(Code::OutOfRange, at.clone(), title).label(label)))
            }
        }
    }

    /// A number that the kernel takes in 32 bits.
    pub fn small(&self, value: &Dynamic<Size>, at: &Path) -> Result<u32, End> {
        let value = self.size(value, at)?;
        u32::try_from(value).map_err(|_| {
            End::Error(Problem::new(Code::OutOfRange, at.clone(), format!("{value} does not fit 32 bits")))
        })
    }
}

/// What a call gave: the result to save, and whether it succeeded.
type Told = (Option<Value>, Result<(), Errno>);

fn irq_info(index: Index, open: &Open) -> Told {
    let got = open.session.device().irq_info(number(index));
    let value = got.as_ref().ok().map(|info| {
        Value::from_pairs([("count", Value::from(info.count)), ("maskable", Value::from(info.maskable()))])
    });
    (value, got.map(drop))
}

fn number(index: Index) -> u32 {
    irq::index(index.as_str()).expect("both know the same kinds")
}

/// A width as the language has it.
pub fn width(bits: Bits) -> Width {
    Width::from_bits(bits.0.into()).expect("the language knows no other widths")
}

fn read(value: u64) -> Value {
    Value::from_pairs([("value", value)])
}
