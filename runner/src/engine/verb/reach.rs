// SPDX-License-Identifier: MIT OR Apache-2.0
use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    call::{called, callee},
    content::{Content, Part},
    prelude::*,
};
use crate::engine::procedure::Callee;
use crate::language::{Dynamic, LoadedPack, Name, Parameter, Procedure, Scalar, join};

impl Act for Reach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Reach { source, reads, reads_offset, destination, writes, writes_offset, size } = self;
        let (source, destination) = (step.size("source", source)?, step.size("destination", destination)?);
        let size = step.optional("size", size)?;
        let from = part(step, "reads", reads, reads_offset, size)?;
        let to = part(step, "writes", writes, writes_offset, size)?;
        let size = match size {
            Some(size) => size,
            None => most_copied(step)?.min(from.size).min(to.size),
        };
        let (from, to) = (Part { size, ..from }, Part { size, ..to });
        if reads == writes && from.offset.abs_diff(to.offset) < size {
            let title = format!("the device reads and writes the same bytes of region `{reads}`");
            return Err(step.out_of_range("", title, "expected parts that do not overlap"));
        }
        let (sent, nothing) = (new_content(), Content::Byte(0));
        step.fill("reads", reads, &from, &sent)?;
        step.fill("writes", writes, &to, &nothing)?;
        call(step, "dma_start", &[])?;
        call(step, "dma_copy", &[("source", source), ("destination", destination), ("size", size)])?;
        call(step, "dma_stop", &[])?;
        let (mut is_let, mut expected) = (None, Vec::new());
        step.each_chunk(writes, &to, |done, got| {
            let is_let = *is_let.get_or_insert(got[0] != 0);
            expected.resize(got.len(), 0);
            let (content, what) = match is_let {
                true => (&sent, "expected all of what the device read, or nothing"),
                false => (&nothing, "expected that nothing arrives, or all of what the device read"),
            };
            content.read(done, &mut expected).expect("it is not read from memory");
            step.differs((writes, &to), done, got, &expected, || what.to_owned())
        })?;
        let arrived = is_let == Some(true);
        let compared = step.compare(if arrived { Ok(None) } else { Err(Errno(libc::EFAULT)) });
        compared.map_err(|end| {
            let told =
                format!("the device was told to copy {} from iova {source:#x} to iova {destination:#x}", amount(size));
            end.help(match arrived {
                true => format!("{told}, and region `{writes}` has all of it"),
                false => format!("{told}, and region `{writes}` still has zeros there"),
            })
        })
    }
}

/// The part of a region that the device reads or writes: `size` bytes, or all from the offset on.
fn part<'f>(
    step: &Running<'_, 'f, '_>,
    key: &str,
    region: &Name,
    offset: &Option<Dynamic<Size>>,
    size: Option<u64>,
) -> Result<Part<'f>, End> {
    let offset = step.optional(&format!("{key}_offset"), offset)?.unwrap_or(0);
    Part::new(region, &step.memory(region).mapping, offset, size, step.at(key))
}

/// How many bytes the device copies at once, as its pack says.
fn most_copied(step: &mut Running) -> Result<u64, End> {
    let limits = call(step, "dma_limits", &[])?;
    let title = "`dma_limits` does not say how much the device copies at most";
    most_of(&limits).ok_or_else(|| step.out_of_range("", title, "expected `size`, or a procedure that gives `most`"))
}

/// The most bytes that a device copies at once, in what `dma_limits` returned.
pub fn most_of(limits: &Value) -> Option<u64> {
    limits.get_attr("most").ok().and_then(|most| u64::try_from(most).ok()).filter(|most| *most > 0)
}

/// Calls a procedure of the device's pack.
fn call(step: &mut Running, procedure: &str, with: &[(&str, u64)]) -> Result<Value, End> {
    let name = Name(procedure.to_owned());
    let Callee { loaded, procedure: found, .. } = &*callee(step, &name)?;
    let given: Vec<&str> = with.iter().map(|(name, _)| *name).collect();
    if let Some(misfit) = misfit(loaded, found, procedure, &given) {
        let gives = match given.as_slice() {
            [] => "no arguments".to_owned(),
            all => format!("the numbers {}", join(all.iter().copied(), "and")),
        };
        return Err(step.error(Code::WrongArgument, "", misfit, format!("expected a procedure that takes {gives}")));
    }
    let with = with.iter().map(|(name, value)| ((*name).to_owned(), Scalar::Integer((*value).into())));
    called(step, &name, &with.collect())
}

/// What is wrong with a procedure for a copy, which gives it these numbers: one of this name need not be one that copies.
pub fn misfit(loaded: &LoadedPack, found: &Procedure, name: &str, given: &[&str]) -> Option<String> {
    let fits = |(name, parameter): (&str, &Parameter)| match given.contains(&name) {
        true => parameter.r#type.is_number(),
        false => parameter.default.is_some(),
    };
    let takes = found.parameters.iter().all(fits) && given.iter().all(|name| found.parameters.get(name).is_some());
    (!takes).then(|| format!("`{name}` of the pack `{}` does not take what `reach` gives it", loaded.pack.name))
}

/// Content that no copy had before, so that what a device still has of one is not taken for what it reads now. Its first byte is not 0.
fn new_content() -> Content<'static> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let begins_with = |content: &Content| {
        let mut first = [0];
        content.read(0, &mut first).expect("it is not read from memory");
        first[0]
    };
    (0..)
        .map(|more| Content::Pattern(now.wrapping_add(more)))
        .find(|content| begins_with(content) != 0)
        .expect("some do")
}
