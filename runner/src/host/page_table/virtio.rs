// SPDX-License-Identifier: MIT OR Apache-2.0
//! What virtio-iommu was told, as QEMU wrote it down outside of the guest: it has no page table there.
//!
//! The lab gives its guest the file as it grows. Each line is an event of QEMU's `hw/virtio/trace-events`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{IommuKind, Leaf, Opened, Reader, Root, Source, Unobservable};
use crate::{host::facts::TOLD, model::Bdf};

/// The events that say what it was told. QEMU writes them in order, and before the guest knows that it was heard.
pub const EVENTS: [&str; 7] = [
    "virtio_iommu_attach",
    "virtio_iommu_detach_endpoint_from_domain",
    "virtio_iommu_put_domain",
    "virtio_iommu_map",
    "virtio_iommu_unmap_done",
    "virtio_iommu_device_reset_exit",
    "virtio_iommu_system_reset",
];

pub(super) const SOURCE: Source = Source { kind: IommuKind::Virtio, open };

/// What this process has heard, and from which file. The file has tens of megabytes at the end of a long run, so that reading it from its
/// beginning for each device that is opened took most of the run's time. It is not kept open: a case must leave no file behind.
static HEARD: Mutex<Option<(PathBuf, Arc<Mutex<Heard>>)>> = Mutex::new(None);

#[derive(Debug)]
struct Told {
    endpoint: u32,
    file: File,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// How many bytes of the file it has taken in.
    bytes: u64,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
    state: State,
}

/// What the IOMMU knows, by what it was told.
#[derive(Debug, Default)]
struct State {
    /// The domain of each endpoint.
    endpoints: BTreeMap<u32, u32>,
    /// Mappings of each domain, by the first byte.
    domains: BTreeMap<u32, BTreeMap<u64, Mapping>>,
}

#[derive(Debug)]
struct Mapping {
    last: u64,
    phys: u64,
    flags: u32,
}

fn open(root: &Root, Bdf { bus, device, function, .. }: Bdf) -> Opened {
    let path = root.join(Path::new(TOLD.trim_start_matches('/')).join("log"));
    // QEMU numbers endpoints as PCI numbers functions.
    let endpoint = u32::from(bus) << 8 | u32::from(device) << 3 | u32::from(function);
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Unobservable("virtio-iommu has no page table in the guest, and nothing shows what it was told".into())
        }
        _ => Unobservable(format!("failed to read what virtio-iommu was told: {error}")),
    })?;
    let mut known = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    let heard = match &*known {
        Some((of, heard)) if *of == path => heard.clone(),
        _ => known.insert((path, Arc::default())).1.clone(),
    };
    Ok(Arc::new(Told { endpoint, file, heard }))
}

impl Reader for Told {
    fn name(&self) -> &'static str {
        "what virtio-iommu was told"
    }

    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.listen(&self.file)?;
        Ok(heard.state.leaves(self.endpoint, first, last))
    }
}

impl Heard {
    /// Takes in what was written since the last time.
    fn listen(&mut self, mut file: &File) -> io::Result<()> {
        let Heard { bytes, rest, state } = self;
        let mut new = Vec::new();
        file.seek(SeekFrom::Start(*bytes))?;
        *bytes += file.read_to_end(&mut new)? as u64;
        rest.append(&mut new);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in rest[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            state.hear(&line).ok_or_else(|| io::Error::other(format!("failed to read '{line}'")))?;
        }
        rest.drain(..whole);
        Ok(())
    }
}

