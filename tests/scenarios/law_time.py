"""Conformance cases on time: late touchpoints, the clock's changes, what a timer sees; loaded by `ours.py`."""

from notation import *  # noqa: F403

NIGHT = [quiet()]
DAILY = [cap()]
A = "u1@x.example"


def cart(received, cart_id, person="u1", occurred=None):
    return track("Cart Updated", received, person, occurred, {"cart_id": cart_id})


def order(received, person="u1", occurred=None, **properties):
    return track("Order Completed", received, person, occurred, properties)


def click(received, person="u1", occurred=None, **properties):
    return track("Email Link Clicked", received, person, occurred, properties)


# ---- 1 Late touchpoints -------------------------------------------------------------------------

case("lt01-exit-of-equal-time-but-earlier-position", "1: equal times: later only when its log position is later, so the order before it refuses nothing",
     journey(exit_on=[{"on": "Order Completed"}]),
     [known(), order("10:00"), ping("10:30", occurred="10:00")], [yes("10:30")])
case("lt02-a-refused-late-entry-uses-nothing-up", "1, 7: the entry that was refused as `exited` is no entry: `never` still allows the next",
     journey(reentry="never", exit_on=[{"on": "Order Completed"}]),
     [known(), order("10:00"), ping("10:30", occurred="09:00"), ping("11:00"), ping("11:10")], [yes("11:00")])
case("lt03-late-entry-and-the-exit-of-another-instance", "1, 7: the exit's condition names the instance: c2's late entry is refused, c1's is not",
     journey(on="Cart Updated", key="event.properties.cart_id", exit_on=[{"on": "Order Completed", "when": "event.properties.cart_id == run.key"}]),
     [known(), order("10:00", cart_id="c2"), cart("10:30", "c1", occurred="09:00"), cart("10:31", "c2", occurred="09:10")],
     [yes("10:30", run_key="c1")])
case("lt04-event-before-the-step-but-after-the-entry", "1: the click occurred after the entry event, before the run came to the step; it arrives while it waits",
     journey(wait("1h"), wait_for(timeout="1h")),
     [known(), ping("10:00"), click("11:10", occurred="10:30")], [yes("11:10", step="yes")])
case("lt05-click-before-the-step-in-the-log-too", "1, 7: a click that came while the run stood at another step continues nothing later",
     journey(wait("1h"), wait_for(timeout="1h")),
     [known(), ping("10:00"), click("10:30")], [yes("12:00", step="no")])
case("lt06-late-entry-counts-from-its-occurrence", "1: the run entered with an event of 09:00: a click of 09:30 that arrives later is after it",
     journey(wait_for(timeout="1h")),
     [known(), ping("10:30", occurred="09:00"), click("10:40", occurred="09:30")], [yes("10:40", step="yes")])
case("lt07-late-entry-times-out-by-log-time", "1: waits use log time: the time-out of a late entry is an hour after its log time",
     journey(wait_for(timeout="1h")),
     [known(), ping("10:30", occurred="09:00"), click("10:40", occurred="08:59:59.999")], [yes("11:30", step="no")])
case("lt08-restart-of-equal-time", "1: equal times: its log position is later, so it restarts",
     journey(wait("1h", restart_on="Product Viewed"), send()),
     [known(), ping("10:00"), track("Product Viewed", "10:30", occurred="10:00")], [yes("11:30")])
case("lt09-restart-counts-from-log-time", "1: a restart by an event ten minutes late waits an hour from when it is known",
     journey(wait("1h", restart_on="Product Viewed"), send()),
     [known(), ping("10:00"), track("Product Viewed", "10:50", occurred="10:40")], [yes("11:50")])
case("lt10-goal-window-is-log-time", "7: within 1h from entry by log time: the order occurred inside and arrived outside",
     journey(wait("3h"), send(), goal={"on": ["Order Completed"], "within": "1h"}),
     [known(), ping("10:00"), order("11:00:00.001", occurred="10:30")], [yes("13:00")])
case("lt11-goal-window-of-a-late-entry", "7: from entry, log time: entered at 10:30 with an event of 09:00; the order at 11:30 is inside",
     journey(wait("3h"), send(), goal={"on": ["Order Completed"], "within": "1h"}),
     [known(), ping("10:30", occurred="09:00"), order("11:30")], [])
