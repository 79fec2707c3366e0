//! One pass over one person: everything that a record or a timer may read and change.

use crate::consent::{Ask, SuppressionEntry, Verdict};
use crate::event::{EventView, Object, Stamp, mark_of};
use crate::guard::regime_of;
use crate::installed::{Installed, TrackedEvents};
use crate::journey::{Pinned, Run};
use crate::limits::{ATTRIBUTES_MAX, CHAINED_EVENTS_MAX};
use crate::mutation::{Mutation, mutated};
use crate::profile::{Attribute, Profile};
use crate::scope::{EventRef, View};
use crate::timing::Hours;
use crate::{Effect, Effects, Limits};
use serde::{Deserialize, Serialize};
use sojourn_model::{
    ConsentRecord, ConsentState, DurationMs, KillTarget, LogPosition, Name, Note, NoteKind,
    ProfileId, Reason, ReceiptOutcome, SuppressionKind, Timestamp, Touchpoint, Value, VersionId,
    event_names,
};
use sojourn_rules::{Definitions, ENGAGEMENT_EVENTS, Expr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What operators ordered; part of the partition's own state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Controls {
    pub(crate) paused: BTreeSet<Name>,
    /// Journeys that were stopped, with the instant: runs that began up to it end, also those whose
    /// person comes by only after a later `resume`.
    pub(crate) stopped: BTreeMap<Name, Timestamp>,
    /// Of them, those that may not begin anew.
    pub(crate) closed: BTreeSet<Name>,
    pub(crate) kills: BTreeSet<KillTarget>,
}

/// What all people of a partition share; a pass only reads it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: u16,
    pub(crate) partitions: u16,
    pub(crate) limits: Limits,
    pub(crate) versions: BTreeMap<VersionId, Arc<Installed>>,
    pub(crate) current: Option<Arc<Installed>>,
    pub(crate) tracked: TrackedEvents,
    pub(crate) controls: Controls,
    /// How long sends are kept.
    pub(crate) keep_sends: DurationMs,
    /// Whether the policy enforces the data purpose `personalization`.
    pub(crate) personalization: bool,
    pub(crate) law: Law,
}

/// What of the rules per country has to be looked at for a message at all.
#[derive(Debug, Default)]
pub(crate) struct Law {
    /// Whether some country wants something else than a plain grant.
    pub(crate) regimes: bool,
    /// Channels on which some country wants quiet.
    pub(crate) quiet: std::collections::BTreeSet<Name>,
}

/// What passes tell the partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registers {
    /// People with runs that a pause holds, by journey.
    pub(crate) held: BTreeMap<Name, BTreeSet<ProfileId>>,
    /// Runs (live, or that may convert) by the version they are pinned to.
    pub(crate) pins: BTreeMap<VersionId, u64>,
    /// When people engage, by hours of their own day: of all whose records came here. Stored beside.
    #[serde(skip)]
    pub(crate) engaged: Hours,
    /// The same of those who were in a watched segment, by segment. Stored beside.
    #[serde(skip)]
    pub(crate) engaged_in: BTreeMap<Name, Hours>,
    /// From when on a journey with a rate may send its next message. Stored beside.
    #[serde(skip)]
    pub(crate) rates: BTreeMap<Name, Timestamp>,
    /// Versions that went live so far, and when the last one did.
    pub(crate) publishes: u64,
    pub(crate) published_at: Timestamp,
    /// Journeys that take in who is in their segment already, with the publish that made them do so.
    pub(crate) backfills: BTreeMap<Name, u64>,
    /// The visit to everybody after a publish.
    pub(crate) sweep: Option<crate::partition::Sweep>,
    /// Paces of schedules, by journey.
    pub(crate) paces: BTreeMap<Name, crate::pace::Pace>,
    /// Publishes that not everybody may have followed, oldest first; the last one at least. Stored
    /// beside.
    #[serde(skip)]
    pub(crate) publications: Vec<crate::versions::Publication>,
}

/// An attribute that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: Name,
    /// Whether its value is another one now.
    pub(crate) changed: bool,
}

