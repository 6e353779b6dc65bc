// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person can choose about the lab.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::ValueEnum;

use super::{arch::HOST, layout::HostDevice, version::Version};
use crate::{language::Machine, sanitize};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub kernel: KernelChoice,
    /// Its options that are to be otherwise than in the lab's configuration, each at most once.
    pub kernel_config: Vec<KernelOption>,
    /// Whether the kernel is built to look for its own mistakes.
    pub debug: bool,
    /// Whether the kernel is built to count which of its lines run.
    pub coverage: bool,
    pub machine: Machine,
    /// Devices of this machine that the guest has, too.
    pub host_devices: Vec<HostDevice>,
    /// The guest's memory in MiB; 1.2 GiB of it become huge pages. Below 3584 there may be no room for the one of 1 GiB.
    pub memory_mib: u32,
    pub cpus: u32,
    /// How the guest's instructions are executed.
    pub accel: Accel,
    /// QEMU's program, in place of the lab's own.
    pub qemu: Option<PathBuf>,
    /// The folder for packages, sources, kernels and what was learned; see [`default_cache`](super::default_cache).
    pub cache: PathBuf,
}

impl Options {
    /// The defaults with this cache folder: newest kernel, VT-d, the edu device.
    pub fn new(cache: PathBuf) -> Self {
        Self {
            kernel: KernelChoice::Newest,
            kernel_config: Vec::new(),
            debug: false,
            coverage: false,
            machine: Machine::default(),
            host_devices: Vec::new(),
            memory_mib: 4096,
            cpus: 2,
            accel: Accel::Auto,
            qemu: None,
            cache,
        }
    }

    /// The lab in one line for reports, such as `QEMU 11.1.3 tcg, --iommu intel, kernel 7.3.4-1~bpo13+1, 4096 MiB, 2 cpus`. The usual
    /// architecture is not mentioned.
    pub(super) fn describe(&self, qemu: &Version, accel: &str, kernel: &str) -> String {
        let Self { memory_mib, cpus, machine, .. } = self;
        let iommu = machine.iommu().as_str();
        let arch = Some(machine.arch()).filter(|arch| *arch != HOST.arch);
        let arch = arch.map(|arch| format!("--arch {}, ", arch.as_str())).unwrap_or_default();
        let mut text =
            format!("QEMU {qemu} {accel}, {arch}--iommu {iommu}, kernel {kernel}, {memory_mib} MiB, {cpus} cpus");
        machine.words().chunks(2).for_each(|option| text += &format!(", {}", option.join(" ")));
        sanitize::line(&text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelChoice {
    /// The newest one in the cache; with none there, the newest source that Debian has.
    Newest,
    /// A version or its beginning: `6.12` is any 6.12.x, but never 6.1 or 6.120.
    Version(Version),
    /// Debian's own kernel as it is, with modules; the newest, or one of this version.
    Debian(Option<Version>),
    /// A source tree, an image, or a package with one.
    Path(PathBuf),
}

impl FromStr for KernelChoice {
    type Err = String;

    /// `newest`, a version such as `6.12`, `debian` or `debian:6.12`, or a path: it has a `/`, is `.` or `..`, or ends with `.deb`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "newest" {
            Ok(Self::Newest)
        } else if text == "debian" {
            Ok(Self::Debian(None))
        } else if let Some(version) = text.strip_prefix("debian:") {
            Version::from_str(version).map(|version| Self::Debian(Some(version)))
        } else if text.contains('/') || matches!(text, "." | "..") || text.ends_with(".deb") {
            Ok(Self::Path(PathBuf::from(text)))
        } else if text.starts_with(|c: char| c.is_ascii_digit()) {
            Version::from_str(text).map(Self::Version)
        } else {
            Err(format!(
                "`{text}` is not a kernel: expected `newest`, a version such as `6.12` or `debian:6.12`, \
                 or a path with a slash in it, such as `./bzImage` or `./linux`"
            ))
        }
    }
}

impl fmt::Display for KernelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Version(version) => version.fmt(f),
            Self::Debian(None) => f.write_str("debian"),
            Self::Debian(Some(version)) => write!(f, "debian:{version}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// An option of the kernel's configuration and its value, such as `IOMMUFD_VFIO_CONTAINER=y`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelOption {
    symbol: String,
    value: String,
}

impl KernelOption {
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    pub(super) fn line(&self) -> String {
        let Self { symbol, value } = self;
        if value == "n" { format!("# {symbol} is not set") } else { format!("{symbol}={value}") }
    }
}

impl FromStr for KernelOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (symbol, value) = text.split_once('=').unwrap_or((text, ""));
        let symbol = symbol.strip_prefix("CONFIG_").unwrap_or(symbol);
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"') && !value.contains('\n');
        if value == "m" {
            return Err(format!("the lab's kernel has no modules: expected {symbol}=y"));
        }
        if let "yes" | "Y" | "no" | "N" = value {
            let value = value[..1].to_ascii_lowercase();
            return Err(format!("`{text}` is no option of a kernel: expected {symbol}={value}"));
        }
        let digits = value.strip_prefix('-').unwrap_or(value);
        let number = digits.strip_prefix("0x").map_or(10, |_| 16);
        let number = i128::from_str_radix(digits.trim_start_matches("0x"), number).is_ok();
        if !word(symbol) || !(quoted || number || matches!(value, "y" | "n")) {
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
        assert_eq!("debian".parse(), Ok(KernelChoice::Debian(None)));
        for path in ["./bzImage", ".", "..", "linux/", "linux-image-6.12.117+deb13-amd64_6.12.117-1_amd64.deb"] {
            assert_eq!(path.parse(), Ok(KernelChoice::Path(path.into())));
        }
        for text in ["newest", "6.12", "debian", "debian:6.12", "./linux"] {
            assert_eq!(text.parse::<KernelChoice>().unwrap().to_string(), text);
        }
        assert!("debian:trixie".parse::<KernelChoice>().unwrap_err().contains("no version"));
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
        for wrong in ["KASAN", "KASAN=", "KASAN=yes", "KASAN=on", "=y", "A B=y", "A=y\nB=y", "CMDLINE=\"a\nb\""] {
            assert!(line(wrong).unwrap_err().contains("no option"), "{wrong}");
        }
    }
}
