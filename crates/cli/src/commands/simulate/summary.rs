//! What a simulation came to, drawn for a terminal.

use crate::table::{self, cell, inked};
use crate::term::{Ink, bar, fit, grouped, paint};
use crate::when;
use sojourn_node::simulate::{JourneyCounts, Summary};
use std::collections::{BTreeMap, BTreeSet};

/// Cells of a bar.
const BAR_WIDTH: usize = 32;
/// More messages per week than this share the last row.
const WEEK_ROWS_MAX: u32 = 12;

/// The whole page.
pub(super) fn page(summary: &Summary, width: usize) -> Vec<String> {
    let mut lines = vec![head(summary)];
    lines.extend(oddities(summary));
    if summary.journeys.is_empty() {
        lines.push(String::new());
        lines.push(paint(Ink::Dim, "no journey was entered"));
        return lines;
    }
    lines.push(String::new());
    lines.extend(journeys(summary, width));
    lines.push(String::new());
    lines.extend(verdicts(summary));
    if !summary.contacts_per_week.is_empty() {
        lines.push(String::new());
        lines.extend(weeks(summary));
    }
    if !summary.consents.is_empty() {
        lines.push(String::new());
        lines.extend(consents(summary));
    }
    lines
}

fn head(summary: &Summary) -> String {
    let day = |at: sojourn_model::Timestamp| when::rfc3339(at)[..10].to_owned();
    let span = match (summary.from, summary.to) {
        (Some(from), Some(to)) => format!(", {} to {}", day(from), day(to)),
        _ => String::new(),
    };
    format!(
        "{} touchpoints of {} people{span}; {} profiles were recognised as somebody known",
        paint(Ink::Bold, &grouped(summary.touchpoints)),
        paint(Ink::Bold, &grouped(summary.people)),
        grouped(summary.merges),
    )
}

/// What did not count, and why.
fn oddities(summary: &Summary) -> Vec<String> {
    let mut parts = Vec::new();
    if summary.duplicates > 0 {
        parts.push(format!("{} copies", grouped(summary.duplicates)));
    }
    if summary.nobody > 0 {
        parts.push(format!("{} of nobody (no usable identifier)", grouped(summary.nobody)));
    }
    for (reason, count) in &summary.rejected {
        parts.push(format!("{} refused ({reason})", grouped(*count)));
    }
    for (limit, count) in &summary.limits {
        parts.push(format!("{} times the limit {limit}", grouped(*count)));
    }
    if parts.is_empty() {
        return Vec::new();
    }
    vec![paint(Ink::Dim, &format!("not counted: {}", parts.join(", ")))]
}

fn journeys(summary: &Summary, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, counts) in &summary.journeys {
        let mut parts = vec![format!("{} began", grouped(counts.entered))];
        if counts.converted > 0 {
            let value = if counts.value > 0.0 {
                format!(", worth {}", grouped(counts.value.round() as u64))
            } else {
                String::new()
            };
            parts.push(format!("{} reached the goal{value}", grouped(counts.converted)));
        }
        parts.extend(frequent(&counts.ended).map(|(count, why)| {
            format!("{} ended: {}", grouped(count), why.strip_prefix("exit: ").unwrap_or(why))
        }));
        lines.extend(wrapped(name, Ink::Journey, &parts, width));
        for (step, count) in &counts.reached {
            if !counts.sends.contains_key(step) {
                let parts = [format!("{} came here", grouped(*count))];
                lines.extend(wrapped(&format!("  {step}"), Ink::Dim, &parts, width));
            }
        }
        for (step, verdicts) in &counts.sends {
            let mut parts = vec![format!("{} sent", grouped(sent(verdicts)))];
            parts.extend(
                frequent(verdicts)
                    .filter(|(_, verdict)| *verdict != "approve")
                    .map(|(count, verdict)| format!("{} {verdict}", grouped(count))),
            );
            lines.extend(wrapped(&format!("  {step}"), Ink::Dim, &parts, width));
        }
        if !counts.refused.is_empty() {
            let parts: Vec<_> = frequent(&counts.refused)
                .map(|(count, why)| format!("{} {why}", grouped(count)))
                .collect();
            lines.extend(wrapped("  not begun", Ink::Dim, &parts, width));
        }
    }
    lines
}

