//! CEL text to [`Expr`]: parsed by the `cel` crate, lowered and typed against the tracking plan here.
//!
//! **LIM-1:** length, nesting and number of operators are checked before the grammar sees the text.

mod calls;
mod catalog;
mod lower;
mod operators;
mod reads;

pub(crate) use catalog::{Catalog, Events, Known, PlanPlaces};

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
    let Counts { deepest, operators, signs } = count(text)?;
    if signs > SIGNS_MAX {
        return Err(("too many signs in a row".to_owned(), "write it more simply"));
    }
    let choices = text.matches('?').count();
    if deepest > limits::EXPRESSION_BRACKETS_MAX || choices > limits::EXPRESSION_CHOICES_MAX {
        return Err((
            format!(
                "the expression has more than {} brackets in each other or {} choices",
                limits::EXPRESSION_BRACKETS_MAX,
                limits::EXPRESSION_CHOICES_MAX
            ),
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

/// Signs (`!`, `-`) in a row: each nests.
const SIGNS_MAX: usize = 8;

/// What makes the grammar recurse.
#[derive(Default)]
struct Counts {
    deepest: usize,
    operators: usize,
    signs: usize,
}

/// Counts brackets and operators outside of texts and comments. Errs on the side of more: what
/// stands in a text with a backslash counts too, since a wrong escape makes the lexer go on in it.
fn count(text: &str) -> Result<Counts, (String, &'static str)> {
    let mut counts = Counts::default();
    let (mut open, mut run) = (0usize, 0usize);
    let mut rest = text;
    let mut before = ' ';
    while let Some(character) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if matches!(character, '\'' | '"') {
            let length = text_length(rest, matches!(before, 'r' | 'R')).ok_or_else(|| {
                ("a text is not closed".to_owned(), "close it with the quote that it began with")
            })?;
            let inner = &rest[..length];
            if inner.contains('\\') {
                open += inner.matches(['(', '[', '{']).count();
                counts.deepest = counts.deepest.max(open);
            }
            rest = &rest[length..];
            before = character;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        before = character;
        run = if matches!(character, '!' | '-') { run + 1 } else { 0 };
        counts.signs = counts.signs.max(run);
        match character {
            '(' | '[' | '{' => {
                open += 1;
                counts.deepest = counts.deepest.max(open);
                counts.operators += 1;
            }
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' | '.' | '+' | '-' | '*' | '/' | '%' | '!' | '<' | '>' | '=' | '&' | '|' | ','
            | ':' => {
                counts.operators += 1;
            }
            _ => {}
        }
    }
    Ok(counts)
}

/// Bytes of the text literal at the beginning of `text`, quotes included; `None`: it does not end.
fn text_length(text: &str, raw: bool) -> Option<usize> {
    let quote = &text[..1];
    let triple = text.len() >= 6 && text[1..].starts_with(quote) && text[2..].starts_with(quote);
    let width = if triple { 3 } else { 1 };
    let mut escaped = false;
    for (at, character) in text[width..].char_indices() {
        let here = &text[width + at..];
        if escaped {
            escaped = false;
        } else if character == '\\' && !raw {
            escaped = true;
        } else if here.starts_with(quote)
            && (!triple || here[1..].starts_with(quote) && here[2..].starts_with(quote))
        {
            return Some(width + at + width);
        } else if !triple && matches!(character, '\n' | '\r') {
            return None;
        }
    }
    None
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
        format!("`{key}` must give {should}, but gives {}", operators::describe(kind)),
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
