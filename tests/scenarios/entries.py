"""Cases of our own on how a journey begins: dates, schedules, attributes, segments, commands, history; loaded by `ours.py`.

What only `crates/engine/README.md` settles, not the semantics, says `house` in its note.
"""

from notation import *  # noqa: F403

NEXT_YEAR = "2027-12-01T00:00:00Z"


def entered(entry, *steps, name="j", purpose="marketing/reminders", **more):
    """A journey that begins in another way than by an event."""
    return {"journey": name, "purpose": purpose, "entry": entry, **more, "steps": list(steps) or [send()]}


def date(at="09:00", attribute="birthday", **more):
    """An entry by a date in the data; `when`, `reentry`, … beside it by `entered({**date(), …})`."""
    return {"date": {"attribute": attribute, "at": at, **more}}


def schedule(at=None, cron=None, audience="gold", **more):
    when = {"at": at} if at else {"cron": cron}
    return {"schedule": {**when, "audience": audience, **more}}


def segment(**when):
    return {"segments.yaml": {"segments": {name: {"when": text} for name, text in when.items()}}}


GOLD = segment(gold="profile.tier == 'gold'")


# ---- 7 A date in the data -----------------------------------------------------------------------

case("on01-a-birthday-comes-every-year", "7: date in data, in the person's zone: 09:00 BST is 08:00Z",
     entered(date()), [known(birthday="1990-06-15")], [yes("06-15 08:00"), yes("2027-06-15T08:00:00Z")], end=NEXT_YEAR)
case("on02-29-february", "7: 29 February falls on 28 in other years, and on itself in 2028",
     entered(date()), [known(birthday="1992-02-29")],
     [yes("02-28 09:00"), yes("2027-02-28T09:00:00Z"), yes("2028-02-29T09:00:00Z")], end="2028-12-01T00:00:00Z")
case("on03-a-week-before", "7: offset counts whole local days",
     entered(date(offset="-7d")), [known(birthday="1990-03-09")], [yes("03-02 09:00")])
case("on04-an-offset-over-the-years-end", "7: a week before 3 January is 27 December",
     entered(date(offset="-7d")), [known(birthday="1990-01-03")], [yes("2026-12-27T09:00:00Z")], end="2027-06-01T00:00:00Z")
case("on05-an-offset-across-a-change-of-clocks", "1, 7: calendar arithmetic: a week before 1 April, 09:00, is 25 March 09:00 GMT; an offset after falls into BST",
     [entered(date(offset="-7d"), name="before"), entered(date(offset="7d"), name="after")],
     [known(birthday="1990-04-01")], [yes("03-25 09:00", journey="before"), yes("04-08 08:00", journey="after")])
case("on06-a-date-in-the-gap", "1: 01:30 does not exist on 29 March: the first valid instant after it",
     entered(date("01:30")), [known(birthday="1990-03-29")], [yes("03-29 01:00")])
case("on07-a-date-in-the-overlap", "1: 01:30 comes twice on 25 October: the first, once",
     entered(date("01:30")), [known(birthday="1990-10-25")], [yes("10-25 00:30")])
case("on08-a-changed-date-moves-it", "7: the date as it is now decides",
     entered(date()), [known(birthday="1990-03-10"), identify("03-09 12:00", birthday="1990-03-20")], [yes("03-20 09:00")])
case("on09-changed-to-an-earlier-one", "7: and comes sooner",
     entered(date()), [known(birthday="1990-09-20"), identify("03-09 12:00", birthday="1990-03-10")], [yes("03-10 09:00")])
case("on10-changed-after-it-came", "7, house: one per year of a date",
     entered(date()), [known(birthday="1990-03-10"), identify("03-11 12:00", birthday="1990-03-20")],
     [yes("03-10 09:00"), yes("2027-03-20T09:00:00Z")], end=NEXT_YEAR)
case("on11-said-when-it-has-passed", "7, house: one that has passed when it is first said waits for the next",
     entered(date()), [known(), identify("03-10 09:00:01", birthday="1990-03-10")], [yes("2027-03-10T09:00:00Z")], end=NEXT_YEAR)
