// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which cases of a plan run, and in which order: filters, shares, shuffling.

use std::collections::{BTreeSet, HashSet};
use std::{num::NonZeroU32, str::FromStr};

use minijinja::Value;

use super::{Plan, Planned};
use crate::language::{
    Compared, ExpressionError, Pattern, Scope, TIMING, compared, did_you_mean, eval_as, expected_one_of, undeclared,
};
use crate::model::{CaseId, Random};

/// The names that a filter's expression can use: these are texts …
const TEXTS: [&str; 7] = ["id", "pack", "scenario", "case", "name", "backend", "device"];
/// … and these are lists of texts.
const LISTS: [&str; 3] = ["tags", "covers", "fixes"];

/// A message lists at most this many values.
const MOST_LISTED: usize = 12;

/// What a case has to fulfil to be selected. An empty list asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// An expression that has to be true.
    pub expression: Option<String>,
    /// It has one of these tags.
    pub tags: Vec<String>,
    /// Its pack is one of these.
    pub packs: Vec<String>,
    /// Its backend is one of these.
    pub backends: Vec<Pattern>,
    /// Its id is one of these.
    pub ids: Option<HashSet<CaseId>>,
    /// Which share of the cases that all of the above select.
    pub partition: Option<Partition>,
}

/// A share of the cases: `2/3` is the second of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The number of the share, from 1.
    which: NonZeroU32,
    /// The number of shares.
    of: NonZeroU32,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Partition, String> {
        let numbers = text.split_once('/').and_then(|(which, of)| Some((which.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((which, of)) if which <= of => Ok(Partition { which, of }),
            _ => Err("expected M/N with M from 1 to N, such as 2/3 for the second of three shares".to_owned()),
        }
    }
}

/// Whether a case judges or measures times.
fn is_timing(planned: &Planned) -> bool {
    planned.id.tags.iter().any(|tag| tag == TIMING)
}

impl Filter {
    /// Whether cases that judge or measure times are asked for, which run only then.
    fn asks_for_times(&self) -> bool {
        let by_expression = self.expression.as_ref().is_some_and(|expression| expression.contains(TIMING));
        self.ids.is_some() || by_expression || self.tags.iter().any(|tag| tag == TIMING)
    }
}

impl Plan {
    /// The numbers of the selected cases in the order to run them. Shares are dealt out in that order, so that slow cases are spread
    /// evenly.
    ///
    /// # Errors
    /// If the expression is invalid, or is neither true nor false for a case.
    pub fn select(&self, filter: &Filter) -> Result<Vec<u32>, ExpressionError> {
        let mut selected = Vec::new();
        for case in self.order() {
            let planned = &self.cases[case as usize];
            if filter.takes(planned)? && (filter.asks_for_times() || !is_timing(planned)) {
                selected.push(case);
            }
        }
        if let Some(Partition { which, of }) = filter.partition {
            let mut at = 0;
            selected.retain(|_| {
                at = at % of.get() + 1;
                at == which.get()
            });
        }
        Ok(selected)
    }

    /// Why the filter selects nothing, in one line.
    pub fn nothing(&self, filter: &Filter) -> String {
        let cases = match self.cases.len() {
            0 => return "the scenarios have no case".to_owned(),
            count => format!("none of {count} cases"),
        };
        let tags: Vec<&str> = self.cases.iter().flat_map(|planned| &planned.id.tags).map(String::as_str).collect();
        let packs: Vec<&str> = self.cases.iter().map(|planned| planned.id.pack.as_str()).collect();
        for (what, asked, known) in [("has the tag", &filter.tags, tags), ("is of the pack", &filter.packs, packs)] {
            if let Some(name) = asked.iter().find(|name| !known.contains(&name.as_str())) {
                let near = did_you_mean(name, known).map(|near| format!("; {near}")).unwrap_or_default();
                return format!("{cases} {what} `{name}`{near}");
            }
        }
        if !filter.asks_for_times()
            && self.cases.iter().any(|planned| is_timing(planned) && filter.takes(planned) == Ok(true))
        {
            return format!(
                "{cases} is selected: those tagged `{TIMING}` run only with `--tag {TIMING}` or by their ids"
            );
        }
        match &filter.ids {
            Some(ids) if ids.is_empty() => "nothing to run again: no case of that run ended so".to_owned(),
            _ => match self.misspelt(filter.expression.as_deref().unwrap_or_default()) {
                Some(why) => format!("{cases} is selected by the filters: {why}"),
                None => format!("{cases} is selected by the filters"),
            },
        }
    }

    /// The first text in an expression that no case has under its name, with the texts that cases have.
    fn misspelt(&self, expression: &str) -> Option<String> {
        compared(expression).into_iter().find_map(|Compared { name, text, within, .. }| {
            if within && TEXTS.contains(&name.as_str()) {
                return None;
            }
            let scopes: Vec<Scope> = self.cases.iter().map(known).collect();
            let values = scopes.iter().filter_map(|scope| scope.get(&name));
            let known: BTreeSet<String> = match within {
                true => {
                    values.filter_map(|list| list.try_iter().ok()).flatten().map(|value| value.to_string()).collect()
                }
                false => values.map(Value::to_string).collect(),
            };
            if known.contains(&text) {
                return None;
            }
            let names = || known.iter().map(String::as_str);
            let near = did_you_mean(&text, names());
            let listed = || (1..=MOST_LISTED).contains(&known.len()).then(|| expected_one_of(names()));
            let help = near.or_else(listed).map(|help| format!("; {help}")).unwrap_or_default();
            Some(format!("there is no `{text}` in `{name}`{help}"))
        })
    }
}

impl Filter {
    /// Checks an expression without a case: its syntax, its names, and that it does not compare a list with a text.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(expression: &str) -> Result<(), ExpressionError> {
        let wrong = |message: String, range, help: String| {
            Err(ExpressionError { message, range, expected: String::new(), help: vec![help] })
        };
        if expression.trim().is_empty() {
            let help = "write one, such as \"backend == 'iommufd' and 'slow' not in tags\"".to_owned();
            return wrong("there is no expression".to_owned(), 0..0, help);
        }
        for name in undeclared(expression)?.iter() {
            if !TEXTS.iter().chain(&LISTS).any(|known| *known == name.name) {
                return Err(name.unknown(TEXTS.into_iter().chain(LISTS)));
            }
        }
        match compared(expression).into_iter().find(|found| !found.within && LISTS.contains(&found.name.as_str())) {
            Some(Compared { name, text, range, .. }) => wrong(
                format!("`{name}` is a list, and no text is equal to it"),
                range,
                format!("write `'{text}' in {name}`"),
            ),
            None => Ok(()),
        }
    }

    fn takes(&self, planned: &Planned) -> Result<bool, ExpressionError> {
        let id = &planned.id;
        let any = |asked: &[String], has: &dyn Fn(&String) -> bool| asked.is_empty() || asked.iter().any(has);
        let by_lists = any(&self.tags, &|tag| planned.id.tags.contains(tag))
            && any(&self.packs, &|pack| *pack == id.pack)
            && (self.backends.is_empty() || self.backends.iter().any(|pattern| planned.may_run_on(pattern)))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&id.id()));
        match &self.expression {
            // Evaluated for every case, so that a mistake shows whatever the other filters select.
            Some(expression) => Ok(eval_as::<bool>(&known(planned), expression)? && by_lists),
            None => Ok(by_lists),
        }
    }
}

