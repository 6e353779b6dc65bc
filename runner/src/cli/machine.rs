// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of the lab that say what its machine is: a file, and what takes the place of what the file says.

use std::{ffi::OsStr, path::PathBuf, str::FromStr};

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Command, ValueEnum, error::ErrorKind};

use super::error::Error;
use crate::lab::LabError;
use crate::language::{
    Arch, DefaultDomain, DeviceModel, IommuModel, LabDevice, Lockdown, Machine, Ordered, Place, Scalar, Size, join,
};
use crate::suite;

/// What the guest is to the tests.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// A file that says what the machine is, in place of the next eight options, which replace what it says
    #[arg(long = "lab", value_name = "FILE")]
    file: Option<PathBuf>,

    /// The architecture of the guest [default: x86-64]
    ///
    /// On arm64 the kernel and this program are cross-built the first time, this program from its source: with your cargo if it has the target
    /// aarch64-unknown-linux-gnu, else with Debian's. A `vfiospec-arm64` beside this program is taken as it is.
    #[arg(long, value_name = "ARCH", value_enum)]
    arch: Option<Arch>,

    /// The size of the kernel's pages, 4KiB or 64KiB (only on arm64) [default: 4KiB]
    #[arg(long, value_name = "SIZE")]
    page_size: Option<Size>,

    /// The IOMMU in front of the devices [default: intel; on arm64: smmuv3]
    #[arg(long, value_name = "MODEL", value_enum)]
    iommu: Option<IommuModel>,

    /// How many bits an IOVA has: 39 or 48 on intel and intel-scalable, 32 to 64 on virtio
    #[arg(long, value_name = "BITS")]
    address_width: Option<Size>,

    /// What a device reaches that a driver of the kernel's own has
    #[arg(long, value_name = "DOMAIN", value_enum)]
    default_domain: Option<DefaultDomain>,

    /// What the kernel forbids even to root; Debian's kernels can be locked down, the lab's own cannot
    #[arg(long, value_name = "MODE", value_enum)]
    lockdown: Option<Lockdown>,

    /// A parameter of a module of the kernel, such as vfio_iommu_type1.dma_entry_limit=2; may be given several times
    #[arg(long = "parameter", value_name = "MODULE.NAME=VALUE")]
    parameters: Vec<Parameter>,

    /// A device to test, such as edu or left=edu,place=bridge; may be given several times [default: edu]
    ///
    /// NAME is what scenarios and reports call it; by default the model's name. SIZE is that of its expansion ROM. PLACE is `root` (the default:
    /// on the root bus, a group of its own), `port` (behind a root port, a group of its own, has a hot reset), `bridge` (all of these behind one
    /// PCIe-to-PCI bridge, one group), `function` (all of these are functions of one device, one group)
    /// or `second-iommu` (as `port`, behind an IOMMU of its own; only on arm64).
    #[arg(long = "device", value_name = "[NAME=]MODEL[,place=PLACE][,rom=SIZE]", value_parser = Devices)]
    devices: Vec<Device>,
}

impl MachineArgs {
    /// The machine, known to be right.
    pub fn machine(&self) -> Result<Machine, Error> {
        let mut machine = match &self.file {
            Some(file) => suite::machine(file)?,
            None => Machine::default(),
        };
        let MachineArgs { arch, page_size, iommu, address_width, default_domain, lockdown, parameters, .. } = self;
        machine.arch = arch.or(machine.arch);
        machine.page_size = page_size.or(machine.page_size);
        machine.iommu = iommu.or(machine.iommu);
        machine.address_width = address_width.or(machine.address_width);
        machine.default_domain = default_domain.or(machine.default_domain);
        machine.lockdown = lockdown.or(machine.lockdown);
        parameters.iter().for_each(|parameter| parameter.set(&mut machine));
        if !self.devices.is_empty() {
            machine.devices = self.devices()?;
        }
        match machine.mistakes().into_iter().next() {
            Some(mistake) => {
                let error = LabError::usage(format!("failed to make the lab's machine: {}", mistake.title));
                Err(mistake.help.into_iter().fold(error.help(mistake.label), LabError::help).into())
            }
            None => Ok(machine),
        }
    }

    /// The devices in an order of their own, so that the same options are the same guest.
    fn devices(&self) -> Result<Ordered<LabDevice>, LabError> {
        let mut devices = self.devices.clone();
        devices.sort_by(|one, other| (one.device.model, &one.name).cmp(&(other.device.model, &other.name)));
        if let Some(pair) = devices.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let model = pair[1].device.model.as_str();
            return Err(LabError::usage(format!(
                "failed to make the lab's machine: two devices are called `{}`",
                pair[0].name
            ))
            .help(format!(
                "give each a name for scenarios and reports: --device first={model} --device second={model}"
            )));
        }
        Ok(devices.into_iter().map(|Device { name, device }| (name, device)).collect())
    }

    /// The options that differ from their defaults, as the user gave them.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
        self.file.iter().for_each(|file| say("--lab", file.display().to_string()));
        let arch = self.arch.filter(|arch| self.file.is_some() || *arch != Arch::X86_64);
        arch.iter().for_each(|arch| say("--arch", arch.as_str().to_owned()));
        self.page_size.iter().for_each(|size| say("--page-size", size.to_string()));
        let iommu = self.iommu.filter(|iommu| self.file.is_some() || *iommu != IommuModel::Intel);
        iommu.iter().for_each(|iommu| say("--iommu", iommu.as_str().to_owned()));
        self.address_width.iter().for_each(|width| say("--address-width", width.to_string()));
        self.default_domain.iter().for_each(|domain| say("--default-domain", domain.as_str().to_owned()));
        self.lockdown.iter().for_each(|lockdown| say("--lockdown", lockdown.as_str().to_owned()));
        self.parameters.iter().for_each(|parameter| say("--parameter", parameter.0.clone()));
        let mut devices: Vec<String> = self.devices.iter().map(Device::to_string).collect();
        devices.sort_unstable();
        if self.file.is_some() || devices != [DeviceModel::Edu.as_str()] {
            devices.into_iter().for_each(|device| say("--device", device));
        }
        words
    }
}

