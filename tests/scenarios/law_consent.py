"""Conformance cases on consent, suppression and data purposes; loaded by `ours.py`."""

from notation import *  # noqa: F403

NIGHT = [quiet()]
A, B = "u1@x.example", "b@x.example"
P1, P2 = "+48600100200", "+48600100201"
SMS = send(channels=["sms"])
PRIVATE = {
    "marketing": {"topics": ["newsletter", "offers", "reminders"]},
    "feedback": {},
    "service": {"exempt": ["caps", "quiet_hours"]},
    "personalization": {"kind": "data"},
}


def channels(*names):
    more = {name: {"kind": "grpc", "endpoint": f"http://127.0.0.1:92{n:02}"} for n, name in enumerate(names)}
    return {"sojourn.yaml": lambda w: {**w, "channels": {**w["channels"], **more}}}


def branch(*ways):
    """`(condition, step)` in order; `other` when none holds."""
    return {"id": "b", "branch": [*({"when": when, "steps": [send(step)]} for when, step in ways), {"else": [send("other")]}]}


def unsubscribed(received, person="u1", **properties):
    return track("Unsubscribed", received, {**who(person), "source": "mail"}, properties=properties)


def personalize(received, state="granted"):
    return consent(received, state, purpose="personalization", channel="web", endpoint=None)


# ---- 3 Records and levels -----------------------------------------------------------------------

case("lc01-deny-of-the-channel-and-grant-of-the-address-in-one-second", "3: in the same second a deny wins, whichever named the address",
     journey(), [known(), deny("09:00:00.100", endpoint=None), grant("09:00:00.900"), ping("10:00")], [no("no_consent", "10:00")])
case("lc02-topic-denied-for-the-channel", "3: a topic's deny without endpoint holds for a later address; its purpose granted there permits the other topics",
     [journey(name="o", purpose="marketing/offers", priority=90), journey(name="r", priority=10)],
     [known(grants=()), deny("09:00", endpoint=None, topic="offers"), identify("09:10", email=B), grant("09:20", endpoint=B), ping("10:00"),
      grant("10:10", endpoint=B, topic="offers"), ping("10:20")],
     [no("no_consent", "10:00", journey="o"), yes("10:00", journey="r", endpoint=B), yes("10:20", journey="o", endpoint=B), yes("10:20", journey="r")])
case("lc03-purpose-denied-and-topic-granted-in-one-second", "3: two levels: the deny of the purpose holds until the purpose is granted anew",
     journey(purpose="marketing/offers"), [known(), deny("09:00"), grant("09:00", topic="offers"), ping("10:00")], [no("no_consent", "10:00")])
case("lc04-a-topic-grant-is-for-its-topic", "3: a journey of the purpose without a topic is not permitted by the grant of a topic",
     journey(purpose="marketing"), [known(grants=()), grant("09:00", topic="offers"), ping("10:00")], [no("no_consent", "10:00")])
case("lc05-a-topic-deny-is-of-its-topic", "3: a journey of the purpose without a topic is not refused by the deny of one",
     journey(purpose="marketing"), [known(), deny("09:00", topic="offers"), ping("10:00")], [yes("10:00", topic=None)])
case("lc06-grant-before-the-address-is-held", "3: a record names its endpoint; the address comes later",
     journey(), [known(grants=()), grant("09:00", endpoint=B), ping("09:10"), identify("09:20", email=B), ping("10:00")],
     [no("no_consent", "09:10", endpoint=A), yes("10:00", endpoint=B)])
case("lc07-endpoint-in-other-writing", "2, 3: the endpoint of a consent is normalised like any value",
     [journey(), journey(SMS, name="k", on="Signed Up")],
     [known(phone=P1, grants=()), grant("09:00", endpoint=" U1@X.Example"), grant("09:01", channel="sms", endpoint="+48 600 100 200"),
      ping("10:00"), track("Signed Up", "10:10")], [yes("10:00", endpoint=A), yes("10:10", endpoint=P1)])