/// Something that a step brought about, to be applied after the record.
#[derive(Debug)]
pub(crate) enum Queued {
    /// An `emit`.
    Event { name: Name, properties: Value, cause: Name, by: u32 },
    /// An `update` set an attribute; whether to another value.
    Attribute { said: Said, cause: Name, by: u32 },
    /// An `enter`.
    Enter { journey: Name, key: crate::journey::EntryKey, cause: Name, by: u32 },
}

/// One pass over one person.
pub(crate) struct Step<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) profile: &'a mut Profile,
    pub(crate) registers: &'a mut Registers,
    pub(crate) effects: &'a mut Effects,
    /// The record being applied: names the effects.
    pub(crate) position: LogPosition,
    /// Where the person's own record stands; another one when it was parked.
    pub(crate) offset: u64,
    pub(crate) now: Timestamp,
    /// Number of this record, timer or emitted event, unique within the process: marks what it
    /// continued.
    pub(crate) pass: u64,
    pub(crate) queue: VecDeque<Queued>,
    /// Whether an `update` happened since conditions were last looked at.
    pub(crate) updated: bool,
    pub(crate) chained: usize,
    /// Place of the next event of this record.
    pub(crate) sub: u32,
    /// Journeys whose digests took in the event being applied: it starts no run of them.
    pub(crate) collected: Vec<Name>,
    /// What need not be looked at again.
    pub(crate) found: crate::shortcut::Found,
}

