"""The short notation of `ours.py`: a case as a few calls, written out as a folder like the given ones.

Times: `"10:00"` is 10:00Z on the usual day, Monday 2 March 2026; `"03-28 10:00"` names the day.
Everything a case does not say is the plain shop of `base()`.
"""

import json
import pathlib

DAY = "2026-03-02"
SETUP = "2026-02-20T12:00:00Z"
END = "2026-12-01T00:00:00Z"
PROPERTY_PURPOSES = ["service", "marketing", "feedback"]
CASES = []


def at(short):
    """A short time as RFC 3339."""
    if "T" in short:
        return short
    day, _, clock = short.rpartition(" ")
    clock = clock if clock.count(":") == 2 else clock + ":00"
    return f"2026-{day}T{clock}Z" if day else f"{DAY}T{clock}Z"


# ---- workspace ----------------------------------------------------------------------------------

def base():
    def properties(**kinds):
        return {name: {"type": kind, "purposes": PROPERTY_PURPOSES} for name, kind in kinds.items()}

    def event(**kinds):
        return {"channel": "web", "properties": properties(**kinds)}

    return {
        "sojourn.yaml": {
            "workspace": "scenario",
            "company": {"name": "Shop", "postal_address": "1 Lane, York, UK", "privacy_contact": "p@shop.example"},
            "time_zone": "Europe/London",
            "locales": ["en"],
            "sources": [
                {"id": "site", "channel": "web", "kind": "segment", "write_key": "k"},
                {"id": "till", "channel": "store", "kind": "pos", "secret": "s", "shared_devices": True},
                {"id": "mail", "channel": "email", "kind": "sendgrid", "verify_key": "v"},
            ],
            "channels": {
                "email": {"kind": "smtp", "url": "smtp://127.0.0.1:2525", "from": "Shop <hello@shop.example>"},
                "push": {"kind": "grpc", "endpoint": "http://127.0.0.1:9100"},
                "sms": {"kind": "grpc", "endpoint": "http://127.0.0.1:9101"},
            },
            "storage": {"kind": "embedded", "path": "./data", "retention": "400d"},
        },
        "policy.yaml": {
            "purposes": {
                "marketing": {"topics": ["newsletter", "offers", "reminders"]},
                "feedback": {},
                "service": {"exempt": ["caps", "quiet_hours"]},
            },
            "caps": [],
            "quiet_hours": [],
            "arbitration": {"window": "0s"},
            "holdout": {"percent": 0, "salt": "s", "purposes": ["marketing"]},
            "jurisdictions": "none",
            "approvals": {"publish": 1},
        },
        "segments.yaml": {"segments": {}},
        "tracking-plan.yaml": {
            "identifiers": [
                {"kind": "customer_id", "from": "userId", "limit": 1},
                {"kind": "email", "from": ["traits.email", "properties.email"], "limit": 5},
                {"kind": "phone", "from": "traits.phone", "limit": 5},
                {"kind": "loyalty_id", "from": "properties.loyalty_card", "limit": 5},
                {"kind": "anonymous_id", "from": "anonymousId", "limit": 50},
                {"kind": "device_id", "from": "context.device.id", "limit": 50},
            ],
            "events": {
                "Cart Updated": event(cart_id="string", value="number"),
                "Order Completed": event(order_id="string", cart_id="string", total="number"),
                "Store Order Completed": event(order_id="string", total="number", loyalty_card="string"),
                "Store Visited": event(store_id="string", loyalty_card="string"),
                "Product Viewed": event(product_id="string", category="string", price="number"),
                "Email Link Clicked": event(cart_id="string", link="string"),
                "Signed Up": event(plan="string"),
                "Ping": event(n="number", id="string"),
                "Reward Earned": event(points="number"),
                "Noop": event(),
            },
            "attributes": properties(
                time_zone="string", points="number", tier="string", first_name="string", birthday="date", vip="boolean"
            ),
        },
    }


