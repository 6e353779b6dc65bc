// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `destroy`.

use crate::language::keys;
use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use super::shared::Object;

keys! {
    /// What `destroy` takes.
    #[derive(Serialize)]
    pub struct Destroy {
        /// The object to destroy.
        #[schemars(example = &"other", example = &"{{ device.ioas }}")]
        pub object: Object,
    }
}

impl Known for Destroy {
    const ABOUT: About =
        About { does: "Destroy an object of IOMMUFD.", examples: &["{ object: other }"], iommufd: true, ..About::CALL };
}

impl Takes for Destroy {
    fn keys(&self) -> Keys<'_> {
        let Destroy { object } = self;
        Keys::default().object("object", object)
    }
}
