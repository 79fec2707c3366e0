//! The step `call`: what is asked of a service over HTTP.

use super::Condition;
use sojourn_model::{DurationMs, Name};

/// A request, and what becomes of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Address: its scheme and host are literal.
    pub url: Vec<Piece>,
    /// Scheme, host and port, such as `https://stock.example`: what breakers and rates count by.
    pub host: Name,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: Name,
    /// Headers beside those that every call has.
    pub headers: Vec<(Name, Vec<Piece>)>,
    /// JSON body.
    pub body: Option<Body>,
    /// How long the run waits for the answer, all attempts together.
    pub timeout: DurationMs,
    /// Name of the answer in `run.call`; `None`: nobody reads it.
    pub name: Option<Name>,
    /// Whether a call that failed ends the run.
    pub exit: bool,
}

/// Part of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// As written.
    Literal(Name),
    /// An expression in `{{ }}`.
    Value(Condition),
}

/// A JSON body: expressions, in maps and lists.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// An expression.
    Value(Condition),
    /// An object.
    Map(Vec<(Name, Self)>),
    /// A list.
    List(Vec<Self>),
}

impl Call {
    /// Calls `visit` on every expression.
    pub fn conditions(&self, visit: &mut dyn FnMut(&Condition)) {
        let texts = std::iter::once(&self.url).chain(self.headers.iter().map(|(_, text)| text));
        for piece in texts.flatten() {
            if let Piece::Value(value) = piece {
                visit(value);
            }
        }
        if let Some(body) = &self.body {
            body.conditions(visit);
        }
    }
}

impl Body {
    fn conditions(&self, visit: &mut dyn FnMut(&Condition)) {
        match self {
            Self::Value(value) => visit(value),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.conditions(visit)),
            Self::List(items) => items.iter().for_each(|value| value.conditions(visit)),
        }
    }
}
