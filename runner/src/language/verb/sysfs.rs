// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `sysfs`.

use super::prelude::*;

verb! {
    /// What the kernel shows of the device in sysfs, or an order to it: one of `read`, `write` and `wait`.
    pub struct Sysfs {
        /// What to read. One of `read`, `write` and `wait` is required, and only one.
        #[example("power_state")]
        pub read: Option<SysfsFact>,
        /// With `read`: the text to wait for, before the step fails with ETIMEDOUT. Without it, the text is read once.
        #[example("D3hot")]
        pub is: Option<Template>,
        /// The order to give. If the kernel is not done in time, the step fails with ETIMEDOUT, and the kernel goes on: it takes a device away
        /// only once nobody has it open. After the case the device is on vfio-pci again.
        #[example("unbind")]
        pub write: Option<SysfsOrder>,
        /// An order that was given before and was not done in time. The step waits until it is, and fails as the order does.
        #[example("unbind")]
        pub wait: Option<SysfsOrder>,
        /// How long to wait. A driver may take seconds with a device that it is given.
        #[example("100ms")] #[default("10s")]
        pub timeout: Option<Duration>,
    }
}

words! {
    /// What sysfs shows of a device (Documentation/ABI/testing/sysfs-bus-pci, sysfs-devices-power).
    pub enum SysfsFact {
        /// The name of its driver; none if it has none.
        Driver = "driver",
        /// The power state that the kernel put it into, such as `D0` or `D3hot`.
        PowerState = "power_state",
        /// What runtime power management does with it: `active`, `suspended`, `suspending` or `resuming`.
        RuntimeStatus = "runtime_status",
    }
}

words! {
    /// An order to the kernel about a device.
    pub enum SysfsOrder {
        /// Take it from its driver.
        Unbind = "unbind",
        /// Give it to vfio-pci (with a `driver_override`), from the driver that may have it.
        Bind = "bind",
        /// Take it out of the machine, as if it had been pulled out.
        Remove = "remove",
        /// Look for devices on its bus, where it is found again if it was taken out.
        Rescan = "rescan",
    }
}

impl Known for Sysfs {
    const ABOUT: About = About {
        does: "Read what the kernel shows of the device in sysfs, or order the kernel to take the device away or back, also while it is \
            open. Saves `value`: with `read`, the text.",
        examples: &["{ read: power_state }", "{ write: unbind, timeout: 100ms }", "{ wait: unbind }"],
        saves: Saves::Fields(&["value"]),
        fixture: Stands::Anywhere,
        device: true,
        reads: true,
        ..About::CALL
    };

    fn title(&self) -> Option<String> {
        self.given().next().map(|(what, word)| format!("{what} {word}"))
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let given: Vec<_> = self.given().collect();
        let only = match given.as_slice() {
            [(only, _)] => *only,
            [] => {
                let mistake =
                    Diagnostic::error(Code::MissingKey, site.at.clone(), "`sysfs` without `read`, `write` or `wait`");
                return vec![mistake.at(Target::Key).label("expected one of `read`, `write` and `wait`")];
            }
            [(first, _), (second, _), ..] => {
                let mistake =
                    Diagnostic::error(Code::TwoForms, site.at.join(*second), format!("`{second}` beside `{first}`"));
                return vec![mistake.at(Target::Key).label("expected one of `read`, `write` and `wait` in a step")];
            }
        };
        let mut mistakes = Vec::new();
        let mut misplaced = |key: &str, label: &str| {
            let mistake =
                Diagnostic::error(Code::MisplacedKey, site.at.join(key), format!("`{key}` does not go with `{only}`"));
            mistakes.push(mistake.at(Target::Key).label(label));
        };
        if self.is.is_some() && only != "read" {
            misplaced("is", "expected beside `read`");
        }
        if only == "read" && self.timeout.is_some() && self.is.is_none() {
            misplaced("timeout", "expected beside `is`: what is read once is not waited for");
        }
        let is_procedure = matches!(site.at.segments().first(), Some(Segment::Key(key)) if **key == *"procedures");
        if is_procedure && only != "read" {
            let title = format!("`{only}` in a procedure");
            let mistake = Diagnostic::error(Code::MisplacedKey, site.at.join(only), title).at(Target::Key);
            let help = "after a case that was killed, vfiospec has to know from its steps that the device has to be brought back";
            mistakes.push(mistake.label("expected in a step of the case itself").help(help));
        }
        mistakes
    }
}

impl Sysfs {
    /// What is to be done, each with its word.
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let order = |order: SysfsOrder| order.as_str();
        let all = [
            ("read", self.read.map(SysfsFact::as_str)),
            ("write", self.write.map(order)),
            ("wait", self.wait.map(order)),
        ];
        all.into_iter().filter_map(|(what, word)| Some((what, word?)))
    }
}
