"""Conformance cases on caps, quiet hours and what follows from both; loaded by `ours.py`."""

from notation import *  # noqa: F403

NIGHT = [quiet()]
DAILY = [cap()]
A, B = "u1@x.example", "b@x.example"
PHONE = "+48600100200"
TWO = ["email", "push"]
THREE = ["email", "push", "sms"]
WITH_PHONE = known(phone=PHONE, time_zone="Europe/London", grants=("email", "push", "sms"))


def failed(received, person="u1", step="s", journey="j"):
    return track("Message Failed", received, person, properties={"journey": journey, "step": step})


def purposes(*exempt):
    return {"marketing": {"topics": ["newsletter", "offers", "reminders"]}, "feedback": {}, "service": {"exempt": list(exempt)}}


# ---- 4 Defer ------------------------------------------------------------------------------------

case("lf01-two-deferred-one-place", "4: a deferral reserves nothing: of two that wake one goes, the other waits for the next place",
     journey(send(at_cap="defer")), [known(), ping("10:00"), ping("11:00"), ping("12:00")],
     [yes("10:00"), later("cap", "11:00", "03-03 10:00"), later("cap", "12:00", "03-03 10:00"),
      yes("03-03 10:00"), later("cap", "03-03 10:00", "03-04 10:00"), yes("03-04 10:00")], caps=DAILY)
case("lf02-a-newcomer-takes-the-freed-place", "4: a release wakes nobody; who comes while it is free has it, and the deferred one meets it full",
     journey(send(at_cap="defer")), [known(), ping("10:00"), ping("11:00"), failed("11:30"), ping("12:00")],
     [yes("10:00"), later("cap", "11:00", "03-03 10:00"), yes("12:00"), later("cap", "03-03 10:00", "03-03 12:00"), yes("03-03 12:00")], caps=DAILY)
case("lf03-until-the-week-ends", "4: local_week: Monday, midnight",
     journey(send(at_cap="defer")), [known(), ping("03-04 10:00"), ping("03-05 10:00")],
     [yes("03-04 10:00"), later("cap", "03-05 10:00", "03-09 00:00"), yes("03-09 00:00")], caps=[cap(per="local_week")])
case("lf04-until-the-month-ends-in-summer-time", "4, 1: local_month: 1 April, midnight in London, is 23:00Z of 31 March",
     journey(send(at_cap="defer")), [known(), ping("03-10 10:00"), ping("03-20 10:00")],
     [yes("03-10 10:00"), later("cap", "03-20 10:00", "03-31 23:00"), yes("03-31 23:00")], caps=[cap(per="local_month")])
case("lf05-the-week-of-the-change", "4, 1: the week that begins on Monday 30 March begins at 23:00Z of the 29th",
     journey(send(at_cap="defer")), [known(), ping("03-29 10:00")] + [ping("03-29 20:00")],
     [yes("03-29 10:00"), later("cap", "03-29 20:00", "03-29 23:00"), yes("03-29 23:00")], caps=[cap(per="local_week")])
case("lf06-expires-when-the-cap-frees", "5: at the instant of its expiry it is expired, also if a place is free then",
     journey(send(at_cap="defer", expires="23h")), [known(), ping("10:00"), ping("11:00")],
     [yes("10:00"), later("cap", "11:00", "03-03 10:00"), no("expired", "03-03 10:00")], caps=DAILY)
case("lf07-n-of-two-windows", "4: two an hour and three a day: each full cap says until when, the later one counts",
     journey(send(at_cap="defer")), [known(), ping("10:00"), ping("10:30"), ping("11:10"), ping("11:20")],
     [yes("10:00"), yes("10:30"), yes("11:10"), later("cap", "11:20", "03-03 10:00"), yes("03-03 10:00")], caps=[cap(2, "1h", id="h"), cap(3, "24h", id="d")])
