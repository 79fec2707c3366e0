#!/usr/bin/env python3
"""A workspace on Kafka and Redis: the binary over real brokers.

Expects KAFKA_BOOTSTRAP and REDIS_URL (tests/brokers/brokers.sh). What a start says when something is
missing, the topics, the same decisions as on embedded storage, and what was acknowledged there
exactly once after kill -9. Each part has topics and keys of its own.
"""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import processes as base  # noqa: E402
from processes import check  # noqa: E402

BROKERS = os.environ.get("KAFKA_BOOTSTRAP", "")
REDIS = os.environ.get("REDIS_URL", "")
PARTITIONS = 4
base.BATCH = 8  # what is sent is read back through `tail`, also on a busy machine
base.SETTLE_SECONDS_MAX = 180
ROUNDS = int(os.environ.get("ROUNDS", "3"))


class Shared(base.Server):
    """`sojourn up` on Kafka and Redis."""

    partitions = PARTITIONS

    def __init__(self, folder, sink, **storage):
        super().__init__(folder, sink)
        name = f"t{time.time_ns()}"
        self.storage = {"kind": "kafka+redis", "brokers": BROKERS, "redis": REDIS, "path": "./data",
                        "topic_prefix": f"{name}.", "key_prefix": name, **storage}
        self.declare()

    def declare(self, **change):
        """Writes `storage` of sojourn.yaml, which stands on lines of its own."""
        self.storage.update(change)
        path = self.folder / "ws" / "sojourn.yaml"
        head, _, rest = path.read_text().partition('"storage":\n')
        tail = re.sub(r"\A(  .*\n)*", "", rest)
        lines = "".join(f"  {json.dumps(key)}: {json.dumps(value)}\n" for key, value in self.storage.items())
        path.write_text(f'{head}"storage":\n{lines}{tail}')

    def topics(self, *words):
        return self.cli("topics", str(self.folder / "ws"), *words)

    def make(self):
        done = self.topics("--partitions", str(self.partitions), "--replication", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        return self


def starts_say_why(folder):
    """What is missing is said at the start, with the place and what to do."""
    server = Shared(folder, base.Sink())

    def refused(what, *words, **change):
        kept = dict(server.storage)
        server.declare(**change)
        done = server.cli("up", str(folder / "ws"), "--port", str(base.free_port()))
        said = done.stderr.strip()
        fits = done.returncode == 3 and all(word in said for word in words)
        check(f"start: {what}", fits, said.splitlines()[-1][:160] if said else f"exit code {done.returncode}")
        server.storage = kept
        server.declare()

    dead = f"127.0.0.1:{base.free_port()}"
    refused("no topics", "sojourn.yaml:", "storage.brokers", "sojourn topics")
    refused("no broker", "sojourn.yaml:", "storage.brokers", dead, brokers=dead)
    made = server.topics("--partitions", "3", "--replication", "1")
    check("topics: seven are made", made.returncode == 0 and made.stdout.count("made ") == 7, made.stdout.strip().splitlines()[-1:])
    again = server.topics()
    check("topics: what is there stays", again.returncode == 0 and "made " not in again.stdout, again.stdout.strip())
    other = server.topics("--check", "--partitions", "5")
    check("topics: a difference is named", other.returncode == 1 and "is 3, must be 5" in other.stdout, other.stdout.strip().splitlines()[:1])
    refused("another number of partitions", "is 3, must be 5", partitions=5)
    refused("no Redis", "sojourn.yaml:", "storage.redis", "no answer", redis=f"redis://{dead}")
    refused("no sentinel", "storage.redis", "no sentinel leads to a master", redis=f"redis+sentinel://{dead}/shop")
    many = server.topics("--replication", "3", "--check")
    check("topics: too few copies are named", many.returncode == 1 and "the number of replicas is 1" in many.stdout, many.stdout.strip().splitlines()[:1])


def story(server, sink, between=None):
    """The same things happen in the same order, one after the other; `between` by the round of pings it comes before."""
    connection = http.client.HTTPConnection("127.0.0.1", server.gateway, timeout=20)
    messages = []
    for user in ("ada", "bo", "cy", "di"):
        messages.append({"type": "identify", "userId": user, "traits": {"email": f"{user}@x.example"}})
        messages.append({"type": "track", "event": "Consent Changed", "userId": user, "properties": {
            "channel": "email", "purpose": "marketing", "state": "denied" if user == "di" else "granted", "endpoint": f"{user}@x.example"}})
    messages.append({"type": "track", "event": "Ping", "anonymousId": "visitor", "properties": {"id": "before-sign-in"}})
    messages.append({"type": "identify", "userId": "bo", "anonymousId": "visitor"})
    rounds = {}
    for number in range(4):
        rounds[len(messages)] = number
        for user in ("ada", "bo", "cy", "di", "nobody"):
            messages.append({"type": "track", "event": "Ping", "userId": user, "properties": {"id": f"{user}-{number}"}})
        if number == 1:
            messages.append({"type": "track", "event": "Unsubscribed", "userId": "cy", "properties": {"channel": "email", "purpose": "marketing"}})
    messages.append({"type": "track", "event": "Signed Up", "userId": "ada", "properties": {"plan": "slow"}})
    for number, message in enumerate(messages):
        if rounds.get(number) in (between or {}):
            between[rounds[number]]()
            connection = http.client.HTTPConnection("127.0.0.1", server.gateway, timeout=20)
        if message.get("event") == "Unsubscribed":
            base.settled(sink, 1.5)  # what was approved before is out: what is on its way would be stopped
        status = base.post(connection, f"/v1/{message['type']}", {**message, "messageId": f"m{number}"})
        assert status == 200, f"message {number} was answered {status}"


def decided(server, wanted):
    """Every decision without what differs from run to run, by person and run."""
    def rows(records):
        found = []
        for r in records:
            if r["kind"] == "decision":
                person = sorted(one["value"] for one in r["identifiers"])
                found.append((person, r["journey"], r["step"], r["run_key"] or "", r["outcome"], r["reason"] or "", r["channel"], r["endpoint"] or "", r["caps"]))
        return sorted(found, key=str)

    return rows(server.tail(lambda records: len(rows(records)) >= wanted, seconds=30))


STORY_DECISIONS = 22  # 21 pings (one of a visitor who then signs in), one sign-up


def policy(server):
    path = server.folder / "ws" / "policy.yaml"
    text = path.read_text()
    assert '"caps": []' in text, text
    path.write_text(text.replace('"caps": []', '"caps":\n  - { id: daily, at_most: 2, per: 24h, scope: { channel: email }, at_cap: drop }'))


def same_as_embedded(folder):
    """One input, both storages: the same decisions and the same messages."""
    found = {}
    for kind in ("embedded", "kafka+redis"):
        sink = base.Sink()
        server = base.Server(folder / "embedded", sink) if kind == "embedded" else Shared(folder / "shared", sink).make()
        policy(server)
        server.start()
        try:
            story(server, sink)
            time.sleep(base.TIMER_SECONDS)
            decisions = decided(server, STORY_DECISIONS)
            base.settled(sink, 1.5)
            found[kind] = (decisions, sorted(key for key, times in sink.keys().items() for _ in times))
        finally:
            code = server.stop()
            check(f"{kind}: SIGTERM ends the process with 0", code == 0, code)
    (here, sent_here), (there, sent_there) = found.values()
    reasons = collections.Counter(row[5] or row[4] for row in here)
    check("the story has decisions of several kinds", len(here) == STORY_DECISIONS and len(reasons) >= 3, dict(reasons))
    differ = [pair for pair in zip(here, there) if pair[0] != pair[1]]
    check("Kafka and Redis decide as embedded storage does (DET-1)", here == there, f"{len(here)} and {len(there)} decisions; first difference {differ[:1]}")
    check("and the same messages go out", sent_here == sent_there and sent_here, f"{len(sent_here)} and {len(sent_there)}")


def kill_in_one_process(folder, chance):
    """kill -9 of the whole process under load, over brokers that go on."""
    sink = base.Sink()
    sink.delay = 0.002
    server = Shared(folder, sink, longest_call="5s").make().start()
    acknowledged = set(base.people(server))
    load = base.Load(server, ping_every=12, timer_every=61)
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.5, 2.0))
        server.kill()
        server.start()
    time.sleep(1.0)
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)  # timers, and what was begun by the killed
    base.settled(sink)
    records = base.everything_once(server, acknowledged, f"{ROUNDS} kills")
    delivered_once(sink, load, records, f"{ROUNDS} kills")
    server.stop()