/// Width of the column with the names of journeys and steps.
const NAME_WIDTH: usize = 22;

/// `name  part · part`, broken between parts where the line is full.
fn wrapped(name: &str, ink: Ink, parts: &[String], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut text = String::new();
    for part in parts {
        let longer = text.chars().count() + part.chars().count() + 3;
        if !text.is_empty() && longer + NAME_WIDTH > width {
            lines.push(std::mem::take(&mut text));
        }
        if !text.is_empty() {
            text.push_str(" · ");
        }
        text.push_str(part);
    }
    lines.push(text);
    let first = paint(ink, &fit(name, NAME_WIDTH - 1));
    let blank = " ".repeat(NAME_WIDTH - 1);
    let heads = std::iter::once(first.as_str()).chain(std::iter::repeat(blank.as_str()));
    heads.zip(&lines).map(|(head, line)| format!("{head} {line}").trim_end().to_owned()).collect()
}

/// The most frequent first.
fn frequent<K: AsRef<str> + Ord>(counts: &BTreeMap<K, u64>) -> impl Iterator<Item = (u64, &str)> {
    let mut list: Vec<_> = counts.iter().map(|(key, count)| (*count, key.as_ref())).collect();
    list.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    list.into_iter()
}

fn is_sent(verdict: &str) -> bool {
    verdict.starts_with("approve") || verdict.starts_with("reroute")
}

fn sent(verdicts: &BTreeMap<String, u64>) -> u64 {
    verdicts.iter().filter(|(verdict, _)| is_sent(verdict)).map(|(_, count)| count).sum()
}

fn verdicts(summary: &Summary) -> Vec<String> {
    let total: u64 = summary.verdicts.values().sum();
    let mut lines = vec![paint(Ink::Bold, &format!("{} decisions", grouped(total)))];
    let mut list: Vec<_> = summary.verdicts.iter().collect();
    list.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (verdict, count) in list {
        let ink = match verdict.split(':').next() {
            Some("approve" | "reroute") => Ink::Good,
            Some("defer") => Ink::Warn,
            _ => Ink::Bad,
        };
        lines.push(row(verdict, ink, *count, total));
    }
    lines
}

fn row(label: &str, ink: Ink, count: u64, total: u64) -> String {
    let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
    format!(
        "  {} {} {:>10} {:>4.0} %",
        paint(ink, &fit(label, 26)),
        paint(ink, &bar(share, BAR_WIDTH)),
        grouped(count),
        share * 100.0
    )
}

fn weeks(summary: &Summary) -> Vec<String> {
    let total: u64 = summary.contacts_per_week.values().sum();
    let mut lines = vec![paint(
        Ink::Bold,
        "messages per person and week (of the weeks in which somebody got one)",
    )];
    let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
    for (messages, weeks) in &summary.contacts_per_week {
        *rows.entry((*messages).min(WEEK_ROWS_MAX)).or_default() += weeks;
    }
    for (messages, count) in rows {
        let label = match messages {
            1 => "1 message".to_owned(),
            WEEK_ROWS_MAX => format!("{WEEK_ROWS_MAX} messages or more"),
            more => format!("{more} messages"),
        };
        lines.push(row(&label, Ink::Place, count, total));
    }
    lines
}

/// Who may be written to at the end: the share of all people.
fn consents(summary: &Summary) -> Vec<String> {
    let title = format!("who agreed to what, of {} people", grouped(summary.people));
    let mut lines = vec![paint(Ink::Bold, &title)];
    for (of, coverage) in &summary.consents {
        let mut line = row(of, Ink::Good, coverage.agreed, summary.people);
        if coverage.refused > 0 {
            let refused = format!("  {} said no", grouped(coverage.refused));
            line.push_str(&paint(Ink::Dim, &refused));
        }
        lines.push(line);
    }
    lines
}

