//! What is the same of all verbs, for those that go through a case's steps whichever they are.

use super::control::{Parallel, Repeat};
use super::data::{Compare, Fill, MemoryPoll, MemoryRead, MemoryWrite};
use super::device::{
    ConfigRead, ConfigWrite, Index, IrqEnable, IrqTrigger, IrqWait, MmioPoll, MmioRead, MmioWrite, RegionInfo,
};
use super::iommufd::{AllowedRange, DirtyBitmap, InIoas, IoasCopy, IommuOption, MapFile, Object, Where};
use super::object::{Ioctl, Mmap, Pread, Pwrite};
use super::step::{Map, Pagesize, Range, Step, Unmap};
use crate::language::{Dynamic, Name, Size, Template};

impl Step {
    /// Whether the verb gives a result that can be kept.
    pub fn gives(verb: &str) -> bool {
        matches!(verb, "call" | "parallel") || Step::is_call(verb)
    }

    /// What the result of a verb has, where that is the same for all of its steps; nothing of one that gives a list.
    pub fn fields(verb: &str) -> Option<&'static [&'static str]> {
        Some(match verb {
            "map" => &["iova", "size", "vaddr"],
            "map_file" | "copy" => &["iova", "size"],
            "unmap" | "unmap_all" | "pwrite" => &["bytes"],
            "info" => &["page_sizes", "dma_avail", "iova_alignment"],
            "accounting" => &["locked", "pinned"],
            "ioas" | "hwpt" | "attach" => &["id"],
            "option" | "config_read" | "mmio_read" | "mmio_poll" | "memory_read" | "memory_poll" => &["value"],
            "hw_info" => &["type", "capabilities", "dirty_tracking", "pasid_bits"],
            "dirty_bitmap" => &["pages", "dirty"],
            "device_info" => &["regions", "irqs", "resets"],
            "region_info" => &["size", "offset", "readable", "writable", "mappable"],
            "irq_info" => &["count", "maskable"],
            "irq_wait" => &["count"],
            "device_open" => &["intx", "msi", "msix", "resets"],
            "open" => &["fd"],
            "pread" => &["bytes", "value"],
            "mmap" => &["mapped", "value"],
            "parallel" => &["micros", "each"],
            _ => return None,
        })
    }

    /// Whether the verb is a call whose outcome can be expected; the others check by themselves.
    pub fn is_call(verb: &str) -> bool {
        !matches!(verb, "pagesize" | "gone" | "check" | "fill" | "compare" | "call" | "repeat" | "parallel")
    }

    /// Whether the verb reports bytes, which `expect` can hold it to.
    pub fn reports_bytes(verb: &str) -> bool {
        matches!(verb, "unmap" | "unmap_all" | "pread" | "pwrite")
    }

    /// The file that its verb is on, with the verb.
    pub fn file(&self) -> Option<(&'static str, &Name)> {
        let ioctl = self.ioctl.as_ref().map(|verb| ("ioctl", &verb.on));
        let pread = self.pread.as_ref().map(|verb| ("pread", &verb.on));
        let pwrite = self.pwrite.as_ref().map(|verb| ("pwrite", &verb.on));
        ioctl.or(pread).or(pwrite).or(self.mmap.as_ref().map(|verb| ("mmap", &verb.on)))
    }

    /// Whether the verb is about one device, and takes `device`; memory is mapped for all devices of a case.
    pub fn takes_device(verb: &str) -> bool {
        let of_device = ["device_", "config_", "mmio_", "irq_"].iter().any(|kind| verb.starts_with(kind));
        of_device
            || matches!(
                verb,
                "region_info"
                    | "call"
                    | "reset"
                    | "vf_token"
                    | "open"
                    | "ioctl"
                    | "pread"
                    | "pwrite"
                    | "mmap"
                    | "pagesize"
                    | "gone"
                    | "attach"
                    | "detach"
                    | "hwpt"
                    | "hw_info"
            )
    }

    /// Whether only the backend iommufd has what the verb is about.
    pub fn is_of_iommufd(verb: &str) -> bool {
        const ONLY_THERE: [&str; 10] =
            ["map_file", "copy", "allow_iovas", "ioas", "hwpt", "attach", "detach", "destroy", "option", "hw_info"];
        ONLY_THERE.contains(&verb)
    }

    /// Whether what it saves is an object of IOMMUFD.
    pub fn makes_object(&self) -> bool {
        self.ioas.is_some() || self.hwpt.is_some() || self.attach.is_some()
    }

    /// Whether the verb asserts something: a call that has to give what is expected, or a check. The others only prepare.
    pub fn asserts(verb: &str) -> bool {
        !matches!(verb, "close" | "accounting" | "fill" | "memory_write" | "repeat")
    }

    /// The sizes and numbers that its verbs take, with the verb and the key that each stands under.
    pub fn sizes<'a>(&'a self) -> Vec<(&'static str, &'static str, &'a Dynamic<Size>)> {
        let mut all = Vec::new();
        let mut add = |verb, keys: &[(&'static str, Option<&'a Dynamic<Size>>)]| {
            all.extend(keys.iter().filter_map(|(key, value)| Some((verb, *key, (*value)?))));
        };
        if let Some(Map { iova, size, offset, .. }) = self.map.as_deref() {
            add(
                "map",
                &[("iova", iova.as_ref().and_then(Where::at)), ("size", size.as_ref()), ("offset", offset.as_ref())],
            );
        }
        if let Some(Unmap { iova, size, .. }) = self.unmap.as_deref() {
            add("unmap", &[("iova", Some(iova)), ("size", Some(size))]);
        }
        if let Some(MapFile { iova, size, offset, .. }) = self.map_file.as_deref() {
            let iova = iova.as_ref().and_then(Where::at);
            add("map_file", &[("iova", iova), ("size", size.as_ref()), ("offset", offset.as_ref())]);
        }
        if let Some(IoasCopy { from_iova, size, iova, .. }) = self.copy.as_deref() {
            let iova = iova.as_ref().and_then(Where::at);
            add("copy", &[("from_iova", Some(from_iova)), ("size", Some(size)), ("iova", iova)]);
        }
        if let Some(IommuOption { set, .. }) = self.option.as_deref() {
            add("option", &[("set", set.as_ref())]);
        }
        if let Some(DirtyBitmap { iova, size, page, .. }) = self.dirty_bitmap.as_deref() {
            add("dirty_bitmap", &[("iova", Some(iova)), ("size", Some(size)), ("page", page.as_ref())]);
        }
        for (verb, key, object) in self.objects() {
            add(verb, &[(key, object.id())]);
        }
        if let Some(Range { iova, size }) = self.gone.as_deref() {
            add("gone", &[("iova", Some(iova)), ("size", Some(size))]);
        }
        if let Some(Pagesize { iova, size, is }) = self.pagesize.as_deref() {
            add("pagesize", &[("iova", Some(iova)), ("size", Some(size)), ("is", Some(is))]);
        }
        if let Some(Ioctl { size, .. }) = self.ioctl.as_deref() {
            add("ioctl", &[("size", size.as_ref())]);
        }
        if let Some(Pread { offset, size, .. }) = self.pread.as_deref() {
            add("pread", &[("offset", Some(offset)), ("size", Some(size))]);
        }
        if let Some(Pwrite { offset, size, value, .. }) = self.pwrite.as_deref() {
            add("pwrite", &[("offset", Some(offset)), ("size", Some(size)), ("value", Some(value))]);
        }
        if let Some(Mmap { offset, size, .. }) = self.mmap.as_deref() {
            add("mmap", &[("offset", Some(offset)), ("size", Some(size))]);
        }
        if let Some(Fill { offset, size, value, .. }) = self.fill.as_deref() {
            add("fill", &[("offset", offset.as_ref()), ("size", size.as_ref()), ("value", value.as_ref())]);
        }
        if let Some(Compare { offset, size, with_offset, value, .. }) = self.compare.as_deref() {
            add("compare", &[("offset", offset.as_ref()), ("size", size.as_ref()), ("value", value.as_ref())]);
            add("compare", &[("with_offset", with_offset.as_ref())]);
        }
        if let Some(MemoryRead { offset, .. }) = self.memory_read.as_deref() {
            add("memory_read", &[("offset", Some(offset))]);
        }
        if let Some(MemoryWrite { offset, value, .. }) = self.memory_write.as_deref() {
            add("memory_write", &[("offset", Some(offset)), ("value", Some(value))]);
        }
        if let Some(MemoryPoll { offset, mask, is, .. }) = self.memory_poll.as_deref() {
            add("memory_poll", &[("offset", Some(offset)), ("mask", mask.as_ref()), ("is", Some(is))]);
        }
        if let Some(Repeat { times, .. }) = self.repeat.as_deref() {
            add("repeat", &[("times", Some(times))]);
        }
        if let Some(Parallel { times, .. }) = self.parallel.as_deref() {
            add("parallel", &[("times", times.as_ref())]);
        }
        if let Some(RegionInfo { region }) = self.region_info.as_deref() {
            add("region_info", &[("region", Some(region))]);
        }
        if let Some(ConfigRead { offset, .. }) = self.config_read.as_deref() {
            add("config_read", &[("offset", Some(offset))]);
        }
        if let Some(ConfigWrite { offset, value, .. }) = self.config_write.as_deref() {
            add("config_write", &[("offset", Some(offset)), ("value", Some(value))]);
        }
        if let Some(MmioRead { bar, offset, .. }) = self.mmio_read.as_deref() {
            add("mmio_read", &[("bar", Some(bar)), ("offset", Some(offset))]);
        }
        if let Some(MmioWrite { bar, offset, value, .. }) = self.mmio_write.as_deref() {
            add("mmio_write", &[("bar", Some(bar)), ("offset", Some(offset)), ("value", Some(value))]);
        }
        if let Some(MmioPoll { bar, offset, mask, is, .. }) = self.mmio_poll.as_deref() {
            let keys = [("bar", Some(bar)), ("offset", Some(offset)), ("mask", mask.as_ref()), ("is", Some(is))];
            add("mmio_poll", &keys);
        }
        if let Some(IrqEnable { count, .. }) = self.irq_enable.as_deref() {
            add("irq_enable", &[("count", count.as_ref())]);
        }
        if let Some(IrqTrigger { vector, .. }) = self.irq_trigger.as_deref() {
            add("irq_trigger", &[("vector", vector.as_ref())]);
        }
        if let Some(IrqWait { vector, .. }) = self.irq_wait.as_deref() {
            add("irq_wait", &[("vector", vector.as_ref())]);
        }
        all
    }

    /// The names of regions that its verbs take, with the verb and the key that each stands under.
    pub fn regions(&self) -> Vec<(&'static str, &'static str, &Name)> {
        let named = [
            ("map", "region", self.map.as_ref().map(|verb| &verb.region)),
            ("map_file", "region", self.map_file.as_ref().map(|verb| &verb.region)),
            ("fill", "region", self.fill.as_ref().map(|verb| &verb.region)),
            ("compare", "region", self.compare.as_ref().map(|verb| &verb.region)),
            ("compare", "with", self.compare.as_ref().and_then(|verb| verb.with.as_ref())),
            ("memory_read", "region", self.memory_read.as_ref().map(|verb| &verb.region)),
            ("memory_write", "region", self.memory_write.as_ref().map(|verb| &verb.region)),
            ("memory_poll", "region", self.memory_poll.as_ref().map(|verb| &verb.region)),
        ];
        named.into_iter().filter_map(|(verb, key, region)| Some((verb, key, region?))).collect()
    }

    /// The texts that its verbs take, with the verb and the key that each stands under.
    pub fn texts(&self) -> Vec<(&'static str, &'static str, &Template)> {
        let fill = self.fill.iter().filter_map(|verb| Some(("fill", "pattern", verb.pattern.as_ref()?)));
        let compare = self.compare.iter().filter_map(|verb| Some(("compare", "pattern", verb.pattern.as_ref()?)));
        let open = self.device_open.iter().filter_map(|verb| Some(("device_open", "token", verb.token.as_ref()?)));
        let token = self.vf_token.iter().map(|verb| ("vf_token", "token", &verb.token));
        fill.chain(compare).chain(open).chain(token).collect()
    }

    /// The ranges of its `allow_iovas`.
    pub fn allowed_ranges(&self) -> &[AllowedRange] {
        self.allow_iovas.as_ref().map_or(&[], |allow| &allow.ranges)
    }

    /// The objects of IOMMUFD that its verb names, with the verb and the key that each stands under.
    pub fn objects(&self) -> Vec<(&'static str, &'static str, &Object)> {
        fn of(taken: &Option<Box<InIoas>>) -> Option<&Object> {
            taken.as_ref().and_then(|taken| taken.ioas.as_ref())
        }
        let all = [
            ("map", "ioas", self.map.as_ref().and_then(|map| map.ioas.as_ref())),
            ("unmap", "ioas", self.unmap.as_ref().and_then(|unmap| unmap.ioas.as_ref())),
            ("unmap_all", "ioas", of(&self.unmap_all)),
            ("iova_ranges", "ioas", of(&self.iova_ranges)),
            ("info", "ioas", of(&self.info)),
            ("map_file", "ioas", self.map_file.as_ref().and_then(|map| map.ioas.as_ref())),
            ("copy", "from_ioas", self.copy.as_ref().and_then(|copy| copy.from_ioas.as_ref())),
            ("copy", "ioas", self.copy.as_ref().and_then(|copy| copy.ioas.as_ref())),
            ("allow_iovas", "ioas", self.allow_iovas.as_ref().and_then(|allow| allow.ioas.as_ref())),
            ("hwpt", "ioas", self.hwpt.as_ref().and_then(|hwpt| hwpt.ioas.as_ref())),
            ("attach", "to", self.attach.as_ref().and_then(|attach| attach.to.as_ref())),
            ("destroy", "object", self.destroy.as_ref().map(|destroy| &destroy.object)),
            ("option", "ioas", self.option.as_ref().and_then(|option| option.ioas.as_ref())),
            ("dirty_tracking", "hwpt", self.dirty_tracking.as_ref().and_then(|dirty| dirty.hwpt.as_ref())),
            ("dirty_bitmap", "hwpt", self.dirty_bitmap.as_ref().and_then(|dirty| dirty.hwpt.as_ref())),
        ];
        all.into_iter().filter_map(|(verb, key, object)| Some((verb, key, object?))).collect()
    }

    /// Where its verb maps something, with the verb.
    pub fn target(&self) -> Option<(&'static str, &Where)> {
        let map = self.map.as_ref().and_then(|map| Some(("map", map.iova.as_ref()?)));
        let map_file = self.map_file.as_ref().and_then(|map| Some(("map_file", map.iova.as_ref()?)));
        map.or(map_file).or(self.copy.as_ref().and_then(|copy| Some(("copy", copy.iova.as_ref()?))))
    }

    /// The kind of interrupt that its verb takes, with the verb.
    pub fn irq_index(&self) -> Option<(&'static str, &Dynamic<Index>)> {
        let info = self.irq_info.as_ref().map(|verb| ("irq_info", &verb.index));
        let enable = self.irq_enable.as_ref().map(|verb| ("irq_enable", &verb.index));
        let trigger = self.irq_trigger.as_ref().map(|verb| ("irq_trigger", &verb.index));
        let wait = self.irq_wait.as_ref().map(|verb| ("irq_wait", &verb.index));
        let disable = self.irq_disable.as_ref().map(|verb| ("irq_disable", &verb.index));
        info.or(enable).or(trigger).or(wait).or(disable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_verb_gives_is_told_where_it_is_explained() {
        let schema = crate::language::schema();
        let keys = &schema["definitions"]["Step"]["properties"];
        for verb in Step::VERBS {
            let told = keys[verb]["description"].as_str().unwrap();
            for field in Step::fields(verb).unwrap_or_default() {
                assert!(told.contains(&format!("`{field}`")), "{verb} gives `{field}`: {told}");
            }
        }
    }
}