case("lc08-one-phone-two-channels", "3: sms granted says nothing of whatsapp, although both go to the phone",
     journey(send(channels=["whatsapp", "sms"])), [known(phone=P1, grants=("sms",)), ping("10:00"), grant("10:10", channel="whatsapp", endpoint=P1), ping("10:20")],
     [other("sms", "no_consent", "10:00", endpoint=P1), yes("10:20", channel="whatsapp", endpoint=P1)], files=channels("whatsapp"))
case("lc09-consent-of-the-person", "6: a channel without addresses is the person's: a record without endpoint grants and denies it",
     journey(send(channels=["web"])),
     [known(), ping("09:00"), grant("09:10", channel="web", endpoint=None), ping("09:20"), deny("09:30", channel="web", endpoint=None), ping("09:40")],
     [no("no_consent", "09:00"), yes("09:20"), no("no_consent", "09:40")], files=channels("web"))
case("lc10-feedback-is-not-marketing", "3: marketing denied says nothing of feedback, and feedback granted nothing of marketing",
     [journey(name="f", purpose="feedback", priority=90), journey(name="m", priority=10)],
     [known(grants=()), grant("09:00", purpose="feedback"), deny("09:10"), ping("10:00")],
     [yes("10:00", journey="f"), no("no_consent", "10:00", journey="m")])
case("lc11-purpose-of-the-step", "language: a step of another purpose than its journey's asks for that one's consent",
     journey(send("m"), send("f", purpose="feedback")), [known(), ping("10:00"), grant("10:10", purpose="feedback"), ping("10:20")],
     [yes("10:00", step="m"), no("no_consent", "10:00", step="f"), yes("10:20", step="m"), yes("10:20", step="f", purpose="feedback")])
case("lc12-granted-while-it-waits", "3: consent is looked at when it is decided, not when the run began",
     journey(wait("1h"), send()), [known(grants=()), ping("10:00"), grant("10:59:59")], [yes("11:00")])
case("lc13-the-record-that-grants-starts", "3, 7: a journey on Consent Changed sees the consent that the record brings",
     journey(on="Consent Changed", when="event.properties.state == 'granted'"), [known(grants=()), grant("10:00")], [yes("10:00")],
     files={"tracking-plan.yaml": lambda p: {**p, "events": {**p["events"], "Consent Changed": {"channel": "web", "properties": {
         "state": {"type": "string", "purposes": PROPERTY_PURPOSES}}}}}})
case("lc14-revoked-by-the-record-that-continues", "3: an unsubscription continues the wait, and what follows is refused",
     journey(wait_for("Unsubscribed", "1d", then=[send("sorry")], otherwise=[])), [known(), ping("10:00"), unsubscribed("10:30", endpoint=A)],
     [no("no_consent", "10:30", step="sorry")])

# ---- 3 What channels report ---------------------------------------------------------------------

case("lc20-unsubscribed-is-a-deny", "language: Unsubscribed denies; unlike a complaint a newer grant lifts it",
     journey(), [known(), unsubscribed("09:00", endpoint=A), ping("09:30"), grant("10:00"), ping("10:30")], [no("no_consent", "09:30"), yes("10:30")])
case("lc21-unsubscribed-for-its-endpoint", "language: for its endpoint: the other address goes on",
     journey(), [known(), identify("09:00", email=B), grant("09:01", endpoint=B), unsubscribed("09:10", endpoint=B), ping("10:00")], [yes("10:00", endpoint=A)])
case("lc22-unsubscribed-by-its-address", "language: found by the address alone",
     journey(), [known(), track("Unsubscribed", "09:00", {"source": "mail"}, properties={"email": A}), ping("10:00")], [no("no_consent", "10:00")])
case("lc23-late-unsubscription", "3: newest by occurrence: one that occurred before the grant takes nothing back",
     journey(), [known(), track("Unsubscribed", "09:00", {"userId": "u1", "source": "mail"}, "02-19 12:00", {"endpoint": A}), ping("10:00")], [yes("10:00")])
case("lc24-stop-of-one-number", "language: SMS Stopped with its address: the other phone goes on",
     journey(SMS), [known(phone=P1, grants=("sms",)), identify("09:00", phone=P2), grant("09:01", channel="sms", endpoint=P2),
                    track("SMS Stopped", "09:10", properties={"endpoint": P2}), ping("10:00")], [yes("10:00", endpoint=P1)])
