//! What a step on the device has to tell, should it not give what is expected, where that is more than its errno.

use minijinja::Value;

use super::{case::Execution, device::PATIENCE, failure::End, fixture::Open};
use crate::{
    language::{self, Index, Path},
    model::Errno,
};

/// What is told of a step.
pub struct Words {
    /// The text.
    pub text: String,
    /// It takes the place of the verb and its errno, and is no help beside them.
    pub instead: bool,
}

impl Execution<'_> {
    /// The words for what this step gave, if there are better ones than those of its errno.
    pub fn in_words(
        &self,
        step: &language::Step,
        at: &Path,
        value: Option<&Value>,
        got: Result<(), Errno>,
        open: &Open,
    ) -> Result<Option<Words>, End> {
        let late = got == Err(Errno(libc::ETIMEDOUT));
        let within = |timeout: Option<language::Duration>| timeout.unwrap_or(language::Duration(PATIENCE));
        let instead = |text| Ok(Some(Words { text, instead: true }));
        if let Some(language::IrqWait { index, vector, timeout }) = step.irq_wait.as_deref() {
            let (kind, within) = (self.index(index, at)?.as_str(), within(*timeout));
            let vector = vector.as_ref().map_or(Ok(0), |vector| self.small(vector, &at.join("vector")))?;
            return match got {
                Err(_) if late => {
                    instead(format!("irq_wait: no interrupt on {kind} vector {vector} within {within} (ETIMEDOUT)"))
                }
                Ok(()) => instead(format!("irq_wait: an interrupt came on {kind} vector {vector}, expected none")),
                Err(_) => Ok(None),
            };
        }
        if let (Some(poll), true, Some(last)) = (&step.mmio_poll, late, value) {
            let (bar, offset) = (self.small(&poll.bar, &at.join("bar"))?, self.size(&poll.offset, &at.join("offset"))?);
            let (wanted, within) = (self.size(&poll.is, &at.join("is"))?, within(poll.timeout));
            let last = u64::try_from(last.get_attr("value").unwrap_or_default()).unwrap_or_default();
            let mask = match &poll.mask {
                Some(mask) => format!(" under the mask {:#x}", self.size(mask, &at.join("mask"))?),
                None => String::new(),
            };
            return instead(format!(
                "mmio_poll: the register at {offset:#x} of BAR {bar} was still {last:#x} after {within}, expected {wanted:#x}{mask} (ETIMEDOUT)"
            ));
        }
        if let (Some(language::IrqEnable { index, count }), Err(_)) = (step.irq_enable.as_deref(), got) {
            let kind = self.index(index, at)?;
            let [intx, msi, msix] = open.vectors;
            let has = match kind {
                Index::Intx => intx,
                Index::Msi => msi,
                Index::Msix => msix,
                _ => return Ok(None),
            };
            let asked = count.as_ref().map_or(Ok(1), |count| self.size(count, &at.join("count")))?;
            let vectors = if has == 1 { "vector" } else { "vectors" };
            let text = format!("the device has {has} {vectors} of {}, and the step asks for {asked}", kind.as_str());
            return Ok((asked > u64::from(has)).then_some(Words { text, instead: false }));
        }
        Ok(None)
    }
}
