//! the owner of a partition: read, step, publish, checkpoint.
