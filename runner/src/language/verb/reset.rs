// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `reset`.

use super::prelude::*;

verb! {
    /// How to reset the device.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- reset:` leaves it to the kernel
    pub struct Reset {
        /// The method; the kernel's choice by default. If the kernel cannot reset the device so, the case is skipped.
        #[example("bus")]
        pub method: Option<ResetMethod>,
    }
}

words! {
    /// A way to reset a device, as the kernel calls it in the device's file `reset_method` (Documentation/ABI/testing/sysfs-bus-pci).
    pub enum ResetMethod {
        /// What the kernel knows of this one device.
        DeviceSpecific = "device_specific",
        /// By the firmware.
        Acpi = "acpi",
        /// The function level reset of PCI Express.
        Flr = "flr",
        /// The function level reset of Advanced Features.
        AfFlr = "af_flr",
        /// To D3hot and back.
        Pm = "pm",
        /// The bus that the device is alone on.
        Bus = "bus",
        /// The same, of CXL.
        CxlBus = "cxl_bus",
    }
}

impl Known for Reset {
    const ABOUT: About = About {
        does: "Reset the device. If somebody else, such as udev, has its lock, a step that expects success tries again for a second. The device is \
            restored after the case.",
        examples: &["null", "{ method: bus }"],
        device: true,
        ..About::CALL
    };
}
