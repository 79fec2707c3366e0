#!/usr/bin/env bash
# every planted bug is caught by a checker
# needs: cargo
# minutes: 25
cd "$SOJOURN_ROOT" || exit 2
cargo run -q --locked --release -p sojourn-sim --features planted-bugs -- --planted-bugs
