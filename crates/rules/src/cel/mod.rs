//! CEL text to [`Expr`]: parsed by the `cel` crate, lowered and typed against the tracking plan here.
//!
//! **LIM-1:** length, nesting and number of operators are checked before the grammar sees the text.

mod calls;
mod catalog;
mod lower;

pub(crate) use catalog::{Catalog, Events, PlanPlaces};

use crate::definitions::Condition;
use crate::expr::Expr;
use crate::finding::Source;
use crate::functions::Type;
use crate::limits;
use crate::reader::wrong;
use crate::yaml::{Kind, Node, Place, Style};

/// Where an expression stands, which decides what it can see.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) catalog: &'a Catalog,
    /// What `event` is.
    pub(crate) events: Events<'a>,
    /// Whether there is a run.
    pub(crate) run: bool,
}

/// What an expression must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// True or false.
    Condition,
    /// Text or a number: the key of a run, of a throttle.
    Key,
    /// A number.
    Number,
    /// A date or an instant.
    Date,
    /// Anything.
    Value,
}

/// Compiles the expression in `node`, the value of `key`. Every problem becomes a finding.
pub(crate) fn compile(
    site: &Site<'_>,
    node: &Node,
    key: &str,
    expect: Expect,
) -> Option<Condition> {
    let Kind::Scalar(text, style) = &node.kind else {
        wrong(&site.source, node, &format!("`{key}` must be an expression"));
        return None;
    };
    if let Err((message, remedy)) = check_size(text) {
        site.source.error("limit", node.place, format!("`{key}`: {message}"), remedy);
        return None;
    }
    let position = Position { place: node.place, style: *style, text };
    let parser = ::cel::parser::Parser::new().error_recovery_limit(8);
    let (parsed, info) = match parser.parse_with_source_info(text) {
        Ok(parsed) => parsed,
        Err(errors) => {
            report_syntax(site, &position, key, &errors);
            return None;
        }
    };
    let mut lower = lower::Lower::new(site, &info, &position);
    let (expr, kind) = lower.lower(&parsed)?;
    let windowed = lower.windowed;
    check_result(site, node.place, key, expect, kind)?;
    Some(Condition { text: text.trim().into(), expr, windowed })
}

/// A place inside the scalar that holds an expression.
pub(crate) struct Position<'a> {
    place: Place,
    style: Style,
    text: &'a str,
}

impl Position<'_> {
    /// The place of the character at `offset` (in characters) of the expression.
    pub(crate) fn at(&self, offset: usize) -> Place {
        let before: String = self.text.chars().take(offset).collect();
        let quote = match self.style {
            Style::Plain => 0,
            Style::Quoted => 1,
            // Indentation and folding are gone from the text: name the scalar.
            Style::Block => return self.place,
        };
        let columns = u32::try_from(before.chars().count()).unwrap_or(0);
        Place { line: self.place.line, column: self.place.column + quote + columns }
    }
}