def delivered_once(sink, load, records, what):
    """No action was answered twice, every run has sent or is known to be unknown."""
    check(f"{what}: the load was answered", load.statuses[200] > 50, dict(load.statuses))
    twice = sink.twice()
    check(f"{what}: no action is delivered twice (ACT-1)", not twice, f"{sink.total():,} deliveries, twice: {base.sample(twice)}")
    per_key = sink.keys()
    double = [key for key, times in per_key.items() if len(times) > 1]
    check(f"{what}: no run sends twice", not double, base.sample(double))
    unknown = len({r["action_id"] for r in records if r["kind"] == "delivery" and r["outcome"] == "unknown"})
    wanted = {m for m, (_, event) in load.at.items() if event in ("Ping", "Signed Up")}
    undelivered = [m for m in wanted if m not in per_key]
    check(f"{what}: every run has sent, or its outcome is known to be unknown", wanted and len(undelivered) <= unknown,
          f"{len(wanted):,} runs, not delivered {len(undelivered)}, unknown outcomes {unknown}")


class Roles(Shared):
    """Every role in a process of its own; some of them twice."""

    def __init__(self, folder, sink, **storage):
        super().__init__(folder, sink, **storage)
        self.channels, self.processes, self.ports = base.free_port(), {}, {}
        with open(folder / "ws" / "sojourn.yaml", "a", encoding="utf-8") as file:
            file.write(f'"listen":\n  "channels": "127.0.0.1:{self.channels}"\n')

    channels_at = "http://127.0.0.1"

    def spawn(self, name):
        """Starts `role` or `role-2`."""
        role = name.split("-")[0]
        port = self.gateway if role == "gateway" else self.ports.setdefault(name, base.free_port())
        command = [base.BINARY, "run", role, str(self.folder / "ws"), "--listen", f"127.0.0.1:{port}"]
        if role == "dispatcher":
            command += ["--channels", f"{self.channels_at}:{self.channels}"]
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        base.RUNNING.append(self.processes[name])

    def begin(self, name, wait=True):
        """Starts `role` or `role-2`, and waits until it is ready."""
        self.spawn(name)
        if wait:
            self.wait_ready(name)
        return self

    def wait_ready(self, name):
        port = self.gateway if name == "gateway" else self.ports[name]
        end = time.monotonic() + base.READY_SECONDS_MAX
        while time.monotonic() < end:
            if self.processes[name].poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.05)
        words = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:]
        raise AssertionError(f"{name} has not become ready:\n" + "\n".join(words))

    def crash(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def end(self, name, seconds=60):
        self.processes[name].terminate()
        return self.processes[name].wait(seconds)

    def doctor(self):
        done = self.cli("doctor", str(self.folder / "ws"), "--json")
        return json.loads(done.stdout)["server"]

    def owners(self, role="engine"):
        """Process id of the owner of each partition."""
        return {row["partition"]: row["owner"].split(":")[1] for row in self.doctor()["partitions"] if row["role"] == role and row.get("owner")}

    def owned_by(self, role, *names, seconds=30):
        """Waits until the partitions of a role are exactly these processes'; how long it took, or None."""
        began, wanted = time.monotonic(), {str(self.processes[name].pid) for name in names}
        while time.monotonic() - began < seconds:
            owners = self.owners(role)
            if len(owners) == self.partitions and set(owners.values()) == wanted:
                return time.monotonic() - began
            time.sleep(0.1)
        return None


ROLES = ("gateway", "channels", "identity", "engine", "dispatcher")


def roles_as_processes(folder, chance):
    """kill -9 of each role in turn under load, a second engine, a new version, a clean end."""
    sink = base.Sink()
    sink.delay = 0.002
    house = Roles(folder, sink, longest_call="5s").make()
    for name in ROLES:
        house.begin(name)
    check("roles: every role is ready in a process of its own", True, ", ".join(ROLES))
    acknowledged = set(base.people(house))
    load = base.Load(house, ping_every=12, timer_every=61)
    for name in ("engine", "identity", "dispatcher", "gateway", "channels"):
        time.sleep(chance.uniform(0.5, 1.5))
        house.crash(name)
        time.sleep(chance.uniform(0.0, 0.5))
        house.begin(name)
    house.begin("engine-2")
    took = house.owned_by("engine", "engine", "engine-2")
    check("roles: a second engine takes its share", took is not None, f"after {took:.1f} s" if took is not None else house.owners())
    time.sleep(1.0)
    house.crash("engine")
    took = house.owned_by("engine", "engine-2")
    check("roles: the other engine takes over what a killed one had", took is not None and took < 8, f"after {took:.1f} s" if took is not None else house.owners())
    house.begin("dispatcher-2")
    took = house.owned_by("dispatcher", "dispatcher", "dispatcher-2")
    check("roles: a second dispatcher takes its share", took is not None, f"after {took:.1f} s" if took is not None else house.owners("dispatcher"))
    time.sleep(1.0)
    house.crash("dispatcher")
    took = house.owned_by("dispatcher", "dispatcher-2")
    check("roles: the other dispatcher takes over", took is not None and took < 8, f"after {took:.1f} s" if took is not None else house.owners("dispatcher"))
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)  # timers, and what was begun by the killed
    base.settled(sink)
    records = base.everything_once(house, acknowledged, "roles")
    delivered_once(sink, load, records, "roles")
    new_version(house, sink)
    for name in ("gateway", "channels", "identity", "engine-2", "dispatcher-2"):
        code = house.end(name)
        check(f"roles: SIGTERM ends {name} with 0", code == 0, code)


