#!/usr/bin/env bash
# unmodified SDKs, in Node, Python and Chromium, also through faults
# needs: binary python node chromium
# minutes: 15
cd "$SOJOURN_ROOT" || exit 2
exec tests/clients/run.sh "$SOJOURN_BIN"
