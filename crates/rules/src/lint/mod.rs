//! Checks beyond the form of a file: what a journey reads, and what it does to people.

mod data;
mod enters;
mod policy;
mod steps;
mod templates;

pub(crate) use data::purpose_limitation;
pub(crate) use enters::enter_circles;
pub(crate) use policy::policy;
pub(crate) use steps::{journey, send, unreachable};
pub(crate) use templates::templates;
