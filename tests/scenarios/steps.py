"""Cases of our own on steps that collect and on when a message goes; loaded by `ours.py`."""

from notation import *  # noqa: F403


# ---- 7 The step digest --------------------------------------------------------------------------

def digest(window="4h", step="d", **more):
    return {"id": step, "digest": {"window": window, **more}}


def listing(name="items"):
    """The template `t` as one that goes through the items."""
    return {"templates/t/en.txt": "{% for i in " + name + " %}{{ i.properties.n }} {% endfor %}{{ links.unsubscribe }}\n"}


case("od20-digest-goes-on-when-its-window-is-over", "7: what would have entered but for the live run is collected: one message, 4 h after the first",
     journey(digest(), send(), reentry="after_exit"),
     [known(), ping("10:00", n=1), ping("11:00", n=2), ping("13:59:59", n=3)], [yes("14:00")], files=listing())
case("od21-digest-time-goes-before-the-record", "7, 1: at the instant that the window ends the digest goes on first; the event begins a run of its own",
     journey(digest(), send(), reentry="after_exit"),
     [known(), ping("10:00", n=1), ping("14:00", n=2)], [yes("14:00"), yes("18:00")], files=listing())
case("od22-digest-that-is-full-goes-on-at-once", "7: max: 2 is reached by the second; it begins no run, the third does",
     journey(digest(max=2), send(), reentry="after_exit"),
     [known(), ping("10:00", n=1), ping("10:30", n=2), ping("11:00", n=3)], [yes("10:30"), yes("15:00")], files=listing())
case("od23-runs-of-their-own-join-an-open-digest", "7: with reentry: always each event has a run; those that come to the open digest end there",
     journey(wait("10m"), digest(), send(), reentry="always"),
     [known(), ping("10:00", n=1), ping("10:05", n=2), ping("12:00", n=3)], [yes("14:10")], files=listing())
case("od24-digest-of-each-key", "7: the instance key keeps digests apart",
     journey(digest(), send(), reentry="after_exit", key="event.properties.id"),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("10:20", id="a")], [yes("14:00", run_key="a"), yes("14:10", run_key="b")], files=listing())
case("od25-digest-by-a-key-of-its-own", "7: runs of many keys join by the key of the digest",
     journey(digest(key="event.properties.n"), send(), reentry="always", key="event.properties.id"),
     [known(), ping("10:00", id="a", n=1), ping("10:10", id="b", n=1), ping("10:20", id="c", n=2)], [yes("14:00", run_key="a"), yes("14:20", run_key="c")], files=listing())
case("od26-digest-in-order-of-occurrence", "7: a late event takes its place in front: the first item is the one that occurred first",
     journey(digest(), {"id": "b", "branch": [{"when": "run.items[0].properties.n == 2 && size(run.items) == 2", "steps": [send("late")]}, {"else": [send("other")]}]}, reentry="after_exit"),
     [known(), ping("10:00", n=1), ping("11:00", occurred="09:00", n=2)], [yes("14:00", step="late")])
case("od27-digest-under-another-name", "language: as names the items in templates; a missing one would be content",
     journey(digest(**{"as": "pings"}), send(), reentry="after_exit"),
     [known(), ping("10:00", n=1)], [yes("14:00")], files=listing("pings"))
case("od28-an-exit-ends-a-digest", "7: exit_on is evaluated mid-digest; what was collected is gone with the run",
     journey(digest(), send(), reentry="after_exit", exit_on=[{"on": "Order Completed"}]),
     [known(), ping("10:00", n=1), track("Order Completed", "11:00"), ping("12:00", n=2)], [yes("16:00")], files=listing())
case("od29-a-digest-takes-only-what-fits-the-entry", "7: an event that fails the entry's filter is not collected",
     journey(digest(max=2), send(), reentry="after_exit", when="event.properties.n > 0"),
     [known(), ping("10:00", n=1), ping("10:30", n=0), ping("11:00", n=5)], [yes("11:00")], files=listing())
case("od30-a-merge-unites-two-digests", "7, 2: two runs of one journey become one; it holds the items of both",
     journey(digest(), {"id": "b", "branch": [{"when": "size(run.items) == 2", "steps": [send("both")]}, {"else": [send("one")]}]}, reentry="after_exit"),
     [known(), ping("10:00", n=1), ping("10:30", "w", n=2), {**track("Noop", "11:00"), "anonymousId": "w"}], [yes("14:00", step="both")])


# ---- 5 best_time --------------------------------------------------------------------------------

def opened(*times, person="u1"):
    return [track("Email Opened", at, person) for at in times]


EVENINGS = opened("02-26 19:10", "02-27 19:20", "02-28 19:30")

