"""Conformance cases on conditions: missing fields, numbers, history over windows; loaded by `ours.py`."""

from notation import *  # noqa: F403


def order(received, occurred=None, **properties):
    return track("Order Completed", received, "u1", occurred, properties)


def holds(name, note, when, expected, *events, files=None, ask=None, **traits):
    """A case whose branch asks `when` at 10:00 of a ping with n = 1 and id = 'x'."""
    asked = ask or ping("10:00", n=1, id="x")
    step = {"id": "b", "branch": [{"when": when, "steps": [send("true")]}, {"else": [send("false")]}]}
    case(name, note, journey(step), [known(**traits), *events, asked], [yes("10:00", step="true" if expected else "false")], files=files)


def fact(name, when, expected, note="7: a missing field makes the whole condition false, where no other side decides", **more):
    holds(name, note, when, expected, **more)


# ---- 7 Missing fields ---------------------------------------------------------------------------

fact("ln01-or-decided-by-the-right", "profile.points > 1 || event.properties.n == 1", True)
fact("ln02-or-decided-by-the-left", "event.properties.n == 1 || profile.points > 1", True)
fact("ln03-or-undecided", "event.properties.n == 2 || profile.points > 1", False)
fact("ln04-negated-or-undecided", "!(event.properties.n == 2 || profile.points > 1)", False)
fact("ln05-and-decided", "!(profile.points > 1 && event.properties.n == 2)", True)
fact("ln06-and-undecided", "!(profile.points > 1 && event.properties.n == 1)", False)
fact("ln07-or-of-two-missing", "profile.points > 1 || profile.tier == 'x'", False)
fact("ln08-nested", "(profile.points > 1 && event.properties.n == 2) || event.properties.id == 'x'", True)
fact("ln09-nested-undecided", "(profile.points > 1 && event.properties.n == 1) || event.properties.id == 'y'", False)
fact("ln10-conditional-on-missing", "profile.points > 1 ? true : true", False)
fact("ln11-conditional-takes-one-side", "event.properties.n == 1 ? true : profile.points > 1", True)
fact("ln12-conditional-takes-the-missing-side", "event.properties.n == 1 ? profile.points > 1 : true", False)
fact("ln13-in-a-list", "!(profile.tier in ['a', 'b'])", False)
fact("ln14-missing-in-the-list", "event.properties.id in ['a', profile.tier]", False)
fact("ln15-arithmetic", "profile.points + 1 != 5", False)
fact("ln16-function", "!profile.tier.startsWith('a')", False)
fact("ln17-has-guards", "has(profile.points) && profile.points > 1", False)
fact("ln18-has-negated-guards", "!has(profile.points) || profile.points > 1", True)
fact("ln19-has-of-the-event", "has(event.properties.n) && !has(event.properties.id2)", True,
     files={"tracking-plan.yaml": lambda p: {**p, "events": {**p["events"], "Ping": {"channel": "web", "properties": {
         name: {"type": "string" if name != "n" else "number", "purposes": PROPERTY_PURPOSES} for name in ("n", "id", "id2")}}}}})
fact("ln20-nothing-else-matters", "profile.points != profile.points", False)
fact("ln21-history-with-a-missing-filter", "count('Ping', '1d', {'id': profile.tier}) == 0", False)
fact("ln22-last-of-nothing", "last('Order Completed', 'order_id') != 'o1'", False)
fact("ln23-last-of-nothing-absorbed", "last('Order Completed', 'order_id') == 'o1' || event.properties.n == 1", True)
fact("ln24-count-of-nothing-is-zero", "count('Order Completed') == 0 && sum('Order Completed', 'total') == 0 && distinct('Order Completed', 'cart_id') == 0", True,
     note="language: how often: of nothing it is none")
fact("ln25-truth-itself", "profile.vip", True, note="7: a truth value is a condition", vip=True)
fact("ln26-untruth-itself", "!profile.vip", True, note="7: false is not missing", vip=False)
fact("ln27-missing-truth", "!profile.vip", False)

# ---- 7 Numbers and texts ------------------------------------------------------------------------

