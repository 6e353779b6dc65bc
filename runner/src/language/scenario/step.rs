//! The steps of a case.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess},
    ser::SerializeMap,
};

use crate::language::{
    ByBackend, Complaint, Dynamic, Name, Ordered, Outcome, Path, Scalar, join,
    verb::{Check, Key, Verb},
};
use crate::model::code::Code;

/// One step: its verb, what is expected of it, and under which name its result is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it does.
    pub verb: Verb,
    /// On which of the case's devices; on its own one if not given.
    pub device: Option<Name>,
    /// What the call is expected to return.
    pub expect: Option<ByBackend<Outcome>>,
    /// The name under which later expressions find the result.
    pub save: Option<Name>,
}

impl<V: Into<Verb>> From<V> for Step {
    fn from(verb: V) -> Step {
        Step { verb: verb.into(), device: None, expect: None, save: None }
    }
}

/// The key that stands for the verb where none is written: what is missing in a step without one.
pub(in crate::language) const VERB: &str = "verb";

impl Step {
    /// The keys of its verb, each with its place below the step.
    pub fn keys(&self) -> impl Iterator<Item = (Below, Key<'_>)> {
        let verb = self.verb.name();
        self.verb.takes().keys().into_iter().map(move |(key, value)| {
            let below = match value {
                Key::Arguments(_) => [Some(key), None],
                Key::Truth(_) => [Some(verb), None],
                _ => [Some(verb), Some(key)],
            };
            (Below(below), value)
        })
    }

    /// The lists of steps that it holds, each with its place, in a step at `at`.
    pub fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        self.verb.takes().nested(at)
    }
}

/// The keys that lead from a step to a value in it.
#[derive(Clone, Copy)]
pub struct Below(pub [Option<&'static str>; 2]);

impl Below {
    /// The last of them.
    pub fn last(self) -> &'static str {
        self.0.into_iter().flatten().last().unwrap_or_default()
    }

    /// The path of the value, in a step at this path.
    pub fn of(self, step: &Path) -> Path {
        self.0.into_iter().flatten().fold(step.clone(), |path, key| path.join(key))
    }
}

/// The keys of a step that are no verbs; `with` belongs to `call`.
const OTHERS: [&str; 4] = ["device", "expect", "save", "with"];
/// Every key of a step, in the order of the reference.
const KEYS: [&str; Verb::NAMES.len() + OTHERS.len()] = {
    let mut all = [""; Verb::NAMES.len() + OTHERS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < Verb::NAMES.len() { Verb::NAMES[at] } else { OTHERS[at - Verb::NAMES.len()] };
        at += 1;
    }
    all
};

/// A key of a step as it is read.
struct Word(&'static str);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key of a step")
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<Word, E> {
                let known = KEYS.iter().chain([&VERB]).find(|known| **known == key);
                known.map(|known| Word(known)).ok_or_else(|| E::unknown_field(key, &KEYS))
            }
        }
        deserializer.deserialize_identifier(Visitor)
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Step;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Step, A::Error> {
                let (mut device, mut expect, mut save, mut with) = (None, None, None, None);
                let mut verbs: Vec<(&str, Verb)> = Vec::new();
                let mut is_made_up = false;
                while let Some(Word(key)) = access.next_key()? {
                    match key {
                        "device" => device = Some(access.next_value()?),
                        "expect" => expect = Some(access.next_value()?),
                        "save" => save = Some(access.next_value()?),
                        "with" => with = Some(access.next_value()?),
                        VERB => is_made_up = access.next_value::<IgnoredAny>().is_ok(),
                        verb => verbs.extend(Verb::read(verb, &mut access)?.map(|read| (verb, read))),
                    }
                }
                if let [(first, _), (second, _), ..] = verbs.as_slice() {
                    let names = || verbs.iter().map(|(name, _)| *name);
                    return Err(Complaint::new(format_args!(
                        "a step with {} verbs: {}",
                        verbs.len(),
                        join(names(), "and")
                    ))
                    .code(Code::TwoVerbs)
                    .expected("one verb a step")
                    .at_key(second)
                    .note(first, "the step already does this")
                    .help("start the second with a `-` of its own")
                    .raise());
                }
                let mut verb = match verbs.pop() {
                    Some((_, verb)) => verb,
                    None if is_made_up => Check(Dynamic::Is(true)).into(),
                    None => return Err(de::Error::missing_field(VERB)),
                };
                match (&mut verb, with) {
                    (Verb::Call(call), Some(with)) => call.with = with,
                    (_, Some(_)) if !is_made_up => {
                        return Err(Complaint::new("`with` without `call`")
                            .code(Code::MisplacedKey)
                            .expected("only beside `call`: it is what a procedure takes")
                            .at_key("with")
                            .raise());
                    }
                    _ => {}
                }
                Ok(Step { verb, device, expect, save })
            }
        }
        deserializer.deserialize_struct("Step", &KEYS, Visitor)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Step { verb, device, expect, save } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(verb.name(), verb)?;
        if let Verb::Call(call) = verb
            && !call.with.is_empty()
        {
            map.serialize_entry("with", &call.with)?;
        }
        device.iter().try_for_each(|device| map.serialize_entry("device", device))?;
        expect.iter().try_for_each(|expect| map.serialize_entry("expect", expect))?;
        save.iter().try_for_each(|save| map.serialize_entry("save", save))?;
        map.end()
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut keys = serde_json::Map::new();
        let with = generator.subschema_for::<Ordered<Scalar>>();
        for ((name, about), schema) in Verb::NAMES.iter().zip(Verb::ABOUT).zip(Verb::schemas(generator)) {
            let examples = about.examples.iter().map(|example| {
                serde_yaml::from_str::<serde_json::Value>(example).expect("the examples of a verb are YAML")
            });
            let examples: Vec<_> = examples.collect();
            let key = json_schema!({ "description": about.does, "examples": examples, "allOf": [schema] });
            keys.insert((*name).to_owned(), key.into());
            if *name == "call" {
                let mut with = with.clone();
                with.insert(
                    "description".into(),
                    "The arguments of the procedure, by the names of its parameters. Only beside `call`.".into(),
                );
                with.insert("examples".into(), serde_json::json!([{ "source": "{{ m.iova }}" }]));
                keys.insert("with".to_owned(), with.into());
            }
        }
        let (name, outcome) = (generator.subschema_for::<Name>(), generator.subschema_for::<ByBackend<Outcome>>());
        let others = serde_json::json!({
            "device": {
                "description": "On which of the case's `devices`; on its own one unless given. Not for the verbs that map memory, which is for all of them.",
                "examples": ["second"],
                "allOf": [name],
            },
            "expect": {
                "description": "What the call is expected to return. Only for the verbs that call the kernel.",
                "examples": ["EINVAL", { "vfio_*": "EINVAL", "iommufd*": "ENOENT" }],
                "default": "ok",
                "allOf": [outcome],
            },
            "save": {
                "description": "The name under which later expressions find the result. Only for the verbs that have one.",
                "examples": ["m"],
                "allOf": [name],
            },
        });
        keys.extend(others.as_object().expect("it is one").clone());
        json_schema!({
            "description": "One step: exactly one verb, what is expected of it, and under which name its result is kept.\n\nThe verbs `pagesize`, `gone`, `check` and `compare` look at what was done, `fill` prepares it, `repeat` and `parallel` hold further steps; all others call the kernel or the device.",
            "type": "object",
            "additionalProperties": false,
            "properties": keys,
        })
    }
}
