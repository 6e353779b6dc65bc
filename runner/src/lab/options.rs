//! What a person can choose about the lab.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::version::Version;
use crate::{
    event::DeviceUsed,
    model::{Capability, DeviceKind},
};

/// Everything that decides which kernel boots where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The kernel to boot.
    pub kernel: KernelChoice,
    /// Its options that are to be otherwise than in the lab's configuration, each at most once.
    pub kernel_config: Vec<KernelOption>,
    /// The IOMMU in front of the devices.
    pub iommu: IommuModel,
    /// The devices in the guest; each at most once, always at [`DeviceModel::bdf`].
    pub devices: Vec<DeviceModel>,
    /// The guest's memory in MiB; 1.2 GiB of it become huge pages. Below 3584 there may be no room for the one of 1 GiB.
    pub memory_mib: u32,
    /// The guest's processors.
    pub cpus: u32,
    /// How the guest's instructions are executed.
    pub accel: Accel,
    /// The folder for packages, sources, kernels and what was learned; see [`default_cache`](super::default_cache).
    pub cache: PathBuf,
}

impl Options {
    /// The defaults with this cache folder: newest kernel, VT-d, the edu device.
    pub fn new(cache: PathBuf) -> Self {
        Self {
            kernel: KernelChoice::Newest,
            kernel_config: Vec::new(),
            iommu: IommuModel::Intel,
            devices: vec![DeviceModel::Edu],
            memory_mib: 4096,
            cpus: 2,
            accel: Accel::Auto,
            cache,
        }
    }

    /// The lab in one line for reports, such as `QEMU 10.0.2 tcg, --iommu intel, kernel 7.3.4-1~bpo13+1, 4096 MiB, 2 cpus`.
    pub(super) fn describe(&self, qemu: &Version, accel: &str, kernel: &str) -> String {
        let Self { memory_mib, cpus, .. } = self;
        format!("QEMU {qemu} {accel}, --iommu {}, kernel {kernel}, {memory_mib} MiB, {cpus} cpus", self.iommu.name())
    }
}

/// Which kernel the guest boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelChoice {
    /// The newest one in the cache; with none there, the newest source that Debian has.
    Newest,
    /// A version or its beginning: `6.12` is any 6.12.x, but never 6.1 or 6.120.
    Version(Version),
    /// A kernel image that the user built.
    Image(PathBuf),
}

impl FromStr for KernelChoice {
    type Err = String;

    /// `newest`, a version such as `6.12`, or the path of an image (it has a `/`).
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "newest" {
            Ok(Self::Newest)
        } else if text.contains('/') {
            Ok(Self::Image(PathBuf::from(text)))
        } else if text.starts_with(|c: char| c.is_ascii_digit()) {
            Version::from_str(text).map(Self::Version)
        } else {
            Err(format!(
                "`{text}` is no kernel: expected `newest`, a version such as `6.12`, \
                 or the path of a bzImage with a slash in it, such as `./bzImage`"
            ))
        }
    }
}

/// An option of the kernel's configuration and its value, such as `IOMMUFD_VFIO_CONTAINER=y`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelOption {
    /// With `CONFIG_`.
    symbol: String,
    value: String,
}

impl KernelOption {
    /// With `CONFIG_`, such as `CONFIG_KASAN`.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The line in a configuration, as the kernel writes it.
    pub(super) fn line(&self) -> String {
        let Self { symbol, value } = self;
        if value == "n" { format!("# {symbol} is not set") } else { format!("{symbol}={value}") }
    }
}

impl FromStr for KernelOption {
    type Err = String;

    /// `IOMMUFD_VFIO_CONTAINER=y`, with or without `CONFIG_`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (symbol, value) = text.split_once('=').unwrap_or((text, ""));
        let symbol = symbol.strip_prefix("CONFIG_").unwrap_or(symbol);
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"') && !value.contains('\n');
        if value == "m" {
            return Err(format!("the lab's kernel has no modules: expected {symbol}=y"));
        }
        if !word(symbol) || !(quoted || word(value.trim_start_matches('-'))) {
            return Err(format!("`{text}` is no option of a kernel: expected one such as KASAN=y or NR_CPUS=4"));
        }
        Ok(Self { symbol: format!("CONFIG_{symbol}"), value: value.to_owned() })
    }
}

impl fmt::Display for KernelOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.symbol.trim_start_matches("CONFIG_"), self.value)
    }
}

/// The IOMMU that QEMU emulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum IommuModel {
    /// VT-d in legacy mode: second-stage tables, 4K 2M 1G
    #[default]
    Intel,
    /// VT-d in scalable mode: PASID tables, second stage
    IntelScalable,
    /// VT-d in scalable mode with first-stage tables (QEMU 10.0 or later)
    IntelFirstStage,
    /// virtio-iommu: no page-table dump, no interrupt remapping
    Virtio,
    /// no IOMMU: VFIO has no device then, and only cases run that open none, by themselves (`fixture: none`)
    None,
}

impl IommuModel {
    /// The name that [`RunStarted::iommu`](crate::event::RunStarted::iommu) and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intel => "intel",
            Self::IntelScalable => "intel-scalable",
            Self::IntelFirstStage => "intel-first-stage",
            Self::Virtio => "virtio",
            Self::None => "none",
        }
    }
}

