#!/usr/bin/env bash
# unmodified SDKs of others, through 503s and broken connections
# needs: cargo python node chromium binary
cd "$SOJOURN_ROOT" || exit 2
exec tests/clients/run.sh
