#!/usr/bin/env bash
# a workspace on Kafka and Redis: topics, roles, kill -9, the same decisions as embedded
# needs: cargo python java maven redis binary
# minutes: 15
cd "$SOJOURN_ROOT" || exit 2
brokers="$CARGO_TARGET_DIR/brokers-distributed"
[ -d "$brokers" ] && tests/brokers/brokers.sh down "$brokers" # of a run that was cut off
trap 'tests/brokers/brokers.sh down "$brokers"' EXIT
tests/brokers/brokers.sh up "$brokers" 1 1 || exit 1
. "$brokers/env"
python3 tests/distributed.py
