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
    a_run_ends_well_whatever_is_taken_from_it,
    a_device_that_does_not_answer_is_named_with_what_brings_it_back,
    a_reset_waits_for_the_one_who_has_the_device_for_a_moment,
    ; ignored:
    a_device_is_found_by_what_it_is, // builds a kernel of its own
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
    said_with("edu", name, script)
}

fn said_with(device: &str, name: &str, script: &str) -> Result<String, NotTested> {
    lab()?;
    let folder = folder(name);
    for (file, text) in [("script", format!("{BEFORE}{script}").as_str()), ("waits.yaml", WAITS), ("fast.yaml", FAST)] {
        fs::write(folder.join(file), text).expect("writable");
    }
    let mut command = command();
    command.args(["lab", "exec", "--device", device]);
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
ls -l /proc/[0-9]*/fd | grep -q '/dev/vfio/' && echo "look: it is open"
END
chmod +x look
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
        "look: it is open\n",
        "2 cases: 1 failed, 1 skipped in ",
        "kept: 1\nafter: pci-stub\n",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    Ok(())
}

/// Five cases that take a second each.
pub const SLOW: &str = "name: slow\nbackends: any\ncases:\n  - name: slow\n    matrix: { number: [1, 2, 3, 4, 5] }\n    covers: [\"{{ number }}\"]\n    fixture: fresh\n    steps:\n      - mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 1s }\n        expect: ETIMEDOUT\n";

/// A case that gets stuck in the kernel.
const STUCK: &str =
    "name: stuck\nbackends: any\ncases:\n  - { name: stuck, timeout: 50s, steps: [{ lab_fault: stuck }] }\n";