impl Step<'_> {
    /// Tells something, unless notes are off.
    pub(crate) fn note(&mut self, kind: NoteKind) {
        if self.shared.limits.notes {
            let (position, at, profile) = (self.position, self.now, self.profile.id);
            self.effects.push(Effect::Note(Box::new(Note { position, at, profile, kind })));
        }
    }

    /// A limit was reached (LIM-1).
    pub(crate) fn limit(&mut self, what: &str, limit: usize) {
        if !mutated(Mutation::LimitDropsSilently) {
            self.note(NoteKind::Limit { what: what.into(), limit: limit as u64 });
        }
    }

    /// Whether conditions and templates may see more than identifiers and preferences.
    pub(crate) fn personal(&self) -> bool {
        !self.shared.personalization
            || self.profile.consents.permits_data("personalization", self.now)
    }

    pub(crate) fn view<'b>(
        &'b self,
        definitions: &'b Definitions,
        event: EventRef<'b>,
        run: Option<&'b Run>,
    ) -> View<'b> {
        let personal = self.personal();
        View { definitions, profile: self.profile, event, run, now: self.now, personal, depth: 0 }
    }

    /// The version that a run is pinned to; `None` when its content was not installed.
    pub(crate) fn pinned(&self, run: &Run) -> Option<Pinned> {
        let installed = match &self.shared.current {
            Some(current) if current.definitions.version == run.version => current,
            _ => self.shared.versions.get(&run.version)?,
        };
        let (journey, _) = installed.journey(&run.journey)?;
        Some(Pinned { installed: installed.clone(), journey: journey.clone() })
    }

    /// Value of an expression over an event.
    pub(crate) fn value_over(
        &self,
        expr: &Expr,
        definitions: &Definitions,
        event: EventRef<'_>,
        run: Option<&Run>,
    ) -> Option<Value> {
        sojourn_rules::eval(expr, &self.view(definitions, event, run)).ok()
    }

    /// Applies a touchpoint: the person first, then journeys (semantics 1 and 7).
    pub(crate) fn touchpoint(&mut self, touchpoint: &Touchpoint<'_>) {
        let occurred = touchpoint.occurred_at.unwrap_or(self.now).min(self.now);
        let event = EventView {
            name: touchpoint.event,
            channel: touchpoint.channel,
            source: touchpoint.source,
            message_id: touchpoint.message_id,
            stamp: self.next_stamp(occurred),
            identifiers: &touchpoint.identifiers,
            by: mark_of(touchpoint.identifiers.first()),
            imported: touchpoint.imported,
            properties: Object::text(touchpoint.properties),
            context: Object::text(touchpoint.context),
            traits: Object::text(touchpoint.traits),
        };
        for identifier in &touchpoint.identifiers {
            self.profile.see(identifier, occurred);
        }
        let changed = self.traits(&event, touchpoint.traits);
        let stamped = self.context(&event, touchpoint.context);
        self.consent(&event, stamped.as_ref());
        self.receipt(&event);
        self.weary(&event);
        self.happened(&event, &changed);
        self.settle();
    }

    pub(crate) fn next_stamp(&mut self, occurred: Timestamp) -> Stamp {
        let sub = self.sub;
        self.sub += 1;
        Stamp { occurred, logged: self.now, offset: self.offset, sub }
    }

    /// Attributes from traits. Gives those that were taken up.
    fn traits(&mut self, event: &EventView<'_>, text: &str) -> Vec<Said> {
        let mut changed = Vec::new();
        if text.len() <= 2 {
            return changed;
        }
        let Value::Map(traits) = event.traits.whole() else { return changed };
        for (name, value) in traits {
            let known = self.profile.attribute(&name).is_some();
            if !known && self.profile.attributes.len() >= ATTRIBUTES_MAX {
                self.limit("attributes", ATTRIBUTES_MAX);
                continue;
            }
            let declared = self.given_by_customer(&name);
            let attribute = Attribute { value, stamp: event.stamp, declared, by: event.by };
            if let Some(other) = self.profile.take(&name, attribute) {
                changed.push(Said { name, changed: other });
            }
        }
        changed
    }

    /// Whether an attribute is one that customers declare themselves.
    fn given_by_customer(&self, attribute: &str) -> bool {
        let current = self.shared.current.as_ref();
        let plan = current.and_then(|current| current.definitions.plan.attributes.get(attribute));
        plan.is_some_and(|plan| plan.given_by_customer)
    }

    /// Zone and locale from the context. Gives the consent stamp, if there is one.
    fn context(&mut self, event: &EventView<'_>, text: &str) -> Option<Value> {
        if text.len() <= 2 {
            return None;
        }
        let at = event.stamp.occurred;
        if let Some(zone) = event.context.text_of("timezone") {
            let newer = self.profile.context_zone.as_ref().is_none_or(|(_, since)| *since <= at);
            if newer && crate::timing::parse_zone(&zone).is_some() {
                let known = self.profile.context_zone.replace((zone.clone(), at));
                if known.is_none_or(|(known, _)| known != zone) {
                    self.profile.revise();
                }
            }
        }
        if let Some(locale) = event.context.text_of("locale") {
            let newer = self.profile.context_locale.as_ref().is_none_or(|(_, since)| *since <= at);
            if newer {
                self.profile.context_locale = Some((locale, at));
            }
        }
        event.context.get("consent")?.get("categoryPreferences").cloned()
    }

    /// A dispatcher's or provider's word on an action: commits or releases its reservation (CAP-1).
    fn receipt(&mut self, event: &EventView<'_>) {
        let outcome = match event.name {
            event_names::MESSAGE_SENT => ReceiptOutcome::Sent,
            event_names::MESSAGE_FAILED => ReceiptOutcome::Failed,
            event_names::MESSAGE_UNKNOWN => ReceiptOutcome::Unknown,
            _ => return,
        };
        let named = event.properties.text_of("action_id").and_then(|id| id.parse().ok());
        let action = named.or_else(|| {
            let journey = event.properties.text_of("journey")?;
            let step = event.properties.text_of("step")?;
            self.profile.sends.latest_of(&journey, &step)
        });
        if let Some(action) = action {
            self.profile.sends.receipt(action, outcome);
            if outcome == ReceiptOutcome::Failed {
                self.profile.fatigue.failed(action);
            }
        }
    }

    /// An event happened: history, then exits and goals, then what waits for it, then entries.
    pub(crate) fn happened(&mut self, event: &EventView<'_>, changed: &[Said]) {
        if let Some((name, tracked)) = self.shared.tracked.get(event.name) {
            let dropped = self.profile.history.add(name, event, tracked, self.now);
            if dropped > 0 {
                self.limit("history", crate::limits::HISTORY_POINTS_MAX);
            }
        }
        if ENGAGEMENT_EVENTS.contains(&event.name) {
            let (zone, at) = (self.zone_now().zone, event.stamp.occurred);
            self.registers.engaged.add(zone, at);
            for segment in &self.profile.segments {
                self.registers.engaged_in.entry(segment.clone()).or_default().add(zone, at);
            }
        }
        if event.imported {
            self.remember_segments();
            return;
        }
        if !self.profile.runs.is_empty() {
            self.end_on(event);
            self.call_answered(event);
            self.continue_on(event);
        }
        self.enter_on(event, changed);
        self.collected.clear();
    }

    /// Applies what the record brought about, until nothing is left: conditions after updates,
    /// attribute journeys, emitted events; at most [`CHAINED_EVENTS_MAX`] of them.
    pub(crate) fn settle(&mut self) {
        loop {
            if std::mem::take(&mut self.updated) {
                self.look_at_conditions();
                continue;
            }
            let Some(queued) = self.queue.pop_front() else { return };
            if self.chained >= CHAINED_EVENTS_MAX {
                self.queue.clear();
                self.limit("chained_events", CHAINED_EVENTS_MAX);
                return;
            }
            self.chained += 1;
            self.queued(queued);
        }
    }

    fn queued(&mut self, queued: Queued) {
        let (name, properties, cause, by, changed) = match queued {
            Queued::Event { name, properties, cause, by } => {
                // An event of its own: it may continue a run that the record before it continued.
                self.pass += 1;
                (name, properties, cause, by, None)
            }
            Queued::Attribute { said, cause, by } => {
                ("Attribute Changed".into(), Value::Null, cause, by, Some(said))
            }
            Queued::Enter { journey, key, cause, by } => {
                let own = self.own_event("Journey Entered");
                let event = EventView { message_id: &cause, by, ..own };
                self.enter_named(&journey, &event, key);
                return;
            }
        };
        let nothing = Value::Null;
        let event = EventView {
            name: &name,
            channel: "journey",
            source: "sojourn",
            message_id: &cause,
            stamp: self.next_stamp(self.now),
            identifiers: &[],
            by,
            imported: false,
            properties: Object::Value(&properties),
            context: Object::Value(&nothing),
            traits: Object::Value(&nothing),
        };
        match changed {
            None => self.happened(&event, &[]),
            Some(said) => self.enter_on(&event, &[said]),
        }
    }
}