case("lf08-only-full-caps-count", "4: the first instant at which all full caps allow: the daily cap is not full",
     journey(send(at_cap="defer")), [known(), ping("10:00"), ping("10:30"), ping("10:40")],
     [yes("10:00"), yes("10:30"), later("cap", "10:40", "11:00"), yes("11:00")], caps=[cap(2, "1h", id="h"), cap(3, "24h", id="d")])
case("lf09-deferred-and-refused-by-another-on-waking", "4: on waking another cap is full, whose at_cap drops",
     [journey(), journey(name="k", on="Signed Up")],
     [known(), ping("10:00"), ping("10:30"), track("Signed Up", "10:50")],
     [yes("10:00"), later("cap", "10:30", "11:00"), yes("10:50", journey="k"), no("cap", "11:00", journey="j")],
     caps=[cap(1, "1h", id="j", scope={"journey": "j"}, at_cap="defer"), cap(2, "24h", id="all", at_cap="drop")])
case("lf10-the-run-waits-at-its-step", "6: during a deferral it waits at the step; the next step counts from the send",
     journey(send("a", at_cap="defer"), wait("30m"), send("b", at_cap="defer")), [known(), ping("09:00"), ping("10:00")],
     [yes("09:00", step="a"), later("cap", "09:30", "03-03 09:00", step="b"), later("cap", "10:00", "03-03 09:00", step="a"),
      yes("03-03 09:00", step="b"), later("cap", "03-03 09:00", "03-04 09:00", step="a"), yes("03-04 09:00", step="a"),
      later("cap", "03-04 09:30", "03-05 09:00", step="b"), yes("03-05 09:00", step="b")], caps=DAILY)

# ---- 4 Fallback ---------------------------------------------------------------------------------

E_FULL = [cap(id="e", scope={"channel": "email"})]

case("lf20-the-next-channel-is-not-permitted", "4, 6: channels without consent are no channels to fall back to",
     journey(send(channels=TWO, at_cap="fallback")), [known(grants=("email",)), ping("10:00"), ping("11:00")],
     [yes("10:00"), no("cap", "11:00", channel="email")], caps=E_FULL)
case("lf21-past-two-full-channels", "4: the third is open; the reason is why the first was refused",
     journey(send(channels=THREE, at_cap="fallback")), [WITH_PHONE, ping("10:00"), ping("10:10"), ping("10:20")],
     [yes("10:00", channel="email"), other("push", "cap", "10:10"), other("sms", "cap", "10:20")],
     caps=[*E_FULL, cap(id="p", scope={"channel": "push"})])
case("lf22-reason-of-the-first-channel", "6: a reroute says why the first was refused: e-mail by consent, although push was full",
     journey(send(channels=THREE, at_cap="fallback")),
     [known(phone=PHONE, time_zone="Europe/London", grants=("push", "sms")), ping("10:00"), ping("10:10")],
     [other("push", "no_consent", "10:00"), other("sms", "no_consent", "10:10")], caps=[cap(id="p", scope={"channel": "push"})])
case("lf23-fallback-from-the-preferred", "4, 6: the preferred channel is the first; the next is the list's",
     journey(send(channels=TWO, at_cap="fallback")), [known(preferred_channel="push"), ping("10:00"), ping("10:10")],
     [yes("10:00", channel="push"), other("email", "cap", "10:10")], caps=[cap(id="p", scope={"channel": "push"})])
case("lf24-a-cap-of-all-channels", "4: every channel is full by it: the last one tried is named",
     journey(send(channels=THREE, at_cap="fallback")), [WITH_PHONE, ping("10:00"), ping("10:10")],
     [yes("10:00", channel="email"), no("cap", "10:10", channel="sms")], caps=DAILY)
case("lf25-fallback-of-the-cap", "4: the cap itself may say fallback",
     journey(send(channels=TWO)), [known(), ping("10:00"), ping("10:10")], [yes("10:00", channel="email"), other("push", "cap", "10:10")],
     caps=[cap(id="e", scope={"channel": "email"}, at_cap="fallback")])
