// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parity with the kernel's own vfio selftests: both run on the same devices in the same guest, and are compared verdict by verdict.
//!
//! The programs are built from the kernel source in the lab's cache, into the cache; nothing of them is in this repository. A case of
//! ours names its counterpart in `covers`. With `--ignored`, the benchmark says how long both take for the same cases.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use vfiospec::lab::{default_cache, devices};
use vfiospec::language::{DeviceModel, LabDevice, Machine};

use crate::{
    NotTested, Test, Tested,
    common::{command, folder, text, vfiospec},
    guests::place,
    tests,
};

pub const TESTS: &[Test] = tests![
    on_edu_all_verdicts_are_the_same,
    on_a_bar_of_2_gib_all_verdicts_are_the_same,
    where_the_kernels_harness_aborts_ours_works,
    the_harness_is_read_as_it_is_written,
    a_verdict_without_a_counterpart_and_one_that_differs_are_told;
    ignored:
    on_igb_all_verdicts_are_the_same,
    benchmark_of_the_same_cases,
];

const PROGRAMS: [&str; 7] = [
    "vfio_dma_mapping_test",
    "vfio_dma_mapping_mmio_test",
    "vfio_iommufd_setup_test",
    "vfio_pci_device_test",
    "vfio_pci_device_init_perf_test",
    "vfio_pci_driver_test",
    "vfio_pci_sriov_uapi_test",
];

/// Written by hand into the output between the programs'; none of them begins a line so.
const MARK: &str = "@@";

/// The folder with the kernel's own programs, built once for each version of the source.
fn upstream() -> Result<&'static Path, NotTested> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref().map_err(|reason| NotTested::because(reason.as_str()))
}

fn build() -> Result<PathBuf, String> {
    let output = vfiospec(&["lab", "prepare"]);
    if !output.status.success() {
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let cache = default_cache().map_err(|error| error.to_string())?;
    let cache = cache.canonicalize().map_err(|error| error.to_string())?;
    // The kernel that the lab boots is the newest there is, and so is its source.
    let ready = String::from_utf8_lossy(&output.stdout).into_owned();
    let sources = fs::read_dir(cache.join("sources")).map_err(|error| error.to_string())?.flatten();
    let source = sources.map(|folder| folder.path()).find(|folder| {
        fs::read_to_string(folder.join("version"))
            .is_ok_and(|version| ready.contains(&format!("Linux {},", version.trim())))
    });
    let source = source.ok_or(format!("the source of the kernel is not in {}: {ready}", cache.display()))?;
    let name = source.file_name().expect("a folder of the cache has a name");
    let finished = cache.join("selftests").join(name);
    if PROGRAMS.iter().all(|program| finished.join(program).exists()) {
        return Ok(finished);
    }
    if !Path::new("/usr/include/uuid/uuid.h").exists() {
        return Err("the selftests need libuuid; an administrator runs: sudo apt-get install uuid-dev".to_owned());
    }
    let building = cache.join("selftests").join(format!("{}.{}", name.to_string_lossy(), std::process::id()));
    let (headers, programs) = (building.join("headers"), building.join("programs"));
    for folder in [&headers, &programs] {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let tree = source.join("tree");
    // Not headers_install, which differs in needing rsync only.
    make(Command::new("make").arg("-C").arg(&tree).arg(format!("O={}", headers.display())).arg("headers"))?;
    make(
        Command::new("make")
            .arg("-C")
            .arg(tree.join("tools/testing/selftests/vfio"))
            .arg(format!("OUTPUT={}", programs.display()))
            .arg(format!("KHDR_INCLUDES=-isystem {}/usr/include", headers.display()))
            .args(["LDFLAGS=-static", "EXTRA_CFLAGS=-Wno-error"]),
    )?;
    let _ = fs::remove_dir_all(&finished);
    let renamed = fs::rename(&programs, &finished);
    let _ = fs::remove_dir_all(&building);
    // Another run may have been quicker; what it built is the same.
    match renamed {
        Err(error) if !finished.join(PROGRAMS[6]).exists() => Err(format!("{}: {error}", finished.display())),
        _ => Ok(finished),
    }
}

fn make(command: &mut Command) -> Result<(), String> {
    command.env("ARCH", "x86_64").env_remove("MAKEFLAGS").env_remove("CFLAGS").stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("failed to start {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("failed to run {command:?}\n{}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// What the kernel's program says of a case, or ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
    /// The program ended before it could say anything of the kernel.
    None,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
            Verdict::None => "no verdict",
        })
    }
}