def new_version(house, sink):
    """A publish reaches every process: a journey that did not exist sends."""
    folder = house.folder / "ws" / "journeys"
    (folder / "new.yaml").write_text((folder / "at-once.yaml").read_text().replace("at-once", "new").replace('"Ping"', '"Product Viewed"').replace("properties.id", "properties.product_id"))
    done = house.cli("publish", str(house.folder / "ws"))
    check("roles: a version is published", done.returncode == 0, (done.stdout + done.stderr).strip().splitlines()[-1:])
    before = sink.total()
    connection = http.client.HTTPConnection("127.0.0.1", house.gateway, timeout=10)
    status = base.post(connection, "/v1/track", {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "view-1", "properties": {"product_id": "x1"}})
    end = time.monotonic() + 20
    while sink.total() == before and time.monotonic() < end:
        time.sleep(0.1)
    check("roles: and holds in every process", status == 200 and "x1" in sink.keys(), f"{sink.total() - before} deliveries")


def broker(command, name):
    subprocess.run([str(HERE / "brokers" / "brokers.sh"), command, os.environ["BROKERS_DIR"], name], check=True, stdout=subprocess.DEVNULL)


def brokers_fall(folder, chance):
    """kill -9 of Redis and of Kafka under load, then an emptied Redis: the log has everything."""
    sink = base.Sink()
    sink.delay = 0.002
    server = Shared(folder, sink, longest_call="5s").make().start()
    acknowledged = set(base.people(server))
    load = base.Load(server, ping_every=12, timer_every=61)
    for name in ("redis", "kafka-1"):
        time.sleep(chance.uniform(0.5, 1.5))
        broker("kill", name)
        time.sleep(chance.uniform(0.5, 1.5))
        broker("again", name)
        time.sleep(2.0)
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)
    base.settled(sink)
    records = base.everything_once(server, acknowledged, "brokers fall")
    delivered_once(sink, load, records, "brokers fall")
    sent = sink.total()
    redis_cli("flushall")
    records = base.everything_once(server, acknowledged, "an emptied Redis")
    check("an emptied Redis: nothing goes out again", sink.total() == sent and not sink.twice(), f"{sink.total() - sent} deliveries more")
    before = sink.total()
    connection = http.client.HTTPConnection("127.0.0.1", server.gateway, timeout=10)
    status = base.post(connection, "/v1/track", {"type": "track", "event": "Ping", "userId": "u1", "messageId": "after", "properties": {"id": "after"}})
    end = time.monotonic() + 30
    while sink.total() == before and time.monotonic() < end:
        time.sleep(0.1)
    check("an emptied Redis: and messages go out as before", status == 200 and "after" in sink.keys(), f"{sink.total() - before} deliveries")
    check("brokers fall: SIGTERM ends the process with 0", server.stop() == 0)


