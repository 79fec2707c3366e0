#!/usr/bin/env python3
"""Everything falls, at random moments, under load; afterwards the topics are read and checked.

    tests/chaos.py [MINUTES] [SEED]      the long form: three brokers, roles twice (`just chaos`)
    tests/chaos.py --disk                only the full disk, with which the long form ends
    tests/chaos.py --short               the suite's: one broker, every fault once, about two minutes

Real processes: `sojourn run ROLE`, Kafka, Redis. Faults come one after the other; while they do, messages
are sent (again, until acknowledged) and people revoke. Checked at the end: every acknowledged touchpoint
is in the log once and was decided once (LOG-1, LOG-2), nobody got more than the cap (CAP-1), nothing was
sent after an acknowledged revocation (CON-2), no action was delivered twice (ACT-1).
"""

import collections
import contextlib
import http.client
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import distributed as shared  # noqa: E402
import processes as base  # noqa: E402
from processes import check  # noqa: E402

# Three brokers and eight roles on a small machine: a restart may take its time.
os.environ.setdefault("BROKERS_READY_S", "300")
# After an outage a role may twice wait out the half minute in which it hopes for an answer of the log.
base.READY_SECONDS_MAX = 180
BROKERS_SH = str(HERE / "brokers" / "brokers.sh")
RATE = float(os.environ.get("RATE", "150"))  # messages a second, over all lanes
LANES = 3
CAP = 6
HOT = 10  # people who get a tenth of everything, and so come to the cap
LEAVERS = 60  # people who revoke
LEASE_SECONDS = 3
SLACK_SECONDS = 0.05
# A Redis that lost its last second may not know a revocation of that second (said at the start of the
# house, which wants `appendfsync always`): those are counted, not judged.
LOST_SECONDS = 2.5
DISK_MB = 300


class Brokers:
    """Kafka and Redis of this run, and what may happen to them."""

    def __init__(self, folder, nodes):
        self.folder, self.nodes = folder, nodes
        if folder.exists():
            subprocess.run([BROKERS_SH, "down", str(folder)], check=True)
        subprocess.run([BROKERS_SH, "up", str(folder), str(nodes), "1"], check=True, stdout=subprocess.DEVNULL)
        env = dict(line.removeprefix("export ").split("=", 1) for line in (folder / "env").read_text().splitlines())
        shared.BROKERS, shared.REDIS = env["KAFKA_BOOTSTRAP"], env["REDIS_URL"]

    def call(self, command, name):
        subprocess.run([BROKERS_SH, command, str(self.folder), name], check=True, stdout=subprocess.DEVNULL)

    def pid(self, name):
        return int((self.folder / name / "pid").read_text().split()[0])

    @contextlib.contextmanager
    def stopped(self, name):
        os.kill(self.pid(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(name), signal.SIGCONT)

    def lose_the_last_second(self):
        """Redis comes back from a file that ends about a second before it died."""
        self.cli("config", "set", "appendfsync", "everysec")
        files = sorted((self.folder / "redis" / "appendonlydir").glob("*.incr.aof"))
        size = files[-1].stat().st_size
        time.sleep(1.0)
        self.call("kill", "redis")
        with open(files[-1], "r+b") as file:
            file.truncate(max(size, 1))  # the server cuts a half-written command off by itself
        self.call("again", "redis")

    def cli(self, *words):
        shared.redis_cli(*words)

    def down(self):
        subprocess.run([BROKERS_SH, "down", str(self.folder)], check=False, stdout=subprocess.DEVNULL)


class Load:
    """Paced lanes that send until acknowledged, and people who revoke. Ids carry the person."""

    def __init__(self, house, people, seed, rate=RATE, batch=6, leavers=LEAVERS):
        self.house, self.people, self.stop, self.lock = house, people, threading.Event(), threading.Lock()
        self.rate, self.batch, self.seed, self.leavers = rate, batch, seed, leavers
        self.acknowledged, self.pings, self.revoked, self.statuses = set(), set(), {}, collections.Counter()
        self.give_up, self.began = None, time.time()
        work = [threading.Thread(target=self.lane, args=(n, random.Random(seed * 100 + n)), daemon=True) for n in range(LANES)]
        self.threads = [*work, threading.Thread(target=self.leave, daemon=True)]
        for thread in self.threads:
            thread.start()

    def lane(self, lane, chance):
        number, connection, due = 0, None, time.monotonic()
        while not self.stop.is_set():
            batch = []
            for _ in range(self.batch):
                number += 1
                user = f"u{chance.randrange(HOT) if chance.random() < 0.1 else chance.randrange(self.people)}"
                name = f"m{self.seed}-{lane}.{number}.{user}"
                event = ("Ping", {"id": name}) if number % 6 == 0 else ("Noop", {})
                batch.append({"type": "track", "event": event[0], "properties": event[1], "userId": user, "messageId": name})
            connection = self.send(connection, batch)
            due = max(due + self.batch * LANES / self.rate, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))

    def leave(self):
        connection = None
        for number in range(self.leavers):
            if self.stop.wait(1.5):
                return
            user = f"u{HOT + number}"
            message = {"type": "track", "event": "Consent Changed", "userId": user, "messageId": f"no.{user}", "properties": {
                "channel": "email", "purpose": "marketing", "state": "denied", "endpoint": f"{user}@x.example"}}
            before = len(self.acknowledged)
            connection = self.send(connection, [message])
            if len(self.acknowledged) > before and f"no.{user}" in self.acknowledged:
                self.revoked[user] = time.time()

    def send(self, connection, batch):
        while not (self.give_up and time.monotonic() > self.give_up):
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.house.gateway, timeout=90)
                status = base.post(connection, "/v1/batch", {"batch": batch})
                self.statuses[status] += 1
                if status == 200:
                    with self.lock:
                        self.acknowledged |= {message["messageId"] for message in batch}
                        self.pings |= {message["messageId"] for message in batch if message["event"] == "Ping"}
                    return connection
            except (OSError, http.client.HTTPException):
                self.statuses["no answer"] += 1
                with contextlib.suppress(Exception):
                    connection.close()
                connection = None
            time.sleep(0.1)
        return connection

    def end(self, seconds=90):
        self.give_up = time.monotonic() + seconds
        self.stop.set()
        for thread in self.threads:
            thread.join(seconds + 15)


