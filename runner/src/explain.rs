// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages of `vfiospec explain`: what each code means, with a wrong and a right example where `check` finds the mistake.

use crate::model::code::Code;

/// The page of one code, in Markdown. Scenarios stand in blocks of `yaml wrong` and `yaml right`, a `pack.yaml` in `yaml wrong
/// pack` and `yaml right pack`; a `yaml pack` is a pack that lies beside the scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The code, such as `unknown-key`.
    pub code: Code,
    /// The text.
    pub text: &'static str,
}

impl Page {
    /// Every page, in alphabetical order of the codes.
    pub fn all() -> impl Iterator<Item = Page> {
        Code::ALL.iter().map(|&code| Page { code, text: code.page() })
    }

    /// The page of a code as messages show it.
    pub fn of(code: &str) -> Option<Page> {
        Page::all().find(|page| page.code.as_str() == code)
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
