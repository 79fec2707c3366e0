//! Journeys: the tree laid flat, every form of entry and step, and what is derived from them.

use super::sound;
use crate::{AtCap, ItemFields, Journey, Reentry, StepIndex, StepKind, Trigger, Wait, WaitWhat};
use sojourn_model::DurationMs;

pub(super) const TREE: &str = r#"
journey: tree
about: Everything.
purpose: marketing/reminders
priority: 70
entry: { 'on': [Ping, Order Completed], when: event.timestamp != null, key: event.properties.cart_id, reentry: after 30d, accept_late: 2h, at_most: 1 per 30d, concurrent: 3 }
exit_on:
  - { on: Order Completed, when: event.properties.total >= 5 && run.key == event.properties.cart_id }
goal: { on: [Order Completed], within: 7d, value: event.properties.total, exit: false }
steps:
  - wait: 1h
    restart_on: Ping
  - id: no
    note: read
    wait_for: { on: Order Completed, when: "event.properties.total > 1", timeout: 1d }
    then:
      - send: { template: t, channels: [email, push], expires: 12h, at_cap: fallback, only_if: "profile.vip == true", tags: [x], priority: 60, variables: { name: "profile.tier" } }
      - exit: bought
    timeout:
      - branch:
          - when: in_segment('gold')
            steps:
              - wait: { until: "09:00", on: [monday, fri] }
          - else:
              - split:
                  name: nudge
                  arms:
                    - { arm: control, percent: 50, steps: [] }
                    - { arm: sms, percent: 50, steps: [ { wait_for: { condition: "profile.points >= 100", timeout: 2d } } ] }
  - update: { points: "profile.points + 10", tier: "'gold'" }
  - emit: { event: Ping, properties: { n: "10" } }
  - throttle: { at_most: 1, per: 1h, key: run.key, otherwise: wait }
  - wait: { until_date: profile.birthday, at: 09:00, offset: -7d, every: year }
  - digest: { key: event.properties.cart_id, window: 4h, max: 10, as: drops }
  - goal: reached
"#;

fn tree() -> std::sync::Arc<Journey> {
    let definitions = sound(&[("journeys/tree.yaml", TREE)]);
    definitions.journey("tree").expect("it is there").clone()
}