/// One program's run.
#[derive(Debug, Default, PartialEq)]
struct Program {
    verdicts: BTreeMap<String, Verdict>,
    output: String,
    exit: i32,
    seconds: f64,
}

impl Program {
    /// Reads the TAP of the kernel's test harness.
    fn read(&mut self) {
        let mut aborted = false;
        for line in self.output.lines() {
            if line.starts_with("#  RUN") {
                aborted = false;
            }
            // The harness's own helpers, which ask nothing of VFIO: what they assert says nothing of the kernel.
            aborted |= line.contains("/lib/libvfio.c:") && line.ends_with("Assertion Failure");
            let (ok, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
                (Some(rest), _) => (true, rest),
                (_, Some(rest)) => (false, rest),
                _ => continue,
            };
            let (name, directive) = rest.split_once(" #").unwrap_or((rest, ""));
            let Some(name) = name.split_whitespace().nth(1) else { continue };
            let verdict = match ok {
                true if directive.trim_start().starts_with("SKIP") => Verdict::Skipped,
                true => Verdict::Passed,
                false if aborted => Verdict::None,
                false => Verdict::Failed,
            };
            self.verdicts.insert(name.to_owned(), verdict);
        }
    }
}

/// All that was run on one device.
#[derive(Debug, Default)]
struct OnDevice {
    theirs: BTreeMap<String, Program>,
    /// By the names of theirs that the cases cover.
    ours: BTreeMap<String, Vec<(String, Verdict)>>,
    ours_exit: i32,
    ours_output: String,
    ours_seconds: f64,
}

impl OnDevice {
    /// What the cases that cover it come to together: one that fails is a failure, and one that passes shows more than one that is skipped.
    fn ours(&self, name: &str) -> Option<Verdict> {
        let verdicts: Vec<_> = self.ours.get(name)?.iter().map(|(_, verdict)| *verdict).collect();
        let any = |verdict| verdicts.contains(&verdict);
        let first =
            [Verdict::Failed, Verdict::None, Verdict::Passed, Verdict::Skipped].into_iter().find(|one| any(*one));
        Some(first.expect("what is covered is covered by a case"))
    }

    fn verdicts(&self) -> impl Iterator<Item = (&String, Verdict)> {
        self.theirs.values().flat_map(|program| program.verdicts.iter().map(|(name, verdict)| (name, *verdict)))
    }

    /// Where ours does not say the same as theirs.
    fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, theirs) in self.verdicts() {
            match (theirs, self.ours(name)) {
                (_, None) => differences.push(format!("{name}: there {theirs}, and no case of ours covers it")),
                (theirs, Some(ours)) if theirs == ours => {}
                (Verdict::None, Some(Verdict::Passed | Verdict::Skipped)) => {}
                (theirs, Some(ours)) => {
                    let cases: Vec<_> = self.ours[name].iter().map(|(id, _)| id.as_str()).collect();
                    differences.push(format!("{name}: there {theirs}, here {ours}: {}", cases.join(", ")));
                }
            }
        }
        differences
    }
}

/// Where the only device of a model is in the guest.
fn bdf(model: DeviceModel) -> String {
    let only = [("only".to_owned(), LabDevice::of(model))].into_iter().collect();
    devices(&Machine { devices: only, ..Machine::default() }, &[])[0].bdf()
}

/// What both run.
struct Both<'a> {
    models: &'a [DeviceModel],
    programs: &'a [&'a str],
    /// Arguments of the kernel's harness.
    filters: &'a str,
    /// Arguments of `vfiospec run`.
    selection: &'a str,
    /// How often: the fastest time of each counts.
    rounds: usize,
}

