#!/usr/bin/env bash
# every command of the README, with the output it shows
# needs: cargo python curl binary
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/quickstart.py
