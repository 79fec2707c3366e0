#!/usr/bin/env python3
"""Runs each SDK against `sojourn up`, directly and through a proxy that injects faults by a seed,
and reads back what the house has counted: each messageId exactly once. SEED=7 repeats a run."""

import collections
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ["SOJOURN_BIN"]
CLIENTS = pathlib.Path(os.environ["SOJOURN_CLIENTS"])
PYTHON = os.environ["SOJOURN_PYTHON"]
CHROMIUM = os.environ.get("CHROMIUM", "")
SEED = int(os.environ.get("SEED", "20"))
KEY = "client-tests"
FAULT_PERCENT = 30
FAULTS_MIN = 2  # of one run
READY_SECONDS_MAX = 60
CLIENT_SECONDS_MAX = 240
SETTLE_SECONDS_MAX = 60

NODE = ["node", str(CLIENTS / "node.mjs")]
PY = [PYTHON, str(HERE / "python_sdk.py")]
BROWSER = ["node", str(CLIENTS / "browser.mjs")]
ORACLES = ["node", str(CLIENTS / "oracles.mjs")]
BOTH = (0, FAULT_PERCENT)
# name, command, messages, further environment, percent of faults
RUNS = [
    ("analytics-node", NODE, 300, {}, BOTH),
    ("segment-analytics-python", PY, 200, {}, BOTH),
    ("segment-analytics-python gzip", PY, 200, {"GZIP": "1"}, BOTH),
    ("analytics-next in Chromium", BROWSER, 60, {}, BOTH),
    ("analytics-next in Chromium, batching", BROWSER, 150, {"BATCHING": "1"}, BOTH),
    # Requests made by the reference libraries of both standards.
    ("CloudEvents and Standard Webhooks", ORACLES, 40, {}, (0,)),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.status, answer.read()


def wait_for(port, path, process, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError):
            if get(port, path)[0] == 200:
                return True
        time.sleep(0.05)
    return False


class House:
    """`sojourn up` on a workspace of its own."""

    def __init__(self, folder):
        self.dir = folder / "ws"
        shutil.copytree(HERE / "ws", self.dir)
        self.port, self.log = free_port(), folder / "server.log"
        with open(self.dir / "sojourn.yaml", "a") as settings:
            settings.write(f'listen: {{ gateway: "127.0.0.1:{self.port}" }}\n')
        command = [BINARY, "up", str(self.dir)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if not wait_for(self.port, "/readyz", self.process, READY_SECONDS_MAX):
            sys.exit("the server has not become ready:\n" + self.log.read_text(errors="replace")[-2000:])

    def counts(self, wanted):
        """messageId -> how often the house has counted it, once all of `wanted` are there."""
        command = [BINARY, "tail", "--dir", str(self.dir), "--from-start", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        counts = collections.Counter()

        def read():
            for line in process.stdout:
                record = json.loads(line)
                if record.get("kind") == "touchpoint":
                    counts[record.get("message_id")] += 1

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        end = time.monotonic() + SETTLE_SECONDS_MAX
        while time.monotonic() < end and not wanted <= set(counts) and thread.is_alive():
            time.sleep(0.1)
        # A second copy would come after the first.
        time.sleep(0.5)
        process.kill()
        process.wait()
        thread.join(5)
        return counts

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Proxy:
    """Between one client and the house."""

    def __init__(self, upstream, seed, percent, page):
        self.port = free_port()
        command = ["node", str(CLIENTS / "proxy.mjs"), str(self.port), str(upstream), str(seed), str(percent), str(page)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if not wait_for(self.port, "/__acknowledged", self.process, READY_SECONDS_MAX):
            sys.exit("the proxy has not started")

    def report(self):
        return json.loads(get(self.port, "/__acknowledged")[1])

    def stop(self):
        self.process.terminate()
        self.process.wait()


RESULTS = []
FAULTS = collections.Counter()


def check(what, holds, detail):
    RESULTS.append(bool(holds))
    print(f"{'ok     ' if holds else 'FAILED '} {what}: {detail}", flush=True)


def run(house, page, number, name, command, count, extra, percent):
    proxy = Proxy(house.port, SEED + number, percent, page)
    prefix = f"c{number}p{percent}"
    environment = {**os.environ, "HOST": f"http://127.0.0.1:{proxy.port}", "KEY": KEY,
                   "COUNT": str(count), "PREFIX": prefix, "CHROMIUM": CHROMIUM, **extra}
    what = f"{name}, {percent} % faults"
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CLIENT_SECONDS_MAX)
        report = proxy.report()
    except subprocess.TimeoutExpired:
        return check(what, False, f"not done after {CLIENT_SECONDS_MAX} s")
    finally:
        proxy.stop()
    if done.returncode != 0:
        return check(what, False, f"the client ended with {done.returncode}: {done.stderr[-800:]}")
    sent = json.loads(done.stdout.strip().splitlines()[-1])
    counts = house.counts(set(sent))
    missing = [i for i in sent if counts[i] == 0]
    twice = [i for i in sent if counts[i] > 1]
    unacknowledged = set(sent) - set(report["ids"])
    faults = report["faults"]
    FAULTS.update(faults if percent else {})
    # Without faults the run would show nothing.
    tried = percent == 0 or sum(faults.values()) >= FAULTS_MIN
    holds = len(set(sent)) == count and not missing and not twice and not report["refused"] and tried
    detail = f"{len(sent)} sent, {len(sent) - len(missing)} stored, {len(twice)} twice, {sum(faults.values())} faults"
    if not holds:
        detail += f", {len(unacknowledged)} never acknowledged, {report['refused']} refused; {done.stderr[-400:]}"
    check(what, holds, detail)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sojourn-clients-"))
    page = CLIENTS / "page.js"
    subprocess.run([str(CLIENTS / "node_modules/.bin/esbuild"), str(CLIENTS / "browser.entry.mjs"), "--bundle",
                    "--format=iife", f"--outfile={page}", "--log-level=error"], check=True)
    print(f"seed {SEED}")
    house = House(folder)
    skipped = 0
    try:
        for number, (name, command, count, extra, percents) in enumerate(RUNS):
            if command is BROWSER and not CHROMIUM:
                print(f"skipped: {name}: no Chromium on this machine")
                skipped += len(percents)
                continue
            for percent in percents:
                run(house, page, number, name, command, count, extra, percent)
        # The worst kind most of all: stored, and the client does not know.
        check("every kind of fault happened", len(FAULTS) == 4 and min(FAULTS.values()) > 0, dict(FAULTS))
    finally:
        house.stop()
    failed = RESULTS.count(False)
    if failed:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{RESULTS.count(True)} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
