//! Definitions drawn over the whole language: entries of every kind, steps of every kind, segments and
//! the finer parts of a policy. Free of errors by construction: the run compiles them as a publish
//! does, and fails where they are not.

use crate::random::Random;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Segments: by what people did, by what is known of them, and one of the other two.
pub(crate) const SEGMENTS: &str = "segments:\n  active: { when: \"count('Ping', '2h') >= 1\" }\n  visitor: { when: \"profile.visits >= 1\" }\n  both: { when: \"in_segment('active') && in_segment('visitor')\" }\n";

/// What holds for everybody in every seed, so that its checkers have something to look at: who has
/// not pinged for two hours enters `lapsed`; `arms` splits; `tour` sends one message after another.
const FIXED: [(&str, &str); 3] = [
    (
        "lapsed",
        "journey: lapsed\npurpose: service\nentry: { segment: { leave: active }, reentry: always }\nsteps:\n  - id: count\n    update: { lapses: \"1\" }\n",
    ),
    (
        "arms",
        "journey: arms\npurpose: service\nentry: { on: Ping, reentry: always }\nsteps:\n  - id: arm\n    split:\n      name: half\n      arms:\n        - { arm: a, percent: 30, steps: [ { id: arm-a, send: { template: t, channels: [push, email] } } ] }\n        - { arm: b, percent: 70, steps: [ { id: arm-b, send: { template: t, channels: [push, email] } } ] }\n",
    ),
    (
        "tour",
        "journey: tour\npurpose: service\nentry: { on: Store Visited, reentry: always }\nsteps:\n  - id: a\n    send: { template: t, channels: [push, email] }\n  - id: w1\n    wait: 20m\n  - id: b\n    send: { template: t, channels: [push, email] }\n  - id: w2\n    wait: 2h\n  - id: c\n    send: { template: t, channels: [email, push] }\n",
    ),
];

/// Where `enter` leads.
const SIDE: &str = "journey: side\npurpose: service\nentry: { api: true, reentry: always }\nsteps:\n  - id: told\n    send: { template: t, channels: [push, email] }\n";

/// Entries, of every kind.
const ENTRIES: [&str; 9] = [
    "{ on: [Ping, Store Visited], key: event.name, reentry: after 3h }",
    "{ on: Ping, when: event.properties.n >= 3, reentry: always, at_most: 3 per 1d, concurrent: 2 }",
    "{ segment: { enter: both } }",
    "{ segment: { leave: active }, reentry: after 1h }",
    "{ segment: { enter: visitor }, backfill: true }",
    "{ attribute: { name: visits, changed: true }, reentry: always }",
    "{ date: { attribute: birthday, offset: -1d, at: \"09:00\" } }",
    "{ schedule: { cron: \"30 9 * * *\", zone: local, audience: visitor, pace: 500/min }, at_most: 4 per 30d }",
    "{ schedule: { cron: \"0 12 * * mon\", zone: workspace, audience: active } }",
];

/// Everything that a seed draws: files of journeys, and lines of the policy.
pub(crate) fn add(random: &mut Random, files: &mut BTreeMap<String, String>) -> String {
    for (name, text) in FIXED.into_iter().chain([("side", SIDE)]) {
        files.insert(format!("journeys/{name}.yaml"), text.to_owned());
    }
    for number in 0..3 {
        let name = format!("drawn-{number}");
        files.insert(format!("journeys/{name}.yaml"), journey(random, &name));
    }
    policy(random)
}

fn journey(random: &mut Random, name: &str) -> String {
    let entry = ENTRIES[random.below(ENTRIES.len())];
    let purpose = ["service", "feedback", "marketing/reminders"][random.below(3)];
    let priority = 10 * random.below(10);
    let mut text = format!(
        "journey: {name}\nabout: version 0\npurpose: {purpose}\npriority: {priority}\nentry: {entry}\n"
    );
    if random.one_in(4) {
        text.push_str("rate: 40/h\n");
    }
    if random.one_in(3) {
        text.push_str("exit_on:\n  - { on: Order Completed }\n");
    }
    text.push_str("steps:\n");
    let on_event = entry.starts_with("{ on:");
    let mut steps = Steps { random, on_event, next: 0 };
    let count = 2 + steps.random.below(3);
    for _ in 0..count {
        text.push_str(&steps.step(1));
    }
    text.push_str(&steps.send(1));
    text
}

struct Steps<'a> {
    random: &'a mut Random,
    /// Whether runs enter with an event that has properties.
    on_event: bool,
    next: u32,
}

