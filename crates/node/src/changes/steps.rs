//! What changes at a step.

use super::{event_rule, local_time, purpose, span, value};
use sojourn_model::{DurationMs, Name};
use sojourn_rules::{AtCap, Condition, Send, Step, StepKind, Wait, WaitWhat};

/// What a step is called in the files.
pub(super) fn kind(kind: &StepKind) -> &'static str {
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
        StepKind::Call(_) => "call",
        StepKind::Digest(_) => "digest",
        StepKind::Enter { .. } => "enter",
    }
}

/// Tells how a step differs.
pub(super) fn step(journey: &Name, old: &Step, new: &Step, words: &mut Vec<String>) {
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
        (StepKind::Digest(a), StepKind::Digest(b)) => {
            tell("window", span(a.window), span(b.window));
            tell("max", a.max.to_string(), b.max.to_string());
            tell("key", text_of(a.key.as_ref()), text_of(b.key.as_ref()));
        }
        (StepKind::Enter { journey: a, key: k }, StepKind::Enter { journey: b, key: l }) => {
            tell("journey to enter", a.to_string(), b.to_string());
            tell("key", text_of(k.as_ref()), text_of(l.as_ref()));
        }
        (StepKind::Call(a), StepKind::Call(b)) => {
            tell("host", a.host.to_string(), b.host.to_string());
            tell("timeout", span(a.timeout), span(b.timeout));
            let on_error = |exit: bool| if exit { "exit" } else { "continue" }.to_owned();
            tell("on_error", on_error(a.exit), on_error(b.exit));
            if a.url != b.url || a.method != b.method || a.headers != b.headers || a.body != b.body
            {
                words.push(format!("{journey}: the request of {id} is changed"));
            }
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
    match wait {
        Wait::Elapsed { duration, restart_on } if restart_on.is_empty() => span(*duration),
        Wait::Elapsed { duration, restart_on } => {
            let on: Vec<&str> = restart_on.iter().map(|name| &**name).collect();
            format!("{} (anew on {})", span(*duration), on.join(" or "))
        }
        Wait::Until { minute, weekdays } if weekdays.is_empty() => {
            format!("until {}", local_time(*minute))
        }
        Wait::Until { minute, weekdays } => {
            const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            let days: Vec<&str> =
                weekdays.iter().filter_map(|day| DAYS.get(usize::from(*day)).copied()).collect();
            format!("until {} on {}", local_time(*minute), days.join(" or "))
        }
        Wait::UntilDate { date, minute, offset_days, yearly } => {
            let every = if *yearly { " every year" } else { "" };
            format!("until {} {offset_days:+}d at {}{every}", date.text, local_time(*minute))
        }
    }
}

fn awaited(what: &WaitWhat) -> String {
    match what {
        WaitWhat::Event(rule) => event_rule(rule),
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
    let best_time = |send: &Send| send.best_time.map_or("none".to_owned(), span);
    tell("best_time", best_time(a), best_time(b));
    tell("only_if", text_of(a.only_if.as_ref()), text_of(b.only_if.as_ref()));
    tell("value", text_of(a.value.as_ref()), text_of(b.value.as_ref()));
    tell("tags", list(&a.tags), list(&b.tags));
    tell("priority", a.priority.to_string(), b.priority.to_string());
    let variables = |send: &Send| {
        let one = |(name, value): &(Name, Condition)| format!("{name}: {}", value.text);
        send.variables.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    tell("variables", variables(a), variables(b));
}

/// A word of the files.
pub(super) fn at_cap(at_cap: AtCap) -> &'static str {
    match at_cap {
        AtCap::Drop => "drop",
        AtCap::Defer => "defer",
        AtCap::Fallback => "fallback",
        AtCap::Digest => "digest",
    }
}

fn text_of(condition: Option<&Condition>) -> String {
    condition.map_or("none".to_owned(), |condition| condition.text.to_string())
}
