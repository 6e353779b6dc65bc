// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupts of a device: `VFIO_DEVICE_GET_IRQ_INFO`, `VFIO_DEVICE_SET_IRQS`, and the event that one arrives as.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};
use vfio_bindings::bindings::vfio as sys;

use super::{Tracer, access::Width, ioctl::with_struct, request::shown, trace::zero, vfio::request};
use crate::model::Errno;

pub const INTX: u32 = sys::VFIO_PCI_INTX_IRQ_INDEX;
pub const MSI: u32 = sys::VFIO_PCI_MSI_IRQ_INDEX;
pub const MSIX: u32 = sys::VFIO_PCI_MSIX_IRQ_INDEX;
pub const ERR: u32 = sys::VFIO_PCI_ERR_IRQ_INDEX;
pub const REQ: u32 = sys::VFIO_PCI_REQ_IRQ_INDEX;

const NAMES: [(&str, u32); 5] = [("intx", INTX), ("msi", MSI), ("msix", MSIX), ("err", ERR), ("req", REQ)];

/// The index of an interrupt's kind on a PCI device: `intx`, `msi`, `msix`, `err` or `req`.
pub fn index(name: &str) -> Option<u32> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, index)| *index)
}

fn shown_index(index: u32) -> String {
    match NAMES.iter().find(|(_, known)| *known == index) {
        Some((name, _)) => name.to_uppercase(),
        None => index.to_string(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IrqInfo {
    pub index: u32,
    /// `VFIO_IRQ_INFO_*`
    pub flags: u32,
    /// How many vectors it has; 0 for a kind that the device does not have.
    pub count: u32,
}

impl IrqInfo {
    pub fn maskable(&self) -> bool {
        self.flags & sys::VFIO_IRQ_INFO_MASKABLE != 0
    }
}

pub fn irq_info(device: BorrowedFd, index: u32, tracer: &Tracer) -> Result<IrqInfo, Errno> {
    let argsz = size_of::<sys::vfio_irq_info>() as u32;
    let mut arg = sys::vfio_irq_info { argsz, index, ..Default::default() };
    let run = || {
        // SAFETY: the request takes this struct of argsz bytes.
        unsafe { with_struct(device, request(9), &mut arg) }?;
        Ok(IrqInfo { index, flags: arg.flags, count: arg.count })
    };
    let fields = format!("argsz={argsz}, index={}", shown_index(index));
    tracer.on_file(device, "VFIO_DEVICE_GET_IRQ_INFO", fields, run, |i| {
        format!("0 {{flags={}, count={}}}", shown("VFIO_DEVICE_GET_IRQ_INFO", "flags", i.flags.into()), i.count)
    })
}

/// What to do with vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IrqAction {
    /// Hold interrupts back.
    Mask,
    /// Let them through, with the one that was held back.
    Unmask,
    /// Act as if an interrupt had arrived, or say where they go.
    Trigger,
}

impl IrqAction {
    fn flag(self) -> (u32, &'static str) {
        match self {
            IrqAction::Mask => (sys::VFIO_IRQ_SET_ACTION_MASK, "MASK"),
            IrqAction::Unmask => (sys::VFIO_IRQ_SET_ACTION_UNMASK, "UNMASK"),
            IrqAction::Trigger => (sys::VFIO_IRQ_SET_ACTION_TRIGGER, "TRIGGER"),
        }
    }
}

/// Which vectors to do it with.
#[derive(Debug, Clone, Copy)]
pub enum IrqData<'a> {
    /// This many vectors, now; to trigger 0 disables the whole index.
    None(u32),
    /// An eventfd for each vector. To trigger: its interrupts are delivered there from now on, which enables the index. To mask or unmask:
    /// whenever the eventfd is signalled.
    EventFds(&'a [BorrowedFd<'a>]),
}

/// How many numbers of a list are shown: a device may have 2048 vectors.
const MOST_SHOWN: usize = 8;

