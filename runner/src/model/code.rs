// SPDX-License-Identifier: MIT OR Apache-2.0
//! The code of every message about a mistake: `error[unknown-key]`.
//!
//! Tests, documentation and users refer to these words, so they stay as they are. To add one: write a line below and its page
//! `explain/CODE.md`; the tests demand a golden file as well.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// When a mistake is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `check` finds it in a scenario or a pack; a run may find it too.
    Check,
    /// Only a run finds it, or whoever reads files and options.
    Run,
}

macro_rules! codes {
    ($($code:ident $text:literal $found:ident)*) => {
        /// The code of a message. `vfiospec explain CODE` prints its page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`")] $code,)*
        }

        impl Code {
            /// Every code, in alphabetical order.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// The code as messages show it, such as `unknown-key`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$code => $text,)* }
            }

            /// When the mistake is found.
            pub const fn found(self) -> Found {
                match self { $(Code::$code => Found::$found,)* }
            }

            /// Its page in Markdown: what it means, and examples.
            pub const fn page(self) -> &'static str {
                match self { $(Code::$code => include_str!(concat!("../explain/", $text, ".md")),)* }
            }
        }
    };
}

codes! {
    AliasBomb "alias-bomb" Check
    Ambiguous "ambiguous" Check
    AssertsNothing "asserts-nothing" Check
    BadDate "bad-date" Check
    BadSize "bad-size" Check
    Bar "bar" Run
    Check "check" Run
    Child "child" Run
    Content "content" Run
    DuplicateBackend "duplicate-backend" Check
    DuplicateCase "duplicate-case" Check
    DuplicateKey "duplicate-key" Check
    DuplicatePack "duplicate-pack" Check
    DuplicateRole "duplicate-role" Check
    DuplicateValue "duplicate-value" Check
    EmptyFile "empty-file" Check
    EmptyMatrix "empty-matrix" Check
    EngineTooNew "engine-too-new" Check
    Eventfd "eventfd" Run
    Expired "expired" Check
    Expression "expression" Check
    Fault "fault" Run
    Files "files" Run
    Hotplug "hotplug" Run
    Interrupted "interrupted" Run
    InvalidClass "invalid-class" Check
    InvalidCommit "invalid-commit" Check
    InvalidField "invalid-field" Check
    InvalidIds "invalid-ids" Check
    InvalidInventory "invalid-inventory" Check
    InvalidMachine "invalid-machine" Check
    InvalidName "invalid-name" Check
    InvalidQuantity "invalid-quantity" Check
    InvalidValue "invalid-value" Check
    InvalidVersion "invalid-version" Check
    KernelLog "kernel-log" Run
    KeyIsNoText "key-is-no-text" Check
    KnownIssue "known-issue" Run
    Leaves "leaves" Run
    LeftBehind "left-behind" Run
    Limit "limit" Run
    MatchesEverything "matches-everything" Check
    MatchesNothing "matches-nothing" Check
    MatrixTooLarge "matrix-too-large" Check
    MergeKey "merge-key" Check
    MisplacedKey "misplaced-key" Check
    MissingArgument "missing-argument" Check
    MissingExpect "missing-expect" Check
    MissingKey "missing-key" Check
    MissingRegion "missing-region" Check
    MissingValue "missing-value" Check
    MixedOutcome "mixed-outcome" Check
    MustRun "must-run" Run
    NameTaken "name-taken" Check
    NoBackend "no-backend" Check
    NoDevice "no-device" Check
    NoFault "no-fault" Run
    NoFile "no-file" Check
    NoIova "no-iova" Run
    NoMachine "no-machine" Check
    NoObject "no-object" Run
    NoPack "no-pack" Run
    NoReservation "no-reservation" Check
    NoScenario "no-scenario" Run
    NoVerb "no-verb" Check
    NotEnabled "not-enabled" Run
    NotGone "not-gone" Run
    NotOpen "not-open" Run
    NotShareable "not-shareable" Check
    NotUtf8 "not-utf8" Check
    NothingToDo "nothing-to-do" Check
    Observer "observer" Run
    OnlyInTheLab "only-in-the-lab" Run
    OnlyIommufd "only-iommufd" Check
    Open "open" Run
    OutOfRange "out-of-range" Run
    Outcome "outcome" Run
    Pagesize "pagesize" Run
    PartialExpression "partial-expression" Check
    Recursion "recursion" Check
    Refused "refused" Run
    Region "region" Run
    Releases "releases" Check
    Reported "reported" Run
    ReservedName "reserved-name" Check
    SameCase "same-case" Run
    SecondDocument "second-document" Check
    Syntax "syntax" Check
    TabIndentation "tab-indentation" Check
    Tag "tag" Check
    Token "token" Run
    TooDeep "too-deep" Check
    TooLarge "too-large" Check
    TooManySteps "too-many-steps" Check
    TooSlow "too-slow" Run
    TwoForms "two-forms" Check
    TwoVerbs "two-verbs" Check
    UnclosedQuote "unclosed-quote" Check
    UnknownArgument "unknown-argument" Check
    UnknownBackend "unknown-backend" Check
    UnknownCondition "unknown-condition" Check
    UnknownDevice "unknown-device" Check
    UnknownField "unknown-field" Check
    UnknownFile "unknown-file" Check
    UnknownHost "unknown-host" Run
    UnknownKey "unknown-key" Check
    UnknownName "unknown-name" Check
    UnknownObject "unknown-object" Check
    UnknownOutcome "unknown-outcome" Check
    UnknownProcedure "unknown-procedure" Check
    UnknownRegion "unknown-region" Check
    UnknownRequest "unknown-request" Check
    UnknownRole "unknown-role" Check
    UnknownValue "unknown-value" Check
    UnknownVariable "unknown-variable" Run
    UnmatchedBackend "unmatched-backend" Check
    UnmatchedCases "unmatched-cases" Check
    UnquotedExpression "unquoted-expression" Check
    Unreachable "unreachable" Check
    Unreadable "unreadable" Run
    UnusedCondition "unused-condition" Check
    UnusedRegion "unused-region" Check
    UnusedRequest "unused-request" Check
    UnusedValue "unused-value" Check
    VirtualFunctions "virtual-functions" Run
    WrongArgument "wrong-argument" Check
    WrongLength "wrong-length" Check
    WrongType "wrong-type" Check
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = Code::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| de::Error::custom(format!("`{text}` is no code of a message")))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
