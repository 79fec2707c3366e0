//! What a publish changes, in sentences: "abandoned-cart: wait of settle 1h → 2h".

use sojourn_model::{DurationMs, Name};
use sojourn_rules::{
    AtCap, Cap, CapWindow, Definitions, Journey, Reentry, Send, Step, StepKind, Trigger, Wait,
    WaitWhat,
};
use std::collections::{BTreeMap, BTreeSet};

/// Sentences told of one publish (LIM-1); those beyond are counted.
const SENTENCES_MAX: usize = 500;

/// Every change of meaning between two versions; `old` is `None` before the first publish.
pub(crate) fn in_words(old: Option<&Definitions>, new: &Definitions) -> Vec<String> {
    let mut words = Vec::new();
    let Some(old) = old else {
        return vec![format!("the first version, with {} journeys", new.journeys.len())];
    };
    fn named(of: &Definitions) -> BTreeMap<&str, &Journey> {
        of.journeys.iter().map(|journey| (&*journey.name, &**journey)).collect()
    }
    pairs(&named(old), &named(new), |name, before, after| match (before, after) {
        (Some(before), Some(after)) => journey(before, after, &mut words),
        (Some(_), None) => words.push(format!("{name}: the journey is removed")),
        (None, _) => words.push(format!("{name}: a new journey")),
    });
    policy(old, new, &mut words);
    pairs(&old.segments, &new.segments, |name, before, after| match (before, after) {
        (Some(before), Some(after)) => {
            value(
                &mut words,
                format!("segment {name}: who is in it"),
                &before.when.text,
                &after.when.text,
            );
        }
        (Some(_), None) => words.push(format!("segment {name} is removed")),
        (None, _) => words.push(format!("segment {name} is new")),
    });
    pairs(&old.templates, &new.templates, |name, before, after| match (before, after) {
        (Some(before), Some(after)) => {
            pairs(&before.locales, &after.locales, |locale, before, after| match (before, after) {
                (Some(a), Some(b)) if a.subject != b.subject => words.push(format!(
                    "template {name}: subject in {locale} “{}” → “{}”",
                    a.subject, b.subject
                )),
                (Some(a), Some(b)) if a != b => {
                    words.push(format!("template {name}: text in {locale} is changed"));
                }
                (Some(_), None) => words.push(format!("template {name}: {locale} is removed")),
                (None, _) => words.push(format!("template {name}: {locale} is new")),
                _ => {}
            });
        }
        (Some(_), None) => words.push(format!("template {name} is removed")),
        (None, _) => words.push(format!("template {name} is new")),
    });
    let names = |what: &str, a: BTreeSet<&Name>, b: BTreeSet<&Name>, words: &mut Vec<String>| {
        words.extend(b.difference(&a).map(|name| format!("{what} {name} is new")));
        words.extend(a.difference(&b).map(|name| format!("{what} {name} is removed")));
    };
    let (a, b) = (&old.plan, &new.plan);
    names("event", a.events.keys().collect(), b.events.keys().collect(), &mut words);
    names("attribute", a.attributes.keys().collect(), b.attributes.keys().collect(), &mut words);
    if words.len() > SENTENCES_MAX {
        let beyond = words.len() - SENTENCES_MAX;
        words.truncate(SENTENCES_MAX);
        words.push(format!("{beyond} more changes are not listed"));
    }
    words
}

/// Messages that one entry of each journey may bring about, at most.
pub(crate) fn costs(definitions: &Definitions) -> BTreeMap<String, f64> {
    let cost =
        |journey: &Journey| (journey.name.to_string(), sojourn_rules::sends_per_entry(journey));
    definitions.journeys.iter().map(|journey| cost(journey)).collect()
}

/// Everything that is in either map, in order.
fn pairs<K: Ord, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    mut each: impl FnMut(&K, Option<&V>, Option<&V>),
) {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    for key in keys {
        each(key, old.get(key), new.get(key));
    }
}

/// Tells of a value that differs.
fn value(words: &mut Vec<String>, what: String, old: &str, new: &str) {
    if old != new {
        words.push(format!("{what} {old} → {new}"));
    }
}

