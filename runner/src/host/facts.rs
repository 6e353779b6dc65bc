// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facts of the host that decide what can be tested, and that have to be the same after a test.

use std::{collections::BTreeMap, fmt, sync::LazyLock, time::Duration};

use super::pci::{PciDevice, attribute};
use super::{Root, gauge::Gauge};
use crate::{model::Bdf, uapi::system};

/// Where a guest of the lab finds its job.
pub const LAB_JOB: &str = "/vfiospec/job.json";

/// Where a guest of the lab finds the file `log` with what its virtio-iommu was told.
pub const TOLD: &str = "/vfiospec/told";

/// A word on the kernel command line of a guest of the lab.
pub const LAB_MARK: &str = "vfiospec.lab=1";

/// Whether this process runs in a guest of the lab, which may be broken: both what its init finds and what its kernel was started with say so.
pub fn is_lab_guest() -> bool {
    static IS_GUEST: LazyLock<bool> = LazyLock::new(|| {
        let command_line = Root::default().text("proc/cmdline").unwrap_or_default();
        Root::default().join(LAB_JOB.trim_start_matches('/')).exists()
            && command_line.split_whitespace().any(|word| word == LAB_MARK)
    });
    *IS_GUEST
}

/// What the kernel forbids even to root, as it names it: `integrity` or `confidentiality` (`security/lockdown/lockdown.c`).
pub fn lockdown() -> Option<String> {
    lockdown_of(&Root::default())
}

pub(super) fn lockdown_of(root: &Root) -> Option<String> {
    let modes = root.text("sys/kernel/security/lockdown")?;
    let mode = modes.split_whitespace().find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'))?;
    (mode != "none").then(|| mode.to_owned())
}

/// Whether devices behind the IOMMU may raise any interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupts {
    Remapped,
    /// They may, and VFIO was told that this is no matter.
    Allowed,
    /// They may, and VFIO refuses such devices.
    Refused,
}

/// What mends that on a machine for tests, if the firmware cannot.
pub(super) const ALLOW_UNSAFE_INTERRUPTS: &str = "echo Y | tee /sys/module/*/parameters/allow_unsafe_interrupts";

/// VFIO opens no device behind an IOMMU that does not isolate interrupts, unless it is told to (`vfio_iommu_type1_attach_group`,
/// `iommufd_device_bind`).
pub(super) fn interrupts(root: &Root) -> Interrupts {
    // The chips of remapped interrupts are called so. On other architectures the IOMMU always isolates them.
    let remapped =
        !cfg!(target_arch = "x86_64") || root.text("proc/interrupts").is_none_or(|text| text.contains("IR-"));
    let allowed = |module: &str| {
        let parameter = root.text(format!("sys/module/{module}/parameters/allow_unsafe_interrupts"));
        parameter.as_deref() == Some("Y")
    };
    match (remapped, allowed("vfio_iommu_type1") || allowed("iommufd")) {
        (true, _) => Interrupts::Remapped,
        (false, true) => Interrupts::Allowed,
        (false, false) => Interrupts::Refused,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IommuKind {
    Intel,
    Amd,
    Virtio,
    Smmu3,
    /// One that we do not know, by the name in sysfs.
    Other(String),
    None,
}

/// `intel`, `amd`, `virtio`, `smmu3`, `none`, or the name in sysfs.
impl fmt::Display for IommuKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IommuKind::Intel => "intel",
            IommuKind::Amd => "amd",
            IommuKind::Virtio => "virtio",
            IommuKind::Smmu3 => "smmu3",
            IommuKind::Other(name) => name,
            IommuKind::None => "none",
        })
    }
}

/// The IOMMU in front of a device, by the link in the device's folder.
pub fn iommu(bdf: Bdf) -> IommuKind {
    iommu_kind(&Root::default(), bdf)
}

pub(super) fn iommu_kind(root: &Root, bdf: Bdf) -> IommuKind {
    match root.link_name(attribute(bdf, "iommu")) {
        None => IommuKind::None,
        Some(name) if name.starts_with("dmar") => IommuKind::Intel,
        Some(name) if name.starts_with("ivhd") => IommuKind::Amd,
        Some(name) if is_virtio(root, &name) => IommuKind::Virtio,
        Some(name) if name.starts_with("smmu3") => IommuKind::Smmu3,
        Some(name) => IommuKind::Other(name),
    }
}

