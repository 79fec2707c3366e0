//! Evaluation of a lowered expression over a [`Scope`] (semantics 7).
//!
//! Missing propagates; `&&` and `||` absorb it where the other side decides. `==` of unlike kinds is
//! false, an order between unlike kinds is missing. A duration is its number of milliseconds.
//! Ordinary comparisons allocate nothing: values are borrowed from the tree where they stand in it.
//!
//! **LIM-1:** visits at most [`limits::EVAL_STEPS_MAX`] nodes and makes no list or text longer than
//! [`limits::EVAL_LENGTH_MAX`]; beyond it the value is missing.

use crate::definitions::{Condition, Path};
use crate::expr::{Binary, Expr, HistoryCall, Macro, Missing, Root, Scope, Unary};
use crate::{functions, limits};
use sojourn_model::{DurationMs, Timestamp, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

/// Evaluates `expr`. Bounded: the tree has a limited size and lists a limited length.
pub fn eval(expr: &Expr, scope: &dyn Scope) -> Result<Value, Missing> {
    let steps = Cell::new(limits::EVAL_STEPS_MAX);
    Env { scope, local: None, steps: &steps }.eval(expr).map(Cow::into_owned)
}

/// Whether `condition` holds: missing, or anything but `true`, is no.
pub fn holds(condition: &Condition, scope: &dyn Scope) -> bool {
    let steps = Cell::new(limits::EVAL_STEPS_MAX);
    Env { scope, local: None, steps: &steps }.truth(&condition.expr) == Ok(true)
}

/// A variable of an enclosing macro; the innermost first.
struct Local<'a> {
    name: &'a str,
    value: &'a Value,
    outer: Option<&'a Local<'a>>,
}

struct Env<'a> {
    scope: &'a dyn Scope,
    local: Option<&'a Local<'a>>,
    steps: &'a Cell<u32>,
}

type Answer<'a> = Result<Cow<'a, Value>, Missing>;