case("lf26-first-full-cap-falls-back-second-drops", "4: of several full caps the first in the file decides; on push the other decides",
     journey(send(channels=TWO)), [known(), ping("10:00"), ping("10:10")], [yes("10:00", channel="email"), no("cap", "10:10", channel="push")],
     caps=[cap(id="e", scope={"channel": "email"}, at_cap="fallback"), cap(id="all", at_cap="drop")])
case("lf27-first-full-cap-drops", "4: the other way round it is dropped on the first channel",
     journey(send(channels=TWO)), [known(), ping("10:00"), ping("10:10")], [yes("10:00", channel="email"), no("cap", "10:10", channel="email")],
     caps=[cap(id="all", at_cap="drop"), cap(id="e", scope={"channel": "email"}, at_cap="fallback")])
case("lf28-the-first-channel-frees-in-the-night", "4, 5: deferred on push; in the morning every check again, from the first channel: e-mail is free",
     journey(send(channels=TWO, at_cap="fallback")), [known(), ping("10:00"), ping("22:00")],
     [yes("10:00", channel="email"), later("quiet_hours", "22:00", "03-03 08:00", channel="push"), yes("03-03 08:00", channel="email")],
     caps=[cap(per="14h", scope={"channel": "email"})], quiet_hours=[quiet(channels=["push"])])
case("lf29-fallback-on-waking", "4, 5: two wake at 08:00: the first has the e-mail, the second falls back to push",
     journey(send(channels=TWO, at_cap="fallback")), [known(), ping("22:00"), ping("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00", channel="email"), later("quiet_hours", "23:00", "03-03 08:00", channel="email"),
      yes("03-03 08:00", channel="email"), other("push", "cap", "03-03 08:00")], caps=E_FULL, quiet_hours=NIGHT)
case("lf30-fallback-into-quiet-hours-that-drop", "4, 5: push is quiet and its window drops",
     journey(send(channels=TWO, at_cap="fallback")), [known(), ping("10:00"), ping("22:00")],
     [yes("10:00", channel="email"), no("quiet_hours", "22:00", channel="push")], caps=E_FULL, quiet_hours=[quiet(channels=["push"], then="drop")])

# ---- 4 Release ----------------------------------------------------------------------------------

case("lf40-the-latest-action-fails", "4, interfaces: named by journey and step it is the person's latest: 10:30's place is free, 10:00's is not",
     journey(send(at_cap="defer")), [known(), ping("10:00"), ping("10:30"), failed("10:35"), ping("10:40"), ping("10:50")],
     [yes("10:00"), yes("10:30"), yes("10:40"), later("cap", "10:50", "03-03 10:00"), yes("03-03 10:00")], caps=[cap(2)])
case("lf41-a-failure-told-twice", "4: the second word on the same action releases nothing more",
     journey(), [known(), ping("10:00"), ping("10:05"), failed("10:10"), failed("10:11"), ping("10:20"), ping("10:30")],
     [yes("10:00"), yes("10:05"), yes("10:20"), no("cap", "10:30")], caps=[cap(2)])
case("lf42-failure-of-another-step", "4: b's failure does not free a's place",
     journey(send("a"), send("b")), [known(), ping("10:00"), failed("10:05", step="b"), ping("10:10")],
     [yes("10:00", step="a"), yes("10:00", step="b"), no("cap", "10:10", step="a"), yes("10:10", step="b")],
     caps=[cap(id="a", scope={"step": "a"}), cap(id="b", scope={"step": "b"})])
case("lf43-failure-of-another-person", "4: u2's failure frees u1 nothing",
     journey(), [known(), known("u2", at_second=30), ping("10:00"), ping("10:01", "u2"), failed("10:05", "u2"), ping("10:10"), ping("10:11", "u2")],
     [yes("10:00"), yes("10:01", "u2"), no("cap", "10:10"), yes("10:11", "u2")], caps=DAILY)
case("lf44-a-bounce-releases-nothing", "4: only Message Failed does; a soft bounce is none",
     journey(), [known(), ping("10:00"), track("Email Bounced", "10:05", properties={"type": "soft"}), ping("10:10")], [yes("10:00"), no("cap", "10:10")], caps=DAILY)
