// SPDX-License-Identifier: MIT OR Apache-2.0
//! An expression as minijinja reads it, and what is named, called and compared in it.

use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, CallArg, Const, Expr, Spanned};
use minijinja::machinery::{Token, parse_expr, tokenize};
use minijinja::value::ValueKind;

/// The syntax tree of an expression.
pub(in crate::language) struct Tree<'s> {
    pub source: &'s str,
    pub root: Expr<'s>,
}

/// A variable or function with the attributes asked of it, such as `m.iova`.
pub(in crate::language) type Chain<'s> = Vec<&'s str>;

impl<'s> Tree<'s> {
    /// Reads the whole of an expression.
    pub fn parse(source: &'s str) -> Result<Tree<'s>, minijinja::Error> {
        let root = parse_expr(source);
        if root.is_ok() && !source.contains(['"', '\'']) {
            return Ok(Tree { source, root: root? });
        }
        let (tokens, stopped) = tokens(source);
        if second_of_two_texts(&tokens).is_some() {
            // minijinja joins them.
            return Err(minijinja::ErrorKind::SyntaxError.into());
        }
        // minijinja (3.0 and 3.1) takes what is no word of its language for the end of the expression where that follows a text:
        // `backend == 'iommufd' && false` is `backend == 'iommufd'` to it.
        let is_earlier = |error: &minijinja::Error| {
            let last = tokens.last().map_or(0, |(_, range)| range.start);
            error.range().is_some_and(|range| range.start < last)
        };
        match stopped {
            Some(error) if !root.as_ref().err().is_some_and(is_earlier) => Err(error),
            _ => Ok(Tree { source, root: root? }),
        }
    }

    /// Where a name of the tree stands in the source, of which it is a part.
    pub fn range(&self, name: &str) -> Range<usize> {
        let start = (name.as_ptr() as usize).saturating_sub(self.source.as_ptr() as usize);
        start..start + name.len()
    }

    /// All variables and functions, in their order.
    pub fn chains(&self) -> Vec<Chain<'s>> {
        let mut chains = Vec::new();
        add_chains(&self.root, &mut chains);
        chains.sort_by_key(|chain| self.range(chain[0]).start);
        chains
    }

    /// Every part of the tree that is of a kind, from the outside to the inside.
    pub fn find<'t, T>(&'t self, wanted: impl Fn(&'t Expr<'s>) -> Option<T>) -> Vec<T> {
        let (mut found, mut rest) = (Vec::new(), vec![&self.root]);
        while let Some(part) = rest.pop() {
            found.extend(wanted(part));
            rest.extend(inside(part));
        }
        found
    }

    /// The last `/` that makes a fraction of the whole: where no filter, function or condition makes another value of it.
    pub fn last_division(&self) -> Option<Range<usize>> {
        self.division(&self.root)
    }

    fn division(&self, part: &Expr) -> Option<Range<usize>> {
        match part {
            Expr::UnaryOp(operation) => self.division(&operation.expr),
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::Div => {
                    let between = span(&operation.left).end..span(&operation.right).start;
                    let slash = self.source.get(between.clone())?.rfind('/')? + between.start;
                    self.division(&operation.right).or(Some(slash..slash + 1))
                }
                BinOpKind::Add | BinOpKind::Sub | BinOpKind::Mul | BinOpKind::Pow => {
                    self.division(&operation.right).or_else(|| self.division(&operation.left))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The number that stands where `version_at_least` takes a version: to YAML and to expressions, 6.10 is 6.1.
    pub fn bare_version(&self) -> Option<Range<usize>> {
        let version = |part: &Expr| match part {
            Expr::Call(call) if matches!(&call.expr, Expr::Var(name) if name.id == "version_at_least") => {
                match call.args.get(1) {
                    Some(CallArg::Pos(version @ Expr::Const(constant))) if is_number(constant) => Some(span(version)),
                    _ => None,
                }
            }
            _ => None,
        };
        self.find(version).into_iter().next()
    }
}

fn is_number(constant: &Spanned<Const>) -> bool {
    constant.value.kind() == ValueKind::Number
}

/// The bytes of a part of the source.
pub(in crate::language) fn span(part: &Expr) -> Range<usize> {
    let span = part.span();
    span.start_offset as usize..span.end_offset as usize
}

/// The words of an expression and where they stand, up to what is no word of the language.
pub(super) fn tokens(expression: &str) -> (Vec<(Token<'_>, Range<usize>)>, Option<minijinja::Error>) {
    let mut tokens = Vec::new();
    for token in tokenize(expression, true, Default::default()) {
        match token {
            Ok((token, span)) => tokens.push((token, span.start_offset as usize..span.end_offset as usize)),
            Err(error) => return (tokens, Some(error)),
        }
    }
    (tokens, None)
}

/// The second of two texts without an operator between them.
pub(super) fn second_of_two_texts(tokens: &[(Token, Range<usize>)]) -> Option<Range<usize>> {
    let is_text = |(token, _): &(Token, Range<usize>)| matches!(token, Token::Str(_) | Token::String(_));
    let [_, (_, second)] = tokens.windows(2).find(|pair| pair.iter().all(is_text))? else { return None };
    Some(second.clone())
}

/// A variable with its attributes, if the expression is one.
pub(super) fn chain<'s>(expression: &Expr<'s>) -> Option<Chain<'s>> {
    match expression {
        Expr::Var(variable) => Some(vec![variable.id]),
        Expr::GetAttr(attribute) => {
            let mut chain = chain(&attribute.expr)?;
            chain.push(attribute.name);
            Some(chain)
        }
        _ => None,
    }
}

fn add_chains<'s>(expression: &Expr<'s>, chains: &mut Vec<Chain<'s>>) {
    match chain(expression) {
        Some(chain) => chains.push(chain),
        None => inside(expression).into_iter().for_each(|part| add_chains(part, chains)),
    }
}