/// The values that a filter's expression has for a case.
fn known(planned: &Planned) -> Scope {
    let id = &planned.id;
    let mut scope = Scope::new();
    for (name, value) in [
        ("id", id.id().to_string()),
        ("pack", id.pack.clone()),
        ("scenario", id.scenario.clone()),
        ("case", id.name.split('[').next().unwrap_or(&id.name).to_owned()),
        ("name", id.name.clone()),
        ("backend", id.backend.clone()),
        ("device", id.device.clone()),
    ] {
        scope.set(name, value);
    }
    scope.set("tags", Value::from(planned.id.tags.clone()));
    scope.set("covers", Value::from(id.covers.clone()));
    let commits = id.fixes.iter().flat_map(|fix| &fix.commit).map(ToString::to_string);
    let titles = id.fixes.iter().map(|fix| fix.title.clone());
    scope.set("fixes", Value::from(commits.chain(titles).collect::<Vec<_>>()));
    scope
}

/// Shuffles the cases into an order that depends only on the seed.
pub fn shuffle(cases: &mut [u32], seed: u64) {
    // Fisher and Yates.
    let mut random = Random::new(seed);
    for last in (1..cases.len()).rev() {
        cases.swap(last, random.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::DeviceUsed, language::Packs};
    use crate::{language, plan};

    fn plan() -> Plan {
        let text = "name: s\nbackends: all\ntags: [of_all]\ncases:\n  \
                    - name: map\n    matrix: { page: [4KiB, 2MiB, 1GiB] }\n    tags: [slow]\n    covers: [T-1]\n    \
                    region: { memory: anonymous, page: \"{{ page }}\", size: \"{{ page }}\" }\n    expect: { map: ok }\n  \
                    - name: other\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
        plan_of(text)
    }

    fn plan_of(text: &str) -> Plan {
        let source = language::Source::new("s.yaml", text);
        let loaded = language::load(source, "kernel".into(), &Packs::default(), &[])
            .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        plan::expand(vec![loaded], Packs::default(), &[DeviceUsed { name: "edu".into(), ..DeviceUsed::default() }], &[])
            .expect("no collisions")
    }

    fn names(plan: &Plan, filter: &Filter) -> Vec<String> {
        let selected = plan.select(filter).expect("a right expression");
        selected.into_iter().map(|case| plan.cases[case as usize].id.name.clone()).collect()
    }

    fn by(expression: &str) -> Filter {
        Filter { expression: Some(expression.to_owned()), ..Filter::default() }
    }

    #[test]
    fn filters_select_by_what_is_known_of_a_case() {
        let plan = plan();
        assert_eq!(names(&plan, &Filter::default()).len(), 20);
        assert_eq!(names(&plan, &by("backend == 'iommufd' and case == 'map'")).len(), 3);
        assert_eq!(names(&plan, &by("'page=2MiB' in name and backend is startingwith 'vfio'")).len(), 2);
        assert_eq!(names(&plan, &by("'slow' not in tags and 'of_all' in tags")), vec!["other"; 5]);
        assert_eq!(names(&plan, &by("'T-1' in covers and device == 'edu' and pack == 'kernel'")).len(), 15);
        assert_eq!(names(&plan, &by("id == 'kernel.s.iommufd__edu.other' and scenario == 's'")), ["other"]);
        let tag = |tag: &str| Filter { tags: vec![tag.to_owned()], ..Filter::default() };
        assert_eq!(names(&plan, &tag("slow")).len(), 15);
        assert_eq!(names(&plan, &Filter { backends: vec![Pattern("vfio*".into())], ..tag("slow") }).len(), 6);
        assert_eq!(names(&plan, &Filter { packs: vec!["vendor".into()], ..Filter::default() }).len(), 0);
    }

    #[test]
    fn cases_that_measure_times_run_only_if_they_are_asked_for() {
        let region = "region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
        let case = |name: &str, tags: &str| format!("  - name: {name}\n    tags: [{tags}]\n    {region}");
        let text = |cases: &[String]| format!("name: s\nbackends: [iommufd]\ncases:\n{}", cases.concat());
        let plan = plan_of(&text(&[case("fast", "timing"), case("other", "slow")]));
        let tag = |tag: &str| Filter { tags: vec![tag.to_owned()], ..Filter::default() };
        assert_eq!(names(&plan, &Filter::default()), ["other"]);
        assert_eq!(names(&plan, &tag("timing")), ["fast"]);
        assert_eq!(names(&plan, &by("'timing' in tags or case == 'other'")), ["fast", "other"]);
        assert_eq!(names(&plan, &by("case == 'fast'")), [""; 0]);
        let ids = Some(plan.cases.iter().map(|planned| planned.id.id()).collect());
        assert_eq!(names(&plan, &Filter { ids, ..Filter::default() }), ["fast", "other"]);
        let alone = plan_of(&text(&[case("fast", "timing")]));
        assert!(alone.nothing(&Filter::default()).ends_with("run only with `--tag timing` or by their ids"));
    }

    #[test]
    fn a_mistake_in_the_expression_is_found_whatever_else_is_selected() {
        let filter = Filter { tags: vec!["none".into()], ..by("'slow' in tag") };
        let error = plan().select(&filter).unwrap_err();
        assert_eq!(error.message, "`tag` is not defined");
        assert_eq!(error.help, ["did you mean `tags`?"]);
        assert!(plan().select(&by("name")).is_err(), "a name is not true or false");
    }

    #[test]
    fn what_an_expression_knows_is_what_a_case_has() {
        let plan = plan();
        let mut names: Vec<&str> = TEXTS.into_iter().chain(LISTS).collect();
        names.sort_unstable();
        assert_eq!(known(&plan.cases[0]).names().collect::<Vec<_>>(), names);
    }

    #[test]
    fn a_wrong_expression_is_found_without_a_case() {
        for (expression, says, help) in [
            ("  ", "there is no expression", "write one, such as \"backend == 'iommufd' and 'slow' not in tags\""),
            ("'slow' in tag", "`tag` is not defined", "did you mean `tags`?"),
            (
                "'a' in covers and tags == 'slow'",
                "`tags` is a list, and no text is equal to it",
                "write `'slow' in tags`",
            ),
            ("'a' != covers", "`covers` is a list, and no text is equal to it", "write `'a' in covers`"),
        ] {
            let error = Filter::check(expression).unwrap_err();
            assert_eq!((error.message.as_str(), error.help.as_slice()), (says, &[help.to_owned()][..]));
        }
        assert_eq!(Filter::check("tags[0] == 'slow' or backend is startingwith 'vfio' and 'a' in name"), Ok(()));
    }

    #[test]
    fn nothing_selected_is_explained() {
        let filter = Filter { tags: vec!["slwo".into()], ..Filter::default() };
        assert_eq!(plan().nothing(&filter), "none of 20 cases has the tag `slwo`; did you mean `slow`?");
        assert_eq!(plan().nothing(&by("false")), "none of 20 cases is selected by the filters");
        for (expression, why) in [
            ("backend == 'iommfud'", ": there is no `iommfud` in `backend`; did you mean `iommufd`?"),
            ("'kernal' == pack", ": there is no `kernal` in `pack`; did you mean `kernel`?"),
            ("device == 'nvme'", ": there is no `nvme` in `device`; expected `edu`"),
            (
                "scenario == 's' and case == 'overlap'",
                ": there is no `overlap` in `case`; expected one of `map`, `other`",
            ),
            ("'slwo' in tags", ": there is no `slwo` in `tags`; did you mean `slow`?"),
            ("'elsewhere' in id", ""),
            ("'slow' in tags and case == 'other'", ""),
        ] {
            assert_eq!(plan().nothing(&by(expression)), format!("none of 20 cases is selected by the filters{why}"));
        }
        let rerun = Filter { ids: Some(HashSet::new()), ..Filter::default() };
        assert_eq!(plan().nothing(&rerun), "nothing to run again: no case of that run ended so");
    }

    #[test]
    fn shares_are_disjoint_complete_and_even() {
        let plan = plan();
        for of in 1..=7 {
            let share = |which| {
                let partition = Some(format!("{which}/{of}").parse().unwrap());
                plan.select(&Filter { partition, ..Filter::default() }).unwrap()
            };
            let shares: Vec<_> = (1..=of).map(share).collect();
            let sizes = shares.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{shares:?}");
            let mut all = shares.concat();
            all.sort_unstable();
            assert_eq!(all, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_share_is_a_number_of_a_number() {
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0", ""] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seed_is_an_order() {
        let shuffled = |seed| {
            let mut cases: Vec<u32> = (0..20).collect();
            shuffle(&mut cases, seed);
            cases
        };
        assert_eq!(shuffled(7), shuffled(7));
        assert_ne!(shuffled(7), shuffled(8));
        let mut sorted = shuffled(7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
