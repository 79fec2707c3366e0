//! The tree of CEL to ours, with types.

use super::operators::{as_instant, binary_of, describe, mismatch_remedy, result_of, symbol};
use super::{Position, Site};
use crate::expr::{Binary, Expr, Macro, Unary};
use crate::functions::Type;
use crate::limits;
use ::cel::common::ast::{
    self, CallExpr, ComprehensionExpr, EntryExpr, IdedExpr, LiteralValue, SourceInfo, operators,
};
use sojourn_model::{Name, Value};

/// An expression with what is known of its value.
pub(super) type Typed = (Expr, Type);

pub(super) struct Lower<'a> {
    pub(super) site: &'a Site<'a>,
    info: &'a SourceInfo,
    position: &'a Position<'a>,
    pub(super) locals: Vec<Name>,
    nodes: usize,
    depth: usize,
    /// Whether time alone can change the value.
    pub(super) windowed: bool,
}

impl<'a> Lower<'a> {
    pub(super) fn new(
        site: &'a Site<'a>,
        info: &'a SourceInfo,
        position: &'a Position<'a>,
    ) -> Self {
        Self { site, info, position, locals: Vec::new(), nodes: 0, depth: 0, windowed: false }
    }

    /// Reports a problem at `at`; always `None`, so that callers can return it.
    pub(super) fn refuse<T>(
        &self,
        rule: &'static str,
        at: &IdedExpr,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<T> {
        let offset = self.info.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        self.site.source.error(rule, self.position.at(offset), message, remedy);
        None
    }

    pub(super) fn warn(&self, rule: &'static str, at: &IdedExpr, message: String, remedy: String) {
        let offset = self.info.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        self.site.source.warning(rule, self.position.at(offset), message, remedy);
    }

    pub(super) fn unsupported<T>(&self, at: &IdedExpr, what: &str, remedy: &str) -> Option<T> {
        self.refuse("unsupported", at, format!("{what} cannot be used in conditions"), remedy)
    }

    pub(super) fn lower(&mut self, at: &IdedExpr) -> Option<Typed> {
        self.nodes += 1;
        if self.nodes > limits::EXPRESSION_NODES_MAX || self.depth >= limits::EXPRESSION_DEPTH_MAX {
            return self.refuse(
                "limit",
                at,
                "the expression is too large or too deep",
                "move parts of it into segments",
            );
        }
        self.depth += 1;
        let lowered = self.lower_kind(at);
        self.depth -= 1;
        lowered
    }

    fn lower_kind(&mut self, at: &IdedExpr) -> Option<Typed> {
        if let Some(path) = path_of(at) {
            return self.read(at, &path);
        }
        match &at.expr {
            ast::Expr::Literal(literal) => self.literal(at, literal),
            ast::Expr::List(list) => {
                if !list.optional_indices.is_empty() {
                    return self.unsupported(at, "an optional item (`?x`)", "write the item");
                }
                let items: Vec<Option<Typed>> =
                    list.elements.iter().map(|item| self.lower(item)).collect();
                let items: Vec<Expr> = items
                    .into_iter()
                    .collect::<Option<Vec<_>>>()?
                    .into_iter()
                    .map(|(item, _)| item)
                    .collect();
                Some((fold_list(items), Type::List))
            }
            ast::Expr::Map(_) => {
                let entries = self.map_entries(at)?;
                let mut lowered = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    lowered.push((key, self.lower(value)?.0));
                }
                Some((Expr::MapLiteral(lowered), Type::Map))
            }
            ast::Expr::Select(select) if select.test => self.has(at, select),
            ast::Expr::Select(select) => {
                let (of, kind) = self.lower(&select.operand)?;
                if !matches!(kind, Type::Any | Type::Map) {
                    return self.refuse(
                        "type-mismatch",
                        at,
                        format!("{} has no member `{}`", describe(kind), select.field),
                        "remove the member",
                    );
                }
                let key = Expr::Literal(Value::text(&select.field));
                Some((Expr::Index(Box::new(of), Box::new(key)), Type::Any))
            }
            ast::Expr::Call(call) => self.call(at, call),
            ast::Expr::Comprehension(comprehension) => self.comprehension(at, comprehension),
            ast::Expr::Struct(_) => {
                self.unsupported(at, "a message literal (`Name{…}`)", "use a map: {'key': value}")
            }
            ast::Expr::Ident(_) | ast::Expr::Unspecified => {
                self.unsupported(at, "this", "write a condition")
            }
        }
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        #[expect(clippy::cast_precision_loss, reason = "one kind of number, exact to 2^53")]
        let (value, kind) = match literal {
            LiteralValue::Boolean(yes) => (Value::Bool(*yes.inner()), Type::Bool),
            LiteralValue::Double(number) => (Value::Number(*number.inner()), Type::Number),
            LiteralValue::Int(number) => (Value::Number(*number.inner() as f64), Type::Number),
            LiteralValue::UInt(number) => (Value::Number(*number.inner() as f64), Type::Number),
            LiteralValue::Null => (Value::Null, Type::Null),
            LiteralValue::String(text) => (Value::text(text.inner()), Type::Text),
            LiteralValue::Bytes(_) => {
                return self.unsupported(at, "a byte string (`b'…'`)", "use a text: '…'");
            }
        };
        Some((Expr::Literal(value), kind))
    }