case("lf45-failure-before-a-later-wake", "4: released at the receipt's log time: the one deferred by the night finds the place free",
     [journey(name="k", on="Signed Up"), journey()],
     [known(), ping("20:00"), failed("20:30"), track("Signed Up", "22:00")],
     [yes("20:00", journey="j"), later("quiet_hours", "22:00", "03-03 08:00", journey="k"), yes("03-03 08:00", journey="k")], caps=DAILY, quiet_hours=NIGHT)
case("lf46-failure-frees-every-cap", "4: the reservation was in both caps",
     journey(), [known(), ping("10:00"), failed("10:05"), ping("10:10"), ping("10:20")],
     [yes("10:00"), yes("10:10", caps=[{"id": "c", "used": 0, "limit": 1}, {"id": "w", "used": 0, "limit": 1}]), no("cap", "10:20")],
     caps=[cap(), cap(per="local_week", id="w")])

# ---- 4 Scopes and exemptions --------------------------------------------------------------------

case("lf50-channel-and-topic", "4: a scope of two labels binds what carries both",
     [journey(send(channels=["email"]), name="a", purpose="marketing/offers"), journey(send(channels=["push"]), name="b", purpose="marketing/offers", on="Signed Up"),
      journey(send(channels=["email"]), name="c", purpose="marketing/newsletter", on="Product Viewed")],
     [known(), ping("10:00"), track("Signed Up", "10:10"), track("Product Viewed", "10:20"), ping("10:30")],
     [yes("10:00", journey="a"), yes("10:10", journey="b"), yes("10:20", journey="c"), no("cap", "10:30", journey="a")],
     caps=[cap(scope={"channel": "email", "topic": "offers"})])
case("lf51-one-tag-of-several", "4: a send with several tags is bound by a cap on one of them",
     journey(send("x", tags=["sale", "loud"]), send("y", tags=["loud"]), send("z", tags=["sale"])), [known(), ping("10:00")],
     [yes("10:00", step="x"), no("cap", "10:00", step="y"), yes("10:00", step="z")], caps=[cap(scope={"tag": "loud"})])
case("lf52-exempt-from-quiet-hours-only", "3, 4: service exempt from quiet hours alone is capped and counted",
     [journey(name="s", purpose="service"), journey(on="Signed Up")],
     [known(), ping("22:00"), track("Signed Up", "03-03 10:00"), ping("03-03 10:10")],
     [yes("22:00", journey="s"), no("cap", "03-03 10:00", journey="j"), no("cap", "03-03 10:10", journey="s")],
     caps=DAILY, quiet_hours=[quiet(purposes=["marketing", "service"])], purposes=purposes("quiet_hours"))
case("lf53-exempt-from-caps-only", "3, 5: service exempt from caps alone waits for the morning, and takes no place",
     [journey(name="s", purpose="service"), journey(on="Signed Up")],
     [known(), track("Signed Up", "20:00"), ping("22:00"), track("Signed Up", "03-03 19:59")],
     [yes("20:00", journey="j"), later("quiet_hours", "22:00", "03-03 08:00", journey="s"), yes("03-03 08:00", journey="s"), no("cap", "03-03 19:59", journey="j")],
     caps=DAILY, quiet_hours=[quiet(purposes=["marketing", "service"])], purposes=purposes("caps"))
case("lf54-purpose-of-the-step-is-the-label", "4: the label of a send is its own purpose, not its journey's",
     journey(send("f", purpose="feedback"), send("m"), send("n")), [known(purposes=("marketing", "feedback")), ping("10:00")],
     [yes("10:00", step="f"), yes("10:00", step="m"), no("cap", "10:00", step="n")], caps=[cap(scope={"purpose": "marketing"})])
case("lf55-exempt-step-of-a-marketing-journey", "3, 4: a service step in it is exempt, the marketing step is not",
     journey(send("m"), send("s", purpose="service")), [known(), ping("10:00"), ping("10:10")],
     [yes("10:00", step="m"), yes("10:00", step="s"), no("cap", "10:10", step="m"), yes("10:10", step="s")], caps=DAILY)
