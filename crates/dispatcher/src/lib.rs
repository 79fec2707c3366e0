//! from an approved action to a delivery and its receipt.
