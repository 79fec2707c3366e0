//! The files a marketer writes: parsed with places, linted, type-checked and compiled.
//!
//! [`compile`] takes the text of a workspace ([`Files`]) and gives [`Definitions`] or findings, all of
//! them at once: `yaml` (a tree with places) → `reader` (typed, collects) → `load` (one module per
//! file) → `cel` (conditions, lowered and typed against the tracking plan) → `lint`. [`eval`] runs a
//! condition; [`resolve`] fills in `${NAME}`; [`normalize`] makes identifiers comparable. The rules of
//! the lint stand in `LINTS.md`, its limits in [`limits`].
//!
//! **Invariant:** no engine state, no clock, no I/O but what [`Files`] was given.

mod cel;
mod definitions;
pub mod duration;
mod eval;
pub mod explain;
mod expr;
mod files;
mod finding;
mod functions;
pub mod limits;
mod lint;
mod liquid_comment;
mod liquid_reads;
mod load;
pub mod normalize;
mod reader;
mod resolve;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod yaml;
mod zones;

/// The page on every rule of the lint.
pub const LINTS: &str = include_str!("../LINTS.md");

/// What [`LINTS`] says about a rule; `None`: there is no such rule.
pub fn rule_section(rule: &str) -> Option<&'static str> {
    lint::section(rule)
}

pub use definitions::*;
pub use eval::{eval, holds};
pub use expr::{
    Binary, Expr, HistoryCall, HistoryFunction, Macro, Missing, Pattern, Root, Scope, Unary,
};
pub use files::Files;
pub use finding::{Finding, Severity};
pub use lint::{
    Became, Lacking, Stranded, impossible_mapping, lost_property, mapped_by_place, sends_per_entry,
};
pub use load::{compile, liquid_parser};
pub use resolve::resolve;
