//! Decisions as lines of `simulate`'s file. In words they are explained by `sojourn_rules::explain`.

use crate::json::{instant_text, write_text};
use sojourn_model::Decision;
use std::fmt::Write;

/// The line of a decision in `--decisions` (interfaces, "simulate's files"), without the line end.
/// Keys always in this order: the same decision gives the same bytes.
pub fn decision_line(decision: &Decision) -> String {
    let mut line = String::with_capacity(512);
    let mut out = Line { text: &mut line, first: true };
    out.text.push('{');
    out.put("at", Some(&instant_text(decision.at)));
    out.put("candidate_id", Some(&decision.candidate.to_string()));
    out.put("profile", Some(&decision.profile.to_string()));
    out.key("identifiers");
    out.list(&decision.identifiers, |line, identifier| {
        line.put("kind", Some(&identifier.kind.to_string()));
        line.put("value", Some(&identifier.value));
    });
    out.put("journey", Some(&decision.journey));
    out.put("version", Some(&decision.version.to_string()));
    out.put("run_key", decision.run_key.as_deref());
    out.put("step", Some(&decision.step));
    out.put("channel", Some(&decision.channel));
    out.put("endpoint", decision.endpoint.as_deref());
    out.put("purpose", Some(&decision.purpose));
    out.put("topic", decision.topic.as_deref());
    out.put("outcome", Some(decision.outcome.as_str()));
    out.put("reason", decision.reason.map(|reason| reason.as_str()));
    out.put("until", decision.until.map(instant_text).as_deref());
    out.put("action_id", decision.action.map(|action| action.to_string()).as_deref());
    out.key("caps");
    out.list(&decision.caps, |line, cap| {
        line.put("id", Some(&cap.id));
        line.key("used");
        write!(line.text, "{}", cap.used).expect("a String takes all");
        line.key("limit");
        write!(line.text, "{}", cap.limit).expect("a String takes all");
    });
    if let Some(fatigue) = decision.inputs.fatigue {
        out.key("fatigue");
        out.text.push('{');
        let mut line = Line { text: out.text, first: true };
        for (key, number) in [
            ("score", fatigue.score),
            ("ignored", fatigue.ignored),
            ("dismissed", fatigue.dismissed),
            ("unsubscribed", fatigue.unsubscribed),
            ("complained", fatigue.complained),
            ("caps", fatigue.caps),
        ] {
            line.key(key);
            write!(line.text, "{number}").expect("a String takes all");
        }
        out.text.push('}');
    }
    out.put("zone", Some(&decision.zone));
    line.push('}');
    line
}

struct Line<'a> {
    text: &'a mut String,
    first: bool,
}

impl Line<'_> {
    fn key(&mut self, key: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.text.push(',');
        }
        write_text(key, self.text);
        self.text.push(':');
    }

    fn put(&mut self, key: &str, value: Option<&str>) {
        self.key(key);
        match value {
            Some(value) => write_text(value, self.text),
            None => self.text.push_str("null"),
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Line<'_>, &T)) {
        self.text.push('[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.text.push(',');
            }
            self.text.push('{');
            write(&mut Line { text: self.text, first: true }, item);
            self.text.push('}');
        }
        self.text.push(']');
    }
}
