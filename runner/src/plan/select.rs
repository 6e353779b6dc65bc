//! Which cases of a plan run: filters, a share of them, and in which order.

use std::{collections::HashSet, num::NonZeroU32, str::FromStr};

use minijinja::Value;

use super::{Plan, Planned};
use crate::language::{ExpressionError, Pattern, Scope, did_you_mean, eval_as};

/// What a case has to be to be selected; an empty list asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// An expression over what is known of a case before the run.
    pub expression: Option<String>,
    /// Words of which it has to have one.
    pub tags: Vec<String>,
    /// Its pack is one of these.
    pub packs: Vec<String>,
    /// Its backend is one of these.
    pub backends: Vec<Pattern>,
    /// Its id is one of these.
    pub ids: Option<HashSet<String>>,
    /// Of those that all of the above select, one share.
    pub partition: Option<Partition>,
}

/// One share of several: `2/3` is the second of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Which, from 1.
    which: NonZeroU32,
    /// Of how many.
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

impl Plan {
    /// The numbers of the selected cases in the order to run them; shares are dealt out in that order, so that each gets as many slow
    /// cases as the others.
    ///
    /// # Errors
    /// The expression is none, or has no truth value for a case.
    pub fn select(&self, filter: &Filter) -> Result<Vec<u32>, ExpressionError> {
        let mut selected = Vec::new();
        for case in self.order() {
            let planned = &self.cases[case as usize];
            if filter.takes(planned)? {
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
        let tags: Vec<&str> = self.cases.iter().flat_map(|planned| &planned.tags).map(String::as_str).collect();
        let packs: Vec<&str> = self.cases.iter().map(|planned| planned.id.pack.as_str()).collect();
        for (what, asked, known) in [("has the tag", &filter.tags, tags), ("is of the pack", &filter.packs, packs)] {
            if let Some(name) = asked.iter().find(|name| !known.contains(&name.as_str())) {
                let near = did_you_mean(name, known).map(|near| format!("; {near}")).unwrap_or_default();
                return format!("{cases} {what} `{name}`{near}");
            }
        }
        match &filter.ids {
            Some(ids) if ids.is_empty() => "nothing to run again: no case of that run ended so".to_owned(),
            _ => format!("{cases} is selected by the filters"),
        }
    }
}

impl Filter {
    fn takes(&self, planned: &Planned) -> Result<bool, ExpressionError> {
        let id = &planned.id;
        let any = |asked: &[String], has: &dyn Fn(&String) -> bool| asked.is_empty() || asked.iter().any(has);
        let by_lists = any(&self.tags, &|tag| planned.tags.contains(tag))
            && any(&self.packs, &|pack| *pack == id.pack)
            && (self.backends.is_empty() || self.backends.iter().any(|pattern| pattern.matches(planned.backend)))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&id.id()));
        match &self.expression {
            // Evaluated for every case: a mistake in it does not depend on what the other filters leave.
            Some(expression) => Ok(eval_as::<bool>(&known(planned), expression)? && by_lists),
            None => Ok(by_lists),
        }
    }
}

/// What a filter's expression knows of a case.
fn known(planned: &Planned) -> Scope {
    let id = &planned.id;
    let mut scope = Scope::new();
    for (name, value) in [
        ("id", id.id()),
        ("pack", id.pack.clone()),
        ("scenario", id.scenario.clone()),
        ("case", id.name.split('[').next().unwrap_or(&id.name).to_owned()),
        ("name", id.name.clone()),
        ("backend", id.backend.clone()),
        ("device", id.device.clone()),
    ] {
        scope.set(name, value);
    }
    scope.set("tags", Value::from(planned.tags.clone()));
    scope.set("covers", Value::from(id.covers.clone()));
    scope
}

/// The cases in an order that depends on the seed alone.
pub fn shuffle(cases: &mut [u32], seed: u64) {
    // Fisher and Yates, with splitmix64 as the source of numbers.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for last in (1..cases.len()).rev() {
        // Not quite uniform, by less than one part in 2^32 for any plan there is.
        cases.swap(last, (next() % (last as u64 + 1)) as usize);
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
    fn a_mistake_in_the_expression_is_found_whatever_else_is_selected() {
        let filter = Filter { tags: vec!["none".into()], ..by("'slow' in tag") };
        let error = plan().select(&filter).unwrap_err();
        assert_eq!(error.message, "`tag` is not defined");
        assert_eq!(error.help, ["did you mean `tags`?"]);
        assert!(plan().select(&by("name")).is_err(), "a name is not true or false");
    }

    #[test]
    fn nothing_selected_is_explained() {
        let filter = Filter { tags: vec!["slwo".into()], ..Filter::default() };
        assert_eq!(plan().nothing(&filter), "none of 20 cases has the tag `slwo`; did you mean `slow`?");
        assert_eq!(plan().nothing(&by("false")), "none of 20 cases is selected by the filters");
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
