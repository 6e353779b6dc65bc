// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel said when it died, where the machine's firmware kept it (`Documentation/ABI/testing/pstore`).

use std::path::{Path, PathBuf};
use std::{fs, time::SystemTime};

use super::Root;

/// Where records are: as the kernel shows them, and where systemd moves them when the machine boots.
const FOLDERS: [&str; 2] = ["sys/fs/pstore", "var/lib/systemd/pstore"];
/// So much of the end of a record is kept, in bytes.
const MOST: usize = 16 << 10;

/// The last words of a kernel that died since `begin`, in milliseconds since 1970: the newest record, and the parts beside it.
pub fn last_words(begin: u64) -> Option<String> {
    last_words_in(&Root::default(), begin)
}

/// What a kernel died of, by its last words, without the time before it.
pub fn cause(words: &str) -> Option<&str> {
    let of = |begin: &'static str| words.lines().find_map(move |line| line.find(begin).map(|at| line[at..].trim_end()));
    ["Kernel panic - not syncing", "BUG: ", "Oops: "].into_iter().find_map(of)
}

fn last_words_in(root: &Root, begin: u64) -> Option<String> {
    let mut records = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), 0, &mut records);
    }
    let millis =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    records.retain(|(time, _)| millis(*time) >= begin);
    let newest = records.iter().map(|(time, _)| *time).max()?;
    // A record has parts, of which a higher number is an earlier one; all are dated alike.
    let mut parts: Vec<PathBuf> =
        records.into_iter().filter(|(time, _)| *time == newest).map(|(_, path)| path).collect();
    parts.sort_unstable_by(|one, other| other.cmp(one));
    let text: String = parts
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let from = text.len().saturating_sub(MOST);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    Some(text[from..].trim().to_owned()).filter(|text| !text.is_empty())
}

/// The records of a folder and of those below it, which systemd makes one for each death.
fn collect(folder: &Path, depth: u32, records: &mut Vec<(SystemTime, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && depth < 2 {
            collect(&path, depth + 1, records);
        } else if metadata.is_file()
            && name.starts_with("dmesg")
            && let Ok(time) = metadata.modified()
        {
            records.push((time, path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_cause_is_found_among_the_last_words() {
        let words =
            "[    1.0] BUG: kernel NULL pointer dereference\n[    1.2] Kernel panic - not syncing: Fatal exception\r\n";
        assert_eq!(cause(words), Some("Kernel panic - not syncing: Fatal exception"));
        assert_eq!(cause("[    1.0] BUG: soft lockup\n"), Some("BUG: soft lockup"));
        assert_eq!(cause("all is well"), None);
    }

    #[test]
    fn the_newest_record_is_read_with_its_parts_in_order() {
        let folder = std::env::temp_dir().join(format!("vfiospec-pstore-{}", std::process::id()));
        let root = Root::at(&folder);
        let put = |path: &str, text: &str, seconds: u64| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        assert_eq!(last_words_in(&root, 0), None);
        put("sys/fs/pstore/dmesg-efi-170000000001", "Panic#1 Part1\nKernel panic - not syncing: x\n", 200);
        put("sys/fs/pstore/dmesg-efi-170000000002", "Panic#1 Part2\nBUG: y\n", 200);
        put("sys/fs/pstore/console-ramoops", "chatter", 300);
        put("var/lib/systemd/pstore/1/dmesg.txt", "an older death", 100);
        let words = last_words_in(&root, 150_000).unwrap();
        assert_eq!(words, "Panic#1 Part2\nBUG: y\nPanic#1 Part1\nKernel panic - not syncing: x");
        assert_eq!(last_words_in(&root, 201_000), None, "a death before the run is none of its cases'");
        fs::remove_dir_all(folder).unwrap();
    }
}