#[test]
fn steps_lie_in_the_order_of_the_text() {
    let journey = tree();
    let seen: Vec<(&str, Option<u16>)> =
        journey.steps.iter().map(|step| (&*step.id, step.next.map(|next| next.0))).collect();
    // The last step of a branch goes on where the step around it does.
    let expected = [
        ("0", Some(1)),
        ("no", Some(8)),
        ("1/then/0", Some(3)),
        ("1/then/1", Some(8)),
        ("1/timeout/0", Some(8)),
        ("1/timeout/0/branch/0/0", Some(8)),
        ("1/timeout/0/branch/1/0", Some(8)),
        ("1/timeout/0/branch/1/0/split/sms/0", Some(8)),
        ("2", Some(9)),
        ("3", Some(10)),
        ("4", Some(11)),
        ("5", Some(12)),
        ("6", Some(13)),
        ("7", None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(journey.first, Some(StepIndex(0)));
    assert_eq!(journey.find("no"), Some(StepIndex(1)));
}

#[test]
fn reads_every_form() {
    let journey = tree();
    assert_eq!(
        (&*journey.purpose, journey.topic.as_deref(), journey.priority),
        ("marketing", Some("reminders"), 70)
    );
    let entry = &journey.entry;
    assert_eq!(entry.reentry, Reentry::After(DurationMs::days(30)));
    assert_eq!(entry.accept_late, DurationMs::hours(2));
    assert_eq!((entry.at_most, entry.concurrent), (Some((1, DurationMs::days(30))), Some(3)));
    assert_eq!(entry.key.as_ref().map(|key| &*key.text), Some("event.properties.cart_id"));
    let goal = journey.goal.as_ref().expect("a goal");
    assert_eq!(
        (goal.within, goal.exit, goal.value.is_some()),
        (Some(DurationMs::days(7)), false, true)
    );
    let kind = |index: usize| &journey.steps[index].kind;
    assert_eq!(
        kind(0),
        &StepKind::Wait(Wait::Elapsed {
            duration: DurationMs::hours(1),
            restart_on: vec!["Ping".into()]
        })
    );
    let StepKind::WaitFor(wait) = kind(1) else { panic!("a wait_for") };
    assert!(matches!(&wait.what, WaitWhat::Event(rule) if rule.when.is_some()));
    assert_eq!(
        (wait.timeout, wait.then, wait.otherwise),
        (Some(DurationMs::days(1)), Some(StepIndex(2)), Some(StepIndex(4)))
    );
    let StepKind::Send(send) = kind(2) else { panic!("a send") };
    assert_eq!(
        (send.at_cap, send.priority, send.expires),
        (Some(AtCap::Fallback), 60, Some(DurationMs::hours(12)))
    );
    assert_eq!((send.channels.len(), send.tags.len(), send.variables.len()), (2, 1, 1));
    assert_eq!((&*send.purpose, send.topic.as_deref()), ("marketing", Some("reminders")));
    assert_eq!(kind(3), &StepKind::Exit("bought".into()));
    assert_eq!(kind(5), &StepKind::Wait(Wait::Until { minute: 540, weekdays: vec![0, 4] }));
    let StepKind::Branch(arms) = kind(4) else { panic!("a branch") };
    assert_eq!((arms.len(), arms[0].when.is_some(), arms[1].when.is_none()), (2, true, true));
    let StepKind::Split { name, arms } = kind(6) else { panic!("a split") };
    assert_eq!((&**name, arms[0].first, arms[1].first), ("nudge", None, Some(StepIndex(7))));
    let StepKind::WaitFor(wait) = kind(7) else { panic!("a wait_for") };
    assert!(matches!(wait.what, WaitWhat::Condition(_)));
    assert!(matches!(kind(8), StepKind::Update(values) if values.len() == 2));
    assert!(matches!(kind(9), StepKind::Emit { event, .. } if &**event == "Ping"));
    assert!(matches!(kind(10), StepKind::Throttle { at_most: 1, wait: true, .. }));
    let StepKind::Wait(Wait::UntilDate { minute, offset_days, yearly, .. }) = kind(11) else {
        panic!("a date")
    };
    assert_eq!((*minute, *offset_days, *yearly), (540, -7, true));
    let StepKind::Digest(digest) = kind(12) else { panic!("a digest") };
    assert_eq!((&*digest.name, digest.max, digest.window), ("drops", 10, DurationMs::hours(4)));
    // What is declared for another purpose stays out of the items.
    let named =
        |names: &[&str]| ItemFields::Named(names.iter().map(|name| (*name).into()).collect());
    assert_eq!(
        digest.keeps,
        [
            ("Ping".into(), named(&["at", "id", "n", "place", "tags"])),
            ("Order Completed".into(), named(&["cart_id", "total"])),
        ]
    );
    assert_eq!(kind(13), &StepKind::Goal);
}

#[test]
fn reads_every_entry() {
    let entry = |text: &str| {
        let journey = format!("journey: j\npurpose: service\nentry: {text}\nsteps: []\n");
        sound(&[("journeys/j.yaml", &journey)]).journeys[0].entry.trigger.clone()
    };
    assert!(matches!(entry("{ on: Ping }"), Trigger::Event(rule) if rule.when.is_none()));
    assert_eq!(
        entry("{ segment: { enter: regulars } }"),
        Trigger::Segment { segment: "regulars".into(), enter: true }
    );
    assert_eq!(
        entry("{ segment: { leave: regulars } }"),
        Trigger::Segment { segment: "regulars".into(), enter: false }
    );
    assert_eq!(
        entry("{ attribute: { name: points, changed: true } }"),
        Trigger::Attribute { name: "points".into() }
    );
    assert_eq!(entry("{ api: true }"), Trigger::Api);
}

#[test]
fn defaults_are_those_of_the_language() {
    let definitions = sound(&[]);
    let journey = &definitions.journeys[0];
    assert_eq!((journey.priority, journey.entry.reentry), (50, Reentry::AfterExit));
    assert_eq!(
        (journey.entry.accept_late, journey.entry.key.is_none()),
        (DurationMs::hours(24), true)
    );
    let StepKind::Send(send) = &journey.steps[0].kind else { panic!("a send") };
    assert_eq!((send.at_cap, send.priority, send.only_if.is_none()), (None, 50, true));
    assert_eq!(definitions.policy.arbitration_window, DurationMs(0));
    assert!(definitions.policy.holdout.is_none());
    assert_eq!(definitions.policy.caps[0].at_cap, AtCap::Drop);
}

#[test]
fn classes_begin_with_service() {
    let definitions = sound(&[]);
    let names: Vec<&str> =
        definitions.policy.purposes.iter().map(|purpose| &*purpose.name).collect();
    assert_eq!(names, ["service", "marketing", "feedback", "personalization"]);
    let (class, service) = definitions.policy.purpose("service").expect("there");
    assert!(class == 0 && service.service && service.exempt_caps && service.exempt_quiet_hours);
    assert!(definitions.policy.purpose("personalization").is_some_and(|(_, purpose)| purpose.data));
    let without = sound(&[("policy.yaml", "purposes: { marketing: { topics: [reminders] } }\n")]);
    assert_eq!(&*without.policy.purposes[0].name, "service");
}

#[test]
fn identifiers_stand_in_the_files_order_then_the_defaults() {
    let definitions = sound(&[]);
    let rules: Vec<(String, Vec<String>, u32)> = definitions
        .plan
        .identifiers
        .iter()
        .map(|rule| {
            (
                rule.kind.to_string(),
                rule.from.iter().map(|path| path.join(".")).collect(),
                rule.limit,
            )
        })
        .collect();
    let row = |kind: &str, from: &[&str], limit| {
        (kind.to_owned(), from.iter().map(|&place| place.to_owned()).collect::<Vec<_>>(), limit)
    };
    assert_eq!(
        rules,
        [
            row("customer_id", &["userId"], 1),
            row("social:insta", &["properties.insta"], 5),
            row("loyalty_id", &["properties.loyalty_card"], 3),
            row("email", &["traits.email", "context.traits.email", "properties.email"], 5),
            row("phone", &["traits.phone", "context.traits.phone", "properties.phone"], 5),
            row("anonymous_id", &["anonymousId"], 50),
            row("device_id", &["context.device.id"], 50),
        ]
    );
}

#[test]
fn journeys_stand_by_priority_then_name() {
    let journey = |name: &str, priority: i32, event: &str| {
        format!(
            "journey: {name}\npurpose: service\npriority: {priority}\nentry: {{ on: {event} }}\nexit_on: [{{ on: Order Completed }}]\ngoal: {{ on: Order Completed }}\nsteps: []\n"
        )
    };
    let definitions = sound(&[
        ("journeys/x.yaml", &journey("b", 90, "Ping")),
        ("journeys/y.yaml", &journey("a", 90, "Ping")),
        ("journeys/z.yaml", &journey("c", 99, "Order Completed")),
    ]);
    let names: Vec<&str> = definitions.journeys.iter().map(|journey| &*journey.name).collect();
    assert_eq!(names, ["c", "a", "b", "j"]);
    assert_eq!(definitions.by_event["Ping"].entries, [1, 2, 3]);
    assert_eq!(definitions.by_event["Ping"].ends, Vec::<u16>::new());
    assert_eq!(definitions.by_event["Order Completed"].entries, [0]);
    assert_eq!(definitions.by_event["Order Completed"].ends, [0, 1, 2]);
}

#[test]
fn history_keeps_what_anything_reads() {
    let journey = r#"
journey: j
purpose: service
entry: { on: Ping, accept_late: 5h }
exit_on: [ { on: Order Completed, when: event.properties.total > 5 && has(event.properties.cart_id) } ]
steps:
  - branch:
      - when: "count('Ping', '24h', {'id': 'x'}) > 1 && sum('Ping', 'n', '3d') > 2"
        steps: []
"#;
    let definitions = sound(&[("journeys/j.yaml", journey), ("segments.yaml", "")]);
    let tracked = |event: &str| {
        let kept = &definitions.tracked[event];
        (kept.properties.iter().map(|path| path.join(".")).collect::<Vec<_>>(), kept.horizon)
    };
    assert_eq!(tracked("Ping"), (vec!["id".to_owned(), "n".to_owned()], Some(DurationMs::days(3))));
    // For the check at a late entry: accept_late and two days.
    assert_eq!(
        tracked("Order Completed"),
        (vec!["cart_id".to_owned(), "total".to_owned()], Some(DurationMs::hours(53)))
    );
    let forever = journey.replace(", '3d'", "");
    let definitions = sound(&[("journeys/j.yaml", &forever), ("segments.yaml", "")]);
    assert_eq!(definitions.tracked["Ping"].horizon, None);
    // Segments count too, and a window beside none changes nothing.
    let definitions = sound(&[("journeys/j.yaml", &forever)]);
    assert_eq!(definitions.tracked["Order Completed"].horizon, Some(DurationMs::days(60)));
}

#[test]
fn an_unchanged_file_keeps_its_content_hash() {
    let (one, two) = (sound(&[]), sound(&[("segments.yaml", "segments: {}")]));
    assert_ne!(one.version, two.version);
    assert_eq!(one.journeys[0].content, two.journeys[0].content);
}

#[test]
fn templates_say_what_they_need() {
    let definitions = sound(&[
        (
            "templates/t/en.yaml",
            "subject: 'Hi {{ profile.tier | default: ''you'' }}'\nbody: en.html\nlink_tracking: true\n",
        ),
        (
            "templates/t/en.html",
            "<p>{{ event.properties.id }} {{ links.unsubscribe }}{{ company.postal_address }}</p>",
        ),
        ("templates/t/en.txt", "{{ run.key }}"),
        ("templates/t/pl.yaml", "subject: Hej\nbody: pl.mjml\n"),
        ("templates/t/pl.mjml", "<mjml></mjml>"),
    ]);
    let template = &definitions.templates["t"];
    let english = &template.locales["en"];
    let join = |paths: &[crate::Path]| paths.iter().map(|path| path.join(".")).collect::<Vec<_>>();
    assert_eq!(join(&english.variables), ["event.properties.id", "profile.tier", "run.key"]);
    assert_eq!(join(&english.required), ["event.properties.id", "run.key"]);
    assert_eq!(
        (english.body_kind, english.text.as_deref()),
        (crate::BodyKind::Html, Some("{{ run.key }}"))
    );
    assert!(english.link_tracking && !english.promotional);
    assert_eq!(template.locales["pl"].body_kind, crate::BodyKind::Mjml);
    assert_eq!(
        template.choose(Some("pl-PL"), &definitions.workspace.locales).map(|(name, _)| &**name),
        Some("pl")
    );
}
