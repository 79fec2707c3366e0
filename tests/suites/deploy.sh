#!/usr/bin/env bash
# image, unit, compose files and Helm chart agree with each other and with the binary
# needs: cargo python binary
# minutes: 20
cd "$SOJOURN_ROOT" || exit 2
"$SOJOURN_PYTHON" -m pip install -q --disable-pip-version-check pyyaml || { echo "0 passed, 1 failed"; exit 1; }
# Helm is a Go module: built once (minutes), then kept with the tests' other caches. Without Go, or
# when it cannot be had in time, what needs it is skipped by name.
helm_version=v3.22.0
helm="$SOJOURN_CACHE/helm-$helm_version/helm"
if [ ! -x "$helm" ] && command -v go > /dev/null; then
  began=$SECONDS
  mkdir -p "$(dirname "$helm")"
  GOBIN="$(dirname "$helm")" GOFLAGS=-modcacherw timeout 900 go install "helm.sh/helm/v3/cmd/helm@$helm_version"
  echo "stated: helm $helm_version took $((SECONDS - began)) s to build"
fi
[ -x "$helm" ] || helm=
SOJOURN_HELM="$helm" exec "$SOJOURN_PYTHON" tests/deploy.py
