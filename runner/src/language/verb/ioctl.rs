// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `ioctl`.

use super::{given, prelude::*};
use crate::uapi::request;

verb! {
    /// A request of VFIO or IOMMUFD, with whatever arguments.
    #[schema("anyOf": [{ "required": ["like"] }, { "required": ["request"] }])]
    pub struct Ioctl {
        /// The request's name, as in the kernel's headers. The default is that of `like`; one of the two is required.
        #[example("IOMMU_IOAS_MAP")]
        pub request: Option<RequestName>,
        /// The file: `device` or `iommu` of the open device, or the name that an `open` was saved under. The default is that of `like`. Among the
        /// file's `requests` it may be left to each `ioctl`.
        #[example("iommu")]
        pub on: Option<Name> as OpenFile,
        /// The name of one of the file's `requests`, instead of `request`. Its keys and fields are taken, except those that are given here.
        #[example("map")]
        // It is replaced before a file is decoded, and only still here if the file has no request of this name.
        pub like: Option<Name>,
        /// The fields of its struct by their names in the header, and flags by theirs. All others are 0. An address is 0, or lies in one of
        /// the case's regions. `ioas_id` of the open device is `device.ioas`. [Requests](#requests) lists all.
        #[example({ "flags": ["READABLE", "WRITEABLE"], "ioas_id": "{{ device.ioas }}" })]
        pub fields: Ordered<Given> = empty,
        /// The value of its `argsz` or `size`. The default is the true size.
        #[example(8)]
        pub size: Option<Dynamic<Size>> as Size(Fit::Bits(32)),
        /// Bytes after the struct: a list of them, or a text, which ends with a 0. The default is nothing.
        pub tail: Tail = empty,
        /// Whether all that lies in memory that cannot be written, so that the kernel has no place for its answer.
        #[default(false)]
        pub read_only: bool = empty,
        /// How many of the last bytes are missing, as if memory ended before them. With 0 it ends right behind them. The default is that more
        /// memory follows.
        #[example(4)]
        pub missing: Option<Dynamic<Size>>,
    }
}

/// What stands behind the struct of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum Tail {
    /// These bytes.
    Bytes(Vec<u8>),
    /// This text and a 0.
    Text(Template),
}

impl Default for Tail {
    fn default() -> Self {
        Tail::Bytes(Vec::new())
    }
}

impl Decode for Tail {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Sequence(elements) => Some(Tail::Bytes(at.list(elements))),
            Value::Text(_) | Value::Unquoted(_) => Template::decode(node, at).map(Tail::Text),
            _ => at.wrong_type(node, "a list of bytes or a text"),
        }
    }

    fn made_up() -> Self {
        Tail::default()
    }
}

described!(Tail, |_| json_schema!({
    "description": "Bytes, or a text (in which expressions are replaced by their values) and a 0.",
    "anyOf": [
        { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } },
        { "type": "string" },
    ],
    "examples": [[0, 0, 0, 1], "{{ device.bdf }}"],
}));

/// The name of a request that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RequestName(String);

impl RequestName {
    /// The request.
    pub fn request(&self) -> &'static request::Request {
        request::find(&self.0).expect("it was found when the name was read")
    }
}

impl Decode for RequestName {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "the name of a request, such as IOMMU_IOAS_MAP", |text| {
            if request::find(text).is_some() {
                return Ok(RequestName(text.to_owned()));
            }
            let known = request::all().map(|request| request.name);
            let mut complaint = Complaint::new(Code::UnknownRequest, format_args!("unknown request `{text}`"))
                .expected("a request of VFIO or IOMMUFD as the kernel's headers name it, such as IOMMU_IOAS_MAP");
            complaint.help.extend(did_you_mean(text, known));
            Err(complaint)
        })
    }

    fn made_up() -> Self {
        RequestName(request::all().next().expect("there are requests").name.to_owned())
    }
}

described!(RequestName, "Request", |_| {
    let names: Vec<_> = request::all().map(|request| request.name).collect();
    json_schema!({
        "description": "A request of VFIO or IOMMUFD, as the kernel's headers name it.",
        "enum": names,
        "examples": ["IOMMU_IOAS_MAP"],
    })
});

impl Known for Ioctl {
    const ABOUT: About = About {
        does: "Make any request by its name, with any arguments: too short, too long, unknown flags. Saves `result`, the \
            fields that the kernel writes, with flags as lists of their names, and lists and `capabilities` behind the struct.",
        examples: &["{ request: IOMMU_IOAS_MAP, on: iommu }"],
        saves: Saves::Varies,
        device: true,
        fixture: Stands::Anywhere,
        makes_file: true,
        reads: true,
        ..About::CALL
    };

    fn title(&self) -> Option<String> {
        self.known().map(|request| request.name.to_owned())
    }

    fn fields(&self) -> Option<Vec<&'static str>> {
        Some(["result"].into_iter().chain(self.known()?.written()).collect())
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        self.like_nothing(site).into_iter().chain(self.without_file(site)).chain(self.wrong(&site.at)).collect()
    }
}

impl Ioctl {
    /// The request, if it is known.
    fn known(&self) -> Option<&'static request::Request> {
        self.request.as_ref().map(RequestName::request)
    }

    /// What is wrong with it, in a step or among the file's requests.
    pub(in crate::language) fn wrong(&self, at: &Path) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let Some(request) = self.known() else {
            if self.like.is_none() {
                let name = match at.last() {
                    Some(Segment::Key(name)) => name.as_ref(),
                    _ => "ioctl",
                };
                let title = format!("`{name}` without `request`");
                let mistake = Diagnostic::error(Code::MissingKey, at.clone(), title).at(Target::Key);
                mistakes.push(mistake.label("expected the name of a `request` in it"));
            }
            return mistakes;
        };
        mistakes.extend(given::wrong(request.name, request.fields, request.arrays, &self.fields, &at.join("fields")));
        mistakes
    }

    /// A step says on which file the request is made, if the file's request that it is like does not.
    fn without_file(&self, site: &Site) -> Option<Diagnostic> {
        (self.request.is_some() && self.on.is_none()).then(|| {
            let title = "`ioctl` without `on`";
            let mistake = Diagnostic::error(Code::MissingKey, site.at.clone(), title).at(Target::Key);
            let mistake =
                mistake.label("expected the file in it: `on: device`, `on: iommu` or one that the case opens");
            match site.requests.is_empty() {
                true => mistake,
                false => mistake.help("the request of the file that it is `like` may say it, too"),
            }
        })
    }

    /// What is wrong with a `like` that is still there once the requests of the file are in their places.
    fn like_nothing(&self, site: &Site) -> Option<Diagnostic> {
        let (like, at) = (self.like.as_ref()?, site.at.join("like"));
        if self.request.is_some() {
            let problem = Diagnostic::error(Code::MisplacedKey, at, "`like` beside `request`").at(Target::Key);
            return Some(problem.label("expected one of the two: `like` names one of the file's `requests`"));
        }
        let known = || site.requests.keys();
        let label = match known().next() {
            Some(_) => expected_one_of(known()),
            None => "expected `request`: the file has no `requests`".to_owned(),
        };
        let title = format!("no request of this file is called `{like}`");
        let problem = Diagnostic::error(Code::UnknownRequest, at, title).label(label);
        Some(did_you_mean(&like.0, known()).into_iter().fold(problem, Diagnostic::help))
    }
}
