"""Conformance cases of our own about rules per country, blackouts and the spread of messages.

As in `ours.py`, which loads this file; the number in a note is the section of the semantics.
"""

from notation import *  # noqa: F403

A = "u1@x.example"
PHONE_DE, PHONE_US, PHONE_FR = "+4915112345678", "+12125550123", "+33612345678"


def address_object(plan):
    plan["attributes"]["address"] = {"type": "object", "purposes": PROPERTY_PURPOSES}
    return plan


ADDRESS = {"tracking-plan.yaml": address_object}


def lives(country, **traits):
    return known(address={"country": country}, **traits)


def confirmed(received, state="granted", **more):
    event = consent(received, state, **more)
    event["properties"]["confirmed"] = True
    return event


# ---- 3 Consent: rules per country ---------------------------------------------------------------

DOUBLE = {"jurisdictions": {"base": "default", "DE": {"email": {"marketing": "double_opt_in"}}}}

case("tj01-a-grant-that-is-not-confirmed", "3: where a country asks for a double opt-in, a grant alone does not permit",
     journey(), [lives("DE"), ping("10:00")], [no("jurisdiction", "10:00", channel="email")], files=ADDRESS, **DOUBLE)
case("tj02-a-confirmed-grant", "3: the confirmation permits it",
     journey(), [lives("DE"), confirmed("02-21 12:00"), ping("10:00")], [yes("10:00")], files=ADDRESS, **DOUBLE)
case("tj03-a-confirmation-outlasts-a-repeated-grant", "3: a later grant without a confirmation takes none away",
     journey(), [lives("DE"), confirmed("02-21 12:00"), grant("02-22 12:00"), ping("10:00")], [yes("10:00")],
     files=ADDRESS, **DOUBLE)
case("tj04-a-deny-ends-a-confirmation", "3: after a deny a plain grant is unconfirmed again",
     journey(), [lives("DE"), confirmed("02-21 12:00"), deny("02-22 12:00"), ping("10:00"), grant("11:00"), ping("12:00"),
                 confirmed("13:00"), ping("14:00")],
     [no("no_consent", "10:00"), no("jurisdiction", "12:00"), yes("14:00")], files=ADDRESS, **DOUBLE)
case("tj05-another-country-and-channel", "3: the rule is DE's, and of e-mail only",
     journey(send("m"), send("p", channels=["push"])),
     [lives("DE"), ping("10:00"), known("u2", address={"country": "PL"}), ping("11:00", "u2")],
     [no("jurisdiction", "10:00", step="m"), yes("10:00", step="p"), yes("11:00", "u2", step="m"), yes("11:00", "u2", step="p")],
     files=ADDRESS, **DOUBLE)
case("tj06-jurisdiction-filters-the-list", "6: the checks up to jurisdiction filter the list of channels",
     journey(send(channels=["email", "push"])), [lives("DE"), ping("10:00")],
     [other("push", "jurisdiction", "10:00")], files=ADDRESS, **DOUBLE)
case("tj07-country-from-the-phone", "3: without an address the phone's region says the country",
     journey(), [known(phone=PHONE_DE), ping("10:00")], [no("jurisdiction", "10:00")], **DOUBLE)
case("tj08-elsewhere", "3: `*` is every country without rules of its own, and people of no known country",
     journey(), [known(), ping("10:00")], [no("jurisdiction", "10:00")],
     jurisdictions={"base": "none", "*": {"email": "double_opt_in"}})
case("tj09-service-needs-no-confirmation", "3: `service` messages need no grant, so none to confirm",
     journey(purpose="service"), [known(grants=(), address={"country": "DE"}), ping("10:00")], [yes("10:00")], files=ADDRESS, **DOUBLE)
case("tj10-the-shipped-opt-out-is-not-enabled", "3: an opt-out regime counts only when the operator has enabled it",
     journey(), [lives("US", time_zone="America/New_York"), known("u2", grants=(), address={"country": "US"}), ping("10:00", "u2")],
     [no("no_consent", "10:00", "u2")], files=ADDRESS, jurisdictions="default")
