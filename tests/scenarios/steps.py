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