impl State {
    /// Takes in one line; `None` if it is not as QEMU writes it.
    fn hear(&mut self, line: &str) -> Option<()> {
        let (event, fields) = line.split_once(' ')?;
        let field = |name: &str| {
            let value = fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
            value.strip_prefix("0x").map_or_else(|| value.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
        };
        let number = |name: &str| u32::try_from(field(name)?).ok();
        match event {
            "virtio_iommu_attach" => {
                self.endpoints.insert(number("endpoint")?, number("domain")?);
            }
            // It says so after it was attached to another one, too.
            "virtio_iommu_detach_endpoint_from_domain" => {
                let (endpoint, domain) = (number("endpoint")?, number("domain")?);
                if self.endpoints.get(&endpoint) == Some(&domain) {
                    self.endpoints.remove(&endpoint);
                }
            }
            "virtio_iommu_put_domain" => {
                self.domains.remove(&number("domain")?);
            }
            "virtio_iommu_map" => {
                let mapping = Mapping { last: field("virt_end")?, phys: field("phys_start")?, flags: number("flags")? };
                self.domains.entry(number("domain")?).or_default().insert(field("virt_start")?, mapping);
            }
            "virtio_iommu_unmap_done" => {
                let first = field("virt_start")?;
                self.domains.get_mut(&number("domain")?)?.remove(&first)?;
            }
            "virtio_iommu_device_reset_exit" | "virtio_iommu_system_reset" => *self = State::default(),
            // Something else that QEMU has to say.
            _ => {}
        }
        Some(())
    }

    fn leaves(&self, endpoint: u32, first: u64, last: u64) -> Vec<Leaf> {
        let mappings = self.endpoints.get(&endpoint).and_then(|domain| self.domains.get(domain));
        let within = mappings.into_iter().flat_map(|mappings| mappings.range(..=last));
        let within = within.filter(|(_, mapping)| mapping.last >= first);
        let leaf = |(&iova, &Mapping { last, phys, flags }): (&u64, &Mapping)| Leaf {
            iova,
            phys,
            page_size: (last - iova).saturating_add(1),
            entry_size: None,
            read: flags & 1 != 0,
            write: flags & 2 != 0,
            always_readable: false,
        };
        within.map(leaf).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::*;

    /// As QEMU 11.1 wrote it for 0000:03:00.0, whose number is 0x300.
    const LOG: &str = "\
virtio_iommu_system_reset system reset!
virtio_iommu_device_reset_exit reset!
virtio_iommu_attach domain=3 endpoint=768
virtio_iommu_attach domain=4 endpoint=248
virtio_iommu_map domain=3 virt_start=0x200000 virt_end=0x203fff phys_start=0x14b62f000 flags=3
virtio_iommu_map domain=4 virt_start=0x200000 virt_end=0x200fff phys_start=0x14b633000 flags=3
virtio_iommu_map domain=3 virt_start=0x401000 virt_end=0x600fff phys_start=0x17b400000 flags=1
virtio_iommu_map domain=3 virt_start=0x700000 virt_end=0x700fff phys_start=0x17b400000 flags=2
";

    fn add(tree: &Tree, text: &str) {
        use std::io::Write;
        let path = tree.root().join("vfiospec/told/log");
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_one_reader_heard_the_next_one_knows_and_no_file_stays_open() {
        let tree = Tree::new("told-again");
        tree.put("vfiospec/told/log", LOG);
        let path = tree.root().join("vfiospec/told/log");
        let seen = || open(&tree.root(), tree.bdf()).unwrap().leaves(0, u64::MAX).unwrap().len();
        assert_eq!(seen(), 3);
        add(&tree, "virtio_iommu_unmap_done domain=3 virt_start=0x200000 virt_end=0x203fff\n");
        assert_eq!(seen(), 2);
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let left = files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == path)).count();
        assert_eq!(left, 0, "a case that opens a device would leave it");
    }

    #[test]
    fn what_it_was_told_is_followed_as_it_is_written() {
        let tree = Tree::new("told");
        assert!(open(&tree.root(), tree.bdf()).unwrap_err().to_string().ends_with("nothing shows what it was told"));
        tree.put("vfiospec/told/log", LOG);
        let reader = open(&tree.root(), tree.bdf()).unwrap();
        let seen = |first, last| {
            let leaves = reader.leaves(first, last).unwrap().into_iter();
            leaves.map(|leaf| (leaf.iova, leaf.page_size, leaf.read, leaf.write)).collect::<Vec<_>>()
        };
        let (small, large) = ((0x20_0000, 0x4000, true, true), (0x40_1000, 0x20_0000, true, false));
        assert_eq!(seen(0, u64::MAX), [small, large, (0x70_0000, 0x1000, false, true)]);
        assert_eq!(seen(0x20_3fff, 0x40_0fff), [small]);
        add(&tree, "virtio_iommu_unmap_done domain=3 virt_start=0x200000 virt_end=0x203fff\nvirtio_iommu_put_dom");
        assert_eq!(seen(0, 0x50_0000), [large]);
        add(&tree, "ain Free domain=9\nvirtio_iommu_attach domain=5 endpoint=768\n");
        assert_eq!(seen(0, u64::MAX), []);
        add(
            &tree,
            "virtio_iommu_detach_endpoint_from_domain domain=3 endpoint=768\nvirtio_iommu_put_domain Free domain=3\n",
        );
        add(&tree, "virtio_iommu_map domain=5 virt_start=0x0 virt_end=0xffffffffffffffff phys_start=0x0 flags=3\n");
        assert_eq!(seen(7, 7), [(0, u64::MAX, true, true)]);
        add(&tree, "virtio_iommu_detach_endpoint_from_domain domain=5 endpoint=768\n");
        assert_eq!(seen(0, u64::MAX), []);
        add(&tree, "virtio_iommu_unmap_done domain=5 virt_start=0x3000 virt_end=0x3fff\n");
        assert!(reader.leaves(0, 0).unwrap_err().to_string().starts_with("failed to read 'virtio_iommu_unmap_done"));
    }
}