impl fmt::Display for IrqData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IrqData::None(count) => write!(f, "count={count}"),
            IrqData::EventFds(fds) => {
                let mut shown: Vec<_> = fds.iter().take(MOST_SHOWN).map(|fd| fd.as_raw_fd().to_string()).collect();
                if let Some(rest @ 1..) = fds.len().checked_sub(MOST_SHOWN) {
                    shown.push(format!("… {rest} more"));
                }
                write!(f, "count={}, data=[{}]", fds.len(), shown.join(", "))
            }
        }
    }
}

/// `VFIO_DEVICE_SET_IRQS` on a device, for the vectors from `start` on.
pub fn set_irqs(
    device: BorrowedFd,
    action: IrqAction,
    index: u32,
    start: u32,
    data: IrqData,
    tracer: &Tracer,
) -> Result<(), Errno> {
    let (action, action_name) = action.flag();
    let (kind, kind_name, count, fds) = match data {
        IrqData::None(count) => (sys::VFIO_IRQ_SET_DATA_NONE, "NONE", count, [].as_slice()),
        IrqData::EventFds(fds) => (sys::VFIO_IRQ_SET_DATA_EVENTFD, "EVENTFD", fds.len() as u32, fds),
    };
    let argsz = (size_of::<sys::vfio_irq_set>() + size_of_val(fds)) as u32;
    let mut words = vec![argsz, kind | action, index, start, count];
    words.extend(fds.iter().map(|fd| fd.as_raw_fd().cast_unsigned()));
    let fields =
        format!("argsz={argsz}, flags={kind_name}|{action_name}, index={}, start={start}, {data}", shown_index(index));
    // SAFETY: the request reads a vfio_irq_set and the data behind it, argsz bytes, which are all there, and writes nothing.
    let run = || unsafe { with_struct(device, request(10), words.as_mut_slice()) };
    tracer.on_file(device, "VFIO_DEVICE_SET_IRQS", fields, run, zero).map(drop)
}

/// A new eventfd whose count is 0, closed on exec.
pub fn eventfd(tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let run = || Ok(OwnedFd::from(EventFd::from_value_and_flags(0, flags)?));
    tracer.call("eventfd2", "0, EFD_CLOEXEC|EFD_NONBLOCK".into(), run, |fd| fd.as_raw_fd().to_string())
}

/// How often an eventfd was signalled since the last wait; waits up to `timeout` for the first time, and returns `None` after that.
/// `EINVAL` or another errno for a file of another kind.
pub fn wait(event: BorrowedFd, timeout: Duration, tracer: &Tracer) -> Result<Option<u64>, Errno> {
    let fields = format!("fd={}, timeout={}ms", event.as_raw_fd(), timeout.as_millis());
    let shown = |count: &Option<u64>| count.map_or("0 (timeout)".into(), |count| format!("1 {{count={count}}}"));
    tracer.call("poll", fields, || poll_and_read(event, timeout), shown)
}

