//! The verb `info`.

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::{InIoas, takes};

takes!(Info(InIoas));

impl Known for Info {
    const ABOUT: About = About {
        does: "Ask what the IOMMU offers. Saves `page_sizes` (a bitmap; 0 where not told), `dma_avail` and `iova_alignment` \
            (none where not told).",
        examples: &["null", "{ ioas: other }"],
        saves: Saves::Fields(&["page_sizes", "dma_avail", "iova_alignment"]),
        ..About::CALL
    };
}

impl Takes for Info {
    fn keys(&self) -> Keys<'_> {
        let Info(InIoas { ioas }) = self;
        Keys::default().object("ioas", ioas)
    }
}
