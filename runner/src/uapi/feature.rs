//! What only some devices have: `VFIO_DEVICE_FEATURE`, and who goes down with a hot reset.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use vfio_bindings::bindings::vfio as sys;

use super::ioctl::with_struct;
use super::vfio::request;
use super::{Errno, Tracer};

/// The features by name, as `include/uapi/linux/vfio.h` numbers them.
#[rustfmt::skip]
pub const FEATURES: [(&str, u16); 14] = [
    ("PCI_VF_TOKEN", sys::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN as u16),
    ("MIGRATION", sys::VFIO_DEVICE_FEATURE_MIGRATION as u16),
    ("MIG_DEVICE_STATE", sys::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE as u16),
    ("LOW_POWER_ENTRY", sys::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY as u16),
    ("LOW_POWER_ENTRY_WITH_WAKEUP", sys::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP as u16),
    ("LOW_POWER_EXIT", sys::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT as u16),
    ("DMA_LOGGING_START", DMA_LOGGING_START),
    ("DMA_LOGGING_STOP", sys::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP as u16),
    ("DMA_LOGGING_REPORT", DMA_LOGGING_REPORT),
    ("MIG_DATA_SIZE", sys::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE as u16),
    ("BUS_MASTER", sys::VFIO_DEVICE_FEATURE_BUS_MASTER as u16),
    ("DMA_BUF", DMA_BUF),
    ("MIG_PRECOPY_INFOv2", sys::VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 as u16),
    ("ZPCI_ERROR", 13), // Not in the bindings yet.
];

const DMA_BUF: u16 = sys::VFIO_DEVICE_FEATURE_DMA_BUF as u16;
const DMA_LOGGING_START: u16 = sys::VFIO_DEVICE_FEATURE_DMA_LOGGING_START as u16;
const DMA_LOGGING_REPORT: u16 = sys::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT as u16;

/// The number of a feature's name, such as `DMA_BUF`.
pub fn feature(name: &str) -> Option<u16> {
    FEATURES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// What is done with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FeatureOp {
    /// To read it.
    pub get: bool,
    /// To write it.
    pub set: bool,
    /// Only to ask whether that is possible.
    pub probe: bool,
}

impl FeatureOp {
    /// Reads it.
    pub const GET: FeatureOp = FeatureOp { get: true, set: false, probe: false };
    /// Writes it.
    pub const SET: FeatureOp = FeatureOp { get: false, set: true, probe: false };
    /// Asks whether it is there.
    pub const PROBE: FeatureOp = FeatureOp { get: false, set: false, probe: true };

    fn flags(self) -> u32 {
        (if self.get { sys::VFIO_DEVICE_FEATURE_GET } else { 0 })
            | (if self.set { sys::VFIO_DEVICE_FEATURE_SET } else { 0 })
            | (if self.probe { sys::VFIO_DEVICE_FEATURE_PROBE } else { 0 })
    }
}

/// `VFIO_DEVICE_FEATURE` on a device: `data` goes in, and what the kernel made of it comes out; gives the request's value.
///
/// `ENOTTY` for a feature that the device does not have. The DMA logging features are refused with `EOPNOTSUPP` unless
/// probed: their data holds addresses, which the generic [`request`](super::request) can vouch for; so is the `GET` of a
/// DMA_BUF, which makes a file ([`dma_buf`]).
pub fn device_feature(
    device: BorrowedFd,
    feature: u16,
    op: FeatureOp,
    data: &mut [u8],
    tracer: &Tracer,
) -> Result<i32, Errno> {
    if !op.probe && [DMA_LOGGING_START, DMA_LOGGING_REPORT, DMA_BUF].contains(&feature) {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    // SAFETY: the features whose data holds addresses have just been refused.
    unsafe { call(device, feature, op, data, tracer, ToString::to_string) }
}

/// # Safety
/// Any address in `data` that the kernel follows for this feature must be valid for what it does with it.
unsafe fn call(
    device: BorrowedFd,
    feature: u16,
    op: FeatureOp,
    data: &mut [u8],
    tracer: &Tracer,
    shown: impl FnOnce(&i32) -> String,
) -> Result<i32, Errno> {
    const HEAD: usize = size_of::<sys::vfio_device_feature>();
    let argsz = HEAD + data.len();
    // Whole 64-bit words, because the data's structs are so aligned; the first one is argsz and flags.
    let mut words = vec![0u64; argsz.div_ceil(8)];
    let flags = op.flags() | u32::from(feature);
    words[0] = u64::from_ne_bytes(head(argsz as u32, flags));
    for (word, chunk) in words[1..].iter_mut().zip(data.chunks(8)) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(bytes);
    }
    let mut names: Vec<_> = [(op.probe, "PROBE"), (op.get, "GET"), (op.set, "SET")]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name.to_string()))
        .collect();
    names
        .push(FEATURES.iter().find(|(_, known)| *known == feature).map_or(feature.to_string(), |(n, _)| n.to_string()));
    let fields = format!("argsz={argsz}, flags={}, data={data:02x?}", names.join("|"));
    // SAFETY: the request takes this struct of argsz bytes, the data with it; the caller vouches for addresses in it.
    let run = || unsafe { with_struct(device, request(17), words.as_mut_slice()) };
    let value = tracer.call("VFIO_DEVICE_FEATURE", fields, run, shown)?;
    for (word, chunk) in words[1..].iter().zip(data.chunks_mut(8)) {
        chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
    }
    Ok(value)
}

