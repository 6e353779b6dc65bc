// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine in the field: from what `doctor` says to a device that is given back however the run ends. A guest of the lab is the machine.

use std::fs;

use crate::{
    NotTested, Test, Tested,
    common::{command, expect, folder},
    guests::{lab, place},
    tests,
};

pub const TESTS: &[Test] = tests![
    a_device_is_found_taken_by_one_and_given_back_after_each_kill,
    what_keeps_a_run_from_its_device_is_said_once_and_before_it_begins,
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
        "nothing blocks: vfiospec run --device 0000:",
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
qa "ulimit -l 64; /init doctor --device $DEVICE"
"#,
    )?;
    for told in [
        "that takes root; as root, once: modprobe vfio-pci; echo vfio-pci > ",
        "not root: 3\n",
        "there is no such PCI device\n",
        "no device: 3\n",
        "this user may not; as root: chown qa /dev/vfio/",
        "no file: 3\n",
        "required: 0\n",
        "the required backend iommufd is missing: failed to open /dev/iommu: ENOENT",
        "missing: 3\n",
        "any: 0\n",
        "\"true_backend\":\"vfio_type1v2_iommu\"\n",
        "this process may lock only 64 KiB (RLIMIT_MEMLOCK)",
        "limited: 3\n",
        "memlock: this process may lock 64 KiB",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    Ok(())
}
