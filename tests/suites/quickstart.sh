#!/usr/bin/env bash
# the README shows what really comes
# needs: binary python curl
# minutes: 10
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/quickstart.py
