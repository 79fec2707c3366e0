"""Conformance cases on identity: claims, moves, merges, unmerges, duplicates; loaded by `ours.py`."""

from notation import *  # noqa: F403

NIGHT = [quiet()]
DAILY = [cap()]
A, B, C = "u1@x.example", "b@x.example", "c@x.example"
PHONE, PHONE2 = "+48600100200", "+48600100201"
BOTH = known() + known("u2", at_second=30)


def plan(**change):
    """The tracking plan with other members."""
    return {"tracking-plan.yaml": lambda p: {**p, **change}}


def identifiers(*entries):
    kinds = {e["kind"] for e in entries}
    return {"tracking-plan.yaml": lambda p: {**p, "identifiers": [i for i in p["identifiers"] if i["kind"] not in kinds] + list(entries)}}


def alias(received, previous, person):
    return line(received, type="alias", previousId=previous, userId=person)


def unmerge(received, person):
    return command(received, "unmerge", person=person)


# ---- 2 Identifiers ------------------------------------------------------------------------------

case("li01-default-places", "language: an `identifiers` entry replaces the defaults of its kind only: context.traits.email is still read",
     journey(), [known(), track("Noop", "09:00", "a1", context={"traits": {"email": A}}), ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", tag="P"), no("cap", "10:10", tag="P")], caps=DAILY,
     files=plan(identifiers=[{"kind": "customer_id", "from": "userId", "limit": 1}]))
case("li02-replaced-places", "language: the plan reads the card from properties.loyalty_card; the default place properties.loyalty_id is none any more",
     journey(), [known(), track("Noop", "09:00", properties={"loyalty_id": "L7"}), track("Noop", "09:10", "a1", properties={"loyalty_id": "L7"}),
                 ping("10:00"), ping("10:10", "a1")],
     [yes("10:00", tag="P"), no("endpoint_missing", "10:10", "a1", tag="Q")])
case("li03-configured-blocked-value", "2: configured blocked values never join, whatever the case",
     journey(), [known(), ping("10:00", "Guest"), ping("10:10", {"userId": "u1", "anonymousId": "GUEST"}), ping("10:20", "guest")],
     [yes("10:10")], files=plan(blocked_values=["guest"]))
case("li04-custom-kind", "2: a kind of one's own joins like any other",
     journey(), [known(), track("Noop", "09:00", properties={"member": "M1"}), track("Noop", "09:10", "a1", properties={"member": "M1"}),
                 ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", tag="P"), no("cap", "10:10", tag="P")], caps=DAILY,
     files=identifiers({"kind": "custom:member", "from": "properties.member", "limit": 1}))
case("li05-kind-that-does-not-join", "2: joins: false: kept, and ignored for resolution",
     journey(), [known(), track("Noop", "09:00", properties={"loyalty_card": "L7"}), track("Noop", "09:10", "a1", properties={"loyalty_card": "L7"}),
                 ping("10:00", "a1"), ping("10:10")],
     [no("endpoint_missing", "10:00", "a1", tag="Q"), yes("10:10", tag="P")],
     files=identifiers({"kind": "loyalty_id", "from": "properties.loyalty_card", "limit": 5, "joins": False}))
case("li06-shared-device-does-not-join", "2: the till's device_id is ignored, the same device from the site is not",
     journey(), [known(), track("Store Visited", "09:00", {"source": "till"}, properties={"loyalty_card": "L7"}, context={"device": {"id": "dev-u1"}}),
                 ping("10:00"), track("Ping", "10:10", {}, properties={"loyalty_card": "L7"})],
     [yes("10:00", tag="P"), no("endpoint_missing", "10:10", "L7", tag="Q")])
case("li07-phone-in-other-writing", "2: brackets and dashes are no part of a number",
     journey(send(channels=["sms"])),
     [known(phone=PHONE, grants=("sms",)), identify("09:00", "a1", phone="+48 (600) 100-200"), ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", tag="P", endpoint=PHONE), no("cap", "10:10", tag="P")], caps=DAILY)
case("li08-customer-ids-keep-their-case", "2: each kind is normalised in its own way: `u1` and `U1` are two customers",
     journey(), [known(), ping("10:00", {"userId": "U1"}), ping("10:10")],
     [no("endpoint_missing", "10:00", "U1", tag="Q"), yes("10:10", tag="P")])

# ---- 2 Claims -----------------------------------------------------------------------------------

case("li10-claims-of-one-time-by-message-id", "2: newest by (occurred_at, messageId): of two claims of one time the greater id, whichever came last",
     journey(), [BOTH, {**identify("09:00", also="a1"), "messageId": "m-b"}, {**identify("09:10", "u2", also="a1", occurred="09:00"), "messageId": "m-a"},
                 ping("10:00", "a1")], [yes("10:00", "u1")])
case("li11-a-claim-in-between-changes-nothing", "2: the newest claim is kept with the pair; a late one of u1 does not win",
     journey(), [BOTH, identify("09:00", also="a1"), identify("09:30", "u2", also="a1"), identify("09:40", also="a1", occurred="09:20"),
                 ping("10:00", "a1"), identify("10:10", also="a1"), ping("10:20", "a1")],
     [yes("10:00", "u2"), yes("10:20", "u1")])
case("li12-only-the-identifier-moves", "2: history stays where it was recorded: after the move u2 has seen one ping, u1 two",
     journey(when="count('Ping', '1d') >= 2"),
     [BOTH, ping("09:00", {"userId": "u1", "anonymousId": "a1"}), identify("09:30", "u2", also="a1"), ping("10:00", "a1"), ping("10:10")],
     [yes("10:10", "u1")])
case("li13-runs-stay-where-they-are", "2: the run that a1's ping began while a1 was u1's goes on for u1",
     journey(wait("1h"), send()),
     [BOTH, identify("09:00", also="a1"), ping("10:00", "a1"), identify("10:30", "u2", also="a1")], [yes("11:00", "u1", endpoint=A)])
case("li14-sends-stay-where-they-are", "2, 4: the address moves, the send does not: u2 is not at the cap, u1 is",
     journey(send(channels=["email", "push"])),
     [BOTH, ping("10:00"), identify("10:30", "u2", email=A), grant("10:31", "u2"), ping("11:00", "u2"), ping("11:10")],
     [yes("10:00", tag="P", channel="email"), yes("11:00", "u2", tag="Q", endpoint=A), no("cap", "11:10", tag="P", channel="push")], caps=DAILY)
case("li15-moved-address-meets-a-deferred-message", "5, 2: on waking every check again: the address is somebody else's, push is not listed",
     journey(), [BOTH, ping("22:00"), identify("23:00", "u2", email=A)],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("endpoint_missing", "03-03 08:00")], quiet_hours=NIGHT)
case("li16-grant-after-the-move", "2, 3: denials are copied; a newer grant at the new holder names the address and wins",
     journey(), [known(), deny("09:00", endpoint=None), identify("09:30", "u2", email=A), grant("09:40", "u2", occurred="08:59:59"), ping("10:00", "u2"),
                 grant("10:10", "u2"), ping("10:20", "u2")],
     [no("no_consent", "10:00", "u2", endpoint=A), yes("10:20", "u2", endpoint=A)])
case("li17-a-stop-moves-with-its-number", "2: a STOP is of the number, whoever holds it",
     journey(send(channels=["sms"])),
     [known(phone=PHONE, grants=("sms",)), track("SMS Stopped", "09:00"), identify("09:30", "u2", phone=PHONE),
      grant("09:40", "u2", channel="sms", endpoint=PHONE), ping("10:00", "u2")], [no("endpoint_suppressed", "10:00", "u2")])
case("li18-push-denial-moves-with-the-device", "2: a device that u2 signs in on brings its denial, not its grant",
     journey(send(channels=["push"])),
     [known(), deny("09:00", channel="push", endpoint="dev-u1"), identify("09:30", "u2", context={"device": {"id": "dev-u1"}}),
      grant("09:40", "u2", channel="push", endpoint="dev-u1", occurred="08:00"), ping("10:00", "u2"),
      grant("10:10", "u2", channel="push", endpoint="dev-u1"), ping("10:20", "u2")],
     [no("no_consent", "10:00", "u2"), yes("10:20", "u2", endpoint="dev-u1")])
case("li19-address-comes-back", "2: claimed by u2, then again by u1: u1's own grant was never taken away, u2 has none left",
     journey(), [BOTH, identify("09:00", "u2", email=A), identify("09:30", email=A), ping("10:00"), ping("10:10", "u2")],
     [yes("10:00", "u1", endpoint=A), yes("10:10", "u2", endpoint="u2@x.example")])
case("li20-identifier-held-through-a-merge", "2: a1 joined u2 through an address, never beside its customer_id; the only claim on a1 is u1's",
     journey(), [BOTH, identify("09:00", "a1", email=B), identify("09:10", "u2", email=B), identify("09:20", also="a1"), ping("10:00", "a1")],
     [yes("10:00", "u1")])
case("li21-card-of-another-customer-at-the-till", "2: a till's touchpoint with the card alone goes to the card's owner, also after a new claim",
     journey(on="Store Visited"),
     [BOTH, track("Noop", "09:00", properties={"loyalty_card": "L7"}), track("Noop", "09:10", "u2", properties={"loyalty_card": "L7"}),
      track("Store Visited", "10:00", {"source": "till"}, properties={"loyalty_card": "L7"})], [yes("10:00", "u2")])

# ---- 2 Alias ------------------------------------------------------------------------------------

case("li30-alias-of-an-address", "2: previousId is of the kind under which the value is known: here an address",
     journey(), [known(), identify("09:00", "a1", email=B), alias("09:30", B, "u1"), ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", tag="P", endpoint=A), no("cap", "10:10", tag="P")], caps=DAILY)
case("li31-alias-of-a-known-customer-to-a-new-one", "2: alias of two different customer_ids is refused, also when the new one is not known yet",
     journey(), [known(), alias("09:30", "u1", "u9"), ping("10:00"), ping("10:10", "u9")],
     [yes("10:00", tag="P"), no("endpoint_missing", "10:10", "u9", tag="Q")])
case("li32-alias-of-an-anonymous-id-that-is-taken", "2: alias claims for u2 what u1 claimed before",
     journey(), [BOTH, identify("09:00", also="a1"), alias("09:30", "a1", "u2"), ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", "u2", tag="Q"), yes("10:10", "u1", tag="P")])

# ---- 2 Merges -----------------------------------------------------------------------------------

case("li40-attributes-of-both", "2: each attribute is the newest of the two, one by one",
     journey(when="profile.tier == 'gold' && profile.points == 7"),
     [known(points=7), identify("09:00", "a1", tier="gold", points=3, occurred="02-19 10:00"), identify("09:30", also="a1"), ping("10:00")], [yes("10:00")])
case("li41-channel-denial-of-the-absorbed", "2, 3: a deny without an endpoint holds for the addresses of the union, until a newer grant names one",
     journey(), [known(), deny("09:00", "a1", endpoint=None), identify("09:30", also="a1"), ping("10:00"), grant("10:10"), ping("10:20")],
     [no("no_consent", "10:00"), yes("10:20")])
case("li42-newer-grant-than-the-absorbed-denial", "2, 3: the grant of 09:10 names the address and is newer than the deny of 09:00",
     journey(), [known(), deny("09:00", "a1", endpoint=None), grant("09:10"), identify("09:30", also="a1"), ping("10:00")], [yes("10:00")])
case("li43-entry-caps-are-united", "2, 4: one entry of each, at most two in thirty days",
     journey(entry={"at_most": "2 per 30d"}),
     [known(), ping("09:00"), ping("09:10", "a1"), identify("09:30", also="a1"), ping("10:00")],
     [yes("09:00"), no("endpoint_missing", "09:10", "a1")])
case("li44-reentry-after-counts-the-absorbed-entry", "2, 7: `after 2d` counts from a1's entry",
     journey(reentry="after 2d"),
     [known(), ping("09:00", "a1"), identify("09:30", also="a1"), ping("10:00"), ping("03-04 08:59:59"), ping("03-04 09:00")],
     [no("endpoint_missing", "09:00", "a1"), yes("03-04 09:00")])
case("li45-waiting-run-moves", "2: a wait_for that began anonymously is ended by the customer's click, under the customer's consent",
     journey(wait_for(timeout="1h")),
     [known(), ping("10:00", "a1"), identify("10:10", also="a1"), track("Email Link Clicked", "10:20")], [yes("10:20", step="yes", endpoint=A)])
case("li46-time-out-moves", "2: and its time-out too",
     journey(wait_for(timeout="1h")), [known(), ping("10:00", "a1"), identify("10:10", also="a1")], [yes("11:00", step="no", endpoint=A)])
case("li47-further-along-though-absorbed", "2: the run further along lives, whichever profile survives: here the absorbed one's",
     journey(wait("1h", "w1"), send("s1"), wait("1h", "w2"), send("s2"), reentry="after_exit"),
     [track("Noop", "02-19 10:00", "a1"), known(), ping("09:30"), ping("10:00", "a1"), identify("10:40", also="a1")],
     [yes("10:30", step="s1"), yes("11:30", step="s2")])
case("li48-runs-of-one-cart", "2: the same instance key: one run; the other cart's run goes on",
     journey(wait("1h"), send(), on="Cart Updated", key="event.properties.cart_id", reentry="after_exit"),
     [known(), track("Cart Updated", "10:00", "a1", properties={"cart_id": "c1"}), track("Cart Updated", "10:05", "a1", properties={"cart_id": "c2"}),
      track("Cart Updated", "10:10", properties={"cart_id": "c1"}), identify("10:30", also="a1")],
     [yes("11:00", run_key="c1"), yes("11:05", run_key="c2")])
case("li49-a-merge-enters-no-segment", "2: the union makes a regular, and no record does: nobody enters",
     journey(on=None, entry={"segment": {"enter": "regulars"}}),
     [known(), ping("09:00"), ping("09:10", "a1"), identify("09:30", also="a1")], [],
     files={"segments.yaml": {"segments": {"regulars": {"when": "count('Ping', '60d') >= 2"}}}})
case("li50-a-merge-changes-no-attribute", "2: u1 gets a tier by the merge; only a1's own change started the journey",
     journey(on=None, entry={"attribute": {"name": "tier", "changed": True}}),
     [known(), identify("09:00", "a1", tier="gold"), identify("09:30", also="a1")], [no("endpoint_missing", "09:00", "a1")])
case("li51-a-merge-meets-no-condition", "2, 7: a merge by itself continues no wait; the next record of the person does",
     journey(wait_for(None, "1d", condition="count('Product Viewed', '1d') >= 1")),
     [known(), ping("10:00"), track("Product Viewed", "10:10", "a1"), identify("10:20", also="a1"), track("Noop", "10:30")],
     [yes("10:20", step="yes")])
case("li52-exit-by-the-other-half", "2, 7: after the merge an order at the till by the card of the absorbed ends the run",
     journey(wait("2h"), send(), exit_on=[{"on": "Store Order Completed"}]),
     [known(), track("Store Visited", "09:00", {"source": "till"}, properties={"loyalty_card": "L7"}), ping("10:00"),
      track("Noop", "10:30", properties={"loyalty_card": "L7"}),
      track("Store Order Completed", "11:00", {"source": "till"}, properties={"loyalty_card": "L7"})], [])
case("li53-an-old-order-of-the-absorbed", "1, 2: the merge brings an order of 10:30 to the timeline: a late entry of 10:10 is refused, one of 10:40 is not",
     journey(exit_on=[{"on": "Store Order Completed"}]),
     [known(), track("Store Order Completed", "10:30", {"source": "till"}, properties={"loyalty_card": "L7"}),
      track("Noop", "10:50", properties={"loyalty_card": "L7"}), ping("11:00", occurred="10:10"), ping("11:10", occurred="10:40")], [yes("11:10")])
case("li54-bounce-known-to-the-absorbed", "2: suppressions are united: the bounce of an address that a1 held, though u1 had the grant",
     journey(), [known(grants=()), identify("09:00", "a1", email=B), track("Email Bounced", "09:10", "a1"), identify("09:20", also="a1"),
                 grant("09:30", endpoint=B), grant("09:31"), ping("10:00")], [yes("10:00", endpoint=A)])

# ---- 2 Unmerge ----------------------------------------------------------------------------------

case("li60-unmerge-after-thirty-days", "2: within 30 days; later the two stay one",
     journey(), [known(), identify("09:00", "a1", tier="gold"), identify("09:30", also="a1"), unmerge("04-02 10:00", "anonymous_id:a1"),
                 ping("04-02 11:00", "a1"), ping("04-02 11:10")],
     [yes("04-02 11:00", tag="P"), yes("04-02 11:10", tag="P")])
case("li61-unmerge-keeps-the-stricter-consent", "2: what was denied for all addresses while they were one holds for both",
     journey(), [known(), identify("09:00", "a1", email=B), grant("09:10", "a1", endpoint=B), identify("09:30", also="a1"), deny("10:00", endpoint=None),
                 unmerge("11:00", "anonymous_id:a1"), ping("12:00"), ping("12:10", "a1")],
     [no("no_consent", "12:00", tag="P", endpoint=A), no("no_consent", "12:10", "a1", tag="Q", endpoint=B)])
case("li62-unmerge-gives-back-the-addresses", "2: each has its own address and its own grant again",
     journey(), [known(), identify("09:00", "a1", email=B), grant("09:10", "a1", endpoint=B), identify("09:30", also="a1"), ping("10:00"),
                 unmerge("11:00", "anonymous_id:a1"), ping("12:00"), ping("12:10", "a1")],
     [yes("10:00", endpoint=B), yes("12:00", tag="P", endpoint=A), yes("12:10", "a1", tag="Q", endpoint=B)])
case("li63-unmerge-gives-back-the-history", "2: a1's two pings before the merge and its one since are a1's",
     journey(on="Signed Up", when="count('Ping', '1d') == 3"),
     [known(), identify("08:00", "a1", email=B), grant("08:10", "a1", endpoint=B), ping("09:00", "a1"), ping("09:10", "a1"), identify("09:30", also="a1"),
      ping("10:00", "a1"), ping("10:10"), unmerge("11:00", "anonymous_id:a1"), track("Signed Up", "12:00"), track("Signed Up", "12:10", "a1")],
     [yes("12:10", "a1", endpoint=B)])

# ---- 2 Duplicates -------------------------------------------------------------------------------

case("li70-a-duplicate-joins-nobody", "2: the second does nothing at all: its other anonymous id is not joined",
     journey(), [known(), {**ping("10:00"), "messageId": "m"}, {**identify("10:10", also="a5"), "messageId": "m"}, ping("10:20", "a5")],
     [yes("10:00", tag="P"), no("endpoint_missing", "10:20", "a5", tag="Q")])
case("li71-a-duplicate-revokes-nothing", "2: the first counts, whatever the second says",
     journey(), [known(grants=()), {**grant("09:00"), "messageId": "m"}, {**deny("09:30"), "messageId": "m"}, ping("10:00")], [yes("10:00")])
case("li72-duplicates-beyond-the-horizon", "2: horizon 7 days from the first; the duplicate of the sixth day does nothing, also not to the horizon",
     journey(), [known(), {**ping("10:00"), "messageId": "m"}, {**ping("03-08 10:00"), "messageId": "m"}, {**ping("03-12 10:00"), "messageId": "m"}],
     [yes("10:00"), yes("03-12 10:00")])
case("li73-source-by-default", "interfaces: without a source the first whose channel fits: the same messageId counts once",
     journey(), [known(), {**ping("10:00"), "messageId": "m"}, {k: v for k, v in {**ping("10:10"), "messageId": "m"}.items() if k != "source"}], [yes("10:00")])
case("li74-duplicate-of-a-late-copy", "2: the copy with another timestamp is a copy",
     journey(), [known(), {**ping("10:00"), "messageId": "m"}, {**ping("10:10", occurred="09:00"), "messageId": "m"}], [yes("10:00")])
case("li75-duplicate-through-an-address", "2: the person is looked up through any of its identifiers: here by the address alone",
     journey(), [known(), {**ping("10:00"), "messageId": "m"}, {**track("Ping", "10:10", {}, properties={"email": A}), "messageId": "m"}], [yes("10:00")])
case("li76-duplicate-exit-ends-nothing-twice", "2: the copy of an exit that is received in a later run does not end it",
     journey(wait("1h"), send(), exit_on=[{"on": "Order Completed"}]),
     [known(), ping("10:00"), {**track("Order Completed", "10:30"), "messageId": "m"}, ping("10:40"), {**track("Order Completed", "10:50"), "messageId": "m"}],
     [yes("11:40")])

# ---- 6 Endpoints --------------------------------------------------------------------------------

case("li80-seen-last-in-any-touchpoint", "6: an address is seen when a touchpoint carries it, not only when it is told anew",
     journey(), [known(), identify("09:00", email=B), grant("09:01", endpoint=B), ping("09:10"), track("Noop", "09:20", properties={"email": A}), ping("10:00")],
     [yes("09:10", endpoint=B), yes("10:00", endpoint=A)])
case("li81-seen-at-the-same-time", "6: equal: the greater value",
     journey(), [known(grants=()), identify("09:00", email=C), identify("09:00", email=B), grant("09:01", endpoint=B), grant("09:01", endpoint=C), ping("10:00")],
     [yes("10:00", endpoint=C)])
case("li82-the-record-brings-the-address", "6: the record that starts the run carries the address that it is sent to",
     journey(), [known(), grant("09:00", endpoint=B), track("Ping", "10:00", properties={"email": B})], [yes("10:00", endpoint=B)])
case("li83-bounce-names-only-its-address", "language: a receipt with `properties.endpoint` alone finds its person",
     journey(), [known(), track("Email Bounced", "09:00", {"source": "mail"}, properties={"endpoint": A}), ping("10:00")], [no("endpoint_suppressed", "10:00")])
case("li84-bounce-with-the-address", "language: or the address",
     journey(), [known(), track("Email Marked as Spam", "09:00", {"source": "mail"}, properties={"email": A}), ping("10:00")], [no("endpoint_suppressed", "10:00")])
case("li85-two-devices", "6: push goes to the device seen last that is permitted",
     journey(send(channels=["push"])),
     [known(), identify("09:00", context={"device": {"id": "dev-2"}}), ping("10:00"), grant("10:10", channel="push", endpoint="dev-2"), ping("10:20")],
     [yes("10:00", endpoint="dev-u1"), yes("10:20", endpoint="dev-2")])
