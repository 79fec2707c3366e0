//! Evaluation: semantics 7, and the laws of missing values.

use super::Values;
use super::expressions::expression;
use crate::{Binary, Condition, Expr, Macro, Missing, Root, Unary, eval, holds};
use proptest::prelude::*;
use sojourn_model::{Name, Timestamp, Value};

fn scope() -> Values {
    let list = |items: &[f64]| Value::List(items.iter().map(|n| Value::Number(*n)).collect());
    Values::of(&[
        ("event.properties.n", Value::Number(5.0)),
        ("event.properties.id", Value::text("abc-1")),
        ("event.properties.tags", list(&[1.0, 2.0, 3.0])),
        ("event.properties.at", Value::text("2026-03-01T00:00:00+00:00")),
        (
            "event.properties.place",
            Value::Map(vec![("city".into(), Value::text("York")), ("none".into(), Value::Null)]),
        ),
        ("event.timestamp", Value::Instant(Timestamp(1_772_452_800_000))),
        ("event.name", Value::text("Ping")),
        ("event.context", Value::Map(vec![("ip".into(), Value::text("::1"))])),
        ("profile.vip", Value::Bool(true)),
        ("profile.renews", Value::text("2026-03-09")),
        ("run.key", Value::text("k")),
        ("history.Order Completed", Value::Number(4.0)),
    ])
}

fn value(text: &str) -> Result<Value, Missing> {
    eval(&expression(text), &scope())
}

#[test]
fn gives_values() {
    let yes = Ok(Value::Bool(true));
    for text in [
        // one kind of number
        "event.properties.n == 5.0",
        "20 == 20.0",
        "event.properties.n >= 5 && event.properties.n < 5.5",
        "7 / 2 == 3.5",
        "7 % 4 == 3",
        "-event.properties.n == -5",
        "1 + 2 * 3 == 7",
        "2u + 1 == 3",
        // text
        "event.properties.id.startsWith('abc')",
        "event.properties.id.endsWith('-1')",
        "event.properties.id.contains('-')",
        "event.properties.id.matches('^[a-c]+-[0-9]$')",
        "event.properties.id.upperAscii() == 'ABC-1'",
        "'Ä'.lowerAscii() == 'Ä'",
        "size('Äb') == 2",
        "event.properties.id + '!' == 'abc-1!'",
        "'a' < 'b'",
        "' x '.trim() == 'x'",
        // lists and maps
        "'abc-1' in ['x', event.properties.id]",
        "!(event.properties.id in ['abc-2'])",
        "2 in event.properties.tags",
        "size(event.properties.tags) == 3",
        "event.properties.tags[1] == 2",
        "'city' in event.properties.place",
        "event.properties.place.city == 'York'",
        "event.properties.place['city'] == 'York'",
        "event.properties.place.none == null",
        "{'a': 1, 'b': [1]} == {'b': [1], 'a': 1}",
        "[1] + [2] == [1, 2]",
        "{'a': 7}.a == 7",
        "[5, 6][1] == 6",
        // has: present, also when null
        "has(event.properties.n)",
        "!has(profile.points)",
        "has(event.properties.place.none)",
        "!has(event.properties.place.x)",
        "!has(profile.tier)",
        // choice
        "(profile.vip ? 1 : 2) == 1",
        "profile.vip ? true : profile.tier == 'x'",
        // unlike kinds: equality is false
        "event.context.ip != 5",
        "!(event.context.ip == 5)",
        "event.context != null",
        // time
        "event.timestamp == timestamp('2026-03-02T12:00:00Z')",
        "event.timestamp - duration('36h') == timestamp('2026-03-01T00:00:00Z')",
        "event.timestamp - timestamp('2026-03-02') == duration('12h')",
        "event.properties.at < event.timestamp",
        "event.timestamp - event.properties.at > duration('1d')",
        "profile.renews > event.timestamp",
        "profile.renews - event.timestamp < duration('7d')",
        "profile.renews >= '2026-03-01'",
        "event.timestamp.getHours() == 12",
        "event.timestamp.getDayOfWeek() == 1",
        "event.timestamp.getHours('Asia/Tokyo') == 21",
        "profile.renews.getMonth() == 2",
        "duration('1.5h') == duration('90m')",
        "int('42') == 42",
        "string(1.5) == '1.5'",
        "string(5) == '5'",
        "double('2.5') == 2.5",
        "bool('true')",
        // macros
        "event.properties.tags.all(t, t > 0)",
        "event.properties.tags.exists(t, t == 3)",
        "event.properties.tags.exists_one(t, t == 3)",
        "event.properties.tags.filter(t, t > 1) == [2, 3]",
        "event.properties.tags.map(t, t * 2) == [2, 4, 6]",
        "event.properties.tags.map(t, t > 1, t * 2) == [4, 6]",
        "[[1], [2]].all(r, r.exists(x, x == size(r) || x == 2))",
        "{'a': 1}.all(k, k == 'a')",
        "event.properties.tags.exists(event, event == 1)",
        // history and segments
        "count('Order Completed') >= 4",
        "count('Order Completed', '24h') == 4",
        "in_segment('regulars')",
        "sum('Order Completed', 'total', '30d', {'cart_id': event.properties.id}) == 4",
        "event.name == 'Ping' && run.key == 'k'",
    ] {
        assert_eq!(value(text), yes, "{text}");
    }
}

