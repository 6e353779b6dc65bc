// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `child`.

use caps::Capability;

use super::prelude::*;
use crate::language::every_step;

verb! {
    /// Steps for a forked process, and what that process gives up before them.
    pub struct Child {
        /// The number of the user that it becomes, with the group of the same number and no other groups. By default it stays the user that it is.
        #[example(1000)]
        pub user: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
        /// Whether it goes into a user namespace of its own, where it is root and has all capabilities. If the kernel has none, the case is
        /// skipped.
        #[default(false)]
        pub user_namespace: bool = empty,
        /// Capabilities that it lays down, by their names in capabilities(7).
        #[example(["CAP_IPC_LOCK"])]
        pub without: Vec<CapabilityName> = empty,
        /// How many bytes it may lock (`RLIMIT_MEMLOCK`). `CAP_IPC_LOCK` lets it lock more. The default is the limit of
        /// the run.
        #[example("64KiB")]
        pub memlock: Option<Dynamic<Size>>,
        /// How large its address space may be in bytes (`RLIMIT_AS`). What it has already stays. The default is
        /// the limit of the run.
        #[example("1GiB")]
        pub address_space: Option<Dynamic<Size>>,
        /// One more than the highest number that a file may have which it opens (`RLIMIT_NOFILE`): with 0 it can open none. What is open stays
        /// open. The default is the limit of the run.
        #[example(0)]
        pub open_files: Option<Dynamic<Size>> as Number,
        /// Whether it replaces itself by `vfiospec` anew (execve) before its steps: it has the same open files and none of the memory. Regions of
        /// `memfd` and `file` are mapped again from their files, at other addresses, and others are made anew.
        #[default(false)]
        pub exec: bool = empty,
        /// Files that it opened, by the names that they were saved under, which it passes to the process that forked it (`SCM_RIGHTS`) before
        /// it ends. Others are closed with its end.
        #[example(["iommufd"])]
        pub gives: Vec<Name> = empty,
        /// What it does. Then it ends.
        pub steps: Vec<Step>,
    }
}

/// A capability of a process, such as `CAP_IPC_LOCK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityName(pub Capability);

/// Every capability by its name, in the order of their numbers.
fn capabilities() -> Vec<(String, CapabilityName)> {
    let mut all: Vec<Capability> = caps::all().into_iter().collect();
    all.sort_unstable_by_key(Capability::index);
    all.into_iter().map(|capability| (capability.to_string(), CapabilityName(capability))).collect()
}

impl Decode for CapabilityName {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        let all = capabilities();
        let words: Vec<(&str, CapabilityName)> = all.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        at.word(node, &words)
    }

    fn made_up() -> Self {
        CapabilityName(Capability::CAP_CHOWN)
    }
}

impl Serialize for CapabilityName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

described!(CapabilityName, |_| {
    let names: Vec<String> = capabilities().into_iter().map(|(name, _)| name).collect();
    json_schema!({
        "description": "A capability of a process, as in capabilities(7).",
        "enum": names,
        "examples": ["CAP_IPC_LOCK"],
    })
});

impl Known for Child {
    const ABOUT: About = About {
        does: "Fork a process with the same memory and the same open files, run steps in it, and wait for its end. What it opens is \
            closed then, except what it `gives`, and what the steps save is known afterwards.",
        examples: &[
            "{ steps: [{ memory_write: { region: buffer, offset: 0, value: 1 } }] }",
            "{ user: 1000, memlock: 64KiB, steps: [{ map: { region: buffer } }] }",
        ],
        expects: Expects::Nothing("say it of the steps that it holds"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CHECK
    };

    fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        vec![(at.join("child").join("steps"), self.steps.as_slice())]
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let nothing = self.steps.is_empty().then(|| {
            Diagnostic::error(Code::NothingToDo, site.at.join("steps"), "a `child` that does nothing")
                .at(Target::Key)
                .label("expected at least one step")
        });
        let is_threads = |segment: &Segment| matches!(segment, Segment::Key(key) if **key == *"parallel");
        let within = site.at.segments().iter().any(is_threads).then(|| {
            Diagnostic::error(Code::TooDeep, site.at.clone(), "a `child` within a `parallel`")
                .at(Target::Key)
                .label("expected steps of the process that has the threads")
                .help("fork first: a `parallel` may stand in the steps of a `child`")
        });
        let steps = every_step(&self.steps, &Path::root());
        let opened = steps.iter().filter(|placed| placed.step.verb.about().makes_file);
        let opened: Vec<&str> =
            opened.filter_map(|placed| placed.step.save.as_ref()).map(|name| name.0.as_str()).collect();
        let unknown = self.gives.iter().enumerate().filter(|(_, name)| !opened.contains(&name.0.as_str()));
        let unknown = unknown.map(|(index, name)| {
            let title = format!("the child opens no file as `{name}`");
            let label = match opened.is_empty() {
                true => "expected the name of an `open` among its steps".to_owned(),
                false => expected_one_of(opened.iter().copied()),
            };
            let problem = Diagnostic::error(Code::UnknownFile, site.at.join("gives").join(index), title).label(label);
            did_you_mean(&name.0, opened.iter().copied()).into_iter().fold(problem, Diagnostic::help)
        });
        let several = (self.exec && !site.case.devices.is_empty()).then(|| {
            let title = "`exec` in a case with several devices";
            Diagnostic::error(Code::MisplacedKey, site.at.join("exec"), title)
                .at(Target::Key)
                .label("expected only in a case without `devices`")
                .help("only the case's own device is found again in the new process")
        });
        let is_procedure = matches!(site.at.segments().first(), Some(Segment::Key(key)) if **key == *"procedures");
        let replaced = (self.exec && is_procedure).then(|| {
            Diagnostic::error(Code::MisplacedKey, site.at.join("exec"), "`exec` in a procedure")
                .at(Target::Key)
                .label("expected in a step of the case itself")
                .help("the new process finds its steps again by their place in the case; a `child` without `exec` may stand here")
        });
        nothing.into_iter().chain(within).chain(unknown).chain(several).chain(replaced).collect()
    }
}
