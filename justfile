# The door: every task of the house. `just` lists them.

set positional-arguments

seeds := "300"

# Lists the recipes.
default:
    @just --list --unsorted --justfile {{ justfile() }}

# Builds everything in release mode.
build:
    cargo build --locked --release --workspace

# Runs the unit and property tests.
test *ARGS:
    cargo test --locked --workspace "$@"

# Runs all that continuous integration runs, or the named suites only.
verify *SUITES:
    tests/run "$@"

# Simulates: 300 seeds without an argument, one with a readable trace with its number.
sim SEED="":
    cargo run --locked --release -p sojourn-sim -- {{ if SEED == "" { "--seeds " + seeds } else { "--seed " + SEED } }}

# Switches each planted bug on (or those whose name contains NAME) and shows what catches it.
planted-bugs NAME="":
    cargo run --locked --release -p sojourn-sim --features planted-bugs -- --planted-bugs "{{NAME}}"

# Measures job J1: throughput, latency, memory.
bench *ARGS:
    cargo run --locked --release -p sojourn-bench -- "$@"

# The sample shop with customers in it.
demo *ARGS:
    cargo run --locked --release -p sojourn -- demo "$@"

# Any command of the binary, for example `just run person show email:a@b.c`.
run *ARGS:
    cargo run --locked --release -p sojourn -- "$@"

# Runs the conformance cases, all or those whose name contains FILTER.
scenarios *FILTER:
    cargo build --locked --release -p sojourn
    python3 tests/scenarios.py "$@"

# Fuzzes a parser for so many seconds; `just fuzz --list` names the targets.
fuzz TARGET SECONDS="60":
    tests/fuzz.sh {{TARGET}} {{SECONDS}}

# Kills, stops and empties everything at random moments for so many minutes, then checks the topics.
chaos MINUTES="10" SEED="1":
    cargo build --locked --release -p sojourn
    python3 tests/chaos.py {{MINUTES}} {{SEED}}

# Half load for so many minutes: memory, file handles, lag and the store's size must stay flat.
soak MINUTES="10":
    cargo build --locked --release -p sojourn
    python3 tests/soak.py {{MINUTES}}

# Runs the unmodified SDKs of others against the gateway.
clients:
    tests/run clients

# Formats the code.
fmt:
    cargo fmt --all

# Clippy with warnings denied, then the house rules.
lint:
    cargo fmt --all -- --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo test --locked -q -p sojourn-tidy

# Licences, bans and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny --config .deny.toml check

# Builds the container image.
image TAG="sojourn:local":
    docker build -f deploy/Dockerfile -t {{TAG}} .
