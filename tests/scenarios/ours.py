"""Conformance cases of our own: sentences of the semantics that the given cases do not show.

The expected lines are worked out from the text alone. The number in a note is the section.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from notation import *  # noqa: E402,F403

NIGHT = [quiet()]
DAILY = [cap()]
A, B, C = "u1@x.example", "b@x.example", "c@x.example"


def attribute_object(plan):
    plan["attributes"]["address"] = {"type": "object", "purposes": PROPERTY_PURPOSES}
    return plan


def segment(**when):
    return {"segments.yaml": {"segments": {name: {"when": text} for name, text in when.items()}}}


# ---- 1 Time -------------------------------------------------------------------------------------

case("ot01-until-is-strictly-after-now", "1: `until: 09:00` from exactly 09:00 is tomorrow",
     journey(wait({"until": "09:00"}), send()),
     [known(), ping("09:00")], [yes("03-03 09:00")])
case("ot02-until-later-today", "1: `until: 09:00` one millisecond before it is today",
     journey(wait({"until": "09:00"}), send()),
     [known(), ping("08:59:59.999")], [yes("09:00")])
case("ot03-until-in-the-overlap-is-the-first", "1: 01:30 on 25 October in London is the first of the two, 00:30Z",
     journey(wait({"until": "01:30"}), send()),
     [known(), ping("10-24 12:00")], [yes("10-25 00:30")])
case("ot04-until-between-the-two-of-an-overlap", "1: at 01:45 BST the first 01:30 is past and the second is not meant: next day",
     journey(wait({"until": "01:30"}), send()),
     [known(), ping("10-25 00:45")], [yes("10-26 01:30")])
case("ot05-until-in-the-persons-zone", "1: 09:00 in Tokyo is 00:00Z",
     journey(wait({"until": "09:00"}), send()),
     [known(time_zone="Asia/Tokyo"), ping("10:00")], [yes("03-03 00:00", zone="Asia/Tokyo")])
case("ot06-zone-is-fixed-when-the-wait-begins", "1: a new zone during the wait moves nothing; the decision names the zone of its moment",
     journey(wait({"until": "09:00"}), send()),
     [known(), ping("10:00"), identify("11:00", time_zone="Asia/Tokyo")], [yes("03-03 09:00", zone="Asia/Tokyo")])
case("ot07-phone-region-of-many-zones-says-nothing", "1: +1 has many zones: the workspace's zone",
     journey(), [known(phone="+12025550123"), ping("10:00")], [yes("10:00", zone="Europe/London")])
case("ot08-country-of-many-zones-says-nothing", "1: US has many zones: the workspace's zone",
     journey(), [known(address={"country": "US"}), ping("10:00")], [yes("10:00", zone="Europe/London")],
     files={"tracking-plan.yaml": attribute_object})
case("ot09-declared-zone-before-context", "1: the declared attribute goes before context.timezone",
     journey(), [known(time_zone="Asia/Tokyo"), identify("09:00", context={"timezone": "Europe/Paris"}), ping("10:00")],
     [yes("10:00", zone="Asia/Tokyo")])
case("ot10-invalid-zone-counts-as-missing", "1: an invalid declared zone is as if there were none: context.timezone",
     journey(), [known(time_zone="Mars/Base"), identify("09:00", context={"timezone": "Europe/Paris"}), ping("10:00")],
     [yes("10:00", zone="Europe/Paris")])
case("ot11-newest-context-zone", "1: the newest context.timezone, by occurrence",
     journey(), [known(), identify("09:00", context={"timezone": "Europe/Paris"}),
                 identify("09:30", occurred="08:00", context={"timezone": "Asia/Tokyo"}), ping("10:00")],
     [yes("10:00", zone="Europe/Paris")])
case("ot12-context-zone-before-phone", "1: context.timezone goes before the phone's region",
     journey(), [known(phone="+48600100200"), identify("09:00", context={"timezone": "Europe/Paris"}), ping("10:00")],
     [yes("10:00", zone="Europe/Paris")])
case("ot13-phone-before-country", "1: the phone's region goes before address.country",
     journey(), [known(phone="+48600100200", address={"country": "JP"}), ping("10:00")],
     [yes("10:00", zone="Europe/Warsaw")], files={"tracking-plan.yaml": attribute_object})
case("ot14-late-but-young-enough-starts", "1: 23 h 59 min old starts, and its wait counts from log time",
     journey(wait("1h"), send()), [known(), ping("10:00", occurred="03-01 10:01")], [yes("11:00")])
case("ot15-accept-late-of-the-journey", "1: accept_late 2h: 1 h 59 min 59 s starts, exactly 2 h does not",
     journey(entry={"accept_late": "2h"}),
     [known(), ping("10:00", occurred="08:00:01"), ping("11:00", occurred="09:00")], [yes("10:00")])
case("ot16-occurred-never-later-than-log-time", "1: a grant from the future is of its log time: the later deny wins",
     journey(), [known(grants=()), grant("09:00", occurred="2099-01-01T00:00:00Z"), deny("09:30"), ping("10:00")],
     [no("no_consent", "10:00")])
case("ot17-skew-is-corrected", "1: a source's clock five hours slow, shown by sentAt: the grant occurred after the deny",
     journey(), [known(grants=()), deny("09:00"),
                 {**grant("10:00:05", occurred="05:00:00"), "sentAt": at("05:00:05")}, ping("10:30")],
     [yes("10:30")])
case("ot18-no-timestamp-is-log-time", "1: log time when missing: the grant without a timestamp is newer than the deny",
     journey(), [known(grants=()), deny("09:00"),
                 {k: v for k, v in grant("10:00").items() if k != "timestamp"}, ping("10:30")],
     [yes("10:30")])
case("ot19-timers-in-order-of-due-time", "1: a record that moves time by months fires what is due in order of due time",
     journey(wait("2h"), send("two"), wait("2h", "w2"), send("four")),
     [known(), known("u2", at_second=30), ping("10:00"), ping("11:00", "u2")],
     [yes("12:00", step="two"), yes("13:00", "u2", step="two"), yes("14:00", step="four"), yes("15:00", "u2", step="four")])
case("ot20-waits-before-woken-candidates", "1: of one person at one instant waits come first, whatever the priority",
     [journey(name="a", priority=90), journey(wait({"until": "08:00"}), send(), name="b", on="Signed Up", priority=10)],
     [known(), ping("22:00"), track("Signed Up", "22:30")],
     [later("quiet_hours", "22:00", "03-03 08:00", journey="a"), yes("03-03 08:00", journey="b"),
      no("cap", "03-03 08:00", journey="a")],
     caps=DAILY, quiet_hours=NIGHT)
case("ot21-waits-in-the-order-they-were-armed", "1: two waits due at one instant: the one armed first, not the higher priority",
     [journey(wait("2h"), send(), name="a", priority=10), journey(wait("1h"), send(), name="b", on="Signed Up", priority=90)],
     [known(), ping("10:00"), track("Signed Up", "11:00")],
     [yes("12:00", journey="a"), no("cap", "12:00", journey="b")], caps=DAILY)
case("ot22-timeout-needs-later-log-time", "1: a record at the instant of a wait_for's timeout does not fire it; the next later one does, dated at the instant",
     journey(wait_for("Email Link Clicked", "1h")),
     [known(), ping("10:00"), track("Noop", "11:00"), track("Noop", "11:00:00.001")], [yes("11:00", step="no")])
case("ot23-count-window-is-half-open", "1: count over 24h at exactly 24 h does not see the older one",
     journey(when="count('Ping', '24h') == 2"),
     [known(), ping("10:00"), ping("03-03 09:59:59.999"), ping("03-04 09:59:59.999")], [yes("03-03 09:59:59.999")])
case("ot24-aggregates-by-occurrence", "1: a late event counts where it occurred: outside the last hour",
     journey(on="Signed Up", when="count('Ping', '1h') >= 2"),
     [known(), ping("10:00"), ping("10:05", occurred="08:00"), track("Signed Up", "10:10"),
      ping("10:20", occurred="09:50"), track("Signed Up", "10:30")], [yes("10:30")])
case("ot25-late-restart-does-not-restart", "1: an event that occurred before the entry event restarts nothing",
     journey(wait("1h", restart_on="Product Viewed"), send()),
     [known(), ping("10:00"), track("Product Viewed", "10:30", occurred="09:30")], [yes("11:00")])
case("ot26-late-exit-that-occurred-before-the-entry", "1: an exit event that occurred before the entry event ends nothing",
     journey(wait("1h"), send(), exit_on=[{"on": "Store Order Completed"}]),
     [known(), ping("10:00"), track("Store Order Completed", "10:30", occurred="09:30")], [yes("11:00")])
case("ot27-exit-of-the-entrys-own-time", "1: equal times: the later log position counts as after",
     journey(wait("1h"), send(), exit_on=[{"on": "Store Order Completed"}]),
     [known(), ping("10:00"), track("Store Order Completed", "10:30", occurred="10:00")], [])
case("ot28-timers-armed-while-firing", "1: a timer armed by a timer fires in the same pass, at its own instant",
     journey(wait("1h"), wait("1h", "w2"), wait("1h", "w3"), send()), [known(), ping("10:00")], [yes("13:00")])
case("ot29-on-a-weekday-later-this-week", "1: `on: friday` from Monday is this Friday",
     journey(wait({"until": "09:00", "on": "friday"}), send()), [known(), ping("10:00")], [yes("03-06 09:00")])
case("ot30-until-on-monday-before-nine", "1: `on: monday` from Monday 08:00 is today",
     journey(wait({"until": "09:00", "on": "monday"}), send()), [known(), ping("08:00")], [yes("09:00")])

# ---- 2 Identity ---------------------------------------------------------------------------------

case("oi01-addresses-are-normalised", "2: case and spaces of an address do not make two persons",
     journey(), [known(), identify("09:00", "a1", email=" U1@X.Example "), ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", endpoint=A, tag="A"), no("cap", "10:10", tag="A")], caps=DAILY)
case("oi02-phones-are-normalised", "2: a phone with and without spaces is one",
     journey(), [known(phone="+48600100200"), identify("09:00", "a1", phone="+48 600 100 200"), ping("10:00", "a1"), ping("10:10")],
     [yes("10:00", tag="A"), no("cap", "10:10", tag="A")], caps=DAILY)
case("oi03-blocked-values-of-any-kind-and-case", "2: NULL, only zeros and dashes: nobody, so no run",
     journey(), [known(), ping("10:00", {"userId": "NULL"}), ping("10:01", {"anonymousId": "00000000-0000-0000-0000-000000000000"}),
                 ping("10:02", {"userId": "undefined", "anonymousId": "-1"})], [])
case("oi04-blocked-address-is-ignored", "2: two persons with the address `none` stay two",
     journey(), [known(), known("u2", at_second=30), identify("09:00", email="none"), identify("09:01", "u2", email="None"),
                 ping("10:00"), ping("10:10", "u2")],
     [yes("10:00", tag="A"), yes("10:10", "u2", tag="B")], caps=DAILY)
case("oi05-shared-device-alone-is-nobody", "2: at a kiosk the anonymous id is ignored for resolution: no identifier, no run",
     journey(), [known(), ping("10:00", {"anonymousId": "kiosk", "source": "till"})], [])
case("oi06-grants-stay-with-their-address", "2 / CON-3: after a merge the granted address is used, the other has inherited nothing",
     journey(), [known(grants=()), identify("09:00", "a1", email=B), grant("09:01", "a1", endpoint=B),
                 identify("09:30", also="a1"), identify("09:40", email=A), ping("10:00")],
     [yes("10:00", endpoint=B)])
case("oi07-none-permitted-the-one-seen-last-stands", "6: no address is permitted: the one seen last is on the line with its reason",
     journey(), [known(grants=()), identify("09:00", email=B), ping("10:00")], [no("no_consent", "10:00", endpoint=B)])
case("oi08-none-permitted-its-own-reason", "6: the one seen last has bounced, the other lacks consent: the bounce is named",
     journey(), [known(grants=()), identify("09:00", email=B),
                 track("Email Bounced", "09:10", properties={"endpoint": B}), ping("10:00")],
     [no("endpoint_suppressed", "10:00", endpoint=B)])
case("oi09-bounced-address-gives-way", "6: the address seen last has bounced: the permitted one that has not",
     journey(), [known(), identify("09:00", email=B), grant("09:01", endpoint=B),
                 track("Email Bounced", "09:10", properties={"endpoint": B}), ping("10:00")],
     [yes("10:00", endpoint=A)])
case("oi10-merge-keeps-the-run-further-along", "2: two runs of one key: the one further along lives, the other exits",
     journey(wait("1h", "w1"), send("s1"), wait("1h", "w2"), send("s2"), reentry="after_exit"),
     [known(), ping("09:30"), ping("10:00", "a1"), identify("10:40", also="a1")],
     [yes("10:30", step="s1"), yes("11:30", step="s2")])
case("oi11-merge-keeps-the-older-of-equals", "2: equally far: the older entry lives",
     journey(wait("1h"), send(), reentry="after_exit"),
     [known(), ping("10:00", "a1"), ping("10:20"), identify("10:30", also="a1")], [yes("11:00")])
case("oi12-merge-with-reentry-always-keeps-both", "2: runs of a journey with `reentry: always` all live on",
     journey(wait("1h"), send()),
     [known(), ping("10:00", "a1"), ping("10:20"), identify("10:30", also="a1")], [yes("11:00"), yes("11:20")])
case("oi13-merged-run-leaves-its-deferred-candidate", "2, 6: the losing run's deferred candidate is suppressed as `merged` at that instant",
     journey(reentry="after_exit"),
     [known(), identify("09:00", "a2", email=B), grant("09:01", "a2", endpoint=B),
      ping("22:00", "a2"), ping("22:10"), identify("22:30", also="a2")],
     [later("quiet_hours", "22:00", "03-03 08:00", "a2"), later("quiet_hours", "22:10", "03-03 08:00"),
      no("merged", "22:30"), yes("03-03 08:00")],
     quiet_hours=NIGHT)
case("oi14-merge-unites-the-suppressions", "2: the bounce recorded before the merge still holds for its address",
     journey(), [known(grants=()), identify("09:00", "a1", email=B), grant("09:01", "a1", endpoint=B),
                 track("Email Bounced", "09:02", "a1", properties={"endpoint": B}), identify("09:30", also="a1"), ping("10:00")],
     [no("endpoint_suppressed", "10:00", endpoint=B)])
case("oi15-merge-unites-the-sends", "2: sends of both count after the merge",
     journey(), [known(), identify("09:00", "a1", email=B), grant("09:01", "a1", endpoint=B),
                 ping("10:00"), ping("10:10", "a1"), identify("10:20", also="a1"), ping("10:30")],
     [yes("10:00"), yes("10:10", "a1"), no("cap", "10:30")], caps=[cap(2)])
case("oi16-merge-recomputes-aggregates", "2: after the merge the history is the union",
     journey(on="Signed Up", when="count('Ping', '1d') == 3"),
     [known(), ping("09:00"), ping("09:10", "a1"), ping("09:20", "a1"), track("Signed Up", "09:25"),
      identify("09:30", also="a1"), track("Signed Up", "09:40")], [yes("09:40")])
case("oi17-a-merge-triggers-nothing", "2: the merge completes a count, but only a record starts a run",
     journey(when="count('Ping', '1d') >= 2"),
     [known(), ping("09:00"), ping("09:10", "a1"), identify("09:30", also="a1")], [])
case("oi18-alias-joins", "2: alias joins the anonymous id to the customer",
     journey(), [known(), ping("09:00", "a1"), line("09:30", type="alias", previousId="a1", userId="u1"),
                 ping("10:00", "a1"), ping("10:10")],
     [no("endpoint_missing", "09:00", "a1"), yes("10:00", tag="A"), no("cap", "10:10", tag="A")], caps=DAILY)
case("oi19-alias-of-an-unknown-value", "2: previousId that nobody has is an anonymous id",
     journey(), [known(), line("09:30", type="alias", previousId="z9", userId="u1"), ping("10:00", "z9"), ping("10:10")],
     [yes("10:00", tag="A"), no("cap", "10:10", tag="A")], caps=DAILY)
case("oi20-alias-of-two-customers-is-refused", "2: alias of two different customer_ids does nothing",
     journey(), [known(), known("u2", at_second=30), line("09:30", type="alias", previousId="u2", userId="u1"),
                 ping("10:00"), ping("10:10", "u2")],
     [yes("10:00", tag="A"), yes("10:10", "u2", tag="B")], caps=DAILY)
case("oi21-identifier-over-the-limit-is-ignored", "2: a sixth address is not attached; a stranger who brings it is another person",
     journey(), [known(), *[identify(f"09:0{n}", email=f"e{n}@x.example") for n in range(1, 5)],
                 identify("09:05", email="e6@x.example"), identify("09:10", "a9", email="e6@x.example"),
                 ping("10:00"), ping("10:10", "a9")],
     [yes("10:00", endpoint=A, tag="A"), no("no_consent", "10:10", "a9", tag="B")])
case("oi22-merge-over-the-limit-is-refused", "2: a union of six addresses is refused; the touchpoint is its strongest identifier's",
     journey(), [known(), identify("09:01", email="e1@x.example"), identify("09:02", email="e2@x.example"),
                 *[identify(f"09:1{n}", "a1", email=f"f{n}@x.example") for n in range(1, 4)],
                 identify("09:30", also="a1"), ping("10:00"), ping("10:10", "a1")],
     [yes("10:00", tag="A"), no("no_consent", "10:10", "a1", tag="B")])
case("oi23-denials-move-with-an-address", "2: the address moves to u2 with its denial: an older grant that arrives late does not win",
     journey(), [known(), deny("09:00"), identify("09:30", "u2", email=A),
                 grant("09:40", "u2", occurred="08:00"), ping("10:00", "u2")], [no("no_consent", "10:00", "u2")])
case("oi24-channel-denials-move-with-an-address", "2: also those for the whole channel",
     journey(), [known(), deny("09:00", endpoint=None), identify("09:30", "u2", email=A),
                 grant("09:40", "u2", occurred="08:00"), ping("10:00", "u2")], [no("no_consent", "10:00", "u2")])
case("oi25-bounces-move-with-an-address", "2: a bounce moves too; a new grant does not lift it",
     journey(), [known(), track("Email Bounced", "09:00"), identify("09:30", "u2", email=A),
                 grant("09:40", "u2"), ping("10:00", "u2")], [no("endpoint_suppressed", "10:00", "u2")])
case("oi26-complaints-move-with-an-address", "2: and a complaint",
     journey(), [known(), track("Email Marked as Spam", "09:00"), identify("09:30", "u2", email=A),
                 grant("09:40", "u2"), ping("10:00", "u2")], [no("endpoint_suppressed", "10:00", "u2")])
case("oi27-moved-address-leaves-its-old-holder", "2: only the identifier moves: u1 has no address any more",
     journey(), [known(), identify("09:30", "u2", email=A), ping("10:00")], [no("endpoint_missing", "10:00")])
case("oi28-message-id-counts-once", "2: the same messageId again does nothing at all, whatever it says",
     [journey(), journey(name="k", on="Signed Up")],
     [known(), {**ping("10:00"), "messageId": "m"}, {**ping("10:01"), "messageId": "m"},
      {**track("Signed Up", "10:02"), "messageId": "m"}], [yes("10:00", journey="j")])
case("oi29-message-id-of-another-source", "2: once per source: the till's message of the same id is another",
     journey(), [known(), {**ping("10:00"), "messageId": "m"}, {**ping("10:01"), "messageId": "m", "source": "till"}],
     [yes("10:00"), yes("10:01")])
case("oi30-message-id-of-another-person", "2: once per person: the same id of somebody else is another message",
     journey(), [known(), known("u2", at_second=30), {**ping("10:00"), "messageId": "m"}, {**ping("10:01", "u2"), "messageId": "m"}],
     [yes("10:00"), yes("10:01", "u2")])
case("oi31-last-claim-wins-in-any-order", "2: u2's claim occurred later although it arrived first: a1 stays u2's",
     journey(), [known(), known("u2", at_second=30), identify("09:10", "u2", also="a1"),
                 identify("09:20", also="a1", occurred="09:00"), ping("10:00", "a1")], [yes("10:00", "u2")])
case("oi32-duplicate-after-a-merge", "2: looked up through any identifier before resolution: a retry after the merge counts once",
     journey(wait("1h"), send()),
     [known(), {**ping("10:00", "a1"), "messageId": "m"}, identify("10:10", also="a1"), {**ping("10:20", "a1"), "messageId": "m"}],
     [yes("11:00")])
case("oi33-chain-of-merges", "2: a1 and a2 join, then both join u1: one person, one cap",
     journey(), [known(), identify("09:00", "a1", email=B), identify("09:10", "a2", email=B),
                 identify("09:20", also="a2"), ping("10:00", "a1"), ping("10:10", "a2"), ping("10:20")],
     [yes("10:00", tag="A"), no("cap", "10:10", tag="A"), no("cap", "10:20", tag="A")], caps=DAILY)
case("oi34-loyalty-card-joins-shop-and-site", "2: the card presented at the till ends the site's run",
     journey(wait("1h"), send(), exit_on=[{"on": "Store Order Completed"}]),
     [known(), track("Store Visited", "09:00", properties={"loyalty_card": "L7"}), ping("10:00"),
      track("Store Order Completed", "10:30", {"source": "till"}, properties={"loyalty_card": "L7", "total": 9})], [])
case("oi35-unmerge-gives-back-both", "2: after unmerge the anonymous id has its own profile again",
     journey(), [known(), ping("09:00", "a1"), identify("09:30", also="a1"), ping("10:00", "a1"),
                 command("11:00", "unmerge", person="anonymous_id:a1"), ping("12:00"), ping("12:10", "a1")],
     [no("endpoint_missing", "09:00", "a1", tag="B"), yes("10:00", tag="A"), yes("12:00", tag="A"),
      no("endpoint_missing", "12:10", "a1", tag="B")])

# ---- 3 Consent ----------------------------------------------------------------------------------

case("oc01-topic-grant-alone-permits-its-topic", "3: granted at one level and denied at none",
     [journey(name="a", purpose="marketing/offers", priority=90), journey(name="b", purpose="marketing/newsletter", priority=10)],
     [known(grants=()), grant("09:00", topic="offers"), ping("10:00")],
     [yes("10:00", topic="offers"), no("no_consent", "10:00", topic="newsletter")])
case("oc02-newest-by-occurrence-not-arrival", "3: a deny that arrives later but occurred earlier does not win",
     journey(), [known(grants=()), grant("09:00"), deny("09:30", occurred="08:00"), ping("10:00")], [yes("10:00")])
case("oc03-late-grant-does-not-lift-a-newer-deny", "3: the other way round",
     journey(), [known(grants=()), deny("09:00"), grant("09:30", occurred="08:00"), ping("10:00")], [no("no_consent", "10:00")])
case("oc04-deny-wins-its-second-in-any-order", "3: deny .100 and grant .900 of one second, the grant received last",
     journey(), [known(grants=()), deny("09:00:01.950", occurred="09:00:00.100"), grant("09:00:02", occurred="09:00:00.900"), ping("10:00")],
     [no("no_consent", "10:00")])
case("oc05-grant-of-the-next-second", "3: one second later the grant is newer",
     journey(), [known(grants=()), deny("09:00:00.900"), grant("09:00:01.100"), ping("10:00")], [yes("10:00")])
case("oc06-grant-without-endpoint-is-for-those-held-now", "3: an address that comes later has no grant: the older one is used",
     journey(), [known(grants=()), grant("09:00", endpoint=None), identify("09:30", email=B), ping("10:00")], [yes("10:00", endpoint=A)])
case("oc07-deny-without-endpoint-holds-for-later-ones", "3: also for an address that comes later, until a newer grant names it",
     journey(), [known(), deny("09:00", endpoint=None), identify("09:10", email=B), grant("09:20", occurred="08:00", endpoint=B),
                 ping("10:00"), grant("10:30", endpoint=B), ping("11:00")],
     [no("no_consent", "10:00"), yes("11:00", endpoint=B)])
case("oc08-service-needs-no-grant", "3: nothing recorded, and it goes",
     journey(purpose="service"), [known(grants=()), ping("10:00")], [yes("10:00")])
case("oc09-service-can-be-denied", "3: an explicit deny still counts",
     journey(purpose="service"), [known(), deny("09:00", purpose="service"), ping("10:00")], [no("no_consent", "10:00")])
case("oc10-unsubscribed-denies-all-but-service", "language: Unsubscribed without a purpose: every messaging purpose but service, on its channel",
     [journey(name="m", priority=90), journey(name="f", purpose="feedback", priority=80), journey(name="s", purpose="service", priority=70),
      journey(send(channels=["push"]), name="p", priority=60)],
     [known(purposes=("marketing", "feedback")), track("Unsubscribed", "09:00", {"userId": "u1", "source": "mail"}, properties={"endpoint": A}),
      ping("10:00")],
     [no("no_consent", "10:00", journey="m"), no("no_consent", "10:00", journey="f"), yes("10:00", journey="s"), yes("10:00", journey="p")])
case("oc11-unsubscribed-from-one-purpose", "language: Unsubscribed with a purpose denies that one",
     [journey(name="m", priority=90), journey(name="f", purpose="feedback", priority=80)],
     [known(purposes=("marketing", "feedback")),
      track("Unsubscribed", "09:00", {"userId": "u1", "source": "mail"}, properties={"endpoint": A, "purpose": "marketing"}), ping("10:00")],
     [no("no_consent", "10:00", journey="m"), yes("10:00", journey="f")])
case("oc12-soft-bounce-suppresses-nothing", "language: a hard bounce suppresses; soft is not hard",
     journey(), [known(), track("Email Bounced", "09:00", properties={"type": "soft"}), ping("10:00")], [yes("10:00")])
case("oc13-bounce-is-hard-by-default", "language: type absent is hard",
     journey(), [known(), track("Email Bounced", "09:00"), ping("10:00")], [no("endpoint_suppressed", "10:00")])
case("oc14-denied-topic-until-granted-anew", "3: a newer grant of the purpose does not lift the topic's deny; one of the topic does",
     journey(purpose="marketing/offers"),
     [known(grants=()), deny("08:00", topic="offers"), grant("09:00"), ping("10:00"), grant("10:30", topic="offers"), ping("11:00")],
     [no("no_consent", "10:00"), yes("11:00")])
case("oc15-denied-purpose-until-granted-anew", "3: a newer grant of the topic does not lift the purpose's deny; one of the purpose does",
     journey(purpose="marketing/offers"),
     [known(), deny("08:00"), grant("09:00", topic="offers"), ping("10:00"), grant("10:30"), ping("11:00")],
     [no("no_consent", "10:00"), yes("11:00")])
case("oc16-stop-without-number-means-every-phone", "language: SMS Stopped without an address: all phones, and a grant does not lift it",
     journey(send(channels=["sms"])),
     [known(phone="+48600100200", grants=("sms",)), identify("09:00", phone="+48600100201"),
      grant("09:01", channel="sms", endpoint="+48600100201"), ping("10:00"),
      track("SMS Stopped", "10:30"), grant("10:40", channel="sms", endpoint="+48600100200"), ping("11:00")],
     [yes("10:00", endpoint="+48600100201"), no("endpoint_suppressed", "11:00")])
case("oc17-operator-lifts-a-bounce", "language: an operator's command with a reason lifts a suppression",
     journey(), [known(), track("Email Bounced", "09:00"), ping("10:00"),
                 command("10:30", "unsuppress", person=f"email:{A}", channel="email", reason="mailbox was full"), ping("11:00")],
     [no("endpoint_suppressed", "10:00"), yes("11:00")])
case("oc18-personalization-not-granted-hides-attributes", "3: a declared data purpose is enforced: attributes and history are absent, the event's own properties stay",
     journey({"id": "b", "branch": [{"when": "profile.tier == 'gold'", "steps": [send("attribute")]},
                                    {"when": "count('Ping', '1d') >= 1", "steps": [send("history")]},
                                    {"when": "event.properties.n == 3", "steps": [send("own")]}]}),
     [known(tier="gold"), ping("10:00", n=3)], [yes("10:00", step="own")],
     purposes={"marketing": {"topics": ["reminders"]}, "feedback": {}, "service": {"exempt": ["caps", "quiet_hours"]}, "personalization": {"kind": "data"}})
case("oc19-personalization-granted-shows-attributes", "3: with the grant the attribute is there",
     journey({"id": "b", "branch": [{"when": "profile.tier == 'gold'", "steps": [send("attribute")]}, {"else": [send("else")]}]}),
     [known(tier="gold"), grant("09:00", purpose="personalization", channel="web", endpoint=None), ping("10:00")],
     [yes("10:00", step="attribute")],
     purposes={"marketing": {"topics": ["reminders"]}, "feedback": {}, "service": {"exempt": ["caps", "quiet_hours"]}, "personalization": {"kind": "data"}})
case("oc20-undeclared-data-purpose-is-not-enforced", "3: enforced when the policy declares it",
     journey({"id": "b", "branch": [{"when": "profile.tier == 'gold'", "steps": [send("attribute")]}, {"else": [send("else")]}]}),
     [known(tier="gold"), ping("10:00")], [yes("10:00", step="attribute")])

# ---- 4 Caps -------------------------------------------------------------------------------------

case("of01-local-day-in-the-persons-zone", "4: 23:30 and 00:10 in Warsaw are two days",
     journey(), [known(time_zone="Europe/Warsaw"), ping("22:30"), ping("22:50"), ping("23:10")],
     [yes("22:30"), no("cap", "22:50"), yes("23:10")], caps=[cap(per="local_day")])
case("of02-local-month", "4: 31 March 23:30 and 1 April 00:30 in Warsaw are two months",
     journey(), [known(time_zone="Europe/Warsaw"), ping("03-30 10:00"), ping("03-31 21:30"), ping("03-31 22:30")],
     [yes("03-30 10:00"), no("cap", "03-31 21:30"), yes("03-31 22:30")], caps=[cap(per="local_month")])
case("of03-zone-as-it-is-now", "4: the send counts in the calendar of the zone the person has now",
     journey(), [known(), ping("23:30"), identify("23:40", time_zone="Europe/Warsaw"), ping("03-03 00:10")],
     [yes("23:30"), no("cap", "03-03 00:10", zone="Europe/Warsaw")], caps=[cap(per="local_day")])
case("of04-last-channel-tried-is-named", "4: both channels full: the last one tried stands on the line",
     journey(send(channels=["email", "push"], at_cap="fallback")),
     [known(), ping("10:00"), ping("11:00"), ping("12:00")],
     [yes("10:00", channel="email"), other("push", "cap", "11:00"), no("cap", "12:00", channel="push")],
     caps=[cap(id="e", scope={"channel": "email"}), cap(id="p", scope={"channel": "push"})])
case("of05-fallback-into-quiet-hours-defers-there", "4: push is quiet: deferred there, and checked anew in the morning",
     journey(send(channels=["email", "push"], at_cap="fallback")),
     [known(), ping("10:00"), ping("22:00")],
     [yes("10:00", channel="email"), later("quiet_hours", "22:00", "03-03 08:00", channel="push"), other("push", "cap", "03-03 08:00")],
     caps=[cap(scope={"channel": "email"})], quiet_hours=[quiet(channels=["push"])])
case("of06-scope-purpose", "4: a cap on marketing does not bind feedback",
     [journey(), journey(name="f", on="Signed Up", purpose="feedback")],
     [known(purposes=("marketing", "feedback")), ping("10:00"), track("Signed Up", "10:10"), ping("10:20")],
     [yes("10:00"), yes("10:10", journey="f"), no("cap", "10:20")], caps=[cap(scope={"purpose": "marketing"})])
case("of07-scope-tag", "4: a cap on a tag binds the sends that carry it",
     journey(send("tagged", tags=["sale"]), send("plain")), [known(), ping("10:00"), ping("10:10")],
     [yes("10:00", step="tagged"), yes("10:00", step="plain"), no("cap", "10:10", step="tagged"), yes("10:10", step="plain")],
     caps=[cap(scope={"tag": "sale"})])
case("of08-first-full-cap-decides", "4: of several full caps the first in the file decides what happens: drop",
     journey(), [known(), ping("10:00"), ping("11:00")], [yes("10:00"), no("cap", "11:00")],
     caps=[cap(id="a", at_cap="drop"), cap(id="b", at_cap="defer")])
case("of09-first-full-cap-decides-defer", "4: the other way round: deferred until both allow",
     journey(), [known(), ping("10:00"), ping("11:00")],
     [yes("10:00"), later("cap", "11:00", "03-04 10:00"), yes("03-04 10:00")],
     caps=[cap(id="a", at_cap="defer"), cap(id="b", per="48h", at_cap="drop")])
case("of10-defer-until-all-full-caps-allow", "4: midnight frees the calendar cap, 19:00 the rolling one",
     journey(), [known(), ping("23:00"), ping("23:30")],
     [yes("23:00"), later("cap", "23:30", "03-03 19:00"), yes("03-03 19:00")],
     caps=[cap(id="day", per="local_day", at_cap="defer"), cap(id="roll", per="20h", at_cap="defer")])
case("of11-exempt-sends-are-not-counted", "3, 4: an exempt send is neither refused nor counted",
     [journey(), journey(name="s", on="Signed Up", purpose="service")],
     [known(), track("Signed Up", "10:00"), track("Signed Up", "10:05"), ping("10:10")],
     [yes("10:00", journey="s"), yes("10:05", journey="s"), yes("10:10", journey="j")], caps=DAILY)
case("of12-final-failure-releases", "4: Message Failed releases the reservation at its log time",
     journey(), [known(), ping("10:00"), ping("10:05"), track("Message Failed", "10:10", properties={"journey": "j", "step": "s"}), ping("10:20")],
     [yes("10:00"), no("cap", "10:05"), yes("10:20")], caps=DAILY)
case("of13-a-deferral-reserves-nothing", "4: the deferred one leaves the cap to another, and meets it full in the morning",
     [journey(), journey(name="f", on="Signed Up", purpose="feedback")],
     [known(purposes=("marketing", "feedback")), ping("22:00"), track("Signed Up", "22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00"), yes("22:10", journey="f"), no("cap", "03-03 08:00", journey="j")],
     caps=DAILY, quiet_hours=[quiet(purposes=["marketing"])])
case("of14-entries-per-window", "4, 7: entry.at_most 1 per 30d: one second before the 30 days no, at exactly 30 days yes",
     journey(entry={"at_most": "1 per 30d"}),
     [known(), ping("10:00"), ping("04-01 09:59:59"), ping("04-01 10:00")], [yes("10:00"), yes("04-01 10:00")])
case("of15-refused-entries-are-not-counted", "4: a refused entry does not prolong the window",
     journey(entry={"at_most": "1 per 2d"}),
     [known(), ping("10:00"), ping("03-03 10:00"), ping("03-04 10:00")], [yes("10:00"), yes("03-04 10:00")])
case("of16-deferred-by-cap-until-expiry", "4, 5: with expires: expired at that instant",
     journey(send(at_cap="defer", expires="6h")), [known(), ping("10:00"), ping("15:00")],
     [yes("10:00"), later("cap", "15:00", "03-03 10:00"), no("expired", "21:00")], caps=DAILY)
case("of17-counters-on-the-line", "interfaces: caps lists all that match, `used` before this send",
     journey(), [known(), ping("10:00"), ping("10:10")],
     [yes("10:00", caps=[{"id": "c", "used": 0, "limit": 2}, {"id": "e", "used": 0, "limit": 5}]),
      yes("10:10", caps=[{"id": "c", "used": 1, "limit": 2}, {"id": "e", "used": 1, "limit": 5}])],
     caps=[cap(2), cap(5, id="e", scope={"channel": "email"}), cap(5, id="p", scope={"channel": "push"})])
case("of18-week-over-two-zones", "4: local_week in Tokyo begins on Sunday 15:00Z",
     journey(), [known(time_zone="Asia/Tokyo"), ping("03-08 14:59"), ping("03-08 15:00")],
     [yes("03-08 14:59"), yes("03-08 15:00")], caps=[cap(per="local_week")])
case("of19-rolling-defer-then-quiet", "5: the cap frees at 22:00, which is quiet: every check again",
     journey(), [known(), ping("03-01 22:00", occurred="03-01 22:00"), ping("12:00")],
     [later("quiet_hours", "03-01 22:00", "08:00"), yes("08:00"), later("cap", "12:00", "22:00"),
      later("quiet_hours", "22:00", "03-03 08:00"), yes("03-03 08:00")],
     caps=[cap(per="14h", at_cap="defer")], quiet_hours=NIGHT)
case("of20-concurrent-counts-the-person", "4: entry.concurrent counts runs of the person, whatever their keys",
     journey(wait("1h"), send(), key="event.properties.id", entry={"concurrent": 1}),
     [known(), ping("10:00", id="a"), ping("10:10", id="b"), ping("11:10", id="c")],
     [yes("11:00", run_key="a"), yes("12:10", run_key="c")])
case("of21-labels-of-the-moment-of-sending", "4: a cap over journey j counts j's sends only",
     [journey(), journey(name="k", on="Signed Up")], [known(), ping("10:00"), track("Signed Up", "10:10"), ping("10:20")],
     [yes("10:00"), yes("10:10", journey="k"), no("cap", "10:20")], caps=[cap(scope={"journey": "j"})])

# ---- 5 Quiet hours ------------------------------------------------------------------------------

case("oq01-edges-of-the-window", "5: quiet from 21:00 on; 08:00 is not quiet; a millisecond before either is the other",
     journey(), [known(), ping("20:59:59.999"), ping("21:00"), ping("03-03 08:00"), ping("03-04 07:59:59.999")],
     [yes("20:59:59.999"), later("quiet_hours", "21:00", "03-03 08:00"), yes("03-03 08:00"), yes("03-03 08:00"),
      later("quiet_hours", "03-04 07:59:59.999", "03-04 08:00"), yes("03-04 08:00")], quiet_hours=NIGHT)
case("oq02-first-instant-outside-all", "5: overlapping windows: the first instant outside all",
     journey(), [known(), ping("22:00")], [later("quiet_hours", "22:00", "03-03 10:00"), yes("03-03 10:00")],
     quiet_hours=[quiet(), quiet("07:00", "10:00")])
case("oq03-repeated-hour-is-quiet-once", "5: quiet until 01:30; in autumn the window ends at the first 01:30, 00:30Z",
     journey(), [known(), ping("10-25 00:10"), ping("10-25 00:45"), ping("10-25 01:10")],
     [later("quiet_hours", "10-25 00:10", "10-25 00:30"), yes("10-25 00:30"), yes("10-25 00:45"), yes("10-25 01:10")],
     quiet_hours=[quiet("22:00", "01:30")])
case("oq04-window-that-ends-in-the-gap", "1, 5: 01:30 does not exist on 29 March: the first valid instant, 01:00Z",
     journey(), [known(), ping("03-28 23:00")], [later("quiet_hours", "03-28 23:00", "03-29 01:00"), yes("03-29 01:00")],
     quiet_hours=[quiet("22:00", "01:30")])
case("oq05-zone-of-the-moment-of-waking", "5: moved to New York in the night: still quiet there at 08:00Z",
     journey(), [known(), ping("22:00"), identify("23:00", time_zone="America/New_York")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "03-03 08:00", "03-03 13:00", zone="America/New_York"),
      yes("03-03 13:00", zone="America/New_York")], quiet_hours=NIGHT)
case("oq06-exempt-service-passes", "3, 5: service exempt by declaration goes at night",
     journey(purpose="service"), [known(), ping("22:00")], [yes("22:00")], quiet_hours=[quiet(purposes=["marketing", "service"])])
case("oq07-service-not-exempt-waits", "3, 5: without the declaration it waits",
     journey(purpose="service"), [known(), ping("22:00")], [later("quiet_hours", "22:00", "03-03 08:00"), yes("03-03 08:00")],
     quiet_hours=[quiet(purposes=["marketing", "service"])],
     purposes={"marketing": {"topics": ["reminders"]}, "service": {}})
case("oq08-person-in-tokyo", "5: 22:00Z is 07:00 in Tokyo: quiet for one hour",
     journey(), [known(time_zone="Asia/Tokyo"), ping("22:00"), ping("23:30")],
     [later("quiet_hours", "22:00", "23:00"), yes("23:00"), yes("23:30")], quiet_hours=NIGHT)
case("oq09-exit-while-deferred", "6: a run that ends while its candidate is deferred leaves `exited` at that instant",
     journey(exit_on=[{"on": "Order Completed"}]), [known(), ping("22:00"), track("Order Completed", "23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("exited", "23:00")], quiet_hours=NIGHT)
case("oq10-goal-while-deferred", "6: and `goal_met`",
     journey(goal={"on": ["Order Completed"], "within": "7d"}), [known(), ping("22:00"), track("Order Completed", "23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("goal_met", "23:00")], quiet_hours=NIGHT)
case("oq11-goal-before-exit", "7: a record that meets both counts as the goal",
     journey(exit_on=[{"on": "Order Completed"}], goal={"on": ["Order Completed"], "within": "7d"}),
     [known(), ping("22:00"), track("Order Completed", "23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("goal_met", "23:00")], quiet_hours=NIGHT)
case("oq12-woken-by-priority", "1, 6: at one instant the higher priority wakes first, although it came second",
     [journey(name="a", priority=10), journey(name="b", on="Signed Up", priority=90)],
     [known(), ping("22:00"), track("Signed Up", "22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"),
      yes("03-03 08:00", journey="b"), no("cap", "03-03 08:00", journey="a")], caps=DAILY, quiet_hours=NIGHT)
case("oq13-woken-by-class", "6: class is the purpose's place in the policy and goes before priority",
     [journey(name="f", purpose="feedback", priority=90), journey(name="m", on="Signed Up", priority=10)],
     [known(purposes=("marketing", "feedback")), ping("22:00"), track("Signed Up", "22:10")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"),
      yes("03-03 08:00", journey="m"), no("cap", "03-03 08:00", journey="f")], caps=DAILY, quiet_hours=NIGHT)
case("oq14-woken-by-expiry", "6: of equal class and priority the one that expires sooner, none last",
     [journey(name="a"), journey(send(expires="40h"), name="b", on="Signed Up"), journey(send(expires="20h"), name="c", on="Product Viewed")],
     [known(), ping("22:00"), track("Signed Up", "22:10"), track("Product Viewed", "22:20")],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"), later("quiet_hours", "22:20", "03-03 08:00"),
      yes("03-03 08:00", journey="c"), yes("03-03 08:00", journey="b"), no("cap", "03-03 08:00", journey="a")],
     caps=[cap(2)], quiet_hours=NIGHT)
case("oq15-woken-by-value", "6: then the greater value, taken when the candidate arose",
     journey(send(value="event.properties.n"), key="event.properties.id"),
     [known(), ping("22:00", id="small", n=1), ping("22:10", id="big", n=5)],
     [later("quiet_hours", "22:00", "03-03 08:00"), later("quiet_hours", "22:10", "03-03 08:00"),
      yes("03-03 08:00", run_key="big"), no("cap", "03-03 08:00", run_key="small")], caps=DAILY, quiet_hours=NIGHT)
case("oq16-expiry-at-the-windows-end", "5: expires at exactly 08:00: at that instant it is expired",
     journey(send(expires="10h")), [known(), ping("22:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("expired", "03-03 08:00")], quiet_hours=NIGHT)
case("oq17-bounced-in-the-night", "5: every check again: the address bounced meanwhile",
     journey(), [known(), ping("22:00"), track("Email Bounced", "23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00"), no("endpoint_suppressed", "03-03 08:00")], quiet_hours=NIGHT)
case("oq18-other-channel-on-waking", "5, 6: e-mail revoked in the night: push goes in the morning, as a reroute",
     journey(send(channels=["email", "push"])), [known(), ping("22:00"), deny("23:00")],
     [later("quiet_hours", "22:00", "03-03 08:00", channel="email"), other("push", "no_consent", "03-03 08:00")], quiet_hours=NIGHT)

# ---- 6 Decision ---------------------------------------------------------------------------------

case("od01-caps-before-quiet-hours", "6: guard order: a full cap is named, not the night",
     journey(), [known(), ping("20:00"), ping("22:00")], [yes("20:00"), no("cap", "22:00")], caps=DAILY, quiet_hours=NIGHT)
case("od02-holdout", "6: held out from marketing, not from feedback",
     [journey(priority=90), journey(name="f", purpose="feedback", priority=10)],
     [known(purposes=("marketing", "feedback")), ping("10:00")],
     [no("holdout", "10:00", journey="j"), yes("10:00", journey="f")], holdout={"percent": 100, "salt": "s", "purposes": ["marketing"]})
case("od03-holdout-before-only_if", "6: guard order: holdout, then only_if",
     journey(send(only_if="1 == 2")), [known(), ping("10:00")], [no("holdout", "10:00")],
     holdout={"percent": 100, "salt": "s", "purposes": ["marketing"]})
case("od04-only_if-before-caps", "6: guard order: only_if, then caps; and the run goes on",
     journey(send("a"), send("b", only_if="1 == 2"), send("c")), [known(), ping("10:00")],
     [yes("10:00", step="a"), no("only_if", "10:00", step="b"), no("cap", "10:00", step="c")], caps=DAILY)
case("od05-suppressed-before-consent", "6: guard order: a bounce is named before the missing consent",
     journey(), [known(grants=()), track("Email Bounced", "09:00"), ping("10:00")], [no("endpoint_suppressed", "10:00")])
case("od06-reroute-names-why", "6: no consent for e-mail: push, with the first channel's reason",
     journey(send(channels=["email", "push"])), [known(grants=("push",)), ping("10:00")], [other("push", "no_consent", "10:00")])
case("od07-reroute-of-a-missing-endpoint", "6: no phone: e-mail, with `endpoint_missing`",
     journey(send(channels=["sms", "email"])), [known(), ping("10:00")], [other("email", "endpoint_missing", "10:00")])
case("od08-preference-outside-the-list", "6: a preferred channel that the step does not list is ignored",
     journey(send(channels=["email", "push"])), [known(preferred_channel="sms"), ping("10:00")], [yes("10:00", channel="email")])
case("od09-first-channels-reason-stands", "6: nothing is left: the first channel's reason",
     journey(send(channels=["sms", "email"])), [known(grants=()), ping("10:00")], [no("endpoint_missing", "10:00", channel="sms")])
case("od10-preference-makes-the-first", "6: with a preferred channel the first is that one: its reason stands",
     journey(send(channels=["sms", "email"])), [known(grants=(), preferred_channel="email"), ping("10:00")],
     [no("no_consent", "10:00", channel="email")])
case("od11-reroute-from-the-preferred", "6: the preferred channel has no consent: a reroute to the list's first",
     journey(send(channels=["email", "push"])), [known(grants=("email",), preferred_channel="push"), ping("10:00")],
     [other("email", "no_consent", "10:00")])
case("od12-new-entries-by-priority-then-name", "6: candidates of one record: priority, then the journey's name",
     [journey(name="b"), journey(name="a"), journey(name="c", priority=90)], [known(), ping("10:00")],
     [yes("10:00", journey="c"), yes("10:00", journey="a"), yes("10:00", journey="b")])
case("od13-live-runs-before-new-entries", "6: a live run that the record continues comes before the new entry of higher priority",
     [journey(wait_for("Ping", "1d", then=[send("old")], otherwise=[]), name="x", on="Signed Up", priority=1), journey(name="y", priority=99)],
     [known(), track("Signed Up", "09:00"), ping("10:00")],
     [yes("10:00", journey="x"), no("cap", "10:00", journey="y")], caps=DAILY)
case("od14-live-runs-by-entry", "6: live runs by entry, not by priority",
     [journey(wait_for("Ping", "1d", then=[send("x")], otherwise=[]), name="x", on="Signed Up", priority=1),
      journey(wait_for("Ping", "1d", then=[send("y")], otherwise=[]), name="y", on="Product Viewed", priority=99)],
     [known(), track("Signed Up", "09:00"), track("Product Viewed", "09:10"), ping("10:00")],
     [yes("10:00", journey="x"), no("cap", "10:00", journey="y")], caps=DAILY)
case("od15-missing-variable-is-content", "6: a variable that the template needs and nobody has",
     journey(), [known(), ping("10:00"), identify("10:10", first_name="Ann"), ping("10:20")], [no("content", "10:00"), yes("10:20")],
     files={"templates/t/en.txt": "Hello {{ profile.first_name }}. {{ links.unsubscribe }}\n"})
case("od16-default-makes-it-present", "6: with a default it is not needed",
     journey(), [known(), ping("10:00")], [yes("10:00")],
     files={"templates/t/en.txt": "Hello {{ profile.first_name | default: 'there' }}. {{ links.unsubscribe }}\n"})
case("od17-quiet-hours-before-content", "6: guard order: the night first, the missing variable in the morning",
     journey(), [known(), ping("22:00")], [later("quiet_hours", "22:00", "03-03 08:00"), no("content", "03-03 08:00")],
     files={"templates/t/en.txt": "Hello {{ profile.first_name }}. {{ links.unsubscribe }}\n"}, quiet_hours=NIGHT)
case("od18-kill-of-a-class", "6, 7: a killed class is refused before everything else; release lets it go on",
     journey(), [known(grants=()), command("09:00", "kill", **{"class": "marketing"}), ping("10:00"),
                 command("10:30", "release", **{"class": "marketing"}), grant("10:40"), ping("11:00")],
     [no("killed", "10:00"), yes("11:00")])
case("od19-kill-of-a-channel", "7: a killed channel",
     journey(), [known(), command("09:00", "kill", channel="email"), ping("10:00")], [no("killed", "10:00")])
case("od20-kill-of-a-journey", "7: a killed journey; another goes on",
     [journey(priority=90), journey(name="k", priority=10)],
     [known(), command("09:00", "kill", journey="j"), ping("10:00")], [no("killed", "10:00", journey="j"), yes("10:00", journey="k")])
case("od21-person-endpoint", "6: a channel that is none of the five addresses the person",
     journey(send(channels=["web"]), purpose="service"), [known(), ping("10:00")], [yes("10:00", channel="web")],
     files={"sojourn.yaml": lambda w: {**w, "channels": {**w["channels"], "web": {"kind": "grpc", "endpoint": "http://127.0.0.1:9102"}}}})
case("od22-no-identity-line-without-candidate", "6: only candidates leave decisions: a journey without a send leaves none",
     journey(wait("1h")), [known(), ping("10:00")], [])

# ---- 7 Journeys ---------------------------------------------------------------------------------

case("oj01-entry-filter", "7: entry with `when`; numbers are one type",
     journey(when="event.properties.n == 20.0"), [known(), ping("10:00", n=20), ping("10:10", n=21)], [yes("10:00")])
case("oj02-no-key-no-run", "7: an event that lacks the key's field makes no run",
     journey(key="event.properties.id"), [known(), ping("10:00"), ping("10:10", id="k")], [yes("10:10", run_key="k")])
case("oj03-default-key-is-null", "interfaces: run_key is null for the default key",
     journey(), [known(), ping("10:00")], [yes("10:00", run_key=None)])
case("oj04-reentry-never", "7: never again, also after the end",
     journey(reentry="never"), [known(), ping("10:00"), ping("12:00")], [yes("10:00")])
case("oj05-reentry-after-a-duration", "7: after 30d from the last entry: allowed at exactly that instant",
     journey(reentry="after 30d"), [known(), ping("10:00"), ping("04-01 09:59:59"), ping("04-01 10:00")], [yes("10:00"), yes("04-01 10:00")])
case("oj06-reentry-after-a-duration-and-no-live-run", "7: `after 1h` with a live run: refused",
     journey(wait("3h"), send(), reentry="after 1h"), [known(), ping("10:00"), ping("12:00"), ping("14:00")], [yes("13:00"), yes("17:00")])
case("oj07-exit-mid-wait", "7: an exit in the middle of a wait",
     journey(wait(), send(), exit_on=[{"on": "Order Completed"}]), [known(), ping("10:00"), track("Order Completed", "10:30")], [])
case("oj08-goal-within-its-window", "7: at exactly `within` the goal ends the run",
     journey(wait("3h"), send(), goal={"on": ["Order Completed"], "within": "1h"}),
     [known(), ping("10:00"), track("Order Completed", "11:00")], [])
case("oj09-goal-after-its-window", "7: a millisecond later it does not",
     journey(wait("3h"), send(), goal={"on": ["Order Completed"], "within": "1h"}),
     [known(), ping("10:00"), track("Order Completed", "11:00:00.001")], [yes("13:00")])
case("oj10-restart-of-another-key", "7: restart_on matches on the instance key",
     journey(wait("1h", restart_on="Cart Updated"), send(), on="Cart Updated", key="event.properties.cart_id", reentry="after_exit"),
     [known(), track("Cart Updated", "10:00", properties={"cart_id": "c1"}), track("Cart Updated", "10:40", properties={"cart_id": "c2"})],
     [yes("11:00", run_key="c1"), yes("11:40", run_key="c2")])
case("oj11-restart-by-an-event-without-the-key", "7: the event lacks the field that the key reads: it restarts each",
     journey(wait("1h", restart_on="Product Viewed"), send(), on="Cart Updated", key="event.properties.cart_id", reentry="after_exit"),
     [known(), track("Cart Updated", "10:00", properties={"cart_id": "c1"}), track("Cart Updated", "10:10", properties={"cart_id": "c2"}),
      track("Product Viewed", "10:40")],
     [yes("11:40", run_key="c1"), yes("11:40", run_key="c2")])
case("oj12-timeout", "7: nothing came: the other way, then what follows",
     journey(wait_for(), send("after")), [known(), ping("10:00")], [yes("11:00", step="no"), yes("11:00", step="after")])
case("oj13-wait_for-without-the-key", "7: the event lacks the key's field: it continues",
     journey(wait_for(), on="Cart Updated", key="event.properties.cart_id"),
     [known(), track("Cart Updated", "10:00", properties={"cart_id": "c1"}), track("Email Link Clicked", "10:20")], [yes("10:20", step="yes")])
case("oj14-one-record-one-wait_for", "7: one click continues one wait_for; the second needs a second click",
     journey(wait_for(step="f", then=[send("first")], otherwise=[]), wait_for(step="g", then=[send("second")], otherwise=[send("none")])),
     [known(), ping("10:00"), track("Email Link Clicked", "10:20"), track("Email Link Clicked", "10:50")],
     [yes("10:20", step="first"), yes("10:50", step="second")])
case("oj15-the-entry-record-is-not-seen-again", "7: the first step waits for the event that started the run: it needs another",
     journey(wait_for("Ping", "1h"), reentry="never"), [known(), ping("10:00"), ping("10:30")], [yes("10:30", step="yes")])
case("oj16-wait_for-a-condition", "7: looked at on every record and update of the person",
     journey(wait_for(None, "1d", condition="profile.points >= 100")),
     [known(), ping("10:00"), identify("10:10", points=50), identify("10:30", points=120)], [yes("10:30", step="yes")])
case("oj17-wait_for-a-window-to-empty", "7: and when time empties a window in it: at exactly one hour",
     journey(wait_for(None, "1d", condition="count('Ping', '1h') == 0")), [known(), ping("10:00")], [yes("11:00", step="yes")])
case("oj18-condition-times-out", "7: never true",
     journey(wait_for(None, "1h", condition="profile.points >= 100")), [known(), ping("10:00")], [yes("11:00", step="no")])
case("oj19-missing-field-makes-all-false", "7: also `!(…)` and `!=`",
     journey({"id": "b", "branch": [{"when": "!(profile.points > 1)", "steps": [send("not")]},
                                    {"when": "profile.tier != 'a'", "steps": [send("unequal")]}, {"else": [send("else")]}]}),
     [known(), ping("10:00")], [yes("10:00", step="else")])
case("oj20-or-absorbs-a-missing-field", "7: `||` where the other side decides",
     journey(when="profile.tier == 'x' || event.properties.n == 1"), [known(), ping("10:00", n=1), ping("10:10", n=2)], [yes("10:00")])
case("oj21-and-absorbs-a-missing-field", "7: `&&` where the other side is false, so its negation is true",
     journey(when="!(profile.tier == 'x' && event.properties.n == 2)"), [known(), ping("10:00", n=1), ping("10:10", n=2)], [yes("10:00")])
case("oj22-update-writes-attributes", "7: update, then a branch reads it",
     journey({"id": "u", "update": {"points": "profile.points + 10"}},
             {"id": "b", "branch": [{"when": "profile.points == 15", "steps": [send("fifteen")]}, {"else": [send("else")]}]}),
     [known(points=5), ping("10:00"), ping("10:10")], [yes("10:00", step="fifteen"), yes("10:10", step="else")])
case("oj23-update-of-a-missing-field-changes-nothing", "7: an expression that misses a field changes nothing, and the run goes on",
     journey({"id": "u", "update": {"points": "profile.points + 10"}},
             {"id": "b", "branch": [{"when": "has(profile.points)", "steps": [send("has")]}, {"else": [send("has-not")]}]}),
     [known(), ping("10:00")], [yes("10:00", step="has-not")])
case("oj24-emit-comes-after-the-record", "7: applied after the record, at the same log time",
     [journey({"id": "e", "emit": {"event": "Reward Earned", "properties": {"points": "10"}}}, send("own"), name="a", priority=1),
      journey(name="b", on="Reward Earned", priority=99)],
     [known(), ping("10:00")], [yes("10:00", journey="a"), yes("10:00", journey="b")])
case("oj25-exit-before-entry-of-one-record", "7: the record ends the live run before it starts a new one",
     journey(wait("1h"), send(), reentry="after_exit", exit_on=[{"on": "Ping"}]), [known(), ping("10:00"), ping("10:20")], [yes("11:20")])
case("oj26-sum-first-last-distinct", "language: history functions",
     journey(on="Signed Up", when="sum('Order Completed', 'total', '30d') == 30 && first('Order Completed', 'order_id') == 'o1' "
             "&& last('Order Completed', 'order_id') == 'o2' && distinct('Order Completed', 'cart_id', '30d') == 1"),
     [known(), track("Order Completed", "09:00", properties={"order_id": "o2", "cart_id": "c", "total": 20}),
      track("Order Completed", "09:10", occurred="08:00", properties={"order_id": "o1", "cart_id": "c", "total": 10}),
      track("Signed Up", "10:00")], [yes("10:00")])
case("oj27-count-with-a-property", "language: count of those whose property has the value of this event's",
     journey(on="Product Viewed", when="count('Product Viewed', '24h', {'category': event.properties.category}) >= 2"),
     [known(), track("Product Viewed", "10:00", properties={"category": "bread"}), track("Product Viewed", "10:10", properties={"category": "cake"}),
      track("Product Viewed", "10:20", properties={"category": "bread"})], [yes("10:20")])
case("oj28-in-segment", "language: in_segment",
     journey({"id": "b", "branch": [{"when": "in_segment('regulars')", "steps": [send("regular")]}, {"else": [send("new")]}]}),
     [known(), ping("10:00"), ping("10:10")], [yes("10:00", step="new"), yes("10:10", step="regular")],
     files=segment(regulars="count('Ping', '60d') >= 2"))
case("oj29-what-a-wait_for-matched", "language: run.events.<step>; `event` stays the entry's",
     journey(wait_for(then=[{"id": "b", "branch": [{"when": "run.events.f.properties.link == 'buy' && event.properties.n == 7", "steps": [send("buy")]},
                                                   {"else": [send("else")]}]}])),
     [known(), ping("10:00", n=7), track("Email Link Clicked", "10:20", properties={"link": "buy"})], [yes("10:20", step="buy")])
case("oj30-pause-and-resume", "7: pause holds at the next step; resume continues",
     journey(wait("1h"), send()), [known(), ping("10:00"), command("10:30", "pause", journey="j"), command("12:00", "resume", journey="j")],
     [yes("12:00")])
case("oj31-stop-ends-runs", "7: stop ends the journey's runs",
     journey(wait("1h"), send()), [known(), ping("10:00"), command("10:30", "stop", journey="j")], [])
case("oj32-wait_for-keeps-its-filter-over-time", "7: an event that fails `when` does not end the wait, nor does another person's",
     journey(wait_for(when="event.properties.link == 'buy'")),
     [known(), known("u2", at_second=30), ping("10:00"), track("Email Link Clicked", "10:10", properties={"link": "x"}),
      track("Email Link Clicked", "10:20", "u2", properties={"link": "buy"})], [yes("11:00", step="no")])
case("oj33-empty-branch-goes-on", "7: no branch matches and there is no else: the next step",
     journey({"id": "b", "branch": [{"when": "1 == 2", "steps": [send("never")]}]}, send("after")), [known(), ping("10:00")], [yes("10:00", step="after")])
case("oj34-exit_on-with-the-key-of-the-run", "7: exit_on concerns the person: any cart's order ends every cart's run",
     journey(wait("1h"), send(), on="Cart Updated", key="event.properties.cart_id", exit_on=[{"on": "Order Completed"}]),
     [known(), track("Cart Updated", "10:00", properties={"cart_id": "c1"}), track("Cart Updated", "10:10", properties={"cart_id": "c2"}),
      track("Order Completed", "10:30", properties={"cart_id": "c2"})], [])
case("oj35-numeric-types-are-one", "7: an integer property against a fraction, and arithmetic",
     journey(when="event.properties.n * 2 >= 5.0 && event.properties.n <= 3"), [known(), ping("10:00", n=2.5), ping("10:10", n=2)], [yes("10:00")])
case("oj36-step-ids-by-place", "language: a step without an id is named by its place",
     journey({"wait": "1h"}, {"branch": [{"when": "1 == 1", "steps": [{"send": {"template": "t", "channels": ["email"]}}]}]},
             {"wait_for": {"on": "Email Link Clicked", "timeout": "1h"}, "then": [], "timeout": [{"send": {"template": "t", "channels": ["email"]}}]}),
     [known(), ping("10:00")], [yes("11:00", step="1/branch/0/0"), yes("12:00", step="2/timeout/0")])
case("oj37-page-and-identify-have-names", "language: page is `Page Viewed`, identify is `Identified`",
     [journey(name="p", on="Page Viewed"), journey(name="i", on="Identified")],
     [known(), line("10:00", type="page", userId="u1", name="Home", properties={}), identify("10:10")],
     [no("no_consent", "02-20 12:00", journey="i"), yes("10:00", journey="p"), yes("10:10", journey="i")])
case("oj38-late-entry-refused-by-a-later-exit", "1: with an exit condition: an order too small is no exit event, so the late entry starts",
     journey(exit_on=[{"on": "Order Completed", "when": "event.properties.total >= 50"}]),
     [known(), track("Order Completed", "10:00", properties={"total": 5}), ping("10:30", occurred="09:00"),
      track("Order Completed", "11:00", properties={"total": 60}), ping("11:30", occurred="10:45")], [yes("10:30")])

import entries  # noqa: E402,F401  (each adds its own)
import field  # noqa: E402,F401
import law_caps  # noqa: E402,F401
import law_conditions  # noqa: E402,F401
import law_consent  # noqa: E402,F401
import law_decision  # noqa: E402,F401
import law_identity  # noqa: E402,F401
import law_journeys  # noqa: E402,F401
import law_time  # noqa: E402,F401
import publishes  # noqa: E402,F401
import steps  # noqa: E402,F401
import timing  # noqa: E402,F401
