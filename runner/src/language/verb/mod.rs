// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verbs of the language, one file each: its keys with their documentation, and the facts that hold for all its steps.
//!
//! What a verb does is in `engine/verb/`, in a file of the same name.

mod about;
mod fit;
mod given;
mod header;
mod keys;
mod mistakes;
mod prelude;
mod shared;

mod accounting;
mod allow_iovas;
mod attach;
mod call;
mod check;
mod child;
mod close;
mod compare;
mod config_poll;
mod config_read;
mod config_write;
mod copy;
mod destroy;
mod detach;
mod device_close;
mod device_info;
mod device_open;
mod dirty_bitmap;
mod dirty_tracking;
mod event_signal;
mod event_wait;
mod explore;
mod fail_nth;
mod fault_answer;
mod fault_read;
mod feature;
mod features;
mod fill;
mod finally;
mod gone;
mod hot_reset;
mod hw_info;
mod hwpt;
mod info;
mod ioas;
mod ioctl;
mod ioeventfd;
mod iova_ranges;
mod irq_disable;
mod irq_enable;
mod irq_info;
mod irq_mask;
mod irq_trigger;
mod irq_unmask;
mod irq_wait;
mod kernel_memory;
mod lab_fault;
mod madvise;
mod map;
mod map_file;
mod measure;
mod memory_poll;
mod memory_read;
mod memory_write;
mod mlock;
mod mmap;
mod mmio_poll;
mod mmio_read;
mod mmio_submit;
mod mmio_write;
mod mprotect;
mod mremap;
mod munlock;
mod munmap;
mod open;
mod option;
mod pagesize;
mod parallel;
mod power;
mod pread;
mod punch_hole;
mod pwrite;
mod reach;
mod read;
mod region_info;
mod repeat;
mod reset;
mod sysfs;
mod truncate;
mod unmap;
mod unmap_all;
mod vf_token;
mod write;

use crate::language::{At, Decode, Diagnostic, Node, Path, Step};
use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

pub use about::{About, Expects, Known, Saves, Site, Stands};
pub use allow_iovas::AllowedRange;
pub use child::CapabilityName;
pub use fault_answer::FaultCode;
pub use feature::FeatureName;
pub use fit::{Fit, MOST_THREADS, MOST_VECTORS};
pub use given::{Element, Given, is_bytes};
pub use header::{ConfigPlace, RegisterValue};
pub use hwpt::HwptFlag;
pub use ioctl::{RequestName, Tail};
pub use keys::{Key, Keyed, Keys};
pub use madvise::Advice;
pub(super) use mistakes::unknown_device;
pub use open::File;
pub use option::OptionName;
pub use power::PowerState;
pub use reach::COPYING;
pub use region_info::RegionNumber;
pub use reset::ResetMethod;
pub use shared::{
    Access, Bits, InIoas, Index, Interrupts, NoArguments, Object, OneInterrupt, PartOfRegion, Structure, Where,
};
pub use sysfs::{SysfsFact, SysfsOrder};

/// The verbs that call procedures of packs, or may do so.
pub const CALLING: [&str; 3] = ["call", "reach", "explore"];