case("tj11-an-opt-out-that-is-enabled", "3: then nothing recorded permits, and a deny still does not",
     journey(), [known("u2", grants=(), address={"country": "US"}), ping("10:00", "u2"),
                 deny("11:00", "u2", endpoint="u2@x.example"), ping("12:00", "u2"),
                 known("u3", grants=(), address={"country": "GB"}), ping("13:00", "u3")],
     [yes("10:00", "u2"), no("no_consent", "12:00", "u2"), no("no_consent", "13:00", "u3")],
     files=ADDRESS, jurisdictions={"base": "default", "US": {"email": "opt_out"}})
case("tj12-younger-than-the-country-allows", "3: minimum age: 16 in DE; on the birthday itself they are old enough",
     journey(), [lives("DE", birthday="2010-03-03", time_zone="Europe/Berlin"), ping("22:59:59"), ping("23:00:00")],
     [no("jurisdiction", "22:59:59", zone="Europe/Berlin"), yes("23:00:00")], files=ADDRESS, jurisdictions="default")
case("tj13-another-age-in-another-country", "3: 13 in GB",
     journey(), [lives("GB", birthday="2011-03-03"), ping("10:00")], [yes("10:00")], files=ADDRESS, jurisdictions="default")
case("tj14-an-age-of-ones-own", "3: the shipped rules are editable, key by key",
     journey(), [lives("GB", birthday="2009-03-03"), ping("10:00"), known("u2", birthday="2009-03-03", address={"country": "DE"}),
                 ping("11:00", "u2")],
     [no("jurisdiction", "10:00"), yes("11:00", "u2")], files=ADDRESS, jurisdictions={"GB": {"minimum_age": 18}})
case("tj15-the-young-get-service-messages", "3: minimum age concerns marketing",
     journey(purpose="service"), [lives("DE", birthday="2012-03-03"), ping("10:00")], [yes("10:00")],
     files=ADDRESS, jurisdictions="default")
case("tj16-none-turns-it-off", "3: `jurisdictions: none` turns it off",
     journey(), [lives("DE", birthday="2012-03-03"), ping("10:00")], [yes("10:00")], files=ADDRESS)

# ---- 5 Quiet hours of the law -------------------------------------------------------------------

SMS = journey(send(channels=["sms"]))
TEXTED = ("email", "sms")

case("tq01-the-law-of-the-phone", "5: jurisdiction windows always apply to SMS: 21 to 8 in the US",
     SMS, [known(grants=TEXTED, phone=PHONE_US, time_zone="America/New_York"), ping("03-02 04:00"), ping("03-02 14:00")],
     [later("quiet_hours", "03-02 04:00", "03-02 13:00"), yes("03-02 13:00"), yes("03-02 14:00")], jurisdictions="default")
case("tq02-also-for-service", "5: always, also where the policy exempts the purpose from quiet hours",
     journey(send(channels=["sms"]), purpose="service"),
     [known(grants=(), phone=PHONE_US, time_zone="America/New_York"), ping("03-02 04:00")],
     [later("quiet_hours", "03-02 04:00", "03-02 13:00"), yes("03-02 13:00")], jurisdictions="default")
case("tq03-a-sunday-in-france", "5: no texts in France on a Sunday; 1 March 2026 is one",
     SMS, [known(grants=TEXTED, phone=PHONE_FR), ping("03-01 10:00")],
     [later("quiet_hours", "03-01 10:00", "03-02 07:00"), yes("03-02 07:00", zone="Europe/Paris")], jurisdictions="default")
case("tq04-hours-of-ones-own", "5: a country's `quiet_hours` in the policy replace the shipped ones",
     SMS, [known(grants=TEXTED, phone=PHONE_US, time_zone="America/New_York"), ping("03-02 04:00"), ping("03-03 00:30")],
     [yes("03-02 04:00"), later("quiet_hours", "03-03 00:30", "03-03 01:00"), yes("03-03 01:00")],
     jurisdictions={"US": {"quiet_hours": [{"from": "19:00", "to": "20:00"}]}})