impl<'a> Env<'a> {
    fn eval(&self, expr: &'a Expr) -> Answer<'a> {
        let left = self.steps.get().checked_sub(1).ok_or(Missing)?;
        self.steps.set(left);
        match expr {
            Expr::Literal(value) => Ok(Cow::Borrowed(value)),
            Expr::Read(Root::Local, path) => self.local(path),
            Expr::Read(root, path) => self.scope.read(*root, path).map(Cow::Owned),
            Expr::Has(Root::Local, path) => bool(self.local(path).is_ok()),
            Expr::Has(root, path) => bool(self.scope.read(*root, path).is_ok()),
            Expr::Unary(Unary::Not, inner) => bool(!self.truth(inner)?),
            Expr::Unary(Unary::Negate, inner) => match &*self.eval(inner)? {
                Value::Number(number) => Ok(Cow::Owned(Value::Number(-number))),
                _ => Err(Missing),
            },
            Expr::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expr::Choose(condition, yes, no) => {
                if self.truth(condition)? {
                    self.eval(yes)
                } else {
                    self.eval(no)
                }
            }
            Expr::History(call) => self.history(call),
            Expr::InSegment(name) => bool(self.scope.in_segment(name)?),
            Expr::Index(of, index) => member(self.eval(of)?, &*self.eval(index)?),
            Expr::List(items) => {
                let items: Result<Vec<Value>, Missing> =
                    items.iter().map(|item| self.eval(item).map(Cow::into_owned)).collect();
                Ok(Cow::Owned(Value::List(items?)))
            }
            Expr::MapLiteral(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for (name, value) in entries {
                    map.push((name.clone(), self.eval(value)?.into_owned()));
                }
                Ok(Cow::Owned(Value::Map(map)))
            }
            Expr::Call(function, arguments) => match arguments.as_slice() {
                // No function takes more than two: no list is made.
                [one] => functions::call(function, &[self.eval(one)?]).map(Cow::Owned),
                [one, two] => {
                    functions::call(function, &[self.eval(one)?, self.eval(two)?]).map(Cow::Owned)
                }
                _ => Err(Missing),
            },
            Expr::Matches(text, pattern) => {
                bool(pattern.regex.is_match(self.eval(text)?.as_text().ok_or(Missing)?))
            }
            Expr::Comprehension { kind, variable, over, body } => {
                self.comprehension(*kind, variable, over, body)
            }
        }
    }

    /// The value as a condition; anything but a boolean is missing.
    fn truth(&self, expr: &'a Expr) -> Result<bool, Missing> {
        match &*self.eval(expr)? {
            Value::Bool(yes) => Ok(*yes),
            _ => Err(Missing),
        }
    }

    fn binary(&self, operator: Binary, left: &'a Expr, right: &'a Expr) -> Answer<'a> {
        match operator {
            // A side that decides absorbs whatever the other lacks.
            Binary::And | Binary::Or => {
                let decides = operator == Binary::Or;
                let first = self.truth(left);
                if first == Ok(decides) {
                    return bool(decides);
                }
                match (first, self.truth(right)) {
                    (_, Ok(second)) if second == decides => bool(decides),
                    (Ok(_), Ok(_)) => bool(!decides),
                    _ => Err(Missing),
                }
            }
            Binary::In => self.is_in(left, right),
            _ => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                match operator {
                    Binary::Equal => bool(equal(&left, &right)),
                    Binary::NotEqual => bool(!equal(&left, &right)),
                    Binary::Less => bool(order(&left, &right)?.is_lt()),
                    Binary::LessOrEqual => bool(order(&left, &right)?.is_le()),
                    Binary::Greater => bool(order(&left, &right)?.is_gt()),
                    Binary::GreaterOrEqual => bool(order(&left, &right)?.is_ge()),
                    _ => arithmetic(operator, &left, &right).map(Cow::Owned),
                }
            }
        }
    }

    /// `in` a list (also one written out, which is not built) or among the keys of a map.
    fn is_in(&self, item: &'a Expr, list: &'a Expr) -> Answer<'a> {
        let item = self.eval(item)?;
        if let Expr::List(items) = list {
            let mut found = false;
            for other in items {
                found |= equal(&item, &*self.eval(other)?);
            }
            return bool(found);
        }
        match &*self.eval(list)? {
            Value::List(items) => bool(items.iter().any(|other| equal(&item, other))),
            map @ Value::Map(_) => bool(item.as_text().is_some_and(|key| map.get(key).is_some())),
            _ => Err(Missing),
        }
    }

    fn local(&self, path: &'a Path) -> Answer<'a> {
        let (variable, members) = path.split_first().ok_or(Missing)?;
        let mut local = self.local;
        while let Some(candidate) = local {
            if candidate.name == &**variable {
                let mut value = candidate.value;
                for name in members {
                    value = value.get(name).ok_or(Missing)?;
                }
                return Ok(Cow::Owned(value.clone()));
            }
            local = candidate.outer;
        }
        Err(Missing)
    }

    fn history(&self, call: &'a HistoryCall) -> Answer<'a> {
        if call.filter.is_empty() {
            return self.scope.history(call, &[]).map(Cow::Owned);
        }
        let mut filter = Vec::with_capacity(call.filter.len());
        for (_, right) in &call.filter {
            filter.push(self.eval(right)?.into_owned());
        }
        self.scope.history(call, &filter).map(Cow::Owned)
    }

    fn comprehension(
        &self,
        kind: Macro,
        variable: &'a str,
        over: &'a Expr,
        body: &'a Expr,
    ) -> Answer<'a> {
        let over = self.eval(over)?.into_owned();
        let items: Vec<Value> = match over {
            Value::List(items) => items,
            Value::Map(entries) => entries.into_iter().map(|(key, _)| Value::Text(key)).collect(),
            _ => return Err(Missing),
        };
        let each = |item: &Value| -> Result<Value, Missing> {
            let left = self.steps.get().checked_sub(1).ok_or(Missing)?;
            self.steps.set(left);
            let local = Local { name: variable, value: item, outer: self.local };
            let inner = Env { scope: self.scope, local: Some(&local), steps: self.steps };
            inner.eval(body).map(Cow::into_owned)
        };
        let truth = |item: &Value| match each(item) {
            Ok(Value::Bool(yes)) => Ok(yes),
            _ => Err(Missing),
        };
        match kind {
            Macro::All | Macro::Exists => {
                let decides = kind == Macro::Exists;
                let mut answer = Ok(!decides);
                for item in &items {
                    match truth(item) {
                        Ok(yes) if yes == decides => return bool(decides),
                        Ok(_) => {}
                        Err(Missing) => answer = Err(Missing),
                    }
                }
                bool(answer?)
            }
            Macro::ExistsOne => {
                let mut count = 0;
                for item in &items {
                    count += u32::from(truth(item)?);
                }
                bool(count == 1)
            }
            Macro::Filter => {
                let mut kept = Vec::new();
                for item in items {
                    if truth(&item)? {
                        kept.push(item);
                    }
                }
                Ok(Cow::Owned(Value::List(kept)))
            }
            Macro::Map => {
                let mapped: Result<Vec<Value>, Missing> = items.iter().map(each).collect();
                Ok(Cow::Owned(Value::List(mapped?)))
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every arm of the evaluation answers alike")]
fn bool<'a>(value: bool) -> Answer<'a> {
    Ok(Cow::Owned(Value::Bool(value)))
}

/// Equality: of unlike kinds false; of maps without regard to order.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| equal(a, b))
        }
        (Value::Map(entries), Value::Map(others)) => {
            entries.len() == others.len()
                && entries
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Result<Ordering, Missing> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right).ok_or(Missing),
        (Value::Text(left), Value::Text(right)) => Ok(left.cmp(right)),
        (Value::Instant(left), Value::Instant(right)) => Ok(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
        _ => Err(Missing),
    }
}

fn arithmetic(operator: Binary, left: &Value, right: &Value) -> Result<Value, Missing> {
    use Binary::{Add, Divide, Modulo, Multiply, Subtract};
    match (operator, left, right) {
        (_, Value::Number(left), Value::Number(right)) => {
            let result = match operator {
                Add => left + right,
                Subtract => left - right,
                Multiply => left * right,
                Divide => left / right,
                Modulo => left % right,
                _ => return Err(Missing),
            };
            // Division by zero and overflow have no value.
            if result.is_finite() { Ok(Value::Number(result)) } else { Err(Missing) }
        }
        (Add, Value::Text(left), Value::Text(right)) => {
            within(left.len() + right.len())?;
            Ok(Value::Text(format!("{left}{right}").into()))
        }
        (Add, Value::List(left), Value::List(right)) => {
            within(left.len() + right.len())?;
            Ok(Value::List(left.iter().chain(right).cloned().collect()))
        }
        (Add, Value::Instant(at), Value::Number(ms))
        | (Add, Value::Number(ms), Value::Instant(at)) => {
            Ok(Value::Instant(at.plus(milliseconds(*ms))))
        }
        (Subtract, Value::Instant(at), Value::Number(ms)) => {
            Ok(Value::Instant(at.minus(milliseconds(*ms))))
        }
        (Subtract, Value::Instant(left), Value::Instant(right)) => Ok(elapsed(*left, *right)),
        _ => Err(Missing),
    }
}

fn within(length: usize) -> Result<(), Missing> {
    if length <= limits::EVAL_LENGTH_MAX { Ok(()) } else { Err(Missing) }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
fn milliseconds(ms: f64) -> DurationMs {
    DurationMs(ms as i64)
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
fn elapsed(left: Timestamp, right: Timestamp) -> Value {
    Value::Number(left.since(right).0 as f64)
}

/// `e[i]`: an item of a list, a member of a map.
fn member<'a>(of: Cow<'a, Value>, index: &Value) -> Answer<'a> {
    match (of, index) {
        (Cow::Borrowed(Value::List(items)), Value::Number(number)) => {
            Ok(Cow::Borrowed(items.get(place(*number)?).ok_or(Missing)?))
        }
        (Cow::Owned(Value::List(mut items)), Value::Number(number)) => {
            let place = place(*number)?;
            if place < items.len() {
                Ok(Cow::Owned(items.swap_remove(place)))
            } else {
                Err(Missing)
            }
        }
        (of, Value::Text(key)) => Ok(Cow::Owned(of.get(key).ok_or(Missing)?.clone())),
        _ => Err(Missing),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn place(number: f64) -> Result<usize, Missing> {
    if number >= 0.0 && number.fract() == 0.0 && number < 1e9 {
        Ok(number as usize)
    } else {
        Err(Missing)
    }
}
