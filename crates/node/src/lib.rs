//! any set of roles on any backend; the library form of the product.
