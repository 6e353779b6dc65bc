// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kinds of values that an expression compares, as far as they are known without evaluating it: a text never equals a number.

use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, CompareOpKind, Expr, UnaryOpKind};
use minijinja::{machinery::parse_expr, value::ValueKind};

use super::scan::{Piece, pieces};
use super::{error::ExpressionError, tree::inside};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::language) enum Kind {
    Number,
    Text,
    Boolean,
}

impl Kind {
    fn article(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Boolean => "true or false",
        }
    }
}

/// The comparisons in a text that can never hold, or always do, because their sides are of different kinds. `known` says of what kind a
/// variable is.
pub(in crate::language) fn unlike(source: &str, known: &dyn Fn(&str) -> Option<Kind>) -> Vec<ExpressionError> {
    let mut errors = Vec::new();
    if !source.contains(['=', '<', '>']) {
        return errors;
    }
    for piece in pieces(source).unwrap_or_default() {
        let Piece::Expression(range) = piece else { continue };
        let text = &source[range.clone()];
        if let Ok(parsed) = parse_expr(text) {
            Comparisons { text, start: range.start, known, errors: &mut errors }.within(&parsed);
        }
    }
    errors
}

struct Comparisons<'a> {
    text: &'a str,
    /// Where the expression begins in the whole text, in bytes.
    start: usize,
    known: &'a dyn Fn(&str) -> Option<Kind>,
    errors: &'a mut Vec<ExpressionError>,
}

impl Comparisons<'_> {
    fn within(&mut self, expression: &Expr) {
        match expression {
            Expr::Compare(compare) => {
                let sides: Vec<&Expr> =
                    std::iter::once(&compare.expr).chain(compare.ops.iter().map(|op| &op.expr)).collect();
                for (pair, op) in sides.windows(2).zip(&compare.ops) {
                    let is_search = matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn);
                    if let ([left, right], false) = (pair, is_search) {
                        self.compared(left, right);
                    }
                }
            }
            Expr::BinOp(operation) => {
                use BinOpKind::{Eq, Gt, Gte, Lt, Lte, Ne};
                if matches!(operation.op, Eq | Ne | Lt | Lte | Gt | Gte) {
                    self.compared(&operation.left, &operation.right);
                }
            }
            _ => {}
        }
        inside(expression).into_iter().for_each(|part| self.within(part));
    }

    fn compared(&mut self, left: &Expr, right: &Expr) {
        let kinds = (self.kind(left), self.kind(right));
        let (Some(one), Some(other)) = kinds else { return };
        if one == other || one != Kind::Text && other != Kind::Text {
            return;
        }
        let (one_range, other_range) = (self.range(left), self.range(right));
        let [one_text, other_text] = [&one_range, &other_range].map(|range| self.text[range.clone()].trim());
        let title = format!(
            "`{one_text}` is {} and `{other_text}` is {}: they are never equal, and have no order",
            one.article(),
            other.article()
        );
        let error = ExpressionError::new(title, self.start + one_range.start..self.start + other_range.end)
            .expected("two values of one kind");
        let is_kernel = |side: &Expr| matches!(side, Expr::Var(variable) if variable.id == "kernel");
        let help = match (left, right) {
            // As texts '6.9' is more than '6.18'.
            (kernel, Expr::Const(_)) if is_kernel(kernel) => Some(version(other_text)),
            (Expr::Const(_), kernel) if is_kernel(kernel) => Some(version(one_text)),
            (_, Expr::Const(_)) => rewritten(other_text, one),
            (Expr::Const(_), _) => rewritten(one_text, other),
            _ => None,
        };
        self.errors.push(help.into_iter().fold(error, ExpressionError::help));
    }

    /// The bytes of a part of the expression.
    fn range(&self, part: &Expr) -> Range<usize> {
        let span = part.span();
        let range = span.start_offset as usize..span.end_offset as usize;
        if self.text.get(range.clone()).is_some_and(|text| !text.is_empty()) { range } else { 0..self.text.len() }
    }

    fn kind(&self, expression: &Expr) -> Option<Kind> {
        match expression {
            Expr::Const(constant) => match constant.value.kind() {
                ValueKind::Number => Some(Kind::Number),
                ValueKind::String => Some(Kind::Text),
                ValueKind::Bool => Some(Kind::Boolean),
                _ => None,
            },
            Expr::Var(variable) => (self.known)(variable.id),
            Expr::UnaryOp(operation) => match operation.op {
                UnaryOpKind::Not => Some(Kind::Boolean),
                UnaryOpKind::Neg => Some(Kind::Number),
            },
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::Concat => Some(Kind::Text),
                BinOpKind::ScAnd | BinOpKind::ScOr => None, // the value of one of its sides
                BinOpKind::Add
                | BinOpKind::Sub
                | BinOpKind::Mul
                | BinOpKind::Div
                | BinOpKind::FloorDiv
                | BinOpKind::Rem
                | BinOpKind::Pow => Some(Kind::Number),
                BinOpKind::Eq
                | BinOpKind::Ne
                | BinOpKind::Lt
                | BinOpKind::Lte
                | BinOpKind::Gt
                | BinOpKind::Gte
                | BinOpKind::In => Some(Kind::Boolean),
            },
            Expr::Compare(_) | Expr::Test(_) => Some(Kind::Boolean),
            Expr::IfExpr(choice) => {
                let (one, other) = (self.kind(&choice.true_expr), self.kind(choice.false_expr.as_ref()?));
                one.filter(|_| one == other)
            }
            Expr::Filter(filter) => match filter.name {
                "length" => Some(Kind::Number),
                "hex" | "join" | "lower" | "upper" => Some(Kind::Text),
                _ => None,
            },
            Expr::Call(call) => match &call.expr {
                Expr::Var(function) => match function.id {
                    "align_up" | "align_down" | "min" | "max" | "bit" | "bit_and" | "bit_or" | "pow2" => {
                        Some(Kind::Number)
                    }
                    "hex" => Some(Kind::Text),
                    "version_at_least" => Some(Kind::Boolean),
                    _ => None,
                },
                _ => None,
            },
            Expr::Slice(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
                None
            }
        }
    }
}

