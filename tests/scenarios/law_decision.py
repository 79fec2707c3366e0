"""Conformance cases on the guard's order, ranks, arbitration, content and operators; loaded by `ours.py`."""

from notation import *  # noqa: F403

NIGHT = [quiet()]
DAILY = [cap()]
A, B = "u1@x.example", "b@x.example"
WINDOW = {"window": "10m"}
TWO = ["email", "push"]
HOLDOUT = {"percent": 100, "salt": "s", "purposes": ["marketing"]}
NAMED = {"templates/t/en.txt": "Hello {{ profile.first_name }}. {{ links.unsubscribe }}\n"}
PLAIN_SERVICE = {"marketing": {"topics": ["newsletter", "offers", "reminders"]}, "feedback": {}, "service": {}}


def order(received, person="u1", occurred=None, **properties):
    return track("Order Completed", received, person, occurred, properties)


def sign_up(received, person="u1", **properties):
    return track("Signed Up", received, person, properties=properties)


def view(received, person="u1", **properties):
    return track("Product Viewed", received, person, properties=properties)


# ---- 6 Order of the guard -----------------------------------------------------------------------

case("ld01-killed-before-endpoint", "6: killed goes before the missing endpoint", journey(send(channels=["sms"])),
     [known(), command("09:00", "kill", journey="j"), ping("10:00")], [no("killed", "10:00")])
case("ld02-bounce-before-holdout", "6: suppressed endpoint, consent, then holdout",
     journey(), [known(), ping("09:00"), track("Email Bounced", "09:10"), ping("10:00")], [no("holdout", "09:00"), no("endpoint_suppressed", "10:00")], holdout=HOLDOUT)
case("ld03-only_if-before-expiry", "6: at the instant of its expiry all checks run in their order: only_if is before expiry",
     journey(send(expires="6h", only_if="profile.vip == true")), [known(vip=True), ping("22:00"), identify("23:00", vip=False)],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("only_if", "03-03 04:00")], quiet_hours=NIGHT)
