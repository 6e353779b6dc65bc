// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an expression compares with a text that is written out: `backend == 'iommufd'`, `'slow' in tags`.

use std::ops::Range;

use super::scan::{Kind, Words};

/// A name and the text that it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The variable.
    pub name: String,
    /// The text, without its quotes.
    pub text: String,
    /// Whether the text is looked for in it, rather than equal to it or not.
    pub within: bool,
    /// The bytes of the whole comparison.
    pub range: Range<usize>,
}

/// Every name without attributes that an expression compares with a text.
pub fn compared(expression: &str) -> Vec<Compared> {
    let words: Vec<_> = Words::of(expression).collect();
    let is_part = |index: Option<usize>, signs: &[&str]| {
        index.and_then(|index| words.get(index)).is_some_and(|word| signs.contains(&word.text))
    };
    let compared = |(index, three): (usize, &[super::scan::Word])| {
        let [left, operator, right] = three else { return None };
        let (name, text) = match (left.kind, right.kind) {
            (Kind::Name, Kind::Text) => (left, right),
            (Kind::Text, Kind::Name) => (right, left),
            _ => return None,
        };
        let within = operator.text == "in" && right.kind == Kind::Name;
        // Of `tags[0]` and `name | upper` it is not the name's own value.
        let is_whole = !is_part(index.checked_sub(1), &[".", "|"]) && !is_part(Some(index + 3), &[".", "|", "[", "("]);
        let is_compared = within || matches!(operator.text, "==" | "!=");
        let text = text.text.get(1..text.text.len() - 1).filter(|text| !text.contains('\\'))?;
        (is_whole && is_compared).then(|| Compared {
            name: name.text.to_owned(),
            text: text.to_owned(),
            within,
            range: left.start..right.range().end,
        })
    };
    words.windows(3).enumerate().filter_map(compared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_the_texts_that_they_are_compared_with() {
        let source = "backend == 'iommufd' and ('slow' in tags or \"edu\" != device) and 'x' == tags[0] and name | upper == 'A' \
                      and m.name == 'a' and size == 4 and case == 'a\\n'";
        let found: Vec<_> = compared(source).into_iter().map(|found| (found.name, found.text, found.within)).collect();
        let expected = [("backend", "iommufd", false), ("tags", "slow", true), ("device", "edu", false)];
        assert_eq!(found, expected.map(|(name, text, within)| (name.to_owned(), text.to_owned(), within)));
        assert_eq!(&source[compared(source)[0].range.clone()], "backend == 'iommufd'");
    }
}
