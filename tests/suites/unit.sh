#!/usr/bin/env bash
# unit and property tests, contract suites of the ports
# needs: cargo
# minutes: 25
cd "$SOJOURN_ROOT" || exit 2
. tests/lib.sh
cargo_tests --workspace --exclude sojourn-tidy
