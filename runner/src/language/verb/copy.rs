// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `copy`.

use super::prelude::*;

verb! {
    /// What `copy` takes.
    pub struct IoasCopy {
        /// The IOVA that the memory is mapped at already.
        #[example("{{ m.iova }}")]
        pub from_iova: Dynamic<Size> as Iova,
        /// The address space that it is mapped in. The default is the device's own.
        #[example("other")]
        pub from_ioas: Option<Object>,
        /// How many bytes.
        #[example("{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// The IOVA to map it at too, or `kernel`; by default the next free one that the device may use.
        pub iova: Option<Where>,
        /// What the device may do there.
        #[default("read_write")]
        pub access: Option<Access>,
        /// The address space to map it in. The default is the device's own.
        #[example("other")]
        pub ioas: Option<Object>,
    }
}

impl Known for IoasCopy {
    const ABOUT: About = About {
        does: "Map an existing mapping a second time: at another IOVA, in another address space, or with other rights. Saves `iova` \
            and `size`.",
        examples: &[r#"{ from_iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        saves: Saves::Fields(&["iova", "size"]),
        iommufd: true,
        space: true,
        ..About::CALL
    };
}