case("on12-a-date-taken-away", "7: nobody has a birthday any more",
     entered(date()), [known(birthday="1990-03-10"), identify("03-09 12:00", birthday=None)], [])
case("on13-in-the-persons-zone", "7, 1: 09:00 in Tokyo",
     entered(date()), [known(birthday="1990-03-10", time_zone="Asia/Tokyo")], [yes("03-10 00:00", zone="Asia/Tokyo")])
case("on14-moved-to-a-later-zone", "7, 1: the zone of the moment: 09:00 in New York, EDT since 8 March",
     entered(date()), [known(birthday="1990-03-10"), identify("03-09 12:00", time_zone="America/New_York")],
     [yes("03-10 13:00", zone="America/New_York")])
case("on15-a-move-puts-it-into-the-past", "7, house: 09:00 in Tokyo has been when the person arrives there: at once, and not again",
     entered(date()), [known(birthday="1990-03-10"), identify("03-10 08:00", time_zone="Asia/Tokyo"), identify("03-10 08:30", time_zone="Europe/London")],
     [yes("03-10 08:00", zone="Asia/Tokyo")])
case("on16-a-move-after-it-came", "7, house: 09:00 in New York is still to come, and it was this year's",
     entered(date()), [known(birthday="1990-03-10"), identify("03-10 10:00", time_zone="America/New_York")], [yes("03-10 09:00", zone="Europe/London")])
case("on17-when-of-a-date", "7: the filter is looked at when the date comes",
     entered({**date(), "when": "profile.points >= 10"}),
     [known(birthday="1990-03-10", points=5), known("u2", at_second=30, birthday="1990-03-10", points=5), identify("03-09 12:00", "u2", points=10)],
     [yes("03-10 09:00", "u2")])
case("on18-once", "7, house: `every: once` is the date itself: one in the past never comes",
     entered(date(every="once")), [known(birthday="2026-03-10"), known("u2", at_second=30, birthday="1990-03-10")], [yes("03-10 09:00")], end=NEXT_YEAR)
case("on19-from-its-own-year-on", "7, house: a date that comes every year from 2027 on",
     entered(date()), [known(birthday="2027-03-10")], [yes("2027-03-10T09:00:00Z")], end=NEXT_YEAR)
case("on20-reentry-of-a-date", "7: `never` is never again, also next year",
     entered({**date(), "reentry": "never"}), [known(birthday="1990-03-10")], [yes("03-10 09:00")], end=NEXT_YEAR)
case("on21-of-one-instant-by-due-time-then-profile", "1: timers due together go by profile",
     entered(date()), [known(birthday="1990-03-10"), known("u2", at_second=30, birthday="1985-03-10")], [yes("03-10 09:00"), yes("03-10 09:00", "u2")])
case("on22-two-become-one", "7, 2: the birthday of two who become one comes once; a merge by itself triggers nothing",
     entered({**date(), "reentry": "always"}),
     [identify("02-20 11:00", "w", birthday="1990-03-10"), known(birthday="1990-03-10"), {**track("Noop", "11:00"), "anonymousId": "w"}],
     [yes("03-10 09:00")])
case("on23-the-guard-is-the-same", "6: what a date begins is refused and deferred as anything else",
     entered(date("22:00")), [known(birthday="1990-03-10"), known("u2", at_second=30, grants=(), birthday="1990-03-10")],
     [later("quiet_hours", "03-10 22:00", "03-11 08:00"), no("no_consent", "03-10 22:00", "u2"), yes("03-11 08:00")], quiet_hours=[quiet()])

# ---- 7 A schedule over a segment ----------------------------------------------------------------

case("on30-at-one-time-of-the-workspace", "7: everybody at 09:00 in London, whatever their own zone",
     entered(schedule("2026-04-01T09:00")), [known(tier="gold"), known("u2", at_second=30, tier="gold", time_zone="Asia/Tokyo")],
     [yes("04-01 08:00"), yes("04-01 08:00", "u2", zone="Asia/Tokyo")], files=GOLD)
