#!/usr/bin/env bash
# a workspace on Kafka and Redis: topics, roles, kill -9, the same decisions as embedded, snapshots
# needs: cargo python java maven redis binary
# minutes: 25
cd "$SOJOURN_ROOT" || exit 2
brokers="$CARGO_TARGET_DIR/brokers-distributed"
[ -d "$brokers" ] && tests/brokers/brokers.sh down "$brokers" # of a run that was cut off
store= # process id of the object store
trap 'tests/brokers/brokers.sh down "$brokers"; [ -z "$store" ] || kill "$store"' EXIT
tests/brokers/brokers.sh up "$brokers" 1 1 || exit 1
. "$brokers/env"

# An object store that speaks S3, for snapshots.
venv="$SOJOURN_CACHE/venv-s3"
if [ ! -f "$venv/ready" ]; then
  python3 -m venv "$venv" && "$venv/bin/python3" -m pip install -q --disable-pip-version-check 'moto[server]' && touch "$venv/ready" || exit 2
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" > "$brokers/s3.log" 2>&1 &
store=$!
export AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret
for _ in $(seq 100); do
  curl -sf -X PUT "$AWS_ENDPOINT_URL/backups" > /dev/null && break
  sleep 0.2
done
python3 tests/distributed.py "$@"