/// `--parameter`: `vfio_iommu_type1.dma_entry_limit=2`.
#[derive(Debug, Clone)]
struct Parameter(String);

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Parameter, String> {
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match text.split_once('=').and_then(|(name, _)| name.split_once('.')) {
            Some((module, name)) if word(module) && word(name) => Ok(Parameter(text.to_owned())),
            _ => Err("expected MODULE.NAME=VALUE, such as vfio_iommu_type1.dma_entry_limit=2".to_owned()),
        }
    }
}

impl Parameter {
    fn set(&self, machine: &mut Machine) {
        let (name, value) = self.0.split_once('=').expect("it was read");
        let (module, name) = name.split_once('.').expect("it was read");
        let all = &mut machine.parameters.0;
        let at = all.iter().position(|(known, _)| known == module).unwrap_or_else(|| {
            all.push((module.to_owned(), Ordered::default()));
            all.len() - 1
        });
        let its = &mut all[at].1.0;
        its.retain(|(known, _)| known != name);
        its.push((name.to_owned(), Scalar::Text(value.to_owned())));
    }
}

/// `--device`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    name: String,
    device: LabDevice,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The other keys are for files only.
        let Device { name, device: LabDevice { model, place, rom, rom_data: _, ats: _ } } = self;
        if *name != model.in_scenarios() {
            write!(f, "{name}=")?;
        }
        f.write_str(model.as_str())?;
        place.iter().try_for_each(|place| write!(f, ",place={}", place.as_str()))?;
        rom.iter().try_for_each(|rom| write!(f, ",rom={rom}"))
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Device, String> {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, model) = first.split_once('=').map_or((None, first), |(name, model)| (Some(name), model));
        let mut device = LabDevice::of(word(model, "device of the lab")?);
        for part in parts {
            match part.split_once('=') {
                Some(("place", value)) => device.place = Some(word::<Place>(value, "place")?),
                Some(("rom", value)) => {
                    let size = value.parse::<Size>();
                    device.rom = Some(size.map_err(|_| format!("`{value}` is no size: expected one such as 64KiB"))?);
                }
                _ => return Err(format!("`{part}` is nothing to say of a device: expected place=PLACE or rom=SIZE")),
            }
        }
        let name = name.map_or_else(|| device.model.in_scenarios(), |name| name.replace('-', "_"));
        Ok(Device { name, device })
    }
}

/// One of a few words.
fn word<T: ValueEnum>(text: &str, what: &str) -> Result<T, String> {
    let known = || T::value_variants().iter().filter_map(T::to_possible_value);
    T::from_str(text, false).map_err(|_| {
        let known: Vec<PossibleValue> = known().collect();
        format!("`{text}` is no {what}: expected {}", join(known.iter().map(PossibleValue::get_name), "or"))
    })
}

/// Reads `--device`, and lists the models for `--help`.
#[derive(Clone)]
struct Devices;

impl TypedValueParser for Devices {
    type Value = Device;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Device, clap::Error> {
        let text = value.to_string_lossy();
        text.parse().map_err(|why: String| {
            let option = arg.map(Arg::to_string).unwrap_or_default();
            let message = format!("invalid value '{text}' for '{option}': {why}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(DeviceModel::value_variants().iter().filter_map(DeviceModel::to_possible_value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_model_with_what_is_special_about_it() {
        let device = |text: &str| text.parse::<Device>();
        for text in ["edu", "left=edu,place=bridge", "pci-testdev,place=root,rom=64KiB", "nic=igb,rom=2MiB"] {
            assert_eq!(device(text).unwrap().to_string(), text);
        }
        assert_eq!(device("pci-testdev").unwrap().name, "pci_testdev");
        for (text, why) in [
            ("ebu", "`ebu` is no device of the lab: expected `edu`, "),
            ("edu,place=bus", "`bus` is no place: expected `root`, `port`, `bridge`, `function` or `second-iommu`"),
            ("edu,rom=much", "`much` is no size"),
            ("edu,bus=3", "expected place=PLACE or rom=SIZE"),
            ("=edu,", "`` is nothing"),
        ] {
            assert!(device(text).unwrap_err().contains(why), "{text}: {:?}", device(text));
        }
    }

    #[test]
    fn parameters_are_added_to_those_of_the_file() {
        let mut machine = Machine::default();
        for text in ["vfio.a=1", "vfio.b=2", "iommufd.c=y", "vfio.a=3"] {
            text.parse::<Parameter>().unwrap().set(&mut machine);
        }
        assert_eq!(machine.parameters(), ["vfio.b=2", "vfio.a=3", "iommufd.c=y"]);
        assert!("dma_entry_limit=2".parse::<Parameter>().is_err());
    }
}