case("lt12-goal-that-occurred-before-the-entry", "1: a goal event older than the entry event meets nothing",
     journey(wait("1h"), send(), goal={"on": ["Order Completed"], "within": "7d"}),
     [known(), ping("10:00"), order("10:30", occurred="09:59:59.999")], [yes("11:00")])
case("lt13-late-exit-ends-a-deferred-message", "1, 6: an order of 22:30 that arrives in the morning before the wake ends it; one that occurred before the entry does not",
     journey(exit_on=[{"on": "Store Order Completed"}]),
     [known(), known("u2", at_second=30), ping("22:00"), ping("22:00", "u2"),
      track("Store Order Completed", "03-03 07:59", occurred="22:30"), track("Store Order Completed", "03-03 07:59:30", "u2", "21:30")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:00", "03-03 08:00", "u2"),
      no("exited", "03-03 07:59"), yes("03-03 08:00", "u2")], quiet_hours=NIGHT)
case("lt14-a-decision-is-not-rewritten", "1: a deny that occurred before a decision and arrives after it changes the next one only",
     journey(), [known(), ping("10:00"), deny("11:00", occurred="09:00"), ping("11:10")], [yes("10:00"), no("no_consent", "11:10")])
case("lt15-late-event-fills-a-window", "1: late touchpoints enter aggregates at the place of their occurrence",
     journey(on="Signed Up", when="count('Ping', '1h') == 2 && first('Ping', 'n') == 2"),
     [known(), ping("09:30", n=1), ping("10:00", occurred="09:10", n=2), track("Signed Up", "10:05")], [yes("10:05")])
case("lt16-late-last-is-not-the-latest", "language: `last` is the value at the latest occurred_at, not the last to arrive",
     journey(on="Signed Up", when="last('Ping', 'n') == 1"),
     [known(), ping("09:30", n=1), ping("10:00", occurred="09:10", n=2), track("Signed Up", "10:05")], [yes("10:05")])
case("lt17-late-attribute-change-is-none", "2, 7: an identify that occurred before the newest value changes nothing, so it starts nothing",
     journey(on=None, entry={"attribute": {"name": "tier", "changed": True}}),
     [known(), identify("09:00", tier="gold"), identify("09:30", occurred="08:00", tier="silver"), identify("10:00", tier="silver")],
     [yes("09:00"), yes("10:00")])
case("lt18-too-late-for-a-segment-entry", "1: a touchpoint too old starts no journey, also not by way of a segment",
     journey(on=None, entry={"segment": {"enter": "regulars"}}),
     [known(), ping("10:00"), ping("11:00", occurred="02-28 10:00")], [],
     files={"segments.yaml": {"segments": {"regulars": {"when": "count('Ping', '60d') >= 2"}}}})
case("lt19-skew-of-a-fast-clock", "1: two hours fast, shown by sentAt: the grant of 11:50 occurred at 09:50, before the deny of 09:55",
     journey(), [known(grants=()), deny("09:55"), {**grant("10:00", occurred="11:50"), "sentAt": at("12:00")}, ping("10:30")],
     [no("no_consent", "10:30")])
case("lt20-accept-late-of-a-week", "1: accept_late 7d takes an event of six days ago, and its caps and waits are of now",
     journey(entry={"accept_late": "7d"}), [known(), ping("10:00", occurred="02-24 11:00"), ping("10:10")], [yes("10:00"), no("cap", "10:10")], caps=DAILY)

# ---- 1 What a timer sees ------------------------------------------------------------------------

NOW = [{"when": "count('Ping', '1h') == 0", "steps": [send("empty")]}, {"else": [send("full")]}]

case("lt30-now-of-a-timer-is-its-instant", "1: at exactly an hour after the ping its window is empty, whatever record moved the clock",
     journey(wait("1h"), {"id": "b", "branch": NOW}), [known(), ping("10:00")], [yes("11:00", step="empty")])
case("lt31-now-of-a-timer-before-the-edge", "1: a minute before the edge the ping still counts, although the clock was moved by months",
     journey(wait("59m"), {"id": "b", "branch": NOW}), [known(), ping("10:00")], [yes("10:59", step="full")])
