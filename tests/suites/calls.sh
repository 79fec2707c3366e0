#!/usr/bin/env bash
# calls of journeys to a real HTTP service
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/channels.py calls "${SOJOURN_BIN:-${CARGO_TARGET_DIR:-target}/release/sojourn}"
