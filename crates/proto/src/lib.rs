//! generated contracts of proto/ and checked conversions.
