// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `vf_token`.

use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use crate::language::{Template, keys};

keys! {
    /// A VF token to set.
    #[derive(Serialize)]
    pub struct VfToken {
        /// The token, a UUID.
        #[schemars(example = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97", example = "{{ token }}")]
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

impl Takes for VfToken {
    fn keys(&self) -> Keys<'_> {
        let VfToken { token } = self;
        Keys::default().text("token", token)
    }
}
