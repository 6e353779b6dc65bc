// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU: which version is here, and the command line for a lab.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::protocol::{PORT_NAME, TOLD_TAG};
use super::{error::LabError, layout, options::Options, version::Version};
use crate::host::{facts::LAB_MARK, page_table::virtio};
use crate::language::{DefaultDomain, IommuModel};
use crate::{model::Exit, sanitize};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Kvm,
    Tcg,
}

impl Engine {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// The first version that emulates an x2APIC.
const X2APIC: &str = "9.0";

fn since(version: &str) -> Version {
    version.parse().expect("a constant is a version")
}

/// The QEMU that runs the guests.
#[derive(Debug, Clone)]
pub(super) struct Qemu {
    pub program: PathBuf,
    pub version: Version,
}

impl Qemu {
    pub fn ask(program: PathBuf) -> Result<Self, LabError> {
        let output = Command::new(&program).arg("--version").output();
        let output =
            output.map_err(|error| LabError::new(format!("failed to start {}: {error}", program.display())))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors =
            String::from_utf8_lossy(&output.stderr).trim().lines().map(|line| format!("\n{line}")).collect::<String>();
        match parse_version(&text) {
            Some(version) => Ok(Self { program, version }),
            None => Err(LabError::new(format!("failed to read the version of {}", program.display()))
                .detail(format!("expected `QEMU emulator version 11.1.3`, read `{}`{errors}", text.trim()))
                .help("check that this is QEMU's own program")),
        }
    }
}

/// The program that the user names.
pub(super) fn own(path: &Path) -> Result<PathBuf, LabError> {
    path.canonicalize()
        .map_err(|error| LabError { exit: Exit::Usage, ..LabError::io("find QEMU's program", path, &error) })
}

fn parse_version(text: &str) -> Option<Version> {
    text.split_once("version ")?.1.split([' ', '\n']).next()?.parse().ok()
}

/// Fails if this QEMU cannot emulate what the options ask for.
pub(super) fn check(options: &Options, version: &Version) -> Result<(), LabError> {
    // Earlier ones describe no virtio-iommu in ACPI.
    let lab = ("the lab itself".to_owned(), "7.0");
    let machine = &options.machine;
    let iommu = machine.iommu().since().map(|since| (format!("the IOMMU {}", machine.iommu().as_str()), since));
    let devices = machine.devices().into_iter().map(|(_, device)| device.model);
    let devices = devices.filter_map(|it| Some((format!("the device {}", it.as_str()), it.since()?)));
    let second = machine.has_second_iommu().then(|| ("a second IOMMU".to_owned(), "10.1"));
    for (what, first) in [lab].into_iter().chain(iommu).chain(devices).chain(second) {
        let since = since(first);
        if *version < since {
            return Err(LabError::usage(format!(
                "failed to emulate {what} with QEMU {version}: it needs {since} or later"
            ))
            .help(format!("leave out --qemu, or name QEMU {since} or later with it")));
        }
    }
    Ok(())
}

/// Fails when the machine has less memory available, in bytes, than that many guests are to have.
pub(super) fn check_memory(options: &Options, guests: usize, available: Option<u64>) -> Result<(), LabError> {
    let each = options.memory_mib;
    let needed = u64::from(each).saturating_mul(guests as u64);
    let Some(mib) = available.map(|bytes| bytes >> 20).filter(|mib| *mib < needed) else { return Ok(()) };
    Err(if guests == 1 {
        LabError::new(format!("failed to give the guest {each} MiB: {mib} MiB are available here"))
            .help("close other programs: the guest needs that much, for a page of 1 GiB among others")
    } else {
        LabError::new(format!("failed to give {guests} guests {each} MiB each: {mib} MiB are available here"))
            .help("name fewer guests with --guests, or close other programs")
    })
}

#[derive(Debug)]
pub(super) struct Files<'a> {
    pub image: &'a Path,
    pub initramfs: &'a Path,
    /// Where the devices' ROMs are.
    pub folder: &'a Path,
    /// Where the console goes; `None` puts it on the terminal.
    pub console: Option<&'a Path>,
    /// The socket at which the console can be had, too.
    pub socket: Option<&'a Path>,
    /// See [`Job`](super::Job).
    pub crowded: bool,
}

