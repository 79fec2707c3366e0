#!/usr/bin/env bash
# Real Kafka and Redis for tests, on loopback, on free ports, each run in a folder of its own.
#
#   brokers.sh fetch                      the pinned jars of Kafka, once, into $BROKERS_LIB
#   brokers.sh up DIR [NODES] [REDIS]     NODES of Kafka (default 1, 0: none) and REDIS (default 1, 0:
#                                         none); writes DIR/env; returns when all are ready
#   brokers.sh kill DIR NAME              kill -9 of one process (kafka-1, redis): a crash for a test
#   brokers.sh again DIR NAME             start that process again on its own data
#   brokers.sh down DIR                   stop all of them and remove DIR
#
# Then `. DIR/env` gives KAFKA_BOOTSTRAP and REDIS_URL, and BROKERS_DIR for `kill` and `again`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lib=${BROKERS_LIB:-${SOJOURN_CACHE:-$(dirname "$here")/.cache}/kafka-jars}
ready_s=${BROKERS_READY_S:-90}
java_flags=(-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
  # The line that says "started" is INFO: readiness waits for it.
  -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info)

die() { echo "brokers.sh: $*" >&2; exit 1; }

# A pid file may be stale and its number given to a stranger, or to a thread of one. A process is
# ours when it leads its thread group and began at the tick that was noted. A zombie that nobody has
# reaped yet is gone.
ticks() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
ours() { # PIDFILE
  local pid tick
  [ -f "$1" ] && read -r pid tick < "$1" || return 1
  [ "$(awk '/^State:/ {z = $2 == "Z"} /^Tgid:/ {print z ? "zombie" : $2}' "/proc/$pid/status" 2>/dev/null)" = "$pid" ] &&
    [ "$(ticks "$pid")" = "$tick" ]
}
signal() { ours "$2" && kill "-$1" "$(cut -d' ' -f1 "$2")"; } # SIGNAL PIDFILE
gone() { for _ in $(seq 200); do ours "$1" || return 0; sleep 0.1; done; return 1; } # PIDFILE
stop() { # PIDFILE
  signal TERM "$1" || true
  gone "$1" || signal KILL "$1" || true
  rm -f "$1"
}
crash() { # DIR NAME
  signal KILL "$1/$2/pid" || die "$2 does not run"
  gone "$1/$2/pid" || die "$2 outlived kill -9"
}
spawn() { # DIR NAME COMMAND...
  local dir=$1 name=$2; shift 2
  setsid "$@" >> "$dir/$name/log" 2>&1 < /dev/null &
  echo "$! $(ticks $!)" > "$dir/$name/pid"
}

# Free ports below the ephemeral range, so that an outgoing connection cannot take one meanwhile.
free_ports() { # COUNT
  local taken port found=0
  taken=" $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" {n = split($2, a, ":"); print "0x" a[n]}' | xargs -r printf '%d ')"
  port=$((20000 + RANDOM % 11000))
  while [ "$found" -lt "$1" ]; do
    port=$((port + 1)); [ "$port" -lt 32000 ] || port=20000
    case "$taken" in *" $port "*) ;; *) echo "$port"; found=$((found + 1)) ;; esac
  done
}

start() { # DIR NAME: on whatever data it has
  local dir=$1 name=$2
  case $name in
    kafka-*) spawn "$dir" "$name" java "${java_flags[@]}" -cp "$lib/*" kafka.Kafka "$dir/$name/server.properties" ;;
    redis) spawn "$dir" "$name" redis-server "$dir/redis/redis.conf" ;;
    *) die "unknown process $name" ;;
  esac
}
ready() { # DIR NAME LINES: this start has said that it is up
  local dir=$1 name=$2
  for _ in $(seq $((ready_s * 10))); do
    case $name in
      kafka-*) [ "$(grep -c 'Kafka Server started' "$dir/$name/log")" -ge "$3" ] && return 0 ;;
      redis) [ "$(redis-cli -p "$(awk '$1 == "port" {print $2}' "$dir/redis/redis.conf")" ping 2>/dev/null)" = PONG ] && return 0 ;;
    esac
    ours "$dir/$name/pid" || { tail -n 20 "$dir/$name/log" >&2; die "$name ended while starting"; }
    sleep 0.1
  done
  tail -n 20 "$dir/$name/log" >&2
  die "$name not ready after $ready_s s"
}

