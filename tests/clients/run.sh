#!/usr/bin/env bash
# Unmodified Segment SDKs against a running gateway: every messageId arrives exactly once, also when
# answers are 503 or 429 and connections break.
#
#   tests/clients/run.sh [path of the sojourn binary]
#
# Packages: package.json with its lock file, requirements.txt; installed below tests/.cache.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
CACHE="${SOJOURN_CACHE:-$HERE/../.cache}"
mkdir -p "$CACHE/clients"
CACHE="$(cd "$CACHE" && pwd)"
export SOJOURN_BIN="${1:-${SOJOURN_BIN:-$HERE/../../target/release/sojourn}}"
[ -x "$SOJOURN_BIN" ] || { echo "no binary at $SOJOURN_BIN: build it first"; echo "0 passed, 1 failed"; exit 1; }

# Node packages: into the cache, from the lock file, once per version of it.
stamp="$(cat "$HERE/package.json" "$HERE/package-lock.json" | cksum)"
if [ "$(cat "$CACHE/clients/.stamp" 2>/dev/null)" != "$stamp" ]; then
  cp "$HERE/package.json" "$HERE/package-lock.json" "$CACHE/clients/"
  (cd "$CACHE/clients" && npm ci --no-audit --no-fund --loglevel=error)
  echo "$stamp" >"$CACHE/clients/.stamp"
fi
# Node looks for packages upward from a script, so the scripts run from beside them.
cp "$HERE"/*.mjs "$CACHE/clients/"

PYTHON="${SOJOURN_PYTHON:-$CACHE/venv/bin/python3}"
[ -x "$PYTHON" ] || { python3 -m venv "$CACHE/venv"; PYTHON="$CACHE/venv/bin/python3"; }
"$PYTHON" -m pip install -q -r "$HERE/requirements.txt"
for c in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
  if [ -n "$c" ] && CHROMIUM="$(command -v "$c")"; then break; fi
done
export CHROMIUM SOJOURN_CLIENTS="$CACHE/clients" SOJOURN_PYTHON="$PYTHON"
exec "$PYTHON" "$HERE/run.py"
