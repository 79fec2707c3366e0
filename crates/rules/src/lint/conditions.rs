//! Single conditions: those that decide nothing, and those about children.

use super::logic;
use crate::expr::{Binary, Expr, Root};
use crate::load::Reading;
use crate::yaml::Place;
use sojourn_model::{Name, Timestamp, Value};

/// Nobody below this age is addressed: the oldest age at which a country may still want a parent's
/// consent is lower, and advertising by profile to minors is forbidden altogether.
const ADULT_YEARS: f64 = 18.0;
/// People born later may be minors. A fixed day, since nothing here has a clock: as years pass the
/// warning only becomes too careful.
const MINORS_BORN_AFTER: &str = "2008-01-01";
/// The same as an instant.
const MINORS_BORN_AFTER_MS: Timestamp = Timestamp(1_199_145_600_000);
/// Attributes about a person's children, by their beginning.
const CHILD_ATTRIBUTES: &[&str] = &["child", "kid_", "kids_", "baby_", "son_", "daughter_"];

/// Says so when a condition always or never holds.
pub(crate) fn condition(reading: &Reading<'_>, place: Place, key: &str, expr: &Expr) {
    if logic::always(expr) {
        reading.source.warning(
            "always-true",
            place,
            format!("this condition (`{key}`) holds for everybody, always"),
            "remove it, or say whom it should leave out",
        );
    } else if logic::never(expr) {
        reading.source.warning(
            "always-false",
            place,
            format!("this condition (`{key}`) can never hold: its parts exclude each other"),
            "mend the comparison, or remove what depends on it",
        );
    }
    children(reading, place, expr);
}

/// Says so when a condition picks out children, in a journey that is not `service`.
fn children(reading: &Reading<'_>, place: Place, expr: &Expr) {
    let purpose = reading.context.policy.purpose(&reading.purpose);
    if purpose.is_none_or(|(_, purpose)| purpose.service) {
        return;
    }
    let mut found: Option<String> = None;
    expr.walk(&mut |expr| {
        let what = match expr {
            Expr::Read(Root::Profile, path) => child_attribute(path),
            Expr::Binary(operator, left, right) => minor(*operator, left, right),
            _ => None,
        };
        found = found.take().or(what);
    });
    if let Some(what) = found {
        reading.source.warning(
            "children",
            place,
            format!("a journey for `{}` picks out people by {what}", reading.purpose),
            "leave minors out (such as profile.age >= 18), or do without this condition",
        );
    }
}

fn child_attribute(path: &[Name]) -> Option<String> {
    let name = path.first()?;
    CHILD_ATTRIBUTES
        .iter()
        .any(|beginning| name.starts_with(beginning))
        .then(|| format!("`profile.{}`, which is about their children", path.join(".")))
}

/// Whether `left operator right` admits only, or mostly, minors.
fn minor(operator: Binary, left: &Expr, right: &Expr) -> Option<String> {
    let (what, operator, value) = match (left, right) {
        (Expr::Read(Root::Profile, path), value) => (path, operator, value),
        (value, Expr::Read(Root::Profile, path)) => {
            let flipped = match operator {
                Binary::Less => Binary::Greater,
                Binary::LessOrEqual => Binary::GreaterOrEqual,
                Binary::Greater => Binary::Less,
                Binary::GreaterOrEqual => Binary::LessOrEqual,
                other => other,
            };
            (path, flipped, value)
        }
        _ => return None,
    };
    let name = what.last()?;
    match (&**name, literal(value)?) {
        ("age", Value::Number(years)) => {
            let young = match operator {
                Binary::Less => *years <= ADULT_YEARS,
                Binary::LessOrEqual | Binary::Equal => *years < ADULT_YEARS,
                _ => false,
            };
            young.then(|| format!("an age below {ADULT_YEARS}"))
        }
        ("birthday" | "date_of_birth" | "birthdate", Value::Text(day)) => {
            let late = matches!(operator, Binary::Greater | Binary::GreaterOrEqual | Binary::Equal)
                && &**day > MINORS_BORN_AFTER;
            late.then(|| "a birthday that makes them minors".to_owned())
        }
        ("birthday" | "date_of_birth" | "birthdate", Value::Instant(at)) => {
            let late = matches!(operator, Binary::Greater | Binary::GreaterOrEqual | Binary::Equal)
                && *at > MINORS_BORN_AFTER_MS;
            late.then(|| "a birthday that makes them minors".to_owned())
        }
        _ => None,
    }
}

/// A literal, or the text inside `timestamp('…')`.
fn literal(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Literal(value) => Some(value),
        Expr::Call(name, arguments) if &**name == "timestamp" => match arguments.as_slice() {
            [Expr::Literal(value)] => Some(value),
            _ => None,
        },
        _ => None,
    }
}
