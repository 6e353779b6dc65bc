// SPDX-License-Identifier: MIT OR Apache-2.0
//! The features of `VFIO_DEVICE_FEATURE`, each with its data behind the struct.

use vfio_bindings::bindings::vfio;

use super::Direction::{In, InOut, Out};
use super::Means::{Flags, Signed, Word};
use super::{Argument, Field, File, Means, Request, arrays, table::field, words};
use crate::uapi::vfio::request;

/// What may be done with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Set,
}

impl Method {
    /// The bit of `flags` for it.
    pub fn flag(self) -> u32 {
        match self {
            Method::Get => vfio::VFIO_DEVICE_FEATURE_GET,
            Method::Set => vfio::VFIO_DEVICE_FEATURE_SET,
        }
    }
}

/// The bit of `flags` that asks whether there is a feature.
pub const PROBE: u32 = vfio::VFIO_DEVICE_FEATURE_PROBE;

#[derive(Debug)]
pub struct Feature {
    /// Its name in the header in lower case.
    pub name: &'static str,
    pub number: u32,
    /// What the header has for it.
    pub methods: &'static [Method],
    /// `VFIO_DEVICE_FEATURE` with its data, whose fields are called as in the header. The `flags` of `vfio_device_feature` itself are
    /// called [`FLAGS`], because the data may have fields of that name.
    pub request: Request,
}

/// The name of the field with the feature's number and the method.
pub const FLAGS: &str = "feature";

const ARGSZ: Field = field("argsz", 0, 4, In);
const HEAD: Field = field(FLAGS, 4, 4, In).means(Flags { bits: words::FEATURE_FLAGS, rest: words::FEATURE });

/// A feature: its name, number, methods, the bytes of its data, the fields in it, and the list behind them.
macro_rules! feature {
    ($name:literal, $number:expr, [$($method:ident),*], $size:literal $(, $field:expr)* $(; $array:expr)?) => {
        Feature {
            name: $name,
            number: $number,
            methods: &[$(Method::$method),*],
            request: Request {
                op: None,
                name: "VFIO_DEVICE_FEATURE",
                number: request(17),
                on: File::Device,
                argument: Argument::Sized,
                size: 8 + $size,
                fields: &[ARGSZ, HEAD $(, $field)*],
                arrays: &[$($array)?],
                // Those of the request as such count: they are for every feature.
                pointers: &[],
                chain: None,
            },
        }
    };
}

/// All features, in the order of their numbers. The fields stand at their offsets from the argument's start.
#[rustfmt::skip]
pub static FEATURES: &[Feature] = &[
    feature!("pci_vf_token", vfio::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, [Set], 16; arrays::UUID),
    feature!("migration", vfio::VFIO_DEVICE_FEATURE_MIGRATION, [Get], 8,
        field("flags", 8, 8, Out).means(Means::flags(words::MIGRATION))),
    feature!("mig_device_state", vfio::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, [Get, Set], 8,
        field("device_state", 8, 4, InOut).means(Word(words::DEVICE_STATE)), field("data_fd", 12, 4, Out).means(Signed)),
    feature!("low_power_entry", vfio::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, [Set], 0),
    feature!("low_power_entry_with_wakeup", vfio::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, [Set], 8,
        field("wakeup_eventfd", 8, 4, In).means(Signed), field("reserved", 12, 4, In)),
    feature!("low_power_exit", vfio::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, [Set], 0),
    feature!("dma_logging_start", vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_START, [Set], 24,
        field("page_size", 8, 8, InOut), field("num_ranges", 16, 4, In), field("__reserved", 20, 4, In), field("ranges", 24, 8, In)),
    feature!("dma_logging_stop", vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, [Set], 0),
    feature!("dma_logging_report", vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, [Get], 32,
        field("iova", 8, 8, In), field("length", 16, 8, In), field("page_size", 24, 8, In), field("bitmap", 32, 8, In)),
    feature!("mig_data_size", vfio::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, [Get], 8, field("stop_copy_length", 8, 8, Out)),
    feature!("bus_master", vfio::VFIO_DEVICE_FEATURE_BUS_MASTER, [Set], 4, field("op", 8, 4, In).means(Word(words::BUS_MASTER))),
    feature!("dma_buf", vfio::VFIO_DEVICE_FEATURE_DMA_BUF, [Get], 16,
        field("region_index", 8, 4, In).means(Word(words::REGION_INDEX)), field("open_flags", 12, 4, In).means(Means::flags(words::OPEN)),
        field("flags", 16, 4, In), field("nr_ranges", 20, 4, In); arrays::DMA_RANGES),
    feature!("mig_precopy_info_v2", vfio::VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, [Set], 0),
    feature!("zpci_error", words::ZPCI_ERROR, [Get], 8, field("data", 8, 8, In)),
];

impl Feature {
    pub fn find(name: &str) -> Option<&'static Feature> {
        FEATURES.iter().find(|feature| feature.name == name)
    }

    /// Whether what it gets is a file.
    pub fn makes_file(&self) -> bool {
        self.number == vfio::VFIO_DEVICE_FEATURE_DMA_BUF
    }

    /// The fields of its data.
    pub fn data(&self) -> &'static [Field] {
        &self.request.fields[2..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_header_is_a_feature() {
        for (feature, (name, number)) in FEATURES.iter().zip(words::FEATURE) {
            let name = if *name == "MIG_PRECOPY_INFOv2" { "MIG_PRECOPY_INFO_V2" } else { name };
            assert_eq!((feature.name.to_uppercase().as_str(), u64::from(feature.number)), (name, *number));
        }
        assert_eq!(FEATURES.len(), words::FEATURE.len());
    }

    #[test]
    fn the_data_of_a_feature_is_as_long_as_its_struct() {
        let size = |name: &str| Feature::find(name).unwrap().request.size - 8;
        assert_eq!(size("migration"), size_of::<vfio::vfio_device_feature_migration>());
        assert_eq!(size("mig_device_state"), size_of::<vfio::vfio_device_feature_mig_state>());
        assert_eq!(size("low_power_entry_with_wakeup"), size_of::<vfio::vfio_device_low_power_entry_with_wakeup>());
        assert_eq!(size("dma_logging_start"), size_of::<vfio::vfio_device_feature_dma_logging_control>());
        assert_eq!(size("dma_logging_report"), size_of::<vfio::vfio_device_feature_dma_logging_report>());
        assert_eq!(size("mig_data_size"), size_of::<vfio::vfio_device_feature_mig_data_size>());
        assert_eq!(size("bus_master"), size_of::<vfio::vfio_device_feature_bus_master>());
        assert_eq!(size("dma_buf"), size_of::<vfio::vfio_device_feature_dma_buf>());
        for feature in FEATURES.iter().filter(|feature| feature.request.arrays.is_empty()) {
            let end = feature.request.fields.iter().map(|field| field.offset + field.width).max();
            assert_eq!(end, Some(feature.request.size), "{}", feature.name);
        }
    }

    #[test]
    fn a_list_has_its_number_of_elements_written() {
        let request = &Feature::find("dma_buf").unwrap().request;
        let array = request.array("dma_ranges").unwrap();
        let range = vec![(&array.element[0], 4096), (&array.element[1], 8192)];
        let prepared =
            request.prepare(&[(FLAGS, 1 << 16 | 11)], &[(array, vec![range.clone(), range])], None, &[], &[]);
        let shown = format!("{:?}", prepared.unwrap());
        assert!(
            shown.contains("argsz=56, feature=GET|DMA_BUF, nr_ranges=2, dma_ranges=[{offset=0x1000, length=0x2000}, {"),
            "{shown}"
        );
    }
}
