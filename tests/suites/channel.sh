#!/usr/bin/env bash
# a channel in Python, over gRPC from a running house
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec tests/channel_python.sh
