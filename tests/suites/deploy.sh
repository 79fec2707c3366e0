#!/usr/bin/env bash
# image, unit and compose file agree with each other
# needs: binary python
# minutes: 5
cd "$SOJOURN_ROOT" || exit 2
venv="$SOJOURN_CACHE/venv-deploy"
[ -f "$venv/ready" ] || { rm -rf "$venv"; python3 -m venv "$venv" && "$venv/bin/python3" -m pip install -q --disable-pip-version-check pyyaml && touch "$venv/ready"; } || exit 2
exec "$venv/bin/python3" tests/deploy.py
