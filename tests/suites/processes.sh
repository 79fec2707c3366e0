#!/usr/bin/env bash
# real processes: kill -9 under load, torn journal, full disk
# needs: cargo python binary
# minutes: 12
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/processes.py