case("lt32-the-record-at-t-is-not-seen-by-timers-at-t", "1: timers due at t fire before the record at t: the order of 11:00 is not counted by the wait of 11:00",
     journey(wait("1h"), {"id": "b", "branch": [{"when": "count('Order Completed', '1d') == 0", "steps": [send("none")]}, {"else": [send("some")]}]}),
     [known(), ping("10:00"), order("11:00")], [yes("11:00", step="none")])
case("lt33-a-late-order-is-seen-by-a-timer-after-it", "1: it arrived before the wait's end",
     journey(wait("1h"), {"id": "b", "branch": [{"when": "count('Order Completed', '1h') == 1", "steps": [send("some")]}, {"else": [send("none")]}]}),
     [known(), ping("10:00"), order("10:59", occurred="10:00:00.001")], [yes("11:00", step="some")])
case("lt34-time-out-comes-with-the-waits", "1: at one instant waits before woken candidates; a later record finds both due",
     [journey(name="a", priority=90), journey(wait_for(timeout="9h", otherwise=[send("no")]), name="b", on="Signed Up")],
     [known(), ping("22:00"), track("Signed Up", "23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00", journey="a"), yes("03-03 08:00", journey="b"), no("cap", "03-03 08:00", journey="a")],
     caps=DAILY, quiet_hours=NIGHT)
case("lt35-time-out-waits-for-later-log-time", "1: a record at that very instant wakes the candidate and leaves the time-out to the next",
     [journey(name="a", priority=90), journey(wait_for(timeout="9h", otherwise=[send("no")]), name="b", on="Signed Up")],
     [known(), ping("22:00"), track("Signed Up", "23:00"), track("Noop", "03-03 08:00")],
     [later("quiet_hours", "22:00", "03-03 08:00", journey="a"), yes("03-03 08:00", journey="a"), no("cap", "03-03 08:00", journey="b")],
     caps=DAILY, quiet_hours=NIGHT)
case("lt36-another-persons-record-moves-time", "1: every timer of the partition fires before the record, whoever it is of",
     journey(wait_for(timeout="1h")),
     [known(), known("u2", at_second=30), ping("10:00"), track("Noop", "11:00:00.001", "u2"), click("11:00:00.001")], [yes("11:00", step="no")])
case("lt37-a-time-out-after-a-time-out", "1: now is the instant of the first, so the second is an hour after it",
     journey(wait_for(timeout="1h", step="f", then=[], otherwise=[]), wait_for(timeout="1h", step="g")),
     [known(), ping("10:00")], [yes("12:00", step="no")])
case("lt38-a-time-out-at-the-instant-of-an-exit", "1, 7: the exit's record at that instant comes first",
     journey(wait_for(timeout="1h"), exit_on=[{"on": "Order Completed"}]), [known(), ping("10:00"), order("11:00")], [])

EARNED = {"id": "e", "emit": {"event": "Reward Earned", "properties": {}}}

case("lt39a-the-record-is-newer-than-what-timers-did-at-its-instant", "1, 2: the timer of 11:00 fires before the record of 11:00: of two values of one time the later in the log is the newest",
     [journey(wait("1h"), {"id": "u", "update": {"points": "3"}}, name="a"),
      journey({"id": "b", "branch": [{"when": "profile.points == 2", "steps": [send("record")]}, {"else": [send("timer")]}]}, name="b", on="Signed Up")],
     [known(), ping("10:00"), identify("11:00", points=2), track("Signed Up", "11:10")], [yes("11:10", step="record")])
case("lt39b-a-run-of-a-timer-ends-by-the-record-of-its-instant", "1, 7: b began with what the timer of 11:00 emitted; the order of 11:00 is later in the log",
     [journey(wait("1h"), EARNED, name="a"), journey(wait("1h"), send(), name="b", on="Reward Earned", exit_on=[{"on": "Order Completed"}])],
     [known(), ping("10:00"), order("11:00")], [])
