// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fuel does not bound: `"x" * 100000000` is one step, and a hundred megabytes.
//!
//! So text and lists cannot be multiplied, and what an expression gives is bounded. The operands of each `*` are evaluated by
//! themselves, innermost first, before the whole is: minijinja multiplies constants already when it compiles.

use std::collections::BTreeMap;

use minijinja::machinery::ast::{BinOp, BinOpKind, Expr, UnaryOpKind};
use minijinja::machinery::{self, CodeGenerator};
use minijinja::{AutoEscape, Value, value::ValueKind};

use super::tree::{Tree, chain, inside, span};
use super::{error::ExpressionError, functions::environment, scope::Scope};

/// The longest text and the longest list that an expression may give, in bytes and elements.
const MOST: usize = 64 << 10;

/// What an expression multiplies.
pub(super) enum Products {
    /// Numbers, if these variables with their attributes are numbers; most multiply nothing.
    Numbers(Vec<Vec<String>>),
    /// Something whose kind is only known from its value.
    Unknown,
}

impl Products {
    pub fn of(tree: &Tree) -> Products {
        let mut chains = Vec::new();
        let products = tree.find(product);
        let are_numbers = products
            .iter()
            .all(|product| is_number(&product.left, &mut chains) && is_number(&product.right, &mut chains));
        if are_numbers { Products::Numbers(chains) } else { Products::Unknown }
    }

    /// Whether nothing can be multiplied but numbers. A name that is not known fails by itself.
    pub fn are_numbers(&self, scope: &Scope) -> bool {
        let is_number = |chain: &Vec<String>| {
            let mut value = scope.get(&chain[0]).cloned().unwrap_or(Value::UNDEFINED);
            for attribute in &chain[1..] {
                value = value.get_attr(attribute).unwrap_or(Value::UNDEFINED);
            }
            matches!(value.kind(), ValueKind::Number | ValueKind::Undefined)
        };
        match self {
            Products::Numbers(chains) => chains.iter().all(is_number),
            Products::Unknown => false,
        }
    }
}

fn product<'t, 's>(part: &'t Expr<'s>) -> Option<&'t BinOp<'s>> {
    match part {
        Expr::BinOp(operation) if matches!(operation.op, BinOpKind::Mul) => Some(operation),
        _ => None,
    }
}

/// Whether an operand is a number if the variables in it are.
fn is_number(operand: &Expr, chains: &mut Vec<Vec<String>>) -> bool {
    use BinOpKind::{Add, Div, FloorDiv, Mul, Pow, Rem, Sub};
    match operand {
        Expr::Const(constant) => constant.value.kind() == ValueKind::Number,
        Expr::UnaryOp(operation) => matches!(operation.op, UnaryOpKind::Neg) && is_number(&operation.expr, chains),
        Expr::BinOp(operation) if matches!(operation.op, Add | Sub | Mul | Div | FloorDiv | Rem | Pow) => {
            is_number(&operation.left, chains) && is_number(&operation.right, chains)
        }
        Expr::IfExpr(choice) => {
            is_number(&choice.true_expr, chains)
                && choice.false_expr.as_ref().is_some_and(|other| is_number(other, chains))
        }
        Expr::Call(call) => {
            const NUMBERS: [&str; 8] = ["align_up", "align_down", "min", "max", "bit", "bit_and", "bit_or", "pow2"];
            matches!(&call.expr, Expr::Var(function) if NUMBERS.contains(&function.id))
        }
        _ => {
            let chain = chain(operand).map(|chain| chain.into_iter().map(str::to_owned).collect::<Vec<_>>());
            chain.map(|chain| chains.push(chain)).is_some()
        }
    }
}

