// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expressions in values: `{{ align_up(page_size, 2 * MiB) - 4096 }}`.
//!
//! YAML is read first, expressions are evaluated on single values afterwards. Numbers are exact to 128 bits while they are
//! computed, and checked for 64 when they become a size or a count.

use std::{cell::RefCell, collections::HashMap, ops::Range, rc::Rc};

use minijinja::{Value, machinery::ast::Expr};

use super::convert::{self, FromValue};
use super::functions::{BUILTINS, environment};
use super::limits::{self, Products};
use super::missing::{misnamed, undefined};
use super::scan::{self, Piece};
use super::tree::{Chain, Tree};
use super::{error::ExpressionError, explain::explain, scope::Scope};
use crate::language::text::suggest::{self, shorten};

/// Longer expressions are no expressions; this also bounds how deeply one can be nested.
const LONGEST: usize = 1024;

/// The expression within its braces, or a text without braces as it is.
fn inner(source: &str) -> Range<usize> {
    let range = scan::whole(source).unwrap_or(0..source.len());
    let text = &source[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

/// Evaluates an expression, with its braces or without.
pub fn eval(scope: &Scope, source: &str) -> Result<Value, ExpressionError> {
    let range = inner(source);
    evaluate(scope, &source[range.clone()]).map_err(|error| error.shifted(range.start))
}

/// Evaluates an expression to a value of a type, range-checked.
pub fn eval_as<T: FromValue>(scope: &Scope, source: &str) -> Result<T, ExpressionError> {
    let value = eval(scope, source)?;
    T::from_value(&value).map_err(|refused| ExpressionError {
        message: refused.title,
        range: inner(source),
        expected: refused.label,
        help: refused.help,
    })
}

fn evaluate(scope: &Scope, expression: &str) -> Result<Value, ExpressionError> {
    let compiled = compile(scope, expression)?;
    if let Some(value) = scope.get(expression).filter(|_| compiled.is_name) {
        return limits::bounded(value, expression).map(|()| value.clone());
    }
    let value = compiled.expression.eval(Value::from_dyn_object(scope.shared()));
    let value = value.map_err(|error| explain(scope, expression, &error))?;
    limits::bounded(&value, expression)?;
    if value.is_undefined() {
        return Err(undefined(scope, expression)
            .unwrap_or_else(|| ExpressionError::new("the expression has no value", 0..expression.len())));
    }
    Ok(value)
}

fn compile(scope: &Scope, expression: &str) -> Result<Rc<Compiled>, ExpressionError> {
    if let Some(known) = COMPILED.with_borrow(|known| known.get(expression)) {
        if !known.products.are_numbers(scope) {
            let tree = parse(scope, expression)?;
            limits::no_repeats(scope, &tree, &tree.root)?;
        }
        return Ok(known);
    }
    let tree = parse(scope, expression)?;
    let products = Products::of(&tree);
    if !products.are_numbers(scope) {
        limits::no_repeats(scope, &tree, &tree.root)?;
    }
    let compiled = environment().compile_expression_owned(expression.to_owned());
    let compiled = Rc::new(Compiled {
        expression: compiled.map_err(|error| explain(scope, expression, &error))?,
        products,
        is_name: matches!(&tree.root, Expr::Var(_)),
    });
    COMPILED.with_borrow_mut(|known| known.insert(expression, compiled.clone()));
    Ok(compiled)
}

/// Reads an expression, and explains what is wrong with how it is written.
fn parse<'s>(scope: &Scope, expression: &'s str) -> Result<Tree<'s>, ExpressionError> {
    if expression.is_empty() {
        return Err(ExpressionError::new("the braces are empty", 0..0).help("write an expression between them"));
    }
    if expression.len() > LONGEST {
        let message = format!("the expression has {} bytes; at most {LONGEST} are allowed", expression.len());
        return Err(ExpressionError::new(message, 0..expression.floor_char_boundary(40)));
    }
    Tree::parse(expression).map_err(|error| explain(scope, expression, &error))
}

