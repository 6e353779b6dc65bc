//! The steps of a case.

use crate::language::quantity::{Iova, Offset, as_iova, as_offset};
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::device::{
    ConfigRead, ConfigWrite, DeviceOpen, Interrupts, IrqEnable, IrqTrigger, IrqWait, MmioPoll, MmioRead, MmioWrite,
    RegionInfo, VfToken,
};

use super::control::{Parallel, Repeat};
use super::data::{Compare, Fill, MemoryPoll, MemoryRead, MemoryWrite};
use super::iommufd::{
    AllowIovas, Attach, Destroy, DirtyBitmap, DirtyTracking, Hwpt, InIoas, IoasCopy, IommuOption, MapFile, Object,
    Where,
};
use super::object::{Close, Ioctl, Mmap, Open, Pread, Pwrite};
use crate::language::{ByBackend, Dynamic, LabFault, Name, Ordered, Outcome, Scalar, Size};

/// One step: exactly one verb, what is expected of it, and under which name its result is kept.
///
/// The verbs `pagesize`, `gone`, `check` and `compare` look at what was done, `fill` prepares it, `repeat` holds further steps; all
/// others call the kernel or the device.
//
// What a verb takes is boxed, since a step has room for all of them and one is there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Map a region for DMA. Gives `iova`, `size` and `vaddr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Box<Map>>,
    /// Unmap a range of IOVAs. Gives `bytes`: how much the kernel says it unmapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmap: Option<Box<Unmap>>,
    /// Unmap everything in one call. Gives `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::Value::Null, example = serde_json::json!({ "ioas": "other" }))]
    pub unmap_all: Option<Box<InIoas>>,
    /// Ask which IOVAs may be used. Gives a list of `start` and `last`, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::Value::Null, example = serde_json::json!({ "ioas": "other" }))]
    pub iova_ranges: Option<Box<InIoas>>,
    /// Ask what the IOMMU offers. Gives `page_sizes` (a bitmap; 0 where not told), `dma_avail` and `iova_alignment` (none where
    /// not told).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::Value::Null, example = serde_json::json!({ "ioas": "other" }))]
    pub info: Option<Box<InIoas>>,
    /// Map a region's file rather than its address: of a `memfd`, a `file` or a `dmabuf`. Gives `iova` and `size`. Linux 6.13.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_file: Option<Box<MapFile>>,
    /// Map what is mapped already once more: elsewhere, in another address space, with other rights. Gives `iova` and `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Box<IoasCopy>>,
    /// Say which IOVAs the kernel may choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_iovas: Option<Box<AllowIovas>>,
    /// Make an address space; takes nothing. Gives `id`. What a case makes is destroyed behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ioas: Option<NoArguments>,
    /// Make a page table of an address space for the device. Gives `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hwpt: Option<Box<Hwpt>>,
    /// Attach the device to an address space or a page table, in place of the one that it is attached to. Gives `id`, that of its page table.
    /// After the case the device is attached to its own again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Box<Attach>>,
    /// Detach the device; takes nothing. After the case it is attached to its own address space again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detach: Option<NoArguments>,
    /// Destroy an object of IOMMUFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroy: Option<Box<Destroy>>,
    /// Ask for an option of IOMMUFD, or set it. Gives `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<Box<IommuOption>>,
    /// Ask what the IOMMU in front of the device can do; takes nothing. Gives `type` (1 VT-d, 2 SMMUv3, 4 AMD, 0 any other),
    /// `capabilities`, `dirty_tracking` and `pasid_bits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hw_info: Option<NoArguments>,
    /// Begin or end to note which pages the device writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_tracking: Option<Box<DirtyTracking>>,
    /// Ask which pages the device wrote. Gives `pages`, how many there are, and `dirty`, the IOVAs of those that it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_bitmap: Option<Box<DirtyBitmap>>,
    /// Ask how much memory the process has locked and pinned; takes nothing. Gives `locked` (VmLck, which TYPE1 counts) and `pinned`
    /// (VmPin, which IOMMUFD counts), in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounting: Option<NoArguments>,
    /// Ask what the device is; takes nothing. Gives `regions`, `irqs` (how many kinds of each), and whether it `resets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_info: Option<NoArguments>,
    /// Ask for a region of the device. Gives `size` and, in the device's file, `offset`, in bytes, and whether it is `readable`, `writable`
    /// and `mappable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_info: Option<Box<RegionInfo>>,
    /// Read a register of the configuration space. Gives `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_read: Option<Box<ConfigRead>>,
    /// Write a register of the configuration space. The device is opened anew after the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_write: Option<Box<ConfigWrite>>,
    /// Read a register in a BAR, through a mapping of it. Gives `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmio_read: Option<Box<MmioRead>>,
    /// Write a register in a BAR, through a mapping of it. The device is opened anew after the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmio_write: Option<Box<MmioWrite>>,
    /// Read a register in a BAR until it has a value. Gives `value`, or ETIMEDOUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmio_poll: Option<Box<MmioPoll>>,
    /// Ask for a kind of interrupt. Gives `count`, how many vectors the device has, and whether it is `maskable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irq_info: Option<Box<Interrupts>>,
    /// Enable interrupts, each with an event to wait for. The device is opened anew after the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irq_enable: Option<Box<IrqEnable>>,
    /// Have the kernel act as if an interrupt had arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irq_trigger: Option<Box<IrqTrigger>>,
    /// Wait for an interrupt that was enabled. Gives `count`, how often it came since the last wait, or ETIMEDOUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irq_wait: Option<Box<IrqWait>>,
    /// Disable all interrupts of a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irq_disable: Option<Box<Interrupts>>,
    /// Reset the device; takes nothing. The device is opened anew after the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<NoArguments>,
    /// Open the device behind the case's backend, together with what the case has open already. Only with `fixture: none`. Gives how
    /// many vectors of `intx`, `msi` and `msix` it has, and whether it `resets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_open: Option<Box<DeviceOpen>>,
    /// Close the device that `device_open` opened; at the end of the case all are closed. Takes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_close: Option<NoArguments>,
    /// Set the VF token of an open SR-IOV device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vf_token: Option<Box<VfToken>>,
    /// Open a file of the kernel; needs `save`. Gives `fd`. With `fixture: none`, for the sequences that a fixture does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
    /// Close a file that was opened; at the end of the case all are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Box<Close>>,
    /// Any request by its name, with any arguments: too short, too long, unknown flags. Gives `result` and the fields that the
    /// kernel writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ioctl: Option<Box<Ioctl>>,
    /// Read bytes of a file in one call, wherever and however many. Gives `bytes`, how many came, and `value`, the first eight of them,
    /// little-endian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pread: Option<Box<Pread>>,
    /// Write bytes to a file in one call. Gives `bytes`, how many were taken. A device that is written to is opened anew after the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pwrite: Option<Box<Pwrite>>,
    /// Map a part of a file into the process, and unmap it again. Gives whether it was `mapped`, and with `bits` the `value` of the register
    /// at its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmap: Option<Box<Mmap>>,
    /// Check that every leaf of the IOMMU's page table behind a mapped range has this page size. Where nothing shows the page
    /// table the check counts as unchecked; on a backend with `skip_pagesize` it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagesize: Option<Box<Pagesize>>,
    /// Check that the IOMMU's page table holds nothing for a range. Where nothing shows the page table the check counts as
    /// unchecked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Box<Range>>,
    /// Break the lab's guest or the process that runs the case, to see that the run survives it. An error anywhere but in the lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"panic")]
    pub lab_fault: Option<LabFault>,
    /// Check that an expression is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "{{ m.iova % page_size == 0 }}")]
    pub check: Option<Dynamic<bool>>,
    /// Fill memory with a pattern or a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "region": "buffer", "pattern": "sent" }))]
    pub fill: Option<Box<Fill>>,
    /// Check that memory holds a pattern, a value, or what another region holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "region": "buffer", "pattern": "sent" }))]
    pub compare: Option<Box<Compare>>,
    /// Read a number from memory. Gives `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_read: Option<Box<MemoryRead>>,
    /// Write a number to memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_write: Option<Box<MemoryWrite>>,
    /// Read a number from memory until the device has written a value there. Gives `value`, or ETIMEDOUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_poll: Option<Box<MemoryPoll>>,
    /// Run a procedure that a pack has for the device; `with` says what it takes. Gives what the procedure gives. Where no pack has it for
    /// the device, the case is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"dma_copy")]
    pub call: Option<Name>,
    /// What a procedure takes, by the names of its parameters. Only beside `call`.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    #[schemars(example = serde_json::json!({ "source": "{{ m.iova }}" }))]
    pub with: Ordered<Scalar>,
    /// Run steps several times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Box<Repeat>>,
    /// Run steps at the same time. Gives `micros`, how long all of them took together, and `each`, a list of how long each took; the result
    /// of the case has these times, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<Box<Parallel>>,
    /// On which of the case's `devices`; on its own one unless given. Not for the verbs that map memory, which is for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"second")]
    pub device: Option<Name>,
    /// What the call is expected to give. Only for the verbs that call the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"EINVAL", example = serde_json::json!({ "vfio_*": "EINVAL", "iommufd*": "ENOENT" }), extend("default" = "ok"))]
    pub expect: Option<ByBackend<Outcome>>,
    /// The name under which later expressions find the result. Only for the verbs that call the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"m")]
    pub save: Option<Name>,
}

