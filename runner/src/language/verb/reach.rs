// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `reach`.

use super::prelude::*;

/// The procedures of a pack by which a device copies memory, and the numbers that each is given.
pub const COPYING: [(&str, &[&str]); 4] =
    [("dma_limits", &[]), ("dma_start", &[]), ("dma_copy", &["source", "destination", "size"]), ("dma_stop", &[])];

verb! {
    /// A copy by the device, and the memory that it is between.
    pub struct Reach {
        /// The IOVA that the device reads.
        #[example("{{ from.iova }}")]
        pub source: Dynamic<Size> as Iova,
        /// The region that is mapped there.
        #[example("buffer")]
        pub reads: Name as RegionName,
        /// Where in that region the IOVA is, in bytes.
        #[example("4KiB")] #[default(0)]
        pub reads_offset: Option<Dynamic<Size>> as Offset,
        /// The IOVA that the device writes.
        #[example("{{ to.iova }}")]
        pub destination: Dynamic<Size> as Iova,
        /// The region that is mapped there, or was: what the device does not reach has to stay as it is.
        #[example("out")]
        pub writes: Name as RegionName,
        /// Where in that region the IOVA is, in bytes.
        #[example("4KiB")] #[default(0)]
        pub writes_offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default as many as the device copies at once, and as both regions have.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
    }
}

impl Known for Reach {
    const ABOUT: About = About {
        does: "Have the device copy memory, and look at what arrived. First fills the memory that the device reads with new content, and the \
            memory that it writes with zeros. Fails with EFAULT if nothing arrived. If only a part did, or something else, the case fails. The \
            device copies by the procedures `dma_limits`, `dma_start`, `dma_copy` and `dma_stop` of its pack. If no pack has them for it, the \
            case is skipped.",
        examples: &[r#"{ source: "{{ from.iova }}", reads: buffer, destination: "{{ to.iova }}", writes: out }"#],
        device: true,
        ..About::CALL
    };

    fn procedures(&self) -> Vec<&str> {
        COPYING.iter().map(|(name, _)| *name).collect()
    }
}