impl Both<'_> {
    /// Runs in the guest: the kernel's programs and ours on each device, in turn.
    fn script(&self) -> String {
        let Both { filters, selection, rounds, .. } = self;
        // Programs that this guest has not read yet would be charged for it.
        let mut script =
            "#!/bin/sh\nnow() { cut -d' ' -f1 /proc/uptime; }\ncat programs/* /init >/dev/null\n".to_owned();
        for model in self.models.iter().flat_map(|model| std::iter::repeat_n(model, *rounds)) {
            let (name, bdf) = (model.as_str(), bdf(*model));
            for program in self.programs {
                script += &format!(
                    "echo '{MARK} begin {name} {program}'; t=$(now); programs/{program} {filters} {bdf} 2>&1; code=$?\n\
                     echo; echo \"{MARK} end $code $t $(now)\"\n"
                );
            }
            script += &format!(
                "echo '{MARK} begin {name} ours'; t=$(now)\n\
                 vfiospec run --device {name}={bdf} --junit /tmp/junit.xml --journal /tmp/journal.jsonl {selection} 2>&1; code=$?\n\
                 echo; echo \"{MARK} end $code $t $(now)\"; echo '{MARK} journal'; cat /tmp/journal.jsonl; rm /tmp/journal.jsonl\n"
            );
        }
        script
    }

    /// Both in one guest.
    fn run(&self, name: &str) -> Result<BTreeMap<String, OnDevice>, NotTested> {
        let built = upstream()?;
        let folder = folder(name);
        let programs = folder.join("programs");
        fs::create_dir_all(&programs).expect("the target folder is writable");
        for program in self.programs {
            fs::copy(built.join(program), programs.join(program)).expect("the programs were built");
        }
        let job = folder.join("both");
        fs::write(&job, self.script()).expect("written");
        fs::set_permissions(&job, fs::Permissions::from_mode(0o755)).expect("it is ours");

        let mut command = command();
        command.args(["lab", "exec", "--add", "scenarios", "--add"]).arg(&programs);
        for model in self.models {
            command.args(["--device", model.as_str()]);
        }
        command.arg("--").arg(&job);
        let place = place();
        let output = command.output().expect("the binary starts");
        drop(place);
        let text = text(&output.stdout);
        fs::write(folder.join("output"), &text).expect("written");
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        Ok(read(&text))
    }
}

/// Reads what the script printed.
fn read(text: &str) -> BTreeMap<String, OnDevice> {
    let mut devices: BTreeMap<String, OnDevice> = BTreeMap::new();
    let (mut device, mut what, mut body, mut journal) = (String::new(), String::new(), String::new(), false);
    let mut names: BTreeMap<u64, (String, Vec<String>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix(MARK) {
            let words: Vec<_> = words.split_whitespace().collect();
            journal = words == ["journal"];
            match words[..] {
                ["begin", name, program] => {
                    (device, what) = (name.to_owned(), program.to_owned());
                    names.clear();
                }
                ["end", exit, from, to] => {
                    let number = |text: &str| text.parse::<f64>().expect("the guest's seconds");
                    let (exit, seconds) = (exit.parse().expect("an exit code"), number(to) - number(from));
                    let on = devices.entry(device.clone()).or_default();
                    let output = std::mem::take(&mut body);
                    if what == "ours" {
                        let before = (on.ours_seconds > 0.0).then_some(on.ours_seconds);
                        on.ours_seconds = before.map_or(seconds, |before| before.min(seconds));
                        (on.ours_exit, on.ours_output) = (exit, output);
                    } else {
                        let before = on.theirs.get(&what).map(|program| program.seconds);
                        let seconds = before.map_or(seconds, |before| before.min(seconds));
                        let mut program = Program { output, exit, seconds, ..Program::default() };
                        program.read();
                        on.theirs.insert(what.clone(), program);
                    }
                }
                _ => {}
            }
        } else if journal {
            let event: serde_json::Value = serde_json::from_str(line).expect("a journal is lines of JSON");
            let on = devices.entry(device.clone()).or_default();
            match event["event"].as_str() {
                Some("case_planned") => {
                    let covers = event["covers"].as_array().into_iter().flatten();
                    let covers = covers.map(|name| name.as_str().expect("text").to_owned()).collect();
                    let text = |key: &str| event[key].as_str().expect("text").to_owned();
                    let id = format!("{}.{}.{}.{}", text("pack"), text("scenario"), text("backend"), text("name"));
                    names.insert(event["case"].as_u64().expect("a number"), (id, covers));
                }
                Some("case_finished") => {
                    let (id, covers) = &names[&event["case"].as_u64().expect("a number")];
                    let verdict = match event["verdict"].as_str() {
                        Some("passed") => Verdict::Passed,
                        Some("skipped") => Verdict::Skipped,
                        Some("error") => Verdict::None,
                        _ => Verdict::Failed,
                    };
                    for name in covers {
                        on.ours.entry(name.clone()).or_default().push((id.clone(), verdict));
                    }
                }
                _ => {}
            }
        } else {
            body += line;
            body.push('\n');
        }
    }
    devices
}