fn journey(old: &Journey, new: &Journey, words: &mut Vec<String>) {
    let name = &new.name;
    let before = words.len();
    let mut tell = |what: &str, a: &str, b: &str| value(words, format!("{name}: {what}"), a, b);
    tell(
        "purpose",
        &purpose(&old.purpose, old.topic.as_ref()),
        &purpose(&new.purpose, new.topic.as_ref()),
    );
    tell("priority", &old.priority.to_string(), &new.priority.to_string());
    tell("entry", &entry(old), &entry(new));
    tell("reentry", &reentry(old.entry.reentry), &reentry(new.entry.reentry));
    tell("accept_late", &span(old.entry.accept_late), &span(new.entry.accept_late));
    let within = |journey: &Journey| {
        journey.goal.as_ref().map_or("none".to_owned(), |goal| {
            let on: Vec<&str> = goal.rule.on.iter().map(|name| &**name).collect();
            let within = goal.within.map_or_else(String::new, |w| format!(" within {}", span(w)));
            format!("{}{within}", on.join(" or "))
        })
    };
    tell("goal", &within(old), &within(new));
    let exits = |journey: &Journey| {
        let rule = |rule: &sojourn_rules::EventRule| {
            let on: Vec<&str> = rule.on.iter().map(|name| &**name).collect();
            let when = rule.when.as_ref().map_or_else(String::new, |w| format!(" when {}", w.text));
            format!("{}{when}", on.join(" or "))
        };
        let all: Vec<String> = journey.exit_on.iter().map(rule).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    };
    tell("exit_on", &exits(old), &exits(new));
    let order = |journey: &Journey| -> BTreeMap<Name, Step> {
        journey.steps.iter().map(|step| (step.id.clone(), step.clone())).collect()
    };
    pairs(&order(old), &order(new), |id, before, after| match (before, after) {
        (Some(before), Some(after)) => step(name, before, after, words),
        (Some(before), None) => {
            words.push(format!("{name}: the {} {id} is removed", kind(&before.kind)));
        }
        (None, Some(after)) => words.push(format!("{name}: a new {} {id}", kind(&after.kind))),
        (None, None) => {}
    });
    let ids = |journey: &Journey| -> Vec<Name> {
        journey.steps.iter().map(|step| step.id.clone()).collect()
    };
    let (a, b) = (ids(old), ids(new));
    let kept_a: Vec<_> = a.iter().filter(|id| b.contains(id)).collect();
    let kept_b: Vec<_> = b.iter().filter(|id| a.contains(id)).collect();
    if kept_a != kept_b {
        words.push(format!("{name}: the steps come in another order"));
    }
    if words.len() == before && old.content != new.content {
        words.push(format!("{name}: wording or notes of the file, or details not named here"));
    }
}

fn purpose(purpose: &Name, topic: Option<&Name>) -> String {
    topic.map_or_else(|| purpose.to_string(), |topic| format!("{purpose}/{topic}"))
}

fn entry(journey: &Journey) -> String {
    let trigger = match &journey.entry.trigger {
        Trigger::Event(rule) => {
            let on: Vec<&str> = rule.on.iter().map(|name| &**name).collect();
            let when = rule.when.as_ref().map_or_else(String::new, |w| format!(" when {}", w.text));
            format!("{}{when}", on.join(" or "))
        }
        Trigger::Segment { segment, enter } => {
            format!("{} segment {segment}", if *enter { "enter" } else { "leave" })
        }
        Trigger::Attribute { name, .. } => format!("change of {name}"),
        Trigger::Api => "api".to_owned(),
        #[allow(unreachable_patterns, reason = "further forms are told by their file's diff")]
        _ => "another form".to_owned(),
    };
    let key = journey.entry.key.as_ref();
    key.map_or(trigger.clone(), |key| format!("{trigger} by {}", key.text))
}

fn reentry(reentry: Reentry) -> String {
    match reentry {
        Reentry::Never => "never".to_owned(),
        Reentry::AfterExit => "after_exit".to_owned(),
        Reentry::After(time) => format!("after {}", span(time)),
        Reentry::Always => "always".to_owned(),
    }
}

fn kind(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Send(_) => "send",
        StepKind::Wait(_) => "wait",
        StepKind::WaitFor(_) => "wait_for",
        StepKind::Branch(_) => "branch",
        StepKind::Split { .. } => "split",
        StepKind::Update(_) => "update",
        StepKind::Emit { .. } => "emit",
        StepKind::Throttle { .. } => "throttle",
        StepKind::Goal => "goal",
        StepKind::Exit(_) => "exit",
        #[allow(unreachable_patterns, reason = "further steps have the general name")]
        _ => "step",
    }
}

