#!/usr/bin/env python3
"""Calendar arithmetic against an independent implementation: every zone of the tz database, ten years.

One person per zone gets touchpoints around each change of that zone's clocks, and at other times.
`sojourn simulate` decides; what it decides is compared with what Python's zoneinfo says: `until` a
time of day, on a weekday, a yearly date, the ends of quiet hours, the ends of local days, weeks and
months. In a gap the first valid instant after it, in an overlap the first of the two (semantics 1).
"""

import bisect
import datetime as dt
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import zoneinfo

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "scenarios"))
import notation  # noqa: E402

CACHE = pathlib.Path(os.environ.get("SOJOURN_CACHE", HERE / ".cache"))
ROOT = HERE.parent
BINARY = os.environ.get("SOJOURN_BIN", ROOT / "target" / "release" / "sojourn")
UTC = dt.timezone.utc
FIRST, LAST = dt.datetime(2026, 3, 1, tzinfo=UTC), dt.datetime(2036, 3, 1, tzinfo=UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)
STEP = 12 * HOUR
# Around a change: far before, in the night before it, just before, at it, in the hour after, later.
AROUND = [-26 * HOUR, -3 * HOUR, -HOUR / 2, -SECOND, SECOND * 0, HOUR / 2, HOUR + SECOND, 23 * HOUR]
PER_CHANGE, ELSEWHEN = 3, 6
SIMULATE_SECONDS_MAX = 1200
SHOWN_MAX = 20
NO_PLACE = {"Factory", "localtime"}


class Zone:
    """What zoneinfo says of a zone."""

    def __init__(self, name):
        self.name, self.info = name, zoneinfo.ZoneInfo(name)
        self.changes, at, end = [], FIRST - 400 * DAY, LAST + 1500 * DAY
        while at < end:
            if self.offset(at) != self.offset(at + STEP):
                self.changes.append(self.change_between(at, at + STEP))
            at += STEP

    def offset(self, at):
        return at.astimezone(self.info).utcoffset()

    def change_between(self, low, high):
        while high - low > SECOND:
            middle = low + (high - low) // 2
            middle -= dt.timedelta(microseconds=middle.microsecond)
            if middle <= low:
                break
            if self.offset(middle) == self.offset(low):
                low = middle
            else:
                high = middle
        return high

    def local(self, at):
        return at.astimezone(self.info).replace(tzinfo=None)

    def instant(self, local):
        """The instant that a local time means."""
        at = local.replace(tzinfo=self.info, fold=0).astimezone(UTC)
        if self.local(at) == local:
            return at
        # Skipped: the change that skipped it is the first valid instant.
        place = bisect.bisect_right(self.changes, at)
        near = self.changes[max(0, place - 2) : place + 2]
        return next(t for t in near if (t + self.offset(t - SECOND)).replace(tzinfo=None) <= local < self.local(t))

    def on(self, day, hour, minute):
        return self.instant(dt.datetime.combine(day, dt.time(hour, minute)))

    def next(self, now, hour, minute, weekday=None):
        today = self.local(now).date()
        days = (today + DAY * ahead for ahead in range(-1, 16))
        times = (self.on(day, hour, minute) for day in days if weekday in (None, day.weekday()))
        return min(at for at in times if at > now)

    def next_birthday(self, now, born, hour, minute):
        def day(year):
            leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            return dt.date(year, born.month, 28 if (born.month, born.day) == (2, 29) and not leap else born.day)

        times = (self.on(day(year), hour, minute) for year in range(now.year - 1, now.year + 3))
        return min(at for at in times if at >= now)

    def quiet_until(self, now, start, end):
        today = self.local(now).date()
        for day in (today + DAY * ahead for ahead in (-1, 0, 1)):
            begins, ends = self.on(day, *start), self.on(day, *end)
            if begins <= now < ends:
                return ends
        return None


def next_period(zone, now, per):
    """The name of the local day, week or month, and when the next begins."""
    day = zone.local(now).date()
    if per == "local_day":
        first, after = day, day + DAY
    elif per == "local_week":
        first = day - DAY * day.weekday()
        after = first + 7 * DAY
    else:
        first = day.replace(day=1)
        after = (first + 32 * DAY).replace(day=1)
    return first, zone.on(after, 0, 0)


PERIODS = ["local_day", "local_week", "local_month"]