case("ob01-best-time-is-the-hour-of-most-engagement", "5: three opens at seven in the evening: the message of ten waits until 19:00",
     journey(send(best_time="24h")), [known(), EVENINGS, ping("10:00")], [later("no_slot", "10:00", "19:00"), yes("19:00")])
case("ob02-best-time-is-on", "5: inside the best hour there is nothing to wait for",
     journey(send(best_time="24h")), [known(), EVENINGS, ping("19:45")], [yes("19:45")])
case("ob03-best-time-without-data-is-now", "5: nobody has engaged yet",
     journey(send(best_time="24h")), [known(), ping("10:00")], [yes("10:00")])
case("ob04-best-time-outside-quiet-hours", "5: the best hour is quiet; 18 and 20 are smoothed alike, the sooner wins",
     journey(send(best_time="24h")), [known(), EVENINGS, ping("10:00")], [later("no_slot", "10:00", "18:00"), yes("18:00")],
     quiet_hours=[quiet("19:00", "20:00")])
case("ob05-no-slot-before-it-expires", "5: every hour within its life is quiet: a reason, not silence",
     journey(send(best_time="24h", expires="8h")), [known(), EVENINGS, ping("10:00")], [no("no_slot", "10:00")],
     quiet_hours=[quiet("09:00", "21:00")])
case("ob06-best-time-in-the-persons-zone", "5: 19:10Z is 04:10 in Tokyo; that hour begins at 19:00Z",
     journey(send(best_time="24h")), [known(time_zone="Asia/Tokyo"), EVENINGS, ping("10:00")], [later("no_slot", "10:00", "19:00", zone="Asia/Tokyo"), yes("19:00")])
case("ob07-everybodys-hours-when-the-own-say-nothing", "5: with too little of one's own the workspace's histogram",
     journey(send(best_time="24h")), [known(), known("u2", at_second=30), opened("02-26 08:10", "02-27 08:10", "02-28 08:10", person="u2"), ping("10:00")],
     [later("no_slot", "10:00", "03-03 08:00"), yes("03-03 08:00")])
case("ob08-exit-while-waiting-for-the-hour", "6: a run that ends while its message is deferred leaves the reason",
     journey(send(best_time="24h"), exit_on=[{"on": "Order Completed"}]), [known(), EVENINGS, ping("10:00"), track("Order Completed", "12:00")],
     [later("no_slot", "10:00", "19:00"), no("exited", "12:00")])


# ---- 4 at_cap: digest ---------------------------------------------------------------------------

case("od40-put-off-into-the-next-message", "4: the message at the full cap is refused at once, its run goes on; the next allowed one goes out",
     journey(send(at_cap="digest"), send("after", channels=["push"])),
     [known(), ping("10:00", n=1), ping("11:00", n=2), ping("03-03 10:30", n=3)],
     [yes("10:00", step="s"), yes("10:00", step="after"), no("cap", "11:00", step="s"), yes("11:00", step="after"),
      yes("03-03 10:30", step="s"), yes("03-03 10:30", step="after")],
     caps=[cap(scope={"channel": "email"}, at_cap="defer")], files=listing())
case("od41-the-caps-digest", "4: the cap says digest, the step nothing",
     journey(), [known(), ping("10:00", n=1), ping("11:00", n=2), ping("03-03 10:30", n=3)],
     [yes("10:00"), no("cap", "11:00"), yes("03-03 10:30")], caps=[cap(at_cap="digest")], files=listing())
case("od42-the-steps-at_cap-over-the-caps-digest", "4: the step's at_cap goes before the cap's",
     journey(send(at_cap="defer", expires="2d")), [known(), ping("10:00", n=1), ping("11:00", n=2)],
     [yes("10:00"), later("cap", "11:00", "03-03 10:00"), yes("03-03 10:00")], caps=[cap(at_cap="digest")], files=listing())
case("od43-of-several-full-caps-the-first-decides", "4: digest stands first in the file, defer second",
     journey(), [known(), ping("10:00", n=1), ping("11:00", n=2)],
     [yes("10:00"), no("cap", "11:00")],
     caps=[cap(at_cap="digest"), cap(id="d", per="local_day", at_cap="defer")], files=listing())


# ---- 7 The step call ----------------------------------------------------------------------------

def call(step="ask", **more):
    return {"id": step, "call": {"url": "https://stock.example/items/{{ event.properties.id }}", "as": "stock", **more}}


def by_stock(*more):
    """Sends `much` or `none` by the answer."""
    return {"id": "b", "branch": [{"when": "run.call.stock.left >= 5", "steps": [send("much")]}, {"else": [send("none")]}, *more]}


def answered(received, person="u1", **properties):
    return track("Call Answered", received, person, properties=properties)


def failed(received, person="u1", **properties):
    return track("Call Failed", received, person, properties=properties)