fn step(journey: &Name, old: &Step, new: &Step, words: &mut Vec<String>) {
    let id = &new.id;
    let mut tell = |what: &str, a: String, b: String| {
        value(words, format!("{journey}: {what} of {id}"), &a, &b);
    };
    match (&old.kind, &new.kind) {
        (StepKind::Wait(a), StepKind::Wait(b)) => tell("wait", wait(a), wait(b)),
        (StepKind::WaitFor(a), StepKind::WaitFor(b)) => {
            tell("what is waited for", awaited(&a.what), awaited(&b.what));
            let timeout = |at: Option<DurationMs>| at.map_or("none".to_owned(), span);
            tell("timeout", timeout(a.timeout), timeout(b.timeout));
        }
        (StepKind::Send(a), StepKind::Send(b)) => send(a, b, &mut tell),
        (StepKind::Branch(a), StepKind::Branch(b)) => {
            let arms = |arms: &[sojourn_rules::Arm]| {
                let text = |arm: &sojourn_rules::Arm| {
                    arm.when.as_ref().map_or("else".to_owned(), |when| when.text.to_string())
                };
                arms.iter().map(text).collect::<Vec<_>>().join(" | ")
            };
            tell("arms", arms(a), arms(b));
        }
        (StepKind::Split { arms: a, .. }, StepKind::Split { arms: b, .. }) => {
            let shares = |arms: &[sojourn_rules::SplitArm]| {
                let share =
                    |arm: &sojourn_rules::SplitArm| format!("{} {} %", arm.arm, arm.percent);
                arms.iter().map(share).collect::<Vec<_>>().join(", ")
            };
            tell("arms", shares(a), shares(b));
        }
        (
            StepKind::Throttle { at_most: a, per: p, .. },
            StepKind::Throttle { at_most: b, per: q, .. },
        ) => {
            tell("limit", format!("{a} per {}", span(*p)), format!("{b} per {}", span(*q)));
        }
        (StepKind::Exit(a), StepKind::Exit(b)) => tell("reason", a.to_string(), b.to_string()),
        (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
            words.push(format!("{journey}: {id} was a {} and becomes a {}", kind(a), kind(b)));
        }
        (a, b) if a != b => words.push(format!("{journey}: the {} {id} is changed", kind(b))),
        _ => {}
    }
}

fn wait(wait: &Wait) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    match wait {
        Wait::Elapsed { duration, restart_on } if restart_on.is_empty() => span(*duration),
        Wait::Elapsed { duration, restart_on } => {
            let on: Vec<&str> = restart_on.iter().map(|name| &**name).collect();
            format!("{} (anew on {})", span(*duration), on.join(" or "))
        }
        Wait::Until { minute, weekdays } if weekdays.is_empty() => {
            format!("until {}", time(*minute))
        }
        Wait::Until { minute, weekdays } => {
            const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            let days: Vec<&str> =
                weekdays.iter().filter_map(|day| DAYS.get(usize::from(*day)).copied()).collect();
            format!("until {} on {}", time(*minute), days.join(" or "))
        }
        Wait::UntilDate { date, minute, offset_days, yearly } => {
            let every = if *yearly { " every year" } else { "" };
            format!("until {} {offset_days:+}d at {}{every}", date.text, time(*minute))
        }
    }
}

fn awaited(what: &WaitWhat) -> String {
    match what {
        WaitWhat::Event(rule) => {
            let on: Vec<&str> = rule.on.iter().map(|name| &**name).collect();
            let when = rule.when.as_ref().map_or_else(String::new, |w| format!(" when {}", w.text));
            format!("{}{when}", on.join(" or "))
        }
        WaitWhat::Condition(condition) => condition.text.to_string(),
    }
}

fn send(a: &Send, b: &Send, tell: &mut dyn FnMut(&str, String, String)) {
    let list = |names: &[Name]| names.iter().map(|n| &**n).collect::<Vec<_>>().join(", ");
    tell("template", a.template.to_string(), b.template.to_string());
    tell("channels", list(&a.channels), list(&b.channels));
    tell("purpose", purpose(&a.purpose, a.topic.as_ref()), purpose(&b.purpose, b.topic.as_ref()));
    let expires = |send: &Send| send.expires.map_or("none".to_owned(), span);
    tell("expires", expires(a), expires(b));
    let at_cap = |send: &Send| send.at_cap.map_or("the cap's", at_cap).to_owned();
    tell("at_cap", at_cap(a), at_cap(b));
    let only_if =
        |send: &Send| send.only_if.as_ref().map_or("none".to_owned(), |when| when.text.to_string());
    tell("only_if", only_if(a), only_if(b));
    tell("priority", a.priority.to_string(), b.priority.to_string());
    let variables = |send: &Send| {
        let one =
            |(name, value): &(Name, sojourn_rules::Condition)| format!("{name}: {}", value.text);
        send.variables.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    tell("variables", variables(a), variables(b));
}

fn at_cap(at_cap: AtCap) -> &'static str {
    match at_cap {
        AtCap::Drop => "drop",
        AtCap::Defer => "defer",
        AtCap::Fallback => "fallback",
        AtCap::Digest => "digest",
    }
}