/// What `map` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// The region's name.
    #[schemars(example = &"buffer")]
    pub region: Name,
    /// The IOVA to map at, or `kernel`; by default the next free one that the device may use, aligned to the size up to 1GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iova: Option<Where>,
    /// How many bytes; by default the whole region from `offset` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB")]
    pub size: Option<Dynamic<Size>>,
    /// Where in the region to begin, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Option<Dynamic<Size>>,
    /// What the device may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub access: Option<Access>,
    /// The address space to map in: one that an `ioas` step saved; the device's own unless given. Backend iommufd only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
}

/// What a device may do with a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Only read.
    Read,
    /// Only write.
    Write,
    /// Neither: no backend accepts it.
    None,
}

/// What `unmap` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmap {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
    /// The address space: one that an `ioas` step saved; the device's own unless given. Backend iommufd only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
}

/// What `gone` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
}

/// What `pagesize` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pagesize {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
    /// The page size expected of every leaf.
    #[schemars(example = "2MiB")]
    pub is: Dynamic<Size>,
}

/// A verb that takes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

impl JsonSchema for NoArguments {
    fn schema_name() -> Cow<'static, str> {
        "NoArguments".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Nothing: the verb's line ends with its colon, as in `- unmap_all:`.",
            "type": ["null", "object"],
            "additionalProperties": false,
        })
    }
}

