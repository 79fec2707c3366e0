//! Checks beyond the form of a file: what a journey reads, and what it does to people.

mod conditions;
mod cost;
mod data;
mod enters;
mod flow;
mod hours;
mod levels;
mod logic;
mod loops;
mod mapping;
mod policy;
mod steps;
mod templates;
mod words;

pub(crate) use conditions::condition;
pub use cost::sends_per_entry;
pub(crate) use data::{looks_sensitive, purpose_limitation, serves};
pub(crate) use enters::enter_circles;
#[cfg(test)]
pub(crate) use levels::adjustable;
pub(crate) use levels::{apply as apply_levels, load as load_levels, section};
pub(crate) use loops::loops;
pub use mapping::{Became, Lacking, Stranded, impossible_mapping, lost_property, mapped_by_place};
pub(crate) use policy::policy;
pub(crate) use steps::{journey, send, unreachable};
pub(crate) use templates::templates;