def yaml(value, indent=0):
    """Block YAML of plain data; every scalar as JSON, which YAML 1.2 contains."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(
            f"{pad}{json.dumps(k)}:" + (f"\n{yaml(v, indent + 1)}" if isinstance(v, (dict, list)) and v else f" {json.dumps(v)}\n")
            for k, v in value.items()
        )
    if isinstance(value, list) and value:
        return "".join(
            f"{pad}-\n{yaml(v, indent + 1)}" if isinstance(v, (dict, list)) and v else f"{pad}- {json.dumps(v)}\n" for v in value
        )
    return f"{pad}{json.dumps(value)}\n"


def send(step="s", channels=("email",), **more):
    return {"id": step, "send": {"template": "t", "channels": list(channels), **more}}


def wait(duration="1h", step="w", **more):
    return {"id": step, "wait": duration, **more}


def wait_for(event="Email Link Clicked", timeout="1h", step="f", then=None, otherwise=None, **more):
    on = {"on": event} if event else {}
    return {
        "id": step,
        "wait_for": {**on, "timeout": timeout, **more},
        "then": [send("yes")] if then is None else then,
        "timeout": [send("no")] if otherwise is None else otherwise,
    }


def journey(*steps, name="j", on="Ping", purpose="marketing/reminders", reentry="always", key=None, when=None, entry=None, **more):
    start = {**({"on": on} if on else {}), "reentry": reentry}
    if key:
        start["key"] = key
    if when:
        start["when"] = when
    start.update(entry or {})
    return {"journey": name, "purpose": purpose, "entry": start, **more, "steps": list(steps) or [send()]}


def cap(at_most=1, per="24h", id="c", scope=None, **more):
    return {"id": id, "at_most": at_most, "per": per, "scope": scope or {}, **more}


def quiet(start="21:00", end="08:00", channels=("email", "push", "sms"), purposes=("marketing", "feedback"), then="defer"):
    return {"channels": list(channels), "purposes": list(purposes), "from": start, "to": end, "then": then}


# ---- events -------------------------------------------------------------------------------------

def line(received, occurred=None, **fields):
    return {"receivedAt": at(received), "timestamp": at(occurred or received), "source": "site", **fields}


def who(person):
    """`u…` is a customer, anything else an anonymous id; `{…}` stands for itself."""
    if isinstance(person, dict):
        return person
    return {"userId": person} if person.startswith("u") else {"anonymousId": person}


def track(event, received, person="u1", occurred=None, properties=None, **more):
    return line(received, occurred, type="track", event=event, properties=properties or {}, **who(person), **more)


def ping(received, person="u1", occurred=None, **properties):
    return track("Ping", received, person, occurred, properties)


def identify(received, person="u1", occurred=None, also=None, context=None, **traits):
    more = {"context": context} if context else {}
    return line(received, occurred, type="identify", traits=traits, **who(person), **(who(also) if also else {}), **more)


def consent(received, state, person="u1", channel="email", purpose="marketing", occurred=None, endpoint="u1@x.example", topic=None):
    properties = {"channel": channel, "purpose": purpose, "state": state}
    if topic:
        properties["topic"] = topic
    if endpoint:
        properties["endpoint"] = endpoint
    return track("Consent Changed", received, person, occurred, properties)


def grant(received, *args, **more):
    return consent(received, "granted", *args, **more)


def deny(received, *args, **more):
    return consent(received, "denied", *args, **more)


def command(received, name, **target):
    return {"type": "command", "receivedAt": at(received), "command": name, **target}


def known(person="u1", purposes=("marketing",), grants=("email", "push"), at_second=0, **traits):
    """A customer of 20 February with an address and a device, and the grants for both."""
    clock = f"02-20 12:00:{at_second:02}"
    address, device = f"{person}@x.example", f"dev-{person}"
    events = [identify(clock, person, context={"device": {"id": device}}, email=address, **traits)]
    for channel in grants:
        endpoint = {"email": address, "push": device, "sms": traits.get("phone")}[channel]
        events += [grant(clock, person, channel, purpose, endpoint=endpoint) for purpose in purposes]
    return events


# ---- expected lines -----------------------------------------------------------------------------

def expect(outcome, when, person="u1", **fields):
    if "until" in fields:
        fields["until"] = at(fields["until"])
    if "tag" in fields:
        fields["profile_tag"] = fields.pop("tag")
    return {"at": at(when), "who": person, "outcome": outcome, **fields}


def yes(when, person="u1", **fields):
    return expect("approve", when, person, **fields)


def no(reason, when, person="u1", **fields):
    return expect("suppress", when, person, reason=reason, **fields)


def later(reason, when, until, person="u1", **fields):
    return expect("defer", when, person, reason=reason, until=until, **fields)


def other(channel, reason, when, person="u1", **fields):
    return expect("reroute", when, person, reason=reason, channel=channel, **fields)


# ---- cases --------------------------------------------------------------------------------------

class Case:
    def __init__(self, name, note, journeys, events, expected, policy, files, versions=None, end=END, refused=None):
        self.name, self.note, self.journeys = name, note, journeys
        self.events, self.expected, self.policy, self.files = events, expected, policy, files
        self.versions, self.end, self.refused = versions or {}, end, refused

    def write_workspace(self, workspace, journeys, policy):
        content = base()
        content["policy.yaml"].update(policy)
        for j in journeys:
            content[f"journeys/{j['journey']}.yaml"] = j
        content["policy.yaml"] = {key: value for key, value in content["policy.yaml"].items() if value is not None}
        content["templates/t/en.yaml"] = {"subject": "Hello", "body": "en.txt"}
        content["templates/t/en.txt"] = "Hello. {{ links.unsubscribe }}\n"
        for path, change in self.files.items():
            content[path] = change(content.get(path)) if callable(change) else change
        for path, what in content.items():
            target = workspace / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(what if isinstance(what, str) else yaml(what), encoding="utf-8")

    def write(self, folder):
        self.write_workspace(folder / "ws", self.journeys, self.policy)
        for name, version in self.versions.items():
            journeys, policy = version if isinstance(version, tuple) else (version, {})
            self.write_workspace(folder / "ws" / name, journeys, {**self.policy, **policy})
        events = sorted(self.events, key=lambda e: e["receivedAt"].replace("Z", "+") if "." in e["receivedAt"] else e["receivedAt"].replace("Z", ".000+"))
        events.append(line(self.end, type="track", event="Noop", properties={}, userId="nobody"))
        for number, event in enumerate(events):
            if event["type"] != "command":
                event.setdefault("messageId", f"{self.name}-{number:04}")
        dump = lambda lines: "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)
        (folder / "events.jsonl").write_text(dump(events), encoding="utf-8")
        (folder / "expected.jsonl").write_text(dump(self.expected), encoding="utf-8")
        if self.refused:
            (folder / "refused.txt").write_text("".join(f"{words}\n" for words in self.refused), encoding="utf-8")
        (folder / "note.md").write_text(self.note + "\n", encoding="utf-8")


def case(name, note, journeys, events, expected, files=None, versions=None, end=END, refused=None, **policy):
    """Adds a case; `events` may nest lists (as `known()` returns one).

    `refused`: the run must end with an error that has these words.

    `versions`: folders beside the workspace's files for the command `publish`, each with its journeys,
    or with its journeys and what is different in its policy.
    """
    flat = []
    for one in events:
        flat += one if isinstance(one, list) else [one]
    journeys = journeys if isinstance(journeys, list) else [journeys]
    CASES.append(Case(name, note, journeys, flat, expected, policy, files or {}, versions or {}, end, refused))
