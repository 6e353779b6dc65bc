// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `device_open`.

use super::prelude::*;

verb! {
    /// A device to open on the case's backend.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- verb:` means all its defaults
    pub struct DeviceOpen {
        /// The VF token, a UUID: what an SR-IOV device is opened with is what each of its virtual functions has to be opened with. Without
        /// it, or where it is empty, none is given.
        #[example("52ac9bff-3a88-4fbd-901a-0d767c3b6c97")] #[example("{{ token }}")]
        pub token: Option<Template>,
    }
}

impl Known for DeviceOpen {
    const ABOUT: About = About {
        does: "Open the device on the case's backend, in the address space of the devices that are already open. Only with `fixture: \
            none`. Saves how many vectors of `intx`, `msi` and `msix` it has, whether it `resets`, and on \
            the backend iommufd the id of its address space, `ioas`.",
        examples: &["{ token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }"],
        saves: Saves::Fields(&["intx", "msi", "msix", "resets", "ioas"]),
        device: true,
        fixture: Stands::Alone,
        is_followed: false,
        ..About::CALL
    };
}
