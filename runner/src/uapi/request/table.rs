// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests, as `include/uapi/linux/vfio.h` and `iommufd.h` of 7.3 have them; those of PowerPC alone are left out.

use std::mem::offset_of;

use iommufd_bindings as iommufd;
use vfio_bindings::bindings::vfio;

use super::Direction::{In, InOut, Out};
use super::Means::{Flags, Signed, Word};
use super::mock::MOCK;
use super::pointer::{dirty_bitmap_bytes, quad, word};
use super::{Argument, Does, Effect, Field, File, Means, Pointer, Request, When, arrays, capabilities, words};
use crate::uapi::ioctl::io;

pub fn find(name: &str) -> Option<&'static Request> {
    all().find(|request| request.name == name)
}

/// The value of a field as the trace shows it.
pub fn shown(request: &str, field: &str, value: u64) -> String {
    let field = find(request).and_then(|request| request.field(field));
    field.map_or_else(|| value.to_string(), |field| field.named(value).to_string())
}

/// All requests: VFIO's, then IOMMUFD's, in the order of their numbers, then those of IOMMUFD's mock device.
pub fn all() -> impl Iterator<Item = &'static Request> {
    VFIO.iter().chain(IOMMUFD).chain(MOCK)
}

impl Request {
    /// What it may change.
    pub fn effect(&self) -> Effect {
        match self.name {
            "VFIO_GET_API_VERSION"
            | "VFIO_CHECK_EXTENSION"
            | "VFIO_IOMMU_GET_INFO"
            | "VFIO_GROUP_GET_STATUS"
            | "VFIO_DEVICE_GET_INFO"
            | "VFIO_DEVICE_GET_REGION_INFO"
            | "VFIO_DEVICE_GET_IRQ_INFO"
            | "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"
            | "VFIO_DEVICE_QUERY_GFX_PLANE"
            | "VFIO_MIG_GET_PRECOPY_INFO"
            | "IOMMU_IOAS_IOVA_RANGES"
            | "IOMMU_GET_HW_INFO"
            | "IOMMU_IOAS_NOIOMMU_GET_PA" => Effect::Nothing,
            "VFIO_DEVICE_SET_IRQS"
            | "VFIO_DEVICE_RESET"
            | "VFIO_DEVICE_PCI_HOT_RESET"
            | "VFIO_DEVICE_IOEVENTFD"
            | "VFIO_DEVICE_FEATURE"
            | "VFIO_IOMMU_DIRTY_PAGES"
            | "IOMMU_DESTROY"
            | "IOMMU_IOAS_ALLOC"
            | "IOMMU_IOAS_ALLOW_IOVAS"
            | "IOMMU_OPTION"
            | "IOMMU_VFIO_IOAS"
            | "IOMMU_HWPT_ALLOC"
            | "IOMMU_HWPT_SET_DIRTY_TRACKING"
            | "IOMMU_HWPT_GET_DIRTY_BITMAP"
            | "IOMMU_HWPT_INVALIDATE"
            | "IOMMU_FAULT_QUEUE_ALLOC"
            | "IOMMU_VIOMMU_ALLOC"
            | "IOMMU_VDEVICE_ALLOC"
            | "IOMMU_VEVENTQ_ALLOC"
            | "IOMMU_HW_QUEUE_ALLOC" => Effect::Device,
            _ if self.op.is_some() => Effect::Device,
            _ => Effect::Mappings,
        }
    }
}

/// A request whose argument is a struct that begins with its size: name, number, file, struct, size, and the fields in it
/// with their directions; then the fields behind it, and the addresses.
macro_rules! sized {
    ($name:literal, $number:expr, $on:ident, $struct:ty, $size:expr,
     { $($field:ident $direction:ident $(: $means:expr)?),* } $(+ [$($behind:expr),*])?
     $(, pointers $pointers:expr)? $(, array $array:expr)? $(, chain $chain:expr)?) => {
        Request {
            name: $name,
            number: $number,
            op: None,
            on: File::$on,
            argument: Argument::Sized,
            size: $size,
            fields: &[
                $(field(stringify!($field), offset_of!($struct, $field), width(|s: &$struct| &s.$field), $direction)
                    $(.means($means))?,)*
                $($($behind,)*)?
            ],
            arrays: &[$($array)?],
            pointers: &[$($pointers)?],
            chain: sized!(@chain $($chain)?),
        }
    };
    (@chain) => { None };
    (@chain $chain:expr) => { Some($chain) };
}