AT_ASK = {"journey": "j", "step": "ask"}

case("oa01-a-call-answered-in-the-file", "language, 7: the answer is read as run.call.<as>; the run goes on when it comes",
     journey(call(), by_stock()),
     [known(), ping("10:00", id="a"), answered("10:00:02", **AT_ASK, answer={"left": 7})], [yes("10:00:02", step="much")])
case("oa02-a-call-that-no-line-answers", "nothing is called: without an answer the call fails when its timeout is over, on_error continue",
     journey(call(timeout="5s"), by_stock()),
     [known(), ping("10:00", id="a")], [yes("10:00:05", step="none")])
case("oa03-on_error-exit", "on_error exit ends the run, so that no message follows",
     journey(call(timeout="5s", on_error="exit"), send()),
     [known(), ping("10:00", id="a")], [])
case("oa04-a-call-failed-in-the-file", "a Call Failed goes on by on_error at once",
     journey(call(timeout="5m"), by_stock()),
     [known(), ping("10:00", id="a"), failed("10:00:30", **AT_ASK)], [yes("10:00:30", step="none")])
case("oa05-an-answer-too-late-and-one-twice", "what comes after the timeout, or a second time, does nothing",
     journey(call(timeout="5s"), by_stock()),
     [known(), ping("10:00", id="a"), answered("10:00:06", **AT_ASK, answer={"left": 7}),
      ping("11:00", id="b"), answered("11:00:01", **AT_ASK, answer={"left": 7}), answered("11:00:02", **AT_ASK, answer={"left": 0})],
     [yes("10:00:05", step="none"), yes("11:00:01", step="much")])
case("oa06-the-latest-call-of-the-person", "an answer that names journey and step is of the person's latest call there",
     journey(call(timeout="5m"), by_stock(), key="event.properties.id"),
     [known(), ping("10:00", id="a"), ping("10:01", id="b"), answered("10:02", **AT_ASK, answer={"left": 9})],
     [yes("10:02", step="much", run_key="b"), yes("10:05", step="none", run_key="a")])
case("oa07-an-address-that-misses-a-value", "a missing field: the call cannot be made and fails at once",
     journey(call(), by_stock()), [known(), ping("10:00")], [yes("10:00", step="none")])
case("oa08-exit-while-a-call-is-out", "7: exit_on is looked at mid-call; the answer then does nothing",
     journey(call(timeout="5m"), send(), exit_on=[{"on": "Order Completed"}]),
     [known(), ping("10:00", id="a"), track("Order Completed", "10:01"), answered("10:02", **AT_ASK, answer={"left": 9})], [])
case("oa09-body-method-headers", "language: every key of the step",
     journey(call(method="POST", body={"cart": "run.key", "n": "event.properties.n + 1", "all": ["1", {"x": "'y'"}]},
                  headers={"X-Shop": "york {{ run.key }}"}, timeout="5s", on_error="continue"), send(),
             key="event.properties.id"),
     [known(), ping("10:00", id="a", n=1), answered("10:00:01", **AT_ASK, answer=None)], [yes("10:00:01")])
case("oa10-an-answer-in-a-template", "language: templates read run.call.<as>; what the answer lacks is content",
     journey(call(timeout="5s"), send()),
     [known(), ping("10:00", id="a"), answered("10:00:01", **AT_ASK, answer={"left": 7}),
      ping("11:00", id="b"), answered("11:00:01", **AT_ASK, answer={"right": 7})],
     [yes("10:00:01"), no("content", "11:00:01")],
     files={"templates/t/en.txt": "{{ run.call.stock.left }} left. {{ links.unsubscribe }}\n"})
case("oa11-a-killed-journey-calls-nobody", "8, 7: killed, the call fails at once",
     journey(wait("1h"), call(timeout="5m"), by_stock()),
     [known(), ping("10:00", id="a"), command("10:30", "kill", **{"class": "marketing"})], [no("killed", "11:00", step="none")])
case("oa12-a-pause-holds-before-a-call", "7: a pause holds at the next step; resumed, the call is made then",
     journey(wait("1h"), call(timeout="5m"), by_stock()),
     [known(), ping("10:00", id="a"), command("10:30", "pause", journey="j"), command("12:00", "resume", journey="j"),
      answered("12:01", **AT_ASK, answer={"left": 9})], [yes("12:01", step="much")])
case("oa13-a-call-survives-a-merge", "2: the run moves with its person, and the answer finds it",
     journey(call(timeout="1h"), by_stock()),
     [known("u1"), ping("10:00", "w", id="a"), {**track("Noop", "10:05"), "anonymousId": "w"}, answered("10:06", **AT_ASK, answer={"left": 9})],
     [yes("10:06", step="much")])
