//! Conditions and expressions: CEL text lowered at publish to this tree, evaluated without a map.
//!
//! A missing field is an error in the sense of CEL ([`Missing`]): `||` and `&&` absorb it where the
//! other side decides; otherwise the whole condition is false (semantics 7).

use crate::definitions::Path;
use sojourn_model::{DurationMs, Name, Timestamp, Value};
use std::sync::Arc;

/// A field that was read and is not there, or a type error that only the data could show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing;

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    /// `event.properties`
    EventProperties,
    /// `event.context`
    EventContext,
    /// `event.traits`
    EventTraits,
    /// `event.name`, `.timestamp`, `.channel`, `.source` (one segment).
    Event,
    /// `profile`
    Profile,
    /// `run`
    Run,
    /// A variable of an enclosing macro (first segment).
    Local,
}

/// Unary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "CEL's operators")]
pub enum Unary {
    Not,
    Negate,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "CEL's operators")]
pub enum Binary {
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    In,
}

/// Which history function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the language")]
pub enum HistoryFunction {
    Count,
    Sum,
    Distinct,
    First,
    Last,
}

/// `count`, `sum`, `distinct`, `first`, `last` over the person's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryCall {
    /// Which.
    pub function: HistoryFunction,
    /// Event name.
    pub event: Name,
    /// Property looked at, for all but `count`: path below `event.properties`.
    pub property: Option<Path>,
    /// `(now − window, now]`; `None`: since ever.
    pub window: Option<DurationMs>,
    /// Properties that must have these values.
    pub filter: Vec<(Path, Expr)>,
}

/// Macros over lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "CEL's macros")]
pub enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A lowered expression.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the shape says it")]
pub enum Expr {
    Literal(Value),
    List(Vec<Expr>),
    MapLiteral(Vec<(Name, Expr)>),
    /// `root.a.b`
    Read(Root, Path),
    /// `e[i]`, or a member of a computed value.
    Index(Box<Expr>, Box<Expr>),
    /// `has(root.a.b)`
    Has(Root, Path),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `condition ? a : b`
    Choose(Box<Expr>, Box<Expr>, Box<Expr>),
    History(Box<HistoryCall>),
    InSegment(Name),
    /// `size`, `startsWith`, `endsWith`, `contains`, `matches`, `lowerAscii`, `timestamp`,
    /// `duration`, `int`, `double`, `string`, …; the receiver, if any, comes first.
    Call(Name, Vec<Expr>),
    /// `e.matches('…')`: the pattern is a literal and is compiled at publish.
    Matches(Box<Expr>, Pattern),
    Comprehension {
        kind: Macro,
        variable: Name,
        over: Box<Expr>,
        body: Box<Expr>,
    },
}

/// A regular expression, compiled once. Two are equal when their texts are.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written.
    pub text: Name,
    /// Compiled: linear time in the text, bounded in size ([`crate::limits::PATTERN_BYTES_MAX`]).
    pub regex: Arc<regex::Regex>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles `text`; the error names what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let regex = regex::RegexBuilder::new(text)
            .size_limit(crate::limits::PATTERN_BYTES_MAX)
            .dfa_size_limit(crate::limits::PATTERN_BYTES_MAX)
            .nest_limit(crate::limits::PATTERN_DEPTH_MAX)
            .build()
            .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())?;
        Ok(Self { text: text.into(), regex: Arc::new(regex) })
    }
}

/// What an expression can see. The engine implements it over event, profile and run.
pub trait Scope {
    /// The value at `path` below `root`, or `Missing`. A `null` in JSON is `Value::Null`. An empty
    /// path means all that is below the root. [`Root::Local`] is never asked for.
    fn read(&self, root: Root, path: &Path) -> Result<Value, Missing>;
    /// A history function; `filter` holds the evaluated right sides of `call.filter`, in order.
    fn history(&self, call: &HistoryCall, filter: &[Value]) -> Result<Value, Missing>;
    /// Membership in a segment.
    fn in_segment(&self, segment: &str) -> Result<bool, Missing>;
    /// `now`: log time.
    fn now(&self) -> Timestamp;
}