case("on31-at-everybodys-own-time", "7: zone: local: each at their own 09:00",
     entered(schedule("2026-04-01T09:00", zone="local")), [known(tier="gold"), known("u2", at_second=30, tier="gold", time_zone="Asia/Tokyo")],
     [yes("04-01 00:00", "u2"), yes("04-01 08:00")], files=GOLD)
case("on32-the-audience-of-the-moment", "7: who left before is not in it, who joined before is, who joins after is too late",
     entered(schedule("2026-04-01T09:00")),
     [known(tier="gold"), known("u2", at_second=20), known("u3", at_second=40),
      identify("03-31 12:00", tier="tin"), identify("03-31 12:10", "u2", tier="gold"), identify("04-01 12:00", "u3", tier="gold")],
     [yes("04-01 08:00", "u2")], files=GOLD)
case("on33-an-audience-by-time-alone", "7: nobody said anything when the window emptied; the audience is right all the same",
     entered(schedule("2026-04-01T09:00", audience="quiet")), [known(), known("u2", at_second=30), ping("03-02 10:00"), ping("03-31 10:00", "u2")],
     [yes("04-01 08:00")], files=segment(quiet="count('Ping', '7d') == 0 && count('Ping', '60d') >= 1"))
case("on34-paced", "7: pace: 1/min: one at 09:00, one a minute later, in order of due time, then profile",
     entered(schedule("2026-04-01T09:00", pace="1/min")),
     [known(tier="gold"), known("u2", at_second=20, tier="gold"), known("u3", at_second=40, tier="gold")],
     [yes("04-01 08:00"), yes("04-01 08:01", "u2"), yes("04-01 08:02", "u3")], files=GOLD)
case("on35-put-off-and-then-out", "7, house: a person put off enters at the instant of the pace if still in the audience",
     entered(schedule("2026-04-01T09:00", pace="1/h")),
     [known(tier="gold"), known("u2", at_second=20, tier="gold"), known("u3", at_second=40, tier="gold"), identify("04-01 08:30", "u2", tier="tin")],
     [yes("04-01 08:00"), yes("04-01 10:00", "u3")], files=GOLD)
case("on36-again-and-again", "7: cron, in the workspace's zone; local 09:00 is 09:00Z in winter, 08:00Z in summer",
     entered(schedule(cron="0 9 1 * *")), [known(tier="gold"), identify("06-15 12:00", tier="tin")],
     [yes("03-01 09:00"), yes("04-01 08:00"), yes("05-01 08:00"), yes("06-01 08:00")], files=GOLD)
case("on37-cron-in-the-gap", "1: 01:30 does not exist on 29 March: the first valid instant, once",
     entered(schedule(cron="30 1 * * *", zone="local")), [known(), identify("03-28 12:00", tier="gold"), identify("03-30 12:00", tier="tin")],
     [yes("03-29 01:00"), yes("03-30 00:30")], files=GOLD)
case("on38-cron-in-the-overlap", "1: 01:30 comes twice on 25 October: the first, once",
     entered(schedule(cron="30 1 * * *", zone="local")), [known(), identify("10-24 12:00", tier="gold"), identify("10-26 12:00", tier="tin")],
     [yes("10-25 00:30"), yes("10-26 01:30")], files=GOLD)
case("on39-when-and-at_most-of-a-schedule", "7: every rule of entry holds: filter, and two per 90 days",
     entered({**schedule(cron="0 9 1 * *"), "when": "profile.points >= 10", "at_most": "2 per 90d"}),
     [known(tier="gold", points=5), identify("03-15 12:00", points=10), identify("07-15 12:00", tier="tin")],
     [yes("04-01 08:00"), yes("05-01 08:00"), yes("07-01 08:00")], files=GOLD)
case("on40-a-schedule-that-has-been", "7: whoever joins after the time is too late for ever",
     entered(schedule("2026-02-20T11:00")), [known(tier="gold")], [], files=GOLD)

# ---- 7 A changed attribute ----------------------------------------------------------------------

CHANGED = {"attribute": {"name": "tier", "changed": True}}