/// virtio-iommu is named after the device that it is: a PCI address, or `a003c00.virtio_mmio`.
fn is_virtio(root: &Root, name: &str) -> bool {
    let on_pci = || PciDevice::read_in(root, name.parse().ok()?);
    name.ends_with("virtio_mmio") || on_pci().is_some_and(|device| device.ids() == "1af4:1057")
}

pub fn kernel() -> String {
    system::release()
}

/// Whether this kernel is older than a version of Linux.
pub fn kernel_is_before(version: (u32, u32)) -> bool {
    static RELEASE: LazyLock<String> = LazyLock::new(kernel);
    release_is_before(&RELEASE, version)
}

/// Whether a kernel's release, such as `6.12.117-1-amd64`, is older than a version. A text that is not a version counts as new.
pub(super) fn release_is_before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else { return false };
    (major, minor) < version
}

pub fn arch() -> String {
    system::machine()
}

/// The modules of VFIO and IOMMUFD that have parameters, the IOMMU core, whose parameters the kernel shows nowhere, lockdep, which has
/// some as long as the kernel looks for deadlocks, and what the lab's kernels have for tests.
pub const MODULES: [&str; 7] =
    ["vfio", "vfio_iommu_type1", "vfio_pci", "iommufd", "iommu", LOCKDEP, "mock_capabilities"];
const LOCKDEP: &str = "lockdep";

/// The parameters of a module, by name: what the kernel's command line says, and what the module says that it has.
pub fn parameters(module: &str) -> BTreeMap<String, Parameter> {
    parameters_below(&Root::default(), module)
}

fn parameters_below(root: &Root, module: &str) -> BTreeMap<String, Parameter> {
    if module == LOCKDEP && root.text("proc/lockdep_stats").is_some_and(|stats| has_reported(&stats)) {
        return BTreeMap::new();
    }
    let command_line = root.text("proc/cmdline").unwrap_or_default();
    let told = |word: &str| {
        let (name, value) = word.strip_prefix(module)?.strip_prefix('.')?.split_once('=')?;
        Some((name.to_owned(), Parameter::new(value.to_owned())))
    };
    let folder = format!("sys/module/{module}/parameters");
    let read = |name: String| Some((root.text(format!("{folder}/{name}"))?, name));
    let shown = root.names(&folder).into_iter().filter_map(read).map(|(text, name)| (name, Parameter::new(text)));
    // The later of two counts.
    command_line.split_whitespace().filter_map(told).chain(shown).collect()
}

/// Whether lockdep has reported something since boot, after which it looks no more (`debug_locks_off` in lib/debug_locks.c).
fn has_reported(lockdep_stats: &str) -> bool {
    let on = lockdep_stats.lines().find_map(|line| line.trim().strip_prefix("debug_locks:"));
    on.is_some_and(|on| on.trim() == "0")
}

/// The value of a module's parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    Switch(bool),
    Number(i64),
    Text(String),
}

impl Parameter {
    fn new(text: String) -> Parameter {
        match text.as_str() {
            "Y" => Parameter::Switch(true),
            "N" => Parameter::Switch(false),
            _ => text.parse().map_or(Parameter::Text(text), Parameter::Number),
        }
    }
}