#[test]
fn missing_propagates_and_is_absorbed() {
    for text in [
        "profile.tier == 'x'",
        "profile.tier != 'a'",
        "!(profile.points > 1)",
        "profile.points + 1 == 2",
        "profile.tier.startsWith('a')",
        "-profile.points < 0",
        "profile.tier in ['a']",
        "'a' in [profile.tier]",
        "profile.vip && profile.points > 1",
        "!profile.vip || profile.points > 1",
        "profile.points > 1 ? true : true",
        "[profile.points] == [1]",
        "{'a': profile.points} == {'a': 1}",
        "event.properties.tags.all(t, t > profile.points)",
        "event.properties.tags.exists(t, profile.points == t)",
        "event.properties.tags.map(t, profile.points) == []",
        "count('Order Completed', {'cart_id': profile.tier}) >= 0",
        "event.properties.tags[3] == 1",
        "event.properties.tags[-1] == 1",
        "event.properties.tags[0.5] == 1",
        "event.properties.place.x == 1",
        // an order between unlike kinds, arithmetic without a value
        "event.context.ip < 5",
        "1 / 0 == 1",
        "1 % 0 == 1",
        "1e308 * 10 > 1",
        "event.context.ip - 1 == 0",
        "event.context.ip.getHours() == 1",
        "int(event.properties.id) == 1",
        "event.timestamp.getHours('No/Zone') == 1",
        // what is no boolean does not count as one
        "event.context.ip && true",
        "event.context.ip ? true : true",
        "!event.context.ip",
    ] {
        assert_eq!(value(text), Err(Missing), "{text}");
        let condition = Condition { text: text.into(), expr: expression(text), windowed: false };
        assert!(!holds(&condition, &scope()), "{text}");
    }
    for (text, expected) in [
        ("profile.points > 1 || true", true),
        ("true || profile.points > 1", true),
        ("profile.points > 1 && false", false),
        ("false && profile.points > 1", false),
        ("event.properties.tags.exists(t, t == 3 || profile.points == t)", true),
        ("event.properties.tags.all(t, t == 9 && profile.points == t)", false),
        ("has(profile.points) && profile.points > 1", false),
    ] {
        assert_eq!(value(text), Ok(Value::Bool(expected)), "{text}");
    }
}

#[test]
fn is_bounded() {
    // A thousand items, three times nested, would be a billion visits.
    let items = Value::List((0..1_000).map(|n| Value::Number(f64::from(n))).collect());
    let scope = Values::of(&[("event.properties.tags", items)]);
    let text = "event.properties.tags.all(a, event.properties.tags.all(b, event.properties.tags.all(c, a + b + c >= 0)))";
    assert_eq!(eval(&expression(text), &scope), Err(Missing));
}

