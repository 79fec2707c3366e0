#!/usr/bin/env bash
# local times of every zone, ten years ahead, against zoneinfo
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec python3 tests/local_times.py