    /// The entries of a map literal whose keys are text literals.
    pub(super) fn map_entries<'e>(&self, at: &'e IdedExpr) -> Option<Vec<(Name, &'e IdedExpr)>> {
        let ast::Expr::Map(map) = &at.expr else { return None };
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return self.unsupported(at, "a message field", "use 'key': value");
            };
            if entry.optional {
                return self.unsupported(at, "an optional entry (`?key`)", "write the entry");
            }
            let Some(key) = text_literal(&entry.key) else {
                return self.refuse(
                    "type-mismatch",
                    &entry.key,
                    "a key of a map must be a text in quotes",
                    "write {'key': value}",
                );
            };
            entries.push((Name::from(key), &entry.value));
        }
        Some(entries)
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        if call.target.is_none() {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::LOGICAL_NOT, [inner]) => {
                    let inner = self.truth(inner)?;
                    return Some((Expr::Unary(Unary::Not, Box::new(inner)), Type::Bool));
                }
                (operators::NEGATE, [inner]) => return self.negate(inner),
                (operators::CONDITIONAL, [condition, yes, no]) => {
                    let (condition, yes, no) =
                        (self.truth(condition), self.lower(yes), self.lower(no));
                    let ((yes, kind), (no, other)) = (yes?, no?);
                    let kind = if kind == other { kind } else { Type::Any };
                    let choose = Expr::Choose(Box::new(condition?), Box::new(yes), Box::new(no));
                    return Some((choose, kind));
                }
                (operators::INDEX, [of, index]) => return self.index(of, index),
                (operators::OPT_INDEX | operators::OPT_SELECT, _) => {
                    return self.unsupported(at, "optional syntax (`?`)", "use has(…) ? … : …");
                }
                (operator, [left, right]) => {
                    if let Some(operator) = binary_of(operator) {
                        return self.binary(at, operator, left, right);
                    }
                }
                _ => {}
            }
        }
        self.function(at, call)
    }

    fn negate(&mut self, inner: &IdedExpr) -> Option<Typed> {
        let (lowered, kind) = self.lower(inner)?;
        match (lowered, kind) {
            (Expr::Literal(Value::Number(number)), kind) => {
                Some((Expr::Literal(Value::Number(-number)), kind))
            }
            (lowered, Type::Number | Type::Duration | Type::Any) => {
                Some((Expr::Unary(Unary::Negate, Box::new(lowered)), kind))
            }
            _ => self.refuse(
                "type-mismatch",
                inner,
                format!("`-` needs a number, but this is {}", describe(kind)),
                "remove the sign",
            ),
        }
    }

    fn index(&mut self, of: &IdedExpr, index: &IdedExpr) -> Option<Typed> {
        let (lowered, position) = (self.lower(of), self.lower(index));
        let ((lowered, kind), (position, by)) = (lowered?, position?);
        let fits = matches!(
            (kind, by),
            (Type::Any, _)
                | (Type::List, Type::Number | Type::Any)
                | (Type::Map, Type::Text | Type::Any)
        );
        if !fits {
            return self.refuse(
                "type-mismatch",
                index,
                format!("{} has no item at {}", describe(kind), describe(by)),
                "lists take a number from 0, maps a text",
            );
        }
        Some((Expr::Index(Box::new(lowered), Box::new(position)), Type::Any))
    }

    /// An operand that must be true or false.
    fn truth(&mut self, at: &IdedExpr) -> Option<Expr> {
        let (lowered, kind) = self.lower(at)?;
        if matches!(kind, Type::Bool | Type::Any) {
            return Some(lowered);
        }
        self.refuse(
            "type-mismatch",
            at,
            format!("a condition is needed here, but this is {}", describe(kind)),
            "compare it with something",
        )
    }

    fn binary(
        &mut self,
        at: &IdedExpr,
        operator: Binary,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Option<Typed> {
        if matches!(operator, Binary::And | Binary::Or) {
            let (left, right) = (self.truth(left), self.truth(right));
            let both = Expr::Binary(operator, Box::new(left?), Box::new(right?));
            return Some((both, Type::Bool));
        }
        let (left, right) = (self.lower(left), self.lower(right));
        let ((left, left_kind), (right, right_kind)) = (left?, right?);
        let Some((kind, instants)) = result_of(operator, left_kind, right_kind) else {
            return self.refuse(
                "type-mismatch",
                at,
                format!(
                    "`{}` between {} and {} never holds",
                    symbol(operator),
                    describe(left_kind),
                    describe(right_kind)
                ),
                mismatch_remedy(left_kind, right_kind),
            );
        };
        let (left, right) = if instants {
            (as_instant(left, left_kind), as_instant(right, right_kind))
        } else {
            (left, right)
        };
        Some((Expr::Binary(operator, Box::new(left), Box::new(right)), kind))
    }

    fn comprehension(&mut self, at: &IdedExpr, of: &ComprehensionExpr) -> Option<Typed> {
        let unsupported = |this: &Self| {
            this.unsupported(at, "this macro", "use all, exists, exists_one, map or filter")
        };
        if of.iter_var2.is_some() {
            return unsupported(self);
        }
        let ast::Expr::Call(step) = &of.loop_step.expr else { return unsupported(self) };
        // What the macro's expansion looks like tells which macro it was.
        let (kind, filter, body) = match (step.func_name.as_str(), step.args.as_slice()) {
            (operators::LOGICAL_OR, [_, body]) => (Macro::Exists, None, Some(body)),
            (operators::LOGICAL_AND, [_, body]) => (Macro::All, None, Some(body)),
            (operators::CONDITIONAL, [body, add, _]) => match added(add) {
                None => (Macro::ExistsOne, None, Some(body)),
                Some(item) if is_variable(item, &of.iter_var) => (Macro::Filter, None, Some(body)),
                Some(item) => (Macro::Map, Some(body), Some(item)),
            },
            (operators::ADD, _) => (Macro::Map, None, added(&of.loop_step)),
            _ => (Macro::Map, None, None),
        };
        let Some(body) = body else { return unsupported(self) };
        let (mut over, over_kind) = self.lower(&of.iter_range)?;
        if !matches!(over_kind, Type::List | Type::Map | Type::Any) {
            return self.refuse(
                "type-mismatch",
                &of.iter_range,
                format!("a list is needed here, but this is {}", describe(over_kind)),
                "name a list",
            );
        }
        let variable = Name::from(of.iter_var.as_str());
        self.locals.push(variable.clone());
        let filter = filter.map(|filter| self.truth(filter));
        let body = if kind == Macro::Map {
            self.lower(body).map(|(body, _)| body)
        } else {
            self.truth(body)
        };
        self.locals.pop();
        if let Some(filter) = filter {
            over = Expr::Comprehension {
                kind: Macro::Filter,
                variable: variable.clone(),
                over: Box::new(over),
                body: Box::new(filter?),
            };
        }
        let result =
            if matches!(kind, Macro::Map | Macro::Filter) { Type::List } else { Type::Bool };
        let (over, body) = (Box::new(over), Box::new(body?));
        Some((Expr::Comprehension { kind, variable, over, body }, result))
    }
}