/// An expression that has been compiled, which takes longer than evaluating it.
struct Compiled {
    expression: minijinja::Expression<'static, 'static>,
    products: Products,
    /// Whether it is one name and nothing else, and so gives what the name stands for.
    is_name: bool,
}

thread_local! {
    static COMPILED: RefCell<Memory<Rc<Compiled>>> = RefCell::default();
    static UNDECLARED: RefCell<Memory<Rc<[Name]>>> = RefCell::default();
}

/// What was found out of texts: each is asked for several times, when it is read, checked and evaluated.
struct Memory<T>(HashMap<Box<str>, T>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Memory(HashMap::new())
    }
}

impl<T: Clone> Memory<T> {
    /// A file has some hundred expressions, and one that is compiled takes ten kilobytes or more.
    const MOST: usize = 256;

    fn get(&self, text: &str) -> Option<T> {
        self.0.get(text).cloned()
    }

    fn insert(&mut self, text: &str, found: T) {
        if text.len() > LONGEST {
            return;
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(text.into(), found);
    }
}

/// A name that an expression uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The variable, without attributes.
    pub name: String,
    /// The bytes of the text that was given.
    pub range: Range<usize>,
    /// The first attribute asked of it, and its bytes.
    pub field: Option<(String, Range<usize>)>,
}

impl Name {
    /// The complaint that this name is unknown.
    pub fn unknown<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> ExpressionError {
        let known: Vec<&str> = known.into_iter().chain(BUILTINS).collect();
        let mut error = ExpressionError::new(format!("`{}` is not defined", shorten(&self.name)), self.range.clone());
        error.help.extend(suggest::did_you_mean(&self.name, known));
        error
    }
}

/// Checks an expression, or a text with expressions, without evaluating it: its syntax, filters and tests. What comes back
/// are the variables it needs, other than [`BUILTINS`], in order and each as often as it is used.
pub fn undeclared(source: &str) -> Result<Rc<[Name]>, ExpressionError> {
    if let Some(known) = UNDECLARED.with_borrow(|known| known.get(source)) {
        return Ok(known);
    }
    let names: Rc<[Name]> = names_needed(source)?.into();
    UNDECLARED.with_borrow_mut(|known| known.insert(source, names.clone()));
    Ok(names)
}

fn names_needed(source: &str) -> Result<Vec<Name>, ExpressionError> {
    let pieces = match source.contains("{{") {
        true => pieces(source)?,
        false => vec![Piece::Expression(0..source.len())],
    };
    let mut names = Vec::new();
    for piece in pieces {
        let Piece::Expression(range) = piece else { continue };
        let text = &source[range.clone()];
        let start = range.start + (text.len() - text.trim_start().len());
        let expression = text.trim();
        let found = names_of(expression).map_err(|error| error.shifted(start))?;
        let shifted = |range: Range<usize>| range.start + start..range.end + start;
        names.extend(found.into_iter().map(|name| Name {
            name: name.name,
            range: shifted(name.range),
            field: name.field.map(|(field, range)| (field, shifted(range))),
        }));
    }
    Ok(names)
}

/// The variables of one expression.
fn names_of(expression: &str) -> Result<Vec<Name>, ExpressionError> {
    let (scope, tree) = (Scope::new(), parse(&Scope::new(), expression)?);
    if !Products::of(&tree).are_numbers(&scope) {
        limits::no_repeats(&scope, &tree, &tree.root)?;
    }
    if let Some(error) = misnamed(&tree) {
        return Err(error);
    }
    let chains = tree.chains().into_iter().filter(|chain| !BUILTINS.contains(&chain[0]));
    let name = |chain: Chain| Name {
        name: chain[0].to_owned(),
        range: tree.range(chain[0]),
        field: chain.get(1).map(|field| ((*field).to_owned(), tree.range(field))),
    };
    Ok(chains.map(name).collect())
}

fn pieces(text: &str) -> Result<Vec<Piece>, ExpressionError> {
    scan::pieces(text).map_err(|range| {
        ExpressionError::new("these braces are never closed", range).help("end the expression with }}")
    })
}