/// One of VFIO: by its number above the base.
macro_rules! vfio {
    ($nr:literal, $name:literal, $on:ident, $struct:ident, $rest:tt $($more:tt)*) => {
        sized!($name, of_vfio($nr), $on, vfio::$struct, size_of::<vfio::$struct>(), $rest $($more)*)
    };
}

/// One of IOMMUFD: by its command.
macro_rules! iommufd {
    ($command:ident, $name:literal, $struct:ident, $rest:tt $($more:tt)*) => {
        sized!($name, io(iommufd::$command), Iommufd, iommufd::$struct, size_of::<iommufd::$struct>(), $rest $($more)*)
    };
}

const fn of_vfio(nr: u32) -> u32 {
    io(vfio::VFIO_BASE + nr)
}

pub(super) const fn field(name: &'static str, offset: usize, width: usize, direction: super::Direction) -> Field {
    Field::new(name, offset, width, direction)
}

/// The size of the field that a function shows.
const fn width<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

const fn unsized_(nr: u32, name: &'static str, on: File, argument: Argument, fields: &'static [Field]) -> Request {
    let size = match argument {
        Argument::Plain if !fields.is_empty() => fields[0].width,
        _ => 0,
    };
    Request { name, number: of_vfio(nr), op: None, on, argument, size, fields, arrays: &[], pointers: &[], chain: None }
}

pub(super) const fn reads(offset: usize) -> Pointer {
    Pointer { offset, does: Does::Reads, when: When::Always }
}

const fn pins(offset: usize) -> Pointer {
    Pointer { offset, does: Does::Pins, when: When::Always }
}

pub(super) const fn writes(offset: usize, len: fn(&[u8]) -> u64) -> Pointer {
    Pointer { offset, does: Does::Writes(len), when: When::Always }
}

const fn when(pointer: Pointer, mask: u32, value: u32) -> Pointer {
    Pointer { when: When::Flags { mask, value }, ..pointer }
}

const DIRTY_ON_UNMAP: u32 = vfio::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
const DIRTY_PAGES_GET: u32 = vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
const LOGGING_START: u32 = vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
const LOGGING_REPORT: u32 = vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
const FEATURE: u32 = vfio::VFIO_DEVICE_FEATURE_MASK;

const fn flags(bits: super::Words) -> Means {
    Means::flags(bits)
}