class House(shared.Roles):
    """The roles; those that end without being told are started again, as a supervisor would, and counted."""

    ended = ()

    def up(self, names):
        self.names, self.ended, self.resting = names, [], set()
        for name in names:
            self.begin(name)
        self.watching = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while not self.watching.wait(0.5):
            for name in self.names:
                process = self.processes[name]
                if name not in self.resting and process.poll() is not None:
                    self.ended.append((name, process.returncode))
                    self.begin(name, wait=False)

    @contextlib.contextmanager
    def rest(self, name):
        self.resting.add(name)
        try:
            yield
        finally:
            self.begin(name, wait=False)
            self.resting.discard(name)


def faults(house, brokers, chance):
    """Name -> what happens. Each returns when whatever it broke is whole again."""
    def crash(role):
        name = chance.choice([name for name in house.names if name.split("-")[0] == role])
        with house.rest(name):
            house.crash(name)
            time.sleep(chance.uniform(0.0, 1.5))
        house.wait_ready(name)

    def zombie(role):
        name = chance.choice([name for name in house.names if name.split("-")[0] == role])
        process = house.processes[name]
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(LEASE_SECONDS + chance.uniform(1.5, 4.0))
        os.kill(process.pid, signal.SIGCONT)

    def redis_away():
        with brokers.stopped("redis"):
            time.sleep(chance.uniform(1.0, 8.0))

    def redis_again():
        brokers.call("kill", "redis")
        time.sleep(chance.uniform(0.2, 2.0))
        brokers.call("again", "redis")

    def kafka():
        return f"kafka-{chance.randint(1, brokers.nodes)}"

    def kafka_again():
        name = kafka()
        brokers.call("kill", name)
        time.sleep(chance.uniform(0.5, 3.0))
        brokers.call("again", name)

    def kafka_away():
        with brokers.stopped(kafka()):
            time.sleep(chance.uniform(2.0, 10.0))

    return {
        **{f"kill -9 of {role}": lambda role=role: crash(role) for role in shared.ROLES},
        **{f"{role} sleeps past its lease": lambda role=role: zombie(role) for role in ("engine", "identity", "dispatcher")},
        "Redis is emptied": lambda: brokers.cli("flushall"),
        "kill -9 of Redis": redis_again,
        "Redis loses its last second": brokers.lose_the_last_second,
        "Redis cannot be reached": redis_away,
        "kill -9 of a broker": kafka_again,
        "a broker cannot be reached": kafka_away,
    }


