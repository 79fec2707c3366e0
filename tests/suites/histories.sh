#!/usr/bin/env bash
# random histories against an independent model of the semantics
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/histories.py
