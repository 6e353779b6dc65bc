// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `feature`.

use super::{given, prelude::*};
use crate::uapi::request::{self, FEATURES, Method};

verb! {
    /// One feature of the device: `probe`, `get` or `set` names it.
    pub struct Feature {
        /// Ask whether the device has this feature: success, or an errno such as ENOTTY. Not beside `get` or `set`; one of the three is required.
        #[example("migration")]
        pub probe: Option<FeatureName>,
        /// Read this feature's data. Not beside `probe` or `set`.
        #[example("mig_device_state")]
        pub get: Option<FeatureName>,
        /// Set this feature, with the `data` that it takes. Not beside `probe` or `get`.
        #[example("low_power_entry")]
        pub set: Option<FeatureName>,
        /// With `probe`: ask also whether the feature can be read or set. The default is neither.
        #[example(["set"])]
        pub methods: Vec<FeatureMethod> = empty,
        /// The fields of the feature's data by their names in the header; all others are 0. [Features](#features) lists them.
        #[example({ "device_state": "STOP" })]
        pub data: Ordered<Given> = empty,
        /// The device's file, if a step opened it. The default is `device`, the open device.
        #[example("file")]
        pub on: Option<Name> as OpenFile,
    }
}

words! {
    /// What may be done with a feature.
    pub enum FeatureMethod {
        /// Read it.
        Get = "get",
        /// Set it.
        Set = "set",
    }
}

impl FeatureMethod {
    /// As the requests have it.
    pub fn method(self) -> Method {
        match self {
            FeatureMethod::Get => Method::Get,
            FeatureMethod::Set => Method::Set,
        }
    }
}

/// The name of a feature that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FeatureName(String);

impl FeatureName {
    /// The feature.
    pub fn feature(&self) -> &'static request::Feature {
        request::Feature::find(&self.0).expect("it was found when the name was read")
    }
}

impl Decode for FeatureName {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "the name of a feature, such as migration", |text| {
            let known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
            if known.contains(&text) {
                return Ok(FeatureName(text.to_owned()));
            }
            Err(Complaint::unknown_word(Code::UnknownValue, "feature", text, &known))
        })
    }

    fn made_up() -> Self {
        FeatureName(FEATURES[0].name.to_owned())
    }
}

described!(FeatureName, "FeatureName", |_| {
    let names: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
    json_schema!({
        "description": "A feature of VFIO_DEVICE_FEATURE, by its name in the kernel's header in lower case.",
        "enum": names,
        "examples": ["migration"],
    })
});

impl Known for Feature {
    const ABOUT: About = About {
        does: "Probe, get or set a feature of the device (VFIO_DEVICE_FEATURE). Saves the fields of the data that the kernel writes.",
        examples: &["{ get: migration }", "{ set: low_power_entry }", "{ probe: dma_buf, methods: [get] }"],
        saves: Saves::Varies,
        device: true,
        makes_file: true,
        reads: true,
        ..About::CALL
    };

    fn title(&self) -> Option<String> {
        let (method, name) = self.methods_named().next()?;
        Some(format!("{method} {}", name.0))
    }

    fn fields(&self) -> Option<Vec<&'static str>> {
        let fields =
            self.get.as_ref().or(self.set.as_ref()).into_iter().flat_map(|name| name.feature().request.written());
        let file = self.get.as_ref().filter(|name| name.feature().makes_file()).map(|_| "fd");
        Some(fields.chain(file).collect())
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let named: Vec<_> = self.methods_named().collect();
        let (method, name) = match named.as_slice() {
            [only] => only,
            [] => {
                let title = "`feature` without `probe`, `get` or `set`";
                let mistake = Diagnostic::error(Code::MissingKey, site.at.clone(), title).at(Target::Key);
                return vec![
                    mistake.label("expected one of `probe`, `get` and `set`, each with the name of a feature"),
                ];
            }
            [(first, _), (second, _), ..] => {
                let title = format!("`{second}` beside `{first}`");
                let mistake = Diagnostic::error(Code::MisplacedKey, site.at.join(*second), title).at(Target::Key);
                return vec![mistake.label("expected one of `probe`, `get` and `set` in a step")];
            }
        };
        let misplaced = |key: &str, label: &str| {
            Diagnostic::error(Code::MisplacedKey, site.at.join(key), format!("`{key}` beside `{method}`"))
                .at(Target::Key)
                .label(label)
        };
        match *method {
            "probe" if !self.data.is_empty() => {
                mistakes.push(misplaced("data", "expected `get` or `set`: a probe has no data"));
            }
            "get" | "set" if !self.methods.is_empty() => {
                mistakes.push(misplaced("methods", "expected `probe`: it asks which methods there are"));
            }
            _ => {}
        }
        let feature = name.feature();
        let what = format!("the feature {}", name.0);
        mistakes.extend(given::wrong(&what, feature.data(), feature.request.arrays, &self.data, &site.at.join("data")));
        mistakes
    }
}

impl Feature {
    /// The methods that are given, each with its feature.
    pub fn methods_named(&self) -> impl Iterator<Item = (&'static str, &FeatureName)> {
        let all = [("probe", &self.probe), ("get", &self.get), ("set", &self.set)];
        all.into_iter().filter_map(|(method, name)| Some((method, name.as_ref()?)))
    }
}
