//! What can be proven of conditions without data: those that never hold, and those that hold
//! whenever another one does.
//!
//! Only what is certain is said: `false` of these functions means "not proven".

use crate::expr::{Binary, Expr, Unary};
use sojourn_model::Value;
use std::cmp::Ordering;

/// Steps of one proof (LIM-1); beyond them nothing is proven.
const PROOF_STEPS_MAX: u32 = 4_096;

/// Whether `expr` holds for everybody, always.
pub(super) fn always(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value) => *value == Value::Bool(true),
        Expr::Unary(Unary::Not, inner) => {
            matches!(&**inner, Expr::Literal(value) if *value == Value::Bool(false))
        }
        Expr::Binary(Binary::And, a, b) => always(a) && always(b),
        Expr::Binary(Binary::Or, a, b) => always(a) || always(b),
        _ => literals(expr) == Some(true),
    }
}

/// Whether `expr` can never hold: `false`, or two parts that exclude each other.
pub(super) fn never(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value) => *value == Value::Bool(false),
        Expr::Unary(Unary::Not, inner) => always(inner),
        Expr::Binary(Binary::Or, a, b) => never(a) && never(b),
        Expr::Binary(Binary::And, ..) => {
            let mut parts = Vec::new();
            conjuncts(expr, &mut parts);
            let excluded = |(place, part): (usize, &&Expr)| {
                never(part) || parts[..place].iter().any(|other| exclude(other, part))
            };
            // Quadratic in the parts of one expression, whose nodes are limited.
            parts.len() <= 64 && parts.iter().enumerate().any(excluded)
        }
        _ => literals(expr) == Some(false),
    }
}

/// Whether `b` can hold only where `a` holds too.
pub(super) fn implies(b: &Expr, a: &Expr) -> bool {
    let mut left = PROOF_STEPS_MAX;
    follows(b, a, &mut left)
}

fn follows(b: &Expr, a: &Expr, left: &mut u32) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    if a == b || always(a) {
        return true;
    }
    if let Expr::Binary(Binary::Or, x, y) = b {
        return follows(x, a, left) && follows(y, a, left);
    }
    if let Expr::Binary(Binary::And, x, y) = a {
        return follows(b, x, left) && follows(b, y, left);
    }
    if let Expr::Binary(Binary::And, x, y) = b
        && (follows(x, a, left) || follows(y, a, left))
    {
        return true;
    }
    if let Expr::Binary(Binary::Or, x, y) = a {
        return follows(b, x, left) || follows(b, y, left);
    }
    comparison_follows(b, a)
}

fn conjuncts<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Binary(Binary::And, a, b) => {
            conjuncts(a, parts);
            conjuncts(b, parts);
        }
        other => parts.push(other),
    }
}

/// A comparison of something with a literal, the literal on the right.
struct Compared<'e> {
    what: &'e Expr,
    operator: Binary,
    value: &'e Value,
}

fn compared(expr: &Expr) -> Option<Compared<'_>> {
    let Expr::Binary(operator, left, right) = expr else { return None };
    let flipped = match operator {
        Binary::Less => Binary::Greater,
        Binary::LessOrEqual => Binary::GreaterOrEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterOrEqual => Binary::LessOrEqual,
        Binary::Equal | Binary::NotEqual => *operator,
        _ => return None,
    };
    match (&**left, &**right) {
        (Expr::Literal(_), Expr::Literal(_)) => None,
        (what, Expr::Literal(value)) => Some(Compared { what, operator: *operator, value }),
        (Expr::Literal(value), what) => Some(Compared { what, operator: flipped, value }),
        _ => None,
    }
}

/// What a comparison of two literals gives.
fn literals(expr: &Expr) -> Option<bool> {
    let Expr::Binary(operator, left, right) = expr else { return None };
    let (Expr::Literal(left), Expr::Literal(right)) = (&**left, &**right) else { return None };
    meets(left, *operator, right)
}

/// Whether `left operator right` holds; `None`: not comparable here.
fn meets(left: &Value, operator: Binary, right: &Value) -> Option<bool> {
    let order = order(left, right);
    Some(match operator {
        Binary::Equal => left == right,
        Binary::NotEqual => left != right,
        Binary::Less => order? == Ordering::Less,
        Binary::LessOrEqual => order? != Ordering::Greater,
        Binary::Greater => order? == Ordering::Greater,
        Binary::GreaterOrEqual => order? != Ordering::Less,
        _ => return None,
    })
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Whether two parts of one `&&` cannot both hold.
fn exclude(a: &Expr, b: &Expr) -> bool {
    let negates = |not: &Expr, other: &Expr| matches!(not, Expr::Unary(Unary::Not, inner) if **inner == *other);
    if negates(a, b) || negates(b, a) {
        return true;
    }
    let (Some(a), Some(b)) = (compared(a), compared(b)) else { return false };
    if a.what != b.what {
        return false;
    }
    match (a.operator, b.operator) {
        (Binary::Equal, operator) => meets(a.value, operator, b.value) == Some(false),
        (operator, Binary::Equal) => meets(b.value, operator, a.value) == Some(false),
        _ => {
            let (Some(low), Some(high)) = (bounds(&a, &b), bounds(&b, &a)) else {
                return false;
            };
            low || high
        }
    }
}

/// Whether `low` bounds from below, `high` from above, and nothing lies between them.
fn bounds(low: &Compared<'_>, high: &Compared<'_>) -> Option<bool> {
    let below = matches!(low.operator, Binary::Greater | Binary::GreaterOrEqual);
    let above = matches!(high.operator, Binary::Less | Binary::LessOrEqual);
    if !below || !above {
        return Some(false);
    }
    let strict = low.operator == Binary::Greater || high.operator == Binary::Less;
    Some(match order(low.value, high.value)? {
        Ordering::Greater => true,
        Ordering::Equal => strict,
        Ordering::Less => false,
    })
}

/// `x > 5` follows from `x > 10`; `x != 'a'` and `x in ['a', 'b']` from `x == 'b'`.
fn comparison_follows(b: &Expr, a: &Expr) -> bool {
    let Some(b) = compared(b) else { return false };
    if let Expr::Binary(Binary::In, what, list) = a
        && **what == *b.what
    {
        let holds = |item: &Expr| matches!(item, Expr::Literal(value) if value == b.value);
        let listed = match &**list {
            Expr::List(items) => items.iter().any(holds),
            Expr::Literal(Value::List(items)) => items.contains(b.value),
            _ => false,
        };
        return b.operator == Binary::Equal && listed;
    }
    let Some(a) = compared(a) else { return false };
    if a.what != b.what {
        return false;
    }
    let order = order(b.value, a.value);
    match (b.operator, a.operator) {
        (Binary::Equal, operator) => meets(b.value, operator, a.value) == Some(true),
        (Binary::Greater, Binary::Greater | Binary::GreaterOrEqual)
        | (Binary::GreaterOrEqual, Binary::GreaterOrEqual) => {
            order.is_some_and(|order| order != Ordering::Less)
        }
        (Binary::GreaterOrEqual, Binary::Greater) => order == Some(Ordering::Greater),
        (Binary::Less, Binary::Less | Binary::LessOrEqual)
        | (Binary::LessOrEqual, Binary::LessOrEqual) => {
            order.is_some_and(|order| order != Ordering::Greater)
        }
        (Binary::LessOrEqual, Binary::Less) => order == Some(Ordering::Less),
        (Binary::Greater, Binary::NotEqual) => order.is_some_and(|order| order != Ordering::Less),
        (Binary::Less, Binary::NotEqual) => order.is_some_and(|order| order != Ordering::Greater),
        _ => false,
    }
}