/// All that the kernel's programs and ours say of a device.
fn compared(model: DeviceModel) -> Result<OnDevice, NotTested> {
    let both = Both { models: &[model], programs: &PROGRAMS, filters: "", selection: "scenarios/kernel", rounds: 1 };
    let mut devices = both.run(&format!("parity-{}", model.as_str()))?;
    Ok(devices.remove(model.as_str()).expect("the script ran on the device"))
}

/// Fails with every difference, and what both said.
#[track_caller]
fn expect_parity(on: &OnDevice, fewest: usize, programs: usize) {
    let differences = on.differences();
    let said: BTreeSet<_> = on.theirs.values().map(|program| program.output.as_str()).collect();
    assert!(
        differences.is_empty(),
        "{}\n\nours:\n{}\ntheirs:\n{}",
        differences.join("\n"),
        on.ours_output,
        said.into_iter().collect::<String>()
    );
    let agreed = on.verdicts().filter(|(_, theirs)| *theirs != Verdict::None).count();
    assert!(agreed >= fewest, "only {agreed} verdicts were compared");
    assert_eq!(on.theirs.len(), programs);
    assert_eq!(on.ours_exit, 0, "{}", on.ours_output);
}

fn on_edu_all_verdicts_are_the_same() -> Tested {
    let on = compared(DeviceModel::Edu)?;
    expect_parity(&on, 61, PROGRAMS.len());
    Ok(())
}

fn on_a_bar_of_2_gib_all_verdicts_are_the_same() -> Tested {
    let on = compared(DeviceModel::PciTestdev)?;
    expect_parity(&on, 61, PROGRAMS.len());
    Ok(())
}

/// The kernel's own program needs minutes for this device: run with --ignored.
fn on_igb_all_verdicts_are_the_same() -> Tested {
    let on = compared(DeviceModel::Igb)?;
    expect_parity(&on, 61, PROGRAMS.len());
    assert_eq!(on.theirs["vfio_pci_driver_test"].verdicts.len(), 35, "{}", on.theirs["vfio_pci_driver_test"].output);
    assert_eq!(
        on.theirs["vfio_pci_sriov_uapi_test"].verdicts.len(),
        45,
        "{}",
        on.theirs["vfio_pci_sriov_uapi_test"].output
    );
    Ok(())
}

fn where_the_kernels_harness_aborts_ours_works() -> Tested {
    let on = compared(DeviceModel::Ivshmem)?;
    expect_parity(&on, 6, PROGRAMS.len());
    let aborted: Vec<_> = on.verdicts().filter(|(_, theirs)| *theirs == Verdict::None).collect();
    assert!(aborted.len() >= 50, "a BAR smaller than a page ends it: {aborted:?}");
    for (name, _) in aborted.iter().filter(|(name, _)| name.starts_with("vfio_dma_")) {
        assert_eq!(on.ours(name), Some(Verdict::Passed), "{name}");
    }
    Ok(())
}

