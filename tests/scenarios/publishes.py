"""What a publish does to people who are on their way: drain, migrate, stop, roll back; loaded by `ours.py`.

Expected lines are worked out from section 7 of the semantics ("A run is pinned to the version it
entered …"), section 6 (holdouts) and `crates/README.md` ("A publish says what becomes of people").
"""

from notation import *  # noqa: F403


def publish(received, version="v2", mode=None, **more):
    return command(received, "publish", dir=version, **({"mode": mode} if mode else {}), **more)


def held(percent, salt="s"):
    return {"holdout": {"percent": percent, "salt": salt, "purposes": ["marketing"]}}


def branch(when, yes_step, no_step, step="b"):
    return {"id": step, "branch": [{"when": when, "steps": [yes_step]}, {"else": [no_step]}]}


# ---- drain --------------------------------------------------------------------------------------

case("op01-drain-is-the-default", "7: drain (default): who is inside ends in the version entered, however often one publishes; who comes has the new one",
     journey(wait("4h"), send("old")), [known(), known("u2", at_second=30), ping("10:00"), publish("10:30"), ping("10:40", "u2"), publish("11:00", "v3")],
     [yes("11:40", "u2", step="new"), yes("14:00", step="old")],
     versions={"v2": [journey(wait("1h"), send("new"))], "v3": [journey(wait("2h"), send("newest"))]})
case("op02-drain-when-the-journey-is-gone", "7: drain: the run of a journey that is no longer there ends as it began; nobody enters",
     journey(wait("1h"), send()), [known(), ping("10:00"), publish("10:30"), ping("10:40")], [yes("11:00")], versions={"v2": [journey(name="other", on="Signed Up")]})
case("op03-never-is-for-ever-over-versions", "7: no re-entry is of the journey, not of its version",
     journey(reentry="never"), [known(), ping("10:00"), publish("10:30"), ping("10:40")], [yes("10:00")], versions={"v2": [journey(send("new"), reentry="never")]})
case("op04-after-counts-over-versions", "7: re-entry after an interval counts from the last entry, whichever version it was",
     journey(reentry="after 2h"), [known(), ping("10:00"), publish("10:30"), ping("11:59"), ping("12:00")], [yes("10:00"), yes("12:00", step="new")],
     versions={"v2": [journey(send("new"), reentry="after 2h")]})
case("op05-policy-holds-at-once-for-drained-runs", "7, 5: the old version's steps, the quiet hours of now",
     journey(wait("12h"), send()), [known(), ping("10:00"), publish("10:30")], [later("quiet_hours", "22:00", "03-03 08:00"), yes("03-03 08:00")],
     versions={"v2": ([journey(wait("12h"), send())], {"quiet_hours": [quiet()]})})

# ---- migrate ------------------------------------------------------------------------------------

case("op10-a-longer-wait-counts-from-its-beginning", "7: migrate by step id: the new duration, from when the wait began",
     journey(wait("1h"), send("a")), [known(), ping("10:00"), publish("10:30", mode="migrate")], [yes("13:00", step="b")], versions={"v2": [journey(wait("3h"), send("b"))]})
case("op11-a-shorter-wait-that-is-over-ends-now", "7: migrate: past by the new duration: it goes on at the publish",
     journey(wait("5h"), send("a")), [known(), ping("10:00"), publish("12:00", mode="migrate")], [yes("12:00", step="b")], versions={"v2": [journey(wait("1h"), send("b"))]})
case("op12-a-step-that-says-the-same-keeps-its-instant", "7: migrate: restarted at 10:20, so over at 11:20 in either version",
     journey({"id": "w", "wait": "1h", "restart_on": "Cart Updated"}, send("a")),
     [known(), ping("10:00"), track("Cart Updated", "10:20"), publish("10:30", mode="migrate")], [yes("11:20", step="b")],
     versions={"v2": [journey({"id": "w", "wait": "1h", "restart_on": "Cart Updated"}, send("b"))]})
case("op13-nothing-is-sent-twice", "7: a run sends one message of a step, also when the new version puts it further on",
     journey(send("a"), wait("1h"), send("b")), [known(), ping("10:00"), publish("10:30", mode="migrate")], [yes("10:00", step="a"), yes("11:00", step="b"), yes("11:00", step="c")],
     versions={"v2": [journey(wait("1h"), send("a"), send("b"), send("c"))]})
case("op14-a-new-step-before-is-not-made-up-for", "7: structured tree, no backward jumps: who is past a place does not go back to it",
     journey(wait("1h"), send("b")), [known(), ping("10:00"), publish("10:30", mode="migrate"), ping("10:40")],
     [yes("10:40", step="a"), yes("11:00", step="b"), yes("11:40", step="b")], versions={"v2": [journey(send("a"), wait("1h"), send("b"))]})
