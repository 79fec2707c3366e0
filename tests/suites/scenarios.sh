#!/usr/bin/env bash
# conformance cases through `sojourn simulate`
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/scenarios.py
