#!/usr/bin/env bash
# 300 seeds of the whole system under faults, every rare event seen
# needs: cargo
# minutes: 25
cd "$SOJOURN_ROOT" || exit 2
exec cargo run -q --locked --release -p sojourn-sim -- --seeds 300