case("tq05-strict-zones", "5: no known zone: in strict mode the intersection over the zones of the country",
     SMS, [known(grants=TEXTED, phone=PHONE_US), ping("12:00")],
     # 8:00 in the last of the country's zones, Honolulu and Adak alike, is 18:00Z.
     [later("quiet_hours", "12:00", "18:00"), yes("18:00")], jurisdictions="default", strict_zones=True)
case("tq06-not-strict", "5: without it the workspace's zone",
     SMS, [known(grants=TEXTED, phone=PHONE_US), ping("12:00")], [yes("12:00")], jurisdictions="default")
case("tq07-quiet-hours-on-some-days", "5: a window with days begins on those only; equal ends are the whole day",
     journey(), [known(), ping("03-07 12:00"), ping("03-08 12:00")],
     [yes("03-07 12:00"), later("quiet_hours", "03-08 12:00", "03-09 00:00"), yes("03-09 00:00")],
     quiet_hours=[{"from": "00:00", "to": "00:00", "on": ["sunday"]}])

# ---- 5 Blackouts --------------------------------------------------------------------------------


def blackout(id="b", **more):
    return {"id": id, **more}


def dark(*blackouts, **policy):
    return {"blackouts": list(blackouts), **policy}


case("tb01-a-blackout-defers", "5: until the first instant outside all windows",
     journey(), [known(), ping("03-10 12:00")], [later("quiet_hours", "03-10 12:00", "03-12 00:00"), yes("03-12 00:00")],
     **dark(blackout(**{"from": "2026-03-10", "to": "2026-03-11"})))
case("tb02-joined-with-the-night", "5: overlapping windows, a blackout and nights: the first instant outside all",
     journey(), [known(), ping("03-09 23:00"), ping("03-10 12:00")],
     [later("quiet_hours", "03-09 23:00", "03-12 08:00"), later("quiet_hours", "03-10 12:00", "03-12 08:00"),
      yes("03-12 08:00"), yes("03-12 08:00")],
     **dark(blackout(**{"from": "2026-03-10", "to": "2026-03-11"}), quiet_hours=[quiet()]))
case("tb03-no-slot-before-expiry", "5: nothing is left before the expiry: a reason, at once",
     journey(send(expires="24h")), [known(), ping("03-10 12:00"), ping("03-11 12:00")],
     [no("no_slot", "03-10 12:00"), later("quiet_hours", "03-11 12:00", "03-12 00:00"), yes("03-12 00:00")],
     **dark(blackout(**{"from": "2026-03-10", "to": "2026-03-11"})))
case("tb04-dropped", "5: `then: drop`, also in a night of the blackout",
     journey(), [known(), ping("03-10 12:00"), ping("03-10 23:00")],
     [no("quiet_hours", "03-10 12:00"), no("quiet_hours", "03-10 23:00")],
     **dark(blackout(then="drop", days=["2026-03-10"]), quiet_hours=[quiet()]))
case("tb05-in-the-persons-zone", "5: the days are the person's: the 10th in Tokyo ends at 15:00Z",
     journey(), [known(time_zone="Asia/Tokyo"), ping("03-09 14:59"), ping("03-09 15:00")],
     [yes("03-09 14:59"), later("quiet_hours", "03-09 15:00", "03-10 15:00"), yes("03-10 15:00")],
     **dark(blackout(days=["2026-03-10"])))
case("tb06-every-year", "5: a calendar of holidays, from its own year on",
     journey(), [known(), ping("05-01 12:00")], [later("quiet_hours", "05-01 12:00", "05-01 23:00"), yes("05-01 23:00")],
     **dark(blackout(days=["2020-05-01", "2020-12-25"], every="year"), blackout("c", **{"from": "2027-05-01", "every": "year"})))
