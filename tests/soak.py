#!/usr/bin/env python3
"""Half load for a while: what a process holds must not grow with time, and nothing is lost.

    tests/soak.py [MINUTES]      `just soak`

Every role is a process of its own over real Kafka and Redis. First it is measured how much the machine
takes, then half of it is sent. Memory and file handles of each role and the lag are compared between the
middle and the last third of the run. Redis holds every person's timeline, so it grows with what is sent:
there the bytes per message must not grow.
"""

import collections
import http.client
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import chaos  # noqa: E402
import distributed as shared  # noqa: E402
import processes as base  # noqa: E402
from processes import check  # noqa: E402

PEOPLE = 500
FULL_SECONDS = 15
SAMPLE_SECONDS = 5
# What the allocator and the caches may still take in a third of the run.
MEMORY_GROWTH_MAX, MEMORY_SLACK_MB = 0.08, 12
HANDLES_SLACK = 8
LAG_SECONDS_MAX = 5  # of what is sent
BYTES_GROWTH_MAX = 0.25
DRAIN_SECONDS_MAX = 300


def sample(house):
    found = {}
    for name in house.names:
        pid = house.processes[name].pid
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        found[name] = (int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024, len(os.listdir(f"/proc/{pid}/fd")))
    info = subprocess.run(["redis-cli", "-u", shared.REDIS, "info", "memory"], capture_output=True, text=True, check=True).stdout
    store = int(re.search(r"used_memory_dataset:(\d+)", info).group(1))
    return {"roles": found, "lag": lag(house), "store": store}


def thirds(samples):
    size = len(samples) // 3
    return samples[size:2 * size], samples[-size:]


def judge(house, samples, rate):
    middle, last = thirds(samples)
    for name in house.names:
        memory = [statistics.median(one["roles"][name][0] for one in part) for part in (middle, last)]
        handles = [max(one["roles"][name][1] for one in part) for part in (middle, last)]
        grown = memory[1] <= memory[0] * (1 + MEMORY_GROWTH_MAX) + MEMORY_SLACK_MB
        check(f"soak: {name} holds no more memory", grown, f"{memory[0]:.0f} MB, then {memory[1]:.0f} MB")
        check(f"soak: {name} holds no more files", handles[1] <= handles[0] + HANDLES_SLACK, f"{handles[0]}, then {handles[1]}")
    behind = [statistics.median(one["lag"] for one in part) for part in (middle, last)]
    check("soak: nobody falls behind", behind[1] <= rate * LAG_SECONDS_MAX, f"{behind[0]:.0f} records, then {behind[1]:.0f}")
    grown = []
    for part in (middle, last):
        messages = part[-1]["sent"] - part[0]["sent"]
        grown.append((part[-1]["store"] - part[0]["store"]) / max(messages, 1))
    check("soak: Redis takes no more per message", grown[1] <= grown[0] * (1 + BYTES_GROWTH_MAX) + 20, f"{grown[0]:.0f} bytes, then {grown[1]:.0f}; {samples[-1]['store'] / 1e6:.1f} MB in all")


def lag(house):
    found = 0.0
    for name in ("identity", "engine"):
        connection = http.client.HTTPConnection("127.0.0.1", house.ports[name], timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        found += sum(float(value) for value in re.findall(r"^sojourn_\w+_lag_records\S* (\S+)$", text, re.M))
    return found


def drained(house, sink):
    """Waits until everything that was sent is through; whether it came to that."""
    end = time.monotonic() + DRAIN_SECONDS_MAX
    while time.monotonic() < end:
        before = sink.total()
        time.sleep(1.0)
        if lag(house) == 0 and sink.total() == before:
            return True
    return False


def run(scratch, minutes):
    sink = base.Sink()
    place = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "brokers-soak"
    brokers = chaos.Brokers(place, 1)
    base.PEOPLE = PEOPLE
    house = chaos.House(scratch / "house", sink).make()
    try:
        house.up(list(shared.ROLES))
        base.people(house)
        began = time.monotonic()
        full = chaos.Load(house, PEOPLE, 1, rate=1e9, batch=25, leavers=0)
        time.sleep(FULL_SECONDS)
        full.end()
        assert drained(house, sink), "what was sent at full load does not get through"
        # What the machine takes is what it has worked off, not what the gateway has put into the log.
        most = len(full.acknowledged) / (time.monotonic() - began)
        load = chaos.Load(house, PEOPLE, 2, rate=most / 2, batch=25, leavers=0)
        samples, began = [], time.monotonic()
        while time.monotonic() - began < minutes * 60:
            time.sleep(SAMPLE_SECONDS)
            samples.append({**sample(house), "sent": len(load.acknowledged)})
        seconds = time.monotonic() - began
        load.end()
        through = drained(house, sink)
        judge(house, samples, most / 2)
        check("soak: half load was sent", len(load.acknowledged) > 0.8 * most / 2 * seconds, f"{len(load.acknowledged) / seconds:.0f} of {most / 2:.0f} messages/s")
        wanted, sent = full.pings | load.pings, sink.keys()
        lost = wanted - set(sent)
        check("soak: every acknowledged event has sent its message (LOG-1)", through and wanted and not lost, f"{len(wanted):,} events of {len(full.acknowledged) + len(load.acknowledged):,} messages, without one {len(lost)} {base.sample(lost)}")
        check("soak: and one only (LOG-2)", all(len(times) == 1 for times in sent.values()))
        check("soak: no action is delivered twice (ACT-1)", sink.total() and not sink.twice(), f"{sink.total():,} deliveries")
        check("soak: no role ended by itself", not house.ended, house.ended)
        shown = ", ".join(f"{name} {samples[-1]['roles'][name][0]:.0f} MB" for name in house.names)
        print(f"stated: {minutes:g} minutes at {most / 2:.0f} messages/s, half of what this machine took: {shown}")
    finally:
        getattr(house, "watching", chaos.threading.Event()).set()
        base.stop_all()
        brokers.down()


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sojourn-soak-"))
    try:
        run(scratch, minutes)
    except Exception as error:  # noqa: BLE001: what broke is a failure of the run
        check("soak ran to its end", False, f"{type(error).__name__}: {error}")
    shutil.rmtree(scratch, ignore_errors=True)
    counts = collections.Counter(base.RESULTS)
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
