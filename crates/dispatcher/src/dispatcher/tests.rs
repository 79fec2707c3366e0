//! Turns over ports in memory and a fake provider.
