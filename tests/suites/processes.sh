#!/usr/bin/env bash
# kill -9 under load, torn tail, full disk
# needs: binary python
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/processes.py