case("op15-a-mapped-step", "7: migrate by step id, where it has another one now",
     journey(wait("1h", "settle"), send("a")), [known(), ping("10:00"), publish("10:30", mode="migrate", maps={"j:settle": "pause"})], [yes("12:00", step="b")],
     versions={"v2": [journey(wait("2h", "pause"), send("b"))]})
case("op16-a-step-that-is-gone", "7: nobody is lost: nothing is published",
     journey(wait("1h", "settle"), send("a")), [known(), ping("10:00"), publish("10:30", mode="migrate")], [],
     versions={"v2": [journey(wait("2h", "pause"), send("b"))]}, refused=["1 run stands at step `settle` of j", "--map j:settle=STEP"])
case("op17-a-deferred-message-goes-along", "7: the deferred message keeps its instant and takes the new text and channels",
     journey(send("s", channels=["email"])), [known(), ping("22:00"), publish("23:00", mode="migrate")],
     [later("quiet_hours", "22:00", "03-03 08:00", channel="email"), yes("03-03 08:00", channel="push")],
     versions={"v2": [journey(send("s", channels=["push"]))]}, quiet_hours=[quiet()])
case("op18-a-condition-is-looked-at-anew", "7: migrate: the condition of the new version holds already: it goes on at the publish",
     journey(wait_for(None, "30d", condition="profile.points >= 100"), send("a")), [known(points=50), ping("10:00"), publish("10:30", mode="migrate")],
     [yes("10:30", step="yes"), yes("10:30", step="a")],
     versions={"v2": [journey(wait_for(None, "30d", condition="profile.points >= 50"), send("a"))]})
case("op19-the-new-time-out-counts-from-the-beginning", "7, 1: migrate: waited since 10:00, four hours in the new version",
     journey(wait_for(timeout="1d")), [known(), ping("10:00"), publish("12:00", mode="migrate")], [yes("14:00", step="no")], versions={"v2": [journey(wait_for(timeout="4h"))]})
case("op20-the-new-version-says-what-ends-a-run", "7: who went over ends by the new version's exit",
     journey(wait("2h"), send()), [known(), ping("10:00"), publish("10:30", mode="migrate"), track("Order Completed", "11:00")], [],
     versions={"v2": [journey(wait("2h"), send(), exit_on=[{"on": "Order Completed"}])]})
case("op21-one-journey-of-two", "7: each journey has its own mode",
     [journey(wait("1h"), send("a")), journey(wait("1h"), send("a"), name="k")],
     [known(), ping("10:00"), publish("10:30", mode="drain", modes={"k": "migrate"})], [yes("11:00", journey="j", step="a"), yes("12:00", journey="k", step="b")],
     versions={"v2": [journey(wait("2h"), send("b")), journey(wait("2h"), send("b"), name="k")]})
case("op22-through-two-versions", "7: migrate twice: each version counts from when the wait began",
     journey(wait("1h"), send("a")), [known(), ping("10:00"), publish("10:30", mode="migrate"), publish("11:30", "v3", mode="migrate")], [yes("12:00", step="c")],
     versions={"v2": [journey(wait("5h"), send("b"))], "v3": [journey(wait("2h"), send("c"))]})
case("op23-a-property-that-was-not-kept-is-missing", "7: a missing field: the branch is not taken; who enters later has it",
     journey(wait("1h"), send("a")), [known(), ping("10:00", n=7), publish("10:30", mode="migrate"), ping("10:40", n=7)], [yes("11:00", step="few"), yes("11:40", step="many")],
     versions={"v2": [journey(wait("1h"), branch("event.properties.n >= 5", send("many"), send("few")))]})
case("op24-a-property-that-was-kept-is-there", "7: the old version read it elsewhere",
     journey(wait("1h"), send("a", only_if="event.properties.n >= 0")), [known(), ping("10:00", n=7), publish("10:30", mode="migrate")], [yes("11:00", step="many")],
     versions={"v2": [journey(wait("1h"), branch("event.properties.n >= 5", send("many"), send("few")))]})
case("op25-no-message-without-what-it-needs", "6 content, 7: the template cannot do without what was not kept: nothing is published",
     journey(wait("1h"), send("a")), [known(), ping("10:00", id="x"), publish("10:30", mode="migrate")], [],
     files={"templates/named/en.yaml": {"subject": "Your {{ event.properties.id }}", "body": "en.txt"}, "templates/named/en.txt": "Hello. {{ links.unsubscribe }}\n"},
     versions={"v2": [journey(wait("1h"), send("a", template="named"))]}, refused=["`event.properties.id`", "step `a` of j", "--drain j"])
case("op26-a-default-will-do", "6 content, 7: the same with a default",
     journey(wait("1h"), send("a")), [known(), ping("10:00", id="x"), publish("10:30", mode="migrate")], [yes("11:00", step="a")],
     files={"templates/named/en.yaml": {"subject": "Your {{ event.properties.id | default: 'order' }}", "body": "en.txt"}, "templates/named/en.txt": "Hello. {{ links.unsubscribe }}\n"},
     versions={"v2": [journey(wait("1h"), send("a", template="named"))]})

