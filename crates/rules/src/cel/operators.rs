//! Operators: which they are, which types they take and give.

use crate::expr::{Binary, Expr};
use crate::functions::Type;
use ::cel::common::ast::operators;

pub(super) fn binary_of(operator: &str) -> Option<Binary> {
    Some(match operator {
        operators::LOGICAL_AND => Binary::And,
        operators::LOGICAL_OR => Binary::Or,
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessOrEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterOrEqual,
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Modulo,
        operators::IN => Binary::In,
        _ => return None,
    })
}

pub(super) fn symbol(operator: Binary) -> &'static str {
    match operator {
        Binary::And => "&&",
        Binary::Or => "||",
        Binary::Equal => "==",
        Binary::NotEqual => "!=",
        Binary::Less => "<",
        Binary::LessOrEqual => "<=",
        Binary::Greater => ">",
        Binary::GreaterOrEqual => ">=",
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::Modulo => "%",
        Binary::In => "in",
    }
}

/// Type of the result, and whether both sides are to be read as instants. `None`: no sense.
pub(super) fn result_of(operator: Binary, left: Type, right: Type) -> Option<(Type, bool)> {
    use Type::{Any, Bool, Date, Duration, Instant, List, Map, Null, Number, Text, TimestampText};
    let written = |kind| matches!(kind, Date | TimestampText);
    let text = |kind| matches!(kind, Text | Date | TimestampText);
    let number = |kind| matches!(kind, Number | Duration);
    match operator {
        Binary::And | Binary::Or => Some((Bool, false)),
        Binary::In => matches!(right, List | Map | Any).then_some((Bool, false)),
        Binary::Equal
        | Binary::NotEqual
        | Binary::Less
        | Binary::LessOrEqual
        | Binary::Greater
        | Binary::GreaterOrEqual => {
            let equality = matches!(operator, Binary::Equal | Binary::NotEqual);
            let instants = (left == Instant
                || right == Instant
                || left == TimestampText && right == TimestampText)
                && [left, right].iter().all(|&kind| kind == Instant || written(kind));
            let fits = match (left, right) {
                (Any, other) | (other, Any) => {
                    equality
                        || matches!(other, Any | Bool)
                        || number(other)
                        || text(other)
                        || other == Instant
                }
                (Null, _) | (_, Null) => equality,
                (List, List) | (Map, Map) => equality,
                (Bool, Bool) => true,
                _ => {
                    instants
                        || text(left) && text(right)
                        || number(left) && number(right)
                        || left == right
                }
            };
            fits.then_some((Bool, instants))
        }
        Binary::Add => Some(match (left, right) {
            (Any, _) | (_, Any) => (Any, false),
            (Instant, Duration) | (Duration, Instant) => (Instant, false),
            (other, Duration) | (Duration, other) if written(other) => (Instant, true),
            (Duration, Duration) => (Duration, false),
            (List, List) => (List, false),
            _ if number(left) && number(right) => (Number, false),
            _ if text(left) && text(right) => (Text, false),
            _ => return None,
        }),
        Binary::Subtract => Some(match (left, right) {
            (Any, _) | (_, Any) => (Any, false),
            (Instant, Duration) => (Instant, false),
            (other, Duration) if written(other) => (Instant, true),
            (Duration, Duration) => (Duration, false),
            (Instant, Instant) => (Duration, false),
            (a, b) if (written(a) || a == Instant) && (written(b) || b == Instant) => {
                (Duration, true)
            }
            _ if number(left) && number(right) => (Number, false),
            _ => return None,
        }),
        Binary::Multiply | Binary::Divide | Binary::Modulo => match (left, right) {
            (Any, other) | (other, Any) if number(other) || other == Any => Some((Any, false)),
            (Duration, Number) => Some((Duration, false)),
            (Number, Duration) if operator == Binary::Multiply => Some((Duration, false)),
            _ => (number(left) && number(right)).then_some((Number, false)),
        },
    }
}

/// Reads a written date or timestamp as an instant; leaves durations and instants alone.
pub(super) fn as_instant(expr: Expr, kind: Type) -> Expr {
    if matches!(kind, Type::Date | Type::TimestampText) {
        Expr::Call("timestamp".into(), vec![expr])
    } else {
        expr
    }
}

pub(super) fn mismatch_remedy(left: Type, right: Type) -> &'static str {
    let one = |kind| left == kind || right == kind;
    if one(Type::Instant) && one(Type::Text) {
        "write the instant as timestamp('2026-12-31T09:00:00Z')"
    } else if one(Type::Instant) && one(Type::Number) {
        "write the time span as duration('24h')"
    } else if one(Type::Text) && one(Type::Number) {
        "compare a number with a number (15) and a text with a text ('15')"
    } else {
        "compare values of one type"
    }
}

pub(super) fn describe(kind: Type) -> &'static str {
    match kind {
        Type::Any => "a value",
        Type::Null => "null",
        Type::Bool => "true or false",
        Type::Number => "a number",
        Type::Duration => "a duration",
        Type::Text => "a text",
        Type::Date => "a date",
        Type::TimestampText => "a timestamp",
        Type::Instant => "an instant",
        Type::List => "a list",
        Type::Map => "a map",
    }
}

/// Whether a value of type `kind` may be given where one of `wanted` is needed.
pub(super) fn accepts(wanted: &[Type], kind: Type) -> bool {
    kind == Type::Any || wanted.contains(&kind)
}
