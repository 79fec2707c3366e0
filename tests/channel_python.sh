#!/usr/bin/env bash
# the channel in Python, over gRPC from a real house
# usage: tests/channel_python.sh [BINARY]; Python packages go into tests/.cache
set -uo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
BINARY="${1:-${SOJOURN_BIN:-${CARGO_TARGET_DIR:-$HERE/../target}/release/sojourn}}"
VENV="${SOJOURN_CACHE:-$HERE/.cache}/venv-python"
[ -x "$BINARY" ] || { echo "no binary at $BINARY: cargo build --release, or name it"; exit 2; }
if [ ! -f "$VENV/ready" ]; then
  rm -rf "$VENV"
  python3 -m venv "$VENV" && "$VENV/bin/python3" -m pip install -q --disable-pip-version-check grpcio grpcio-tools && touch "$VENV/ready" || exit 2
fi
exec "$VENV/bin/python3" "$HERE/channels.py" python "$BINARY"
