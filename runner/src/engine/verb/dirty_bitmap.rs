// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::{dirty, system};

/// The most pages whose bits become elements of a list.
const MOST_PAGES: u64 = 1 << 20;

impl Act for DirtyBitmap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DirtyBitmap { iova, size, page, hwpt, keep } = self;
        let (iova, size) = (step.size("iova", iova)?, step.size("size", size)?);
        let page = step.optional("page", page)?.unwrap_or_else(system::page_size);
        let pages = size / page.max(1);
        if pages > MOST_PAGES {
            let title = format!("a range of {pages} pages is too long for a list of them");
            return Err(step.out_of_range("size", title, format!("expected at most {MOST_PAGES} pages")));
        }
        let (hwpt, tracer) = (step.object("hwpt", hwpt)?, step.case.tracer);
        let got = match (step.open()?.session.container(), hwpt) {
            (Some(container), _) => dirty::type1_dirty_bitmap(container.fd(), iova, size, page, tracer),
            (None, Some(hwpt)) => dirty::hwpt_dirty_bitmap(step.own()?.fd(), hwpt, iova, size, page, *keep, tracer),
            (None, None) => return Err(step.no_hwpt()),
        };
        step.gave(got, |bitmap| {
            let dirty = bitmap.dirty().map(|number| iova.wrapping_add(number.wrapping_mul(page)));
            let dirty: Vec<u64> = dirty.collect();
            Value::from_pairs([("pages", Value::from(bitmap.pages())), ("dirty", Value::from(dirty))])
        })
    }
}
