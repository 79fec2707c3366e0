//! The end of the story: what it came to, and what to try next.

use super::ledger::{Check, Ledger};
use crate::term::{Ink, bar, fit, grouped, paint};
use serde_json::{Value, json};
use std::path::Path;

/// Cells of a bar.
const BAR_WIDTH: usize = 28;
/// Faults that are shown; all are counted.
const FAULTS_SHOWN_MAX: usize = 5;

/// The page.
pub(super) fn page(title: &str, ledger: &Ledger, check: &Check) -> Vec<String> {
    let mut lines = vec![String::new(), paint(Ink::Bold, title), String::new()];
    let mut row = |key: &str, number: u64, rest: String| {
        lines.push(format!(
            "  {} {} {rest}",
            paint(Ink::Dim, &fit(key, 12)),
            paint(Ink::Bold, &format!("{:>7}", grouped(number)))
        ));
    };
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let merges = count(ledger.merges());
    row(
        "people",
        count(ledger.people()),
        format!("{} times two histories turned out to be one person", grouped(merges)),
    );
    let channels: Vec<_> = ledger
        .touchpoints
        .iter()
        .map(|(channel, count)| format!("{channel} {}", grouped(*count)))
        .collect();
    row("touchpoints", ledger.touchpoints.values().sum(), channels.join(", "));
    let needless = ["exited", "goal_met"].into_iter().filter_map(|why| ledger.ended.get(why)).sum();
    row(
        "journeys",
        ledger.entered,
        format!(
            "{} ended, {} of them because they were not needed any more",
            grouped(ledger.ended.values().sum()),
            grouped(needless)
        ),
    );
    row("goals", ledger.converted, "reached within their window".to_owned());
    let failures: Vec<_> = ledger
        .failures()
        .into_iter()
        .map(|(why, count)| format!("; {} did not go out: {why}", grouped(count)))
        .collect();
    let failed = failures.concat();
    row("delivered", ledger.delivered, format!("messages, into the folder data/outbox{failed}"));
    lines.push(String::new());
    lines.extend(verdicts(ledger));
    lines.push(String::new());
    lines.extend(proof(check));
    lines
}

/// Why a decision came out as it did, in words.
fn words(outcome: &str, reason: &str) -> String {
    let why = match reason {
        "cap" => "the frequency cap is full",
        "no_consent" => "the person has not agreed",
        "endpoint_missing" => "no address is known",
        "endpoint_suppressed" => "the address is blocked",
        "quiet_hours" => "it is night",
        "only_if" => "its condition does not hold",
        "exited" | "goal_met" => "not needed any more",
        "merged" => "joined with another run",
        "expired" => "too late to be of use",
        other => other,
    };
    match (outcome, reason) {
        ("approve", _) => "sent".to_owned(),
        ("reroute", _) => format!("sent another way: {why}"),
        ("defer", _) => format!("put off: {why}"),
        _ => format!("not sent: {why}"),
    }
}

fn verdicts(ledger: &Ledger) -> Vec<String> {
    let total: u64 = ledger.verdicts.values().sum();
    let mut list: Vec<_> = ledger.verdicts.iter().collect();
    list.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut lines = vec![paint(Ink::Bold, &format!("  {} decisions", grouped(total)))];
    for ((outcome, reason), count) in list {
        let ink = match outcome.as_str() {
            "approve" | "reroute" => Ink::Good,
            "defer" => Ink::Warn,
            _ => Ink::Bad,
        };
        let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
        lines.push(format!(
            "  {} {} {:>6}",
            paint(ink, &fit(&words(outcome, reason), 46)),
            paint(ink, &bar(share, BAR_WIDTH)),
            grouped(*count)
        ));
    }
    lines
}

fn proof(check: &Check) -> Vec<String> {
    if check.faults.is_empty() {
        return vec![
            format!(
                "  {} caps never exceeded: checked {} windows, counted anew from the decisions",
                paint(Ink::Good, "ok"),
                grouped(check.windows)
            ),
            format!(
                "  {} nobody was written to at night: checked the hour of {} messages",
                paint(Ink::Good, "ok"),
                grouped(check.hours)
            ),
        ];
    }
    let number = grouped(u64::try_from(check.faults.len()).unwrap_or(u64::MAX));
    let mut lines = vec![paint(Ink::Bad, &format!("  {number} faults, which is a defect:"))];
    lines.extend(check.faults.iter().take(FAULTS_SHOWN_MAX).map(|fault| format!("  - {fault}")));
    lines
}

/// What to try next; every command works as it stands.
pub(super) fn next(shop: &Path, gateway: &str, decision: Option<&str>) -> Vec<String> {
    let program = program();
    let dir = shop.display();
    let mut lines = vec![
        String::new(),
        paint(Ink::Bold, "It goes on running. In another terminal, try:"),
        format!("  {program} person timeline email:ada@example.com --dir {dir}"),
    ];
    if let Some(decision) = decision {
        lines.push(format!("  {program} explain {decision} --dir {dir}"));
    } else {
        lines.push(format!("  {program} person decisions email:chloe@example.com --dir {dir}"));
    }
    lines.push(format!(
        "  curl -u dev-site-key: {gateway}/v1/track -d '{}'",
        json!({"userId": "c-1001", "event": "Cart Updated",
            "properties": {"cart_id": "mine", "value": 30, "product": "walnut rye"}})
    ));
    lines.push(paint(
        Ink::Dim,
        &format!(
            "Shown here is what you send; everything: {program} tail --dir {dir}. Ctrl-C ends it."
        ),
    ));
    lines.push(String::new());
    lines
}

/// How this program can be called from the folder where it was called.
fn program() -> String {
    let Ok(own) = std::env::current_exe() else { return "sojourn".to_owned() };
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&paths).map(|path| path.join("sojourn")).find(|path| path.is_file());
    if found.is_some_and(|found| found.canonicalize().ok() == own.canonicalize().ok()) {
        return "sojourn".to_owned();
    }
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| own.strip_prefix(here).ok().map(Path::to_owned));
    match relative {
        Some(relative) => format!("./{}", relative.display()),
        None => own.display().to_string(),
    }
}

/// The same for programs.
pub(super) fn json(ledger: &Ledger, check: &Check) -> Value {
    let verdicts: Vec<_> = ledger
        .verdicts
        .iter()
        .map(|((outcome, reason), count)| {
            json!({ "outcome": outcome, "reason": reason, "count": count })
        })
        .collect();
    json!({
        "people": ledger.people(),
        "merges": ledger.merges(),
        "touchpoints": ledger.touchpoints,
        "runs": ledger.entered,
        "ended": ledger.ended,
        "converted": ledger.converted,
        "delivered": ledger.delivered,
        "failed": ledger.failures(),
        "verdicts": verdicts,
        "check": { "windows": check.windows, "hours": check.hours, "faults": check.faults },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_not_hidden() {
        let check = Check { windows: 3, hours: 1, faults: vec!["p1 got 2".to_owned()] };
        let page = page("It is noon", &Ledger::default(), &check).join("\n");
        assert!(page.contains("p1 got 2") && !page.contains("never exceeded"), "{page}");
        assert_eq!(json(&Ledger::default(), &check)["check"]["faults"][0], "p1 got 2");
    }

    #[test]
    fn next_steps_are_commands() {
        let lines = next(Path::new("shops/mine"), "http://127.0.0.1:8080", Some("d0-1-0"));
        let text = lines.join("\n");
        assert!(text.contains("explain d0-1-0 --dir shops/mine"));
        assert!(text.contains("curl -u dev-site-key: http://127.0.0.1:8080/v1/track"));
    }
}
