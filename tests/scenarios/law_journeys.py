"""Conformance cases on entries, waits, exits, steps and what one record sets off; loaded by `ours.py`."""

from notation import *  # noqa: F403

NIGHT = [quiet()]
DAILY = [cap()]
A = "u1@x.example"


def order(received, person="u1", occurred=None, **properties):
    return track("Order Completed", received, person, occurred, properties)


def click(received, person="u1", occurred=None, **properties):
    return track("Email Link Clicked", received, person, occurred, properties)


def cart(received, cart_id, person="u1", **properties):
    return track("Cart Updated", received, person, properties={"cart_id": cart_id, **properties})


def sign_up(received, person="u1", **properties):
    return track("Signed Up", received, person, properties=properties)


def view(received, person="u1", **properties):
    return track("Product Viewed", received, person, properties=properties)


def emit(event="Reward Earned", step="e", **properties):
    return {"id": step, "emit": {"event": event, "properties": properties}}


def update(step="u", **attributes):
    return {"id": step, "update": attributes}


def throttle(per="1h", at_most=1, otherwise="wait", step="t", **more):
    return {"id": step, "throttle": {"at_most": at_most, "per": per, "otherwise": otherwise, **more}}


def by_attribute(*steps, attribute="tier", name="j", **more):
    return journey(*steps, name=name, on=None, entry={"attribute": {"name": attribute, "changed": True}}, **more)


def by_segment(*steps, name="j", **which):
    return journey(*steps, name=name, on=None, entry={"segment": which})


def segments(**when):
    return {"segments.yaml": {"segments": {name: {"when": text} for name, text in when.items()}}}


def branch(*ways, step="b"):
    return {"id": step, "branch": [*({"when": when, "steps": [send(name)]} for when, name in ways), {"else": [send("other")]}]}


# ---- 7 Entries ----------------------------------------------------------------------------------

case("lj01-attribute-changes", "7: old and new differ; absent to a value is a change, the same value again is none",
     by_attribute(), [known(), identify("09:00", tier="gold"), identify("09:10", tier="gold"), identify("09:20", points=1), identify("09:30", tier="silver")],
     [yes("09:00"), yes("09:30")])
case("lj02-the-same-number-is-no-change", "7: numbers are one type: 20 and 20.0 are the same value",
     by_attribute(attribute="points"), [known(), identify("09:00", points=20), identify("09:10", points=20.0), identify("09:20", points=20.5)],
     [yes("09:00"), yes("09:20")])
case("lj03-attribute-journey-after-the-record", "7: an update starts an attribute journey after the record, whatever its priority",
     [journey(update(tier="'gold'"), send(), name="a", priority=1), by_attribute(name="b", priority=99)],
     [known(), ping("10:00"), ping("10:10")], [yes("10:00", journey="a"), yes("10:00", journey="b"), yes("10:10", journey="a")])
case("lj04-an-update-that-sets-another", "7: attribute journeys may start one another",
     [journey(update(tier="'gold'"), name="a"), by_attribute(update(points="7"), send(), name="b"), by_attribute(name="c", attribute="points")],
     [known(), ping("10:00")], [yes("10:00", journey="b"), yes("10:00", journey="c")])
case("lj05-out-of-a-segment", "7: segment leave, and entering again after it",
     [by_segment(name="in", enter="golden"), by_segment(name="out", leave="golden")],
     [known(), identify("09:00", tier="gold"), identify("09:10", tier="silver"), identify("09:20", tier="gold")],
     [yes("09:00", journey="in"), yes("09:10", journey="out"), yes("09:20", journey="in")], files=segments(golden="profile.tier == 'gold'"))
case("lj06-segment-by-an-update", "7: a run's own update may let the person enter a segment",
     [journey(update(tier="'gold'"), send(), name="a"), by_segment(name="in", enter="golden")], [known(), ping("10:00")],
     [yes("10:00", journey="a"), yes("10:00", journey="in")], files=segments(golden="profile.tier == 'gold'"))
