# Shared by the suites. Sourced, never run.

# cargo_tests ARGS…: runs `cargo test` over everything ARGS name and ends with the sum of cargo's
# `test result:` lines. A crate that does not compile has no such line and counts as one failure.
cargo_tests() {
  local out code
  out=$(mktemp)
  cargo test -q --locked --no-fail-fast "$@" 2>&1 | tee "$out"
  code=${PIPESTATUS[0]}
  awk -v code="$code" '
    /^test result: / { for (i = 1; i < NF; i++) { if ($(i+1) == "passed;") p += $i; if ($(i+1) == "failed;") f += $i; if ($(i+1) == "ignored;") g += $i } }
    END { if (code != 0 && f == 0) f = 1; printf "%d passed, %d failed%s\n", p, f, (g ? ", " g " skipped" : ""); exit (f > 0) }' "$out"
  code=$?
  rm -f "$out"
  return $code
}

# verdict PASSED FAILED [SKIPPED]: the line tests/run reads, and the exit code that goes with it.
verdict() {
  echo "$1 passed, $2 failed${3:+, $3 skipped}"
  [ "$2" = 0 ]
}