/// The expressions that an expression is made of.
pub(super) fn inside<'e, 's>(expression: &'e Expr<'s>) -> Vec<&'e Expr<'s>> {
    let of_arguments = |arguments: &'e [CallArg<'s>]| {
        let value = |argument: &'e CallArg<'s>| match argument {
            CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                value
            }
        };
        arguments.iter().map(value)
    };
    match expression {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(slice) => [Some(&slice.expr), slice.start.as_ref(), slice.stop.as_ref(), slice.step.as_ref()]
            .into_iter()
            .flatten()
            .collect(),
        Expr::UnaryOp(operation) => vec![&operation.expr],
        Expr::BinOp(operation) => vec![&operation.left, &operation.right],
        Expr::Compare(compare) => std::iter::once(&compare.expr).chain(compare.ops.iter().map(|op| &op.expr)).collect(),
        Expr::IfExpr(choice) => [Some(&choice.test_expr), Some(&choice.true_expr), choice.false_expr.as_ref()]
            .into_iter()
            .flatten()
            .collect(),
        Expr::Filter(filter) => filter.expr.iter().chain(of_arguments(&filter.args)).collect(),
        Expr::Test(test) => std::iter::once(&test.expr).chain(of_arguments(&test.args)).collect(),
        Expr::GetAttr(attribute) => vec![&attribute.expr],
        Expr::GetItem(item) => vec![&item.expr, &item.subscript_expr],
        Expr::Call(call) => std::iter::once(&call.expr).chain(of_arguments(&call.args)).collect(),
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
    }
}

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

/// Every name without attributes that an expression compares with a text that is written out: `backend == 'iommufd'`, `'slow' in tags`.
pub fn compared(expression: &str) -> Vec<Compared> {
    let Ok(tree) = Tree::parse(expression) else { return Vec::new() };
    let mut found = tree.find(|part| {
        let Expr::BinOp(operation) = part else { return None };
        let (name, text, within) = match (&operation.left, operation.op, &operation.right) {
            (Expr::Const(text), BinOpKind::In, Expr::Var(name)) => (name, text, true),
            (Expr::Var(name), BinOpKind::Eq | BinOpKind::Ne, Expr::Const(text))
            | (Expr::Const(text), BinOpKind::Eq | BinOpKind::Ne, Expr::Var(name)) => (name, text, false),
            _ => return None,
        };
        let (text, range) = (text.value.as_str()?.to_owned(), span(&operation.left).start..span(&operation.right).end);
        Some(Compared { name: name.id.to_owned(), text, within, range })
    });
    found.sort_by_key(|compared| compared.range.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        let tree = Tree::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        tree.chains().iter().map(|chain| chain.join(".")).collect()
    }

    #[test]
    fn variables_are_told_from_keywords_attributes_filters_tests_and_arguments() {
        assert_eq!(
            names("m.iova + 4096 if backend is not defined else f(x, key=y) | length"),
            ["m.iova", "backend", "f", "x", "y"]
        );
        assert_eq!(names("'page' ~ \"a \\\" page\" ~ list[m.n].x ~ 0x1f"), ["list", "m.n"]);
    }

    #[test]
    fn names_are_found_with_the_texts_that_they_are_compared_with() {
        let source = "backend == 'iommufd' and ('slow' in tags or \"edu\" != device) and 'x' == tags[0] and name | upper == 'A' \
                      and m.name == 'a' and size == 4 and case == 'a\\n'";
        let found: Vec<_> = compared(source).into_iter().map(|found| (found.name, found.text, found.within)).collect();
        let expected =
            [("backend", "iommufd", false), ("tags", "slow", true), ("device", "edu", false), ("case", "a\n", false)];
        assert_eq!(found, expected.map(|(name, text, within)| (name.to_owned(), text.to_owned(), within)));
        assert_eq!(&source[compared(source)[0].range.clone()], "backend == 'iommufd'");
    }

    #[test]
    fn the_division_that_makes_a_fraction_of_the_whole_is_found() {
        for (source, at) in [
            ("a / b", Some(2)),
            ("a / 2 / b", Some(6)),
            ("1 + (a) / (b)", Some(8)),
            ("a / b // c", None),
            ("max(a / b, 1)", None),
            ("a // b", None),
            ("1 if a / b else 2", None),
        ] {
            let found = Tree::parse(source).unwrap().last_division();
            assert_eq!(found.map(|range| range.start), at, "{source}");
        }
    }
}