/// Refuses what would make the grammar recurse or backtrack without bound.
fn check_size(text: &str) -> Result<(), (String, &'static str)> {
    if text.trim().is_empty() {
        return Err(("the expression is empty".to_owned(), "write a condition, or remove the key"));
    }
    if text.len() > limits::EXPRESSION_BYTES_MAX {
        return Err((
            format!("the expression is longer than {} bytes", limits::EXPRESSION_BYTES_MAX),
            "move parts of it into segments",
        ));
    }
    let (mut open, mut deepest, mut operators, mut run) = (0usize, 0usize, 0usize, 0usize);
    let mut quote = None;
    let mut escaped = false;
    for character in text.chars() {
        if let Some(end) = quote {
            if !escaped && character == end {
                quote = None;
            }
            escaped = character == '\\' && !escaped;
            continue;
        }
        run = if matches!(character, '!' | '-') { run + 1 } else { 0 };
        match character {
            '\'' | '"' => quote = Some(character),
            '(' | '[' | '{' => {
                open += 1;
                deepest = deepest.max(open);
                operators += 1;
            }
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => {
                // A chain of choices nests to the right.
                operators += 1;
                deepest = deepest.max(open + 1);
            }
            '.' | '+' | '-' | '*' | '/' | '%' | '!' | '<' | '>' | '=' | '&' | '|' | ',' | ':' => {
                operators += 1;
            }
            _ => {}
        }
        if run > 8 {
            return Err(("too many signs in a row".to_owned(), "write it more simply"));
        }
    }
    let choices = text.matches('?').count();
    if deepest > limits::EXPRESSION_BRACKETS_MAX || choices > limits::EXPRESSION_BRACKETS_MAX {
        return Err((
            format!("the expression is nested deeper than {}", limits::EXPRESSION_BRACKETS_MAX),
            "move parts of it into segments",
        ));
    }
    if operators > limits::EXPRESSION_NODES_MAX {
        return Err((
            format!("the expression has more than {} parts", limits::EXPRESSION_NODES_MAX),
            "move parts of it into segments",
        ));
    }
    Ok(())
}

fn report_syntax(site: &Site<'_>, position: &Position<'_>, key: &str, errors: &::cel::ParseErrors) {
    const REPORTED_MAX: usize = 3;
    for error in errors.errors.iter().take(REPORTED_MAX) {
        let (line, column) = error.pos;
        let offset = if line <= 1 { usize::try_from(column - 1).unwrap_or(0) } else { 0 };
        let message = error.msg.lines().next().unwrap_or_default();
        site.source.error(
            "expression-syntax",
            position.at(offset),
            format!("`{key}` is not an expression: {message}"),
            "conditions are CEL, such as event.properties.value >= 15 && profile.tier == 'gold'",
        );
    }
}

fn check_result(
    site: &Site<'_>,
    place: Place,
    key: &str,
    expect: Expect,
    kind: Type,
) -> Option<()> {
    let (fits, should) = match expect {
        Expect::Condition => (matches!(kind, Type::Bool), "true or false"),
        Expect::Key => (
            matches!(
                kind,
                Type::Text
                    | Type::Date
                    | Type::TimestampText
                    | Type::Number
                    | Type::Bool
                    | Type::Instant
            ),
            "a text or a number",
        ),
        Expect::Number => (matches!(kind, Type::Number | Type::Duration), "a number"),
        Expect::Date => (
            matches!(kind, Type::Date | Type::TimestampText | Type::Text | Type::Instant),
            "a date",
        ),
        Expect::Value => (true, ""),
    };
    if fits || kind == Type::Any {
        return Some(());
    }
    site.source.error(
        "type-mismatch",
        place,
        format!("`{key}` must give {should}, but gives {}", lower::describe(kind)),
        match expect {
            Expect::Condition => "compare it with something, such as `… == 'gold'` or `… >= 1`",
            _ => "choose another expression",
        },
    );
    None
}

impl Expr {
    /// Calls `visit` on this expression and all below it, parents first.
    pub fn walk(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Self::Literal(_) | Self::Read(..) | Self::Has(..) | Self::InSegment(_) => {}
            Self::List(items) | Self::Call(_, items) => {
                for item in items {
                    item.walk(visit);
                }
            }
            Self::MapLiteral(entries) => {
                for (_, value) in entries {
                    value.walk(visit);
                }
            }
            Self::Unary(_, inner) | Self::Matches(inner, _) => inner.walk(visit),
            Self::Index(left, right) | Self::Binary(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Self::Choose(condition, yes, no) => {
                condition.walk(visit);
                yes.walk(visit);
                no.walk(visit);
            }
            Self::History(call) => {
                for (_, value) in &call.filter {
                    value.walk(visit);
                }
            }
            Self::Comprehension { over, body, .. } => {
                over.walk(visit);
                body.walk(visit);
            }
        }
    }
}
