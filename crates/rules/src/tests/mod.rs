//! Tests of the crate as a whole, and what they share: a small workspace and a scope over values.

mod broken;
mod ethics;
mod eval;
mod expressions;
mod fuzz;
mod journeys;
mod lints;
mod schemas;
mod workspaces;

use crate::{Compiled, Files, HistoryCall, Missing, Path, Root, Scope, compile};
use sojourn_model::{Timestamp, Value};
use std::collections::BTreeMap;

/// The 2nd of March 2026, noon.
const NOW: Timestamp = Timestamp(1_772_452_800_000);

const SOJOURN: &str = r#"
workspace: shop
company: { name: Shop, postal_address: "1 Lane, York", privacy_contact: p@shop.example }
time_zone: Europe/London
locales: [en, pl]
sources:
  - { id: site, channel: web, kind: segment, write_key: "${SITE_KEY}", mode: strict }
  - { id: till, channel: store, kind: pos, secret: s, shared_devices: true }
channels:
  email: { kind: smtp, url: "${SMTP_URL}", from: "Shop <hello@shop.example>", rate: 120/min }
  push: { kind: grpc, endpoint: "http://127.0.0.1:9100" }
storage: { kind: embedded, path: ./data, retention: 400d }
"#;

const PLAN: &str = r#"
identifiers:
  - { kind: customer_id, from: userId, limit: 1 }
  - { kind: "social:insta", from: properties.insta }
  - { kind: loyalty_id, from: properties.loyalty_card, limit: 3 }
events:
  Ping:
    properties:
      n: { type: number, purposes: [service, marketing] }
      id: { type: string, purposes: [service, marketing] }
      tags: { type: list }
      at: { type: timestamp }
      place: { type: object }
      secret: { type: string, purposes: [service] }
  Order Completed:
    channel: web
    retention: 90d
    properties:
      total: { type: number, unit: GBP, purposes: &both [service, marketing] }
      cart_id: { type: string, required: true, purposes: *both }
attributes:
  tier: { type: string, purposes: [marketing] }
  points: { type: number }
  vip: { type: boolean }
  renews: { type: date }
  skin_type: { type: string, purposes: [marketing], sensitive: true }
  address: { type: object }
"#;

const POLICY: &str = r#"
purposes:
  marketing: { topics: [newsletter, offers, reminders] }
  feedback: {}
  service: { exempt: [caps, quiet_hours] }
  personalization: { kind: data }
caps:
  - { id: weekly, at_most: 3, per: local_week, scope: { purpose: marketing } }
jurisdictions: none
"#;

const SEGMENTS: &str = r#"
segments:
  regulars: { when: "count('Order Completed', '60d') >= 4" }
  gold: { when: "profile.tier == 'gold'", purpose: marketing }
  golden-regulars: { when: "in_segment('gold') && in_segment('regulars')" }
"#;

const JOURNEY: &str = r#"
journey: j
purpose: marketing/reminders
entry: { on: Ping }
steps:
  - id: s
    send: { template: t, channels: [email], expires: 24h }
"#;

/// A workspace without findings but infos; `changes` replace or add files.
fn files(changes: &[(&str, &str)]) -> Files {
    let mut files = Files::default();
    let base = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", POLICY),
        ("segments.yaml", SEGMENTS),
        ("journeys/j.yaml", JOURNEY),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hi. {{ links.unsubscribe }} {{ company.postal_address }}"),
    ];
    for (path, text) in base.iter().chain(changes) {
        files.0.insert((*path).to_owned(), (*text).to_owned());
    }
    files
}

/// Compiles; findings as `file:line rule`, infos left out.
fn findings(changes: &[(&str, &str)]) -> Vec<String> {
    let compiled = compile(&files(changes));
    let serious = compiled.findings.iter().filter(|f| f.severity != crate::Severity::Info);
    serious.map(|f| format!("{}:{} {}", f.file, f.line, f.rule)).collect()
}

/// Compiles a workspace that must have no errors.
fn sound(changes: &[(&str, &str)]) -> std::sync::Arc<crate::Definitions> {
    let Compiled { definitions, findings, .. } = compile(&files(changes));
    let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
    definitions.unwrap_or_else(|| panic!("{}", text.join("\n")))
}

/// A scope over values given as `event.properties.n`, `profile.tier`, `run.key`, …
#[derive(Default)]
struct Values(BTreeMap<String, Value>);

impl Values {
    fn of(values: &[(&str, Value)]) -> Self {
        Self(values.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect())
    }
}

impl Scope for Values {
    fn read(&self, root: Root, path: &Path) -> Result<Value, Missing> {
        let root = match root {
            Root::EventProperties => "event.properties",
            Root::EventContext => "event.context",
            Root::EventTraits => "event.traits",
            Root::Event => "event",
            Root::Profile => "profile",
            Root::Run => "run",
            Root::Local => return Err(Missing),
        };
        let path = std::iter::once(root).chain(path.iter().map(|name| &**name)).collect::<Vec<_>>();
        // A member of a value that was given whole.
        for length in (1..=path.len()).rev() {
            if let Some(mut value) = self.0.get(&path[..length].join(".")) {
                for name in &path[length..] {
                    value = value.get(name).ok_or(Missing)?;
                }
                return Ok(value.clone());
            }
        }
        Err(Missing)
    }
    fn history(&self, call: &HistoryCall, filter: &[Value]) -> Result<Value, Missing> {
        // Echoes what it was asked, so that tests see the arguments arrive.
        Ok(self.0.get(&format!("history.{}", call.event)).cloned().unwrap_or_else(|| {
            if filter.is_empty() { Value::Number(0.0) } else { Value::List(filter.to_vec()) }
        }))
    }
    fn in_segment(&self, segment: &str) -> Result<bool, Missing> {
        Ok(segment == "regulars")
    }
    fn now(&self) -> Timestamp {
        NOW
    }
}