/// Which boot of this host it is; empty where the kernel does not tell.
pub fn boot() -> String {
    Root::default().text("proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// The time as the kernel counts it by its ticks, since it began or some time before.
///
/// It is behind where ticks are lost, as in emulation on a busy host, and the kernel makes nothing up for them (`tick_handle_periodic` in
/// kernel/time/tick-common.c): limits that it has in jiffies last longer then. Where ticks make up for what was lost, or nothing shows
/// them, it is the time since boot.
pub fn ticked() -> Duration {
    let root = Root::default();
    let counted = root.text("proc/timer_list").and_then(|text| ticks_in(&text));
    let since_boot = || root.text("proc/uptime")?.split(' ').next()?.parse().ok();
    counted.unwrap_or_else(|| Duration::from_secs_f64(since_boot().unwrap_or(0.0)))
}

/// What `/proc/timer_list` says of them: how many, and how long one is where timers have no better resolution.
fn ticks_in(timer_list: &str) -> Option<Duration> {
    let field =
        |name: &str| timer_list.lines().find_map(|line| line.trim_start().strip_prefix(name))?.trim().parse().ok();
    let nanoseconds: u64 = timer_list
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(".resolution:"))?
        .trim()
        .strip_suffix("nsecs")?
        .trim()
        .parse()
        .ok()?;
    let ticks: u64 = field("jiffies:")?;
    (nanoseconds > 1).then(|| Duration::from_nanos(ticks.wrapping_mul(nanoseconds)))
}

/// How many bytes of memory programs can still get (`MemAvailable`).
pub fn available_memory() -> Option<u64> {
    of_meminfo(&Root::default().text("proc/meminfo")?, "MemAvailable:")
}

/// The bytes that `/proc/meminfo` has behind a name.
fn of_meminfo(told: &str, name: &str) -> Option<u64> {
    let kib: u64 =
        told.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What the kernel of the whole machine holds for itself, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct KernelMemory {
    /// What was allocated and cannot be given back (`SUnreclaim`).
    pub objects: u64,
    /// Page tables of IOMMUs (`SecPageTables`; `drivers/iommu/iommu-pages.c`). Kernels that do not count them have 0.
    pub page_tables: u64,
}

pub fn kernel_memory() -> Option<KernelMemory> {
    let root = Root::default();
    // What is free but kept for later does not count: empty slabs, and what KASAN holds back to notice who still uses it
    // (`shrink_store` in mm/slub.c, `kasan_quarantine_remove_cache` in mm/kasan/quarantine.c).
    for cache in root.names("sys/kernel/slab") {
        _ = std::fs::write(root.join(format!("sys/kernel/slab/{cache}/shrink")), "1");
    }
    // Each processor counts for itself, and adds that up now and then; to read this file adds it up now (`vmstat_refresh` in mm/vmstat.c).
    _ = root.text("proc/sys/vm/stat_refresh");
    let told = root.text("proc/meminfo")?;
    let page_tables = of_meminfo(&told, "SecPageTables:").unwrap_or(0);
    Some(KernelMemory { objects: of_meminfo(&told, "SUnreclaim:")?, page_tables })
}

/// How many huge pages are free and not reserved for a mapping that has not touched them yet, by their size in bytes
/// (`Documentation/admin-guide/mm/hugetlbpage.rst`).
pub fn free_huge_pages() -> BTreeMap<u64, u64> {
    static COUNTS: LazyLock<Vec<(u64, [Gauge; 2])>> = LazyLock::new(|| {
        let folder = "sys/kernel/mm/hugepages";
        let gauges = |name: String| {
            let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            Some((kib * 1024, ["free", "resv"].map(|what| Gauge::open(format!("{folder}/{name}/{what}_hugepages")))))
        };
        Root::default().names(folder).into_iter().filter_map(gauges).collect()
    });
    let count = |gauge: &Gauge| gauge.text()?.parse().ok();
    let read = |(size, [free, reserved]): &(u64, [Gauge; 2])| {
        let (free, reserved): (u64, u64) = (count(free)?, count(reserved)?);
        Some((*size, free.saturating_sub(reserved)))
    };
    COUNTS.iter().filter_map(read).collect()
}

/// Whether the kernel makes huge pages of memory by itself, at least where it is told to (CONFIG_TRANSPARENT_HUGEPAGE).
pub fn has_transparent_huge_pages() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| Root::default().join("sys/kernel/mm/transparent_hugepage").exists());
    *HAS
}

/// Whether IOMMUFD has the mock device of its selftests (CONFIG_IOMMUFD_TEST): `IOMMU_TEST_OP_…` are requests for it.
pub fn has_iommufd_mock() -> bool {
    Root::default().join("sys/bus/iommufd_mock").exists()
}

/// The memory of this process that the kernel counts as held, in bytes. A count that went below zero is a large number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessMemory {
    /// `VmLck`: what TYPE1 counts.
    pub locked: u64,
    /// `VmPin`: what IOMMUFD counts.
    pub pinned: u64,
    /// `VmRSS`: all that has memory behind it.
    pub resident: u64,
    /// `RssAnon`: what is the process' own.
    pub anonymous: u64,
    /// `RssShmem`: what is in files in memory, or shared otherwise.
    pub shared: u64,
}

/// What this process holds, from `/proc/self/status`.
pub fn process_memory() -> Option<ProcessMemory> {
    let status = Root::default().text("proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib.wrapping_mul(1024))
    };
    Some(ProcessMemory {
        locked: field("VmLck:")?,
        pinned: field("VmPin:")?,
        resident: field("VmRSS:")?,
        anonymous: field("RssAnon:")?,
        shared: field("RssShmem:")?,
    })
}