#[rustfmt::skip]
const VFIO: &[Request] = &[
    unsized_(0, "VFIO_GET_API_VERSION", File::Container, Argument::None, &[]),
    unsized_(1, "VFIO_CHECK_EXTENSION", File::Container, Argument::Number, &[field("extension", 0, 8, In).means(Word(words::EXTENSION))]),
    unsized_(2, "VFIO_SET_IOMMU", File::Container, Argument::Number, &[field("iommu_type", 0, 8, In).means(Word(words::EXTENSION))]),
    vfio!(3, "VFIO_GROUP_GET_STATUS", Group, vfio_group_status, { argsz In, flags Out: flags(words::GROUP) }),
    unsized_(4, "VFIO_GROUP_SET_CONTAINER", File::Group, Argument::Plain, &[field("container", 0, 4, In).means(Signed)]),
    unsized_(5, "VFIO_GROUP_UNSET_CONTAINER", File::Group, Argument::None, &[]),
    // The device's name, as the tail.
    unsized_(6, "VFIO_GROUP_GET_DEVICE_FD", File::Group, Argument::Plain, &[]),
    vfio!(7, "VFIO_DEVICE_GET_INFO", Device, vfio_device_info,
        { argsz InOut, flags Out: flags(words::DEVICE), num_regions Out, num_irqs Out, cap_offset Out, pad Out },
        chain &capabilities::DEVICE),
    vfio!(8, "VFIO_DEVICE_GET_REGION_INFO", Device, vfio_region_info,
        { argsz InOut, flags Out: flags(words::REGION), index In: Word(words::REGION_INDEX), cap_offset Out, size Out, offset Out },
        chain &capabilities::REGION),
    vfio!(9, "VFIO_DEVICE_GET_IRQ_INFO", Device, vfio_irq_info,
        { argsz In, flags Out: flags(words::IRQ_INFO), index In: Word(words::IRQ_INDEX), count Out }),
    vfio!(10, "VFIO_DEVICE_SET_IRQS", Device, vfio_irq_set,
        { argsz In, flags In: flags(words::IRQ_SET), index In: Word(words::IRQ_INDEX), start In, count In }),
    unsized_(11, "VFIO_DEVICE_RESET", File::Device, Argument::None, &[]),
    vfio!(12, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Device, vfio_pci_hot_reset_info,
        { argsz In, flags Out: flags(words::HOT_RESET), count Out }, array arrays::DEVICES),
    vfio!(12, "VFIO_IOMMU_GET_INFO", Container, vfio_iommu_type1_info,
        { argsz InOut, flags Out: flags(words::IOMMU), iova_pgsizes Out, cap_offset Out, pad Out },
        chain &capabilities::IOMMU),
    vfio!(13, "VFIO_DEVICE_PCI_HOT_RESET", Device, vfio_pci_hot_reset, { argsz In, flags In, count In },
        array arrays::GROUP_FDS),
    vfio!(13, "VFIO_IOMMU_MAP_DMA", Container, vfio_iommu_type1_dma_map,
        { argsz In, flags In: flags(words::DMA_MAP), vaddr In, iova In, size In }, pointers pins(8)),
    vfio!(14, "VFIO_DEVICE_QUERY_GFX_PLANE", Device, vfio_device_gfx_plane_info,
        { argsz In, flags In: flags(words::GFX_PLANE), drm_plane_type In, drm_format Out, drm_format_mod Out, width Out, height Out, stride Out,
          size Out, x_pos Out, y_pos Out, x_hot Out, y_hot Out } + [field("region_index", 56, 4, Out), field("reserved", 60, 4, In)]),
    vfio!(14, "VFIO_IOMMU_UNMAP_DMA", Container, vfio_iommu_type1_dma_unmap,
        { argsz In, flags In: flags(words::DMA_UNMAP), iova In, size InOut }
        + [field("bitmap.pgsize", 24, 8, In), field("bitmap.size", 32, 8, In), field("bitmap.data", 40, 8, In)],
        pointers when(writes(40, |bytes| quad(bytes, 32)), DIRTY_ON_UNMAP, DIRTY_ON_UNMAP)),
    unsized_(15, "VFIO_DEVICE_GET_GFX_DMABUF", File::Device, Argument::Plain, &[field("dmabuf_id", 0, 4, In)]),
    unsized_(15, "VFIO_IOMMU_ENABLE", File::Container, Argument::None, &[]),
    vfio!(16, "VFIO_DEVICE_IOEVENTFD", Device, vfio_device_ioeventfd,
        { argsz In, flags In: flags(words::IOEVENTFD), offset In, data In, fd In: Signed, reserved In }),
    unsized_(16, "VFIO_IOMMU_DISABLE", File::Container, Argument::None, &[]),
    Request {
        pointers: &[
            when(reads(24), FEATURE, LOGGING_START),
            when(writes(32, |bytes| dirty_bitmap_bytes(quad(bytes, 16), quad(bytes, 24))), FEATURE, LOGGING_REPORT),
            // A zpci_ccdf_err, whose length only s390 knows.
            when(writes(8, |_| 4096), FEATURE, words::ZPCI_ERROR),
        ],
        ..vfio!(17, "VFIO_DEVICE_FEATURE", Device, vfio_device_feature,
            { argsz In, flags In: Flags { bits: words::FEATURE_FLAGS, rest: words::FEATURE } })
    },
    vfio!(17, "VFIO_IOMMU_DIRTY_PAGES", Container, vfio_iommu_type1_dirty_bitmap,
        { argsz In, flags In: flags(words::DIRTY_PAGES) }
        + [field("iova", 8, 8, In), field("size", 16, 8, In), field("bitmap.pgsize", 24, 8, In),
           field("bitmap.size", 32, 8, In), field("bitmap.data", 40, 8, In)],
        pointers when(writes(40, |bytes| quad(bytes, 32)), DIRTY_PAGES_GET, DIRTY_PAGES_GET)),
    vfio!(18, "VFIO_DEVICE_BIND_IOMMUFD", Device, vfio_device_bind_iommufd,
        { argsz In, flags In: flags(words::BIND), iommufd In: Signed, out_devid Out, token_uuid_ptr In }, pointers reads(16)),
    vfio!(19, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", Device, vfio_device_attach_iommufd_pt,
        { argsz In, flags In: flags(words::ATTACH), pt_id InOut, pasid In }),
    vfio!(20, "VFIO_DEVICE_DETACH_IOMMUFD_PT", Device, vfio_device_detach_iommufd_pt,
        { argsz In, flags In: flags(words::DETACH), pasid In }),
    vfio!(21, "VFIO_MIG_GET_PRECOPY_INFO", Migration, vfio_precopy_info,
        { argsz In, flags Out: flags(words::PRECOPY), initial_bytes Out, dirty_bytes Out }),
];

