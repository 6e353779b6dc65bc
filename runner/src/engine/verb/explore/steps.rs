// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps that make a call, and how they are written down.

use serde_yaml::Value;

use super::call::{Call, Reached, Target};
use super::ground::{Ground, OTHER, Place, State, TABLE};
use crate::backend::{Access, IovaRange, Pages};
use crate::language::verb::{
    self, Advice, AllowIovas, AllowedRange, Attach, Check, Destroy, Detach, DirtyBitmap, DirtyTracking, Hwpt, InIoas,
    IoasCopy, IommuOption, IovaRanges, Madvise, Map, MapFile, Object, OptionName, Reach, Unmap, UnmapAll, Where,
};
use crate::language::{Dynamic, Name, Outcome, Size, Step};

/// The name that a mapping is saved as if the kernel chose its IOVA.
const CHOSEN: &str = "chosen";
/// The name that the answer to a question is saved as.
const FOUND: &str = "found";

impl Call {
    /// The steps that make it, each with what it has to come to.
    pub fn steps(&self, ground: &Ground, state: &State) -> Vec<(Step, Outcome)> {
        let is = |number: u64| Dynamic::Is(Size(number));
        let region = |region: usize| Name(ground.memory[region].name.clone());
        let saved = |step: Step, name: &str| Step { save: Some(Name(name.to_owned())), ..step };
        let outcome = self.outcome(ground, state);
        let check = |text: String| (Step::from(Check(Dynamic::Expression(text))), Outcome::Ok);
        let step = match *self {
            Call::Map { region: of, offset, iova, size, access, place, file, fails: _ } => {
                let part = ground.memory[of].size.checked_sub(offset) != Some(size);
                let (iova, size) = (Some(Where::At(is(iova))), part.then(|| is(size)));
                let (region, offset, ioas) = (region(of), (offset > 0).then(|| is(offset)), object(place));
                match file {
                    false => Map { region, iova, size, offset, access: word(access), ioas }.into(),
                    true => MapFile { region, iova, size, offset, access: word(access), ioas }.into(),
                }
            }
            Call::Choose { region: of, offset, size, access, place } => {
                let (region, offset, access) = (region(of), (offset > 0).then(|| is(offset)), word(access));
                let (iova, size_of) = (Some(Where::Kernel), Some(is(size)));
                let map: Step = Map { region, iova, size: size_of, offset, access, ioas: object(place) }.into();
                if outcome != Outcome::Ok {
                    return vec![(map, outcome)];
                }
                let within = |range: &IovaRange| {
                    // Not more than its last byte, which may be the last of all.
                    let last = range.last - (size - 1);
                    format!("({} <= {CHOSEN}.iova and {CHOSEN}.iova <= {last})", range.start)
                };
                let choices = ground.model.choices(state.ranges(ground, place), &state.of(place).allowed);
                let fitting = choices.iter().filter(|range| range.last - range.start >= size - 1);
                let within = fitting.map(within).collect::<Vec<_>>().join(" or ");
                let iova = Dynamic::Expression(format!("{{{{ {CHOSEN}.iova }}}}"));
                let unmap = Unmap { iova, size: is(size), ioas: object(place) };
                return vec![
                    (saved(map, CHOSEN), outcome),
                    check(format!("{{{{ {within} }}}}")),
                    (unmap.into(), Outcome::Bytes(is(size))),
                ];
            }
            Call::Unmap { iova, size, place } => Unmap { iova: is(iova), size: is(size), ioas: object(place) }.into(),
            Call::UnmapAll { place } => UnmapAll(InIoas { ioas: object(place) }).into(),
            Call::Copy { from, source, iova, size, access, place, fails: _ } => IoasCopy {
                from_iova: is(from),
                from_ioas: object(source),
                size: is(size),
                iova: Some(Where::At(is(iova))),
                access: word(access),
                ioas: object(place),
            }
            .into(),
            Call::Renew { region: of, offset, size } => {
                let (offset, size) = (Some(is(offset)), Some(is(size)));
                Madvise { region: region(of), offset, size, advice: Advice::Dontneed }.into()
            }
            Call::Collapse { region: of } => {
                Madvise { region: region(of), offset: None, size: None, advice: Advice::Collapse }.into()
            }
            Call::Attach { to, short: _ } => {
                let to = match to {
                    Target::Space(place) => object(place),
                    Target::Table => Some(named(TABLE)),
                };
                Attach { to, pasid: None }.into()
            }
            Call::Detach => Detach { pasid: None }.into(),
            Call::MakeTable { place, short: _ } => saved(Hwpt { ioas: object(place), flags: Vec::new() }.into(), TABLE),
            Call::DropTable => Destroy { object: named(TABLE) }.into(),
            Call::Allow { place, ranges } => {
                let allowed = |range: IovaRange| AllowedRange { start: is(range.start), last: is(range.last) };
                let ranges = ranges.into_iter().flatten().map(allowed).collect();
                AllowIovas { ioas: object(place), ranges }.into()
            }
            Call::HugePages { place, value } => {
                IommuOption { name: OptionName::HugePages, ioas: object(place), set: Some(is(value)) }.into()
            }
            Call::Ranges { place } => {
                let one = |range: &IovaRange| format!("{{'start': {}, 'last': {}}}", range.start, range.last);
                let all = state.ranges(ground, place).iter().map(one).collect::<Vec<_>>().join(", ");
                let ask: Step = IovaRanges(InIoas { ioas: object(place) }).into();
                return vec![(saved(ask, FOUND), outcome), check(format!("{{{{ {FOUND} == [{all}] }}}}"))];
            }
            Call::Reach { from, to, .. } => {
                let Some(Reached { size, source, target, is_let: _ }) = self.reached(ground, state) else {
                    return Vec::new();
                };
                let offset = |pages: Pages| (pages.from > 0).then(|| is(pages.from));
                Reach {
                    source: is(from),
                    reads: region(source.list),
                    reads_offset: offset(source),
                    destination: is(to),
                    writes: region(target.list),
                    writes_offset: offset(target),
                    size: Some(is(size)),
                }
                .into()
            }
            // Its calls are not one after the other.
            Call::Beside(_) => return Vec::new(),
            Call::Track { enable } => DirtyTracking { enable, hwpt: None }.into(),
            Call::Dirty { iova, size } => {
                let (iova_of, size_of) = (is(iova), is(size));
                let ask: Step =
                    DirtyBitmap { iova: iova_of, size: size_of, page: None, hwpt: None, keep: false }.into();
                let Ok(pages) = ground.model.dirty(state.mappings(Place::Own), iova, size, state.tracked) else {
                    return vec![(ask, outcome)];
                };
                let compares = if state.stale { ">=" } else { "==" };
                let check = check(format!("{{{{ {FOUND}.dirty | length {compares} {pages} }}}}"));
                return vec![(saved(ask, FOUND), outcome), check];
            }
        };
        vec![(step, outcome)]
    }