# ---- stop ---------------------------------------------------------------------------------------

case("op30-stop-ends-what-changes", "7: stop: the deferred message is refused at that instant; who comes later has the new version",
     journey(send()), [known(), ping("22:00"), publish("23:00", mode="stop"), ping("03-03 10:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("exited", "23:00"), yes("03-03 10:00", step="new")],
     versions={"v2": [journey(send("new"))]}, quiet_hours=[quiet()])
case("op31-stop-leaves-what-stays-the-same", "7, house: stop ends runs where the file of their journey is another one",
     [journey(wait("1h"), send()), journey(wait("1h"), send(), name="k")], [known(), ping("10:00"), publish("10:30", mode="stop")], [yes("11:00", journey="k")],
     versions={"v2": [journey(wait("2h"), send()), journey(wait("1h"), send(), name="k")]})
case("op32-stop-one-by-name", "7, house: named, it is stopped whatever its file says",
     journey(wait("1h"), send()), [known(), ping("10:00"), publish("10:30", mode="drain", modes={"j": "stop"})], [], versions={"v2": [journey(wait("1h"), send()), journey(name="other", on="Signed Up")]})
case("op33-stop-then-re-entry", "7: a stopped run has ended: after_exit lets the person in again",
     journey(wait("5h"), send(), reentry="after_exit"), [known(), ping("10:00"), ping("10:10"), publish("10:30", mode="stop"), ping("10:40")], [yes("11:40", step="new")],
     versions={"v2": [journey(wait("1h"), send("new"), reentry="after_exit")]})

# ---- roll back ----------------------------------------------------------------------------------

case("op40-rolled-back-and-drained", "7: who entered the version in between keeps it; who comes has the old one again",
     journey(wait("1h"), send("old")), [known(), known("u2", at_second=30), publish("09:00"), ping("10:00"), publish("10:30", "v1"), ping("10:40", "u2")],
     [yes("11:40", "u2", step="old"), yes("12:00", step="new")], versions={"v1": [journey(wait("1h"), send("old"))], "v2": [journey(wait("2h"), send("new"))]})
case("op41-rolled-back-with-everybody", "7: migrate there and back: as if nothing had been",
     journey(wait("3h"), send("old")), [known(), ping("10:00"), publish("10:30", mode="migrate"), publish("11:00", "v1", mode="migrate")], [yes("13:00", step="old")],
     versions={"v1": [journey(wait("3h"), send("old"))], "v2": [journey(wait("9h"), send("new"))]})
case("op42-what-was-sent-stays-sent", "7: back in the old version, whose message it sent before it left",
     journey(send("a"), wait("1h"), send("b")), [known(), ping("10:00"), publish("10:20", mode="migrate"), publish("10:40", "v3", mode="migrate")],
     [yes("10:00", step="a"), yes("11:00", step="b")],
     versions={"v2": [journey(wait("1h"), send("b"))], "v3": [journey(wait("1h"), send("a"), send("b"))]})

# ---- holdouts and splits over versions ----------------------------------------------------------

case("op50-percent-0-holds-out-nobody-new", "6: remembered at first use: at 0 who was held out stays out, and nobody new is",
     journey(), [known(), known("u2", at_second=30), ping("10:00"), publish("10:05"), ping("10:10"), ping("10:20", "u2")],
     [no("holdout", "10:00"), no("holdout", "10:10"), yes("10:20", "u2")], versions={"v2": ([journey()], held(0))}, **held(100))
case("op51-no-holdout-at-all", "6: a policy without `holdout` holds out nobody",
     journey(), [known(), ping("10:00"), publish("10:05"), ping("10:10")], [no("holdout", "10:00"), yes("10:10")],
     versions={"v2": ([journey()], {"holdout": None})}, **held(100))
case("op52-an-arm-is-kept-by-who-goes-over", "6: an arm is remembered, also by a run that goes over before it comes to the split",
     journey({"id": "x", "split": {"name": "n", "arms": [{"arm": "a", "percent": 100, "steps": [send("a")]}, {"arm": "b", "percent": 0, "steps": [send("b")]}]}}, wait("1h"), send("c")),
     [known(), ping("10:00"), publish("10:30", mode="migrate"), ping("11:30")],
     [yes("10:00", step="a"), yes("11:00", step="c"), yes("11:30", step="a"), yes("12:30", step="c")],
     versions={"v2": [journey({"id": "x", "split": {"name": "n", "arms": [{"arm": "a", "percent": 0, "steps": [send("a")]}, {"arm": "b", "percent": 100, "steps": [send("b")]}]}}, wait("1h"), send("c"))]})