/// QEMU's arguments. With a console file, the journal's port is QEMU's standard output.
pub(super) fn arguments(options: &Options, engine: Engine, version: &Version, files: &Files<'_>) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut add = |words: &str| arguments.extend(words.split(' ').map(str::to_owned));
    let arch = options.machine.arch().row();
    add(arch.machine);
    add("-nodefaults -no-user-config -display none -no-reboot");
    let x2apic = options.machine.iommu().remaps() && *version >= since(X2APIC);
    let at_once = (x2apic || !arch.needs_x2apic) && !files.crowded;
    match engine {
        Engine::Kvm => add("-accel kvm -cpu host"),
        Engine::Tcg => {
            add(&format!("-accel tcg,thread={} -cpu {}", if at_once { "multi" } else { "single" }, arch.cpu))
        }
    }
    add(&format!("-m {}M -smp {}", options.memory_mib, options.cpus));
    // First on the command line: devices before it would escape it.
    let mut iommu = match options.machine.has_second_iommu() {
        true => format!("{} -dtb {}", IommuModel::FIRST_OF_TWO, tree_file(files.folder).display()),
        false => options.machine.iommu().arguments(engine == Engine::Tcg && x2apic),
    };
    if options.machine.ats() {
        iommu += ",device-iotlb=on";
    }
    if !options.host_devices.is_empty() {
        iommu += options.machine.iommu().tells_of_new_mappings();
    }
    match options.machine.address_width {
        Some(width) => add(&format!("{iommu},aw-bits={}", width.0)),
        None if !iommu.is_empty() => add(&iommu),
        None => {}
    }
    match files.console {
        Some(_) => {
            // Without ioeventfd a write of the guest is in the host's pipe before the guest goes on.
            add("-device virtio-serial-pci,addr=02.0,ioeventfd=off");
            // Not `stdio`: with nothing to read there it counts as disconnected, and the guest's writes wait for ever.
            add("-chardev file,id=journal,path=/proc/self/fd/1");
            add(&format!("-device virtserialport,chardev=journal,name={PORT_NAME}"));
        }
        None => add("-serial mon:stdio"),
    }
    if options.machine.iommu() == IommuModel::Virtio {
        arguments.extend(told(files.folder));
    }
    arguments.extend(layout::arguments(&options.machine, &options.host_devices, files.folder));
    match (files.console, files.socket) {
        (Some(console), Some(socket)) => {
            // While nobody is connected, what the guest writes goes into the file only.
            let socket = format!("socket,id=console,path={},server=on,wait=off", socket.display());
            let file = format!("logfile={}", console.display());
            arguments.extend(["-chardev".into(), format!("{socket},{file}")]);
            arguments.extend(["-serial", "chardev:console"].map(str::to_owned));
        }
        (Some(console), None) => arguments.extend(["-serial".into(), format!("file:{}", console.display())]),
        (None, _) => {}
    }
    arguments.extend(["-kernel".into(), files.image.display().to_string()]);
    arguments.extend(["-initrd".into(), files.initramfs.display().to_string()]);
    arguments.extend(["-append".into(), kernel_command_line(options)]);
    arguments
}

/// Where the device tree of a machine with two IOMMUs is.
pub(super) fn tree_file(folder: &Path) -> PathBuf {
    folder.join("tree.dtb")
}