/// A benchmark: to be run by itself, on a machine that does nothing else, with --nocapture.
fn benchmark_of_the_same_cases() -> Tested {
    let huge: String =
        ["vfio_type1_iommu", "vfio_type1v2_iommu", "iommufd_compat_type1", "iommufd_compat_type1v2", "iommufd"]
            .map(|backend| format!("-V {backend}_anonymous_hugetlb_1gb "))
            .concat();
    // The fastest of three times each: in the first, software emulation translates the programs, and a machine is never quiet all the time.
    let rounds = 3;
    // The programs whose cases are all in the files of the same names, and in them nothing else.
    let files = ["dma_mapping", "dma_mapping_mmio", "iommufd_setup", "pci_device"]
        .map(|name| format!("scenarios/kernel/{name}.yaml "))
        .concat();
    println!("{:8} {:18} {:>10} {:>10} {:>7}", "device", "cases", "theirs", "ours", "ratio");
    for (model, goal) in [(DeviceModel::Edu, 0.6), (DeviceModel::Igb, 0.12)] {
        for (what, filters, chosen) in
            [("without 1 GiB", huge.as_str(), "--filter \"'1GiB' not in name\" "), ("with 1 GiB", "", "")]
        {
            let selection = format!("{chosen}{files}");
            let both = Both { models: &[model], programs: &PROGRAMS[..4], filters, selection: &selection, rounds };
            let devices = both.run(&format!("benchmark-{}-{}", model.as_str(), what.replace(' ', "-")))?;
            let on = &devices[model.as_str()];
            // Whoever skips is quick: it counts only where both say the same.
            expect_parity(on, 40, 4);
            let theirs: f64 = on.theirs.values().map(|program| program.seconds).sum();
            let ratio = on.ours_seconds / theirs;
            let met = if ratio <= goal { "met" } else { "missed" };
            println!(
                "{:8} {what:18} {theirs:8.2} s {:8.2} s {ratio:7.2}   (goal: at most {goal}, {met})",
                model.as_str(),
                on.ours_seconds
            );
        }
    }
    Ok(())
}

fn the_harness_is_read_as_it_is_written() -> Tested {
    let mut program = Program {
        output: "TAP version 13\n1..4\n#  RUN           a.one ...\nok 1 a.one\n#  RUN           a.two ...\n\
                 ok 2 a.two # SKIP Device does not support reset\n#  RUN           a.three ...\n\
                 /x/vfio/lib/libvfio.c:100: Assertion Failure\nnot ok 3 a.three\n#  RUN           a.four ...\n\
                 /x/vfio/lib/iommu.c:9: Assertion Failure\nnot ok 4 a.four\n"
            .into(),
        ..Program::default()
    };
    program.read();
    let verdicts: Vec<_> = program.verdicts.iter().map(|(name, verdict)| format!("{name} {verdict}")).collect();
    assert_eq!(verdicts, ["a.four failed", "a.one passed", "a.three no verdict", "a.two skipped"]);
    Ok(())
}

fn a_verdict_without_a_counterpart_and_one_that_differs_are_told() -> Tested {
    let text = format!(
        "{MARK} begin edu vfio_a\nok 1 a.same\nok 2 a.missing\nnot ok 3 a.differs\n\n{MARK} end 1 1.00 3.50\n\
         {MARK} begin edu ours\n\n{MARK} end 0 3.50 4.00\n{MARK} journal\n{}\n",
        ["same", "differs"]
            .iter()
            .enumerate()
            .map(|(at, name)| {
                format!(
                    "{{\"event\":\"case_planned\",\"case\":{at},\"pack\":\"k\",\"scenario\":\"s\",\"backend\":\"b\",\
                     \"name\":\"{name}\",\"covers\":[\"a.{name}\"]}}\n\
                     {{\"event\":\"case_finished\",\"case\":{at},\"verdict\":\"passed\",\"micros\":1}}"
                )
            })
            .collect::<Vec<_>>()
            .join("\n")
    );
    let devices = read(&text);
    let on = &devices["edu"];
    assert_eq!((on.theirs["vfio_a"].exit, on.theirs["vfio_a"].seconds, on.ours_seconds), (1, 2.5, 0.5));
    assert_eq!(
        on.differences(),
        [
            "a.differs: there failed, here passed: k.s.b.differs",
            "a.missing: there passed, and no case of ours covers it"
        ]
    );
    Ok(())
}