case("lf56-counters-of-a-deferral", "interfaces: `used` before this send, also where it is refused or deferred",
     journey(), [known(), ping("10:00"), ping("10:10")],
     [yes("10:00"), later("cap", "10:10", "03-03 10:00", caps=[{"id": "c", "used": 1, "limit": 1}, {"id": "w", "used": 1, "limit": 9}]), yes("03-03 10:00")],
     caps=[cap(at_cap="defer"), cap(9, "local_week", id="w")])
case("lf57-rerouted-sends-carry-the-channel-they-went-by", "4: a send rerouted to push is counted for push, not for e-mail",
     journey(send(channels=TWO)), [known(grants=("push",)), ping("10:00"), grant("10:10"), ping("10:20"), deny("10:30"), ping("10:40")],
     [other("push", "no_consent", "10:00"), yes("10:20", channel="email"), no("cap", "10:40", channel="push")],
     caps=[*E_FULL, cap(id="p", scope={"channel": "push"})])

# ---- 4 Entries ----------------------------------------------------------------------------------

case("lf60-entries-whatever-the-key", "7: entry caps count per person and journey over (now - w, now]",
     journey(key="event.properties.id", entry={"at_most": "2 per 1h"}),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("10:20", id="c"), ping("10:59:59.999", id="d"), ping("11:00", id="e"), ping("11:05", id="f")],
     [yes("10:00", run_key="a"), yes("10:10", run_key="b"), yes("11:00", run_key="e")])