/// QEMU's device tree for the machine as it is before a second IOMMU and its devices.
pub(super) fn tree(qemu: &Qemu, options: &Options, engine: Engine, folder: &Path) -> Result<Vec<u8>, LabError> {
    let file = folder.join("qemu.dtb");
    let arch = options.machine.arch().row();
    let cpu = match engine {
        Engine::Kvm => "-accel kvm -cpu host".to_owned(),
        Engine::Tcg => format!("-accel tcg -cpu {}", arch.cpu),
    };
    let mut command = Command::new(&qemu.program);
    for words in [arch.machine, "-nodefaults -no-user-config -display none", &cpu, IommuModel::FIRST_OF_TWO] {
        command.args(words.split(' '));
    }
    command.args(["-m", &format!("{}M", options.memory_mib), "-smp", &options.cpus.to_string()]);
    command.args(["-machine", &format!("dumpdtb={}", file.display())]);
    let failed = |detail: String| LabError::new("failed to get QEMU's device tree").detail(detail);
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    std::fs::read(&file).map_err(|_| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// The folder of the file with what virtio-iommu was told.
pub(super) fn told_folder(folder: &Path) -> PathBuf {
    folder.join("told")
}

/// QEMU's arguments to write down what virtio-iommu is told, and to show it to the guest.
fn told(folder: &Path) -> Vec<String> {
    let folder = told_folder(folder).display().to_string();
    let events = virtio::EVENTS.into_iter().flat_map(|event| ["-trace", event]);
    let mut arguments: Vec<String> = events.map(str::to_owned).collect();
    arguments.extend(["-D".to_owned(), format!("{folder}/log")]);
    let share = format!("local,id=told,path={folder},security_model=none,readonly=on");
    let device = format!("virtio-9p-pci,fsdev=told,mount_tag={TOLD_TAG},addr=1d.0");
    arguments.extend(["-fsdev".to_owned(), share, "-device".to_owned(), device]);
    arguments
}

fn kernel_command_line(options: &Options) -> String {
    let machine = &options.machine;
    let arch = machine.arch().row();
    let iommu = machine.iommu().kernel_parameters(machine.arch());
    let domain = match machine.default_domain {
        Some(DefaultDomain::Identity) => Some("iommu.passthrough=1".to_owned()),
        Some(DefaultDomain::Dma) => Some("iommu.passthrough=0".to_owned()),
        None => None,
    };
    // What the kernel has only where it is switched on.
    // Without checks of its own SLUB leaves the address of an object in the list of free ones that it was taken from (`alloc_from_pcs` in
    // mm/slub.c, since Linux 6.18), where kmemleak finds it, and takes what is lost for used.
    let lists = options.debug.then(|| "slab_debug=F".to_owned());
    // AMD's IOVAs reach to the end of 64 bits, where `__iommu_debug_update_iova` in
    // drivers/iommu/iommu-debug-pagealloc.c overflows: a page that was mapped there counts as mapped for ever, and each later use of it warns.
    let counts_pages = options.debug && machine.iommu() != IommuModel::Amd;
    let debug = counts_pages.then(|| "iommu.debug_pagealloc=1".to_owned());
    // printk.devkmsg=on: the marks between cases are not to be rate-limited.
    // loglevel=5: warnings with their traces are on the console, for the case that the guest dies of them.
    let words = format!(
        "console={} loglevel=5 panic=-1 {} printk.devkmsg=on default_hugepagesz=2M hugepagesz=2M hugepages=64 \
         hugepagesz=1G hugepages=1 vfio_pci.enable_sriov=1 {LAB_MARK} {iommu}",
        arch.console, arch.kernel_parameters
    );
    // Last, so that they count.
    let lockdown = machine.lockdown.map(|lockdown| format!("lockdown={}", lockdown.as_str()));
    let more = debug.into_iter().chain(lists).chain(domain).chain(lockdown).chain(machine.parameters());
    words.split_whitespace().map(str::to_owned).chain(more).collect::<Vec<_>>().join(" ")
}

/// The command as one line that a person can run again.
pub(super) fn as_line(program: &Path, arguments: &[String]) -> String {
    [&*program.to_string_lossy()]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .map(sanitize::word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A folder for QEMU's files cannot have commas: they separate its options.
pub(super) fn usable(folder: &Path) -> Result<PathBuf, LabError> {
    if folder.to_string_lossy().contains(',') {
        return Err(LabError::usage(format!(
            "failed to use the folder {}: QEMU's options end at commas",
            folder.display()
        ))
        .help("name another folder with VFIOSPEC_CACHE"));
    }
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Arch, DeviceModel, IommuModel, LabDevice, Lockdown, Machine, Scalar, Size};

    fn line(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::new("/c".into());
        change(&mut options);
        let path = Path::new("/c/x");
        let files =
            Files { image: path, initramfs: path, folder: path, console: Some(path), socket: None, crowded: false };
        as_line(Path::new("qemu"), &arguments(&options, Engine::Tcg, &since("8.2.2"), &files))
    }

    #[test]
    fn processors_run_at_once_where_interrupts_end_by_msr_and_there_are_enough() {
        let line = |engine, version, iommu, crowded| {
            let machine = Machine { iommu: Some(iommu), ..Machine::default() };
            let options = Options { machine, ..Options::new("/c".into()) };
            let path = Path::new("/c/x");
            as_line(
                Path::new("qemu"),
                &arguments(
                    &options,
                    engine,
                    &since(version),
                    &Files { image: path, initramfs: path, folder: path, console: Some(path), socket: None, crowded },
                ),
            )
        };
        use IommuModel::{Amd, Intel, Virtio};
        for (engine, version, iommu, crowded, eim, thread) in [
            (Engine::Tcg, "10.0.2", Intel, false, true, "tcg,thread=multi"),
            (Engine::Tcg, "10.0.2", Intel, true, true, "tcg,thread=single"),
            (Engine::Tcg, "8.2.2", Intel, false, false, "tcg,thread=single"),
            (Engine::Tcg, "10.0.2", Virtio, false, false, "tcg,thread=single"),
            (Engine::Kvm, "10.0.2", Intel, true, false, "kvm"),
            (Engine::Tcg, "11.1.3", Amd, false, false, "tcg,thread=multi"),
        ] {
            let line = line(engine, version, iommu, crowded);
            assert_eq!(line.contains(",eim=on"), eim, "{line}");
            assert!(line.contains(&format!("-accel {thread} ")), "{line}");
        }
    }

    #[test]
    fn the_iommu_comes_before_every_device() {
        use IommuModel::{Amd, Intel, IntelFirstStage, IntelScalable, None, Virtio};
        let cases = [
            (Intel, "-device intel-iommu,intremap=on -device virtio-serial", "intel_iommu=on'"),
            (IntelScalable, "-device intel-iommu,intremap=on,scalable-mode=on -device", "intel_iommu=on,sm_on'"),
            (IntelFirstStage, ",scalable-mode=on,fsts=on -device", "intel_iommu=on,sm_on'"),
            (Amd, "-device amd-iommu,intremap=on,dma-remap=on -device", "iommufd.allow_unsafe_interrupts=1'"),
            (Virtio, "-device virtio-iommu-pci,addr=01.0 -device", "iommufd.allow_unsafe_interrupts=1'"),
            (Virtio, "-trace virtio_iommu_map ", "iommufd.allow_unsafe_interrupts=1'"),
            (None, "-smp 2 -device virtio-serial", "intel_iommu=off'"),
        ];
        for (iommu, device, parameter) in cases {
            let line = line(|options| options.machine.iommu = Some(iommu));
            assert!(line.contains(device) && line.ends_with(parameter), "{line}");
        }
    }

    #[test]
    fn arm_has_a_machine_of_its_own() {
        let arm =
            |iommu| line(|options| options.machine = Machine { arch: Some(Arch::Arm64), iommu, ..Machine::default() });
        let smmu = arm(None);
        assert!(smmu.starts_with("qemu -machine virt,gic-version=3 -nodefaults "), "{smmu}");
        assert!(
            smmu.contains(" -accel tcg,thread=multi -cpu max,pauth-impdef=on ") && !smmu.contains("ICH9"),
            "{smmu}"
        );
        assert!(smmu.contains(" -machine iommu=smmuv3 -device virtio-serial"), "{smmu}");
        assert!(
            smmu.contains("'console=ttyAMA0 loglevel=5 panic=-1 printk.devkmsg=on ")
                && smmu.ends_with(" iomem=relaxed'"),
            "{smmu}"
        );
        assert!(!arm(Some(IommuModel::None)).contains("iommu"));
    }

    #[test]
    fn what_the_machine_says_of_its_iommu_and_kernel_is_on_the_line() {
        let line = line(|options| {
            options.machine.address_width = Some(Size(39));
            options.machine.default_domain = Some(DefaultDomain::Identity);
            options.machine.lockdown = Some(Lockdown::Integrity);
            let limit = [("dma_entry_limit".to_owned(), Scalar::Integer(2))];
            options.machine.parameters =
                [("vfio_iommu_type1".to_owned(), limit.into_iter().collect())].into_iter().collect();
        });
        assert!(line.contains("-device intel-iommu,intremap=on,aw-bits=39 "), "{line}");
        let end = "intel_iommu=on iommu.passthrough=1 lockdown=integrity vfio_iommu_type1.dma_entry_limit=2'";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn pages_are_counted_where_the_kernel_can_count_them() {
        let debug = |iommu| {
            line(|options| {
                options.debug = true;
                options.machine.iommu = Some(iommu);
            })
        };
        assert!(debug(IommuModel::Intel).contains("iommu.debug_pagealloc=1 slab_debug=F"));
        assert!(!debug(IommuModel::Amd).contains("iommu.debug_pagealloc"));
    }

    #[test]
    fn an_old_qemu_is_told_what_it_lacks() {
        let old = parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright").unwrap();
        let mut options = Options::new("/c".into());
        assert!(check(&options, &old).is_ok());
        options.machine.devices = [("nic".to_owned(), LabDevice::of(DeviceModel::Igb))].into_iter().collect();
        let error = check(&options, &old).unwrap_err();
        assert_eq!(error.what, "failed to emulate the device igb with QEMU 7.2.22: it needs 8.0 or later");
        options.machine.iommu = Some(IommuModel::IntelFirstStage);
        assert!(check(&options, &"10.0.2".parse().unwrap()).unwrap_err().what.ends_with("11.1 or later"));
        assert!(check(&options, &"11.1.3".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_guest_larger_than_the_machine_is_refused() {
        let options = Options::new("/c".into());
        assert!(check_memory(&options, 1, None).is_ok());
        assert!(check_memory(&options, 2, Some(8 << 30)).is_ok());
        let wrong = |guests, gib: u64| check_memory(&options, guests, Some(gib << 30)).unwrap_err().what;
        assert_eq!(wrong(1, 1), "failed to give the guest 4096 MiB: 1024 MiB are available here");
        assert_eq!(wrong(3, 8), "failed to give 3 guests 4096 MiB each: 8192 MiB are available here");
    }
}
