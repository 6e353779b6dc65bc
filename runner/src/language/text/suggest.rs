// SPDX-License-Identifier: MIT OR Apache-2.0
//! "Did you mean": the known names nearest to a mistyped one; and lists of names, and texts cut short, for sentences.

use std::borrow::Cow;

/// Longer words are not mistyped names, and comparing them costs time.
const LONGEST: usize = 64;
/// Shorter words are part of too many names.
const SHORTEST_PART: usize = 4;
/// Shorter words abbreviate anything.
const SHORTEST_CUT: usize = 3;
/// More equally near names than this help nobody.
const MOST: usize = 3;

/// The candidates nearest to `word`, in their own order: none when nothing is near, several when they are equally near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.trim();
    let length = word.chars().count();
    if length == 0 || length > LONGEST {
        return Vec::new();
    }
    let folded = fold(word);
    // A third of the letters may be wrong; of a short word one.
    let mut best = (length / 3).max(1);
    let mut found: Vec<&str> = Vec::new();
    let mut longer: Vec<&str> = Vec::new();
    let mut short: Vec<&str> = Vec::new();
    for candidate in candidates {
        if candidate.len() > 4 * LONGEST || found.contains(&candidate) {
            continue;
        }
        let other = fold(candidate);
        if length >= SHORTEST_PART && other.contains(&folded) && !longer.contains(&candidate) {
            longer.push(candidate);
        }
        if length >= SHORTEST_CUT && is_abbreviation(&folded, &other) && !short.contains(&candidate) {
            short.push(candidate);
        }
        let distance = strsim::osa_distance(&folded, &other);
        if distance > best || (distance > 0 && distance >= length.max(other.chars().count())) {
            continue;
        }
        if distance < best {
            best = distance;
            found.clear();
        }
        found.push(candidate);
    }
    // A name cut short: `type1v2`.
    if found.is_empty() {
        found = if longer.is_empty() { short } else { longer };
    }
    found.truncate(MOST);
    found
}

/// The sentence "did you mean `expect`?", or nothing when no candidate is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let found = nearest(word, candidates);
    (!found.is_empty()).then(|| format!("did you mean {}?", join(found, "or")))
}

/// Names as a sentence lists them: "`a`", "`a` or `b`", "`a`, `b` or `c`".
pub fn join<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
    }
}

/// What was expected: "expected `a`", "expected one of `a`, `b`, `c`".
pub fn expected_one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "nothing is expected here".to_owned(),
        [only] => format!("expected `{only}`"),
        several => {
            let quoted: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
            format!("expected one of {}", quoted.join(", "))
        }
    }
}

/// Text short enough for a sentence: its first line, cut.
pub(in crate::language) fn shorten(text: &str) -> Cow<'_, str> {
    const MOST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= MOST {
        return Cow::Borrowed(line);
    }
    Cow::Owned(line.chars().take(MOST).chain(['…']).collect())
}

/// Whether a word is short for a name: `src` for `source`, or its beginning with a slip, `vfio_type2` for `vfio_type1_iommu`.
fn is_abbreviation(word: &str, name: &str) -> bool {
    const LONG: usize = 6;
    let length = word.chars().count();
    let mut rest = name.chars();
    let is_within = word.chars().all(|c| rest.any(|other| other == c));
    let begins: String = name.chars().take(length).collect();
    let slips = length >= LONG && strsim::osa_distance(word, &begins) == 1;
    slips || is_within && word.chars().next() == name.chars().next()
}

/// Case and the choice between `-` and `_` are no different names to a person.
fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["name", "expect", "region", "regions", "map", "unmap"];

    #[test]
    fn a_mistyped_name_finds_the_one_meant() {
        for (typed, meant) in [
            ("expct", vec!["expect"]),
            ("Name", vec!["name"]),
            ("nmae", vec!["name"]),
            ("umnap", vec!["unmap"]),
            ("regionss", vec!["regions"]),
            ("pect", vec!["expect"]),
        ] {
            assert_eq!(nearest(typed, NAMES), meant, "{typed}");
        }
    }

    #[test]
    fn equally_near_names_are_all_offered() {
        assert_eq!(did_you_mean("regio_s", ["region", "regions"]).unwrap(), "did you mean `regions`?");
        assert_eq!(did_you_mean("mad", ["map", "max"]).unwrap(), "did you mean `map` or `max`?");
    }

    #[test]
    fn nothing_is_offered_when_nothing_is_near() {
        for typed in ["", "frobnicate", "x", &"e".repeat(1000)] {
            assert_eq!(did_you_mean(typed, NAMES), None, "{typed}");
        }
    }
}
