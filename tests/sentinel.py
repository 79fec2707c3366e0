"""A Redis master, its replica and three sentinels: `redis+sentinel://`, and a fail-over under load.

A part of tests/links.py.
"""

import contextlib
import os
import signal
import subprocess
import time

import distributed as shared
import processes as base
from processes import check

SERVICE = "shop"
DOWN_AFTER_MS = 1000
SENTINELS = 3


class Sentinels:
    """The servers, each in a folder of its own; ended by [`Sentinels.end`]."""

    def __init__(self, folder):
        self.folder, self.processes, self.ports = folder, {}, {}
        folder.mkdir(parents=True)
        for name in ("master", "replica", *(f"sentinel-{n}" for n in range(SENTINELS))):
            self.ports[name] = base.free_port()
        self.server("master")
        self.server("replica", f"replicaof 127.0.0.1 {self.ports['master']}")
        self.wait(lambda: b"master_link_status:up" in self.cli("replica", "info", "replication"), "the replica follows")
        for number in range(SENTINELS):
            self.sentinel(f"sentinel-{number}")
        self.wait(lambda: all(f"num-other-sentinels\n{SENTINELS - 1}\n".encode() in self.cli(f"sentinel-{n}", "sentinel", "master", SERVICE)
                              for n in range(SENTINELS)), "the sentinels know each other")
        self.url = "redis+sentinel://" + ",".join(f"127.0.0.1:{self.ports[f'sentinel-{n}']}" for n in range(SENTINELS)) + f"/{SERVICE}"

    def server(self, name, *more):
        place = self.folder / name
        place.mkdir(exist_ok=True)
        lines = [f"port {self.ports[name]}", "bind 127.0.0.1", f"dir {place}", 'save ""', "appendonly yes", "appendfsync always",
                 "repl-diskless-sync-delay 0", *more]
        (place / "redis.conf").write_text("\n".join(lines) + "\n")
        self.start(name, "redis-server", str(place / "redis.conf"))

    def sentinel(self, name):
        place = self.folder / name
        place.mkdir(exist_ok=True)
        master = self.ports["master"]
        lines = [f"port {self.ports[name]}", "bind 127.0.0.1", f"dir {place}", f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2",
                 f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}", f"sentinel failover-timeout {SERVICE} 5000"]
        (place / "sentinel.conf").write_text("\n".join(lines) + "\n")
        self.start(name, "redis-server", str(place / "sentinel.conf"), "--sentinel")

    def start(self, name, *command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        base.RUNNING.append(self.processes[name])
        self.wait(lambda: b"PONG" in self.cli(name, "ping"), f"{name} answers")

    def cli(self, name, *words):
        return subprocess.run(["redis-cli", "-p", str(self.ports[name]), *words], capture_output=True, timeout=10).stdout

    def wait(self, holds, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if holds():
                    return
            time.sleep(0.1)
        raise AssertionError(f"not in {seconds} s: {what}")

    def role(self, name):
        return self.cli(name, "role").split(b"\n")[0].decode()

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


def run(folder, chance):
    folder.mkdir(parents=True)
    servers = Sentinels(folder / "redis")
    try:
        refusals(folder, servers)
        fail_over(folder, servers, chance)
        stale(folder, servers, chance)
    finally:
        servers.end()


def refusals(folder, servers):
    def no(what, *words, **change):
        server = shared.Shared(folder / what.replace(" ", "-"), base.Sink(), **change).make()
        done = server.cli("up", str(server.folder / "ws"), "--port", str(base.free_port()))
        said = done.stderr.strip().splitlines()[-1:]
        fits = done.returncode == 3 and "storage.redis" in done.stderr and all(word in done.stderr for word in words)
        check(f"{what}: refused by name", fits, str(said)[:300])

    no("a service that nobody watches", "watches no service", redis=servers.url.replace(f"/{SERVICE}", "/other"))
    no("a replica instead of the master", "role", "replica", redis=f"redis://127.0.0.1:{servers.ports['replica']}")


def fail_over(folder, servers, chance):
    """The master sleeps longer than the sentinels wait, then wakes as somebody who was master."""
    sink = base.Sink()
    sink.delay = 0.002
    server = shared.Shared(folder / "house", sink, redis=servers.url, longest_call="5s").make().start()
    check("Sentinel: the house is up on the master that it names", True, servers.url)
    acknowledged = set(base.people(server))
    load = base.Load(server, ping_every=12, timer_every=61)
    time.sleep(chance.uniform(1.0, 2.0))
    os.kill(servers.processes["master"].pid, signal.SIGSTOP)
    began = time.monotonic()
    servers.wait(lambda: servers.role("replica") == "master", "the replica becomes master")
    took = time.monotonic() - began
    time.sleep(1.0)
    os.kill(servers.processes["master"].pid, signal.SIGCONT)
    servers.wait(lambda: servers.role("master") == "slave", "the old master becomes a replica")
    before = load.statuses[200]
    time.sleep(3.0)
    check("Sentinel: messages are taken after the fail-over", load.statuses[200] > before, f"new master after {took:.1f} s")
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)
    base.settled(sink)
    records = base.everything_once(server, acknowledged, "Sentinel")
    shared.delivered_once(sink, load, records, "Sentinel")
    second = base.Load(server, ping_every=12, timer_every=1000)
    time.sleep(1.0)
    servers.processes["replica"].kill()  # the master of now
    servers.wait(lambda: servers.role("master") == "master", "the first one becomes master again")
    time.sleep(3.0)
    check("Sentinel: and after a second one", bool(second.end()) and server.stop() == 0, dict(second.statuses))


def stale(folder, servers, chance):
    """The replica sleeps, the master goes on and dies: who takes over has lost what was acknowledged."""
    servers.server("replica", f"replicaof 127.0.0.1 {servers.ports['master']}")
    servers.wait(lambda: b"master_link_status:up" in servers.cli("replica", "info", "replication"), "the replica follows again")
    sink = base.Sink()
    sink.delay = 0.002
    server = shared.Shared(folder / "stale", sink, redis=servers.url, longest_call="5s").make().start()
    acknowledged = set(base.people(server))
    load = base.Load(server, ping_every=12, timer_every=61)
    time.sleep(chance.uniform(1.0, 2.0))
    os.kill(servers.processes["replica"].pid, signal.SIGSTOP)
    # Else what it missed waits for it in the buffers of their connection.
    servers.cli("master", "client", "kill", "type", "replica")
    time.sleep(chance.uniform(2.0, 3.0))
    end = replication(servers, "master", "master_repl_offset")
    servers.processes["master"].kill()
    os.kill(servers.processes["replica"].pid, signal.SIGCONT)
    servers.wait(lambda: servers.role("replica") == "master", "the stale replica becomes master")
    time.sleep(3.0)
    acknowledged |= load.end()
    time.sleep(base.TIMER_SECONDS + 6)
    base.settled(sink)
    records = base.everything_once(server, acknowledged, "a stale master")
    shared.delivered_once(sink, load, records, "a stale master")
    lost = end - replication(servers, "replica", "second_repl_offset") + 1
    check("a stale master: it had lost what was acknowledged", lost > 0, f"{lost:,} bytes of writes")
    check("a stale master: SIGTERM ends the process with 0", server.stop() == 0)


def replication(servers, name, field):
    info = servers.cli(name, "info", "replication").decode()
    return int(info.split(f"{field}:")[1].split()[0])