/// Any tree over a few names, also ill-typed ones.
fn any_expr() -> impl Strategy<Value = Expr> {
    let literal = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Number),
        "[a-z0-9:-]{0,12}".prop_map(|text| Value::Text(text.into())),
        any::<i64>().prop_map(|at| Value::Instant(Timestamp(at))),
        Just(Value::List(vec![Value::Number(1.0), Value::text("a")])),
        Just(Value::Map(vec![("a".into(), Value::Bool(true))])),
    ];
    let read = prop_oneof![Just("n"), Just("id"), Just("tags"), Just("place"), Just("nothing")]
        .prop_map(|name| Expr::Read(Root::EventProperties, vec![Name::from(name)].into()));
    let leaf = prop_oneof![
        literal.prop_map(Expr::Literal),
        read,
        Just(Expr::Read(Root::Local, vec![Name::from("x")].into())),
        Just(Expr::Has(Root::Profile, vec![Name::from("vip")].into())),
    ];
    let operators = [
        Binary::And,
        Binary::Or,
        Binary::Equal,
        Binary::NotEqual,
        Binary::Less,
        Binary::GreaterOrEqual,
        Binary::Add,
        Binary::Subtract,
        Binary::Multiply,
        Binary::Divide,
        Binary::Modulo,
        Binary::In,
    ];
    let functions = [
        "size",
        "startsWith",
        "contains",
        "lowerAscii",
        "timestamp",
        "duration",
        "int",
        "string",
        "bool",
        "getHours",
        "getFullYear",
        "nonsense",
    ];
    leaf.prop_recursive(5, 40, 3, move |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (proptest::sample::select(operators.to_vec()), pair.clone())
                .prop_map(|(operator, (a, b))| Expr::Binary(operator, Box::new(a), Box::new(b))),
            inner.clone().prop_map(|a| Expr::Unary(Unary::Not, Box::new(a))),
            inner.clone().prop_map(|a| Expr::Unary(Unary::Negate, Box::new(a))),
            (inner.clone(), pair.clone()).prop_map(|(c, (a, b))| Expr::Choose(
                Box::new(c),
                Box::new(a),
                Box::new(b)
            )),
            pair.clone().prop_map(|(a, b)| Expr::Index(Box::new(a), Box::new(b))),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Expr::List),
            (
                proptest::sample::select(functions.to_vec()),
                proptest::collection::vec(inner.clone(), 0..3)
            )
                .prop_map(|(function, arguments)| Expr::Call(function.into(), arguments)),
            (
                proptest::sample::select(
                    &[Macro::All, Macro::Exists, Macro::ExistsOne, Macro::Filter, Macro::Map][..]
                ),
                pair
            )
                .prop_map(|(kind, (over, body))| Expr::Comprehension {
                    kind,
                    variable: "x".into(),
                    over: Box::new(over),
                    body: Box::new(body),
                }),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics_and_answers_the_same_twice(expr in any_expr()) {
        let scope = scope();
        let (first, second) = (eval(&expr, &scope), eval(&expr, &scope));
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }

    /// `false && x`, `true || x` decide whatever `x` is; both operators commute; De Morgan holds.
    #[test]
    fn laws_of_and_and_or(a in any_expr(), b in any_expr()) {
        let scope = scope();
        let of = |operator, left: &Expr, right: &Expr| {
            eval(&Expr::Binary(operator, Box::new(left.clone()), Box::new(right.clone())), &scope)
        };
        let not = |inner: &Expr| Expr::Unary(Unary::Not, Box::new(inner.clone()));
        let literal = |yes| Expr::Literal(Value::Bool(yes));
        prop_assert_eq!(of(Binary::And, &literal(false), &a), Ok(Value::Bool(false)));
        prop_assert_eq!(of(Binary::And, &a, &literal(false)), Ok(Value::Bool(false)));
        prop_assert_eq!(of(Binary::Or, &literal(true), &a), Ok(Value::Bool(true)));
        prop_assert_eq!(of(Binary::Or, &a, &literal(true)), Ok(Value::Bool(true)));
        prop_assert_eq!(of(Binary::And, &a, &b), of(Binary::And, &b, &a));
        prop_assert_eq!(of(Binary::Or, &a, &b), of(Binary::Or, &b, &a));
        let both = Expr::Binary(Binary::And, Box::new(a.clone()), Box::new(b.clone()));
        prop_assert_eq!(eval(&not(&both), &scope), of(Binary::Or, &not(&a), &not(&b)));
        // Not of missing is missing.
        if !matches!(eval(&a, &scope), Ok(Value::Bool(_))) {
            prop_assert_eq!(eval(&not(&a), &scope), Err(Missing));
        }
    }
}
