// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine of the lab: what its guest is made of, in a file or on the command line.

use std::{collections::BTreeSet, ops::RangeInclusive};

use clap::ValueEnum;

use super::text::decode::salvage;
use super::{
    Diagnostic, Invalid, Name, Ordered, Path, Problems, Scalar, Size, Source, Target, expected_one_of, keys,
    schema::known_machine_schema, words,
};
use crate::model::code::Code;

/// What the name of a machine's file ends with. Such a file is no scenario.
pub const MACHINE: &str = ".lab.yaml";

keys! {
    /// A machine of the lab, for `--lab`: its IOMMU, its devices, and what its kernel is started with. What it leaves out is as in the lab
    /// without it. Its file is called `NAME.lab.yaml`.
    #[derive(Default, Eq)]
    pub struct Machine {
        /// What it is for, in a sentence.
        #[example("Two devices in one IOMMU group.")]
        pub summary: Option<String>,
        /// The architecture of its processors and kernel. The default is `x86-64`.
        pub arch: Option<Arch>,
        /// The size of the kernel's pages, which the IOMMU's smallest pages then have, too. The default is `4KiB`; `arm64` also has `64KiB`.
        #[example("64KiB")]
        pub page_size: Option<Size>,
        /// The IOMMU in front of the devices. The default is `intel`, and on `arm64` it is `smmuv3`.
        pub iommu: Option<IommuModel>,
        /// How many bits an IOVA has: 39 or 48 on `intel` and `intel-scalable`, 32 to 64 on `virtio`. The default is 48, on `virtio` 64. On the
        /// other IOMMUs QEMU has no choice: 64 on `amd`, 48 on `smmuv3` and `intel-first-stage`.
        #[example(39)]
        pub address_width: Option<Size>,
        /// What a device reaches that a driver of the kernel's own has. The default is `dma`.
        pub default_domain: Option<DefaultDomain>,
        /// What the kernel forbids even to root. The default is nothing.
        pub lockdown: Option<Lockdown>,
        /// Parameters of the kernel's modules: the module, the parameter, its value.
        #[example({ "vfio_iommu_type1": { "dma_entry_limit": 2 } })]
        pub parameters: Ordered<Ordered<Scalar>> = empty,
        /// The devices, each by the name that scenarios and reports know it by. The default is an `edu` of this name.
        #[example({ "left": { "model": "edu", "place": "bridge" }, "right": { "model": "edu", "place": "bridge" } })]
        pub devices: Ordered<LabDevice> = empty,
    }
}

keys! {
    /// A device of the lab.
    #[derive(Eq)]
    pub struct LabDevice {
        /// What it is.
        pub model: DeviceModel,
        /// Where it is: this decides on its IOMMU group, and on what is reset together with it. The default is `root`.
        pub place: Option<Place>,
        /// The size of its expansion ROM: a power of two of 2KiB to 16MiB. The default is the ROM that QEMU gives it, which most have not.
        #[example("64KiB")]
        pub rom: Option<Size>,
        /// Where the header of this ROM says that its data begin, less than 64KiB. The default is behind the header, as it should be.
        #[example("0x8000")]
        pub rom_data: Option<Size>,
        /// Whether VT-d hands translations out to it (ATS), which only virtio-net can use. The default is false.
        #[example(true)]
        pub ats: bool = empty,
    }
}

words! {
    /// A device that QEMU emulates.
    #[derive(Hash, PartialOrd, Ord, ValueEnum)]
    pub enum DeviceModel {
        /// QEMU's teaching device: real DMA through registers, MSI
        Edu = "edu",
        /// a 2 GiB 64-bit BAR
        PciTestdev = "pci-testdev",
        /// shared memory: a BAR with RAM behind it
        Ivshmem = "ivshmem",
        /// Intel 82576: MSI-X, FLR, SR-IOV (QEMU 8.0 or later)
        Igb = "igb",
        /// an NVMe controller with an empty disk: MSI-X, FLR
        Nvme = "nvme",
        /// Intel 82574: MSI-X
        E1000e = "e1000e",
        /// virtio's network card, behind the IOMMU, on a network that sends each frame back: MSI-X
        VirtioNet = "virtio-net",
        /// a device for tests of IOMMUs, which writes by DMA and says whether it could (QEMU 11 or later)
        IommuTestdev = "iommu-testdev",
        /// a VGA card: memory of 16 MiB
        Vga = "vga",
    }
}