    /// Its steps as YAML, with what is expected of each.
    pub fn yaml(&self, ground: &Ground, state: &State) -> Vec<String> {
        if let Call::Beside(race) = self {
            return vec![race.yaml(ground, state)];
        }
        let steps = self.steps(ground, state);
        let mut texts: Vec<String> = steps.iter().map(|(step, outcome)| written(step, outcome)).collect();
        if let Some((undo, outcome)) = self.undoing(ground, state) {
            let nested = |text: &str| text.replace('\n', "\n      ");
            let (call, undo) = (nested(&texts.concat()), nested(&written(&undo, &outcome)));
            let first = self.fails_first();
            let first = if first > 1 { format!("\n  first: {first}") } else { String::new() };
            texts = vec![format!("fail_nth:{first}\n  steps:\n    - {call}\n  undo:\n    - {undo}")];
        }
        texts
    }
}

fn named(name: &str) -> Object {
    Object::Named(Name(name.to_owned()))
}

fn object(place: Place) -> Option<Object> {
    (place == Place::Other).then(|| named(OTHER))
}

/// The access as a step says it; nothing for the one that is usual.
fn word(access: Access) -> Option<verb::Access> {
    match (access.read, access.write) {
        (true, true) => None,
        (true, false) => Some(verb::Access::Read),
        (false, true) => Some(verb::Access::Write),
        (false, false) => Some(verb::Access::None),
    }
}

/// A step as YAML, with what is expected of it.
pub fn written(step: &Step, outcome: &Outcome) -> String {
    let name = step.verb.name();
    let mut text = match serde_yaml::to_value(&step.verb).expect("a verb has a YAML form") {
        Value::Mapping(keys) => match fields(&keys) {
            fields if fields.is_empty() => format!("{name}:"),
            fields => format!("{name}: {{ {fields} }}"),
        },
        other => format!("{name}: {}", value(name, &other)),
    };
    if let Some(Name(save)) = &step.save {
        text += &format!("\nsave: {save}");
    }
    match outcome {
        Outcome::Ok => {}
        Outcome::Bytes(Dynamic::Is(size)) => text += &format!("\nexpect: {{ bytes: {size} }}"),
        other => {
            let other = serde_json::to_string(other).expect("an outcome has a JSON form").replace('"', "");
            text += &format!("\nexpect: {other}");
        }
    }
    text
}

/// Keys with their values on one line; those that are not given are left out.
fn fields(keys: &serde_yaml::Mapping) -> String {
    let one = |(key, of): (&Value, &Value)| {
        let key = key.as_str()?;
        let is_given = !matches!((key, of), (_, Value::Null) | ("keep", Value::Bool(false)));
        let is_empty = key == "flags" && of.as_sequence().is_some_and(Vec::is_empty);
        (is_given && !is_empty).then(|| format!("{key}: {}", value(key, of)))
    };
    keys.iter().filter_map(one).collect::<Vec<_>>().join(", ")
}

fn value(key: &str, of: &Value) -> String {
    const ADDRESSES: [&str; 9] =
        ["iova", "from_iova", "offset", "start", "last", "source", "reads_offset", "destination", "writes_offset"];
    match of {
        Value::String(text) if text.contains("{{") => serde_json::to_string(text).expect("a text has a JSON form"),
        Value::String(text) => match text.parse::<Size>() {
            Ok(Size(number)) if ADDRESSES.contains(&key) => format!("{number:#x}"),
            _ => text.clone(),
        },
        Value::Sequence(all) => {
            let all: Vec<String> = all.iter().map(|one| value(key, one)).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Mapping(keys) => format!("{{ {} }}", fields(keys)),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Tagged(_) => String::new(),
    }
}
