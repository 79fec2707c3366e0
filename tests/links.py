#!/usr/bin/env python3
"""Encrypted and logged-in links: Kafka, Redis, Sentinel, the gateway, the channels' gRPC.

Expects what `tests/brokers/brokers.sh secure` writes, and in SOJOURN_BIN a binary that speaks TLS to
Kafka (`--features kafka-tls`); without one the parts about Kafka's TLS are skipped by name. Every
refusal must name the setting, its line and what to do; every link must carry messages.
"""

import contextlib
import http.client
import os
import pathlib
import random
import socket
import ssl
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import distributed as shared  # noqa: E402
import processes as base  # noqa: E402
import sentinel  # noqa: E402
from processes import check  # noqa: E402

ENV = os.environ
CERTIFICATES = pathlib.Path(ENV.get("CERTIFICATES", "/nonexistent"))
PINGS = 30


def pem(name):
    return str(CERTIFICATES / f"{name}.pem")


def key(name):
    return str(CERTIFICATES / f"{name}.key")


def scram(**change):
    """Settings of a log-in at Kafka over TLS."""
    return {"brokers": ENV["KAFKA_SASL_TLS"], "security": "sasl_tls", "username": "app", "password": "${SCRAM_PASSWORD}",
            "brokers_ca": pem("ca"), **change}


def tls_redis(**change):
    return {"redis": f"rediss://{ENV['REDIS_TLS']}", "redis_username": "app", "redis_password": "${REDIS_PASSWORD}",
            "redis_ca": pem("ca"), **change}


def refused(folder, what, key_named, *words, check_topics=False, **storage):
    """Starts on `storage` and expects a refusal that names `key_named` with its line."""
    server = shared.Shared(folder / what.replace(" ", "-"), base.Sink(), **storage)
    began = time.monotonic()
    done = server.topics("--check") if check_topics else server.cli("up", str(server.folder / "ws"), "--port", str(base.free_port()))
    said = [line for line in done.stderr.splitlines() if "sojourn.yaml" in line]
    said = said[-1] if said else done.stderr.strip()[-200:]
    lines = (server.folder / "ws" / "sojourn.yaml").read_text().splitlines()
    number = next((at for at, line in enumerate(lines, 1) if line.strip().startswith(f'"{key_named}"')), 0)
    place = f"sojourn.yaml:{number}: storage.{key_named}" if number else f"sojourn.yaml: storage.{key_named}"
    fits = done.returncode == 3 and place in said and all(word in said for word in words)
    check(f"{what}: refused, with the place and what to do", fits, f"{time.monotonic() - began:.1f} s: {said[:330]}")


def speaks_tls():
    """Whether the binary was built with TLS to Kafka."""
    with tempfile.TemporaryDirectory() as folder:
        server = shared.Shared(pathlib.Path(folder), base.Sink(), **scram())
        return "speaks no TLS" not in server.topics("--check").stderr


def kafka_refuses(folder):
    def no(what, key_named, *words, **change):
        refused(folder, what, key_named, *words, check_topics=True, **change)

    no("Kafka, wrong authority", "brokers_ca", "authority", **scram(brokers_ca=pem("other-ca")))
    no("Kafka, no authority named", "brokers_ca", "authority", **{k: v for k, v in scram().items() if k != "brokers_ca"})
    no("Kafka, wrong password", "password", "username, password", **scram(password="wrong"))
    no("Kafka, wrong mechanism", "password", "mechanism", **scram(mechanism="SCRAM-SHA-256"))
    no("Kafka, TLS to a plain port", "security", "speaks no TLS", brokers=ENV["KAFKA_BOOTSTRAP"], security="tls", brokers_ca=pem("ca"))
    no("Kafka, plain to a TLS port", "brokers", "security: tls", brokers=ENV["KAFKA_SASL_TLS"])
    # The client library does not tell an expired certificate from a strange one.
    no("Kafka, expired certificate", "brokers_ca", "expired", brokers=ENV["KAFKA_EXPIRED"], security="tls", brokers_ca=pem("ca"))
    no("Kafka, no certificate of ours", "brokers_certificate", "brokers_key", brokers=ENV["KAFKA_TLS"], security="tls", brokers_ca=pem("ca"))
    no("Kafka, a file that is not there", "brokers_ca", "cannot read", **scram(brokers_ca="no-such.pem"))