def redis_cli(*words):
    subprocess.run(["redis-cli", "-u", REDIS, *words], check=True, stdout=subprocess.DEVNULL)


class Later(base.Load):
    """A second load: other message ids than the first."""

    def send(self, connection, batch):
        for message in batch:
            message["messageId"] = "later-" + message["messageId"]
            for key in ("id", "plan"):
                if key in message["properties"]:
                    message["properties"][key] = message["messageId"]
        return super().send(connection, batch)


RETENTION_SECONDS = 25
TRIM_SECONDS_MAX = 150  # the keeper looks every minute


def doctor_of(server):
    done = server.cli("doctor", str(server.folder / "ws"), "--json")
    return json.loads(done.stdout) if done.stdout.strip() else {"checks": [], "server": None}


def partitions_of(server, role):
    return [row for row in (doctor_of(server)["server"] or {}).get("partitions", []) if row["role"] == role]


def snapshot_and_restore(folder, chance):
    """A snapshot under load; Redis emptied over a trimmed log; what refuses says which snapshot; all there once."""
    sink = base.Sink()
    sink.delay = 0.002
    server = Shared(folder, sink, retention=f"{RETENTION_SECONDS}s", longest_call="5s").make().start()
    base.people(server)
    time.sleep(1.5)
    # The newest records stay: something comes after everybody's consent.
    connection = http.client.HTTPConnection("127.0.0.1", server.gateway, timeout=10)
    for number in range(base.PEOPLE):
        status = base.post(connection, "/v1/track", {"type": "track", "event": "Noop", "userId": f"u{number}", "messageId": f"before-{number}"})
        assert status == 200, f"answered {status}"
    end = time.monotonic() + TRIM_SECONDS_MAX
    while time.monotonic() < end:
        rows = partitions_of(server, "engine") + partitions_of(server, "identity")
        if rows and all(row["first"] > 0 for row in rows):
            break
        time.sleep(1)
    check("snapshot: the log no longer begins at its beginning", rows and all(row["first"] > 0 for row in rows), [row["first"] for row in rows])
    rows = partitions_of(server, "engine")
    check("doctor: says how old each checkpoint is, who owns it and by which epoch",
          all(row["checkpoint_age_ms"] is not None and row["owner"] and row["epoch"] and not row["refused"] for row in rows), rows[:1])
    load = Later(server, ping_every=12, timer_every=61)
    time.sleep(2.0)
    places = [str(folder / "snapshot")] + buckets(folder)
    for place in places:
        done = server.cli("snapshot", place, "--dir", str(folder / "ws"))
        check(f"snapshot: written under load to {place.partition(':')[0] if '://' in place else 'a folder'}", done.returncode == 0, (done.stdout + done.stderr).strip().splitlines()[-1:])
    again = server.cli("snapshot", places[0], "--dir", str(folder / "ws"))
    check("snapshot: a place that has one is not overwritten", again.returncode == 3 and "name another" in again.stderr, again.stderr.strip()[-120:])
    time.sleep(chance.uniform(0.5, 1.0))
    acknowledged = load.end()
    refused = server.cli("restore", places[0], "--dir", str(folder / "ws"))
    check("restore: what somebody works on is left alone", refused.returncode == 1 and "works on it" in refused.stdout, refused.stdout.strip().splitlines()[:2])
    server.kill()
    redis_cli("flushall")
    server.start(wait=False)
    wanted = ["sojourn restore", "engine/", "identity/0"]
    said, end = [], time.monotonic() + 60
    while time.monotonic() < end and not all(any(w in text for text in said) for w in wanted):
        time.sleep(0.5)
        said = [f"{one['name']}: {one['detail']}: {one['remedy']}" for one in doctor_of(server)["checks"] if not one["ok"]]
    check("an emptied store over a trimmed log: doctor names what to restore", all(any(w in text for text in said) for w in wanted), said[:3])
    log = server.log.read_text(errors="replace")
    check("and so do the roles", re.search(r"load a snapshot of identity/0 at \d+ or later", log) and re.search(r"load a snapshot of engine/\d at \d+ or later", log), server.last_words(2)[-200:])
    check("and nobody is ready", server.get("/readyz") != 200)
    server.kill()
    damaged = folder / "damaged"
    shutil.copytree(places[0], damaged)
    part = next(damaged.glob("engine.*.part"))
    part.write_bytes(part.read_bytes()[:-30])
    done = server.cli("restore", str(damaged), "--dir", str(folder / "ws"))
    check("restore: a damaged file restores nothing", done.returncode == 3 and "damaged" in done.stderr, done.stderr.strip()[-160:])
    time.sleep(4)  # the leases of the killed process end
    done = server.cli("restore", places[-1], "--dir", str(folder / "ws"))
    back = len(re.findall(r"^restored engine/\d", done.stdout, re.M))
    check("restore: every partition comes back", done.returncode == 0 and back == PARTITIONS and "restored identity/0" in done.stdout, (done.stdout + done.stderr).strip().splitlines()[-3:])
    server.start()
    time.sleep(base.TIMER_SECONDS + 6)  # timers, and what was begun by the killed
    base.settled(sink)
    records = base.everything_once(server, acknowledged, "a restored store")
    delivered_once(sink, load, records, "a restored store")
    check("a restored store: SIGTERM ends the process with 0", server.stop() == 0)