/// The `x` of `@result + [x]`.
fn added(at: &IdedExpr) -> Option<&IdedExpr> {
    let ast::Expr::Call(call) = &at.expr else { return None };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::ADD, [_, list]) => match &list.expr {
            ast::Expr::List(list) => list.elements.first(),
            _ => None,
        },
        _ => None,
    }
}

fn is_variable(at: &IdedExpr, variable: &str) -> bool {
    matches!(&at.expr, ast::Expr::Ident(name) if name == variable)
}

pub(super) fn text_literal(at: &IdedExpr) -> Option<&str> {
    match &at.expr {
        ast::Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// `a.b['c']` as `["a", "b", "c"]`.
pub(super) fn path_of(mut at: &IdedExpr) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    loop {
        match &at.expr {
            ast::Expr::Ident(name) => {
                path.push(name.as_str());
                path.reverse();
                return Some(path);
            }
            ast::Expr::Select(select) if !select.test => {
                path.push(select.field.as_str());
                at = &select.operand;
            }
            ast::Expr::Call(call)
                if call.target.is_none() && call.func_name == operators::INDEX =>
            {
                let [of, index] = call.args.as_slice() else { return None };
                path.push(text_literal(index)?);
                at = of;
            }
            _ => return None,
        }
    }
}

fn fold_list(items: Vec<Expr>) -> Expr {
    if items.iter().all(|item| matches!(item, Expr::Literal(_))) {
        let values = items.into_iter().filter_map(|item| match item {
            Expr::Literal(value) => Some(value),
            _ => None,
        });
        return Expr::Literal(Value::List(values.collect()));
    }
    Expr::List(items)
}