/// Hands the list of verbs to a macro: the name in a file, and the type that says what it takes. The order is that of the reference.
macro_rules! verbs {
    ($for_all:ident) => {
        $for_all! {
            map => map::Map,
            unmap => unmap::Unmap,
            unmap_all => unmap_all::UnmapAll,
            iova_ranges => iova_ranges::IovaRanges,
            info => info::Info,
            map_file => map_file::MapFile,
            copy => copy::IoasCopy,
            allow_iovas => allow_iovas::AllowIovas,
            ioas => ioas::Ioas,
            hwpt => hwpt::Hwpt,
            attach => attach::Attach,
            detach => detach::Detach,
            destroy => destroy::Destroy,
            fault_read => fault_read::FaultRead,
            fault_answer => fault_answer::FaultAnswer,
            option => option::IommuOption,
            hw_info => hw_info::HwInfo,
            dirty_tracking => dirty_tracking::DirtyTracking,
            dirty_bitmap => dirty_bitmap::DirtyBitmap,
            accounting => accounting::Accounting,
            kernel_memory => kernel_memory::KernelMemory,
            device_info => device_info::DeviceInfo,
            region_info => region_info::RegionInfo,
            config_read => config_read::ConfigRead,
            config_write => config_write::ConfigWrite,
            config_poll => config_poll::ConfigPoll,
            mmio_read => mmio_read::MmioRead,
            mmio_write => mmio_write::MmioWrite,
            mmio_submit => mmio_submit::MmioSubmit,
            mmio_poll => mmio_poll::MmioPoll,
            irq_info => irq_info::IrqInfo,
            irq_enable => irq_enable::IrqEnable,
            irq_trigger => irq_trigger::IrqTrigger,
            irq_wait => irq_wait::IrqWait,
            irq_mask => irq_mask::IrqMask,
            irq_unmask => irq_unmask::IrqUnmask,
            irq_disable => irq_disable::IrqDisable,
            event_signal => event_signal::EventSignal,
            event_wait => event_wait::EventWait,
            ioeventfd => ioeventfd::IoEventFd,
            reset => reset::Reset,
            hot_reset => hot_reset::HotReset,
            features => features::Features,
            feature => feature::Feature,
            power => power::Power,
            sysfs => sysfs::Sysfs,
            device_open => device_open::DeviceOpen,
            device_close => device_close::DeviceClose,
            vf_token => vf_token::VfToken,
            open => open::Open,
            close => close::Close,
            ioctl => ioctl::Ioctl,
            pread => pread::Pread,
            pwrite => pwrite::Pwrite,
            read => read::FileRead,
            write => write::FileWrite,
            mmap => mmap::Mmap,
            pagesize => pagesize::Pagesize,
            gone => gone::Gone,
            lab_fault => lab_fault::LabFault,
            check => check::Check,
            fill => fill::Fill,
            compare => compare::Compare,
            memory_read => memory_read::MemoryRead,
            memory_write => memory_write::MemoryWrite,
            memory_poll => memory_poll::MemoryPoll,
            munmap => munmap::Munmap,
            mprotect => mprotect::Mprotect,
            mremap => mremap::Mremap,
            madvise => madvise::Madvise,
            mlock => mlock::Mlock,
            munlock => munlock::Munlock,
            truncate => truncate::Truncate,
            punch_hole => punch_hole::PunchHole,
            call => call::Call,
            reach => reach::Reach,
            repeat => repeat::Repeat,
            finally => finally::Finally,
            fail_nth => fail_nth::FailNth,
            measure => measure::Measure,
            parallel => parallel::Parallel,
            child => child::Child,
            explore => explore::Explore,
        }
    };
}
pub(crate) use verbs;

