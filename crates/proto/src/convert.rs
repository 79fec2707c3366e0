//! Conversions between log records and the model.