words! {
    /// The architecture of a guest.
    #[derive(Hash, ValueEnum)]
    pub enum Arch {
        /// QEMU's q35
        X86_64 = "x86-64",
        /// QEMU's virt, always emulated: the kernel and this program are cross-built
        Arm64 = "arm64",
    }
}

words! {
    /// The IOMMU that QEMU emulates.
    #[derive(Hash, ValueEnum)]
    pub enum IommuModel {
        /// VT-d in legacy mode: second-stage tables, 4K 2M 1G
        Intel = "intel",
        /// VT-d in scalable mode: PASID tables, second stage
        IntelScalable = "intel-scalable",
        /// VT-d in scalable mode with first-stage tables
        IntelFirstStage = "intel-first-stage",
        /// AMD's IOMMU: pages of every power of two, IOVAs of 64 bits (QEMU 10.2 or later)
        Amd = "amd",
        /// virtio-iommu: ranges without page sizes, no interrupt remapping
        Virtio = "virtio",
        /// Arm's SMMUv3, the one of arm64: first-stage tables, 4K 2M 1G
        Smmuv3 = "smmuv3",
        /// no IOMMU: only cases run that open no device, or do so by themselves (`fixture: none`), which needs the parameter
        /// `vfio.enable_unsafe_noiommu_mode`
        None = "none",
    }
}

words! {
    /// Where a device of the lab is.
    #[derive(Hash, PartialOrd, Ord, ValueEnum)]
    pub enum Place {
        /// on the root bus: a group of its own, and no reset of the bus
        Root = "root",
        /// behind a root port of its own: a group of its own, and a hot reset (all but pci-testdev)
        Port = "port",
        /// with all others of this place behind one PCIe-to-PCI bridge: one group, and one hot reset (edu, ivshmem, iommu-testdev)
        Bridge = "bridge",
        /// with all others of this place a function of one device behind a root port, without ACS: one group, and one hot reset (all but igb and pci-testdev)
        Function = "function",
        /// behind a root port, like `port`, of a second host bridge with an IOMMU of its own, which only SMMUv3 can have in QEMU (QEMU 10.1 or later)
        SecondIommu = "second-iommu",
    }
}

words! {
    /// What the devices of the kernel's own drivers reach.
    #[derive(Hash, ValueEnum)]
    pub enum DefaultDomain {
        /// what the driver maps for them
        Dma = "dma",
        /// all of the machine's memory (`iommu.passthrough=1` on the kernel's command line)
        Identity = "identity",
    }
}

words! {
    /// What a kernel that is locked down forbids even to root.
    #[derive(Hash, ValueEnum)]
    pub enum Lockdown {
        /// what would change the running kernel, such as /dev/mem
        Integrity = "integrity",
        /// besides, what would show the kernel's memory, such as /proc/kcore
        Confidentiality = "confidentiality",
    }
}

const SMALL_PAGES: Size = Size(4 << 10);
/// Pages that a kernel has only if it is built for them.
pub const LARGE_PAGES: Size = Size(64 << 10);

/// How many devices fit into a place. On the root bus each model has a slot of its own beside these, for its first device.
const ROOM: [(Place, usize); 5] =
    [(Place::Root, 4), (Place::Port, 8), (Place::Bridge, 8), (Place::Function, 8), (Place::SecondIommu, 8)];

/// What scenarios call no single device.
pub(super) const NOT_ONE: [&str; 3] = ["any", "all", "virtual_function"];

impl DeviceModel {
    /// As scenarios can write it.
    pub fn in_scenarios(self) -> String {
        self.as_str().replace('-', "_")
    }

