#!/usr/bin/env bash
# encrypted links: Kafka, Redis, Sentinel, gateway, channels
# needs: cargo python java maven redis openssl binary
# minutes: 15
cd "$SOJOURN_ROOT" || exit 2
# The release build of before, with OpenSSL for Kafka put in: the client library, the log and what
# stands above them are compiled anew, everything else is taken as it is.
links="$CARGO_TARGET_DIR/links"
mkdir -p "$links"
if [ "${SOJOURN_LINKS_BIN:-}" = "" ]; then
  began=$SECONDS
  cargo build -q --locked --release -p sojourn --features kafka-tls || { echo "0 passed, 1 failed"; exit 1; }
  install -m 0755 "$CARGO_TARGET_DIR/release/sojourn" "$links/sojourn"
  cargo build -q --locked --release -p sojourn || { echo "0 passed, 1 failed"; exit 1; } # the other suites' binary again
  echo "stated: the binary with TLS to Kafka took $((SECONDS - began)) s beside the release build"
  SOJOURN_LINKS_BIN="$links/sojourn"
fi
brokers="$CARGO_TARGET_DIR/brokers-links"
[ -d "$brokers" ] && tests/brokers/brokers.sh down "$brokers" # of a run that was cut off
trap 'tests/brokers/brokers.sh down "$brokers"' EXIT
tests/brokers/brokers.sh secure "$brokers" || exit 1
. "$brokers/env"
SOJOURN_BIN="$SOJOURN_LINKS_BIN" python3 tests/links.py