/// How a version is compared.
fn version(least: &str) -> String {
    format!("compare versions by `version_at_least(kernel, '{least}')`")
}

/// How a constant is written to be of another kind.
fn rewritten(constant: &str, wanted: Kind) -> Option<String> {
    let inner = constant.trim_matches(['"', '\'']);
    match wanted {
        Kind::Number if inner.parse::<u64>().is_ok() => Some(format!("write {inner}, without quotes")),
        Kind::Boolean if matches!(inner, "true" | "false") => Some(format!("write {inner}, without quotes")),
        Kind::Text | Kind::Number | Kind::Boolean => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<Kind> {
        match name {
            "backend" => Some(Kind::Text),
            "n" => Some(Kind::Number),
            "on" => Some(Kind::Boolean),
            _ => None,
        }
    }

    #[test]
    fn values_of_different_kinds_are_never_equal() {
        for (source, part) in [
            ("{{ backend == 1 }}", "backend == 1"),
            ("{{ 'x' < 1 }}", "'x' < 1"),
            ("{{ n != '4' }}", "n != '4'"),
            ("{{ on == 'true' }}", "on == 'true'"),
            ("{{ 1 if x and hex(n) == n + 1 else 2 }}", "hex(n) == n + 1"),
            ("{{ 0 < n < backend }}", "n < backend"),
            ("at {{ n }} {{ [backend == 3] }}", "backend == 3"),
        ] {
            let errors = unlike(source, &known);
            assert_eq!(errors.len(), 1, "{source}: {errors:?}");
            assert_eq!(&source[errors[0].range.clone()], part, "{source}");
        }
    }

    #[test]
    fn values_of_one_kind_or_of_one_that_is_not_known_may_be_equal() {
        for source in [
            "{{ backend == 'iommufd' }}",
            "{{ n + 1 == 5 and on }}",
            "{{ m.value == 'x' }}",
            "{{ n == (x or 'a') }}",
            "{{ 'a' in backend }}",
            "{{ on == (n < 3) }}",
            "a == 1",
        ] {
            assert_eq!(unlike(source, &known), [], "{source}");
        }
    }
}
