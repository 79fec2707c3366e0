//! Pages for people: what `person` and `explain` print. The rows of a timeline are the lines of `tail`.
//!
//! As for lines, a field that is missing makes a poorer page, never an error.

use crate::lines::{Teller, label, text};
use crate::table::{self, Cell, cell, inked};
use crate::term::{Ink, clean, pad, paint};
use crate::when;
use chrono_tz::Tz;
use serde_json::Value;

/// `sojourn explain`: the sentence, then what it rests on.
pub(crate) fn decision_page(sentence: &str, decision: &Value) -> Vec<String> {
    let mut lines = vec![paint(Ink::Bold, &clean(sentence)), String::new()];
    let mut row = |key: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {} {}", paint(Ink::Dim, &pad(key, 12)), clean(&value)));
        }
    };
    let zone: Tz = decision["zone"].as_str().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
    row("decision", text(decision, "id"));
    row(
        "when",
        when::from_json(&decision["at"])
            .map(|at| format!("{} ({})", when::long(at, zone), zone.name()))
            .unwrap_or_default(),
    );
    row("person", identifiers(decision));
    let journey = text(decision, "journey");
    if !journey.is_empty() {
        row(
            "journey",
            format!(
                "{journey}, step {}, version {}",
                text(decision, "step"),
                text(decision, "version")
            ),
        );
    }
    row("run of", text(decision, "run_key"));
    let endpoint = text(decision, "endpoint");
    let channel = text(decision, "channel");
    row("channel", if endpoint.is_empty() { channel } else { format!("{channel} to {endpoint}") });
    let topic = text(decision, "topic");
    let purpose = text(decision, "purpose");
    row("purpose", if topic.is_empty() { purpose } else { format!("{purpose}/{topic}") });
    row("outcome", text(decision, "outcome"));
    row("reason", text(decision, "reason"));
    row(
        "until",
        when::from_json(&decision["until"]).map(|at| when::long(at, zone)).unwrap_or_default(),
    );
    row("action", text(decision, "action_id"));
    for cap in decision["caps"].as_array().into_iter().flatten() {
        let of = format!("{} of {} used before", cap["used"], cap["limit"]);
        row("cap", format!("{}: {of}", text(cap, "id")));
    }
    let fatigue = &decision["inputs"]["fatigue"];
    if fatigue.is_object() {
        let of = ["ignored", "dismissed", "unsubscribed", "complained"]
            .map(|outcome| format!("{} {outcome}", fatigue[outcome]))
            .join(", ");
        row("fatigue", format!("{} ({of}): caps at {} %", fatigue["score"], fatigue["caps"]));
    }
    lines
}