/// Makes the enum of the verbs, and whatever goes through all of them.
macro_rules! declare {
    ($($name:ident => $module:ident::$Verb:ident,)*) => {
        $(pub use $module::$Verb;)*

        /// What a step does.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Verb {
            $(#[doc = concat!("`", stringify!($name), "`")] $Verb(Box<$Verb>),)*
        }

        impl Verb {
            /// The name of every verb.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];
            /// The facts about every verb.
            pub const ABOUT: &[About] = &[$($Verb::ABOUT),*];

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self { $(Verb::$Verb(_) => stringify!($name),)* }
            }

            /// The facts about it.
            pub fn about(&self) -> &'static About {
                match self { $(Verb::$Verb(_) => const { &$Verb::ABOUT },)* }
            }

            /// The keys that it has, each with its value.
            pub fn keys(&self) -> Keys<'_> {
                match self { $(Verb::$Verb(verb) => verb.keys(),)* }
            }

            /// Whether its result has the time that it took: what calls the kernel, has a result anyway, or repeats steps.
            pub fn is_timed(&self) -> bool {
                let about = self.about();
                !matches!(about.expects, Expects::Nothing(_))
                    || about.saves != Saves::Nothing
                    || matches!(self, Verb::Repeat(_))
            }

            /// What a list of assertions calls the step.
            pub fn title(&self) -> Option<String> {
                match self { $(Verb::$Verb(verb) => verb.title(),)* }
            }

            /// The lists of steps that it holds, each with its place, in a step at `at`.
            pub fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
                match self { $(Verb::$Verb(verb) => verb.nested(at),)* }
            }

            /// The names of the procedures that it calls.
            pub fn procedures(&self) -> Vec<&str> {
                match self { $(Verb::$Verb(verb) => verb.procedures(),)* }
            }

            /// The fields of its result, where they vary and are known.
            pub fn fields(&self) -> Option<Vec<&'static str>> {
                match self { $(Verb::$Verb(verb) => verb.fields(),)* }
            }

            /// What is wrong with it beyond what each key says by itself.
            pub fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
                match self { $(Verb::$Verb(verb) => verb.mistakes(site),)* }
            }

            /// Reads the value of the verb of this name, and makes one up if it cannot be read; `None` if there is no such verb.
            pub(super) fn read<'d>(name: &'d str, node: &'d Node, at: &mut At<'d>) -> Option<Verb> {
                Some(match name {
                    $(stringify!($name) => Verb::$Verb(at.key(name, node).unwrap_or_else(Decode::made_up)),)*
                    _ => return None,
                })
            }

            /// What may stand behind each verb's colon.
            pub(super) fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
                vec![$(generator.subschema_for::<$Verb>()),*]
            }
        }

        impl Serialize for Verb {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Verb::$Verb(verb) => verb.serialize(serializer),)* }
            }
        }

        $(impl From<$Verb> for Verb {
            fn from(verb: $Verb) -> Verb {
                Verb::$Verb(Box::new(verb))
            }
        })*
    };
}
verbs!(declare);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Problems, decode, parse, schema};
    use serde_json::Value;

    /// A step with the verb, and nothing wrong with it.
    fn step(verb: &str, value: &Value) -> Step {
        let text = serde_json::to_string(&serde_json::json!({ verb: value })).expect("JSON");
        let (node, mut problems): (Node, _) = (parse(&text).expect("JSON is YAML"), Problems::new());
        decode(&node, &mut problems).unwrap_or_else(|| panic!("{text}: {problems:?}"))
    }

    #[test]
    fn what_a_verb_saves_is_said_where_it_is_explained() {
        for (name, about) in Verb::NAMES.iter().zip(Verb::ABOUT) {
            if let Saves::Fields(fields) = about.saves {
                for field in fields {
                    assert!(about.does.contains(&format!("`{field}`")), "{name} saves `{field}`: {}", about.does);
                }
            }
            assert_eq!(about.saves == Saves::Nothing, !about.does.contains("Saves "), "{name}: {}", about.does);
        }
    }

    #[test]
    fn every_key_of_every_verb_is_read() {
        let schema = schema();
        for name in Verb::NAMES {
            let key = &schema["definitions"]["Step"]["properties"][*name];
            let of = key["allOf"][0]["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
            let keys = of.and_then(|of| schema["definitions"][of]["properties"].as_object());
            // With all its keys at once, each with the example that editors show.
            let (mut all, mut documented) = (serde_json::Map::new(), Vec::new());
            for (key, value) in keys.into_iter().flatten() {
                all.insert(key.clone(), value["examples"][0].clone());
                documented.push(key.as_str());
            }
            let value = if documented.is_empty() { key["examples"][0].clone() } else { Value::Object(all) };
            let step = step(name, &value);
            let read: Vec<&str> = step.verb.keys().into_iter().map(|(key, _)| key).collect();
            match &step.verb {
                Verb::Call(_) => assert_eq!(read, ["procedure", "with"]),
                _ if documented.is_empty() => assert!(read.iter().all(|key| key.is_empty()), "{name}: {read:?}"),
                _ => assert_eq!(read, documented, "{name}"),
            }
        }
    }

    #[test]
    fn every_example_is_a_step() {
        for (name, about) in Verb::NAMES.iter().zip(Verb::ABOUT) {
            assert!(!about.examples.is_empty(), "{name}");
            for example in about.examples {
                let value = serde_yaml::from_str(example).expect("the examples of a verb are YAML");
                let verb = step(name, &value).verb;
                assert_eq!(verb.name(), *name);
                assert!(verb.procedures().is_empty() || CALLING.contains(name), "{name} calls procedures");
            }
        }
    }
}
