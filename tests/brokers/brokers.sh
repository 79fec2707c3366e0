#!/usr/bin/env bash
# Real Kafka and Redis for tests, on loopback, on free ports, each run in a folder of its own.
#
#   brokers.sh fetch                      the pinned jars of Kafka, once, into $BROKERS_LIB
#   brokers.sh up DIR [NODES] [REDIS]     NODES of Kafka (default 1, 0: none) and REDIS (default 1, 0:
#                                         none); writes DIR/env; returns when all are ready
#   brokers.sh secure DIR                 one of each, that also listen with TLS and log-ins; DIR/env
#                                         has KAFKA_SASL_TLS, KAFKA_TLS (asks for a certificate),
#                                         KAFKA_EXPIRED, REDIS_TLS, REDIS_EXPIRED and CERTIFICATES too
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
    redis*) spawn "$dir" "$name" redis-server "$dir/$name/redis.conf" ;;
    *) die "unknown process $name" ;;
  esac
}
ready() { # DIR NAME LINES: this start has said that it is up
  local dir=$1 name=$2
  for _ in $(seq $((ready_s * 10))); do
    case $name in
      kafka-*) [ "$(grep -c 'Kafka Server started' "$dir/$name/log")" -ge "$3" ] && return 0 ;;
      redis*) [ "$(redis-cli -p "$(awk '$1 == "port" {print $2}' "$dir/$name/redis.conf")" ping 2>/dev/null)" = PONG ] && return 0 ;;
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

# Adds to a node's settings: a listener with TLS and a log-in, one that asks for a certificate, and
# one whose own certificate has expired. Users: app (all of it), wherever a log-in is asked for.
secure_node() { # DIR PORT PORT PORT
  local file=$1/kafka-1/server.properties all="SASL_SSL://127.0.0.1:$2,SSL://127.0.0.1:$3,EXPIRED://127.0.0.1:$4"
  sed -i -e "s|^listeners=.*|&,$all|; s|^advertised.listeners=.*|&,$all|" \
    -e 's|^listener.security.protocol.map=.*|&,SASL_SSL:SASL_SSL,SSL:SSL,EXPIRED:SSL|' "$file"
  cat >> "$file" <<END
ssl.keystore.type=PEM
ssl.keystore.location=$1/certificates/server-both.pem
ssl.truststore.type=PEM
ssl.truststore.location=$1/certificates/ca.pem
listener.name.ssl.ssl.client.auth=required
listener.name.expired.ssl.keystore.location=$1/certificates/expired-both.pem
listener.name.expired.ssl.keystore.type=PEM
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_app="plain secret";
END
}
# The same for a Redis: TLS beside the plain port, a user who may do what Sojourn needs, one who may not.
secure_redis() { # DIR NAME PORT CERTIFICATE
  cat >> "$1/$2/redis.conf" <<END
tls-port $3
tls-cert-file $1/certificates/$4.pem
tls-key-file $1/certificates/server.key
tls-ca-cert-file $1/certificates/ca.pem
tls-auth-clients no
user app on ">redis secret" ~* &* +@all -@dangerous +info +role +config|get
user reader on >reader ~* +@read
END
}
redis_conf() { # DIR NAME PORT
  mkdir -p "$1/$2"
  printf '%s\n' "port $3" "bind 127.0.0.1" "dir $1/$2" 'save ""' "appendonly yes" "appendfsync everysec" > "$1/$2/redis.conf"
}
secure() { # DIR
  local dir ports
  [ -e "$1" ] && die "$1 exists already"
  "$here/certificates.sh" "$1/certificates"
  dir=$(cd "$1" && pwd)
  mapfile -t ports < <(free_ports 9)
  SECURE_PORTS="${ports[*]:4}" up_in "$dir" 1 1 "${ports[@]:0:4}"
}

up() { # DIR NODES REDIS
  local ports
  [ -e "$1" ] && die "$1 exists already"
  mkdir -p "$1"
  mapfile -t ports < <(free_ports $(($2 * 2 + 1)))
  up_in "$(cd "$1" && pwd)" "$2" "$3" "${ports[@]}"
}
up_in() { # DIR NODES REDIS PORTS...; SECURE_PORTS: three of Kafka, two of Redis
  local dir=$1 nodes=$2 redis=$3 voters="" boot="" id=1 ports secure=() scram=()
  ports=("${@:4}")
  read -ra secure <<< "${SECURE_PORTS:-}"
  [ "$nodes" = 0 ] || fetch
  # shellcheck disable=SC2064 # the folder of now
  trap "down '$dir'" EXIT
  while [ "$id" -le "$nodes" ]; do
    boot+="${boot:+,}127.0.0.1:${ports[id * 2 - 1]}"; voters+="${voters:+,}$id@127.0.0.1:${ports[id * 2]}"; id=$((id + 1))
  done
  for id in $(seq "$nodes"); do
    mkdir -p "$dir/kafka-$id"
    sed -e "s|@ID@|$id|; s|@VOTERS@|$voters|; s|@PORT@|${ports[id * 2 - 1]}|g; s|@CONTROLLER_PORT@|${ports[id * 2]}|" \
      -e "s|@DIR@|$dir/kafka-$id|; s|@REPLICAS@|$nodes|; s|@MIN_ISR@|$(((nodes + 1) / 2))|" \
      "$here/server.properties.template" > "$dir/kafka-$id/server.properties"
    if [ ${#secure[@]} -gt 0 ]; then
      secure_node "$dir" "${secure[@]:0:3}"
      scram=(--add-scram "SCRAM-SHA-512=[name=app,password=scram secret]")
    fi
    java "${java_flags[@]}" -cp "$lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
      -c "$dir/kafka-$id/server.properties" "${scram[@]}" > "$dir/kafka-$id/format.log" 2>&1 || { cat "$dir/kafka-$id/format.log" >&2; die "format failed"; }
    start "$dir" "kafka-$id"
  done
  if [ "$redis" != 0 ]; then
    redis_conf "$dir" redis "${ports[0]}"
    if [ ${#secure[@]} -gt 0 ]; then
      secure_redis "$dir" redis "${secure[3]}" server
      redis_conf "$dir" redis-expired "${ports[3]}"
      secure_redis "$dir" redis-expired "${secure[4]}" expired
      start "$dir" redis-expired
    fi
    start "$dir" redis
  fi
  for id in $(seq "$nodes"); do ready "$dir" "kafka-$id" 1; done
  [ "$redis" = 0 ] || ready "$dir" redis 1
  {
    echo "export BROKERS_DIR=$dir"
    [ "$nodes" = 0 ] || echo "export KAFKA_BOOTSTRAP=$boot"
    [ "$redis" = 0 ] || echo "export REDIS_URL=redis://127.0.0.1:${ports[0]}"
    if [ ${#secure[@]} -gt 0 ]; then
      printf 'export %s=%s\n' CERTIFICATES "$dir/certificates" KAFKA_SASL_TLS "127.0.0.1:${secure[0]}" \
        KAFKA_TLS "127.0.0.1:${secure[1]}" KAFKA_EXPIRED "127.0.0.1:${secure[2]}" \
        REDIS_TLS "127.0.0.1:${secure[3]}" REDIS_EXPIRED "127.0.0.1:${secure[4]}"
    fi
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
  secure) secure "${2:?DIR}" ;;
  kill) crash "${2:?DIR}" "${3:?NAME}" ;;
  again) again "$(cd "${2:?DIR}" && pwd)" "${3:?NAME}" ;;
  down) [ -d "${2:?DIR}" ] || die "no such folder: $2"; down "$(cd "$2" && pwd)" ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
