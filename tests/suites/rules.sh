#!/usr/bin/env bash
# house rules: layers, wrappers, module docs, licences, names, invariants
# needs: cargo
cd "$SOJOURN_ROOT" || exit 2
. tests/lib.sh
cargo_tests -p sojourn-tidy