impl Steps<'_> {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("s{}", self.next)
    }

    /// One step of any kind, and what is inside it.
    fn step(&mut self, depth: usize) -> String {
        let pad = "  ".repeat(depth);
        let id = self.id();
        let inner = |steps: &mut Self| -> String {
            if depth < 3 && steps.random.one_in(2) {
                steps.step(depth + 3)
            } else {
                steps.send(depth + 3)
            }
        };
        let head = format!("{pad}- id: {id}\n{pad}  ");
        let deep = "  ".repeat(depth + 3);
        match self.random.below(if depth > 1 { 9 } else { 15 }) {
            0 => format!("{head}wait: {}\n", ["20m", "2h", "30h"][self.random.below(3)]),
            1 => format!("{head}wait: {{ until: \"10:00\" }}\n"),
            2 => format!("{head}wait: {{ until: \"10:00\", on: [monday, friday] }}\n"),
            3 => format!(
                "{head}wait: {{ until_date: profile.birthday, at: \"09:00\", offset: -1d, every: year }}\n"
            ),
            4 => format!("{head}update: {{ visits: \"count('Store Visited') + 1\" }}\n"),
            5 => format!("{head}emit: {{ event: Visit Counted, properties: {{ n: \"1\" }} }}\n"),
            6 => format!("{head}enter: {{ journey: side, key: \"'{id}'\" }}\n"),
            7 => format!(
                "{head}throttle: {{ at_most: 1, per: 1h, otherwise: {} }}\n",
                ["exit", "wait"][self.random.below(2)]
            ),
            8 => self.send(depth),
            9 => format!(
                "{head}wait_for: {{ on: Email Link Clicked, timeout: 2h }}\n{pad}  then:\n{}{pad}  timeout:\n{}",
                inner(self),
                inner(self)
            ),
            10 => format!(
                "{head}wait_for: {{ condition: \"count('Ping', '1h') >= 2\", timeout: 5h }}\n{pad}  then:\n{}",
                inner(self)
            ),
            11 => format!(
                "{head}branch:\n{deep}- when: in_segment('active')\n{deep}  steps:\n{}{deep}- else:\n{}",
                nested(&inner(self)),
                nested(&inner(self))
            ),
            12 => format!(
                "{head}split:\n{deep}name: {id}\n{deep}arms:\n{deep}- arm: a\n{deep}  percent: 30\n{deep}  steps:\n{}{deep}- arm: b\n{deep}  percent: 70\n{deep}  steps:\n{}",
                nested(&inner(self)),
                nested(&inner(self))
            ),
            13 if self.on_event => {
                format!("{head}digest: {{ window: 1h, max: 3, as: items }}\n")
            }
            13 => format!("{head}wait: 20m\n"),
            _ => format!(
                "{head}branch:\n{deep}- when: profile.visits >= 3\n{deep}  steps:\n{}{deep}- when: profile.visits >= 2\n{deep}  steps:\n{}",
                nested(&format!("{deep}- goal: reached\n")),
                nested(&format!("{deep}- exit: often\n"))
            ),
        }
    }

    fn send(&mut self, depth: usize) -> String {
        let (pad, id) = ("  ".repeat(depth), self.id());
        let channels = ["[push, email]", "[email, push]", "[email]"][self.random.below(3)];
        let mut options = String::new();
        let expires = ["", ", expires: 30h", ", expires: 6h"][self.random.below(3)];
        options.push_str(expires);
        options.push_str(
            ["", "", ", at_cap: defer", ", at_cap: fallback", ", at_cap: digest"]
                [self.random.below(5)],
        );
        match self.random.below(8) {
            0 => options.push_str(", best_time: 12h"),
            1 => options.push_str(", waves: { share: [10, 30, 60], every: 1h }"),
            2 => options.push_str(", only_if: \"!in_segment('both')\""),
            3 => options.push_str(", value: \"profile.visits\""),
            4 => options.push_str(", tags: [loud]"),
            _ => {}
        }
        format!("{pad}- id: {id}\n{pad}  send: {{ template: t, channels: {channels}{options} }}\n")
    }
}

/// Steps one level further in.
fn nested(steps: &str) -> String {
    steps.lines().fold(String::new(), |mut text, line| {
        writeln!(text, "    {line}").expect("a string takes everything");
        text
    })
}

/// Days after the begin of every run.
const DAYS_AFTER: &str = "2026-03-08, 2026-03-29, 2026-06-11, 2026-10-25, 2026-11-02";

/// The finer parts of a policy.
fn policy(random: &mut Random) -> String {
    let mut text = format!(
        "arbitration: {{ window: {} }}\njurisdictions: {}\n",
        ["0s", "0s", "10m", "1h"][random.below(4)],
        ["none", "default"][random.below(2)]
    );
    if random.one_in(3) {
        let then = ["defer", "drop"][random.below(2)];
        writeln!(text, "blackouts:\n  - {{ id: shut, days: [{DAYS_AFTER}], purposes: [marketing, feedback], then: {then} }}")
            .expect("a string takes everything");
    }
    if random.one_in(3) {
        text.push_str("fatigue:\n  window: 5d\n  ignored_after: 6h\n  shrink:\n    - { from: 2, caps: 50 }\n    - { from: 4, caps: 0 }\n");
    }
    text
}

/// Caps with other windows and scopes than the story's own.
pub(crate) fn caps(random: &mut Random) -> &'static str {
    [
        "",
        "  - { id: month, at_most: 5, per: local_month, scope: { journey: drawn-0 }, at_cap: drop }\n",
        "  - { id: loud, at_most: 1, per: 3h, scope: { tag: loud }, at_cap: digest }\n",
    ][random.below(3)]
}

/// A drawn journey, or one of those of every seed, after an editor was at it: other shares, other
/// waits, other texts, messages in another order.
pub(crate) fn edited(random: &mut Random, text: &str) -> String {
    let swap =
        |text: &str, a: &str, b: &str| text.replace(a, "\u{0}").replace(b, a).replace('\u{0}', b);
    match random.below(4) {
        0 => swap(text, "percent: 30", "percent: 70"),
        1 => swap(text, "wait: 20m", "wait: 2h"),
        2 if text.starts_with("journey: tour") => {
            let mut blocks: Vec<&str> = text.split("  - id: ").collect();
            // Two of the steps change places; the head stays.
            let (a, b) = (1 + random.below(5), 1 + random.below(5));
            blocks.swap(a, b);
            blocks.join("  - id: ")
        }
        _ => text.replace("\nabout: ", "\nabout: edited "),
    }
}