fn a_run_ends_well_whatever_is_taken_from_it() -> Tested {
    let script = r#"
cat > slow.yaml <<END
SLOW
END
cat > stuck.yaml <<END
STUCK
END
seconds() { cut -d. -f1 /proc/uptime; }
until_begun() { tries=0; until grep -q case_started $1 2> /dev/null || [ $tries = 300 ]; do sleep 0.1; tries=$((tries + 1)); done; }
mkdir -p /full; mount -t tmpfs -o size=64k none /full
dd if=/dev/zero of=/full/fill bs=1k 2> /dev/null
vfiospec run --device $DEVICE --journal /full/j.jsonl fast.yaml; echo "no room for the journal: $?, $(driver)"
vfiospec run --device $DEVICE --junit /full/junit.xml fast.yaml; echo "no room for JUnit: $?, $(driver)"
umount /full
vfiospec report --json - reports/out/journal.jsonl | grep -c '"verdict":"passed"'

vfiospec run --device $DEVICE --journal jump.jsonl slow.yaml &
until_begun jump.jsonl
date -s 2031-01-01 > /dev/null; sleep 2; date -s 2021-01-01 > /dev/null
wait $!; echo "the clock jumped: $?"
sed -n 's/.*"micros":\([0-9]*\).*/\1/p' jump.jsonl | while read micros; do [ $micros -gt 900000 ] && [ $micros -lt 60000000 ] && echo "its time is right"; done

mkdir -p /etc; echo "root:x:0:0::/:/bin/sh
qa:x:1000:1000::/:/bin/sh" > /etc/passwd
chmod 755 /init; chmod 1777 /tmp /work; chown -R qa /work
vfiospec grant qa --device $DEVICE > /dev/null
su qa -c "cd /work; /init run --device $DEVICE --journal revoked.jsonl slow.yaml" &
until_begun revoked.jsonl
chown root /dev/vfio/* /dev/vfio/devices/*; chmod 600 /dev/vfio/[0-9]* /dev/vfio/devices/*
wait $!; echo "revoked: $?"
vfiospec release $DEVICE; echo "taken back: $?, $(driver)"

vfiospec run --device $DEVICE --journal gone.jsonl slow.yaml &
until_begun gone.jsonl
echo 1 > /sys/bus/pci/devices/$DEVICE/remove
wait $!; echo "removed: $?"
echo 1 > /sys/bus/pci/rescan
vfiospec release; echo "there again: $(ls -d /sys/bus/pci/devices/$DEVICE), $(ls /run/vfiospec)."

before=$(seconds)
vfiospec run --device $DEVICE --journal stuck.jsonl stuck.yaml &
until_begun stuck.jsonl
sleep 3; kill -INT $!
wait $!; echo "stuck: $?"
[ $(($(seconds) - before)) -lt 40 ] && echo "soon enough"
"#;
    let said = said("field-calm", &script.replace("SLOW", SLOW.trim_end()).replace("STUCK", STUCK.trim_end()))?;
    for told in [
        "failed to write the journal /full/j.jsonl: No space left on device",
        "no room for the journal: 5, pci-stub\n",
        "failed to write /full/junit.xml: No space left on device",
        "no room for JUnit: 5, pci-stub\n",
        "\n1\n",
        "5 cases: 5 passed in ",
        "the clock jumped: 0\n",
        ": this user may not; as root:",
        "revoked: 3\n",
        "taken back: 0, ",
        " is no longer in the machine",
        "removed: 3\n",
        "there again: /sys/bus/pci/devices/0000:",
        " stays with vfio-pci: a process that cannot be killed holds it",
        "stuck: 130\nsoon enough\n",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_eq!(said.matches("its time is right\n").count(), 5, "{said}");
    // Of the five cases one is told, and those that are left are one line.
    for once in ["skipped: not run: failed to open /dev/vfio/", "skipped: not run: 0000:"] {
        assert_eq!(said.matches(once).count(), 1, "{once}: {said}");
    }
    Ok(())
}

/// Has the port above a device forward nothing any more, so that all of its registers read as ones.
const SILENT: &str = r#"exec 2>&1
port=$(basename $(dirname $(readlink -f /sys/bus/pci/devices/$DEVICE)))
printf '\000\000\000' | dd of=/sys/bus/pci/devices/$port/config bs=1 seek=24 conv=notrunc 2> /dev/null
vfiospec doctor --device $DEVICE > said; echo "doctor: $?"
cat said
eval "$(grep -A 3 'blocks   power' said | sed -n 's/^ *-> //p' | head -n 1)"
vfiospec doctor --device $DEVICE > said; echo "mended: $?"
grep power said
"#;

fn a_device_that_does_not_answer_is_named_with_what_brings_it_back() -> Tested {
    lab()?;
    let folder = folder("field-silent");
    fs::write(folder.join("script"), SILENT).expect("writable");
    let mut command = command();
    command.args(["lab", "exec", "--device", "edu,place=port", "--add"]).arg(folder.join("script"));
    let place = place();
    let output = command.args(["--", "sh", "script"]).output().expect("the binary starts");
    drop(place);
    let said = expect(&output, 0).0;
    assert!(said.contains("doctor: 3\n") && said.contains("blocks   power: it does not answer: "), "{said}");
    assert!(said.ends_with("mended: 0\n  good     power: it is awake (D0)\n"), "{said}");
    Ok(())
}

fn a_reset_waits_for_the_one_who_has_the_device_for_a_moment() -> Tested {
    // A reset of igb takes 0.1 s, as long as the one who resets it has its lock.
    let said = said_with(
        "igb",
        "field-resets",
        r#"
printf 'name: resets\nbackends: [iommufd]\ncases:\n  - name: resets\n    timeout: 60s\n    steps: [{ repeat: { times: 20, steps: [{ reset: }] } }]\n' > resets.yaml
vfiospec run --device $DEVICE resets.yaml &
others=0
while kill -0 $! 2> /dev/null; do
    [ "$(driver)" = vfio-pci ] && echo 1 > /sys/bus/pci/devices/$DEVICE/reset && others=$((others + 1))
    sleep 0.2
done
wait $!; echo "resets: $?"
[ $others -gt 5 ] && echo "others reset it, too"
"#,
    )?;
    for told in ["resets: 0\n", "others reset it, too\n"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    Ok(())
}

/// What a kernel needs to name slots, and to have a network interface.
const SLOTS_AND_NETWORK: [&str; 7] = [
    "PCIEPORTBUS=y",
    "HOTPLUG_PCI=y",
    "HOTPLUG_PCI_PCIE=y",
    "NETDEVICES=y",
    "ETHERNET=y",
    "NET_VENDOR_INTEL=y",
    "E1000E=y",
];

fn a_device_is_found_by_what_it_is() -> Tested {
    lab()?;
    let folder = folder("field-identity");
    let script = r#"exec 2>&1
back() { echo > /sys/bus/pci/devices/$1/driver_override; echo $1 > /sys/bus/pci/devices/$1/driver/unbind; echo $1 > /sys/bus/pci/drivers_probe; }
device=$(echo $DEVICES | cut -d' ' -f2)
back $device
slot=$(grep -l "^${device%.*}" /sys/bus/pci/slots/*/address | cut -d/ -f6)
mac=$(cat /sys/bus/pci/devices/$device/net/*/address)
serial=$(echo $mac | awk -F: '{ print $1 "-" $2 "-" $3 "-ff-ff-" $4 "-" $5 "-" $6 }')
echo "slot $slot, mac $mac, serial $serial"
for identity in "slot: \"$slot\"" "mac: \"$mac\"" "serial: $serial" "slot: \"${slot}9\"" 'mac: "02:00:00:00:00:01"' "serial: 01-02-03-04-05-06-07-08"; do
    printf 'hosts:\n  here:\n    devices:\n      nic: { %s }\n' "$identity" > lab.yaml
    vfiospec run --inventory lab.yaml --host here fast.yaml
    echo "$identity: $?, $(basename $(readlink /sys/bus/pci/devices/$device/driver))"
    grep -o "\"bdf\":\"$device\"" reports/out/journal.jsonl | head -n 1
    rm -f reports/out/journal.jsonl
done
"#;
    fs::write(folder.join("script"), script).expect("writable");
    fs::write(folder.join("fast.yaml"), FAST).expect("writable");
    let mut command = command();
    command.args(["lab", "exec", "--device", "edu", "--device", "e1000e,place=port"]);
    SLOTS_AND_NETWORK.iter().for_each(|option| _ = command.args(["--kernel-config", option]));
    command.arg("--add").arg(folder.join("script")).arg("--add").arg(folder.join("fast.yaml"));
    let place = place();
    let output = command.args(["--", "sh", "script"]).output().expect("the binary starts");
    drop(place);
    let said = expect(&output, 0).0;
    assert_eq!(said.matches(": 0, e1000e\n\"bdf\":\"0000:").count(), 3, "each finds it: {said}");
    assert_eq!(said.matches(": 3, e1000e\n").count(), 3, "{said}");
    for told in [
        "there is no such slot; there is ",
        "no network interface of a PCI device has it",
        "the serial number 01-02-03-04-05-06-07-08: no PCI device has it",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    Ok(())
}