def write_workspace(folder):
    send = lambda purpose=None: notation.send("s", **({"purpose": purpose} if purpose else {}))
    journeys = [
        notation.journey(notation.wait({"until": "02:30"}), send(), name="time", key="event.properties.id"),
        notation.journey(notation.wait({"until": "00:30", "on": "monday"}), send(), name="weekday", key="event.properties.id"),
        notation.journey(
            notation.wait({"until_date": "profile.birthday", "at": "02:15", "every": "year"}), send(), name="date", key="event.properties.id"),
        notation.journey(send(), name="quiet", purpose="feedback", key="event.properties.id"),
        *[notation.journey(send(), name=per, key="event.properties.id") for per in PERIODS],
    ]
    case = notation.Case(
        "calendar", "", journeys, [], [],
        {
            "quiet_hours": [notation.quiet("00:30", "02:30", purposes=["feedback"], then="drop")],
            "caps": [notation.cap(per=per, id=per, scope={"journey": per}) for per in PERIODS],
        }, {})
    case.write(folder)


def plan(zones, seed):
    """Touchpoints in order of time, and what each must come to, by (journey, key)."""
    chance, events, expected = random.Random(seed), [], {}
    for number, zone in enumerate(zones):
        person, inside = f"u{number}", [t for t in zone.changes if FIRST <= t < LAST]
        changes = inside or [FIRST + 100 * DAY]
        # On a day on which the clocks change, or on 29 February.
        born = dt.date(1992, 2, 29) if number % 4 == 0 else zone.local(chance.choice(changes)).date().replace(year=1991)
        events += notation.known(person, ("marketing", "feedback"), ("email",), time_zone=zone.name, birthday=born.isoformat())
        times = {t + ahead for t in inside for ahead in chance.sample(AROUND, PER_CHANGE)}
        times |= {FIRST + SECOND * chance.randrange(int((LAST - FIRST) / SECOND)) for _ in range(ELSEWHEN)}
        used = set()
        for at in sorted(times):
            key = f"{person}-{at:%Y%m%dT%H%M%S}"
            events.append(notation.ping(f"{at:%Y-%m-%dT%H:%M:%SZ}", person, id=key))
            expected["time", key] = [("approve", zone.next(at, 2, 30), None)]
            expected["weekday", key] = [("approve", zone.next(at, 0, 30, 0), None)]
            expected["date", key] = [("approve", zone.next_birthday(at, born, 2, 15), None)]
            quiet = zone.quiet_until(at, (0, 30), (2, 30))
            expected["quiet", key] = [("suppress", at, quiet) if quiet else ("approve", at, None)]
            for per in PERIODS:
                first, ends = next_period(zone, at, per)
                fresh = (per, first) not in used
                used.add((per, first))
                expected[per, key] = [("approve", at, None) if fresh else ("suppress", at, ends)]
    return events, expected


def instant(text):
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def main():
    names = sorted(name for name in zoneinfo.available_timezones() if name not in NO_PLACE)
    if len(names) < 400:
        sys.exit("the tz database is not installed: apt-get install tzdata")
    zones = [Zone(name) for name in names]
    folder = CACHE / "calendar"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_workspace(folder)
    events, expected = plan(zones, seed=7)
    events.sort(key=lambda event: event["receivedAt"])
    events.append(notation.line("2038-01-01T00:00:00Z", type="track", event="Noop", properties={}, userId="nobody"))
    with open(folder / "events.jsonl", "w", encoding="utf-8") as file:
        for number, event in enumerate(events):
            file.write(json.dumps({**event, "messageId": f"m{number}"}) + "\n")
    command = [BINARY, "simulate", folder / "ws", "--events", folder / "events.jsonl", "--decisions", folder / "out.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SIMULATE_SECONDS_MAX)
    if done.returncode != 0:
        sys.exit(f"simulate ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    got = {}
    with open(folder / "out.jsonl", encoding="utf-8") as file:
        for line in map(json.loads, file):
            decision = (line["outcome"], instant(line["at"]), instant(line["until"]))
            got.setdefault((line["journey"], line["run_key"]), []).append((decision, line["zone"]))
    wrong, unknown, bad = [], set(), set()
    for (what, key), wanted in expected.items():
        zone = names[int(key.split("-")[0][1:])]
        lines = got.pop((what, key), [])
        unknown |= {zone for _, used in lines if used != zone}
        if [decision for decision, _ in lines] != wanted:
            wrong.append(f"{zone} {what} {key}: expected {wanted}, got {lines}")
            bad.add(zone)
    wrong += [f"{name} is not known" for name in sorted(unknown)]
    bad |= unknown
    wrong += [f"nobody asked for {key}" for key in got]
    print("\n".join(wrong[:SHOWN_MAX]))
    changes = sum(len(zone.changes) for zone in zones)
    print(f"stated: {len(expected):,} decisions in {len(zones)} zones with {changes:,} changes of their clocks, {len(wrong)} of them wrong")
    print(f"{len(zones) - len(bad)} passed, {len(bad)} failed")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
