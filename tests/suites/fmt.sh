#!/usr/bin/env bash
# formatting is rustfmt's
# needs: cargo
cd "$SOJOURN_ROOT" || exit 2
if cargo fmt --all -- --check; then echo "1 passed, 0 failed"; else echo "run: just fmt"; echo "0 passed, 1 failed"; exit 1; fi
