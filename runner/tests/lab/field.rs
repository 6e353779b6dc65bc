// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine in the field: from what `doctor` says to a device that is given back however the run ends. A guest of the lab is the machine.

use std::fs;

use crate::{
    NotTested, Test, Tested,
    common::{command, expect, folder},
    guests::{lab, lab_run, place},
    tests,
};

pub const TESTS: &[Test] = tests![
    a_device_is_found_taken_by_one_and_given_back_after_each_kill,
    what_keeps_a_run_from_its_device_is_said_once_and_before_it_begins,
    a_pack_runs_unedited_on_three_hosts_of_an_inventory,
    a_host_without_its_devices_runs_nothing_and_a_failure_can_be_looked_at,
];

/// Gives the device to another driver than vfio-pci, and waits for ends of runs.
const BEFORE: &str = r#"exec 2>&1
driver() { basename "$(readlink /sys/bus/pci/devices/$DEVICE/driver)"; }
override() { cat /sys/bus/pci/devices/$DEVICE/driver_override; }
until_driver_is() { tries=0; until [ "$(driver)" = $1 ] || [ $tries = 300 ]; do sleep 0.1; tries=$((tries + 1)); done; }
echo $DEVICE > /sys/bus/pci/devices/$DEVICE/driver/unbind
echo pci-stub > /sys/bus/pci/devices/$DEVICE/driver_override
echo $DEVICE > /sys/bus/pci/drivers_probe
echo "before: $(driver)"
"#;

/// A case that takes its time.
const WAITS: &str = "name: waits\nbackends: any\ncases:\n  - name: waits\n    timeout: 60s\n    steps:\n      - mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 50s }\n        expect: ETIMEDOUT\n";

const FAST: &str = "name: fast\nbackends: any\ncases:\n  - { name: info, steps: [{ device_info: }] }\n";

fn said(name: &str, script: &str) -> Result<String, NotTested> {
    lab()?;
    let folder = folder(name);
    for (file, text) in [("script", format!("{BEFORE}{script}").as_str()), ("waits.yaml", WAITS), ("fast.yaml", FAST)] {
        fs::write(folder.join(file), text).expect("writable");
    }
    let mut command = command();
    command.args(["lab", "exec", "--device", "edu"]);
    for file in ["script", "waits.yaml", "fast.yaml"] {
        command.arg("--add").arg(folder.join(file));
    }
    let place = place();
    let output = command.args(["--", "sh", "script"]).output().expect("the binary starts");
    drop(place);
    Ok(expect(&output, 0).0)
}