def person(key):
    return key.rsplit(".", 1)[1]


def judge(house, sink, load, lost, seconds):
    """What the topics and the channel say afterwards."""
    records = base.everything_once(house, load.acknowledged, "chaos")
    decided = collections.Counter(r["run_key"] for r in records if r["kind"] == "decision")
    missing, more = [k for k in load.pings if not decided[k]], [k for k, n in decided.items() if n > 1]
    check("chaos: every acknowledged event is decided once (LOG-2)", load.pings and not missing and not more,
          f"{len(load.pings):,} events, undecided {len(missing)} {base.sample(missing)}, twice {len(more)} {base.sample(more)}")
    twice = sink.twice()
    check("chaos: no action is delivered twice (ACT-1)", not twice, f"{sink.total():,} deliveries, twice {base.sample(twice)}")
    keys = sink.keys()
    got = collections.Counter(person(key) for key, times in keys.items() for _ in times)
    check("chaos: nobody gets more than the cap (CAP-1)", got and max(got.values()) <= CAP, f"cap {CAP}, most {got.most_common(3)}")
    capped = sum(1 for r in records if r["kind"] == "decision" and r["reason"] == "cap")
    approved = {r["run_key"] for r in records if r["kind"] == "decision" and r["outcome"] == "approve"}
    check("chaos: the cap has refused, and has let through", capped and approved, f"{capped:,} refused, {len(approved):,} approved")
    after, unjudged = [], 0
    for key, times in keys.items():
        at = load.revoked.get(person(key))
        late = [t for t in times if at and t > at + SLACK_SECONDS]
        if late and any(-SLACK_SECONDS < moment - at < LOST_SECONDS for moment in lost):
            unjudged += 1
        elif late:
            after.append((key, f"acknowledged at {at - load.began:.1f} s, sent at {max(late) - load.began:.1f} s"))
    for key, _ in after[:2]:  # what the log says of it
        actions = {r["action_id"] for r in records if r.get("run_key") == key and r.get("action_id")}
        for row in records:
            if row.get("run_key") == key or row.get("action_id") in actions or row.get("message_id") in (f"no.{person(key)}", key):
                told = {name: row[name] for name in ("kind", "at", "occurred_at", "log_time", "outcome", "reason", "detail", "action_id", "message_id") if row.get(name)}
                print(f"        {key}: {told}")
    check("chaos: nothing is sent after an acknowledged revocation (CON-2)", not after,
          f"{len(load.revoked)} revocations; late {after[:5]}; in a second that Redis lost {unjudged}")
    unknown = {r["action_id"] for r in records if r["kind"] == "delivery" and r["outcome"] == "unknown"}
    unsent = [key for key in approved - set(keys) if person(key) not in load.revoked]
    check("chaos: what was approved is sent, or known to be unknown", len(unsent) <= len(unknown),
          f"{len(approved):,} approved, not sent {len(unsent)}, unknown {len(unknown)}")
    print(f"stated: {len(load.acknowledged):,} messages in {seconds:.0f} s of faults, answers {dict(load.statuses)}, roles that ended by themselves {house.ended}")


def run(scratch, minutes, seed, short):
    chance, sink = random.Random(seed), base.Sink()
    sink.delay = 0.002
    place = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "brokers-chaos"
    brokers = Brokers(place, 1 if short else 3)
    people = base.PEOPLE = 150 if short else 150 + int(150 * minutes)
    house = House(scratch / "house", sink, longest_call="5s", takeover=f"{LEASE_SECONDS}s")
    path = house.folder / "ws" / "policy.yaml"
    path.write_text(path.read_text().replace('"caps": []', f'"caps":\n  - {{ id: most, at_most: {CAP}, per: 24h, scope: {{ channel: email }}, at_cap: drop }}'))
    made = house.topics("--partitions", str(shared.PARTITIONS), "--replication", str(brokers.nodes))
    assert made.returncode == 0, made.stdout + made.stderr
    load, lost = None, []
    try:
        house.up([*shared.ROLES, "engine-2"] if short else [*shared.ROLES, "engine-2", "identity-2", "dispatcher-2"])
        known = set(base.people(house))
        load = Load(house, people, seed)
        load.acknowledged |= known
        began = time.monotonic()
        possible = faults(house, brokers, chance)
        plan = list(possible) if short else None
        if plan:
            chance.shuffle(plan)
        end = began + minutes * 60
        while (plan if short else time.monotonic() < end):
            time.sleep(chance.uniform(0.3, 1.0) if short else chance.uniform(1.0, 5.0))
            name = plan.pop() if short else chance.choice(list(possible))
            at = time.time()
            possible[name]()
            if name == "Redis is emptied" or name == "Redis loses its last second":
                lost += [at, time.time()]
            print(f"        {time.monotonic() - began:5.1f} s  {name}, {time.time() - at:.1f} s", flush=True)
        seconds = time.monotonic() - began
        time.sleep(2.0)
        load.end()
        house.watching.set()
        for name in house.names:
            house.wait_ready(name)
        time.sleep(8.0)  # what was begun by the killed
        base.settled(sink)
        judge(house, sink, load, lost, seconds)
        for name in house.names:
            code = house.end(name)
            if code != 0:
                check(f"chaos: SIGTERM ends {name} with 0", False, code)
    finally:
        getattr(house, "watching", threading.Event()).set()
        base.stop_all()
        brokers.down()