case("on50-absent-to-a-value-is-a-change", "7, W11: old ≠ new; the same again is none",
     entered(CHANGED), [known(), identify("10:00", tier="a"), identify("10:10", tier="a"), identify("10:20", tier="b")], [yes("10:00"), yes("10:20")])
case("on51-said-again-where-asked", "language: changed: false also starts when the same is said again",
     entered({"attribute": {"name": "tier", "changed": False}}), [known(), identify("10:00", tier="a"), identify("10:10", tier="a"), identify("10:20", points=1)],
     [yes("10:00"), yes("10:10")])
case("on52-when-of-an-attribute", "7: the filter sees the new value",
     entered({**CHANGED, "when": "profile.tier == 'gold'"}), [known(), identify("10:00", tier="a"), identify("10:10", tier="gold")], [yes("10:10")])
case("on53-an-older-value-changes-nothing", "2, 7: the newest by occurrence stands, so nothing has changed",
     entered(CHANGED), [known(), identify("10:00", tier="a"), identify("10:10", occurred="09:00", tier="z"), identify("10:20", tier="a")], [yes("10:00")])
case("on54-an-update-starts-it-after-the-record", "7: an `update` can start an attribute journey, after the record",
     [journey({"id": "u", "update": {"tier": "'b'"}}, send("own"), name="b", priority=1), entered(CHANGED, name="a", priority=99)],
     [known(tier="b"), identify("09:00", tier="a"), ping("10:00")],
     [no("no_consent", "02-20 12:00", journey="a"), yes("09:00", journey="a"), yes("10:00", journey="b", step="own"), yes("10:00", journey="a")])
case("on55-an-update-to-the-same-value", "7: old = new is no change",
     [journey({"id": "u", "update": {"tier": "'a'"}}, send("own"), name="b"), entered(CHANGED, name="a")],
     [known(), identify("09:00", tier="a"), ping("10:00")], [yes("09:00", journey="a"), yes("10:00", journey="b")])
case("on56-a-merge-changes-nothing", "2: a merge by itself triggers nothing, whatever attributes it brings",
     entered(CHANGED), [identify("02-20 11:00", "w", tier="a"), known(), {**track("Noop", "11:00"), "anonymousId": "w"}, identify("12:00", tier="a")],
     [no("endpoint_missing", "02-20 11:00", "w")])

# ---- 7 Entering and leaving a segment -----------------------------------------------------------

ENTER, LEAVE = {"segment": {"enter": "s"}}, {"segment": {"leave": "s"}}

case("on60-enter-once-leave-once", "7: on the change only, in either direction",
     [entered(ENTER, name="in"), entered(LEAVE, name="out")],
     [known(), identify("10:00", tier="x"), identify("10:10", tier="gold"), identify("10:20", points=3), identify("10:30", tier="x"), identify("10:40", tier="gold")],
     [yes("10:10", journey="in"), yes("10:30", journey="out"), yes("10:40", journey="in")], files=segment(s="profile.tier == 'gold'"))
case("on61-left-by-time-alone", "7, 1: the window (now − 24h, now] empties at exactly 24 h",
     entered(LEAVE), [known(), ping("10:00"), ping("11:00")], [yes("03-03 11:00")], files=segment(s="count('Ping', '24h') >= 1"))
case("on62-entered-by-time-alone", "7, 1: a day of silence after a ping",
     entered(ENTER), [known(), ping("10:00"), ping("03-05 10:00")], [yes("03-03 10:00"), yes("03-06 10:00")],
     files=segment(s="count('Ping', '24h') == 0 && count('Ping', '30d') >= 1"))
case("on63-fewer-by-time-alone", "7, 1: three within 24 h become two when the first falls out",
     [entered(ENTER, name="in"), entered(LEAVE, name="out")], [known(), ping("10:00"), ping("11:00"), ping("12:00")],
     [yes("12:00", journey="in"), yes("03-03 10:00", journey="out")], files=segment(s="count('Ping', '24h') >= 3"))