/// Replaces the expressions in a text by their values.
pub(in crate::language) fn render(scope: &Scope, text: &str) -> Result<String, ExpressionError> {
    let mut rendered = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Literal(range) => rendered.push_str(&text[range]),
            Piece::Expression(range) => {
                let value = eval(scope, &text[range.clone()]).map_err(|error| error.shifted(range.start))?;
                rendered.push_str(&convert::text(&value));
            }
        }
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Duration, Size};

    fn scope() -> Scope {
        Scope::new()
            .with("page", 2_u64 << 20)
            .with("page_size", 4096)
            .with("backend", "iommufd")
            .with("kernel", "6.18.3-arch1-1")
            .with("ranges", vec![1, 5, 3])
            .with("m", Value::from_pairs([("iova", 0x10000), ("size", 4096)]))
    }

    #[test]
    fn numbers_are_exact_to_the_last_of_64_bits() {
        for (source, value) in [
            ("{{ page }}", 2 << 20),
            ("page + 1", (2 << 20) + 1),
            ("{{ U64_MAX }}", u64::MAX),
            ("{{ U64_MAX - 4095 }}", 0xffff_ffff_ffff_f000),
            ("{{ 2**64 - page_size }}", 0xffff_ffff_ffff_f000),
            ("{{ pow2(64) - page_size }}", 0xffff_ffff_ffff_f000),
            ("{{ pow2(63) + pow2(62) }}", 0xc000_0000_0000_0000),
            ("{{ 0xffffffffffffffff }}", u64::MAX),
            ("{{ 18446744073709551615 }}", u64::MAX),
            ("{{ U64_MAX // 3 * 3 }}", u64::MAX),
            ("{{ 3 * GiB + 512 * MiB + 4 * KiB }}", 3_758_100_480),
            ("{{ bit_or(0x100, 6) }}", 0x106),
            ("{{ bit_and(U64_MAX, 0xff0, 0x3fc) }}", 0x3f0),
            ("{{ align_up(4097, page_size) }}", 8192),
            ("{{ align_down(U64_MAX, page) }}", 0xffff_ffff_ffe0_0000),
            ("{{ align_up('4KiB', 4096) }}", 4096),
            ("{{ max(1, page, 3) - min(ranges) }}", (2 << 20) - 1),
            ("{{ m.iova + m.size }}", 0x11000),
            ("{{ m['iova'] }}", 0x10000),
            ("{{ ranges[1] if version_at_least(kernel, '6.18') else 0 }}", 5),
            ("{{ ranges | length }}", 3),
        ] {
            assert_eq!(eval_as::<u64>(&scope(), source), Ok(value), "{source}");
        }
    }

    #[test]
    fn a_result_that_is_no_size_is_named() {
        for (source, says) in [
            ("{{ page / 3 }}", "use // for whole division"),
            ("{{ page_size - 4097 }}", "gives -1 (-0x1), below 0"),
            ("{{ U64_MAX + 1 }}", "gives 18446744073709551616 (0x10000000000000000), more than 64 bits"),
            ("{{ 2**127 }}", "more than 128 bits can hold"),
            ("{{ true }}", "gives the boolean true, not a whole number"),
            ("{{ backend }}", "gives the text `iommufd`, not a whole number"),
            ("{{ ranges }}", "gives a list, not a whole number"),
            ("{{ none }}", "gives nothing, not a whole number"),
            ("{{ '2MB' }}", "write 2MiB"),
            ("{{ 1 // 0 }}", "1 // 0 divides by zero"),
            ("{{ pow2(65) }}", "pow2 takes 0 to 64"),
            ("{{ align_up(1, 0) }}", "above 0"),
            ("{{ min() }}", "at least one"),
            ("{{ min([]) }}", "at least one"),
            ("{{ bit_or(1, 0 - 1) }}", "takes numbers of 64 bits, and this is -1"),
            ("{{ bit_and() }}", "at least one"),
        ] {
            let error = eval_as::<Size>(&scope(), source).unwrap_err();
            assert!(error.to_string().contains(says), "{source}: {error}");
        }
        assert!(eval_as::<u8>(&scope(), "{{ 256 }}").unwrap_err().message.contains("above 255"));
    }

    #[test]
    fn other_types_come_out_as_they_are() {
        let scope = scope();
        assert_eq!(eval_as::<bool>(&scope, "{{ backend == 'iommufd' }}"), Ok(true));
        assert_eq!(eval_as::<bool>(&scope, "not version_at_least(kernel, '6.19-rc1')"), Ok(true));
        assert!(eval_as::<bool>(&scope, "{{ page }}").is_err());
        assert_eq!(eval_as::<String>(&scope, "{{ hex(page) }}"), Ok("0x200000".to_owned()));
        assert_eq!(eval_as::<Duration>(&scope, "{{ 5 ~ 'ms' }}").map(|d| d.to_string()), Ok("5ms".to_owned()));
        assert_eq!(eval_as::<Vec<u64>>(&scope, "{{ ranges }}"), Ok(vec![1, 5, 3]));
    }

    #[test]
    fn a_mistake_is_pointed_at_within_the_text() {
        for (source, part, says) in [
            ("{{ pgae + 1 }}", "pgae", "`pgae` is not defined; did you mean `page`?"),
            ("{{ m.iovaa }}", "iovaa", "`m` has no `iovaa`; did you mean `iova`?"),
            ("{{ m.frob + 1 }}", "frob", "`m` has no `frob`; it has `iova` and `size`"),
            ("{{ align_upp(1, 2) }}", "align_upp", "did you mean `align_up`?"),
            ("{{ page | lengthh }}", "lengthh", "there is no filter `lengthh`; did you mean `length`?"),
            ("{{ page is definedd }}", "definedd", "there is no test `definedd`; did you mean `defined`?"),
            ("{{ page + }}", "+", "this is no expression"),
            ("{{ page page_size }}", "page_size", "this is no expression"),
            ("{{ backend + 1 }}", "backend + 1", "`+` does not work on text and number"),
            ("{{ }}", "", "the braces are empty"),
        ] {
            let error = eval(&scope(), source).unwrap_err();
            assert!(error.to_string().contains(says), "{source}: {error}");
            assert_eq!(&source[error.range.clone()], part, "{source}: {error}");
        }
    }

    #[test]
    fn the_variables_of_an_expression_are_known_without_a_value() {
        let source = "map {{ page }} at {{ align_up(m.iova, 2 * MiB) if x is defined else 'page' }}";
        let names = undeclared(source).unwrap();
        assert_eq!(names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>(), ["page", "m", "x"]);
        assert!(names.iter().all(|name| source[name.range.clone()] == name.name));
        assert_eq!(names[0].unknown(["pages"]).to_string(), "`page` is not defined; did you mean `pages`?");
        for source in ["{{ 1 + }}", "{{ a", "{{ a | frob }}", "a b", "{{ a }} {{ }}"] {
            assert!(undeclared(source).is_err(), "{source}");
        }
    }

    #[test]
    fn no_expression_runs_for_long_or_overflows_the_stack() {
        let nested = [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("not ", "1", ""),
            ("- ", "1", ""),
            ("1 + ", "1", ""),
            ("1 ** ", "1", ""),
        ];
        for (open, middle, close) in nested {
            for times in [10, 100, 500, 100_000] {
                let source = format!("{}{middle}{}", open.repeat(times), close.repeat(times));
                let _ = eval(&scope(), &source);
                let _ = undeclared(&source);
            }
        }
    }

    #[test]
    fn a_long_expression_is_pointed_at_in_whole_characters() {
        let source = format!("{{{{ x{} }}}}", "ü".repeat(LONGEST));
        for error in [eval(&scope(), &source).unwrap_err(), undeclared(&source).unwrap_err()] {
            assert!(source.get(error.range.clone()).is_some(), "{error:?}");
        }
    }

    #[test]
    fn a_scope_shares_until_it_is_changed() {
        let mut outer = scope();
        let inner = outer.with("page", 1);
        outer.set("x", 5);
        assert_eq!(eval_as::<u64>(&inner, "page"), Ok(1));
        assert_eq!(eval_as::<u64>(&outer, "page + x"), Ok((2 << 20) + 5));
        assert!(inner.get("x").is_none());
    }
}
