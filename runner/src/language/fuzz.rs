// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing an author or a stranger writes makes the reader panic, hang or draw what a terminal obeys.

use super::{
    Diagnostic, Packs, Path, Problems, Scenario, Scope, Source, decode, eval, load, parse, render, undeclared,
};

const SEED: &str = "\
name: a {{ page }} b
cases:
  - name: \"x\"
    timeout: \"{{ t ~ 'ms' }}\"
    regions: { a: { memory: anonymous, size: 2MiB }, b: &b { memory: hugetlb, size: \"{{ page }}\", count: 3 } }
    steps:
      - map: { region: a, iova: 0x1000 }
      - unmap: 4KiB
      - info
  - name: 'ü🦀'
    regions:
      c: *b
vars: { pages: [4KiB, 1e6, ~], text: |
    two
    lines
  }
";

const SCRAPS: [&str; 44] = [
    "\t",
    "\n",
    "\r\n",
    "\r",
    ":",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "{{",
    "}}",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!x ",
    "!!int ",
    "|\n",
    ">-\n",
    "? ",
    "---\n",
    "...\n",
    "<<: ",
    "%",
    "@",
    "\u{0}",
    "\u{1b}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{202e}",
    "🦀",
    "99999999999999999999",
    "0x",
    "-",
    ".nan",
    "null",
    "\\",
    "{{ a.b.c }}",
    "name: ",
    ",",
];

/// A small generator: the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }

    fn boundary(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn mutate(&mut self, text: &mut String) {
        let (a, b) = (self.boundary(text), self.boundary(text));
        match self.below(4) {
            0 => text.insert_str(a, SCRAPS[self.below(SCRAPS.len())]),
            1 => text.replace_range(a.min(b)..a.max(b), ""),
            2 => {
                let part = text[a.min(b)..a.max(b)].to_owned();
                let at = self.boundary(text);
                if part.len() < 200 {
                    text.insert_str(at, &part);
                }
            }
            _ => {
                let scrap = SCRAPS[self.below(SCRAPS.len())];
                let end = text[a..].char_indices().nth(1).map_or(text.len(), |(length, _)| a + length);
                text.replace_range(a..end, scrap);
            }
        }
    }
}

fn read(text: &str) {
    let source = Source::new("f.yaml", text);
    let mut problems = Problems::new();
    match parse(&source.text) {
        Ok(node) => drop(decode::<Scenario>(&node, &mut problems)),
        Err(diagnostic) => problems.push(*diagnostic),
    }
    let drawn = render(&source, problems.as_slice(), false);
    let obeyed = drawn.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(obeyed, None, "{text:?}\n{drawn:?}");
    assert_eq!(drawn.is_empty(), problems.is_empty(), "{text:?}");
}

#[test]
fn mutated_files_are_read_or_refused() {
    let mut random = Random(0x5eed_0bad_cafe_f00d);
    for round in 0..4000 {
        let mut text = SEED.to_owned();
        for _ in 0..=round % 8 {
            random.mutate(&mut text);
        }
        read(&text);
    }
}

#[test]
fn what_is_left_of_a_mutated_scenario_is_checked() {
    const SCENARIO: &str = include_str!("../../../scenarios/kernel/dma_mapping.yaml");
    let words: Vec<&str> = SCENARIO.split_whitespace().collect();
    let mut random = Random(0xc0de_d00d);
    let mut checked = 0;
    for round in 0..1500 {
        let mut lines: Vec<String> = SCENARIO.lines().map(str::to_owned).collect();
        for _ in 0..=round % 4 {
            let at = random.below(lines.len());
            let old = lines[at].split_whitespace().nth(random.below(6)).unwrap_or("-").to_owned();
            match random.below(4) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[random.below(lines.len())].clone()),
                2 => lines[at] = lines[at].replacen(&old, words[random.below(words.len())], 1),
                _ => random.mutate(&mut lines[at]),
            }
        }
        let text = lines.join("\n");
        if let Err(invalid) = load(Source::new("f.yaml", text.as_str()), "pack".to_owned(), &Packs::default(), &[]) {
            let is_readable = parse(&text).is_ok();
            checked += usize::from(is_readable);
            assert!(!invalid.render(false).is_empty(), "{text}");
        }
    }
    assert!(checked > 300, "only {checked} texts were YAML");
}

#[test]
fn mutated_expressions_are_evaluated_or_refused() {
    let mut random = Random(0x0dd_ba11);
    let scope = Scope::new().with("page", 4096).with("text", "x");
    for round in 0..4000 {
        let mut text =
            "{{ align_up(page, 2 * MiB) - text.x | default(1) if page is not none else [1, 'a'][0] }}".to_owned();
        for _ in 0..=round % 6 {
            random.mutate(&mut text);
        }
        for error in [eval(&scope, &text).err(), undeclared(&text).err()].into_iter().flatten() {
            assert!(text.get(error.range.clone()).is_some(), "{text:?} {error:?}");
        }
    }
}

#[test]
fn diagnostics_are_drawn_wherever_they_point() {
    let mut random = Random(7);
    for _ in 0..500 {
        let mut text = SEED.to_owned();
        random.mutate(&mut text);
        let (a, b) = (random.below(text.len() + 40), random.below(text.len() + 40));
        let path = Path::root().join("cases").join(random.below(3)).join("regions").join("b").join("size");
        let mut inside = Diagnostic::error(crate::model::code::Code::Syntax, path.clone(), "x")
            .inside(a % 20..b % 40)
            .note(path, super::Target::Key, "y");
        let source = Source::new("f", text);
        render(&source, std::slice::from_ref(&inside), true);
        inside.span = Some(a..b);
        render(&source, &[inside], false);
    }
}