    /// The places that it can take. A PCI Express device cannot stand behind the conventional PCI bridge, an igb uses ARI and so shares its
    /// slot with no other function, and only on the root bus does the firmware always find room for a BAR of 2 GiB.
    fn places(self) -> &'static [Place] {
        use Place::{Bridge, Function, Port, Root, SecondIommu};
        match self {
            Self::Edu | Self::Ivshmem | Self::IommuTestdev => &[Root, Port, Bridge, Function, SecondIommu],
            Self::Nvme | Self::E1000e | Self::VirtioNet => &[Root, Port, Function, SecondIommu],
            Self::Igb => &[Root, Port, SecondIommu],
            Self::PciTestdev => &[Root],
            Self::Vga => &[Root, Port, Bridge],
        }
    }
}

impl Arch {
    /// The IOMMUs that its machine can have, the usual one first.
    fn iommus(self) -> &'static [IommuModel] {
        use IommuModel::{Amd, Intel, IntelFirstStage, IntelScalable, None, Smmuv3, Virtio};
        match self {
            Self::X86_64 => &[Intel, IntelScalable, IntelFirstStage, Amd, Virtio, None],
            Self::Arm64 => &[Smmuv3, None],
        }
    }
}

impl Arch {
    /// The sizes of pages that its kernels can have in the lab.
    fn page_sizes(self) -> &'static [Size] {
        match self {
            Self::X86_64 => &[SMALL_PAGES],
            Self::Arm64 => &[SMALL_PAGES, LARGE_PAGES],
        }
    }
}

/// How many bits the IOVAs of an IOMMU can have.
enum Widths {
    None,
    Always(u64),
    Of(&'static [u64]),
    Between(RangeInclusive<u64>),
}

impl Widths {
    /// What is wrong with one of an IOMMU that has these, and what is expected.
    fn mistake(&self, iommu: IommuModel, width: Size) -> Option<(String, String)> {
        let name = iommu.as_str();
        let other = "expected another `iommu`".to_owned();
        let expected = match self {
            Widths::None => return Some(("`address_width` without an IOMMU".to_owned(), other)),
            Widths::Always(bits) => {
                return Some((
                    format!("`address_width` with `{name}`, whose IOVAs have {bits} bits in every QEMU"),
                    other,
                ));
            }
            Widths::Of(some) if some.contains(&width.0) => return None,
            Widths::Of(some) => some.iter().map(u64::to_string).collect::<Vec<_>>().join(" or "),
            Widths::Between(range) if range.contains(&width.0) => return None,
            Widths::Between(range) => format!("{} to {}", range.start(), range.end()),
        };
        Some((format!("QEMU's `{name}` has no IOVAs of {width} bits"), format!("expected {expected}")))
    }
}

impl IommuModel {
    /// What QEMU 11.1 offers: `aw-bits` of intel-iommu and virtio-iommu. amd-iommu has no such property; `oas` of arm-smmuv3 is for an SMMUv3
    /// of the host's (`accel=on`), and says how wide the addresses are that come out.
    fn widths(self) -> Widths {
        match self {
            Self::Intel | Self::IntelScalable => Widths::Of(&[39, 48]),
            Self::IntelFirstStage => Widths::Of(&[48]),
            Self::Virtio => Widths::Between(32..=64),
            Self::Amd => Widths::Always(64),
            Self::Smmuv3 => Widths::Always(48),
            Self::None => Widths::None,
        }
    }
}

impl LabDevice {
    /// A device of this model with nothing special.
    pub fn of(model: DeviceModel) -> LabDevice {
        LabDevice { model, place: None, rom: None, rom_data: None, ats: false }
    }
}

impl Machine {
    /// Reads and checks a machine.
    pub fn read(source: Source) -> Result<Machine, Invalid> {
        let mut problems = Problems::new();
        let salvaged = match source.tree() {
            Ok(node) => salvage::<Machine>(node, known_machine_schema, &[], &mut problems),
            Err(problem) => return Err(Invalid { diagnostics: vec![problem.clone()], source }),
        };
        let machine = salvaged.map(|(machine, wounds)| {
            problems.extend(machine.mistakes().into_iter().filter(|problem| !wounds.explain(problem)));
            machine
        });
        match machine.filter(|_| problems.is_empty()) {
            Some(machine) => Ok(machine),
            None => Err(Invalid { source, diagnostics: problems.into_vec() }),
        }
    }

