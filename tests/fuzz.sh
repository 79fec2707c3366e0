#!/usr/bin/env bash
# Fuzzes the parsers. Needs cargo and a C++ compiler; no nightly toolchain, no tool to install.
#
#   tests/fuzz.sh --list             the targets
#   tests/fuzz.sh TARGET [SECONDS]   runs one (60 seconds without the argument) and keeps what it learns
#   tests/fuzz.sh --all SECONDS      runs each so long over the seeds only
#
# What a target learns goes to tests/fuzz/corpus/TARGET, an input that breaks it to
# tests/fuzz/artifacts/TARGET: run it again with `tests/fuzz.sh TARGET FILE`. Keep it as a unit test
# of the parser once it is mended.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/fuzz" || exit 2

TARGETS=(http_ingest cloud_events workspace conditions templates journal snapshot records)
INPUT_SECONDS=10 # one input may take
RSS_MB=2048      # and so much memory

# Coverage of basic blocks and of comparisons, as libFuzzer reads them; no sanitizer, since no crate
# of the house has code without the compiler's checks.
COVERAGE="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export CARGO_TARGET_DIR="${SOJOURN_FUZZ_TARGET_DIR:-$PWD/target}"

# With a target named, the flags reach neither build scripts nor macros.
HOST="$(rustc -vV | sed -n 's/^host: //p')"

# Not --locked: a dependency that a crate of the house takes up is added to the lock file here.
build() { RUSTFLAGS="--cfg fuzzing $COVERAGE" cargo build --release --target "$HOST" "$@"; }

# go TARGET ARGS…: libFuzzer on a built target.
go() {
  local target=$1; shift
  mkdir -p "artifacts/$target"
  "$CARGO_TARGET_DIR/$HOST/release/$target" -artifact_prefix="artifacts/$target/" -timeout=$INPUT_SECONDS -rss_limit_mb=$RSS_MB -print_final_stats=1 -close_fd_mask=1 "$@"
}

case "${1:-}" in
  --list) printf '%s\n' "${TARGETS[@]}" ;;
  --all)
    build --bins || { echo "0 passed, 1 failed"; exit 1; }
    passed=0 failed=0 fresh=$(mktemp -d)
    for target in "${TARGETS[@]}"; do
      echo "== $target"
      mkdir -p "$fresh/$target"
      log="$fresh/$target.log"
      if go "$target" -max_total_time="${2:?seconds}" "$fresh/$target" "seeds/$target" >"$log" 2>&1; then
        # A target that learns nothing from its seeds is not wired to its parser.
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2)
        echo "$runs inputs, $covered edges"
        if [ "${runs:-0}" -ge 50 ] && [ "${covered:-0}" -ge 100 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); tail -n 20 "$log"; fi
      else
        failed=$((failed + 1)); tail -n 40 "$log"
      fi
    done
    rm -rf "$fresh"
    echo "$passed passed, $failed failed"
    [ $failed = 0 ] ;;
  *)
    printf '%s\n' "${TARGETS[@]}" | grep -qxF "${1:-}" || { echo "no target named '${1:-}'; there are: ${TARGETS[*]}" >&2; exit 2; }
    build --bin "$1" || exit 1
    if [ -f "${2:-}" ]; then go "$1" "$2"; exit; fi
    mkdir -p "corpus/$1"
    go "$1" -max_total_time="${2:-60}" "corpus/$1" "seeds/$1" ;;
esac