impl Step<'_> {
    /// Takes up what a touchpoint says of consent (semantics 3).
    fn consent(&mut self, event: &EventView<'_>, stamped: Option<&Value>) {
        let current = self.shared.current.as_deref();
        let Some(said) = crate::consent::statements(event, stamped, self.profile, current) else {
            return;
        };
        let (at, evidence) = (event.stamp.occurred, said.evidence);
        for (purpose, granted) in said.stamped {
            self.profile.remember_stamp(purpose, granted, at);
        }
        for record in said.consents {
            self.take_consent(record, event.imported);
        }
        for (channel, endpoint, kind) in said.suppressions {
            let evidence = evidence.clone();
            self.take_suppression(SuppressionEntry {
                channel,
                endpoint,
                kind,
                at,
                lifted: None,
                evidence,
            });
        }
        // An import never lifts a STOP.
        for phone in said.started.into_iter().filter(|_| !event.imported) {
            // A STOP of the same second wins, as a deny does.
            let until = Timestamp(at.0.div_euclid(1_000) * 1_000 - 1);
            let stop = Some(SuppressionKind::Stop);
            let freed = self.profile.suppressions.lift("sms", Some(&phone), stop, until);
            self.profile.suppressions.started(&"sms".into(), &phone, until, &evidence);
            self.lifted("sms", freed);
        }
        self.cancel_forbidden();
    }

    pub(crate) fn lifted(&mut self, channel: &str, freed: Vec<(Name, SuppressionKind)>) {
        for (endpoint, kind) in freed {
            let kind = format!("{} lifted", crate::consent::kind_name(kind)).into();
            self.note(NoteKind::Suppressed { channel: channel.into(), endpoint, kind });
        }
    }

    /// One statement of consent takes effect.
    pub(crate) fn take_consent(&mut self, record: ConsentRecord, imported: bool) {
        let granted = record.state == ConsentState::Granted;
        let (channel, endpoint) = (record.channel.clone(), record.endpoint.clone());
        let (purpose, topic) = (record.purpose.clone(), record.topic.clone());
        let confirmed = record.confirmed.then(|| record.clone());
        let confirms = confirmed.is_some_and(|said| self.profile.confirmed.record(said, imported));
        if !self.profile.consents.record(record, imported) && !confirms {
            return;
        }
        if !granted {
            self.effects.push(Effect::Revoked {
                profile: self.profile.id,
                channel: channel.clone(),
                endpoint,
                purpose: Some(purpose.clone()),
                topic: topic.clone(),
            });
        }
        self.note(NoteKind::Consent { channel, purpose, topic, granted });
    }

    /// One suppression takes effect.
    pub(crate) fn take_suppression(&mut self, entry: SuppressionEntry) {
        let (channel, endpoint) = (entry.channel.clone(), entry.endpoint.clone());
        let kind = entry.kind;
        self.profile.suppressions.add(entry);
        if self.profile.suppressions.of(&channel, &endpoint).is_none() {
            return;
        }
        self.effects.push(Effect::Revoked {
            profile: self.profile.id,
            channel: Some(channel.clone()),
            endpoint: Some(endpoint.clone()),
            purpose: None,
            topic: None,
        });
        let kind = crate::consent::kind_name(kind).into();
        self.note(NoteKind::Suppressed { channel, endpoint, kind });
    }

    /// Cancels what was reserved, is not sent yet, and may not be sent any more (CON-2).
    pub(crate) fn cancel_forbidden(&mut self) {
        let now = self.now;
        let regimes = self.shared.law.regimes;
        let country = if regimes { self.country() } else { String::new() };
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let Profile { sends, suppressions, consents, confirmed, .. } = &mut *self.profile;
        let suppressed =
            sends.cancel(|send| suppressions.of(&send.channel, &send.endpoint).is_some());
        let revoked = sends.cancel(|send| {
            let purpose = policy.and_then(|policy| policy.purpose(&send.purpose)).map(|(_, p)| p);
            let service = purpose.map_or(&*send.purpose == "service", |purpose| purpose.service);
            let regime = match regimes {
                true => regime_of(policy, &country, &send.channel, &send.purpose),
                false => sojourn_rules::Regime::OptIn,
            };
            let topic = send.topic.as_deref();
            let (channel, endpoint, purpose) = (&send.channel, &send.endpoint, &send.purpose);
            let ask = Ask { channel, endpoint, purpose, topic, service, regime };
            consents.permits(ask, confirmed, now).verdict != Verdict::Permitted
        });
        let suppressed = suppressed.into_iter().map(|id| (id, Reason::EndpointSuppressed));
        let revoked = revoked.into_iter().map(|id| (id, Reason::NoConsent));
        let profile = self.profile.id;
        for (action, reason) in suppressed.chain(revoked) {
            self.effects.push(Effect::Cancel { profile, action, reason });
        }
    }

    /// Forgets the person (ERA-1): every run ends, everything pending is cancelled.
    pub(crate) fn erase(&mut self) {
        for id in self.profile.live_runs() {
            self.end(id, &crate::journey::End::Erased);
        }
        for version in self.profile.runs.iter().map(|run| run.version).collect::<Vec<_>>() {
            self.unpin(version);
        }
        self.profile.runs.clear();
        self.profile.moved.clear();
        let profile = self.profile.id;
        for action in self.profile.sends.cancel(|_| true) {
            self.effects.push(Effect::Cancel { profile, action, reason: Reason::Erased });
        }
    }
}