def kafka_takes(folder):
    for what, settings in (
        ("SCRAM-SHA-512 over TLS", scram()),
        ("PLAIN over TLS", scram(mechanism="PLAIN", password="${PLAIN_PASSWORD}")),
        ("a certificate of ours", {"brokers": ENV["KAFKA_TLS"], "security": "tls", "brokers_ca": pem("ca"),
                                   "brokers_certificate": pem("client"), "brokers_key": key("client")}),
    ):
        server = shared.Shared(folder / what.replace(" ", "-"), base.Sink(), **settings)
        made = server.topics("--partitions", "2", "--replication", "1")
        check(f"Kafka, {what}: the topics are made", made.returncode == 0 and made.stdout.count("made ") == 7, (made.stdout + made.stderr).strip()[-200:])


def redis_refuses(folder):
    plain = shared.Shared(folder / "topics", base.Sink())
    plain.make()
    topics = {"topic_prefix": plain.storage["topic_prefix"]}

    def no(what, key_named, *words, **change):
        refused(folder, what, key_named, *words, **topics, **change)

    no("Redis, wrong authority", "redis_ca", "authority", **tls_redis(redis_ca=pem("other-ca")))
    no("Redis, wrong password", "redis_password", "redis_username and redis_password", **tls_redis(redis_password="wrong"))
    no("Redis, TLS to a plain port", "redis", "no TLS", **tls_redis(redis=ENV["REDIS_URL"].replace("redis://", "rediss://")))
    no("Redis, plain to a TLS port", "redis", "rediss://", redis=f"redis://{ENV['REDIS_TLS']}")
    no("Redis, expired certificate", "redis", "renew", **tls_redis(redis=f"rediss://{ENV['REDIS_EXPIRED']}"))
    no("Redis, a user without rights", "redis_username", "ACL SETUSER", **tls_redis(redis_username="reader", redis_password="reader"))


