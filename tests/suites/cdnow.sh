#!/usr/bin/env bash
# a real purchase history, imported and simulated
# needs: binary python
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/cdnow.py