    /// The architecture.
    pub fn arch(&self) -> Arch {
        self.arch.unwrap_or(Arch::X86_64)
    }

    /// The IOMMU.
    pub fn iommu(&self) -> IommuModel {
        self.iommu.unwrap_or(self.arch().iommus()[0])
    }

    /// The devices with their names; an edu if it says none.
    pub fn devices(&self) -> Vec<(String, LabDevice)> {
        match self.devices.is_empty() {
            true => vec![(DeviceModel::Edu.in_scenarios(), LabDevice::of(DeviceModel::Edu))],
            false => self.devices.0.clone(),
        }
    }

    /// The parameters as they stand on the kernel's command line, such as `vfio_iommu_type1.dma_entry_limit=2`.
    pub fn parameters(&self) -> Vec<String> {
        let all = self.parameters.iter();
        all.flat_map(|(module, its)| its.iter().map(move |(name, value)| format!("{module}.{name}={value}"))).collect()
    }

    /// Whether a device uses ATS.
    pub fn ats(&self) -> bool {
        self.devices.iter().any(|(_, device)| device.ats)
    }

    /// Whether a second IOMMU is in front of some of the devices.
    pub fn has_second_iommu(&self) -> bool {
        self.devices.iter().any(|(_, device)| device.place == Some(Place::SecondIommu))
    }

    /// What it says beside the architecture, the IOMMU and the devices, as options of the command line and their values.
    pub fn words(&self) -> Vec<String> {
        let page_size = self.page_size.map(|size| ("--page-size", size.to_string()));
        let width = self.address_width.map(|width| ("--address-width", width.to_string()));
        let domain = self.default_domain.map(|domain| ("--default-domain", domain.as_str().to_owned()));
        let lockdown = self.lockdown.map(|lockdown| ("--lockdown", lockdown.as_str().to_owned()));
        let parameters = self.parameters().into_iter().map(|parameter| ("--parameter", parameter));
        page_size
            .into_iter()
            .chain(width)
            .chain(domain)
            .chain(lockdown)
            .chain(parameters)
            .flat_map(|(option, value)| [option.to_owned(), value])
            .collect()
    }

