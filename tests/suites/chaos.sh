#!/usr/bin/env bash
# everything falls once under load, then the topics are checked
# needs: cargo python java maven redis binary
# minutes: 8
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/chaos.py --short