ONE = "7: numbers are one type"
fact("ln30-equal", "event.properties.n == 1.0 && 1 == 1.0 && profile.points == 20", True, note=ONE, points=20.0)
fact("ln31-division", "event.properties.n / 2 == 0.5", True, note=ONE)
fact("ln32-mixed-arithmetic", "profile.points * 2 + 0.5 == 5.5 && profile.points - 3 < 0", True, note=ONE, points=2.5)
fact("ln33-comparison", "profile.points > 2 && profile.points < 3 && profile.points >= 2.5 && profile.points != 2", True, note=ONE, points=2.5)
fact("ln34-in", "profile.points in [1, 20.0, 300]", True, note=ONE, points=20)
fact("ln35-negative", "profile.points == -3 && -profile.points == 3", True, note=ONE, points=-3)
fact("ln36-large", "profile.points == 9007199254740991", True, note=ONE, points=9007199254740991)
fact("ln37-texts-are-no-numbers", "profile.tier == '20' && profile.tier != '20.0'", True, note="7: a text stays a text", tier="20")
fact("ln38-texts-by-case", "profile.tier == 'Gold' && profile.tier != 'gold' && profile.tier.endsWith('ld') && size(profile.tier) == 4", True, note="7: CEL on texts", tier="Gold")
fact("ln39-the-events-own-words", "event.name == 'Ping' && event.source == 'site' && event.channel == 'web'", True, note="language: event.name, .channel, .source")
fact("ln40-run-key-of-the-default", "!has(run.key) || run.key == null", True, note="7: the default instance key is null")

# ---- Conditions: history ------------------------------------------------------------------------

WINDOW = "1: (now - w, now] by occurred_at"
holds("ln50-window-edges-of-a-sum", WINDOW, "sum('Order Completed', 'total', '1h') == 6", True,
      order("09:00", total=1), order("09:00:00.001", total=2), order("10:00", total=4))
holds("ln51-window-edges-of-distinct", WINDOW, "distinct('Order Completed', 'cart_id', '1h') == 1", True,
      order("09:00", cart_id="a"), order("09:10", cart_id="b"), order("09:20", cart_id="b"), order("09:30"))
holds("ln52-distinct-numbers", "7: numbers are one type: 5 and 5.0 are one value", "distinct('Order Completed', 'total') == 2", True,
      order("09:00", total=5), order("09:10", total=5.0), order("09:20", total=5.5))
holds("ln53-first-and-last-in-a-window", WINDOW, "first('Order Completed', 'order_id', '1h') == 'o2' && last('Order Completed', 'order_id', '1h') == 'o3'", True,
      order("09:00", order_id="o1"), order("09:10", order_id="o2"), order("09:50", order_id="o3"))
holds("ln54-last-outside-the-window-is-missing", "1, 7: outside the window there is none: missing", "last('Order Completed', 'order_id', '30m') != 'o9'", False,
      order("09:00", order_id="o1"))
holds("ln55-sum-with-a-filter", "language: sum of those whose property has the value", "sum('Order Completed', 'total', '1d', {'cart_id': event.properties.id}) == 5", True,
      order("09:00", cart_id="x", total=5), order("09:10", cart_id="y", total=50), order("09:20", total=500))
holds("ln56-distinct-with-a-filter", "language: distinct with a filter", "distinct('Order Completed', 'order_id', '1d', {'cart_id': 'x'}) == 2", True,
      order("09:00", cart_id="x", order_id="o1"), order("09:10", cart_id="x", order_id="o2"), order("09:20", cart_id="y", order_id="o3"), order("09:30", cart_id="x", order_id="o1"))
holds("ln57-filter-by-a-number", "7: a filter compares numbers as one type", "count('Order Completed', '1d', {'total': 5}) == 2", True,
      order("09:00", total=5), order("09:10", total=5.0), order("09:20", total=5.1))
holds("ln58-filter-of-two", "language: all properties of the filter must have the value", "count('Order Completed', '1d', {'cart_id': 'x', 'total': 5}) == 1", True,
      order("09:00", cart_id="x", total=5), order("09:10", cart_id="x", total=6), order("09:20", cart_id="y", total=5))
holds("ln59-the-event-applied-is-counted", "1: the event being applied is counted, with its properties", "count('Ping', '1h', {'id': 'x'}) == 1 && sum('Ping', 'n') == 1", True)
holds("ln60-without-a-window-all", "language: window is optional: all of the history", "count('Order Completed') == 2", True,
      order("02-20 13:00"), order("09:00"))
holds("ln61-equal-times-by-position", "1: of equal times the later log position is the later", "first('Order Completed', 'order_id') == 'o1' && last('Order Completed', 'order_id') == 'o2'", True,
      order("09:10", occurred="09:00", order_id="o1"), order("09:20", occurred="09:00", order_id="o2"))
holds("ln62-segment-in-a-condition", "language: in_segment, and its negation", "in_segment('buyers') && !in_segment('others')", True, order("09:01"),
      files={"segments.yaml": {"segments": {"buyers": {"when": "count('Order Completed', '1h') == 1"}, "others": {"when": "profile.tier == 'x'"}}}})
holds("ln63-another-persons-history", "7: the history is the person's", "count('Order Completed') == 0", True,
      *known("u2", at_second=30), track("Order Completed", "09:00", "u2"))
holds("ln64-sum-of-those-that-have-it", "language: events without the property add nothing", "sum('Order Completed', 'total', '1d') == 7 && count('Order Completed', '1d') == 3", True,
      order("09:00", total=3), order("09:10"), order("09:20", total=4))
