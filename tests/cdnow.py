#!/usr/bin/env python3
"""Real input: the CDNOW purchase history through `sojourn import` and `sojourn simulate`.

69,659 purchases of 23,570 customers (1997-01 to 1998-06), from the PyPI package `lifetimes`, fetched
by the test and not copied into the project. The history names no addresses and no consents, so the
test adds both at each customer's first purchase: an address for all, consent to marketing for three
of four, to feedback for two of three, by customer number.

A post-purchase and a win-back journey run over it; every count is compared with a model of these two
journeys that is written here from the semantics' text and shares no code with the engine.
"""

import collections
import datetime
import hashlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "scenarios"))
sys.dont_write_bytecode = True
import notation  # noqa: E402

CACHE = pathlib.Path(os.environ.get("SOJOURN_CACHE", HERE / ".cache")) / "cdnow"
BINARY = os.environ.get("SOJOURN_BIN", str(HERE.parent / "target/release/sojourn"))
PYTHON = os.environ.get("SOJOURN_PYTHON", sys.executable)
MEMBER = "lifetimes/datasets/CDNOW_master.txt"
PURCHASES, CUSTOMERS = 69_659, 23_570
UNTIL = "1998-12-31T00:00:00.000Z"
DAY = 86_400_000
POST_PURCHASE, WIN_BACK, CAP_WINDOW = 7 * DAY, 90 * DAY, 30 * DAY
MORNING = 8 * 3_600_000  # quiet hours end; every purchase of the data is dated at midnight


def fetch():
    """The data set, from the package's wheel."""
    target = CACHE / "CDNOW_master.txt"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [PYTHON, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
                   "-d", str(CACHE), "lifetimes==0.11.3"]
        subprocess.run(command, check=True)
        wheel = next(p for p in CACHE.iterdir() if p.suffix == ".whl")
        target.write_bytes(zipfile.ZipFile(wheel).read(MEMBER))
    rows = target.read_text().splitlines()
    assert len(rows) == PURCHASES + 1, f"{len(rows)} lines"
    return target


def workspace():
    """A plain shop with the two journeys; in UTC, where midnight is midnight all year."""
    folder = CACHE / "ws"
    shutil.rmtree(folder, ignore_errors=True)
    shop = notation.base()["sojourn.yaml"]
    shop["time_zone"] = "UTC"
    orders = "Store Order Completed"
    plan = notation.base()["tracking-plan.yaml"]
    plan["events"][orders]["properties"]["discs"] = {"type": "number", "purposes": notation.PROPERTY_PURPOSES}
    journeys = [
        notation.journey(notation.wait("7d"), notation.send(expires="2d"), name="post-purchase", on=orders, purpose="feedback", reentry="after_exit"),
        notation.journey(notation.wait("90d", restart_on=orders), notation.send(expires="2d"), name="win-back", on=orders,
                         purpose="marketing/offers", reentry="after_exit"),
    ]
    case = notation.Case("cdnow", "real input", journeys, [], [], {
        "caps": [notation.cap(1, "30d", id="monthly")],
        "quiet_hours": [notation.quiet()],
    }, {"sojourn.yaml": shop, "tracking-plan.yaml": plan})
    case.write(folder.parent / "case")
    shutil.move(folder.parent / "case" / "ws", folder)
    return folder