/// How many times pages are pinned for devices on the whole host, from `/proc/vmstat`. Only root gets the exact number.
pub fn page_pins() -> Option<i64> {
    static REFRESH: LazyLock<Gauge> = LazyLock::new(|| Gauge::open("proc/sys/vm/stat_refresh"));
    static COUNTS: LazyLock<Gauge> = LazyLock::new(|| Gauge::open("proc/vmstat"));
    // Each processor counts a while by itself; reading this has all of them tell (`Documentation/admin-guide/sysctl/vm.rst`).
    REFRESH.text()?;
    let told = COUNTS.text()?;
    let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<i64>().ok();
    Some(field("nr_foll_pin_acquired ")?.wrapping_sub(field("nr_foll_pin_released ")?))
}

pub fn open_files() -> Option<usize> {
    // The folder itself is open meanwhile, every time.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

/// The kernel's taint mask; 0 is a kernel that nothing has happened to.
pub fn taint() -> Option<u64> {
    static MASK: LazyLock<Gauge> = LazyLock::new(|| Gauge::open("proc/sys/kernel/tainted"));
    MASK.text()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn a_kernel_is_older_by_its_first_two_numbers() {
        for (release, is_before) in
            [("6.12.117", true), ("6.18-rc7+", true), ("5.10.0-8-amd64", true), ("6.19.0", false), ("7.3.4", false)]
        {
            assert_eq!(release_is_before(release, (6, 19)), is_before, "{release}");
        }
        assert!(!release_is_before("next-20261125", (6, 19)));
    }

    #[test]
    fn parameters_are_what_the_module_shows_and_what_the_command_line_says() {
        let tree = Tree::new("parameters");
        tree.put("proc/cmdline", "console=ttyS0 iommu.debug_pagealloc=1 iommu=pt vfio.mode=N iommufd.x=2\n");
        tree.put("sys/module/vfio/parameters/mode", "Y\n");
        let of = |module| parameters_below(&tree.root(), module).into_iter().collect::<Vec<_>>();
        assert_eq!(of("iommu"), [("debug_pagealloc".to_owned(), Parameter::Number(1))]);
        assert_eq!(of("vfio"), [("mode".to_owned(), Parameter::Switch(true))]);
    }

    #[test]
    fn lockdep_looks_for_deadlocks_until_it_has_reported_one() {
        let tree = Tree::new("lockdep");
        tree.put("sys/module/lockdep/parameters/prove_locking", "1\n");
        let looks = || !parameters_below(&tree.root(), LOCKDEP).is_empty();
        assert!(looks());
        tree.put(
            "proc/lockdep_stats",
            " max lock depth:   14 [max: 48]\n debug_locks:                             1\n\n",
        );
        assert!(looks());
        tree.put(
            "proc/lockdep_stats",
            " max lock depth:   14 [max: 48]\n debug_locks:                             0\n\n",
        );
        assert!(!looks());
    }

    #[test]
    fn ticks_are_counted_where_they_are_the_only_clock() {
        let told = |resolution: u32| {
            format!(
                "Timer List Version: v0.10\nHRTIMER_MAX_CLOCK_BASES: 8\nnow at 21 nsecs\n\ncpu: 0\n clock 0:\n  .base:       0\n  \
                 .index:      0\n  .resolution: {resolution} nsecs\n  .get_time:   ktime_get\njiffies: 4294892749\njiffies: 7\n"
            )
        };
        assert_eq!(ticks_in(&told(4_000_000)), Some(Duration::from_millis(4 * 4_294_892_749)));
        assert_eq!(ticks_in(&told(1)), None, "others make up for what was lost");
        assert!(ticked() > Duration::ZERO);
    }

    #[test]
    fn the_iommu_is_known_by_the_devices_link() {
        let tree = Tree::new("iommu");
        let kind = || iommu_kind(&tree.root(), tree.bdf()).to_string();
        assert_eq!(kind(), "none");
        let virtio = "sys/bus/pci/devices/0000:00:01.0";
        tree.put(&format!("{virtio}/vendor"), "0x1af4\n");
        tree.put(&format!("{virtio}/device"), "0x1057\n");
        tree.put(&format!("{virtio}/class"), "0x00ff00\n");
        for (link, name) in [
            ("dmar0", "intel"),
            ("ivhd1", "amd"),
            ("0000:00:01.0", "virtio"),
            ("a003c00.virtio_mmio", "virtio"),
            ("smmu3.0x2b400000", "smmu3"),
            ("0000:00:02.0", "0000:00:02.0"),
        ] {
            tree.link(&format!("sys/bus/pci/devices/{}/iommu", tree.bdf()), &format!("sys/devices/{link}"));
            assert_eq!(kind(), name);
        }
    }
}
