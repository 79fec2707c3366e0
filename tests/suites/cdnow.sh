#!/usr/bin/env bash
# real input: 69,659 purchases through import and simulate, against an independent model
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/cdnow.py
