//! The files a marketer writes: parsed with places, linted, type-checked and compiled.
//!
//! **Invariant:** no engine state, no clock, no I/O but what [`Files`] was given.

mod definitions;
mod expr;
mod files;
mod finding;

pub use definitions::*;
pub use expr::{
    Binary, Expr, HistoryCall, HistoryFunction, Macro, Missing, Root, Scope, Unary, eval,
};
pub use files::Files;
pub use finding::{Finding, Severity};