case("lj07-several-events", "language: on may list events; each starts",
     journey(on=["Ping", "Signed Up"]), [known(), ping("10:00"), sign_up("10:10"), view("10:20")], [yes("10:00"), yes("10:10")])
case("lj08-never-per-key", "7: reentry is of the instance key",
     journey(on="Cart Updated", key="event.properties.cart_id", reentry="never"), [known(), cart("10:00", "c1"), cart("10:10", "c1"), cart("10:20", "c2")],
     [yes("10:00", run_key="c1"), yes("10:20", run_key="c2")])
case("lj09-after-a-duration-per-key", "7: after 1h from the last entry of the key; a refused entry is none",
     journey(on="Cart Updated", key="event.properties.cart_id", reentry="after 1h"),
     [known(), cart("10:00", "c1"), cart("10:30", "c2"), cart("10:59:59.999", "c1"), cart("11:00", "c1"), cart("11:30", "c2")],
     [yes("10:00", run_key="c1"), yes("10:30", run_key="c2"), yes("11:00", run_key="c1"), yes("11:30", run_key="c2")])
case("lj10-a-number-as-a-key", "7: numbers are one type: 20 and 20.0 are one key",
     journey(wait("1h"), send(), key="event.properties.n", reentry="after_exit"), [known(), ping("10:00", n=20), ping("10:10", n=20.0), ping("10:20", n=21)],
     [yes("11:00"), yes("11:20")])
case("lj11-key-of-a-run-that-has-ended", "7: after_exit: the exit of c1's run lets c1 begin again, at the same record not",
     journey(wait("1h"), send(), on="Cart Updated", key="event.properties.cart_id", reentry="after_exit",
             exit_on=[{"on": "Order Completed", "when": "event.properties.cart_id == run.key"}]),
     [known(), cart("10:00", "c1"), order("10:10", cart_id="c1"), cart("10:20", "c1"), cart("10:30", "c1")], [yes("11:20", run_key="c1")])
case("lj12-entry-of-a-person-without-endpoint", "7: a run needs no address; the send says what is missing and the run goes on",
     journey(send("a"), wait("1h"), send("b")), [ping("10:00", "a1"), identify("10:30", "a1", email=A), grant("10:31", "a1")],
     [no("endpoint_missing", "10:00", "a1", step="a"), yes("11:00", "a1", step="b")])

# ---- 7 Exits and goals --------------------------------------------------------------------------

case("lj20-exit-before-it-continues", "7: exits are evaluated before the record can continue a run",
     journey(wait_for("Order Completed", "1d"), exit_on=[{"on": "Order Completed"}]), [known(), ping("10:00"), order("10:20")], [])
case("lj21-exit-of-one-run-continues-another", "7: one record ends one journey's run and continues another's",
     [journey(wait_for("Order Completed", "1d"), name="a", exit_on=[{"on": "Order Completed"}]), journey(wait_for("Order Completed", "1d"), name="b")],
     [known(), ping("10:00"), order("10:20")], [yes("10:20", journey="b", step="yes")])
case("lj22-exit-by-what-another-run-emits", "7: an emitted event is a record of the person: it ends a run of another journey",
     [journey(emit(), name="a", on="Signed Up"), journey(wait("1h"), send(), name="b", exit_on=[{"on": "Reward Earned"}])],
     [known(), ping("10:00"), sign_up("10:20")], [])
case("lj23-exit-by-what-the-run-itself-emits", "7, 1: applied after the record, at the same log time: later in the log than the entry, so it ends the run",
     journey(emit(), wait("1h"), send(), exit_on=[{"on": "Reward Earned"}]), [known(), ping("10:00")], [])
case("lj24-exit-by-history", "7: the exit's condition sees the state after the record",
     journey(wait("3h"), send(), exit_on=[{"on": "Product Viewed", "when": "count('Product Viewed', '1h') >= 2"}]),
     [known(), known("u2", at_second=30), ping("10:00"), view("10:10"), view("11:10"), ping("10:00", "u2"), view("10:10", "u2"), view("11:09:59", "u2")],
     [yes("13:00")])