fn a_device_is_found_taken_by_one_and_given_back_after_each_kill() -> Tested {
    let said = said(
        "field-kills",
        r#"
vfiospec doctor --device $DEVICE
echo "doctor: $?"
vfiospec devices | grep "^--device $DEVICE  "
for end in release run; do
    vfiospec run --device $DEVICE waits.yaml &
    until_driver_is vfio-pci
    sleep 1
    vfiospec run --device $DEVICE fast.yaml
    echo "second: $?"
    kill -KILL $!
    wait $!
    sleep 1
    echo "killed: $(driver)"
    if [ $end = release ]; then vfiospec release; else vfiospec run --device $DEVICE fast.yaml; fi
    echo "$end: $?, $(driver), for $(override) only"
done
vfiospec release; echo "nothing left: $?, $(ls /run/vfiospec)"
"#,
    )?;
    for told in [
        "before: pci-stub\n",
        "nothing blocks; next: vfiospec run --device 0000:",
        "doctor: 0\n",
        ", driver pci-stub, group ",
        "another vfiospec (process ",
        "waits.yaml) has it",
        ": back with pci-stub\n",
        "release: 0, pci-stub, for pci-stub only\n",
        "was left on vfio-pci by a run that was killed; it is back with pci-stub after this one\n",
        "run: 0, pci-stub, for pci-stub only\n",
        "nothing left: 0, \n",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    for twice in ["second: 3\n", "killed: vfio-pci\n"] {
        assert_eq!(said.matches(twice).count(), 2, "{twice}: {said}");
    }
    Ok(())
}

fn what_keeps_a_run_from_its_device_is_said_once_and_before_it_begins() -> Tested {
    let said = said(
        "field-obstacles",
        r#"
mkdir -p /etc; echo "root:x:0:0::/:/bin/sh
qa:x:1000:1000::/:/bin/sh" > /etc/passwd
chmod 755 /init; chmod 1777 /tmp /work
qa() { su qa -c "cd /work; $1"; }
qa "/init run --device $DEVICE fast.yaml"; echo "not root: $?"
vfiospec doctor --device 0000:00:1e.7; echo "no device: $?"
echo vfio-pci > /sys/bus/pci/devices/$DEVICE/driver_override
echo $DEVICE > /sys/bus/pci/devices/$DEVICE/driver/unbind
echo $DEVICE > /sys/bus/pci/drivers_probe
qa "/init run --device $DEVICE fast.yaml"; echo "no file: $?"
vfiospec run --device $DEVICE --require-backend iommufd fast.yaml; echo "required: $?"
rm /dev/iommu
vfiospec run --device $DEVICE --require-backend iommufd fast.yaml; echo "missing: $?"
vfiospec run --device $DEVICE fast.yaml; echo "any: $?"
grep -o '"true_backend":"[a-z0-9_]*"' reports/out/journal.jsonl
chown qa /dev/vfio/*
cat > map.yaml <<END
name: map
backends: [vfio_type1v2_iommu]
cases:
  - { name: large, region: { memory: anonymous, size: 1MiB }, expect: { map: ok } }
END
chown -R qa /work
qa "ulimit -l 64; /init run --device $DEVICE map.yaml"; echo "limited: $?"
qa "ulimit -l 64; /init doctor --device $DEVICE"; echo "doctor: $?"
"#,
    )?;
    for told in [
        "that takes root; as root, once: vfiospec grant qa --device 0000:",
        "not root: 3\n",
        "there is no such PCI device\n",
        "no device: 3\n",
        "this user may not; as root: ",
        "no file: 3\n",
        "required: 0\n",
        "the required backend iommufd is missing: failed to open /dev/iommu: ENOENT",
        "missing: 3\n",
        "any: 0\n",
        "\"true_backend\":\"vfio_type1v2_iommu\"\n",
        "this process may lock only 64 KiB (RLIMIT_MEMLOCK)",
        "limited: 3\n",
        "memlock: this process may lock 64 KiB",
        "doctor: 3\n",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    Ok(())
}

/// A pack that no site has edited.
const PACK: &str = r#"name: cases
device: any
backends: [iommufd]
vars: { size: 4KiB }
cases:
  - name: of_the_site
    steps: [{ check: "{{ size == 8 * KiB or size == 16 * KiB }}" }]
  - name: wrong
    region: { memory: anonymous, size: 4KiB }
    expect: { map: EINVAL }
  - name: lacks
    requires: [{ that: "{{ device.hot_reset > 0 }}", because: there is no hot reset }]
    steps: [{ device_info: }]
"#;

const INVENTORY: &str = r#"vars: { size: 8KiB }
must_run: [of_the_site]
hosts:
  left:
    devices: { edu: { address: "0000:03:00.0" } }
  middle:
    vars: { size: 16KiB }
    known_issues:
      - cases: ["site.*.wrong"]
        owner: qa@example.org
        reason: it maps all the same
        link: https://bugs.example.org/4711
        until: 2099-12-31
  right:
    backends: [iommufd]
    must_run: [lacks]
"#;

fn a_pack_runs_unedited_on_three_hosts_of_an_inventory() -> Tested {
    lab()?;
    let folder = folder("inventory");
    let (inventory, pack) = (folder.join("lab.yaml"), folder.join("site"));
    fs::create_dir(&pack).expect("writable");
    fs::write(&inventory, INVENTORY).expect("writable");
    fs::write(pack.join("cases.yaml"), PACK).expect("writable");
    let [inventory, pack] = [&inventory, &pack].map(|path| path.to_str().expect("UTF-8").to_owned());
    let checked = command().args(["check", "--inventory", &inventory, &pack]).output().expect("the binary starts");
    expect(&checked, 0);
    let mut journals = Vec::new();
    for (host, code) in [("left", 1), ("middle", 0), ("right", 1)] {
        let ran = lab_run(&format!("inventory-{host}"), &["--inventory", &inventory, "--host", host, &pack])?;
        ran.expect(code);
        journals.push(ran.journal);
    }
    let json = folder.join("report.json");
    let mut report = command();
    report.arg("report").args(&journals).arg("--json").arg(&json).arg("--junit").arg(folder.join("junit.xml"));
    let (stdout, _) = expect(&report.output().expect("the binary starts"), 1);
    let middle = "middle: site.cases.iommufd__edu.wrong known issue: it maps all the same (owner: qa@example.org), see \
                  https://bugs.example.org/4711 (";
    let spaced = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "✗ left: site.cases.iommufd__edu.wrong",
        middle,
        "✗ right: site.cases.iommufd__edu.wrong",
        "! right: site.cases.iommufd__edu.lacks",
        "must run on right, and was skipped: there is no hot reset",
        "lab.yaml:16:16",
        "2 skipped: there is no hot reset",
        "--inventory ",
        "9 cases: 3 passed, 2 failed, 1 without verdict, 2 skipped, 1 as a known issue in 3 runs of ",
    ] {
        assert!(spaced.contains(told), "{told}: {stdout}");
    }
    let junit = fs::read_to_string(folder.join("junit.xml")).expect("written");
    for host in ["left", "middle", "right"] {
        assert!(junit.contains(&format!("name=\"{host}.site.cases.iommufd__edu\"")), "{host}: {junit}");
    }
    Ok(())
}

fn a_host_without_its_devices_runs_nothing_and_a_failure_can_be_looked_at() -> Tested {
    let said = said(
        "field-inventory",
        r#"
cat > lab.yaml <<END
hosts:
  lacking:
    devices:
      card: { address: "$DEVICE" }
      disk: { serial: S4EVNX0 }
      spare: { mac: "00:00:00:00:00:01", optional: true }
  other:
    devices: { card: { address: "$DEVICE", is: { ids: ["8086:10c9"] } } }
END
vfiospec list --inventory lab.yaml --host lacking fast.yaml
vfiospec run --inventory lab.yaml --host lacking fast.yaml; echo "lacking: $?"
grep -o 'message="not run: [^"]*"' reports/out/junit.xml
vfiospec run --inventory lab.yaml --host other fast.yaml; echo "other: $?"
vfiospec run --inventory lab.yaml --host other --device card=$DEVICE fast.yaml; echo "named: $?"
vfiospec run --inventory lab.yaml fast.yaml; echo "nowhere: $?"
cat > wrong.yaml <<END
name: wrong
backends: any
cases:
  - { name: first, region: { memory: anonymous, size: 4KiB }, expect: { map: EINVAL } }
  - { name: second, steps: [{ device_info: }] }
END
cat > look <<'END'
#!/bin/sh
echo "look: $DEVICE has $(basename $(readlink /sys/bus/pci/devices/$DEVICE/driver))"
END
chmod +x look
ls -l /proc/[0-9]*/fd | grep -q '/dev/vfio/' && echo "look: it is open"
SHELL=/work/look vfiospec run --keep-on-failure --device $DEVICE wrong.yaml; echo "kept: $?"
echo "after: $(driver)"
"#,
    )?;
    for told in [
        "work.fast.any__card.info\n",
        "`spare` is not there (the network address 00:00:00:00:00:01: ",
        "the device `disk` of lacking is missing (lab.yaml:5): the serial number S4EVNX0: no PCI device has it\n",
        "lacking: 3\n",
        "message=\"not run: the run did not begin: the device `disk` of lacking is missing",
        " has 1234:11e8, expected the ids 8086:10c9\n",
        "other: 3\n",
        "named: 0\n",
        "no host of lab.yaml has this machine's hostname, vfiospec-lab\n",
        "nowhere: 2\n",
        " has vfio-pci\n",
        "2 cases: 1 failed, 1 skipped in ",
        "kept: 1\nafter: pci-stub\n",
        "look: it is open\n",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    Ok(())
}
