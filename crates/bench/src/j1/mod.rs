//! Job J1: one seeded input and three journeys under one policy.
//!
//! | share | touchpoint | channel |
//! |---|---|---|
//! | 50 % | `Product Viewed` | web |
//! | 15 % | `Cart Updated` | web |
//! | 5 % | `Order Completed` | web |
//! | 6 % | `Store Visited` | store |
//! | 4 % | `Store Order Completed` | store |
//! | 12 % | `Email Opened`, `Email Link Clicked` | email |
//! | 6 % | `Post Engaged` | social |
//! | 2 % | `Consent Changed` | web |
//!
//! A person is uniform over all for 90 % of touchpoints, one of the 1 % most active for the rest; 1
//! touchpoint in 500 is sent twice within 1,000.

mod events;
mod generator;
mod workspace;

pub use events::write_events;
pub use generator::{Generator, Message, Settings};
pub use workspace::{files, files_with};