def buckets(folder):
    """A place in an S3-compatible store, where the suite has started one."""
    return ["s3://backups/snapshot"] if os.environ.get("AWS_ENDPOINT_URL") else []


def engines_come_and_go(folder, chance):
    """Two engines, then three, then one, with people inside journeys: the same decisions as one; then under load."""
    alone = base.Server(folder / "alone", sink := base.Sink())
    policy(alone)
    alone.start()
    # Nobody else's messages count for her caps: her timer may fire at any moment of the story.
    inside = [{"type": "identify", "userId": "eve", "messageId": "eve-1", "traits": {"email": "eve@x.example"}},
              {"type": "track", "event": "Consent Changed", "userId": "eve", "messageId": "eve-2", "properties": {
                  "channel": "email", "purpose": "marketing", "state": "granted", "endpoint": "eve@x.example"}},
              {"type": "track", "event": "Signed Up", "userId": "eve", "messageId": "eve-3", "properties": {"plan": "inside"}}]

    def enters(server):
        connection = http.client.HTTPConnection("127.0.0.1", server.gateway, timeout=20)
        assert base.post(connection, "/v1/batch", {"batch": inside}) == 200

    story(alone, sink, {0: lambda: enters(alone)})
    time.sleep(base.TIMER_SECONDS)
    wanted = decided(alone, STORY_DECISIONS + 1)
    alone.stop()

    sink = base.Sink()
    house = Roles(folder / "shared", sink, longest_call="5s")
    house.partitions = 6  # a share for each of three
    policy(house.make())
    for name in ("gateway", "channels", "identity", "engine", "engine-2", "dispatcher"):
        house.begin(name)

    def owned(what, *names):
        took = house.owned_by("engine", *names)
        check(f"scale: {what}", took is not None, f"after {took:.1f} s" if took is not None else house.owners())

    def three():
        house.begin("engine-3")
        owned("a third engine joins", "engine", "engine-2", "engine-3")

    def one():
        codes = [house.end(name) for name in ("engine", "engine-3")]
        check("scale: two of them end with 0", codes == [0, 0], codes)
        owned("the last one has everything", "engine-2")

    owned("two engines share the partitions", "engine", "engine-2")
    story(house, sink, {0: lambda: enters(house), 1: three, 2: one})
    time.sleep(base.TIMER_SECONDS)
    found = decided(house, STORY_DECISIONS + 1)
    differ = [pair for pair in zip(wanted, found) if pair[0] != pair[1]]
    check("scale: decided as by one process (DET-1)", len(wanted) == STORY_DECISIONS + 1 and wanted == found, f"{len(wanted)} and {len(found)} decisions; first difference {differ[:1]}")
    sink.delay = 0.002
    acknowledged = set(base.people(house))
    load = base.Load(house, ping_every=12, timer_every=23)
    time.sleep(chance.uniform(0.5, 1.0))
    house.begin("engine")
    owned("under load a second one joins", "engine", "engine-2")
    house.begin("engine-3")
    owned("and a third", "engine", "engine-2", "engine-3")
    house.end("engine-2")
    house.end("engine-3")
    owned("and one has everything again", "engine")
    time.sleep(chance.uniform(0.5, 1.0))
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)
    base.settled(sink)
    records = base.everything_once(house, acknowledged, "scale")
    # Most are refused by the cap: what was approved went out, once.
    twice = sink.twice()
    approved = {r["id"] for r in records if r["kind"] == "decision" and r["outcome"] in ("approve", "reroute")}
    unknown = {r["action_id"] for r in records if r["kind"] == "delivery" and r["outcome"] == "unknown"}
    check("scale: no action is delivered twice (ACT-1)", not twice, base.sample(twice))
    check("scale: what was approved went out", load.statuses[200] > 50 and len(approved) - len(unknown) <= sink.total() <= len(approved),
          f"{len(approved)} approved, {sink.total()} deliveries, unknown outcomes {len(unknown)}")
    in_order(records, "scale")
    for name in ("gateway", "identity", "engine", "dispatcher", "channels"):
        house.end(name)


