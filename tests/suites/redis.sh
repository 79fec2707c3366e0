#!/usr/bin/env bash
# state, identity graph and gate on a real Redis and Redis Cluster
# needs: cargo redis
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
. tests/lib.sh
cargo_tests -p sojourn-redis --features brokers