fn identifiers(record: &Value) -> String {
    let list = record["identifiers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<_> =
        list.iter().map(|one| format!("{}:{}", text(one, "kind"), text(one, "value"))).collect();
    words.join(", ")
}

/// `sojourn person …`: a heading and the view's rows.
pub(crate) fn person_page(view: &str, answer: &Value, zone: Tz, width: usize) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        paint(Ink::Bold, &text(answer, "profile")),
        clean(&identifiers(answer))
    )];
    let zone = answer["zone"].as_str().and_then(|name| name.parse().ok()).unwrap_or(zone);
    match view {
        "show" => show_page(answer, zone, width, &mut lines),
        "timeline" => {
            let mut teller = Teller::new(zone, width);
            if let (Some((_, name)), Some(profile)) = (label(answer), answer["profile"].as_str()) {
                teller.name(profile, &name);
            }
            let entries = answer["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut day = String::new();
            for entry in entries {
                let at = when::from_json(&entry["at"]);
                let today = at.map(|at| when::full(at, zone)[..10].to_owned()).unwrap_or_default();
                if today != day {
                    lines.push(paint(Ink::Dim, &format!("── {today}")));
                    day = today;
                }
                let kind = entry["kind"].as_str().unwrap_or("");
                lines.extend(teller.line(kind, entry));
                if kind == "decision" {
                    lines.push(paint(
                        Ink::Dim,
                        &format!("{}why: sojourn explain {}", " ".repeat(36), text(entry, "id")),
                    ));
                }
            }
            nothing_when_empty(entries.len(), "nothing has happened yet", &mut lines);
        }
        "decisions" => {
            let decisions = answer["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
            let rows: Vec<_> = decisions.iter().map(|row| decision_row(row, zone)).collect();
            nothing_when_empty(rows.len(), "nothing has been decided yet", &mut lines);
            if !rows.is_empty() {
                let header = ["when", "decision", "journey", "by", "what came of it"];
                lines.extend(table::lines(&header, &rows, width));
            }
        }
        _ => consents(answer, zone, width, &mut lines),
    }
    lines
}

fn nothing_when_empty(rows: usize, words: &str, lines: &mut Vec<String>) {
    if rows == 0 {
        lines.push(paint(Ink::Dim, words));
    }
}

fn decision_row(row: &Value, zone: Tz) -> Vec<Cell> {
    let ink = match row["outcome"].as_str() {
        Some("approve" | "reroute") => Ink::Good,
        Some("defer") => Ink::Warn,
        _ => Ink::Bad,
    };
    let at = when::from_json(&row["at"]).map(|at| when::full(at, zone)).unwrap_or_default();
    let why = text(row, "why");
    let what = if why.is_empty() {
        format!("{} {}", text(row, "outcome"), text(row, "reason"))
    } else {
        why
    };
    vec![
        inked(Ink::Dim, at),
        cell(text(row, "id")),
        inked(Ink::Journey, format!("{}/{}", text(row, "journey"), text(row, "step"))),
        cell(text(row, "channel")),
        inked(ink, clean(&what)),
    ]
}

fn show_page(answer: &Value, zone: Tz, width: usize, lines: &mut Vec<String>) {
    let time =
        |value: &Value| when::from_json(value).map(|at| when::full(at, zone)).unwrap_or_default();
    let mut row = |key: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {} {}", paint(Ink::Dim, &pad(key, 12)), clean(&value)));
        }
    };
    row("since", time(&answer["created_at"]));
    let source = text(answer, "zone_source");
    let source = if source.is_empty() { source } else { format!(" ({source})") };
    row("time zone", format!("{}{source}", text(answer, "zone")));
    for (name, value) in answer["attributes"].as_object().into_iter().flatten() {
        row(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let names: Vec<_> =
        answer["segments"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    row("segments", names.join(", "));
    let runs = answer["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !runs.is_empty() {
        let rows: Vec<_> = runs
            .iter()
            .map(|run| {
                vec![
                    inked(Ink::Journey, text(run, "journey")),
                    cell(text(run, "run_key")),
                    cell(text(run, "step")),
                    cell(time(&run["entered_at"])),
                    cell(time(&run["until"])),
                ]
            })
            .collect();
        lines.push(String::new());
        lines.extend(table::lines(
            &["on the way in", "run of", "step", "since", "until"],
            &rows,
            width,
        ));
    }
    lines.push(String::new());
    consents(answer, zone, width, lines);
    let sends = answer["sends"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !sends.is_empty() {
        let rows: Vec<_> = sends
            .iter()
            .map(|send| {
                let journey = format!("{}/{}", text(send, "journey"), text(send, "step"));
                vec![
                    inked(Ink::Dim, time(&send["at"])),
                    cell(text(send, "channel")),
                    cell(text(send, "purpose")),
                    inked(Ink::Journey, journey),
                ]
            })
            .collect();
        lines.push(String::new());
        lines.extend(table::lines(&["sent", "by", "purpose", "journey"], &rows, width));
    }
}

fn consents(answer: &Value, zone: Tz, width: usize, lines: &mut Vec<String>) {
    let time =
        |value: &Value| when::from_json(value).map(|at| when::full(at, zone)).unwrap_or_default();
    let rows: Vec<_> = answer["consents"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|consent| {
            let granted = consent["state"] == "granted";
            let topic = text(consent, "topic");
            let purpose = text(consent, "purpose");
            vec![
                if granted { inked(Ink::Good, "yes") } else { inked(Ink::Bad, "no") },
                cell(if topic.is_empty() { purpose } else { format!("{purpose}/{topic}") }),
                cell(text(consent, "channel")),
                cell(text(consent, "endpoint")),
                cell(time(&consent["at"])),
                inked(
                    Ink::Dim,
                    format!("{} {}", text(consent, "source"), text(consent, "event_id")),
                ),
            ]
        })
        .collect();
    if rows.is_empty() {
        lines.push(paint(Ink::Dim, "no statement of consent is recorded: that means no"));
    } else {
        let header = ["said", "to", "by", "for", "when", "evidence"];
        lines.extend(table::lines(&header, &rows, width));
    }
    for blocked in answer["suppressions"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{} {} {} since {} ({})",
            paint(Ink::Bad, "blocked:"),
            text(blocked, "channel"),
            clean(&text(blocked, "endpoint")),
            time(&blocked["at"]),
            text(blocked, "kind"),
        ));
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_of_a_person_show_what_there_is() {
        let answer = json!({"profile": "p1", "identifiers": [{"kind": "email", "value": "a@b.c"}],
            "zone": "Europe/London", "attributes": {"first_name": "Ada"},
            "consents": [{"state": "denied", "purpose": "marketing", "channel": "email",
                "at": "2026-03-03T14:05:00.000Z"}]});
        let page = person_page("show", &answer, Tz::UTC, 100).join("\n");
        assert!(page.contains("first_name") && page.contains("email:a@b.c"), "{page}");
        assert!(page.contains("no    marketing"), "{page}");
        let empty = person_page("timeline", &json!({"profile": "p1"}), Tz::UTC, 100);
        assert!(empty[1].contains("nothing has happened"));
    }
}
