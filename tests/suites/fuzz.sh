#!/usr/bin/env bash
# every parser under libFuzzer for some seconds
# needs: cargo
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
SECONDS_EACH=6
SOJOURN_FUZZ_TARGET_DIR="$CARGO_TARGET_DIR/fuzz" exec tests/fuzz.sh --all $SECONDS_EACH