fn head(argsz: u32, flags: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&argsz.to_ne_bytes());
    bytes[4..].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// `VFIO_DEVICE_FEATURE_PCI_VF_TOKEN` on a physical function: the secret that its virtual functions are opened with.
pub fn set_vf_token(device: BorrowedFd, uuid: [u8; 16], tracer: &Tracer) -> Result<(), Errno> {
    let number = sys::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN as u16;
    device_feature(device, number, FeatureOp::SET, &mut uuid.clone(), tracer).map(drop)
}

/// `VFIO_DEVICE_FEATURE_DMA_BUF` on a device: stretches of a BAR, each an offset and a length in bytes, as one file that
/// other devices can be given.
pub fn dma_buf(device: BorrowedFd, region: u32, ranges: &[(u64, u64)], tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let open_flags = (libc::O_RDWR | libc::O_CLOEXEC) as u32;
    let mut data: Vec<u8> =
        [region, open_flags, 0, ranges.len() as u32].into_iter().flat_map(u32::to_ne_bytes).collect();
    data.extend(ranges.iter().flat_map(|(offset, length)| [*offset, *length]).flat_map(u64::to_ne_bytes));
    // SAFETY: this feature's data holds no addresses.
    let fd = unsafe { call(device, DMA_BUF, FeatureOp::GET, &mut data, tracer, ToString::to_string) }?;
    // SAFETY: the kernel just made this file descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotResetInfo {
    /// `VFIO_PCI_HOT_RESET_FLAG_*`: 1 if the ids are those of an IOMMUFD, 2 if all the devices are the caller's.
    pub flags: u32,
    /// The devices that a reset of the bus or slot resets too, the asked one among them.
    pub devices: Vec<DependentDevice>,
}

/// A device that is reset with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependentDevice {
    /// Its group, or its id on the IOMMUFD: 0 if it is owned without one, `u32::MAX` if not.
    pub id: u32,
    /// The PCI domain.
    pub segment: u16,
    /// The PCI bus.
    pub bus: u8,
    /// The device, times 8, and the function.
    pub devfn: u8,
}

/// `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO` on a device, asked again with more room when the kernel says `ENOSPC`;
/// `ENODEV` where neither slot nor bus can be reset.
pub fn hot_reset_info(device: BorrowedFd, tracer: &Tracer) -> Result<HotResetInfo, Errno> {
    const HEAD: usize = size_of::<sys::vfio_pci_hot_reset_info>() / 4;
    const EACH: usize = size_of::<sys::vfio_pci_dependent_device>() / 4;
    let mut room = 8;
    loop {
        let mut words = vec![0u32; HEAD + room * EACH];
        let argsz = (words.len() * 4) as u32;
        words[0] = argsz;
        let run = || {
            // SAFETY: the request takes a vfio_pci_hot_reset_info and devices behind it, and writes no more than argsz bytes.
            match unsafe { with_struct(device, request(12), words.as_mut_slice()) } {
                // The number of devices is written back, also if there were too many.
                Err(Errno(libc::ENOSPC)) if words[2] as usize > room => Ok((words[1], words[2])),
                other => other.map(|_| (words[1], words[2])),
            }
        };
        let shown = |(flags, count): &(u32, u32)| {
            let full = *count as usize > room;
            let result = if full { "-1 ENOSPC (no space left on device)" } else { "0" };
            format!("{result} {{flags={flags:#x}, count={count}}}")
        };
        let name = "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO";
        let (flags, count) = tracer.call(name, format!("argsz={argsz}"), run, shown)?;
        if count as usize > room {
            room = count as usize;
            continue;
        }
        let each = words[HEAD..].chunks_exact(EACH).take(count as usize);
        let devices = each.map(|words| {
            let [segment_low, segment_high, bus, devfn] = words[1].to_ne_bytes();
            DependentDevice { id: words[0], segment: u16::from_ne_bytes([segment_low, segment_high]), bus, devfn }
        });
        return Ok(HotResetInfo { flags, devices: devices.collect() });
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::uapi::memfd;

    #[test]
    fn features_have_names_and_go_into_the_flags() {
        assert!(FEATURES.iter().enumerate().all(|(index, (_, number))| index == usize::from(*number)));
        assert_eq!(feature("DMA_BUF"), Some(11));
        let tracer = Tracer::new();
        let file = memfd("no device", 0, None, &tracer).unwrap();
        let refused = device_feature(file.as_fd(), 0, FeatureOp::SET, &mut [1, 2, 3], &tracer);
        assert_eq!(refused, Err(Errno(libc::ENOTTY)));
        let line = "VFIO_DEVICE_FEATURE(argsz=11, flags=SET|PCI_VF_TOKEN, data=[01, 02, 03]) = -1 ENOTTY \
                    (inappropriate ioctl for device)";
        assert_eq!(tracer.take().last().unwrap(), line);
    }

    #[test]
    fn data_with_addresses_in_it_is_refused() {
        let tracer = Tracer::new();
        let file = memfd("no device", 0, None, &tracer).unwrap();
        tracer.take();
        let refused = device_feature(file.as_fd(), DMA_LOGGING_REPORT, FeatureOp::GET, &mut [0xff; 32], &tracer);
        assert_eq!(refused, Err(Errno(libc::EOPNOTSUPP)));
        assert!(tracer.take().is_empty(), "no call was made");
        let asked = device_feature(file.as_fd(), DMA_LOGGING_REPORT, FeatureOp::PROBE, &mut [], &tracer);
        assert_eq!(asked, Err(Errno(libc::ENOTTY)));
    }
}
