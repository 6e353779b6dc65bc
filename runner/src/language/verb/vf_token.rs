// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `vf_token`.

use super::prelude::*;

verb! {
    /// A VF token to set.
    pub struct VfToken {
        /// The token, a UUID.
        #[example("52ac9bff-3a88-4fbd-901a-0d767c3b6c97")] #[example("{{ token }}")]
        pub token: Template,
    }
}

impl Known for VfToken {
    const ABOUT: About = About {
        does: "Set the VF token of an open SR-IOV device.",
        examples: &["{ token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }"],
        device: true,
        is_followed: false,
        ..About::CALL
    };
}