/// A device that QEMU emulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum DeviceModel {
    /// QEMU's teaching device: real DMA through registers, MSI
    Edu,
    /// a 2 GiB 64-bit BAR
    PciTestdev,
    /// shared memory: a BAR with RAM behind it
    Ivshmem,
    /// Intel 82576: MSI-X, FLR, SR-IOV (QEMU 8.0 or later)
    Igb,
    /// an NVMe controller with an empty disk: MSI-X, FLR
    Nvme,
    /// Intel 82574: MSI-X
    E1000e,
}

impl DeviceModel {
    /// The name that the command line and reports use, such as `edu`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edu => "edu",
            Self::PciTestdev => "pci-testdev",
            Self::Ivshmem => "ivshmem",
            Self::Igb => "igb",
            Self::Nvme => "nvme",
            Self::E1000e => "e1000e",
        }
    }

    /// Its slot on the guest's root bus, the same in every lab.
    pub(super) fn slot(self) -> u8 {
        match self {
            Self::Edu => 3,
            Self::PciTestdev => 4,
            Self::Ivshmem => 5,
            Self::Igb => 6,
            Self::Nvme => 7,
            Self::E1000e => 8,
        }
    }

    /// What kind of device it is, which a run has to know before there is a guest: the cases of a role are those of each device that it
    /// means. As QEMU 10.0 has it; `tests/lab/packs.rs` holds it against what guests see.
    pub fn kind(self) -> DeviceKind {
        use Capability::{Aer, Ari, Flr, Intx, Msi, Msix, Pcie, Pm, Sriov};
        let (ids, class, capabilities, largest_bar): (_, _, &[Capability], u64) = match self {
            Self::Edu => ("1234:11e8", 0x00ff00, &[Intx, Msi], 1 << 20),
            Self::PciTestdev => ("1b36:0005", 0x00ff00, &[], 2 << 30),
            Self::Ivshmem => ("1af4:1110", 0x050000, &[], 64 << 20),
            Self::Igb => ("8086:10c9", 0x020000, &[Intx, Pm, Msi, Msix, Pcie, Flr, Aer, Ari, Sriov], 128 << 10),
            Self::Nvme => ("1b36:0010", 0x010802, &[Intx, Pm, Msix, Pcie, Flr], 16 << 10),
            Self::E1000e => ("8086:10d3", 0x020000, &[Intx, Pm, Msi, Msix, Pcie, Aer], 128 << 10),
        };
        DeviceKind { ids: ids.to_owned(), class, capabilities: capabilities.to_vec(), largest_bar }
    }

    /// As runs know it, under a name that scenarios can write.
    pub fn used(self) -> DeviceUsed {
        DeviceUsed { name: self.name().replace('-', "_"), ..DeviceUsed::default() }.of_kind(self.kind())
    }

    /// Its PCI address in the guest, such as `0000:00:03.0`.
    pub fn bdf(self) -> String {
        format!("0000:00:{:02x}.0", self.slot())
    }
}

/// How the guest's instructions are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Accel {
    /// KVM if a guest really comes up with it, software emulation otherwise
    #[default]
    Auto,
    /// KVM or nothing
    Kvm,
    /// software emulation
    Tcg,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_a_word_a_version_or_a_path() {
        assert_eq!("newest".parse(), Ok(KernelChoice::Newest));
        assert_eq!("6.12".parse(), Ok(KernelChoice::Version("6.12".parse().unwrap())));
        assert_eq!("./bzImage".parse(), Ok(KernelChoice::Image("./bzImage".into())));
        assert!("bzImage".parse::<KernelChoice>().unwrap_err().contains("./bzImage"));
    }

    #[test]
    fn an_option_of_the_kernel_is_written_as_the_kernel_writes_it() {
        let line = |text: &str| text.parse::<KernelOption>().map(|option| option.line());
        assert_eq!(line("CONFIG_KASAN=y").unwrap(), "CONFIG_KASAN=y");
        assert_eq!(line("VFIO_CONTAINER=n").unwrap(), "# CONFIG_VFIO_CONTAINER is not set");
        assert_eq!(line("CMDLINE=\"a b\"").unwrap(), "CONFIG_CMDLINE=\"a b\"");
        assert_eq!("CONFIG_NR_CPUS=4".parse::<KernelOption>().unwrap().to_string(), "NR_CPUS=4");
        assert!(line("VFIO_PCI=m").unwrap_err().contains("no modules"));
        for wrong in ["KASAN", "KASAN=", "=y", "A B=y", "A=y\nB=y", "CMDLINE=\"a\nb\""] {
            assert!(line(wrong).unwrap_err().contains("no option"), "{wrong}");
        }
    }

    #[test]
    fn names_are_those_of_the_command_line_and_slots_are_distinct() {
        let mut slots = std::collections::HashSet::new();
        for device in DeviceModel::value_variants() {
            assert_eq!(device.to_possible_value().unwrap().get_name(), device.name());
            assert!(slots.insert(device.slot()));
        }
        for iommu in IommuModel::value_variants() {
            assert_eq!(iommu.to_possible_value().unwrap().get_name(), iommu.name());
        }
        assert_eq!(DeviceModel::Edu.bdf(), "0000:00:03.0");
    }
}
