//! ingest over HTTP and gRPC.