/// What has to be said of each verb again, once for all.
macro_rules! verbs {
    ($($verb:ident),* $(,)?) => {
        impl Step {
            /// Every verb there is.
            pub const VERBS: &'static [&'static str] = &[$(stringify!($verb)),*];

            /// The verbs of this step, as written; a valid step has exactly one.
            pub fn verbs(&self) -> Vec<&'static str> {
                let mut written = Vec::new();
                $(if self.$verb.is_some() {
                    written.push(stringify!($verb));
                })*
                written
            }
        }
    };
}

verbs!(
    map,
    unmap,
    unmap_all,
    iova_ranges,
    info,
    map_file,
    copy,
    allow_iovas,
    ioas,
    hwpt,
    attach,
    detach,
    destroy,
    option,
    hw_info,
    dirty_tracking,
    dirty_bitmap,
    accounting,
    device_info,
    region_info,
    config_read,
    config_write,
    mmio_read,
    mmio_write,
    mmio_poll,
    irq_info,
    irq_enable,
    irq_trigger,
    irq_wait,
    irq_disable,
    reset,
    device_open,
    device_close,
    vf_token,
    open,
    close,
    ioctl,
    pread,
    pwrite,
    mmap,
    pagesize,
    gone,
    lab_fault,
    check,
    fill,
    compare,
    memory_read,
    memory_write,
    memory_poll,
    call,
    repeat,
    parallel,
);