/// What the second workspace would do differently.
pub(super) fn difference(
    here: &Summary,
    there: &Summary,
    names: &(String, String),
    width: usize,
) -> Vec<String> {
    let mut rows = Vec::new();
    let mut put = |what: String, a: u64, b: u64| {
        if a != b {
            let change = i128::from(b) - i128::from(a);
            let ink = if change > 0 { Ink::Good } else { Ink::Bad };
            rows.push(vec![
                cell(what),
                cell(grouped(a)),
                cell(grouped(b)),
                inked(ink, format!("{change:+}")),
            ]);
        }
    };
    let empty = JourneyCounts::default();
    let journeys: BTreeSet<_> = here.journeys.keys().chain(there.journeys.keys()).collect();
    for name in journeys {
        let a = here.journeys.get(name).unwrap_or(&empty);
        let b = there.journeys.get(name).unwrap_or(&empty);
        put(format!("{name}: began"), a.entered, b.entered);
        put(format!("{name}: reached the goal"), a.converted, b.converted);
        let total = |counts: &JourneyCounts| counts.sends.values().map(sent).sum();
        put(format!("{name}: sent"), total(a), total(b));
        for step in a.reached.keys().chain(b.reached.keys()).collect::<BTreeSet<_>>() {
            let of = |counts: &JourneyCounts| counts.reached.get(step).copied().unwrap_or(0);
            put(format!("{name}/{step}: came here"), of(a), of(b));
        }
        let steps: BTreeSet<_> = a.sends.keys().chain(b.sends.keys()).collect();
        // One message: its count is the journey's.
        for step in steps.iter().filter(|_| steps.len() > 1) {
            let of = |counts: &JourneyCounts| counts.sends.get(*step).map_or(0, sent);
            put(format!("{name}/{step}: sent"), of(a), of(b));
        }
        for reason in a.refused.keys().chain(b.refused.keys()).collect::<BTreeSet<_>>() {
            let of = |counts: &JourneyCounts| counts.refused.get(reason).copied().unwrap_or(0);
            put(format!("{name}: not begun, {reason}"), of(a), of(b));
        }
    }
    let verdicts: BTreeSet<_> = here.verdicts.keys().chain(there.verdicts.keys()).collect();
    for verdict in verdicts {
        let of = |summary: &Summary| summary.verdicts.get(verdict).copied().unwrap_or(0);
        put(format!("all journeys: {verdict}"), of(here), of(there));
    }
    let weeks: BTreeSet<_> =
        here.contacts_per_week.keys().chain(there.contacts_per_week.keys()).collect();
    for messages in weeks {
        let of = |summary: &Summary| summary.contacts_per_week.get(messages).copied().unwrap_or(0);
        let plural = if *messages == 1 { "" } else { "s" };
        put(format!("weeks with {messages} message{plural} to a person"), of(here), of(there));
    }
    let mut lines = vec![String::new(), paint(Ink::Bold, "what would be different")];
    if rows.is_empty() {
        lines.push(paint(Ink::Dim, "nothing: both come to the same counts"));
    } else {
        lines.extend(table::lines(&["", &names.0, &names.1, "change"], &rows, width));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(sent: u64, refused: u64) -> Summary {
        let mut summary = Summary::default();
        summary.touchpoints = 10;
        summary.people = 3;
        let verdicts: BTreeMap<String, u64> =
            [("approve".to_owned(), sent), ("suppress: cap".to_owned(), refused)].into();
        summary.verdicts = verdicts.clone();
        summary.contacts_per_week = [(1, sent)].into();
        let mut counts = JourneyCounts { entered: sent + refused, ..JourneyCounts::default() };
        counts.sends.insert("remind".into(), verdicts);
        summary.journeys.insert("abandoned-cart".into(), counts);
        summary
    }

    #[test]
    fn the_page_tells_sent_from_refused() {
        let page = page(&summary(3, 1), 120).join("\n");
        assert!(page.contains("3 sent"), "{page}");
        assert!(page.contains("1 suppress: cap"), "{page}");
        assert!(page.contains("4 decisions") && page.contains("75 %"), "{page}");
    }

    #[test]
    fn a_comparison_shows_only_what_differs() {
        let names = ("now".to_owned(), "draft".to_owned());
        let same = difference(&summary(3, 1), &summary(3, 1), &names, 100).join("\n");
        assert!(same.contains("nothing"), "{same}");
        let other = difference(&summary(3, 1), &summary(2, 2), &names, 100).join("\n");
        assert!(other.contains("abandoned-cart: sent") && other.contains("-1"), "{other}");
        assert!(!other.contains("began"), "{other}");
    }
}