case("lt39c-two-timers-of-one-instant", "1, 7: a's wait was armed first, so b's run is older than what c emits at the same instant: that ends it",
     [journey(wait("1h"), EARNED, name="a"), journey(wait("1h"), send(), name="b", on="Reward Earned", exit_on=[{"on": "Product Viewed"}]),
      journey(wait("30m"), {"id": "e", "emit": {"event": "Product Viewed", "properties": {}}}, name="c", on="Signed Up")],
     [known(), ping("10:00"), track("Signed Up", "10:30")], [])
case("lt39d-a-wait-of-a-timer-is-continued-by-the-record-of-its-instant", "1, 7: the run that a timer began at 11:00 stands at its wait_for when the click of 11:00 comes",
     [journey(wait("1h"), EARNED, name="a"), journey(wait_for(timeout="1h"), name="b", on="Reward Earned")],
     [known(), ping("10:00"), click("11:00")], [yes("11:00", journey="b", step="yes")])

# ---- 1 The clock's changes ----------------------------------------------------------------------

case("lt40-half-hour-change-in-autumn", "1: Lord Howe sets back half an hour on 5 April: the first 01:45 is 14:45Z",
     journey(wait({"until": "01:45"}), send()), [known(time_zone="Australia/Lord_Howe"), ping("04-04 00:00")], [yes("04-04 14:45")])
case("lt41-half-hour-gap-in-spring", "1: Lord Howe goes from 02:00 to 02:30 on 4 October: 02:15 is 02:30, 15:30Z",
     journey(wait({"until": "02:15"}), send()), [known(time_zone="Australia/Lord_Howe"), ping("10-03 00:00")], [yes("10-03 15:30")])
case("lt42-midnight-in-a-gap", "1: Cairo goes from 00:00 to 01:00 on Friday 24 April: 00:30 on friday is 01:00, 22:00Z",
     journey(wait({"until": "00:30", "on": "friday"}), send()), [known(time_zone="Africa/Cairo"), ping("04-22 10:00")], [yes("04-23 22:00")])
case("lt43-local-day-of-23-hours", "1, 4: on 29 March the day in London ends at 23:00Z",
     journey(), [known(), ping("03-29 10:00"), ping("03-29 22:59")], [yes("03-29 10:00"), later("cap", "03-29 22:59", "03-29 23:00"), yes("03-29 23:00")],
     caps=[cap(per="local_day", at_cap="defer")])
case("lt44-local-day-of-25-hours", "1, 4: on 25 October it is from 24 October 23:00Z to midnight GMT",
     journey(), [known(), ping("10-24 23:00"), ping("10-25 23:59"), ping("10-26 00:00")],
     [yes("10-24 23:00"), no("cap", "10-25 23:59"), yes("10-26 00:00")], caps=[cap(per="local_day")])
case("lt45-rolling-day-over-the-change", "1, 4: a rolling 24h is 24 hours, also over 25 October",
     journey(), [known(), ping("10-24 12:00"), ping("10-25 11:59:59"), ping("10-25 12:00")],
     [yes("10-24 12:00"), no("cap", "10-25 11:59:59"), yes("10-25 12:00")], caps=DAILY)
case("lt46-until-on-monday-over-the-change", "1: from Saturday 28 March to Monday 09:00 in summer time",
     journey(wait({"until": "09:00", "on": "monday"}), send()), [known(), ping("03-28 12:00")], [yes("03-30 08:00")])
case("lt47-expiry-is-elapsed-quiet-is-calendar", "1, 5: over 29 March quiet ends at 07:00Z: nine hours after 22:00Z, when it expires",
     journey(send(expires="9h")), [known(), ping("03-28 22:00")],
     [later("quiet_hours", "03-28 22:00", "03-29 07:00"), no("expired", "03-29 07:00")], quiet_hours=NIGHT)
case("lt48-expiry-in-the-longer-night", "1, 5: over 25 October quiet ends at 08:00Z; eleven hours from 20:30Z are over at 07:30Z",
     journey(send(expires="11h")), [known(), ping("10-24 20:30")],
     [later("quiet_hours", "10-24 20:30", "10-25 08:00"), no("expired", "10-25 07:30")], quiet_hours=NIGHT)
case("lt49-on-several-days", "1, language: the next of the days named",
     journey(wait({"until": "09:00", "on": ["tuesday", "thursday"]}), send()),
     [known(), ping("03-03 08:00"), ping("03-03 10:00"), ping("03-05 09:00")], [yes("03-03 09:00"), yes("03-05 09:00"), yes("03-10 09:00")])
