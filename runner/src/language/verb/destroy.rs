// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `destroy`.

use super::prelude::*;

verb! {
    /// What `destroy` takes.
    pub struct Destroy {
        /// The object to destroy.
        #[example("other")] #[example("{{ device.ioas }}")]
        pub object: Object,
    }
}

impl Known for Destroy {
    const ABOUT: About =
        About { does: "Destroy an object of IOMMUFD.", examples: &["{ object: other }"], iommufd: true, ..About::CALL };
}