fn policy(old: &Definitions, new: &Definitions, words: &mut Vec<String>) {
    let (a, b) = (&old.policy, &new.policy);
    let caps = |caps: &[Cap]| -> BTreeMap<Name, Cap> {
        caps.iter().map(|cap| (cap.id.clone(), cap.clone())).collect()
    };
    let limit = |cap: &Cap| {
        let per = match cap.per {
            CapWindow::Rolling(window) => span(window),
            CapWindow::LocalDay => "local_day".to_owned(),
            CapWindow::LocalWeek => "local_week".to_owned(),
            CapWindow::LocalMonth => "local_month".to_owned(),
        };
        format!("{} per {per}", cap.at_most)
    };
    pairs(&caps(&a.caps), &caps(&b.caps), |id, before, after| match (before, after) {
        (Some(before), Some(after)) => {
            value(words, format!("cap {id}: limit"), &limit(before), &limit(after));
            value(words, format!("cap {id}: at_cap"), at_cap(before.at_cap), at_cap(after.at_cap));
            if before.scope != after.scope {
                words.push(format!("cap {id}: it counts other messages than before"));
            }
        }
        (Some(before), None) => words.push(format!("cap {id} ({}) is removed", limit(before))),
        (None, Some(after)) => words.push(format!("a new cap {id}: {}", limit(after))),
        (None, None) => {}
    });
    if a.quiet_hours != b.quiet_hours {
        words.push("quiet hours are changed".to_owned());
    }
    if a.holdout != b.holdout {
        words.push("the holdout is changed".to_owned());
    }
    if a.purposes != b.purposes {
        words.push("purposes, topics or their exemptions are changed".to_owned());
    }
    value(
        words,
        "arbitration window".to_owned(),
        &span(a.arbitration_window),
        &span(b.arbitration_window),
    );
    value(
        words,
        "people needed to publish".to_owned(),
        &a.approvals_publish.to_string(),
        &b.approvals_publish.to_string(),
    );
    for setting in b.lint.iter().filter(|setting| !a.lint.contains(setting)) {
        let level = if setting.level.is_none() { "turned off" } else { "set to another level" };
        words.push(format!("lint rule {} is {level}: {}", setting.rule, setting.because));
    }
    for setting in a.lint.iter().filter(|old| b.lint.iter().all(|new| new.rule != old.rule)) {
        words.push(format!("lint rule {} is back at its own level", setting.rule));
    }
}

/// A duration as one writes it.
fn span(duration: DurationMs) -> String {
    const UNITS: [(i64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    if duration.0 == 0 {
        return "0s".to_owned();
    }
    let mut left = duration.0.abs();
    let mut text = String::new();
    for (size, unit) in UNITS {
        if left >= size {
            text.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if duration.0 < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_rules::{Files, compile};

    const JOURNEY: &str = "journey: j\npurpose: service\nentry: { on: Ping }\nsteps:\n  - id: settle\n    wait: 1h\n  - id: tell\n    send: { template: t, channels: [email], expires: 24h }\n";

    fn of(journey: &str, cap: &str) -> std::sync::Arc<Definitions> {
        let mut files = Files::default();
        for (path, text) in [
            ("sojourn.yaml", "workspace: w\nlocales: [en]\ncompany: { postal_address: x }\n"),
            ("tracking-plan.yaml", "events: { Ping: {} }\n"),
            ("policy.yaml", cap),
            ("journeys/j.yaml", journey),
            ("templates/t/en.yaml", "subject: Hi\nbody: en.txt\n"),
            ("templates/t/en.txt", "Hi."),
        ] {
            files.0.insert(path.to_owned(), text.to_owned());
        }
        let compiled = compile(&files);
        compiled.definitions.unwrap_or_else(|| panic!("{:?}", compiled.findings))
    }

    #[test]
    fn changes_are_told_in_sentences() {
        let cap = "caps: [ { id: daily, at_most: 1, per: 24h } ]\n";
        let old = of(JOURNEY, cap);
        let tell = |journey: &str, cap: &str| in_words(Some(&old), &of(journey, cap));
        assert_eq!(tell(JOURNEY, cap), Vec::<String>::new());
        assert_eq!(
            tell(&JOURNEY.replace("wait: 1h", "wait: 90m"), cap),
            ["j: wait of settle 1h → 1h30m"]
        );
        assert_eq!(
            tell(&JOURNEY.replace("24h", "2d"), &cap.replace("at_most: 1", "at_most: 2")),
            ["j: expires of tell 1d → 2d", "cap daily: limit 1 per 1d → 2 per 1d"]
        );
        assert_eq!(
            tell(&JOURNEY.replace("    wait: 1h", "    goal: reached"), cap),
            ["j: settle was a wait and becomes a goal"]
        );
        assert_eq!(
            tell(&JOURNEY.replace("journey: j", "journey: k"), cap),
            ["j: the journey is removed", "k: a new journey"]
        );
    }
}