def disk_full(scratch, seed):
    """The disk under Kafka and Redis fills up under load; with room again everything goes on."""
    disk = scratch / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], capture_output=True, text=True)
    if mounted.returncode != 0:
        base.skip("a full disk", f"mounting a tmpfs is not permitted here ({mounted.stderr.strip()})")
        return
    brokers = None
    try:
        brokers = Brokers(disk / "brokers", 1)
        sink = base.Sink()
        server = shared.Shared(scratch / "full", sink, longest_call="5s").make().start()
        known = set(base.people(server))
        load = Load(server, base.PEOPLE, seed, leavers=0)
        load.acknowledged |= known
        time.sleep(2.0)
        stuffing = disk / "stuffing"
        with contextlib.suppress(OSError), open(stuffing, "wb") as file:
            while True:
                file.write(bytes(1 << 20))
        began, refused = time.monotonic(), False
        while time.monotonic() - began < 40 and not refused:
            before = len(load.acknowledged)
            time.sleep(3.0)
            refused = len(load.acknowledged) == before
        lives = (pathlib.Path("/proc") / str(brokers.pid("kafka-1"))).exists()
        check("a full disk: nothing more is acknowledged", refused, f"after {time.monotonic() - began:.0f} s; the broker {'lives' if lives else 'has ended'}; answers {dict(load.statuses)}")
        stuffing.unlink()
        for name in ("kafka-1", "redis"):
            with contextlib.suppress(subprocess.CalledProcessError):
                brokers.call("kill", name)
            brokers.call("again", name)
        before = len(load.acknowledged)
        began = time.monotonic()
        while len(load.acknowledged) < before + 50 and time.monotonic() - began < 90:
            time.sleep(0.5)
        check("a full disk: with room again messages are taken", len(load.acknowledged) >= before + 50, f"after {time.monotonic() - began:.0f} s")
        load.end()
        time.sleep(8.0)
        base.settled(sink)
        records = base.everything_once(server, load.acknowledged, "a full disk")
        decided = collections.Counter(r["run_key"] for r in records if r["kind"] == "decision")
        check("a full disk: every acknowledged event is decided once (LOG-2)", load.pings and all(decided[k] == 1 for k in load.pings), f"{len(load.pings):,} events")
        check("a full disk: no action is delivered twice (ACT-1)", sink.total() and not sink.twice(), f"{sink.total():,} deliveries")
        check("a full disk: SIGTERM ends the process with 0", server.stop() == 0)
    finally:
        base.stop_all()
        if brokers:
            brokers.down()
        subprocess.run(["umount", "-l", str(disk)], capture_output=True)


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    short = "--short" in sys.argv
    minutes = float(words[0]) if words else 10.0
    seed = int(words[1]) if len(words) > 1 else base.SEED
    print(f"seed {seed}")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sojourn-chaos-"))
    try:
        if "--disk" not in sys.argv:
            run(scratch, minutes, seed, short)
        if not short:
            disk_full(scratch, seed)
    except Exception as error:  # noqa: BLE001: what broke is a failure of the run
        check("chaos ran to its end", False, f"{type(error).__name__}: {error}")
    return base.finish("chaos", scratch)


if __name__ == "__main__":
    sys.exit(main())
