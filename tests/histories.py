#!/usr/bin/env python3
"""Random histories through `sojourn simulate`, against a model that shares no code with it.

A seed draws a workspace (journeys, caps, quiet hours) and what some people do; `Model` works the
decisions out one person at a time from the sentences of the semantics, slowly and plainly. Every
decision line must agree. A failing seed leaves its files and prints how to run it again.

    tests/histories.py                 300 seeds
    tests/histories.py --seed 17       one, with both sides shown
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import zoneinfo
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "scenarios"))
sys.dont_write_bytecode = True
import notation  # noqa: E402

CACHE = pathlib.Path(os.environ.get("SOJOURN_CACHE", HERE / ".cache")) / "histories"
BINARY = os.environ.get("SOJOURN_BIN", str(HERE.parent / "target/release/sojourn"))
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
UTC = datetime.timezone.utc
ZONES = ["Europe/London", "Europe/Warsaw", "America/New_York", "Asia/Tokyo", "Australia/Sydney"]
STARTS = ["2026-03-02", "2026-03-27", "2026-10-23", "2026-06-10"]  # plain days, and days before a change of clocks
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


# ---- time -----------------------------------------------------------------------------------------

def parse(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def show(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"


def local(ms, zone):
    return datetime.datetime.fromtimestamp(ms // 1000, zone).replace(microsecond=ms % 1000 * 1000)


def instant(date, minutes, zone):
    """A local wall time as an instant: in a gap the first valid one after it, in an overlap the first."""
    wall = datetime.datetime.combine(date, datetime.time(minutes // 60, minutes % 60))
    ms = round(wall.replace(tzinfo=zone, fold=0).timestamp() * 1000)
    if local(ms, zone).replace(tzinfo=None) == wall:
        return ms
    # In a gap: the first minute after it that exists.
    while True:
        wall += datetime.timedelta(minutes=1)
        ms = round(wall.replace(tzinfo=zone, fold=0).timestamp() * 1000)
        if local(ms, zone).replace(tzinfo=None) == wall:
            return ms


def duration(text):
    return int(text[:-1]) * {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}[text[-1]]


def clock(text):
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


# ---- the model ------------------------------------------------------------------------------------

class Run:
    def __init__(self, journey, key, number, event, now):
        self.journey, self.key, self.number, self.event, self.entered = journey, key, number, event, now
        self.state, self.due, self.armed = None, None, None
        self.path = None  # place in the tree
        self.candidate = None


class Model:
    """One person's decisions. Section numbers are those of the semantics."""

    def __init__(self, workspace, person):
        self.w, self.person = workspace, person
        self.attributes, self.zone_name = {}, workspace["zone"]
        self.endpoints = {"email": [], "push": []}  # newest seen first
        self.consents, self.suppressed = [], set()
        self.history, self.runs, self.sends = [], [], []
        self.entries = []  # (journey, key, time)
        self.numbers = self.arming = self.position = 0
        self.lines = []

    # -- time (1)
    def advance_to(self, now):
        """Fires what is due by `now`; a wait_for's time-out only when `now` is later."""
        while True:
            due = []
            for run in self.runs:
                if run.state == "wait" and run.due <= now:
                    due.append((run.due, 0, run.armed, run))
                elif run.state == "wait_for" and run.due is not None and run.due < now:
                    due.append((run.due, 0, run.armed, run))
                elif run.state == "deferred" and run.due <= now:
                    due.append((run.due, 1, self.rank(run), run))
            if not due:
                return
            at, kind, _, run = min(due, key=lambda d: d[:3])
            self.now = at
            if run.state == "deferred":
                self.evaluate(run)
            elif run.state == "wait":
                self.walk(run, self.after(run.journey["steps"], run.path))
            else:
                step = self.step_at(run)
                self.walk(run, self.into(run, "timeout") if step.get("timeout") else self.after(run.journey["steps"], run.path))

    def rank(self, run):
        """(class, priority, expiry, value, id), first wins (6)."""
        c = run.candidate
        purpose = run.journey["purpose"].split("/")[0]
        order = [p for p in self.w["policy"]["purposes"] if p != "service"]
        klass = -1 if purpose == "service" else order.index(purpose)
        return (klass, -run.journey.get("priority", 50), c["expires"] if c["expires"] is not None else float("inf"), run.number, c["place"])

    def zone(self):
        return zoneinfo.ZoneInfo(self.zone_name)

    # -- the tree: a path is a list of indexes and names from the journey's steps
    def step_at(self, run):
        steps, step = run.journey["steps"], None
        for part in run.path:
            if isinstance(part, int):
                step = steps[part]
            elif part in ("then", "timeout"):
                steps = step[part]
            else:  # ("branch", i)
                one = step["branch"][part[1]]
                steps = one["steps"] if "steps" in one else one["else"]
        return step

    def lists(self, run_steps, path):
        """The list of steps that holds each index of the path."""
        steps, found, step = run_steps, [], None
        for part in path:
            if isinstance(part, int):
                found.append(steps)
                step = steps[part]
            elif part in ("then", "timeout"):
                steps = step[part]
            else:
                one = step["branch"][part[1]]
                steps = one["steps"] if "steps" in one else one["else"]
        return found

    def after(self, steps, path):
        """The step that follows, out of blocks where a block ends; None at the end."""
        path = list(path)
        while path:
            siblings = self.lists(steps, path)[-1]
            if path[-1] + 1 < len(siblings):
                return path[:-1] + [path[-1] + 1]
            path = path[:-1]
            while path and not isinstance(path[-1], int):
                path = path[:-1]
        return None

    def into(self, run, block):
        return run.path + [block, 0]

    # -- journeys (7)
    def walk(self, run, path):
        run.state = run.due = None
        while path is not None:
            run.path = path
            step = self.step_at(run)
            if "send" in step:
                if not self.send(run, step):
                    return
            elif "wait" in step:
                run.state, run.due = "wait", self.wait_until(step["wait"])
                self.arm(run)
                return
            elif "wait_for" in step:
                timeout = step["wait_for"].get("timeout")
                run.state, run.due = "wait_for", self.now + duration(timeout) if timeout else None
                self.arm(run)
                return
            elif "branch" in step:
                for number, one in enumerate(step["branch"]):
                    if "else" in one or self.holds(one["when"], run.event):
                        body = one["steps"] if "steps" in one else one["else"]
                        if body:
                            path = path + [("branch", number), 0]
                            break
                else:
                    path = self.after(run.journey["steps"], path)
                    continue
                if isinstance(path[-2], tuple):
                    continue
                path = self.after(run.journey["steps"], path)
                continue
            elif "exit" in step:
                break
            path = self.after(run.journey["steps"], path)
        self.runs.remove(run)

    def arm(self, run):
        self.arming += 1
        run.armed = self.arming

    def wait_until(self, what):
        if isinstance(what, str):
            return self.now + duration(what)
        zone, minutes = self.zone(), clock(what["until"])
        date = local(self.now, zone).date() - datetime.timedelta(days=1)
        while True:
            at = instant(date, minutes, zone)
            if at > self.now and what.get("on") in (None, WEEKDAYS[date.weekday()]):
                return at
            date += datetime.timedelta(days=1)

    def holds(self, condition, event):
        kind, operand = condition
        if kind == "n":
            n = event["properties"].get("n")
            return n is not None and n >= operand
        if kind == "tier":
            return self.attributes.get("tier") == operand
        name, window, least = operand
        return sum(1 for e in self.history if e["event"] == name and self.now - duration(window) < e["occurred"] <= self.now) >= least

    def later(self, event, than):
        return (event["occurred"], event["position"]) > (than["occurred"], than["position"])

    def record(self, event, now):
        """One touchpoint of this person, at log time `now`."""
        self.advance_to(now)
        self.now = now
        self.position += 1
        event = {**event, "position": self.position, "occurred": min(event["occurred"], now)}
        self.person_first(event)
        self.history.append(event)
        for run in list(self.runs):
            self.end_on(run, event)
        for run in list(self.runs):
            if run in self.runs:
                self.continue_on(run, event)
        for journey in sorted(self.w["journeys"], key=lambda j: (-j.get("priority", 50), j["journey"])):
            self.enter_on(journey, event)

    def end_on(self, run, event):
        if not self.later(event, run.event):
            return
        goal = run.journey.get("goal")
        if goal and event["event"] in goal["on"] and self.now - run.entered <= duration(goal["within"]):
            return self.end(run, "goal_met")
        for rule in run.journey.get("exit_on", []):
            if event["event"] == rule["on"] and ("when" not in rule or self.holds(rule["when"], event)):
                return self.end(run, "exited")
        return None

    def end(self, run, reason):
        if run.state == "deferred":
            self.line(run, run.candidate["step"], "suppress", reason, channel=None, endpoint=None)
        self.runs.remove(run)

    def concerns(self, run, event):
        if not self.later(event, run.event):
            return False
        key = self.key_of(run.journey, event)
        return key is None or run.journey["entry"].get("key") is None or key == run.key

    def key_of(self, journey, event):
        field = journey["entry"].get("key")
        return event["properties"].get(field.rsplit(".", 1)[1]) if field else None

    def continue_on(self, run, event):
        step = self.step_at(run)
        if run.state == "wait" and step.get("restart_on") == event["event"] and self.concerns(run, event):
            run.due = self.now + duration(step["wait"])
            self.arm(run)
        elif run.state == "wait_for":
            rule = step["wait_for"]
            if rule["on"] == event["event"] and self.concerns(run, event) and ("when" not in rule or self.holds(rule["when"], event)):
                self.walk(run, self.into(run, "then") if step.get("then") else self.after(run.journey["steps"], run.path))

    def enter_on(self, journey, event):
        entry = journey["entry"]
        if entry["on"] != event["event"] or ("when" in entry and not self.holds(entry["when"], event)):
            return
        if self.now - event["occurred"] >= duration(entry.get("accept_late", "24h")):
            return
        key = self.key_of(journey, event)
        if entry.get("key") and key is None:
            return
        for rule in journey.get("exit_on", []):
            for past in self.history:
                if past["event"] == rule["on"] and self.later(past, event) and ("when" not in rule or self.holds(rule["when"], past)):
                    return
        name = journey["journey"]
        live = [r for r in self.runs if r.journey["journey"] == name]
        of_key = [r for r in live if r.key == key]
        before = [at for j, k, at in self.entries if j == name and k == key]
        reentry = entry["reentry"]
        if reentry == "never" and before or reentry != "always" and of_key:
            return
        if reentry.startswith("after ") and before and before[-1] + duration(reentry[6:]) > self.now:
            return
        if "at_most" in entry:
            number, _, window = entry["at_most"].split()
            if sum(1 for j, _, at in self.entries if j == name and self.now - duration(window) < at <= self.now) >= int(number):
                return
        if "concurrent" in entry and len(live) >= entry["concurrent"]:
            return
        self.numbers += 1
        self.entries.append((name, key, self.now))
        run = Run(journey, key, self.numbers, event, self.now)
        self.runs.append(run)
        self.walk(run, [0])

    # -- who they are, what they agreed to (2, 3)
    def person_first(self, event):
        traits, properties = event.get("traits", {}), event["properties"]
        if "email" in traits:
            self.saw("email", traits["email"])
        if event.get("device"):
            self.saw("push", event["device"])
        self.attributes.update(traits)
        if "time_zone" in traits:
            self.zone_name = traits["time_zone"]
        if event["event"] == "Consent Changed":
            endpoint = properties.get("endpoint")
            targets = [endpoint] if endpoint else list(self.endpoints[properties["channel"]])
            deny = properties["state"] == "denied"
            if deny and not endpoint:
                targets.append(None)  # and those to come
            for target in targets:
                self.consents.append((properties["channel"], target, properties["purpose"], properties.get("topic"), deny, event["occurred"] // SECOND))
        if event["event"] == "Unsubscribed":
            for purpose in ("marketing", "feedback"):
                if properties.get("purpose", purpose) == purpose:
                    self.consents.append(("email", properties["endpoint"], purpose, None, True, event["occurred"] // SECOND))
        if event["event"] in ("Email Bounced", "Email Marked as Spam") and properties.get("type", "hard") == "hard":
            self.suppressed.add(("email", properties["endpoint"]))
        if event["event"] == "Message Failed":
            for send in reversed(self.sends):
                if (send["journey"], send["step"]) == (properties["journey"], properties["step"]):
                    self.sends.remove(send)
                    break

    def saw(self, channel, value):
        held = self.endpoints[channel]
        if value in held:
            held.remove(value)
        held.insert(0, value)

    def level(self, channel, endpoint, purpose, topic):
        """granted, denied or None at one level: newest by whole seconds, a deny wins its second."""
        said = [(at, deny) for c, e, p, t, deny, at in self.consents if c == channel and e in (endpoint, None) and p == purpose and t == topic]
        return None if not said else "denied" if max(said)[1] else "granted"

    def permitted(self, channel, endpoint, purpose, topic):
        levels = [self.level(channel, endpoint, purpose, None)] + ([self.level(channel, endpoint, purpose, topic)] if topic else [])
        if "denied" in levels:
            return False
        return purpose == "service" or "granted" in levels

    # -- caps (4), quiet hours (5)
    def exempt(self, purpose, what):
        return what in self.w["policy"]["purposes"][purpose].get("exempt", [])

    def full(self, run, step, channel):
        purpose, _, topic = run.journey["purpose"].partition("/")
        if self.exempt(purpose, "caps"):
            return []
        labels = {"channel": channel, "purpose": purpose, "topic": topic or None, "journey": run.journey["journey"], "step": step["id"]}
        found = []
        for cap in self.w["policy"]["caps"]:
            fits = lambda one: all(one[k] == v for k, v in cap["scope"].items())
            if not fits(labels):
                continue
            counted = [s["at"] for s in self.sends if s["counted"] and fits(s)]
            zone = self.zone()
            if cap["per"].startswith("local"):
                day = local(self.now, zone).date()
                first = {"local_day": day, "local_week": day - datetime.timedelta(days=day.weekday()), "local_month": day.replace(day=1)}[cap["per"]]
                next_first = {"local_day": first + datetime.timedelta(days=1), "local_week": first + datetime.timedelta(days=7),
                              "local_month": (first + datetime.timedelta(days=32)).replace(day=1)}[cap["per"]]
                counted = [at for at in counted if at >= instant(first, 0, zone)]
                free = instant(next_first, 0, zone)
            else:
                window = duration(cap["per"])
                counted = sorted(at for at in counted if at > self.now - window)
                free = counted[-cap["at_most"]] + window if len(counted) >= cap["at_most"] else None
            if len(counted) >= cap["at_most"]:
                found.append((cap, free))
        return found

    def quiet_until(self, run, channel):
        """The first instant outside every window that holds now; None outside all."""
        purpose = run.journey["purpose"].split("/")[0]
        if self.exempt(purpose, "quiet_hours"):
            return None, None
        windows = [w for w in self.w["policy"]["quiet_hours"] if channel in w["channels"] and purpose in w["purposes"]]
        zone, at, then = self.zone(), self.now, None
        while True:
            for window in windows:
                end = self.inside(window, at, zone)
                if end is not None:
                    then, at = then or window["then"], end
                    break
            else:
                return (at, then) if at > self.now else (None, None)

    def inside(self, window, at, zone):
        start, end = clock(window["from"]), clock(window["to"])
        date = local(at, zone).date()
        for back in (0, 1, 2):
            day = date - datetime.timedelta(days=back)
            begins = instant(day, start, zone)
            ends = instant(day if end > start else day + datetime.timedelta(days=1), end, zone)
            if begins <= at < ends:
                return ends
        return None

    # -- the decision (6)
    def send(self, run, step):
        """Makes the candidate; true when the run goes on at once."""
        expires = step["send"].get("expires")
        run.candidate = {"step": step, "expires": self.now + duration(expires) if expires else None, "place": self.place(run)}
        return self.judge(run)

    def place(self, run):
        """Order of the steps as they are written."""
        return [p if isinstance(p, int) else {"then": 0, "timeout": 1}.get(p, p[1] if isinstance(p, tuple) else 0) for p in run.path]

    def evaluate(self, run):
        if self.judge(run):
            self.walk(run, self.after(run.journey["steps"], run.path))

    def judge(self, run):
        step, purpose_topic = run.candidate["step"], run.journey["purpose"]
        purpose, _, topic = purpose_topic.partition("/")
        channels = list(step["send"]["channels"])
        preferred = self.attributes.get("preferred_channel")
        if preferred in channels:
            channels.remove(preferred)
            channels.insert(0, preferred)
        checked = []
        for channel in channels:
            reason, endpoint = "endpoint_missing", None
            for number, one in enumerate(self.endpoints[channel]):
                why = "endpoint_suppressed" if (channel, one) in self.suppressed else None if self.permitted(channel, one, purpose, topic or None) else "no_consent"
                if why is None:
                    reason, endpoint = None, one
                    break
                if number == 0:
                    reason, endpoint = why, one
            checked.append((channel, reason, endpoint))
        first_channel, first_reason, first_endpoint = checked[0]
        open_channels = [(c, e) for c, r, e in checked if r is None]
        if not open_channels:
            return self.line(run, step, "suppress", first_reason, channel=first_channel, endpoint=first_endpoint)
        channel, endpoint = open_channels[0]
        if run.candidate["expires"] is not None and self.now >= run.candidate["expires"]:
            return self.line(run, step, "suppress", "expired", channel=channel, endpoint=endpoint)
        at_cap, why_not_first = step["send"].get("at_cap"), first_reason
        for number, (channel, endpoint) in enumerate(open_channels):
            full = self.full(run, step, channel)
            if not full:
                break
            what = at_cap or full[0][0].get("at_cap", "drop")
            if what == "fallback":
                why_not_first = why_not_first or "cap"
                if number + 1 < len(open_channels):
                    continue
                what = "drop"
            if what == "drop":
                return self.line(run, step, "suppress", "cap", channel=channel, endpoint=endpoint)
            return self.defer(run, step, "cap", max(free for _, free in full), channel, endpoint)
        until, then = self.quiet_until(run, channel)
        if until is not None:
            if then == "drop":
                return self.line(run, step, "suppress", "quiet_hours", channel=channel, endpoint=endpoint)
            return self.defer(run, step, "quiet_hours", until, channel, endpoint)
        self.sends.append({"at": self.now, "channel": channel, "purpose": purpose, "topic": topic or None, "journey": run.journey["journey"],
                           "step": step["id"], "counted": not self.exempt(purpose, "caps")})
        if channel == first_channel:
            return self.line(run, step, "approve", None, channel=channel, endpoint=endpoint)
        return self.line(run, step, "reroute", why_not_first, channel=channel, endpoint=endpoint)

    def defer(self, run, step, reason, until, channel, endpoint):
        self.line(run, step, "defer", reason, channel=channel, endpoint=endpoint, until=show(until))
        expires = run.candidate["expires"]
        run.state, run.due = "deferred", until if expires is None else min(until, expires)
        return False

    def line(self, run, step, outcome, reason, channel, endpoint, until=None):
        line = {"at": show(self.now), "journey": run.journey["journey"], "run_key": run.key, "step": step["id"], "outcome": outcome,
                "reason": reason, "until": until, "zone": self.zone_name}
        if channel:
            line.update(channel=channel, endpoint=endpoint)
        self.lines.append(line)
        return True


# ---- what is drawn --------------------------------------------------------------------------------

EVENTS = ["Ping", "Signed Up", "Order Completed", "Email Link Clicked"]


class Draw:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.steps = 0

    def chance(self, percent):
        return self.r.random() * 100 < percent

    def condition(self):
        kind = self.r.choice(["n", "n", "tier", "count"])
        if kind == "n":
            return ("n", self.r.randint(1, 4))
        if kind == "tier":
            return ("tier", "gold")
        return ("count", (self.r.choice(EVENTS), self.r.choice(["2h", "24h"]), self.r.randint(1, 3)))

    def block(self, depth, most=3):
        return [self.step(depth) for _ in range(self.r.randint(1, most))]

    def step(self, depth):
        self.steps += 1
        step = {"id": f"s{self.steps}"}
        kind = self.r.choice(["send"] * 5 + ["wait"] * 3 + ["until"] + (["wait_for"] * 2 + ["branch"] * 2 if depth < 2 else []) + ["exit"] * (depth > 0))
        if kind == "send":
            send = {"template": "t", "channels": self.r.choice([["email"], ["push"], ["email", "push"], ["push", "email"]])}
            if self.chance(40):
                send["at_cap"] = self.r.choice(["drop", "defer", "defer", "fallback"])
            if self.chance(50):
                send["expires"] = self.r.choice(["3h", "10h", "30h"])
            step["send"] = send
        elif kind == "wait":
            step["wait"] = self.r.choice(["10m", "1h", "5h", "24h"])
            if self.chance(30):
                step["restart_on"] = self.r.choice(EVENTS)
        elif kind == "until":
            step["wait"] = {"until": self.r.choice(["01:30", "08:00", "09:00", "21:00"])}
            if self.chance(30):
                step["wait"]["on"] = self.r.choice(WEEKDAYS)
        elif kind == "wait_for":
            step["wait_for"] = {"on": self.r.choice(EVENTS), "timeout": self.r.choice(["30m", "1h", "6h"])}
            if self.chance(30):
                step["wait_for"]["when"] = ("n", self.r.randint(1, 4))
            step["then"] = self.block(depth + 1, 2) if self.chance(80) else []
            step["timeout"] = self.block(depth + 1, 2) if self.chance(60) else []
        elif kind == "branch":
            step["branch"] = [{"when": self.condition(), "steps": self.block(depth + 1, 2)} for _ in range(self.r.randint(1, 2))]
            if self.chance(60):
                step["branch"].append({"else": self.block(depth + 1, 2)})
        else:
            step["exit"] = "done"
        return step

    def journey(self, name):
        entry = {"on": self.r.choice(EVENTS[:3]), "reentry": self.r.choice(["never", "after_exit", "after_exit", "always", "always", "after 6h"])}
        if self.chance(40):
            entry["key"] = "event.properties.id"
        if self.chance(30):
            entry["when"] = self.condition()
        if self.chance(20):
            entry["accept_late"] = self.r.choice(["1h", "6h"])
        if self.chance(15):
            entry["at_most"] = f"{self.r.randint(1, 2)} per {self.r.choice(['6h', '24h'])}"
        if self.chance(15):
            entry["concurrent"] = self.r.randint(1, 2)
        journey = {"journey": name, "purpose": self.r.choice(["marketing/offers", "marketing/reminders", "marketing", "feedback", "service"]), "entry": entry}
        if self.chance(60):
            journey["priority"] = self.r.choice([10, 50, 90])
        if self.chance(35):
            rule = {"on": self.r.choice(EVENTS[1:])}
            if self.chance(40):
                rule["when"] = ("n", self.r.randint(1, 4))
            journey["exit_on"] = [rule]
        if self.chance(25):
            journey["goal"] = {"on": [self.r.choice(EVENTS[1:])], "within": self.r.choice(["2h", "24h"])}
        steps = self.block(0)
        # A journey that sends nothing decides nothing.
        self.steps += 1
        steps.append({"id": f"s{self.steps}", "send": {"template": "t", "channels": ["email", "push"]}})
        journey["steps"] = steps
        return journey

    def workspace(self):
        caps = []
        for number in range(self.r.randint(0, 3)):
            cap = {"id": f"c{number}", "at_most": self.r.randint(1, 3), "per": self.r.choice(["2h", "24h", "24h", "local_day", "local_week", "local_month"]),
                   "scope": self.r.choice([{}, {"channel": "email"}, {"channel": "push"}, {"purpose": "marketing"}, {"topic": "offers"}, {"journey": "a"}])}
            if self.chance(60):
                cap["at_cap"] = self.r.choice(["drop", "defer"])
            caps.append(cap)
        then = self.r.choice(["defer", "defer", "defer", "drop"])
        quiet = [{"channels": self.r.choice([["email", "push"], ["email"], ["push"]]), "purposes": self.r.choice([["marketing", "feedback"], ["marketing"]]),
                  "from": start, "to": end, "then": then}
                 for start, end in self.r.sample([("21:00", "08:00"), ("22:30", "01:30"), ("07:00", "10:00"), ("12:00", "13:00")], self.r.randint(0, 2))]
        service = {"exempt": ["caps", "quiet_hours"]} if self.chance(60) else {}
        policy = {"purposes": {"marketing": {"topics": ["newsletter", "offers", "reminders"]}, "feedback": {}, "service": service},
                  "caps": caps, "quiet_hours": quiet}
        return {"zone": "Europe/London", "policy": policy, "journeys": [self.journey(n) for n in ["a", "b", "c"][: self.r.randint(1, 3)]]}

    def events(self, people):
        """[(log time, person, message without ids)], in order."""
        start = parse(self.r.choice(STARTS) + "T00:00:00Z")
        found = []
        for person in people:
            at = start - DAY + self.r.randrange(HOUR)
            traits = {"email": f"{person}@x.example"}
            if self.chance(60):
                traits["time_zone"] = self.r.choice(ZONES)
            if self.chance(30):
                traits["preferred_channel"] = self.r.choice(["email", "push", "sms"])
            if self.chance(40):
                traits["tier"] = self.r.choice(["gold", "plain"])
            found.append((at, person, {"type": "identify", "event": "Identified", "traits": traits, "properties": {}, "device": f"dev-{person}"}))
            for channel in ("email", "push"):
                for purpose in ("marketing", "feedback"):
                    if self.chance(75):
                        found.append((at + MINUTE, person, self.consent(person, "granted", channel, purpose)))
        # Times on a coarse grid, so that timers and records meet at one instant now and then.
        moments = sorted(start + self.r.randrange(4 * 24 * 6) * 10 * MINUTE + self.r.choice([0, 0, 0, 1, 59_999]) for _ in range(self.r.randint(40, 160)))
        for at in moments:
            person = self.r.choice(people)
            found.append((at, person, self.message(person, at)))
        found.sort(key=lambda one: one[0])
        return found

    def consent(self, person, state, channel, purpose):
        properties = {"channel": channel, "purpose": purpose, "state": state}
        if purpose == "marketing" and self.chance(25):
            properties["topic"] = self.r.choice(["offers", "reminders"])
        if self.chance(80):
            properties["endpoint"] = f"{person}@x.example" if channel == "email" else f"dev-{person}"
        return {"type": "track", "event": "Consent Changed", "properties": properties}

    def message(self, person, at):
        kind = self.r.random()
        if kind < 0.80:
            properties = {}
            if self.chance(70):
                properties["n"] = self.r.randint(0, 5)
            if self.chance(70):
                properties["id"] = self.r.choice("xyz")
            message = {"type": "track", "event": self.r.choice(EVENTS), "properties": properties}
            if self.chance(20):
                message["late"] = self.r.choice([5 * MINUTE, HOUR, 5 * HOUR, 23 * HOUR, 24 * HOUR, 30 * HOUR])
            return message
        if kind < 0.88:
            message = self.consent(person, self.r.choice(["granted", "denied", "denied"]), self.r.choice(["email", "push"]), self.r.choice(["marketing", "marketing", "feedback", "service"]))
            if message["properties"]["purpose"] == "service":
                message["properties"].pop("topic", None)
            if self.chance(25):
                message["late"] = self.r.choice([MINUTE, 3 * HOUR])
            return message
        if kind < 0.91:
            return {"type": "track", "event": "Email Bounced", "properties": {"type": self.r.choice(["hard", "soft"]), "endpoint": f"{person}@x.example"}}
        if kind < 0.93:
            return {"type": "track", "event": "Unsubscribed", "properties": {"endpoint": f"{person}@x.example", **({"purpose": "marketing"} if self.chance(50) else {})}, "source": "mail"}
        if kind < 0.95:
            return {"type": "track", "event": "Message Failed", "properties": {"journey": "a", "step": f"s{self.r.randint(1, 6)}"}}
        traits = self.r.choice([{"time_zone": self.r.choice(ZONES)}, {"tier": self.r.choice(["gold", "plain"])}, {"email": f"{person}-b@x.example"}])
        return {"type": "identify", "event": "Identified", "traits": traits, "properties": {}}


# ---- one seed -------------------------------------------------------------------------------------

def text(condition):
    kind, operand = condition
    if kind == "n":
        return f"event.properties.n >= {operand}"
    if kind == "tier":
        return f"profile.tier == '{operand}'"
    return f"count('{operand[0]}', '{operand[1]}') >= {operand[2]}"


def written(value):
    """The workspace's form: conditions as text."""
    if isinstance(value, dict):
        return {k: text(v) if k == "when" else written(v) for k, v in value.items()}
    if isinstance(value, list):
        return [written(v) for v in value]
    return value


def declared(plan):
    """Every event may carry the number `n` and the key `id`."""
    for name in EVENTS:
        plan["events"][name]["properties"].update(plan["events"]["Ping"]["properties"])
    return plan


def build(seed, folder):
    draw = Draw(seed)
    workspace = draw.workspace()
    people = [f"u{n}" for n in range(1, 5)]
    events = draw.events(people)
    end = events[-1][0] + 3 * DAY
    shutil.rmtree(folder, ignore_errors=True)
    case = notation.Case("history", f"seed {seed}", written(workspace["journeys"]), [], [], written(workspace["policy"]), {"tracking-plan.yaml": declared})
    case.write(folder)
    models = {person: Model(workspace, person) for person in people}
    lines = []
    for number, (at, person, message) in enumerate(events):
        message = dict(message)
        occurred = at - message.pop("late", 0)
        device = message.pop("device", None)
        models[person].record({"event": message["event"], "properties": message["properties"], "traits": message.get("traits", {}),
                               "occurred": occurred, "device": device}, at)
        line = {"source": "site", **message, "receivedAt": show(at), "timestamp": show(occurred), "userId": person, "messageId": f"m{number}"}
        if device:
            line["context"] = {"device": {"id": device}}
        if line["type"] == "identify":
            line.pop("event"), line.pop("properties")
        lines.append(line)
    for model in models.values():
        model.advance_to(end)
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return models, end


def run(seed):
    folder = CACHE / f"seed-{seed}"
    models, end = build(seed, folder)
    out = folder / "out.jsonl"
    done = subprocess.run([BINARY, "simulate", str(folder / "ws"), "--events", str(folder / "events.jsonl"), "--decisions", str(out), "--until", show(end)],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        return [f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[:800]}"], 0
    got, last, problems = {person: [] for person in models}, "", []
    for row in map(json.loads, out.read_text().splitlines()):
        if row["at"] < last:
            problems.append(f"not in log order: {row['at']} after {last}")
        last = row["at"]
        got[next(i["value"] for i in row["identifiers"] if i["kind"] == "customer_id")].append(row)
    for person, model in models.items():
        for number in range(max(len(model.lines), len(got[person]))):
            want = model.lines[number] if number < len(model.lines) else None
            have = got[person][number] if number < len(got[person]) else None
            if want is None or have is None or any(have.get(k) != v for k, v in want.items() if k != "until" or want["outcome"] == "defer"):
                fields = ("at", "journey", "run_key", "step", "outcome", "reason", "until", "zone", "channel", "endpoint")
                problems.append(f"{person}, decision {number + 1}:\n    model  {want and ' '.join(str(want.get(k)) for k in fields)}\n"
                                f"    engine {have and ' '.join(str(have.get(k)) for k in fields)}")
                break
    if not problems:
        shutil.rmtree(folder, ignore_errors=True)
    return problems, sum(len(m.lines) for m in models.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--from", dest="first", type=int, default=1)
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    passed = failed = decisions = 0
    outcomes = {}
    with ThreadPoolExecutor(min(4, os.cpu_count() or 2)) as pool:
        for seed, (problems, count) in zip(seeds, pool.map(run, seeds)):
            decisions += count
            if problems:
                failed += 1
                print(f"FAILED seed {seed} (again: tests/histories.py --seed {seed}; files: {CACHE}/seed-{seed})")
                print("\n".join("  " + p for p in problems))
            else:
                passed += 1
    print(f"stated: {decisions:,} decisions over {passed + failed} random histories agree with the model" if not failed else f"{decisions:,} decisions")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
