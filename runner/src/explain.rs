//! What each code of a diagnostic and of a failure means, with a wrong and a right example of what `check` tells: the pages of `vfiospec explain`.
//!
//! A new code needs a page in `explain/` and a line below; `tests/explain.rs` says so, and tries the examples.

/// One page: its code, and its text in Markdown. Scenarios stand in blocks of `yaml wrong` and `yaml right`, a `pack.yaml` in `yaml wrong
/// pack` and `yaml right pack`, and in `yaml pack` one that lies beside the scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The code, such as `unknown-key`.
    pub code: &'static str,
    /// The text.
    pub text: &'static str,
}

macro_rules! pages {
    ($($code:literal,)*) => {
        /// Every page, in alphabetical order.
        pub const PAGES: &[Page] = &[$(Page { code: $code, text: include_str!(concat!("explain/", $code, ".md")) }),*];
    };
}

pages![
    "alias-bomb",
    "ambiguous",
    "asserts-nothing",
    "bad-date",
    "bad-size",
    "bar",
    "check",
    "content",
    "duplicate-backend",
    "duplicate-case",
    "duplicate-key",
    "duplicate-pack",
    "duplicate-role",
    "duplicate-value",
    "empty-file",
    "empty-matrix",
    "engine-too-new",
    "eventfd",
    "expression",
    "fault",
    "files",
    "interrupted",
    "invalid-class",
    "invalid-field",
    "invalid-ids",
    "invalid-name",
    "invalid-quantity",
    "invalid-value",
    "invalid-version",
    "kernel-log",
    "key-is-no-text",
    "known-issue",
    "leaves",
    "left-behind",
    "limit",
    "matches-everything",
    "matches-nothing",
    "matrix-too-large",
    "merge-key",
    "misplaced-key",
    "missing-argument",
    "missing-expect",
    "missing-key",
    "missing-region",
    "missing-value",
    "mixed-outcome",
    "name-taken",
    "no-backend",
    "no-device",
    "no-fault",
    "no-file",
    "no-iova",
    "no-object",
    "no-pack",
    "no-scenario",
    "no-verb",
    "not-enabled",
    "not-gone",
    "not-open",
    "not-shareable",
    "not-utf8",
    "nothing-to-do",
    "observer",
    "only-in-the-lab",
    "only-iommufd",
    "open",
    "out-of-range",
    "outcome",
    "pagesize",
    "partial-expression",
    "recursion",
    "refused",
    "region",
    "reported",
    "reserved-name",
    "same-case",
    "second-document",
    "syntax",
    "tab-indentation",
    "tag",
    "token",
    "too-deep",
    "too-large",
    "too-many-steps",
    "two-forms",
    "two-verbs",
    "unclosed-quote",
    "unknown-argument",
    "unknown-backend",
    "unknown-device",
    "unknown-field",
    "unknown-file",
    "unknown-key",
    "unknown-name",
    "unknown-object",
    "unknown-outcome",
    "unknown-procedure",
    "unknown-region",
    "unknown-request",
    "unknown-role",
    "unknown-value",
    "unknown-variable",
    "unmatched-backend",
    "unquoted-expression",
    "unreachable",
    "unreadable",
    "unused-region",
    "unused-value",
    "virtual-functions",
    "wrong-argument",
    "wrong-length",
    "wrong-type",
];

impl Page {
    /// The page of a code.
    pub fn of(code: &str) -> Option<&'static Page> {
        PAGES.iter().find(|page| page.code == code)
    }

    /// The first sentence.
    pub fn summary(&self) -> String {
        let text = self.text.split("\n```").next().unwrap_or_default().replace('\n', " ");
        let text = text.strip_prefix("At run time: ").unwrap_or(&text);
        // What stands between backticks is one word.
        let is_outside = |at: &usize| text[..*at].matches('`').count().is_multiple_of(2);
        let ends = [". ", ": ", "; "].into_iter().flat_map(|end| text.match_indices(end)).map(|(at, _)| at);
        let end = ends.filter(is_outside).min().unwrap_or(text.len());
        text[..end].trim().trim_end_matches('.').to_owned()
    }

    /// The page for a terminal: prose as it is, examples under a word and indented.
    pub fn plain(&self) -> String {
        let mut plain = String::new();
        let mut is_code = false;
        for line in self.text.lines() {
            match line.strip_prefix("```") {
                Some("") => is_code = false,
                Some(info) => {
                    is_code = true;
                    plain += match info {
                        "yaml wrong" => "Wrong:\n\n",
                        "yaml right" => "Right:\n\n",
                        "yaml wrong pack" => "Wrong, in a pack.yaml:\n\n",
                        "yaml right pack" => "Right, in a pack.yaml:\n\n",
                        _ => "Where this is a pack.yaml:\n\n",
                    };
                }
                None if is_code && !line.is_empty() => plain += &format!("    {line}\n"),
                None => plain += &format!("{line}\n"),
            }
        }
        plain
    }

    /// The examples of a kind: `wrong`, `right`, `wrong pack`, `right pack` or `pack`.
    pub fn examples(&self, kind: &str) -> Vec<String> {
        let opening = format!("```yaml {kind}\n");
        self.text
            .split(opening.as_str())
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
            .collect()
    }
}