def in_order(records, what):
    """Decisions of one person come in the order of their touchpoints."""
    last, wrong = {}, []
    for record in records:
        if record["kind"] == "decision":
            person = record["profile"]
            if record["at"] < last.get(person, ""):
                wrong.append(record["id"])
            last[person] = max(record["at"], last.get(person, ""))
    check(f"{what}: each person's decisions are in order", last and not wrong, f"{len(last)} people, out of order {len(wrong)} {base.sample(wrong)}")


MANY = 64


def many_partitions(folder, chance):
    """The default number of partitions: start, load, stop."""
    sink = base.Sink()
    sink.delay = 0.002
    server = Shared(folder, sink, longest_call="5s")
    done = server.topics("--partitions", str(MANY), "--replication", "1")
    check(f"{MANY} partitions: the topics are made", done.returncode == 0, (done.stdout + done.stderr).strip().splitlines()[-1:])
    began = time.monotonic()
    server.start()
    check(f"{MANY} partitions: every role is ready", True, f"after {time.monotonic() - began:.1f} s")
    acknowledged = set(base.people(server))
    load = base.Load(server, ping_every=12, timer_every=61)
    time.sleep(5.0)
    server.kill()
    server.start()
    time.sleep(2.0)
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)
    base.settled(sink)
    rows = partitions_of(server, "engine")
    check(f"{MANY} partitions: all are owned and caught up", len(rows) == MANY and all(row["owner"] and row["lag"] == 0 for row in rows), f"{sum(row['position'] for row in rows):,} records")
    records = base.everything_once(server, acknowledged, f"{MANY} partitions")
    delivered_once(sink, load, records, f"{MANY} partitions")
    began = time.monotonic()
    code = server.stop()
    check(f"{MANY} partitions: SIGTERM ends the process with 0", code == 0, f"after {time.monotonic() - began:.1f} s")


PARTS = {
    "starts": lambda folder, chance: starts_say_why(folder),
    "same": lambda folder, chance: same_as_embedded(folder),
    "one": kill_in_one_process,
    "roles": roles_as_processes,
    "fall": brokers_fall,
    "snapshot": snapshot_and_restore,
    "scale": engines_come_and_go,
    "many": many_partitions,
}


def main():
    if not BROKERS or not REDIS:
        print("KAFKA_BOOTSTRAP and REDIS_URL name the brokers: `tests/run distributed` starts them")
        return 2
    chance = random.Random(base.SEED)
    print(f"seed {base.SEED}")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sojourn-distributed-"))
    for name in sys.argv[1:] or PARTS:
        try:
            PARTS[name](scratch / name, chance)
        except Exception as error:  # noqa: BLE001: what broke is a failure of the suite
            check(f"{name} ran to its end", False, f"{type(error).__name__}: {error}")
    base.stop_all()
    return base.finish("distributed", scratch)


if __name__ == "__main__":
    sys.exit(main())