#[rustfmt::skip]
const IOMMUFD: &[Request] = &[
    iommufd!(IOMMUFD_CMD_DESTROY, "IOMMU_DESTROY", iommu_destroy, { size In, id In }),
    iommufd!(IOMMUFD_CMD_IOAS_ALLOC, "IOMMU_IOAS_ALLOC", iommu_ioas_alloc, { size In, flags In, out_ioas_id Out }),
    iommufd!(IOMMUFD_CMD_IOAS_ALLOW_IOVAS, "IOMMU_IOAS_ALLOW_IOVAS", iommu_ioas_allow_iovas,
        { size In, ioas_id In, num_iovas In, __reserved In, allowed_iovas In }, pointers reads(16)),
    iommufd!(IOMMUFD_CMD_IOAS_COPY, "IOMMU_IOAS_COPY", iommu_ioas_copy,
        { size In, flags In: flags(words::IOAS_MAP), dst_ioas_id In, src_ioas_id In, length In, dst_iova InOut, src_iova In }),
    iommufd!(IOMMUFD_CMD_IOAS_IOVA_RANGES, "IOMMU_IOAS_IOVA_RANGES", iommu_ioas_iova_ranges,
        { size In, ioas_id In, num_iovas InOut, __reserved In, allowed_iovas In, out_iova_alignment Out },
        pointers writes(16, |bytes| word(bytes, 8) * size_of::<iommufd::iommu_iova_range>() as u64), array arrays::IOVA_RANGES),
    iommufd!(IOMMUFD_CMD_IOAS_MAP, "IOMMU_IOAS_MAP", iommu_ioas_map,
        { size In, flags In: flags(words::IOAS_MAP), ioas_id In, __reserved In, user_va In, length In, iova InOut }, pointers pins(16)),
    iommufd!(IOMMUFD_CMD_IOAS_UNMAP, "IOMMU_IOAS_UNMAP", iommu_ioas_unmap,
        { size In, ioas_id In, iova In, length InOut }),
    iommufd!(IOMMUFD_CMD_OPTION, "IOMMU_OPTION", iommu_option,
        { size In, option_id In: Word(words::OPTION), op In: Word(words::OPTION_OP), __reserved In, object_id In, val64 InOut }),
    iommufd!(IOMMUFD_CMD_VFIO_IOAS, "IOMMU_VFIO_IOAS", iommu_vfio_ioas,
        { size In, ioas_id InOut, op In: Word(words::VFIO_IOAS_OP), __reserved In }),
    iommufd!(IOMMUFD_CMD_HWPT_ALLOC, "IOMMU_HWPT_ALLOC", iommu_hwpt_alloc,
        { size In, flags In: flags(words::HWPT), dev_id In, pt_id In, out_hwpt_id Out, __reserved In,
          data_type In: Word(words::HWPT_DATA), data_len In, data_uptr In,
          fault_id In, __reserved2 In }, pointers reads(32)),
    iommufd!(IOMMUFD_CMD_GET_HW_INFO, "IOMMU_GET_HW_INFO", iommu_hw_info,
        { size In, flags In: flags(words::HW_INFO), dev_id In, data_len InOut, data_uptr In }
        // Two names of one field, and the first of three reserved bytes.
        + [field("in_data_type", 24, 4, In).means(Word(words::HW_INFO_TYPE)),
           field("out_data_type", 24, 4, Out).means(Word(words::HW_INFO_TYPE)), field("out_max_pasid_log2", 28, 1, Out),
           field("__reserved", 29, 1, In), field("out_capabilities", 32, 8, Out).means(flags(words::HW_CAPABILITIES))],
        pointers writes(16, |bytes| word(bytes, 12))),
    iommufd!(IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING, "IOMMU_HWPT_SET_DIRTY_TRACKING", iommu_hwpt_set_dirty_tracking,
        { size In, flags In: flags(words::SET_DIRTY_TRACKING), hwpt_id In, __reserved In }),
    iommufd!(IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP, "IOMMU_HWPT_GET_DIRTY_BITMAP", iommu_hwpt_get_dirty_bitmap,
        { size In, hwpt_id In, flags In: flags(words::GET_DIRTY_BITMAP), __reserved In, iova In, length In, page_size In, data In },
        pointers writes(40, |bytes| dirty_bitmap_bytes(quad(bytes, 24), quad(bytes, 32)))),
    iommufd!(IOMMUFD_CMD_HWPT_INVALIDATE, "IOMMU_HWPT_INVALIDATE", iommu_hwpt_invalidate,
        { size In, hwpt_id In, data_uptr In, data_type In: Word(words::INVALIDATE_DATA), entry_len In, entry_num InOut, __reserved In },
        pointers reads(8)),
    iommufd!(IOMMUFD_CMD_FAULT_QUEUE_ALLOC, "IOMMU_FAULT_QUEUE_ALLOC", iommu_fault_alloc,
        { size In, flags In, out_fault_id Out, out_fault_fd Out: Signed }),
    iommufd!(IOMMUFD_CMD_IOAS_MAP_FILE, "IOMMU_IOAS_MAP_FILE", iommu_ioas_map_file,
        { size In, flags In: flags(words::IOAS_MAP), ioas_id In, fd In: Signed, start In, length In, iova InOut }),
    iommufd!(IOMMUFD_CMD_VIOMMU_ALLOC, "IOMMU_VIOMMU_ALLOC", iommu_viommu_alloc,
        { size In, flags In, type_ In: Word(words::VIOMMU), dev_id In, hwpt_id In, out_viommu_id Out, data_len In, __reserved In, data_uptr In },
        pointers writes(32, |bytes| word(bytes, 24))),
    iommufd!(IOMMUFD_CMD_VDEVICE_ALLOC, "IOMMU_VDEVICE_ALLOC", iommu_vdevice_alloc,
        { size In, viommu_id In, dev_id In, out_vdevice_id Out, virt_id In }),
    iommufd!(IOMMUFD_CMD_IOAS_CHANGE_PROCESS, "IOMMU_IOAS_CHANGE_PROCESS", iommu_ioas_change_process,
        { size In, __reserved In }),
    iommufd!(IOMMUFD_CMD_VEVENTQ_ALLOC, "IOMMU_VEVENTQ_ALLOC", iommu_veventq_alloc,
        { size In, flags In, viommu_id In, type_ In: Word(words::VEVENTQ), veventq_depth In, out_veventq_id Out, out_veventq_fd Out: Signed,
          __reserved In }),
    iommufd!(IOMMUFD_CMD_HW_QUEUE_ALLOC, "IOMMU_HW_QUEUE_ALLOC", iommu_hw_queue_alloc,
        { size In, flags In, viommu_id In, type_ In: Word(words::HW_QUEUE), index In, out_hw_queue_id Out, nesting_parent_iova In, length In }),
    // Not in the bindings yet.
    Request {
        name: "IOMMU_IOAS_NOIOMMU_GET_PA",
        number: io(iommufd::IOMMUFD_CMD_BASE + 21),
        op: None,
        on: File::Iommufd,
        argument: Argument::Sized,
        size: 40,
        fields: &[
            field("size", 0, 4, In), field("flags", 4, 4, In), field("ioas_id", 8, 4, In), field("__reserved", 12, 4, In),
            field("iova", 16, 8, In), field("length", 24, 8, InOut), field("out_phys", 32, 8, Out),
        ],
        arrays: &[],
        pointers: &[],
        chain: None,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_so_are_numbers_on_one_kind_of_file() {
        let names: BTreeSet<_> = all().map(|request| request.name).collect();
        assert_eq!(names.len(), all().count());
        let numbers: BTreeSet<_> = all().map(|request| (request.number, request.op, request.on as u32)).collect();
        assert_eq!(numbers.len(), all().count());
        assert!(find("VFIO_IOMMU_MAP_DMA").is_some() && find("VFIO_IOMMU_MAP").is_none());
    }

    #[test]
    fn sizes_and_numbers_are_those_of_the_headers() {
        for (name, number, size) in [
            ("VFIO_GET_API_VERSION", 0x3b64, 0),
            ("VFIO_GROUP_SET_CONTAINER", 0x3b68, 4),
            ("VFIO_DEVICE_GET_INFO", 0x3b6b, 24),
            ("VFIO_DEVICE_GET_REGION_INFO", 0x3b6c, 32),
            ("VFIO_DEVICE_SET_IRQS", 0x3b6e, 20),
            ("VFIO_IOMMU_GET_INFO", 0x3b70, 24),
            ("VFIO_IOMMU_MAP_DMA", 0x3b71, 32),
            ("VFIO_IOMMU_UNMAP_DMA", 0x3b72, 24),
            ("VFIO_DEVICE_QUERY_GFX_PLANE", 0x3b72, 64),
            ("VFIO_DEVICE_FEATURE", 0x3b75, 8),
            ("VFIO_DEVICE_BIND_IOMMUFD", 0x3b76, 24),
            ("VFIO_DEVICE_ATTACH_IOMMUFD_PT", 0x3b77, 16),
            ("VFIO_DEVICE_DETACH_IOMMUFD_PT", 0x3b78, 12),
            ("IOMMU_DESTROY", 0x3b80, 8),
            ("IOMMU_IOAS_ALLOC", 0x3b81, 12),
            ("IOMMU_IOAS_IOVA_RANGES", 0x3b84, 32),
            ("IOMMU_IOAS_MAP", 0x3b85, 40),
            ("IOMMU_IOAS_COPY", 0x3b83, 40),
            ("IOMMU_OPTION", 0x3b87, 24),
            ("IOMMU_HWPT_ALLOC", 0x3b89, 48),
            ("IOMMU_GET_HW_INFO", 0x3b8a, 40),
            ("IOMMU_HWPT_GET_DIRTY_BITMAP", 0x3b8c, 48),
            ("IOMMU_IOAS_MAP_FILE", 0x3b8f, 40),
            ("IOMMU_IOAS_NOIOMMU_GET_PA", 0x3b95, 40),
            ("IOMMU_TEST_OP_DIRTY", 0x3ba0, 72),
        ] {
            let request = find(name).unwrap();
            assert_eq!((request.number, request.size), (number, size), "{name}");
        }
    }

    #[test]
    fn fields_stand_in_order_and_fill_the_struct() {
        // Where two names share a place, and where something reserved has more bytes than a number.
        let known = ["IOMMU_GET_HW_INFO"];
        let plain = |request: &&Request| request.argument != Argument::Number && !known.contains(&request.name);
        for request in all().filter(|request| plain(request) && request.op.is_none()) {
            let mut end = 0;
            for field in request.fields {
                assert_eq!(field.offset, end, "{}.{}", request.name, field.name);
                assert!([1, 2, 4, 8].contains(&field.width));
                end = field.end();
            }
            assert!(end >= request.size || request.size - end < 4, "{}", request.name);
            if request.argument == Argument::Sized {
                assert!(["argsz", "size"].contains(&request.fields[0].name) && request.fields[0].width == 4);
            }
        }
    }

    #[test]
    fn the_addresses_are_the_fields_that_hold_one() {
        let holds_one =
            ["vaddr", "bitmap.data", "token_uuid_ptr", "allowed_iovas", "user_va", "uptr", "data_uptr", "data"];
        for request in all() {
            for field in request.fields.iter().filter(|field| field.width == 8 && holds_one.contains(&field.name)) {
                let is_address = request.pointers.iter().any(|pointer| pointer.offset == field.offset);
                // What VFIO_DEVICE_IOEVENTFD calls data is a value for a register.
                assert_eq!(is_address, request.name != "VFIO_DEVICE_IOEVENTFD", "{}.{}", request.name, field.name);
            }
        }
    }

    #[test]
    fn a_number_is_never_taken_for_an_address() {
        for request in all().filter(|request| request.argument == Argument::Number) {
            assert_eq!(all().filter(|other| other.number == request.number).count(), 1, "{}", request.name);
        }
    }
}
