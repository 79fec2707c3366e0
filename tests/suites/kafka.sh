#!/usr/bin/env bash
# the log over a real Kafka broker: contract suite, kill -9 under load
# needs: cargo java maven
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
. tests/lib.sh
brokers="$CARGO_TARGET_DIR/brokers-kafka"
[ -d "$brokers" ] && tests/brokers/brokers.sh down "$brokers" # of a run that was cut off
trap 'tests/brokers/brokers.sh down "$brokers"' EXIT
tests/brokers/brokers.sh up "$brokers" 1 0 || exit 1
. "$brokers/env"
cargo_tests -p sojourn-kafka --features brokers
