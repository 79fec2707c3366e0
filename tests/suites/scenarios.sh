#!/usr/bin/env bash
# conformance: black-box cases through sojourn simulate
# needs: binary python
# minutes: 15
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/scenarios.py
