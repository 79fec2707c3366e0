#!/usr/bin/env bash
# planted bugs: each is caught by a checker
# needs: cargo
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
exec cargo run -q --locked --release -p sojourn-sim --features planted-bugs -- --planted-bugs