fetch() {
  [ -e "$lib/.complete" ] && return 0
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime
  touch "$lib/.complete"
}

up() { # DIR NODES REDIS
  local nodes=$2 redis=$3 dir voters="" boot="" id=1 ports
  [ -e "$1" ] && die "$1 exists already"
  [ "$nodes" = 0 ] || fetch
  mkdir -p "$1"; dir=$(cd "$1" && pwd)
  # shellcheck disable=SC2064 # the folder of now
  trap "down '$dir'" EXIT
  mapfile -t ports < <(free_ports $((nodes * 2 + 1)))
  while [ "$id" -le "$nodes" ]; do
    boot+="${boot:+,}127.0.0.1:${ports[id * 2 - 1]}"; voters+="${voters:+,}$id@127.0.0.1:${ports[id * 2]}"; id=$((id + 1))
  done
  for id in $(seq "$nodes"); do
    mkdir -p "$dir/kafka-$id"
    sed -e "s|@ID@|$id|; s|@VOTERS@|$voters|; s|@PORT@|${ports[id * 2 - 1]}|g; s|@CONTROLLER_PORT@|${ports[id * 2]}|" \
      -e "s|@DIR@|$dir/kafka-$id|; s|@REPLICAS@|$nodes|; s|@MIN_ISR@|$(((nodes + 1) / 2))|" \
      "$here/server.properties.template" > "$dir/kafka-$id/server.properties"
    java "${java_flags[@]}" -cp "$lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
      -c "$dir/kafka-$id/server.properties" > "$dir/kafka-$id/format.log" 2>&1 || { cat "$dir/kafka-$id/format.log" >&2; die "format failed"; }
    start "$dir" "kafka-$id"
  done
  if [ "$redis" != 0 ]; then
    mkdir -p "$dir/redis"
    printf '%s\n' "port ${ports[0]}" "bind 127.0.0.1" "dir $dir/redis" 'save ""' "appendonly yes" "appendfsync everysec" > "$dir/redis/redis.conf"
    start "$dir" redis
  fi
  for id in $(seq "$nodes"); do ready "$dir" "kafka-$id" 1; done
  [ "$redis" = 0 ] || ready "$dir" redis 1
  {
    echo "export BROKERS_DIR=$dir"
    [ "$nodes" = 0 ] || echo "export KAFKA_BOOTSTRAP=$boot"
    [ "$redis" = 0 ] || echo "export REDIS_URL=redis://127.0.0.1:${ports[0]}"
  } > "$dir/env"
  trap - EXIT
}
again() { # DIR NAME
  local said
  ours "$1/$2/pid" && die "$2 runs"
  said=$(grep -c 'Kafka Server started' "$1/$2/log" || true)
  start "$1" "$2"; ready "$1" "$2" $((said + 1))
}
down() { # DIR
  local file
  # At once: a clean shutdown needs a controller quorum, which one-by-one would lose.
  for file in "$1"/*/pid; do
    if [ -e "$file" ]; then stop "$file" & fi
  done
  wait
  rm -rf "$1"
}

case ${1:-} in
  fetch) fetch ;;
  up) up "${2:?DIR}" "${3:-1}" "${4:-1}" ;;
  kill) crash "${2:?DIR}" "${3:?NAME}" ;;
  again) again "$(cd "${2:?DIR}" && pwd)" "${3:?NAME}" ;;
  down) [ -d "${2:?DIR}" ] || die "no such folder: $2"; down "$(cd "$2" && pwd)" ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