case("on64-a-merge-enters-no-segment", "2: two pings of two who become one make a member, and start nobody",
     entered(ENTER), [known(), ping("10:00"), ping("10:10", "w"), {**track("Noop", "11:00"), "anonymousId": "w"}, ping("12:00")], [],
     files=segment(s="count('Ping', '30d') >= 2"))
case("on65-when-of-a-segment", "7: a member with too few points does not enter",
     entered({**ENTER, "when": "profile.points >= 10"}), [known(points=1), known("u2", at_second=30, points=10), identify("10:00", tier="gold"), identify("10:10", "u2", tier="gold")],
     [yes("10:10", "u2")], files=segment(s="profile.tier == 'gold'"))
case("on66-a-publish-starts-nobody", "7, house: who is in the segment when the journey comes starts only with backfill: true",
     journey(on="Signed Up"), [known(tier="gold"), known("u2", at_second=30, tier="gold"), command("10:00", "publish", dir="v2"), identify("10:00:10", "u3", tier="gold")],
     [yes("10:00", journey="filled"), yes("10:00", "u2", journey="filled"), no("endpoint_missing", "10:00:10", "u3", journey="filled"), no("endpoint_missing", "10:00:10", "u3", journey="fresh")],
     files=segment(s="profile.tier == 'gold'"),
     versions={"v2": [entered({**ENTER, "backfill": True}, name="filled"), entered(ENTER, name="fresh"), journey(on="Signed Up")]})

# ---- 7 By command, and from another journey -----------------------------------------------------

API = {"api": True}

case("on70-by-command", "7: entry by API, with a key and without",
     entered(API), [known(), command("10:00", "enter", person="customer_id:u1", journey="j"), command("10:10", "enter", person="customer_id:u1", journey="j", key="k1")],
     [yes("10:00", run_key=None), yes("10:10", run_key="k1")])
case("on71-only-where-it-says-so", "7, house: a command enters only journeys that say api: true",
     journey(), [known(), command("10:00", "enter", person="customer_id:u1", journey="j"), ping("10:10")], [yes("10:10")])
case("on72-every-rule-holds-for-a-command", "7: one live run per key, the filter",
     entered({**API, "when": "profile.points >= 10"}, wait("1h"), send()),
     [known(points=10), known("u2", at_second=30, points=1), command("10:00", "enter", person="customer_id:u1", journey="j"),
      command("10:30", "enter", person="customer_id:u1", journey="j"), command("10:40", "enter", person="customer_id:u2", journey="j")],
     [yes("11:00")])
case("on73-from-another-journey", "7: the step `enter`, with a key; what the run does next comes first, as with `emit`",
     [journey({"id": "e", "enter": {"journey": "b", "key": "event.properties.id"}}, send("own"), name="a"), entered(API, name="b", priority=99)],
     [known(), ping("10:00", id="k1"), ping("10:10")],
     [yes("10:00", journey="a"), yes("10:00", journey="b", run_key="k1"), yes("10:10", journey="a")])
case("on74-the-step-without-a-key", "7: no key is the default key: one live run",
     [journey({"id": "e", "enter": {"journey": "b"}}, name="a"), entered(API, wait("1h"), send(), name="b")],
     [known(), ping("10:00"), ping("10:30"), ping("11:30")], [yes("11:00", run_key=None), yes("12:30")])
case("on75-the-step-does-not-ask-the-filter-of-an-event", "7, house: `enter` names the journey; what its `on` and `when` ask of an event is not asked",
     [journey({"id": "e", "enter": {"journey": "b"}}, name="a"), journey(name="b", on="Signed Up", when="event.properties.plan == 'gold'")],
     [known(), ping("10:00"), track("Signed Up", "10:10", properties={"plan": "tin"})], [yes("10:00", journey="b")])
case("on76-caps-of-entry-hold-for-the-step", "4, 7: at_most 1 per 1d of the journey that is entered",
     [journey({"id": "e", "enter": {"journey": "b"}}, name="a"), entered({**API, "at_most": "1 per 1d"}, name="b")],
     [known(), ping("10:00"), ping("11:00"), ping("03-03 10:00")], [yes("10:00", journey="b"), yes("03-03 10:00", journey="b")])