case("lc25-stop-binds-service", "3: service never bypasses a carrier STOP",
     journey(SMS, purpose="service"), [known(phone=P1, grants=()), ping("10:00"), track("SMS Stopped", "10:10"), ping("10:20")],
     [yes("10:00"), no("endpoint_suppressed", "10:20")])
case("lc26-complaint-binds-service", "3: nor a complaint block",
     journey(purpose="service"), [known(grants=()), track("Email Marked as Spam", "09:00"), ping("10:00")], [no("endpoint_suppressed", "10:00")])
case("lc27-stop-is-of-the-phone", "language: a STOP suppresses the phone's endpoint; e-mail goes on, as a reroute",
     journey(send(channels=["sms", "email"])), [known(phone=P1, grants=("sms", "email")), track("SMS Stopped", "09:00"), ping("10:00")],
     [other("email", "endpoint_suppressed", "10:00")])
case("lc28-stop-without-number-is-of-the-phones-it-had", "language: every phone of the person, also the one that is not permitted",
     journey(SMS, purpose="service"), [known(phone=P1, grants=()), identify("09:00", phone=P2), track("SMS Stopped", "09:10"), ping("10:00")],
     [no("endpoint_suppressed", "10:00", endpoint=P2)])
case("lc29-failures-suppress-nothing", "language: only a hard bounce, a complaint and a STOP do",
     [journey(send(channels=["push"]), name="p", priority=90), journey(SMS, name="s", priority=10)],
     [known(phone=P1, grants=("push", "sms")), track("Push Failed", "09:00"), track("SMS Failed", "09:10"), ping("10:00")],
     [yes("10:00", journey="p"), yes("10:00", journey="s")])
case("lc30-lifted-and-bounced-again", "language: the operator lifts one bounce; the next one counts",
     journey(), [known(), track("Email Bounced", "09:00"), command("09:10", "unsuppress", person=f"email:{A}", channel="email", reason="mended"), ping("09:20"),
                 track("Email Bounced", "09:30"), ping("09:40")], [yes("09:20"), no("endpoint_suppressed", "09:40")])
case("lc31-lifting-is-no-grant", "3: a suppression lifted; the deny that was there still counts",
     journey(), [known(), deny("08:00"), track("Email Marked as Spam", "09:00"),
                 command("09:10", "unsuppress", person="customer_id:u1", channel="email", reason="asked for it"), ping("10:00")], [no("no_consent", "10:00")])
case("lc32-operator-lifts-a-stop", "language: a STOP too",
     journey(SMS), [known(phone=P1, grants=("sms",)), track("SMS Stopped", "09:00"), ping("09:10"),
                    command("09:20", "unsuppress", person="customer_id:u1", channel="sms", reason="START by letter"), ping("09:30")],
     [no("endpoint_suppressed", "09:10"), yes("09:30")])
case("lc33-bounce-while-deferred-other-address", "5: on waking the address that bounced gives way to another that is permitted",
     journey(), [known(), identify("09:00", email=B), grant("09:01", endpoint=B), ping("22:00"), track("Email Bounced", "23:00", properties={"endpoint": B})],
     [later("quiet_hours", "22:00", "03-03 08:00", endpoint=B), yes("03-03 08:00", endpoint=A)], quiet_hours=NIGHT)
case("lc34-bounce-without-address-is-the-one-seen-last", "language: a bounce that names no address of a person with one",
     journey(), [known(), track("Email Bounced", "09:00", properties={"type": "hard"}), ping("10:00")], [no("endpoint_suppressed", "10:00", endpoint=A)])

# ---- 3 Personalization --------------------------------------------------------------------------

case("lc40-absent-is-missing-in-every-way", "3, 7: what is absent is a missing field: also a negation and a comparison with zero are false",
     journey(branch(("!(profile.tier == 'gold')", "negated"), ("count('Ping', '1d') >= 0", "count"), ("!in_segment('regulars')", "segment"),
                    ("has(profile.tier)", "has"), ("sum('Ping', 'n') >= 0", "sum"))),
     [known(tier="gold"), ping("10:00", n=3)], [yes("10:00", step="other")], purposes=PRIVATE,
     files={"segments.yaml": {"segments": {"regulars": {"when": "count('Ping', '60d') >= 2"}}}})