    /// What is wrong with a machine that reads well.
    pub fn mistakes(&self) -> Vec<Diagnostic> {
        let root = Path::root();
        let wrong = |at: &Path, title: String| Diagnostic::error(Code::InvalidMachine, at.clone(), title);
        let mut mistakes = Vec::new();
        let (arch, iommu) = (self.arch(), self.iommu());
        if !arch.iommus().contains(&iommu) {
            let title = format!("{} has no IOMMU `{}` in the lab", arch.as_str(), iommu.as_str());
            let has = arch.iommus().iter().map(|iommu| iommu.as_str());
            mistakes.push(wrong(&root.join("iommu"), title).label(expected_one_of(has)));
        }
        if let Some(size) = self.page_size.filter(|size| !arch.page_sizes().contains(size)) {
            let sizes: Vec<String> = arch.page_sizes().iter().map(Size::to_string).collect();
            let title = format!("{} has no kernel with pages of {size} in the lab", arch.as_str());
            mistakes
                .push(wrong(&root.join("page_size"), title).label(expected_one_of(sizes.iter().map(String::as_str))));
        }
        if let Some((title, label)) = self.address_width.and_then(|width| iommu.widths().mistake(iommu, width)) {
            mistakes.push(wrong(&root.join("address_width"), title).label(label));
        }
        for (module, its) in self.parameters.iter() {
            let at = root.join("parameters").join(module);
            for (name, value) in its.iter() {
                let text = value.to_string();
                if text.is_empty() || text.contains(|c: char| !c.is_ascii_graphic() || c == '"') {
                    let title = format!("`{text}` is no value for the kernel's command line");
                    mistakes.push(wrong(&at.join(name), title).label("expected text without spaces and quotes"));
                }
            }
        }
        let at = root.join("devices");
        for (name, device) in self.devices.iter() {
            mistakes.extend(device.mistake(name, &at.join(name)));
        }
        let has_ats = match self.iommu() {
            IommuModel::Intel | IommuModel::IntelScalable | IommuModel::IntelFirstStage => true,
            IommuModel::Amd | IommuModel::Virtio | IommuModel::Smmuv3 | IommuModel::None => false,
        };
        if let Some((name, _)) = self.devices.iter().find(|(_, device)| device.ats && !has_ats) {
            let title = format!("the lab's IOMMU `{}` hands out no translations", self.iommu().as_str());
            mistakes.push(wrong(&at.join(name).join("ats"), title).label("expected another `iommu`"));
        }
        if iommu == IommuModel::Virtio
            && let Some((name, _)) = self.devices.iter().find(|(_, device)| device.place == Some(Place::Bridge))
        {
            // QEMU's VIOT table and Linux have no endpoint for it.
            let title = "virtio-iommu does not translate for devices behind the bridge".to_owned();
            mistakes.push(wrong(&at.join(name).join("place"), title).label("expected `function`, or another `iommu`"));
        }
        let second = self.devices.iter().find(|(_, device)| device.place == Some(Place::SecondIommu));
        if let Some((name, _)) = second.filter(|_| iommu != IommuModel::Smmuv3) {
            let title = match iommu == IommuModel::None {
                true => "there is no second IOMMU without a first".to_owned(),
                false => format!("QEMU has only one `{}` in a machine", iommu.as_str()),
            };
            let label = "expected another `place`, or `arch: arm64`, which can have two SMMUv3";
            mistakes.push(wrong(&at.join(name).join("place"), title).label(label));
        }
        for (place, room) in ROOM {
            let mut firsts = BTreeSet::new();
            let mut here = self.devices.iter().filter(|(_, device)| {
                device.place.unwrap_or(Place::Root) == place && (place != Place::Root || !firsts.insert(device.model))
            });
            if let Some((name, _)) = here.nth(room) {
                let title = match place {
                    Place::Root => {
                        format!("more than {room} devices at the place `root` beside the first of each model")
                    }
                    _ => format!("more than {room} devices at the place `{}`", place.as_str()),
                };
                mistakes.push(wrong(&at.join(name), title).label("expected another `place`"));
            }
        }
        mistakes
    }
}

impl LabDevice {
    /// What is wrong with it.
    pub fn mistake(&self, name: &str, at: &Path) -> Option<Diagnostic> {
        let wrong = |at: Path, title: String| Diagnostic::error(Code::InvalidMachine, at, title);
        if NOT_ONE.contains(&name) || !Name::is_valid(name) {
            let title = format!("a device cannot be called `{name}`");
            return Some(
                wrong(at.clone(), title).at(Target::Key).label("expected a name that means nothing else in scenarios"),
            );
        }
        if let Some(place) = self.place.filter(|place| !self.model.places().contains(place)) {
            let title = format!("{} does not fit at the place `{}`", self.model.as_str(), place.as_str());
            let fits = self.model.places().iter().map(|place| place.as_str());
            return Some(wrong(at.join("place"), title).label(expected_one_of(fits)));
        }
        if self.ats && self.model != DeviceModel::VirtioNet {
            let title = format!("{} has no ATS", self.model.as_str());
            return Some(wrong(at.join("ats"), title).label("expected virtio-net as `model`"));
        }
        if let Some(data) = self.rom_data.filter(|data| self.rom.is_none() || data.0 > u64::from(u16::MAX)) {
            let title = format!("the data of a ROM cannot begin at {data}");
            return Some(wrong(at.join("rom_data"), title).label("expected less than 64KiB, and a `rom`"));
        }
        let rom = self.rom.filter(|rom| !rom.0.is_power_of_two() || !((2 << 10)..=(16 << 20)).contains(&rom.0))?;
        let title = format!("a ROM cannot have {rom}");
        Some(wrong(at.join("rom"), title).label("expected a power of two of 2KiB to 16MiB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Machine, String> {
        Machine::read(Source::new("a.lab.yaml", text)).map_err(|invalid| invalid.render(false))
    }

    #[test]
    fn the_names_are_those_of_the_command_line() {
        fn check<T: ValueEnum>(name: fn(T) -> &'static str) {
            for value in T::value_variants() {
                let told = value.to_possible_value().expect("all can be given");
                assert_eq!(told.get_name(), name(value.clone()));
            }
        }
        check(DeviceModel::as_str);
        check(IommuModel::as_str);
        check(Arch::as_str);
        check(Place::as_str);
        check(DefaultDomain::as_str);
        check(Lockdown::as_str);
    }

    #[test]
    fn a_machine_is_the_default_one_where_it_says_nothing() {
        let machine = read("summary: As ever.\n").unwrap();
        assert_eq!(machine.iommu(), IommuModel::Intel);
        assert_eq!(machine.devices(), [("edu".to_owned(), LabDevice::of(DeviceModel::Edu))]);
        let machine = read("parameters: { a: { b: 2, c: 'on' }, d: { e: true } }\n").unwrap();
        assert_eq!(machine.parameters(), ["a.b=2", "a.c=on", "d.e=true"]);
        let machine = read("arch: arm64\n").unwrap();
        assert_eq!((machine.arch(), machine.iommu()), (Arch::Arm64, IommuModel::Smmuv3));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        for (text, told) in [
            ("address_width: 40\n", "QEMU's `intel` has no IOVAs of 40 bits"),
            ("address_width: 39\niommu: intel-first-stage\n", "QEMU's `intel-first-stage` has no IOVAs of 39 bits"),
            ("address_width: 65\niommu: virtio\n", "expected 32 to 64"),
            ("address_width: 48\niommu: amd\n", "`address_width` with `amd`, whose IOVAs have 64 bits in every QEMU"),
            ("address_width: 39\niommu: none\n", "`address_width` without an IOMMU"),
            ("arch: arm64\niommu: amd\n", "arm64 has no IOMMU `amd` in the lab"),
            ("iommu: smmuv3\n", "x86-64 has no IOMMU `smmuv3` in the lab"),
            ("page_size: 64KiB\n", "x86-64 has no kernel with pages of 64KiB in the lab"),
            ("arch: arm64\naddress_width: 39\n", "`address_width` with `smmuv3`"),
            ("devices: { any: { model: edu } }\n", "a device cannot be called `any`"),
            ("devices: { nic: { model: igb, place: bridge } }\n", "igb does not fit at the place `bridge`"),
            (
                "iommu: virtio\ndevices: { a: { model: edu, place: bridge } }\n",
                "virtio-iommu does not translate for devices behind the bridge",
            ),
            ("devices: { a: { model: edu, place: second-iommu } }\n", "QEMU has only one `intel` in a machine"),
            (
                "iommu: none\ndevices: { a: { model: edu, place: second-iommu } }\n",
                "there is no second IOMMU without a first",
            ),
            ("devices: { nic: { model: igb, rom: 3KiB } }\n", "a ROM cannot have 3KiB"),
            (
                "devices: { nic: { model: igb, rom: 2KiB, rom_data: 64KiB } }\n",
                "the data of a ROM cannot begin at 64KiB",
            ),
            ("devices: { nic: { model: igb, rom_data: 1KiB } }\n", "the data of a ROM cannot begin at 1KiB"),
            ("devices: { nic: { model: igb, ats: true } }\n", "igb has no ATS"),
            ("iommu: amd\ndevices: { nic: { model: virtio-net, ats: true } }\n", "`amd` hands out no translations"),
            ("devices: { nic: { model: ibg } }\n", "`ibg`"),
            ("devices: { nic: { modl: igb } }\n", "`modl`"),
            ("parameters: { vfio: { a: b c } }\n", "`b c` is no value"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(told), "{said}");
        }
        let nine: String = (0..9).map(|n| format!("  e{n}: {{ model: edu, place: port }}\n")).collect();
        assert!(read(&format!("devices:\n{nine}")).unwrap_err().contains("more than 8 devices at the place `port`"));
    }
}
