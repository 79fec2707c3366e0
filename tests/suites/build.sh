#!/usr/bin/env bash
# the release binary
# needs: cargo
# minutes: 25
cd "$SOJOURN_ROOT" || exit 2
# One release build for everything that follows; the tests above are built without optimisation,
# which costs less time than they would save.
if cargo build -q --locked --release -p sojourn && "$SOJOURN_BIN" --version; then echo "1 passed, 0 failed"; else echo "0 passed, 1 failed"; exit 1; fi