# ---- 7 Re-entry and caps of entries, by key -----------------------------------------------------

case("on80-never-is-of-the-key", "7, W25: never again for the key; another key is another instance",
     journey(reentry="never", key="event.properties.id"), [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("11-01 10:00", id="a")],
     [yes("10:00", run_key="a"), yes("10:10", run_key="b")])
case("on81-after-a-duration-is-of-the-key", "7: from the last entry of that key",
     journey(reentry="after 2h", key="event.properties.id"), [known(), ping("10:00", id="a"), ping("11:00", id="b"), ping("11:59:59", id="a"), ping("12:00", id="a")],
     [yes("10:00", run_key="a"), yes("11:00", run_key="b"), yes("12:00", run_key="a")])
case("on82-at_most-counts-all-keys", "7: entry caps count per person and journey",
     journey(key="event.properties.id", entry={"at_most": "2 per 1d"}),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("10:20", id="c"), ping("03-03 10:00", id="c")],
     [yes("10:00", run_key="a"), yes("10:10", run_key="b"), yes("03-03 10:00", run_key="c")])
case("on83-at_most-of-another-journey-is-its-own", "7: per journey",
     [journey(entry={"at_most": "1 per 1d"}), journey(name="k", entry={"at_most": "1 per 1d"})], [known(), ping("10:00"), ping("10:10")],
     [yes("10:00", journey="j"), yes("10:00", journey="k")])
case("on84-concurrent-two", "4: two live runs of the person, the third refused, room again when one has ended",
     journey(wait("1h"), send(), key="event.properties.id", entry={"concurrent": 2}),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("10:20", id="c"), ping("11:00", id="d")],
     [yes("11:00", run_key="a"), yes("11:10", run_key="b"), yes("12:00", run_key="d")])
case("on85-the-ledger-over-a-merge", "2, 7: entry ledger (union): who entered as a visitor never enters again as a customer",
     journey(reentry="never"), [known(), ping("10:00", "w"), {**track("Noop", "11:00"), "anonymousId": "w"}, ping("12:00")], [no("endpoint_missing", "10:00", "w")])

# ---- 1 History never triggers -------------------------------------------------------------------

def imported(event):
    return {**event, "imported": True}


case("on90-imported-events-start-nothing", "1: historical import is marked as such and never triggers; it counts in history",
     [journey(), journey(name="k", on="Signed Up", when="count('Ping', '30d') == 1")],
     [known(), imported(ping("10:00")), track("Signed Up", "10:10")], [yes("10:10", journey="k")])
case("on91-imported-attributes-start-nothing", "1: nor do its attributes; the next change does",
     entered(CHANGED), [known(), imported(identify("10:00", tier="a")), identify("10:10", tier="a"), identify("10:20", tier="b")], [yes("10:20")])
case("on92-imported-history-enters-no-segment", "1: a member by imported history alone; later pings do not enter what is entered",
     entered(ENTER), [known(), imported(ping("10:00")), imported(ping("10:10")), ping("10:20")], [], files=segment(s="count('Ping', '30d') >= 2"))
case("on93-an-imported-birthday-comes", "1, 7: the import triggers nothing, the date does",
     entered(date()), [known(), imported(identify("10:00", birthday="1990-03-10"))], [yes("03-10 09:00")])
case("on94-an-import-cannot-lift-a-deny", "3, W27: a bulk import can never lift a deny, a bounce or a complaint",
     journey(), [known(), deny("09:00"), imported(grant("09:30")), ping("10:00"),
                 known("u2", at_second=30), track("Email Marked as Spam", "09:00", "u2", properties={"endpoint": "u2@x.example"}, source="mail"),
                 imported(grant("09:30:30", "u2", endpoint="u2@x.example")), ping("10:10", "u2")],
     [no("no_consent", "10:00"), no("endpoint_suppressed", "10:10", "u2")])
case("on95-an-imported-grant-where-nothing-was-denied", "3: where nothing was ever denied it is a grant like another",
     journey(), [known(grants=()), imported(grant("09:30")), ping("10:00")], [yes("10:00")])
