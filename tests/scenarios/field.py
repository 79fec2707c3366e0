"""Cases of our own on documented weaknesses of the field that no other case shows; loaded by `ours.py`.

`tests/WEAKNESSES.md` lists every row with the tests that would fail if we had it.
"""

from notation import *  # noqa: F403


def publish(received, version="v2"):
    return command(received, "publish", dir=version)


def held(percent, salt="s"):
    return {"holdout": {"percent": percent, "salt": salt, "purposes": ["marketing"]}}


case("ow02-a-new-cap-counts-at-once", "W2, 7: a definition takes effect at a known log position: the next decision knows the cap, and the send before it counts",
     journey(), [known(), ping("10:00"), publish("10:00:01"), ping("10:00:02")], [yes("10:00"), no("cap", "10:00:02")],
     versions={"v2": ([journey()], {"caps": [cap()]})})
case("ow03-a-send-keeps-its-labels", "W3, 4: a send carries the labels it had when it was sent, whatever its step is tagged with now",
     journey(send(tags=["sale"])), [known(), ping("10:00"), publish("10:05"), ping("10:10"), track("Signed Up", "10:20")],
     [yes("10:00"), yes("10:10"), no("cap", "10:20", journey="k")],
     versions={"v2": [journey(send(tags=["other"])), journey(send(tags=["sale"]), name="k", on="Signed Up")]}, caps=[cap(scope={"tag": "sale"})])
case("ow16-held-out-for-good", "W16, 6: remembered at first use: a smaller share lets nobody out who was held out; also not with 0; without a holdout they are let out, and its period is kept",
     journey(), [known(), ping("10:00"), publish("10:05"), ping("10:10"), publish("10:15", "off"), ping("10:20"), publish("10:25", "v2"), ping("10:30")],
     [no("holdout", "10:00"), no("holdout", "10:10"), yes("10:20"), no("holdout", "10:30")],
     versions={"v2": ([journey()], held(0.001)), "off": ([journey()], {"holdout": None})}, **held(100))
case("ow16b-a-second-profile-is-no-way-out", "W16, 2: held out if either was",
     journey(), [known(), identify("02-20 13:00", "w", email="w@x.example"), grant("02-20 13:00:01", "w", endpoint="w@x.example"), ping("10:00", "w"),
                 publish("10:05"), {**track("Noop", "11:00"), "anonymousId": "w"}, ping("12:00")],
     [no("holdout", "10:00", "w"), no("holdout", "12:00")], versions={"v2": ([journey()], held(0.001))}, **held(100))
case("ow17-an-arm-is-remembered", "W17, 6: shares turned round: who has an arm keeps it, over re-entry and over a merge; the next person gets the other",
     journey({"id": "x", "split": {"name": "n", "arms": [{"arm": "a", "percent": 100, "steps": [send("a")]}, {"arm": "b", "percent": 0, "steps": [send("b")]}]}}),
     [known(), known("u2", at_second=30), ping("10:00"), publish("10:05"), ping("10:10"), ping("10:20", "u2"), {**track("Noop", "11:00"), "anonymousId": "w"}, ping("11:10")],
     [yes("10:00", step="a"), yes("10:10", step="a"), yes("10:20", "u2", step="b"), yes("11:10", step="a")],
     versions={"v2": [journey({"id": "x", "split": {"name": "n", "arms": [{"arm": "a", "percent": 0, "steps": [send("a")]}, {"arm": "b", "percent": 100, "steps": [send("b")]}]}})]})
case("ow24-a-run-keeps-its-version", "W24, 7: a run is pinned to the version it entered; new runs have the new one",
     journey(wait("1h"), send("old")), [known(), ping("10:00"), publish("10:30"), ping("10:40")], [yes("11:00", step="old"), yes("12:40", step="new")],
     versions={"v2": [journey(wait("2h"), send("new"))]})
case("ow25-never-is-for-ever", "W25, 7: no re-entry is forgotten, also after years",
     journey(reentry="never"), [known(), ping("10:00"), ping("2028-02-29T10:00:00Z")], [yes("10:00")], end="2028-03-01T00:00:00Z")
case("ow28-consent-at-the-moment-of-sending", "W28, 3: agreed at entry, taken back during the wait",
     journey(wait("1d"), send()), [known(), ping("10:00"), deny("11:00")], [no("no_consent", "03-03 10:00")])
case("ow32-erased-is-erased", "W32, 8: runs and timers go; what occurred before does not bring the person back",
     journey(wait("1h"), send()), [known(), ping("10:00"), command("10:30", "erase", person="customer_id:u1"), ping("11:30", occurred="10:20")], [])
case("ow33-looked-at-again-after-a-wait", "W33, 5, 6: the condition held at entry and no longer after the wait",
     journey(wait("1h"), send(only_if="profile.points >= 10")), [known(points=20), ping("10:00"), identify("10:30", points=5)], [no("only_if", "11:00")])