case("lt50-deferred-over-a-move-west", "4, 1: deferred to London's midnight; moved to New York by then, where the day ends five hours later",
     journey(), [known(), ping("10:00"), ping("11:00"), identify("12:00", time_zone="America/New_York")],
     [yes("10:00"), later("cap", "11:00", "03-03 00:00"), later("cap", "03-03 00:00", "03-03 05:00", zone="America/New_York"), yes("03-03 05:00")],
     caps=[cap(per="local_day", at_cap="defer")])
case("lt51-week-over-a-move-east", "4: Sunday evening in London is Monday in Tokyo: after the move the send is of the new week",
     journey(), [known(), ping("03-08 20:00"), identify("03-08 21:00", time_zone="Asia/Tokyo"), ping("03-09 10:00")],
     [yes("03-08 20:00"), no("cap", "03-09 10:00", zone="Asia/Tokyo")], caps=[cap(per="local_week")])
case("lt52-timezone-is-the-same-attribute", "1: declared attribute `time_zone` (or `timezone`)",
     journey(), [known(timezone="Asia/Tokyo"), ping("10:00")], [yes("10:00", zone="Asia/Tokyo")],
     files={"tracking-plan.yaml": lambda p: {**p, "attributes": {**p["attributes"], "timezone": {"type": "string", "purposes": PROPERTY_PURPOSES}}}})
case("lt53-invalid-context-zone", "1: an invalid context.timezone counts as missing: the phone's region",
     journey(), [known(phone="+48600100200"), identify("09:00", context={"timezone": "Nowhere/City"}), ping("10:00")], [yes("10:00", zone="Europe/Warsaw")])
case("lt54-zone-from-the-very-record", "1: the record that starts the run brings the zone that its decision uses",
     journey(), [known(), {**ping("22:00"), "context": {"timezone": "America/New_York"}}], [yes("22:00", zone="America/New_York")], quiet_hours=NIGHT)

# ---- 7 Dates ------------------------------------------------------------------------------------

def until_date(of="profile.birthday", **more):
    return wait({"until_date": of, "at": "09:00", **more})


case("lt60-leap-day-in-a-common-year", "7: 29 February falls on 28",
     journey(until_date(every="year"), send()), [known(birthday="1996-02-29"), ping("02-25 10:00")], [yes("02-28 09:00")])
case("lt61-day-before-a-leap-day", "7: 29 February falls on 28, and the day before it is the 27th",
     journey(until_date(every="year", offset="-1d"), send()), [known(birthday="1996-02-29"), ping("02-25 10:00")], [yes("02-27 09:00")])
case("lt62-missing-date-ends-the-run", "7: no_date: what follows is not reached",
     journey(until_date(), send()), [known(), ping("10:00")], [])
case("lt63-past-date-goes-on-at-once", "7: without `every` the date of 1990 is past",
     journey(until_date(), send()), [known(birthday="1990-03-20"), ping("10:00")], [yes("10:00")])
case("lt64-past-of-this-year", "7: with every: year a date that has passed this year means the next",
     journey(until_date(every="year"), send()), [known(birthday="1990-03-01"), ping("10:00")], [])
case("lt65-offset-makes-it-past", "7: the date is to come, seven days before it are past",
     journey(until_date(offset="-7d"), send()), [known(birthday="2026-03-06"), ping("10:00")], [yes("10:00")])
case("lt66-date-in-summer-time", "1, 7: 09:00 local on 1 April is 08:00Z",
     journey(until_date(), send()), [known(birthday="2026-04-01"), ping("10:00")], [yes("04-01 08:00")])
case("lt67-date-of-the-event", "7: the date may be a property of the event that the run entered with",
     journey(until_date("event.properties.renews", offset="-1d"), send(), on="Signed Up"),
     [known(), track("Signed Up", "10:00", properties={"renews": "2026-03-10"})], [yes("03-09 09:00")],
     files={"tracking-plan.yaml": lambda p: {**p, "events": {**p["events"], "Signed Up": {"channel": "web", "properties": {
         "renews": {"type": "date", "purposes": PROPERTY_PURPOSES}}}}}})