case("tb07-of-one-country", "5: a calendar for one country concerns nobody else",
     journey(), [known("u1", phone="+48600100200"), ping("05-03 12:00"), known("u2"), ping("05-03 13:00", "u2")],
     [later("quiet_hours", "05-03 12:00", "05-03 22:00"), yes("05-03 13:00", "u2"), yes("05-03 22:00")],
     **dark(blackout("pl", days=["2026-05-03"], countries=["PL"])))
case("tb08-channels-and-purposes", "5: windows per channel and purpose; what is exempt from quiet hours is exempt",
     [journey(send("m"), send("p", channels=["push"])), journey(send("s"), name="k", purpose="service")],
     [known(), ping("03-10 12:00")],
     [later("quiet_hours", "03-10 12:00", "03-11 00:00", step="m"), yes("03-10 12:00", step="s"),
      yes("03-11 00:00", step="m"), yes("03-11 00:00", step="p")],
     **dark(blackout(days=["2026-03-10"], channels=["email"], purposes=["marketing", "service"])))
case("tb09-with-a-time-of-day", "5: from an hour of the first day to an hour of the last",
     journey(), [known(), ping("11-24 17:59"), ping("11-24 18:00")],
     [yes("11-24 17:59"), later("quiet_hours", "11-24 18:00", "11-26 09:30"), yes("11-26 09:30")],
     **dark(blackout(**{"from": "2026-11-24T18:00", "to": "2026-11-26T09:30"})))
case("tb10-best-time-keeps-out", "5: `best_time` picks an hour inside the windows; none within reach is a reason",
     journey(send(best_time="12h")),
     [known(), *[track("Email Opened", f"03-0{day} 18:10") for day in (2, 3, 4)], ping("03-05 12:00"), ping("03-10 12:00")],
     [later("no_slot", "03-05 12:00", "03-05 18:00"), yes("03-05 18:00"), no("no_slot", "03-10 12:00")],
     **dark(blackout(days=["2026-03-10", "2026-03-11"])))

# ---- 5 How messages spread ----------------------------------------------------------------------

case("ts01-a-ramp-ends-with-the-expiry", "5: spread over the ramp, before the message expires: one second is left",
     journey(send(expires="9h1s")), [known(), ping("23:00")],
     [later("quiet_hours", "23:00", "03-03 08:00"), yes("03-03 08:00")],
     quiet_hours=[{**quiet(), "ramp": "2h"}])
case("ts02-a-rate-of-the-journey", "5: one an hour: the second goes an hour later, and what comes after an idle hour at once",
     journey(rate="1/h"), [known(), known("u2"), ping("10:00"), ping("10:00:01", "u2"), ping("12:30")],
     [yes("10:00"), later("no_slot", "10:00:01", "11:00", "u2"), yes("11:00", "u2"), yes("12:30")])
case("ts03-a-rate-and-the-night", "5: the instant that the rate gives is quiet: every check runs again there",
     journey(rate="1/h"), [known(), known("u2"), ping("20:30"), ping("20:31", "u2")],
     [yes("20:30"), later("no_slot", "20:31", "21:30", "u2"), later("quiet_hours", "21:30", "03-03 08:00", "u2"),
      yes("03-03 08:00", "u2")], quiet_hours=[quiet()])
case("ts04-a-rate-and-the-expiry", "5: no feasible slot is a reason",
     journey(send(expires="30m"), rate="1/h"), [known(), known("u2"), ping("10:00"), ping("10:01", "u2")],
     [yes("10:00"), no("no_slot", "10:01", "u2", until="11:00")])
case("ts05-one-wave-is-at-once", "5: waves of which the first has everybody",
     journey(send(waves={"share": [100], "every": "2h"})), [known(), ping("10:00")], [yes("10:00")])