case("lc41-denied-after-granted", "3: denied: absent again",
     journey(branch(("profile.tier == 'gold'", "gold"))),
     [known(tier="gold"), personalize("09:00"), ping("10:00"), personalize("10:10", "denied"), ping("10:20")],
     [yes("10:00", step="gold"), yes("10:20", step="other")], purposes=PRIVATE)
case("lc42-declared-preferences-stay", "3: locale and declared preferences stay",
     journey(branch(("profile.preferences.diet == 'vegan' && profile.locale == 'en'", "vegan"))),
     [known(locale="en", preferences={"diet": "vegan"}), ping("10:00")], [yes("10:00", step="vegan")], purposes=PRIVATE)
case("lc43-zone-stays", "3: the zone stays: quiet hours are still the person's",
     journey(), [known(time_zone="Asia/Tokyo"), ping("14:00")], [later("quiet_hours", "14:00", "23:00", zone="Asia/Tokyo"), yes("23:00")],
     purposes=PRIVATE, quiet_hours=NIGHT)
case("lc44-templates-have-it-not-either", "3: absent for templates: the variable without a default is missing",
     journey(), [known(first_name="Ann"), ping("10:00"), personalize("10:10"), ping("10:20")], [no("content", "10:00"), yes("10:20")], purposes=PRIVATE,
     files={"templates/t/en.txt": "Hello {{ profile.first_name }}. {{ links.unsubscribe }}\n"})
case("lc45-the-events-own-stay-for-templates", "3: the triggering event's own properties stay",
     journey(), [known(), ping("10:00", id="x"), ping("10:10")], [yes("10:00"), no("content", "10:10")], purposes=PRIVATE,
     files={"templates/t/en.txt": "Hello {{ event.properties.id }}. {{ links.unsubscribe }}\n"})
case("lc46-only_if-without-it", "3, 6: only_if reads an attribute that is absent",
     journey(send(only_if="profile.vip == true")), [known(vip=True), ping("10:00"), personalize("10:10"), ping("10:20")],
     [no("only_if", "10:00"), yes("10:20")], purposes=PRIVATE)
case("lc47-an-entry-filter-without-it", "3: and an entry's filter",
     journey(when="profile.vip"), [known(vip=True), ping("10:00"), personalize("10:10"), ping("10:20")], [yes("10:20")], purposes=PRIVATE)
case("lc48-an-exit-filter-without-it", "3: and an exit's: the run goes on",
     journey(wait("1h"), send(), exit_on=[{"on": "Order Completed", "when": "profile.vip"}]),
     [known(vip=True), ping("10:00"), track("Order Completed", "10:10")], [yes("11:00")], purposes=PRIVATE)
case("lc49-a-wait-that-consent-ends", "3, 7: a condition is looked at on every record: the grant itself makes the attribute present",
     journey(wait_for(None, "1d", condition="profile.tier == 'gold'")), [known(tier="gold"), ping("10:00"), track("Noop", "10:10"), personalize("10:30")],
     [yes("10:30", step="yes")], purposes=PRIVATE)
case("lc50-an-update-without-it", "3, 7: an update that reads an absent attribute changes nothing; one that does not, does",
     journey({"id": "u", "update": {"points": "profile.points + 10", "tier": "'new'"}}, wait("1h"),
             branch(("profile.points == 5 && profile.tier == 'new'", "right"), ("profile.points == 15", "wrong"))),
     [known(points=5), ping("10:00"), personalize("10:30")], [yes("11:00", step="right")], purposes=PRIVATE)
case("lc51-service-too", "3: personalization is not asked only of marketing",
     journey(branch(("profile.tier == 'gold'", "gold")), purpose="service"), [known(tier="gold"), ping("10:00")], [yes("10:00", step="other")], purposes=PRIVATE)
case("lc52-the-key-of-the-event-stays", "3: the instance key is of the event: runs are kept apart without personalization",
     journey(wait("1h"), send(), key="event.properties.id", reentry="after_exit"), [known(), ping("10:00", id="a"), ping("10:10", id="b")],
     [yes("11:00", run_key="a"), yes("11:10", run_key="b")], purposes=PRIVATE)
