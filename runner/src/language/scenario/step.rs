// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a case.

use schemars::json_schema;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::language::verb::{Check, Key, Verb};
use crate::language::{
    At, ByBackend, Complaint, Decode, Diagnostic, Dynamic, Limit, Name, Node, Ordered, Outcome, Path, Pattern, Scalar,
    Target, described, join,
};
use crate::model::{BackendName, code::Code};

/// One step: its verb, what is expected of it, and under which name its result is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it does.
    pub verb: Verb,
    /// On which of the case's backends it runs; on all if not given.
    pub backends: Option<Vec<Pattern>>,
    /// On which of the case's devices; on its own one if not given.
    pub device: Option<Name>,
    /// What the call is expected to return.
    pub expect: Option<ByBackend<Dynamic<Outcome>>>,
    /// The name under which later expressions find the result.
    pub save: Option<Name>,
    /// How long it may take.
    pub within: Option<Dynamic<Limit>>,
}

impl<V: Into<Verb>> From<V> for Step {
    fn from(verb: V) -> Step {
        Step { verb: verb.into(), backends: None, device: None, expect: None, save: None, within: None }
    }
}

impl Step {
    /// Whether it runs on the backend.
    pub fn runs_on(&self, backend: BackendName) -> bool {
        self.backends.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(backend)))
    }

    /// The keys of its verb, each with its place below the step.
    pub fn keys(&self) -> impl Iterator<Item = (Below, Key<'_>)> {
        let verb = self.verb.name();
        self.verb.keys().into_iter().map(move |(key, value)| {
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
        self.verb.nested(at)
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
const OTHERS: [&str; 6] = ["backends", "device", "expect", "save", "with", "within"];
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

impl Decode for Step {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        let found = at.found();
        let table = at.table(node, "Step", &KEYS)?;
        let (mut verbs, mut with) = (Vec::new(), None);
        let (mut backends, mut device, mut expect, mut save, mut within) = (None, None, None, None, None);
        for &(key, value) in table.entries() {
            match key {
                "backends" => backends = at.key(key, value),
                "device" => device = at.key(key, value),
                "expect" => expect = at.key(key, value),
                "save" => save = at.key(key, value),
                "within" => within = at.key(key, value),
                "with" => with = Some(at.key(key, value).unwrap_or_default()),
                verb => verbs.extend(Verb::read(verb, value, at).map(|read| (verb, read))),
            }
        }
        if let [(first, _), (second, _), ..] = verbs.as_slice() {
            at.tell(|at| {
                let names = join(verbs.iter().map(|(name, _)| *name), "and");
                let title = format!("a step with {} verbs: {names}", verbs.len());
                let problem = Diagnostic::error(Code::TwoVerbs, at.path().join(*second), title).at(Target::Key);
                let problem = problem.label("expected one verb a step");
                let problem = problem.note(at.path().join(*first), Target::Key, "the step already does this");
                Some(problem.help("start the second with a `-` of its own"))
            });
        }
        let is_told = at.found() > found;
        let mut verb = match verbs.into_iter().next() {
            Some((_, verb)) => verb,
            None => {
                // Where something else is wrong in the step, that may be its verb.
                if !is_told {
                    at.tell(|at| {
                        let problem = Diagnostic::error(Code::NoVerb, at.path(), "a step that does nothing").label(
                            format!("expected a verb, such as {}", join(Verb::NAMES.iter().copied().take(6), "or")),
                        );
                        let help = "keys that belong to the step above stand in its column, without a `-` of their own";
                        Some(problem.help(help))
                    });
                }
                Step::made_up().verb
            }
        };
        match (&mut verb, with) {
            (Verb::Call(call), Some(with)) => call.with = with,
            (_, Some(_)) if !is_told => {
                let complaint = Complaint::new(Code::MisplacedKey, "`with` without `call`")
                    .expected("only beside `call`: it is what a procedure takes");
                at.complain_of_key::<()>("with", complaint);
            }
            _ => {}
        }
        Some(Step { verb, backends, device, expect, save, within })
    }

    fn made_up() -> Self {
        Check(Dynamic::Is(true)).into()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Step { verb, backends, device, expect, save, within } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(verb.name(), verb)?;
        if let Verb::Call(call) = verb
            && !call.with.is_empty()
        {
            map.serialize_entry("with", &call.with)?;
        }
        backends.iter().try_for_each(|backends| map.serialize_entry("backends", backends))?;
        device.iter().try_for_each(|device| map.serialize_entry("device", device))?;
        expect.iter().try_for_each(|expect| map.serialize_entry("expect", expect))?;
        save.iter().try_for_each(|save| map.serialize_entry("save", save))?;
        within.iter().try_for_each(|within| map.serialize_entry("within", within))?;
        map.end()
    }
}

described!(Step, |generator| {
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
    let (name, outcome) = (generator.subschema_for::<Name>(), generator.subschema_for::<ByBackend<Dynamic<Outcome>>>());
    let backends = generator.subschema_for::<Vec<Pattern>>();
    let others = serde_json::json!({
        "backends": {
            "description": "Run the step only on these of the case's backends: names or globs.",
            "examples": [["iommufd*"]],
            "allOf": [backends],
        },
        "device": {
            "description": "Which of the case's `devices` the step is on. The default is the case's own device. Not for the verbs that map memory, which is for all of them.",
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
            "description": "The name under which later expressions find the result. Only for the verbs that have one, and for calls. A result that is no list has also `micros`: how long the step's calls to the kernel took, or the whole step if it makes none or holds steps.",
            "examples": ["m"],
            "allOf": [name],
        },
    });
    let others = {
        let limit = generator.subschema_for::<Dynamic<Limit>>();
        let mut others = others;
        others["within"] = serde_json::json!({
            "description": "How long the step may take, as `micros` of its result counts it: a time, or an expression for a number of microseconds. The default is any time. Only in cases tagged `timing`, which run only if they are asked for.",
            "examples": ["5ms", "{{ 2 * other.micros }}"],
            "allOf": [limit],
        });
        others
    };
    keys.extend(others.as_object().expect("it is one").clone());
    json_schema!({
        "description": "One step: exactly one verb, its expected outcome, and the name of its result.\n\nThe verbs `pagesize`, `gone`, `check` and `compare` check what was done, `fill` prepares memory, `repeat`, `finally` and `parallel` contain more steps, and all others call the kernel or the device.",
        "type": "object",
        "additionalProperties": false,
        "properties": keys,
    })
});