case("ts06-the-second-wave", "5: nearly everybody is in the second wave; quiet hours are looked at when it comes",
     journey(send(waves={"share": [0.0001, 99.9999], "every": "2h"})), [known(), ping("19:30")],
     [later("no_slot", "19:30", "21:30"), later("quiet_hours", "21:30", "03-03 08:00"), yes("03-03 08:00")],
     quiet_hours=[quiet()])

# ---- 4 Fatigue ----------------------------------------------------------------------------------

WEARY = {"window": "10d", "ignored_after": "1d", "shrink": [{"from": 2, "caps": 50}, {"from": 10, "caps": 0}]}
TWO = [cap(at_most=2, per="1h")]


def limits(used, limit):
    return [{"id": "c", "used": used, "limit": limit}]


case("tf01-ignored-messages-shrink-the-cap", "4: two messages that nothing came of: the cap of 2 allows 1",
     journey(), [known(), ping("03-02 10:00"), ping("03-03 10:00"), ping("03-04 10:00"), ping("03-04 10:01")],
     [yes("03-02 10:00", caps=limits(0, 2)), yes("03-03 10:00", caps=limits(0, 2)), yes("03-04 10:00", caps=limits(0, 1)),
      no("cap", "03-04 10:01", caps=limits(1, 1))], caps=TWO, fatigue=WEARY)
case("tf02-a-message-that-was-opened-wearies-nobody", "4: of two, one was opened in time and one is not ignored yet",
     journey(), [known(), ping("03-02 10:00"), track("Email Opened", "03-02 12:00"), ping("03-03 10:00"), ping("03-04 09:59"),
                 ping("03-04 09:59:30")],
     [yes("03-02 10:00"), yes("03-03 10:00"), yes("03-04 09:59", caps=limits(0, 2)), yes("03-04 09:59:30", caps=limits(1, 2))],
     caps=TWO, fatigue=WEARY)
case("tf03-the-score-is-of-the-channel", "4: weary of e-mail is not weary of push",
     journey(send(channels=["email", "push"], at_cap="fallback")),
     [known(), track("Email Marked as Spam", "03-01 10:00", properties={"email": "old@x.example"}), ping("10:00")],
     [other("push", "cap", "10:00", caps=limits(0, 2))], caps=TWO, fatigue=WEARY)
case("tf04-a-cap-of-nothing-until-the-window-ends", "4: unsubscribed counts 10: nothing, until it has left the window, half open",
     journey(send(at_cap="defer")),
     [known(), track("Unsubscribed", "03-01 10:00", properties={"purpose": "feedback", "channel": "email"}), ping("10:00")],
     [later("cap", "10:00", "03-11 10:00", caps=limits(0, 0)), yes("03-11 10:00", caps=limits(0, 2))], caps=TWO, fatigue=WEARY)
case("tf05-dismissed-with-a-weight-of-ones-own", "4: the weights are the policy's; a dismissal of push",
     journey(send(channels=["push"])),
     [known(), track("Push Dismissed", "03-01 10:00"), ping("10:00"), ping("10:01")],
     [yes("10:00", caps=limits(0, 1)), no("cap", "10:01", caps=limits(1, 1))],
     caps=TWO, fatigue={**WEARY, "weights": {"dismissed": 2}})
case("tf06-exempt-messages-are-not-shrunk", "4: what is exempt from caps is exempt from their shrinking",
     journey(purpose="service"),
     [known(), track("Unsubscribed", "03-01 10:00", properties={"purpose": "marketing", "channel": "email"}), ping("10:00")],
     [yes("10:00")], caps=TWO, fatigue=WEARY)
case("tf07-a-message-that-failed-was-not-ignored", "4: a final failure takes it out",
     journey(), [known(), ping("03-02 10:00"), track("Message Failed", "03-02 10:01", properties={"journey": "j", "step": "s"}),
                 ping("03-03 10:00"), ping("03-04 10:00")],
     [yes("03-02 10:00"), yes("03-03 10:00"), yes("03-04 10:00", caps=limits(0, 2))], caps=TWO, fatigue=WEARY)