fn poll_and_read(event: BorrowedFd, timeout: Duration) -> Result<Option<u64>, Errno> {
    let until = Instant::now().checked_add(timeout);
    loop {
        let left = until.map_or(timeout, |until| until.saturating_duration_since(Instant::now()));
        // In whole milliseconds, and not one too few.
        let left = PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
        let mut count = [0; 8];
        match poll(&mut [PollFd::new(event, PollFlags::POLLIN)], left) {
            Ok(0) if until.is_none_or(|until| Instant::now() < until) => {}
            Ok(0) => return Ok(None),
            Ok(_) => match read(event, &mut count) {
                Ok(8) => return Ok(Some(u64::from_ne_bytes(count))),
                Ok(_) => return Err(Errno(libc::EINVAL)),
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            },
            Err(nix::errno::Errno::EINTR) if super::signal::interrupted().is_none() => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Adds 1 to the count of an eventfd, as the kernel does when an interrupt arrives.
pub fn signal(event: BorrowedFd, tracer: &Tracer) -> Result<(), Errno> {
    let run = || Ok(write(event, &1u64.to_ne_bytes())?);
    tracer.call("write", format!("fd={}, count=1", event.as_raw_fd()), run, ToString::to_string).map(drop)
}

/// A write to a register that the kernel makes whenever an eventfd is signalled.
#[derive(Debug, Clone, Copy)]
pub struct WriteOnEvent {
    /// Where in the device's file, in bytes.
    pub offset: u64,
    pub width: Width,
    pub value: u64,
}

/// `VFIO_DEVICE_IOEVENTFD`; without an eventfd, the write that was asked for is removed.
pub fn ioeventfd(
    device: BorrowedFd,
    WriteOnEvent { offset, width, value }: WriteOnEvent,
    event: Option<BorrowedFd>,
    tracer: &Tracer,
) -> Result<(), Errno> {
    let argsz = size_of::<sys::vfio_device_ioeventfd>() as u32;
    let fd = event.map_or(-1, |event| event.as_raw_fd());
    let mut arg = sys::vfio_device_ioeventfd {
        argsz,
        flags: width.bytes() as u32, // VFIO_DEVICE_IOEVENTFD_8 to _64
        offset,
        data: value,
        fd,
        ..Default::default()
    };
    let fields = format!("argsz={argsz}, flags={}, offset={offset:#x}, data={value:#x}, fd={fd}", width.bits());
    // SAFETY: the request reads this struct of argsz bytes, follows no address in it, and writes nothing.
    let run = || unsafe { with_struct(device, request(16), &mut arg) };
    tracer.on_file(device, "VFIO_DEVICE_IOEVENTFD", fields, run, zero).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn an_event_is_counted_once_and_then_gone() {
        let tracer = Tracer::new();
        let event = eventfd(&tracer).unwrap();
        let wait = |timeout| wait(event.as_fd(), timeout, &tracer);
        assert_eq!(wait(Duration::ZERO), Ok(None));
        signal(event.as_fd(), &tracer).unwrap();
        signal(event.as_fd(), &tracer).unwrap();
        assert_eq!(wait(Duration::MAX), Ok(Some(2)));
        let start = Instant::now();
        assert_eq!(wait(Duration::from_millis(20)), Ok(None));
        assert!(start.elapsed() >= Duration::from_millis(20));
        let lines = tracer.take().lines;
        assert!(lines[1].ends_with("timeout=0ms) = 0 (timeout)"), "{lines:#?}");
        assert!(lines[3].ends_with("= 1 {count=2}"), "{lines:#?}");
    }

    #[test]
    fn a_kind_of_interrupt_has_a_name() {
        assert_eq!(index("msix"), Some(2));
        assert_eq!(index("MSI"), None);
        assert_eq!((shown_index(REQ), shown_index(17)), ("REQ".into(), "17".into()));
    }

    #[test]
    fn what_is_set_is_shown() {
        let tracer = Tracer::new();
        let event = eventfd(&tracer).unwrap();
        // Not a device: whatever is asked of it is refused.
        for data in [IrqData::None(0), IrqData::EventFds(&[event.as_fd(), event.as_fd()])] {
            let refused = set_irqs(event.as_fd(), IrqAction::Trigger, MSI, 1, data, &tracer);
            assert_eq!(refused, Err(Errno(libc::ENOTTY)));
        }
        let fd = event.as_fd().as_raw_fd();
        let refused = "-1 ENOTTY (inappropriate ioctl for device)";
        assert_eq!(
            tracer.take().lines[1..],
            [
                format!(
                    "VFIO_DEVICE_SET_IRQS(fd={fd}, argsz=20, flags=NONE|TRIGGER, index=MSI, start=1, count=0) = {refused}"
                ),
                format!(
                    "VFIO_DEVICE_SET_IRQS(fd={fd}, argsz=28, flags=EVENTFD|TRIGGER, index=MSI, start=1, count=2, data=[{fd}, \
                     {fd}]) = {refused}"
                ),
            ]
        );
    }
}
