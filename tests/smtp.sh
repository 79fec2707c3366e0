#!/usr/bin/env bash
# e-mail to a real SMTP server (aiosmtpd)
# usage: tests/smtp.sh [BINARY]; Python packages go into tests/.cache
set -uo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
BINARY="${1:-${SOJOURN_BIN:-${CARGO_TARGET_DIR:-$HERE/../target}/release/sojourn}}"
VENV="${SOJOURN_CACHE:-$HERE/.cache}/venv-smtp"
[ -x "$BINARY" ] || { echo "no binary at $BINARY: cargo build --release, or name it"; exit 2; }
if [ ! -f "$VENV/ready" ]; then
  rm -rf "$VENV"
  python3 -m venv "$VENV" && "$VENV/bin/python3" -m pip install -q --disable-pip-version-check aiosmtpd && touch "$VENV/ready" || exit 2
fi
exec "$VENV/bin/python3" "$HERE/channels.py" smtp "$BINARY"