case("ld04-consent-before-expiry", "6: and consent is before it too",
     journey(send(expires="6h")), [known(), ping("22:00"), deny("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("no_consent", "03-03 04:00")], quiet_hours=NIGHT)
case("ld05-expiry-before-caps", "6: expiry is before caps", journey(send(at_cap="defer", expires="2h"), name="j"),
     [known(), ping("10:00"), ping("11:00"), ping("12:00")],
     [yes("10:00"), later("cap", "11:00", "03-03 10:00"), later("cap", "12:00", "03-03 10:00"), no("expired", "13:00"), no("expired", "14:00")], caps=DAILY)
case("ld06-caps-before-content", "6: a full cap is named before the missing variable",
     journey(send("a"), send("b")), [known(first_name="Ann"), known("u2", at_second=30), ping("10:00"), ping("10:00", "u2")],
     [yes("10:00", step="a"), no("cap", "10:00", step="b"), no("content", "10:00", "u2", step="a"), no("content", "10:00", "u2", step="b")],
     caps=DAILY, files=NAMED)
case("ld07-content-reserves-nothing", "4, 6: what is refused for its content takes no place",
     journey(), [known(), ping("10:00"), identify("10:10", first_name="Ann"), ping("10:20"), ping("10:30")],
     [no("content", "10:00"), yes("10:20"), no("cap", "10:30")], caps=DAILY, files=NAMED)
case("ld08-subject-too", "6: every variable that the template needs, also in its subject",
     journey(), [known(), ping("10:00"), identify("10:10", first_name="Ann"), ping("10:20")], [no("content", "10:00"), yes("10:20")],
     files={"templates/t/en.yaml": {"subject": "For {{ profile.first_name }}", "body": "en.txt"}})
case("ld09-variables-of-the-step", "language: variables of the step; one whose expression misses a field is missing",
     journey(send(variables={"name": "profile.first_name"})), [known(), ping("10:00"), identify("10:10", first_name="Ann"), ping("10:20")],
     [no("content", "10:00"), yes("10:20")], files={"templates/t/en.txt": "Hello {{ name }}. {{ links.unsubscribe }}\n"})
case("ld10-content-changes-no-channel", "6: content is judged for the channel that was open; the run goes on",
     journey(send(channels=TWO), send("after", only_if="1 == 1")), [known(), ping("10:00")],
     [no("content", "10:00", channel="email", step="s"), no("content", "10:00", step="after")], files=NAMED)
case("ld11-holdout-of-a-topic", "6: holdout names purposes: every topic of it, and not service",
     [journey(name="o", purpose="marketing/offers", priority=90), journey(name="s", purpose="service", priority=10)],
     [known(), ping("10:00")], [no("holdout", "10:00", journey="o"), yes("10:00", journey="s")], holdout=HOLDOUT)
case("ld12-first-channels-reason-of-three", "6: nothing is left: the first channel's reason, here a bounce, not the missing phone",
     journey(send(channels=["email", "sms", "push"])), [known(grants=("email",)), track("Email Bounced", "09:00"), ping("10:00")],
     [no("endpoint_suppressed", "10:00", channel="email", endpoint=A)])
case("ld13-missing-preferred-channel", "6: the preferred channel is in the list and has no endpoint: a reroute from it",
     journey(send(channels=["email", "sms"])), [known(preferred_channel="sms"), ping("10:00")], [other("email", "endpoint_missing", "10:00")])
case("ld14-preference-of-the-moment", "6: the preference at the moment of waking",
     journey(send(channels=TWO)), [known(), ping("22:00"), identify("23:00", preferred_channel="push")],
     [later("quiet_hours", "22:00", "03-03 08:00", channel="email"), yes("03-03 08:00", channel="push")], quiet_hours=[quiet(channels=["email"])])
case("ld15-holdout-at-waking", "6: a refusal before quiet hours comes at once; the run goes on to a step that is not held out",
     journey(send("m"), send("f", purpose="feedback")), [known(purposes=("marketing", "feedback")), ping("22:00")],
     [no("holdout", "22:00", step="m"), later("quiet_hours", "22:00", "03-03 08:00", step="f"), yes("03-03 08:00", step="f")],
     holdout=HOLDOUT, quiet_hours=NIGHT)

# ---- 6 Ranks ------------------------------------------------------------------------------------

case("ld20-service-first-wherever-it-stands", "6: class is the place in policy.yaml, service first, though it stands last and has the lower priority",
     [journey(name="m", priority=99), journey(name="s", on="Signed Up", purpose="service", priority=1)],
     [known(), ping("22:00"), sign_up("22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00", journey="m"), later("quiet_hours", "22:10", "03-03 08:00", journey="s"),
      yes("03-03 08:00", journey="s"), no("cap", "03-03 08:00", journey="m")],
     caps=DAILY, quiet_hours=[quiet(purposes=["marketing", "service"])], purposes=PLAIN_SERVICE)
case("ld21-class-by-place-in-the-policy", "6: with feedback before marketing in the file feedback is the higher class",
     [journey(name="m", priority=99), journey(name="f", on="Signed Up", purpose="feedback", priority=1)],
     [known(purposes=("marketing", "feedback")), ping("22:00"), sign_up("22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00", journey="m"), later("quiet_hours", "22:10", "03-03 08:00", journey="f"),
      yes("03-03 08:00", journey="f"), no("cap", "03-03 08:00", journey="m")],
     caps=DAILY, quiet_hours=NIGHT, purposes={"feedback": {}, "marketing": {"topics": ["reminders"]}, "service": {"exempt": ["caps"]}})
case("ld22-priority-of-the-step", "6, language: a step's own priority goes before its journey's",
     [journey(name="a", priority=60), journey(send(priority=70), name="b", on="Signed Up", priority=10)],
     [known(), ping("22:00"), sign_up("22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00", journey="a"), later("quiet_hours", "22:10", "03-03 08:00", journey="b"),
      yes("03-03 08:00", journey="b"), no("cap", "03-03 08:00", journey="a")], caps=DAILY, quiet_hours=NIGHT)
case("ld23-default-priority", "language: priority 50 when none is said: before 49, after 51",
     [journey(name="a", priority=49), journey(name="b", on="Signed Up"), journey(name="c", on="Product Viewed", priority=51)],
     [known(), ping("22:00"), sign_up("22:10"), view("22:20")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"), later("quiet_hours", "22:20", "03-03 08:00"),
      yes("03-03 08:00", journey="c"), yes("03-03 08:00", journey="b"), yes("03-03 08:00", journey="a")], quiet_hours=NIGHT)
case("ld24-expiry-is-an-instant", "6: the sooner instant, not the shorter life: 20h from 22:00 come before 19h from 23:30",
     [journey(send(expires="20h"), name="a"), journey(send(expires="19h"), name="b", on="Signed Up")],
     [known(), ping("22:00"), sign_up("23:30")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "23:30", "03-03 08:00"),
      yes("03-03 08:00", journey="a"), no("cap", "03-03 08:00", journey="b")], caps=DAILY, quiet_hours=NIGHT)
case("ld25-value-of-the-moment-it-arose", "6: value is taken when the candidate arises: what the points are in the morning is all one",
     journey(send(value="profile.points"), key="event.properties.id"),
     [known(points=1), ping("22:00", id="one"), identify("22:05", points=9), ping("22:10", id="nine"), identify("23:00", points=0)],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"),
      yes("03-03 08:00", run_key="nine"), no("cap", "03-03 08:00", run_key="one")], caps=DAILY, quiet_hours=NIGHT)
case("ld26-no-value-is-zero", "6: default 0, also where the expression misses a field: before -1",
     journey(send(value="event.properties.n"), key="event.properties.id"),
     [known(), ping("22:00", id="minus", n=-1), ping("22:10", id="none")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"),
      yes("03-03 08:00", run_key="none"), no("cap", "03-03 08:00", run_key="minus")], caps=DAILY, quiet_hours=NIGHT)
case("ld27-then-the-run-that-came-first", "6: all equal: the sequence of the run, whichever journey's name is first",
     [journey(name="b"), journey(name="a", on="Signed Up")], [known(), ping("22:00"), sign_up("22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"),
      yes("03-03 08:00", journey="b"), no("cap", "03-03 08:00", journey="a")], caps=DAILY, quiet_hours=NIGHT)
case("ld28-a-higher-class-displaces-a-deferred-one", "6: both deferred by the cap; the place goes to the higher class, which came later",
     [journey(send(at_cap="defer"), name="f", purpose="feedback", priority=99), journey(send(at_cap="defer"), name="m", on="Signed Up", priority=1)],
     [known(purposes=("marketing", "feedback")), ping("10:00"), ping("11:00"), sign_up("12:00")],
     [yes("10:00", journey="f"), later("cap", "11:00", "03-03 10:00", journey="f"), later("cap", "12:00", "03-03 10:00", journey="m"),
      yes("03-03 10:00", journey="m"), later("cap", "03-03 10:00", "03-04 10:00", journey="f"), yes("03-04 10:00", journey="f")], caps=DAILY)
case("ld29-woken-at-other-instants", "1: woken at other instants the earlier instant goes first, whatever the rank",
     [journey(name="a", purpose="feedback", priority=1), journey(name="b", on="Signed Up", priority=99)],
     [known(purposes=("marketing", "feedback")), ping("22:00"), sign_up("22:10")],
     [later("quiet_hours", "22:00", "03-03 07:59", journey="a"), later("quiet_hours", "22:10", "03-03 08:00", journey="b"),
      yes("03-03 07:59", journey="a"), no("cap", "03-03 08:00", journey="b")],
     caps=DAILY, quiet_hours=[quiet(purposes=["marketing"]), quiet(end="07:59", purposes=["feedback"])])

# ---- 6 Arbitration ------------------------------------------------------------------------------

case("ld30-a-refusal-does-not-wait", "6: checks before arbitration refuse at once; the window is not opened by it",
     [journey(name="a"), journey(name="b", on="Signed Up")],
     [known(grants=()), ping("10:00"), grant("10:05"), sign_up("10:06")], [no("no_consent", "10:00", journey="a"), yes("10:16", journey="b")], arbitration=WINDOW)
case("ld31-checks-at-the-end-too", "6: all checks at both ends: revoked within the window",
     journey(), [known(), ping("10:00"), deny("10:05")], [no("no_consent", "10:10")], arbitration=WINDOW)
case("ld32-opened-by-the-first", "6: the window is opened by the first: who comes at 10:09 is judged at 10:10 too",
     [journey(name="low", priority=10), journey(name="high", on="Signed Up", priority=90), journey(name="mid", on="Product Viewed", priority=50)],
     [known(), ping("10:00"), view("10:05"), sign_up("10:09")],
     [yes("10:10", journey="high"), yes("10:10", journey="mid"), no("cap", "10:10", journey="low")], arbitration=WINDOW, caps=[cap(2)])
case("ld33-at-the-windows-end-a-new-one", "1, 6: timers due at 10:10 fire before the record of 10:10, which opens the next window",
     [journey(name="low", priority=10), journey(name="high", on="Signed Up", priority=90)],
     [known(), ping("10:00"), sign_up("10:10")], [yes("10:10", journey="low"), no("cap", "10:20", journey="high")], arbitration=WINDOW, caps=DAILY)
case("ld34-once-per-candidate", "6: after the night it is not collected again: it goes at 08:00",
     journey(), [known(), ping("22:00")], [later("quiet_hours", "22:10", "03-03 08:00"), yes("03-03 08:00")], arbitration=WINDOW, quiet_hours=NIGHT)
case("ld35-each-step-has-its-own", "6: the run waits at its step; its second message arises at 10:10 and has a window of its own",
     journey(send("a"), send("b")), [known(), ping("10:00")], [yes("10:10", step="a"), yes("10:20", step="b")], arbitration=WINDOW)
case("ld36-exit-within-the-window", "6: a run that ends while its candidate is collected leaves its reason at that instant",
     journey(exit_on=[{"on": "Order Completed"}]), [known(), ping("10:00"), order("10:05")], [no("exited", "10:05")], arbitration=WINDOW)
case("ld37-expires-within-the-window", "5, 6: it wakes at its expiry at the latest",
     journey(send(expires="5m")), [known(), ping("10:00")], [no("expired", "10:05")], arbitration=WINDOW)
case("ld38-expires-at-the-windows-end", "5: at that instant it is expired",
     [journey(send(expires="10m"), name="a", priority=90), journey(name="b", on="Signed Up", priority=10)],
     [known(), ping("10:00"), sign_up("10:01")], [no("expired", "10:10", journey="a"), yes("10:10", journey="b")], arbitration=WINDOW, caps=DAILY)
case("ld39-cap-deferral-of-the-loser", "6, 4: the loser defers by its at_cap, and later goes without another window",
     [journey(send(at_cap="defer"), name="low", priority=10), journey(name="high", on="Signed Up", priority=90)],
     [known(), ping("10:00"), sign_up("10:05")],
     [yes("10:10", journey="high"), later("cap", "10:10", "03-03 10:10", journey="low"), yes("03-03 10:10", journey="low")], arbitration=WINDOW, caps=DAILY)
case("ld40-fallback-of-the-loser", "6, 4: or it falls back to another channel",
     [journey(send(channels=TWO, at_cap="fallback"), name="low", priority=10), journey(name="high", on="Signed Up", priority=90)],
     [known(), ping("10:00"), sign_up("10:05")],
     [yes("10:10", journey="high"), other("push", "cap", "10:10", journey="low")], arbitration=WINDOW, caps=[cap(scope={"channel": "email"})])
case("ld41-of-each-person", "6: candidates of one profile; another person's do not compete",
     [journey(name="low", priority=10), journey(name="high", on="Signed Up", priority=90)],
     [known(), known("u2", at_second=30), ping("10:00"), sign_up("10:05", "u2")],
     [yes("10:10", journey="low"), yes("10:15", "u2", journey="high")], arbitration=WINDOW, caps=DAILY)
case("ld42-united-by-a-merge", "2, 6: candidates of both halves compete after the merge",
     [journey(name="low", priority=10), journey(name="high", on="Signed Up", priority=90)],
     [known(), identify("09:00", "a1", email=B), grant("09:01", "a1", endpoint=B), ping("10:00"), sign_up("10:00", "a1"), identify("10:05", also="a1")],
     [yes("10:10", journey="high"), no("cap", "10:10", journey="low")], arbitration=WINDOW, caps=DAILY)
case("ld43-values-compete", "6: value decides between equals: the dearer cart, though it came second",
     journey(send(value="event.properties.value"), on="Cart Updated", key="event.properties.cart_id"),
     [known(), track("Cart Updated", "10:00", properties={"cart_id": "c1", "value": 20}), track("Cart Updated", "10:05", properties={"cart_id": "c2", "value": 20.5})],
     [yes("10:10", run_key="c2"), no("cap", "10:10", run_key="c1")], arbitration=WINDOW, caps=DAILY)
case("ld44-sent-before-it-wakes", "6, 4: the budget is what is left at the end: one went through the night's queue meanwhile",
     [journey(name="night", on="Signed Up", priority=10), journey(name="day", priority=90)],
     [known(), sign_up("22:00"), ping("03-03 07:55")],
     [later("quiet_hours", "22:10", "03-03 08:00", journey="night"), yes("03-03 08:00", journey="night"), no("cap", "03-03 08:05", journey="day")],
     arbitration=WINDOW, caps=DAILY, quiet_hours=[quiet()])

# ---- 7 Operators --------------------------------------------------------------------------------

case("lo01-killed-while-deferred", "6, 7: effective at the next evaluation",
     journey(), [known(), ping("22:00"), command("23:00", "kill", journey="j")], [later("quiet_hours", "22:00", "03-03 08:00"), no("killed", "03-03 08:00")], quiet_hours=NIGHT)
case("lo02-released-before-it-wakes", "7: released in time it goes",
     journey(), [known(), ping("22:00"), command("23:00", "kill", **{"class": "marketing"}), command("03-03 07:00", "release", **{"class": "marketing"})],
     [later("quiet_hours", "22:00", "03-03 08:00"), yes("03-03 08:00")], quiet_hours=NIGHT)
case("lo03-killed-class-only", "7: the class that is killed, on every journey; another class goes",
     [journey(send("m"), send("f", purpose="feedback"))],
     [known(purposes=("marketing", "feedback")), command("09:00", "kill", **{"class": "feedback"}), ping("10:00")],
     [yes("10:00", step="m"), no("killed", "10:00", step="f")])
case("lo04-the-run-goes-on-after-killed", "6: after a refusal the run goes on, and what is released later goes",
     journey(send("a"), wait("1h"), send("b")), [known(), command("09:00", "kill", journey="j"), ping("10:00"), command("10:30", "release", journey="j")],
     [no("killed", "10:00", step="a"), yes("11:00", step="b")])
case("lo05-exits-while-paused", "7: exits are evaluated on every record, also while paused: nothing is left to resume",
     journey(wait("1h"), send(), exit_on=[{"on": "Order Completed"}]),
     [known(), ping("10:00"), command("10:10", "pause", journey="j"), order("10:20"), command("12:00", "resume", journey="j")], [])
case("lo06-resume-before-the-wait-is-over", "7: a pause that ends before the next step holds nothing",
     journey(wait("1h"), send()), [known(), ping("10:00"), command("10:10", "pause", journey="j"), command("10:20", "resume", journey="j")], [yes("11:00")])
case("lo07-a-pause-is-of-its-journey", "7: another journey goes on",
     [journey(wait("1h"), send()), journey(wait("1h"), send(), name="k")],
     [known(), ping("10:00"), command("10:10", "pause", journey="j"), command("13:00", "resume", journey="j")],
     [yes("11:00", journey="k"), yes("13:00", journey="j")])
case("lo08-stop-while-deferred", "6, 7: a run that ends while its message is deferred leaves `exited` at that instant",
     journey(), [known(), ping("22:00"), command("23:00", "stop", journey="j")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("exited", "23:00")], quiet_hours=NIGHT)
case("lo09-erased-while-waiting", "8: timers and runs go; what arrives late does not bring the person back",
     journey(wait("1h"), send()), [known(), ping("10:00"), command("10:30", "erase", person="customer_id:u1"), ping("10:40", occurred="10:20")], [])
case("lo10-erased-is-one-person", "8: another person's run goes on",
     journey(wait("1h"), send()), [known(), known("u2", at_second=30), ping("10:00"), ping("10:00", "u2"), command("10:30", "erase", person="customer_id:u1")],
     [yes("11:00", "u2")])
case("lo11-erased-by-an-address", "8: the person is erased, by whichever identifier it was named; its anonymous id cannot be used to come back",
     journey(wait("1h"), send()), [known(), identify("09:00", also="a1"), ping("10:00", "a1"), command("10:30", "erase", person=f"email:{A}"),
                                   ping("10:40", "a1", occurred="10:20")], [])
case("lo12-kill-all", "7: journey, channel, class, or all",
     [journey(name="m"), journey(name="s", purpose="service")], [known(), command("09:00", "kill", **{"class": "all"}), ping("10:00")],
     [no("killed", "10:00", journey="m"), no("killed", "10:00", journey="s")])
case("lo13-killed-journey-in-the-window", "6: killed within the arbitration window",
     [journey(name="a", priority=90), journey(name="b", priority=10)], [known(), ping("10:00"), command("10:05", "kill", journey="a")],
     [no("killed", "10:10", journey="a"), yes("10:10", journey="b")], arbitration=WINDOW, caps=DAILY)
case("lo14-waiting-for-an-event-while-paused", "7: the click is seen while paused; the run is held at its next step until resumed",
     journey(wait_for(timeout="1h")), [known(), ping("10:00"), command("10:10", "pause", journey="j"), track("Email Link Clicked", "10:20"),
                                       command("12:00", "resume", journey="j")], [yes("12:00", step="yes")])