/// Refuses the multiplication of text and lists.
pub(super) fn no_repeats(scope: &Scope, tree: &Tree, part: &Expr) -> Result<(), ExpressionError> {
    for part in inside(part) {
        no_repeats(scope, tree, part)?;
    }
    let operands = product(part).into_iter().flat_map(|product| [&product.left, &product.right]);
    for operand in operands
        .filter(|operand| !matches!(operand, Expr::Const(constant) if constant.value.kind() == ValueKind::Number))
    {
        if let Some(what) = repeatable(scope, tree, operand) {
            return Err(ExpressionError::new(format!("{what} cannot be multiplied"), span(operand))
                .expected("a number")
                .help("`*` is for numbers; `~` joins texts"));
        }
    }
    Ok(())
}

/// What the value of an operand is, if it can be repeated.
fn repeatable(scope: &Scope, tree: &Tree, operand: &Expr) -> Option<&'static str> {
    let mut code = CodeGenerator::new("<expression>", tree.source);
    code.compile_expr(operand);
    let (instructions, _) = code.finish();
    let (mut nothing, root) = (String::new(), Value::from_dyn_object(scope.shared()));
    let mut output = machinery::make_string_output(&mut nothing);
    let (blocks, escape) = (BTreeMap::new(), AutoEscape::None);
    let done = machinery::eval(environment(), &instructions, root, &blocks, &mut output, escape);
    match done.ok()?.0?.kind() {
        ValueKind::String | ValueKind::Bytes => Some("text"),
        ValueKind::Seq | ValueKind::Iterable => Some("a list"),
        _ => None,
    }
}

/// Refuses what is too large to go on with: an expression may use it hundreds of times.
pub(super) fn bounded(value: &Value, expression: &str) -> Result<(), ExpressionError> {
    let length = value.as_str().map(str::len).or_else(|| value.len()).unwrap_or(0);
    if length <= MOST {
        return Ok(());
    }
    let what = if value.as_str().is_some() { "a text" } else { "a list" };
    let message = format!("the expression gives {what} of length {length}");
    Err(ExpressionError::new(message, 0..expression.len()).expected(format!("at most {MOST}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::eval;

    #[test]
    fn text_and_lists_are_not_multiplied_wherever_they_come_from() {
        let scope = Scope::new().with("word", "ab").with("n", 100_000_000).with("list", vec![1, 2]);
        for source in [
            "'x' * 100000000",
            "100000000 * 'x'",
            "('x' * n) | length",
            "n * (word)",
            "1 * n * word",
            "(list * n) | length",
            "[1] * 100000000",
            "(1, 2) * n",
            "[[1] * n, 2][1]",
            "2 * n ** 1 * [1]",
            "word[0] * n",
            "(word if n else 1) * n",
            "{'a': 'x'}['a'] * n",
            "n * -1 * 'x'",
            "n * hex(3)",
            "(word | upper) * 3",
        ] {
            let error = eval(&scope, source).expect_err(source);
            assert!(error.message.contains("cannot be multiplied"), "{source}: {error}");
        }
    }

    #[test]
    fn numbers_are_multiplied_beside_texts_and_lists() {
        let scope = Scope::new().with("word", "ab").with("n", 3).with("list", vec![1, 2]);
        for (source, value) in [
            ("list[1] * n", 6),
            ("(n if word == 'ab' else 1) * 2", 6),
            ("n * list | length", 6),
            ("2 * n if word == 'ab' else 4 * n", 6),
            ("2 * -n + 12", 6),
            ("2 ** 1 * n", 6),
            ("align_up(n * 2, 6)", 6),
        ] {
            assert_eq!(eval(&scope, source), Ok(Value::from(value)), "{source}");
        }
    }

    #[test]
    fn what_grows_from_variable_to_variable_is_bounded() {
        let mut scope = Scope::new().with("v", "x".repeat(100));
        for round in 0..3 {
            match eval(&scope, &format!("v{}", " ~ v".repeat(200))) {
                Ok(value) => scope.set("v", value),
                Err(error) => {
                    assert!(round > 0 && error.message.contains("of length"), "{error}");
                    return;
                }
            }
        }
        panic!("the text grows without bounds");
    }
}
