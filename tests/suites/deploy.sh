#!/usr/bin/env bash
# image, unit and compose file agree with each other and with the binary
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
"$SOJOURN_PYTHON" -m pip install -q --disable-pip-version-check pyyaml || { echo "0 passed, 1 failed"; exit 1; }
exec "$SOJOURN_PYTHON" tests/deploy.py