def milliseconds(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(moment.timestamp() * 1000)


def agrees(customer, purpose):
    number = int(customer.rsplit("-", 1)[1])
    return number % 4 != 0 if purpose == "marketing" else number % 3 != 0


def with_people(purchases, target):
    """Puts before each customer's first purchase who they are and what they agreed to."""
    seen = set()
    with open(purchases, encoding="utf-8") as source, open(target, "w", encoding="utf-8") as out:
        for line in source:
            order = json.loads(line)
            customer, at = order["userId"], order["receivedAt"]
            if customer not in seen:
                seen.add(customer)
                common = {"receivedAt": at, "timestamp": at, "source": "till", "userId": customer}
                address = f"{customer}@cdnow.example"
                messages = [{"type": "identify", "traits": {"email": address}}]
                for purpose in ("marketing", "feedback"):
                    if agrees(customer, purpose):
                        messages.append({"type": "track", "event": "Consent Changed", "properties": {
                            "channel": "email", "purpose": purpose, "state": "granted", "endpoint": address}})
                for number, message in enumerate(messages):
                    out.write(json.dumps({**message, **common, "messageId": f"{customer}-person-{number}"}) + "\n")
            out.write(line)
    return len(seen)


class Customer:
    """The two journeys of one customer, by the text of semantics 1, 4, 5 and 7."""

    def __init__(self, name, counts):
        self.name, self.counts = name, counts
        self.runs = {}  # journey -> (state, due)
        self.sends = []

    def fire_until(self, now):
        while True:
            due = [(at, journey) for journey, (_, at) in self.runs.items() if at <= now]
            if not due:
                return
            at, journey = min(due)
            self.candidate(journey, at)

    def candidate(self, journey, now):
        purpose = "feedback" if journey == "post-purchase" else "marketing"
        if not agrees(self.name, purpose):
            return self.end(journey, "suppress", "no_consent")
        if any(now - CAP_WINDOW < sent <= now for sent in self.sends):
            return self.end(journey, "suppress", "cap")
        if now % DAY < MORNING or now % DAY >= 21 * 3_600_000:
            self.counts[journey, "defer", "quiet_hours"] += 1
            self.runs[journey] = ("deferred", now - now % DAY + MORNING)
            return None
        self.sends.append(now)
        return self.end(journey, "approve", None)

    def end(self, journey, outcome, reason):
        self.counts[journey, outcome, reason] += 1
        del self.runs[journey]

    def purchase(self, now):
        self.fire_until(now)
        state = self.runs.get("win-back")
        if state is None or state[0] == "waiting":  # an entry, or a restarted wait
            self.runs["win-back"] = ("waiting", now + WIN_BACK)
        self.runs.setdefault("post-purchase", ("waiting", now + POST_PURCHASE))


def model(purchases):
    counts, customers = collections.Counter(), {}
    with open(purchases, encoding="utf-8") as source:
        for line in source:
            order = json.loads(line)
            customer = customers.setdefault(order["userId"], Customer(order["userId"], counts))
            customer.purchase(milliseconds(order["receivedAt"]))
    for customer in customers.values():
        customer.fire_until(milliseconds(UNTIL))
    return counts


def simulate(ws, events, out):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    began = time.monotonic()
    subprocess.run([BINARY, "simulate", str(ws), "--events", str(events), "--decisions", str(out), "--until", UNTIL],
                   check=True, stdout=subprocess.PIPE)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # kB, the largest child so far
    return seconds, max(before, peak) / 1024


def main():
    results = []

    def check(what, holds, detail=""):
        results.append(bool(holds))
        print(("ok      " if holds else "FAILED  ") + what + (f": {detail}" if detail else ""))

    data, ws = fetch(), workspace()
    purchases, events = CACHE / "purchases.jsonl", CACHE / "events.jsonl"
    began = time.monotonic()
    subprocess.run([BINARY, "import", str(ws), "--source", "till", "--map", str(HERE / "cdnow/map.yaml"), str(data), "--out", str(purchases)], check=True)
    imported = sum(1 for _ in open(purchases, encoding="utf-8"))
    check("every purchase is imported", imported == PURCHASES, f"{imported} of {PURCHASES} in {time.monotonic() - began:.1f} s")
    customers = with_people(purchases, events)
    check("every customer is there", customers == CUSTOMERS, str(customers))
    lines = sum(1 for _ in open(events, encoding="utf-8"))

    seconds, megabytes = simulate(ws, events, CACHE / "first.jsonl")
    simulate(ws, events, CACHE / "second.jsonl")
    digests = [hashlib.sha256((CACHE / f"{n}.jsonl").read_bytes()).hexdigest() for n in ("first", "second")]
    check("the same bytes twice (DET-1)", digests[0] == digests[1], digests[0][:16])

    counts, people = collections.Counter(), set()
    approved = collections.defaultdict(list)
    with open(CACHE / "first.jsonl", encoding="utf-8") as source:
        for line in source:
            decision = json.loads(line)
            counts[decision["journey"], decision["outcome"], decision.get("reason")] += 1
            people.add(decision["profile"])
            if decision["outcome"] in ("approve", "reroute"):
                approved[decision["profile"]].append(milliseconds(decision["at"]))
    expected = model(purchases)
    for key in sorted(set(counts) | set(expected), key=str):
        journey, outcome, reason = key
        check(f"{journey} {outcome} {reason or ''}".strip(), counts[key] == expected[key], f"{counts[key]:,}" + (
            "" if counts[key] == expected[key] else f", the model says {expected[key]:,}"))
    closest = min((b - a for times in approved.values() for a, b in zip(sorted(times), sorted(times)[1:])), default=CAP_WINDOW)
    check("never two sends within 30 days (CAP-1)", closest >= CAP_WINDOW, f"closest {closest / DAY:.2f} d")
    quiet = [t for times in approved.values() for t in times if not MORNING <= t % DAY < 21 * 3_600_000]
    check("no send at night (QUI-1)", not quiet)
    print(f"stated: {lines:,} touchpoints of {customers:,} customers, {sum(counts.values()):,} decisions: {seconds:.1f} s, "
          f"{lines / seconds:,.0f} touchpoints/s, {megabytes:.0f} MB at most")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