class Encrypted(shared.Roles):
    """Every role in a process of its own; every link over TLS, wherever the binary can."""

    channels_at = "https://localhost"

    def __init__(self, folder, sink, **storage):
        super().__init__(folder, sink, **storage)
        with open(folder / "ws" / "sojourn.yaml", "a", encoding="utf-8") as file:
            file.write(f"""
"tls":
  "admin": {{ "certificate": "{pem('server')}", "key": "{key('server')}", "clients": "{pem('ca')}" }}
  "gateway": {{ "certificate": "{pem('server')}", "key": "{key('server')}" }}
  "channels": {{ "certificate": "{pem('server')}", "key": "{key('server')}", "clients": "{pem('ca')}" }}
  "dispatcher": {{ "ca": "{pem('ca')}", "certificate": "{pem('client')}", "key": "{key('client')}" }}
""")
        self.context = ssl.create_default_context(cafile=pem("ca"))

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.gateway, timeout=20, context=self.context)

    def begin(self, name, wait=True):
        self.spawn(name)
        if name == "gateway":
            self.until(lambda: self.ready_by_tls(), f"{name} over TLS")
        elif wait:
            self.wait_ready(name)
        return self

    def ready_by_tls(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = self.connection()
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200

    def until(self, holds, what, seconds=base.READY_SECONDS_MAX):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds():
                return
            time.sleep(0.1)
        logs = "\n".join(path.read_text(errors="replace")[-600:] for path in self.folder.glob("*.log"))
        raise AssertionError(f"{what} has not come about in {seconds} s:\n{logs}")


def pings(house, connection, first):
    for number in range(first, first + PINGS):
        status = base.post(connection, "/v1/track", {"type": "track", "event": "Ping", "userId": f"u{number % base.PEOPLE}",
                                                     "messageId": f"p{number}", "properties": {"id": f"p{number}"}})
        assert status == 200, f"ping {number} was answered {status}"


def known_people(connection):
    batch = []
    for number in range(base.PEOPLE):
        user, address = f"u{number}", f"u{number}@x.example"
        batch.append({"type": "identify", "userId": user, "traits": {"email": address}, "messageId": f"id-{number}"})
        batch.append({"type": "track", "event": "Consent Changed", "userId": user, "messageId": f"yes-{number}",
                      "properties": {"channel": "email", "purpose": "marketing", "state": "granted", "endpoint": address}})
    assert base.post(connection, "/v1/batch", {"batch": batch}) == 200


def whole_house(folder, kafka):
    """Messages go from an HTTPS request to a delivery, every link on the way encrypted."""
    sink = base.Sink()
    house = Encrypted(folder, sink, **(scram() if kafka else {}), **tls_redis()).make()
    what = "the house over TLS" if kafka else "the house over TLS but for Kafka"
    for name in shared.ROLES:
        house.begin(name)
    connection = house.connection()
    known_people(connection)
    pings(house, connection, 0)
    with contextlib.suppress(AssertionError):
        house.until(lambda: len(sink.keys()) >= PINGS, "deliveries")
    check(f"{what}: every message is delivered once", len(sink.keys()) == PINGS and not sink.twice(), f"{len(sink.keys())} of {PINGS}")
    try:
        plain = http.client.HTTPConnection("127.0.0.1", house.gateway, timeout=5)
        plain.request("GET", "/readyz")
        check("the gateway's TLS port answers no plain HTTP", False, plain.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        check("the gateway's TLS port answers no plain HTTP", True, type(error).__name__)
    strange = ssl.create_default_context(cafile=pem("other-ca"))
    try:
        http.client.HTTPSConnection("127.0.0.1", house.gateway, timeout=5, context=strange).request("GET", "/readyz")
        check("a caller who trusts another authority is not served", False)
    except ssl.SSLError as error:
        check("a caller who trusts another authority is not served", "verify failed" in str(error), str(error)[:80])
    without_certificate(house, sink, connection)
    half_open(house)
    orders(house)
    for name in ("gateway", "channels", "identity", "engine", "dispatcher"):
        house.end(name)


def without_certificate(house, sink, connection):
    """The channels want a certificate: a dispatcher without one sends nothing, with it everything."""
    context = ssl.create_default_context(cafile=pem("ca"))
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", house.channels), 5), server_hostname="localhost") as caller:
            caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            said = caller.recv(10)
        check("channels: who shows no certificate is not served", said == b"", said)
    except (ssl.SSLError, ConnectionError) as error:
        check("channels: who shows no certificate is not served", True, str(error)[:80])
    before = len(sink.keys())
    pings(house, connection, PINGS)
    with contextlib.suppress(AssertionError):
        house.until(lambda: len(sink.keys()) >= before + PINGS, "deliveries")
    check("channels: the dispatcher, which shows one, still is", len(sink.keys()) == before + PINGS, f"{len(sink.keys()) - before} of {PINGS}")


def half_open(house):
    """Callers that connect and say nothing hold up nobody."""
    silent = [socket.create_connection(("127.0.0.1", house.gateway), 5) for _ in range(100)]
    began = time.monotonic()
    ready = house.ready_by_tls()
    took = time.monotonic() - began
    check("the gateway: a hundred silent callers hold up nobody", ready and took < 2, f"{took:.2f} s")
    for one in silent:
        one.close()


def orders(house):
    """The administration service asks for a certificate: who has one may ask, nobody else."""
    def asked(**variables):
        for name in ("SOJOURN_ADMIN_CA", "SOJOURN_ADMIN_CERTIFICATE", "SOJOURN_ADMIN_KEY"):
            ENV.pop(name, None)
        ENV.update(variables)
        return house.cli("person", "show", "customer_id:u1", "--dir", str(house.folder / "ws"))

    ours = {"SOJOURN_ADMIN_CERTIFICATE": pem("client"), "SOJOURN_ADMIN_KEY": key("client")}
    done = asked(SOJOURN_ADMIN_CA=pem("ca"), **ours)
    check("administration: who shows a certificate is answered", done.returncode == 0 and "u1@x.example" in done.stdout, (done.stdout + done.stderr).strip()[-150:])
    done = asked(SOJOURN_ADMIN_CA=pem("ca"))
    check("administration: who shows none is not", done.returncode != 0 and "u1@x.example" not in done.stdout, done.stderr.strip()[-250:])
    done = asked(SOJOURN_ADMIN_CA=pem("other-ca"), **ours)
    check("administration: a strange server is not asked", done.returncode == 3 and "SOJOURN_ADMIN_CA" in done.stderr, done.stderr.strip()[-250:])


PARTS = ("kafka", "redis", "house", "sentinel")


def main():
    if not CERTIFICATES.is_dir():
        print("CERTIFICATES, KAFKA_SASL_TLS, … name the brokers: `tests/run links` starts them")
        return 2
    ENV.update(SCRAM_PASSWORD="scram secret", PLAIN_PASSWORD="plain secret", REDIS_PASSWORD="redis secret")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sojourn-links-"))
    kafka = speaks_tls()
    if not kafka:
        base.skip("Kafka over TLS", "this binary was built without the feature kafka-tls")
    parts = {
        "kafka": lambda folder: kafka and (kafka_refuses(folder / "no"), kafka_takes(folder / "yes")),
        "redis": redis_refuses,
        "house": lambda folder: whole_house(folder, kafka),
        "sentinel": lambda folder: sentinel.run(folder, random.Random(base.SEED)),
    }
    for name in sys.argv[1:] or PARTS:
        try:
            parts[name](scratch / name)
        except Exception as error:  # noqa: BLE001: what broke is a failure of the suite
            check(f"{name} ran to its end", False, f"{type(error).__name__}: {error}")
    base.stop_all()
    return base.finish("links", scratch)


if __name__ == "__main__":
    sys.exit(main())
