// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};

impl Act for Info {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Info(InIoas { ioas }) = self;
        let got = step.with_iommu(ioas, |iommu| iommu.info())?;
        step.gave(got, |info| {
            Value::from_pairs([
                ("page_sizes", Value::from(info.page_sizes.unwrap_or(0))),
                ("dma_avail", Value::from(info.dma_avail)),
                ("iova_alignment", Value::from(info.iova_alignment)),
                ("capabilities", info.capabilities.as_ref().map_or_else(given::nothing, given::value)),
            ])
        })
    }
}