case("lj25-a-missing-field-ends-nothing", "7: the exit's condition misses a field: false, also negated",
     journey(wait("1h"), send(), exit_on=[{"on": "Order Completed", "when": "!(event.properties.total < 50)"}]), [known(), ping("10:00"), order("10:10")], [yes("11:00")])
case("lj26-goal-with-a-condition", "7: an order too small is no goal",
     journey(wait("1h"), send(), goal={"on": ["Order Completed"], "when": "event.properties.total >= 50", "within": "7d"}),
     [known(), known("u2", at_second=30), ping("10:00"), order("10:10", total=49), ping("10:00", "u2"), order("10:10", "u2", total=50)], [yes("11:00")])
case("lj27-goal-and-exit-with-exit-false", "7: a record that meets both counts as the goal, and the exit still ends the run",
     journey(goal={"on": ["Order Completed"], "within": "7d", "exit": False}, exit_on=[{"on": "Order Completed"}]),
     [known(), ping("22:00"), order("23:00")], [later("quiet_hours", "22:00", "03-03 08:00"), no("goal_met", "23:00")], quiet_hours=NIGHT)
case("lj28-goal-outside-exit-inside", "7: after its window the record is no goal, but the exit",
     journey(exit_on=[{"on": "Order Completed"}], goal={"on": ["Order Completed"], "within": "30m"}), [known(), ping("22:00"), order("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("exited", "23:00")], quiet_hours=NIGHT)
case("lj29-every-live-run", "7: exit_on concerns the person: it ends the runs of every key, and their deferred messages",
     journey(on="Cart Updated", key="event.properties.cart_id", exit_on=[{"on": "Order Completed"}]), [known(), cart("22:00", "c1"), cart("22:10", "c2"), order("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"), no("exited", "23:00", run_key="c1"), no("exited", "23:00", run_key="c2")],
     quiet_hours=NIGHT)
case("lj30-exit-and-a-new-entry-by-one-record", "7, 6: the record ends the deferred one first, then begins anew",
     journey(reentry="after_exit", exit_on=[{"on": "Ping"}]), [known(), ping("22:00"), ping("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("exited", "23:00"), later("quiet_hours", "23:00", "03-03 08:00"), yes("03-03 08:00")], quiet_hours=NIGHT)
case("lj31-exit-step-inside-a-branch", "7: exit ends the run from any depth",
     journey({"id": "b", "branch": [{"when": "event.properties.n == 1", "steps": [send("in"), {"id": "x", "exit": "done"}, send("never")]}]}, send("after")),
     [known(), ping("10:00", n=1), ping("10:10", n=2)], [yes("10:00", step="in"), yes("10:10", step="after")])

# ---- 7 Waits ------------------------------------------------------------------------------------

case("lj40-one-click-many-runs", "7: one record continues one wait_for of a run, and of every run; live runs by entry",
     journey(wait_for(timeout="1h")), [known(), ping("10:00"), ping("10:10"), click("10:20")], [yes("10:20", step="yes"), yes("10:20", step="yes")])
case("lj41-nested-wait-needs-another", "7: inside `then` another wait_for of the same event: it needs another record",
     journey(wait_for(then=[wait_for(step="g", then=[send("two")], otherwise=[send("one")])], otherwise=[], timeout="1h")),
     [known(), ping("10:00"), click("10:20")], [yes("11:20", step="one")])
case("lj42-the-wait-sees-its-own-emission", "7: emitted events are applied after the record: the run stands at its wait_for by then",
     journey(emit(), wait_for("Reward Earned", "1h")), [known(), ping("10:00")], [yes("10:00", step="yes")])
case("lj42b-an-emission-continues-a-condition-too", "7: the click continues f; what the run emits then is an event of its own, on which g's condition is looked at",
     journey(wait_for(step="f", then=[emit()], otherwise=[]), wait_for(None, "1h", step="g", condition="count('Reward Earned', '1h') >= 1")),
     [known(), ping("10:00"), click("10:20"), track("Noop", "10:30")], [yes("10:20", step="yes")])
case("lj42c-one-record-one-wait-also-for-conditions", "7: one record continues at most one wait_for of a run: g's condition, which holds too, is looked at with the next",
     journey(wait_for(step="f", then=[], otherwise=[]), wait_for(None, "1h", step="g", condition="profile.points == 5")),
     [known(points=5), ping("10:00"), click("10:20"), track("Noop", "10:30")], [yes("10:30", step="yes")])
case("lj43-emission-by-another-journey-continues", "7: what another journey emits continues the wait",
     [journey(wait_for("Reward Earned", "1h"), name="a"), journey(emit(points="event.properties.n"), name="b", on="Signed Up")],
     [known(), ping("10:00"), sign_up("10:20")], [yes("10:20", journey="a", step="yes")],
     files={"tracking-plan.yaml": lambda p: {**p, "events": {**p["events"], "Signed Up": {"channel": "web", "properties": {
         "n": {"type": "number", "purposes": PROPERTY_PURPOSES}}}}}})
case("lj44-any-of-several-events", "language: wait_for on a list of events",
     journey(wait_for(["Email Link Clicked", "Email Opened"], "1h")), [known(), ping("10:00"), track("Email Opened", "10:20"), click("10:30")], [yes("10:20", step="yes")])
case("lj45-condition-by-anothers-update", "7: a condition is looked at on every update of the person, also by another run",
     [journey(wait_for(None, "1d", condition="profile.points >= 100"), name="a"), journey(update(points="100"), name="b", on="Signed Up")],
     [known(), ping("10:00"), sign_up("10:20")], [yes("10:20", journey="a", step="yes")])
case("lj46-condition-by-a-late-event", "7, 1: a late event fills the window that the condition looks at",
     journey(wait_for(None, "1d", condition="count('Product Viewed', '1h') >= 2")),
     [known(), view("09:50"), ping("10:00"), view("11:00"), track("Product Viewed", "11:10", occurred="10:30")], [yes("11:10", step="yes")])
case("lj47-window-of-a-sum-empties", "7: when time empties a window in it: the sum over an hour, at exactly the hour",
     journey(wait_for(None, "1d", condition="sum('Order Completed', 'total', '1h') < 10")), [known(), order("09:30", total=20), ping("10:00")], [yes("10:30", step="yes")])
case("lj48-window-empties-in-part", "7: of two views the first leaves at 10:30",
     journey(wait_for(None, "1d", condition="count('Product Viewed', '1h') == 1")), [known(), view("09:30"), view("09:45"), ping("10:00")], [yes("10:30", step="yes")])
case("lj49-a-late-event-moves-the-emptying", "7, 1: the window empties an hour after the event occurred, not after it arrived",
     journey(wait_for(None, "1d", condition="count('Product Viewed', '1h') == 0")),
     [known(), view("09:45"), ping("10:00"), track("Product Viewed", "10:10", occurred="10:05")], [yes("11:05", step="yes")])
case("lj50-restart-by-any-of-several", "language: restart_on a list",
     journey(wait("1h", restart_on=["Product Viewed", "Signed Up"]), send()), [known(), ping("10:00"), view("10:30"), sign_up("11:00")], [yes("12:00")])
case("lj51-no-restart-at-the-instant", "1: the wait of 11:00 fires before the record of 11:00 could restart it",
     journey(wait("1h", restart_on="Product Viewed"), send()), [known(), ping("10:00"), view("11:00")], [yes("11:00")])
case("lj52-the-entry-record-restarts-nothing", "7: the record that started the run is not seen again by its wait",
     journey(wait("1h", restart_on="Ping"), send(), reentry="after_exit"), [known(), ping("10:00"), ping("10:30")], [yes("11:30")])
case("lj53-restart-with-always", "7: with reentry: always the ping restarts the old run's wait and starts a new one: both end together",
     journey(wait("1h", restart_on="Ping"), send()), [known(), ping("10:00"), ping("10:30")], [yes("11:30"), yes("11:30")])
case("lj55-key-in-an-emitted-event", "7: the emitted event has the field that the key reads: it continues that instance alone",
     [journey(wait_for("Reward Earned", "1h"), name="a", key="event.properties.id", on="Ping"),
      journey(emit(id="event.properties.id"), name="b", on="Product Viewed")],
     [known(), ping("10:00", id="x"), ping("10:01", id="y"), view("10:20", id="y")],
     [yes("10:20", journey="a", run_key="y", step="yes"), yes("11:00", journey="a", run_key="x", step="no")],
     files={"tracking-plan.yaml": lambda p: {**p, "events": {**p["events"], "Product Viewed": {"channel": "web", "properties": {"id": {"type": "string", "purposes": PROPERTY_PURPOSES}}},
                                                             "Reward Earned": {"channel": "web", "properties": {"id": {"type": "string", "purposes": PROPERTY_PURPOSES}}}}}})
case("lj56-time-out-longer-than-the-night", "5, 7: during a deferral the run stands at the send: a click then continues no later wait",
     journey(send("a"), wait_for(timeout="1h")), [known(), ping("22:00"), click("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00", step="a"), yes("03-03 08:00", step="a"), yes("03-03 09:00", step="no")], quiet_hours=NIGHT)

# ---- 7 Throttle ---------------------------------------------------------------------------------

case("lj60-waiters-in-their-order", "7: waiters go in the order they came, one an hour",
     journey(throttle(), send(), key="event.properties.id"), [known(), ping("10:00", id="a"), ping("10:10", id="c"), ping("10:20", id="b")],
     [yes("10:00", run_key="a"), yes("11:00", run_key="c"), yes("12:00", run_key="b")])
case("lj61-a-waiter-before-a-newcomer", "7, 1: at 11:00 the waiter's timer comes before the record; the newcomer waits behind the other",
     journey(throttle(), send(), key="event.properties.id"),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("10:20", id="c"), ping("11:00", id="d")],
     [yes("10:00", run_key="a"), yes("11:00", run_key="b"), yes("12:00", run_key="c"), yes("13:00", run_key="d")])
case("lj62-two-an-hour", "7: the window is half open: at exactly an hour after the first one more passes",
     journey(throttle(at_most=2), send(), key="event.properties.id"), [known(), ping("10:00", id="a"), ping("10:30", id="b"), ping("10:40", id="c"), ping("10:50", id="d")],
     [yes("10:00", run_key="a"), yes("10:30", run_key="b"), yes("11:00", run_key="c"), yes("11:30", run_key="d")])
case("lj63-throttles-of-two-steps", "7: per step id: each step counts its own",
     journey(throttle(otherwise="exit", step="t1"), send("a"), throttle(otherwise="exit", step="t2", per="3h"), send("b")),
     [known(), ping("10:00"), ping("11:00"), ping("13:00")],
     [yes("10:00", step="a"), yes("10:00", step="b"), yes("11:00", step="a"), yes("13:00", step="a"), yes("13:00", step="b")])
case("lj64-throttle-of-each-person", "7: per person", journey(throttle(otherwise="exit"), send()),
     [known(), known("u2", at_second=30), ping("10:00"), ping("10:10", "u2"), ping("10:20")], [yes("10:00"), yes("10:10", "u2")])
case("lj65-a-waiter-that-exits-leaves-the-queue", "7: an exit ends the one that waits; the next takes its turn",
     journey(throttle(), send(), key="event.properties.id", exit_on=[{"on": "Order Completed", "when": "event.properties.cart_id == run.key"}]),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("10:20", id="c"), order("10:30", cart_id="b")],
     [yes("10:00", run_key="a"), yes("11:00", run_key="c")])
case("lj66-throttle-by-another-key", "7: per key: a throttle may count by something else than the instance",
     journey(throttle(otherwise="exit", key="event.properties.n"), send(), key="event.properties.id"),
     [known(), ping("10:00", id="a", n=1), ping("10:10", id="b", n=1), ping("10:20", id="c", n=2)], [yes("10:00", run_key="a"), yes("10:20", run_key="c")])

# ---- 7 Emit, update, enter ----------------------------------------------------------------------

case("lj70-emitted-after-all-of-the-record", "7: the record starts a and c; what a emits comes after both",
     [journey(emit(), name="a", priority=90), journey(name="c", priority=1), journey(name="b", on="Reward Earned", priority=99)],
     [known(), ping("10:00")], [yes("10:00", journey="c"), yes("10:00", journey="b")])
case("lj71-emitted-in-their-order", "7: two emitted events come in the order they were emitted",
     [journey(emit(step="e1", points="1"), emit(step="e2", points="2"), name="a"), journey(name="b", on="Reward Earned", key="event.properties.points")],
     [known(), ping("10:00")], [yes("10:00", run_key="1"), yes("10:00", run_key="2")])
case("lj72-emitted-by-a-timer", "7, 1: at the log time of the timer",
     [journey(wait("1h"), emit(), name="a"), journey(name="b", on="Reward Earned")], [known(), ping("10:00")], [yes("11:00", journey="b")])
case("lj73-emitted-events-count", "7: an emitted event is on the timeline",
     [journey(emit(), name="a"), journey(name="b", on="Signed Up", when="count('Reward Earned', '1h') == 2")],
     [known(), ping("10:00"), ping("10:10"), sign_up("11:09:59.999"), sign_up("10:59:59.999")], [yes("10:59:59.999", journey="b")])
case("lj74-update-then-a-late-identify", "2, 7: an identify that occurred before the update does not win over it",
     journey(update(points="100"), wait("1h"), branch(("profile.points == 100", "hundred"))),
     [known(points=1), ping("10:00"), identify("10:30", occurred="09:30", points=5)], [yes("11:00", step="hundred")])
case("lj75-update-of-two-and-one-misses", "7: the expression that misses a field changes nothing; the other does",
     journey(update(points="profile.nothing + 1", tier="'set'"), branch(("profile.tier == 'set' && !has(profile.points)", "right"))),
     [known(), ping("10:00")], [yes("10:00", step="right")],
     files={"tracking-plan.yaml": lambda p: {**p, "attributes": {**p["attributes"], "nothing": {"type": "number", "purposes": PROPERTY_PURPOSES}}}})
case("lj76-update-from-the-event", "7: numbers, texts and truth from the event that the run entered with, also hours later",
     journey(wait("1h"), update(points="event.properties.n * 2", tier="event.properties.id"), branch(("profile.points == 6 && profile.tier == 'x'", "right"))),
     [known(), ping("10:00", n=3, id="x"), track("Noop", "10:30")], [yes("11:00", step="right")])
case("lj77-enter-another-journey", "language: the step enters another journey with a key of its choice; its reentry still holds",
     [journey({"id": "n", "enter": {"journey": "k", "key": "event.properties.id"}}, send(), name="a"),
      journey(name="k", on="Noop", reentry="never", key="event.properties.id")],
     [known(), ping("10:00", id="x"), ping("10:10", id="x"), ping("10:20", id="y")],
     [yes("10:00", journey="a"), yes("10:00", journey="k", run_key="x"), yes("10:10", journey="a"), yes("10:20", journey="a"), yes("10:20", journey="k", run_key="y")],
     files={"tracking-plan.yaml": lambda p: {**p, "events": {**p["events"], "Noop": {"channel": "web", "properties": {"id": {"type": "string", "purposes": PROPERTY_PURPOSES}}}}}})
case("lj78-run-event-after-two-waits", "language: run.events by step id, each its own",
     journey(wait_for(step="f", then=[], otherwise=[], timeout="1h"), wait_for(step="g", then=[], otherwise=[], timeout="1h"),
             branch(("run.events.f.properties.link == 'a' && run.events.g.properties.link == 'b'", "both"))),
     [known(), ping("10:00"), click("10:10", link="a"), click("10:20", link="b")], [yes("10:20", step="both")])
case("lj79-run-event-of-a-time-out", "language, 7: a wait that timed out matched nothing: the field is missing",
     journey(wait_for(step="f", then=[], otherwise=[], timeout="1h"), branch(("run.events.f.properties.link != 'a'", "unequal"), ("!has(run.events.f)", "none"))),
     [known(), ping("10:00")], [yes("11:00", step="none")])
