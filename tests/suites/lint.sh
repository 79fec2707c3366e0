#!/usr/bin/env bash
# clippy on every target of every crate, warnings denied
# needs: cargo
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
if cargo clippy -q --locked --workspace --all-targets -- -D warnings; then echo "1 passed, 0 failed"; else echo "0 passed, 1 failed"; exit 1; fi
