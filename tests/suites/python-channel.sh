#!/usr/bin/env bash
# the channel in Python over gRPC
# needs: binary python
# minutes: 10
cd "$SOJOURN_ROOT" || exit 2
exec tests/channel_python.sh "$SOJOURN_BIN"