case("lf61-a-deferred-run-is-live", "4: concurrent counts the run that waits for the morning",
     journey(entry={"concurrent": 1}), [known(), ping("22:00"), ping("23:00"), ping("03-03 08:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), yes("03-03 08:00"), yes("03-03 08:00")], quiet_hours=NIGHT)
case("lf62-a-run-that-exits-makes-room", "4, 7: the exit ends the run before the record could start one",
     journey(wait("1h"), send(), on=["Ping", "Order Completed"], entry={"concurrent": 1}, exit_on=[{"on": "Order Completed"}]),
     [known(), ping("10:00"), ping("10:10"), track("Order Completed", "10:20")], [yes("11:20")])
case("lf63-concurrent-and-late", "1, 4: entries count by log time: late events of yesterday are entries of now",
     journey(entry={"at_most": "1 per 12h", "accept_late": "48h"}),
     [known(), ping("10:00", occurred="03-01 11:00"), ping("10:10", occurred="03-01 11:00:01"), ping("22:00")], [yes("10:00"), yes("22:00")])

# ---- 5 Quiet hours ------------------------------------------------------------------------------

case("lq01-windows-that-touch", "5: 21-24 and 0-8: the first instant outside all is 08:00",
     journey(), [known(), ping("22:00")], [later("quiet_hours", "22:00", "03-03 08:00"), yes("03-03 08:00")],
     quiet_hours=[quiet("21:00", "00:00"), quiet("00:00", "08:00")])
case("lq02-siesta", "5: a window within the day",
     journey(), [known(), ping("12:59:59"), ping("13:00"), ping("14:00")],
     [yes("12:59:59"), later("quiet_hours", "13:00", "14:00"), yes("14:00"), yes("14:00")], quiet_hours=[quiet("13:00", "14:00")])
case("lq03-quiet-hours-do-not-reroute", "5, 6: push is not quiet, yet the e-mail waits",
     journey(send(channels=TWO)), [known(), ping("22:00")], [later("quiet_hours", "22:00", "03-03 08:00", channel="email"), yes("03-03 08:00", channel="email")],
     quiet_hours=[quiet(channels=["email"])])
case("lq04-nor-does-drop", "5, 6: nor when the window drops",
     journey(send(channels=TWO)), [known(), ping("22:00")], [no("quiet_hours", "22:00", channel="email")], quiet_hours=[quiet(channels=["email"], then="drop")])
case("lq05-window-inside-the-gap", "1, 5: 01:15 to 01:45 does not exist on 29 March: both ends are 01:00Z, and nothing is quiet",
     journey(), [known(), ping("03-28 01:20"), ping("03-29 00:59:59"), ping("03-29 01:00"), ping("03-29 01:20"), ping("03-30 00:20")],
     [later("quiet_hours", "03-28 01:20", "03-28 01:45"), yes("03-28 01:45"), yes("03-29 00:59:59"), yes("03-29 01:00"), yes("03-29 01:20"),
      later("quiet_hours", "03-30 00:20", "03-30 00:45"), yes("03-30 00:45")], quiet_hours=[quiet("01:15", "01:45")])
case("lq06-window-inside-the-overlap", "5: the repeated hour is quiet once: 00:15Z to 00:45Z on 25 October",
     journey(), [known(), ping("10-25 00:20"), ping("10-25 00:45"), ping("10-25 01:20")],
     [later("quiet_hours", "10-25 00:20", "10-25 00:45"), yes("10-25 00:45"), yes("10-25 00:45"), yes("10-25 01:20")], quiet_hours=[quiet("01:15", "01:45")])
case("lq07-window-from-the-overlap-on", "5: intervals of instants: from the first 01:30 (00:30Z) on it is quiet, also at the second 01:10",
     journey(), [known(), ping("10-25 00:29:59"), ping("10-25 01:10")],
     [yes("10-25 00:29:59"), later("quiet_hours", "10-25 01:10", "10-25 08:00"), yes("10-25 08:00")], quiet_hours=[quiet("01:30", "08:00")])
case("lq08-window-from-the-gap-on", "1, 5: 01:30 on 29 March is 02:00 summer time: quiet from 01:00Z to 02:00Z",
     journey(), [known(), ping("03-29 00:59:59"), ping("03-29 01:00")],
     [yes("03-29 00:59:59"), later("quiet_hours", "03-29 01:00", "03-29 02:00"), yes("03-29 02:00")], quiet_hours=[quiet("01:30", "03:00")])
case("lq09-only-the-purpose-of-the-step", "5: windows per purpose: the feedback step of a marketing journey is not quiet",
     journey(send("f", purpose="feedback"), send("m")), [known(purposes=("marketing", "feedback")), ping("22:00")],
     [yes("22:00", step="f"), later("quiet_hours", "22:00", "03-03 08:00", step="m"), yes("03-03 08:00", step="m")], quiet_hours=[quiet(purposes=["marketing"])])
case("lq10-woken-into-a-cap-that-defers", "5, 4: it wakes at 08:00 into a cap that frees at 09:00",
     journey(send(at_cap="defer")), [known(), ping("20:00"), ping("03-03 05:00")],
     [yes("20:00"), later("cap", "03-03 05:00", "03-03 09:00"), yes("03-03 09:00")], caps=[cap(per="13h")], quiet_hours=NIGHT)
case("lq11-midnight-from-and-to", "5: a window that ends at midnight",
     journey(), [known(), ping("23:59:59.999"), ping("03-03 00:00")],
     [later("quiet_hours", "23:59:59.999", "03-03 00:00"), yes("03-03 00:00"), yes("03-03 00:00")], quiet_hours=[quiet("22:00", "00:00")])
case("lq12-moved-east-in-the-night", "5: deferred to London's 08:00; by then in Tokyo it is 17:00: it goes at the instant that was set",
     journey(), [known(), ping("22:00"), identify("23:00", time_zone="Asia/Tokyo")],
     [later("quiet_hours", "22:00", "03-03 08:00", zone="Europe/London"), yes("03-03 08:00", zone="Asia/Tokyo")], quiet_hours=NIGHT)
case("lq13-expiry-between-two-deferrals", "5: moved to New York, where it is quiet until 13:00Z; it expires at 12:00Z",
     journey(send(expires="14h")), [known(), ping("22:00"), identify("23:00", time_zone="America/New_York")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "03-03 08:00", "03-03 13:00"), no("expired", "03-03 12:00")], quiet_hours=NIGHT)
