//! The step `call`: a service is asked over HTTP (semantics 7: the engine decides, the dispatcher
//! acts).
//!
//! The request is an action like a message: its values are evaluated here, the dispatcher makes the
//! call and tells the answer as a touchpoint. Until then the run waits, for the step's `timeout` at the
//! most. So the engine stays a function of the log, and a replay calls nobody.

use super::{End, Flow, Pinned, RunId, RunState, key_text};
use crate::Effect;
use crate::event::{EventFields, EventView, Fields};
use crate::step::Step;
use sojourn_model::{
    Action, ActionId, DecisionId, KillTarget, MessageClass, Name, Reason, Timestamp, Value,
    event_names,
};
use sojourn_rules::{Body, Call, Condition, Piece, StepIndex, StepKind};

/// What a run keeps of an answer.
pub(crate) const ANSWER: &str = "answer";

/// How the values in a text are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Percent-encoded, so that a value never becomes another path or host.
    Address,
    /// Without control characters.
    Header,
}

impl Step<'_> {
    /// A run comes to a call: asks, and waits.
    pub(crate) fn begin_call(
        &mut self,
        id: RunId,
        pinned: &Pinned,
        index: StepIndex,
        call: &Call,
    ) -> Flow {
        let place = self.profile.run_place(id).expect("moving");
        let next = pinned.journey.step(index).next;
        let request = self.request(place, pinned, call);
        let Some(request) = request.filter(|_| !self.call_blocked(pinned)) else {
            return call_failed(call, next);
        };
        let due = self.now.plus(call.timeout);
        let armed = self.arm();
        let action = self.call_action(place, pinned, (index, call), (request, due));
        self.effects.push(Effect::Action(Box::new(action)));
        let run = &mut self.profile.runs[place];
        run.armed = armed;
        run.state = RunState::Call { due };
        Flow::Stay
    }

    /// Whether a kill switch forbids it. A pause has held the run before the step.
    fn call_blocked(&self, pinned: &Pinned) -> bool {
        self.shared.controls.kills.iter().any(|target| match target {
            KillTarget::All => true,
            KillTarget::Class(purpose) => *purpose == pinned.journey.purpose,
            KillTarget::Journey(journey) => *journey == pinned.journey.name,
            KillTarget::Channel(_) => false,
        })
    }

    fn call_action(
        &mut self,
        place: usize,
        pinned: &Pinned,
        (index, call): (StepIndex, &Call),
        (request, due): (Value, Timestamp),
    ) -> Action {
        let decision = DecisionId { position: self.position, index: self.effects.next_decision() };
        let run = &self.profile.runs[place];
        let journey = &pinned.journey;
        Action {
            id: ActionId(run.candidate()),
            decision,
            profile: self.profile.id,
            channel: call.host.clone(),
            endpoint: self.profile.id.to_string().into(),
            purpose: journey.purpose.clone(),
            topic: journey.topic.clone(),
            journey: journey.name.clone(),
            version: run.version,
            run_key: run.run_key(),
            step: journey.step(index).id.clone(),
            template: "".into(),
            locale: "".into(),
            variables: request,
            expires: Some(due),
            quiet_from: None,
            quiet_until: None,
            approved_at: self.now,
            cause: run.cause.clone(),
            // The action's id is the key by which the service knows a second try.
            class: MessageClass::AtLeastOnce,
            priority: journey.priority,
            identifiers: self
                .profile
                .identifiers
                .iter()
                .map(|held| held.identifier.value.clone())
                .collect(),
        }
    }

    /// The request with its values; `None`: the address or a header reads something that is not there.
    fn request(&self, place: usize, pinned: &Pinned, call: &Call) -> Option<Value> {
        let text = |pieces: &[Piece], within| self.text(place, pinned, pieces, within);
        let mut headers = Vec::with_capacity(call.headers.len());
        for (name, pieces) in &call.headers {
            headers.push((name.clone(), Value::Text(text(pieces, Within::Header)?)));
        }
        let mut request: Vec<(Name, Value)> = vec![
            ("url".into(), Value::Text(text(&call.url, Within::Address)?)),
            ("method".into(), Value::Text(call.method.clone())),
            ("headers".into(), Value::Map(headers)),
            ("keep".into(), Value::Bool(call.name.is_some())),
        ];
        if let Some(body) = &call.body {
            // A value that is not there is left out, as in `emit`.
            let body = self.body(place, pinned, body).unwrap_or(Value::Null);
            request.push(("body".into(), body));
        }
        Some(Value::Map(request))
    }

    fn text(
        &self,
        place: usize,
        pinned: &Pinned,
        pieces: &[Piece],
        within: Within,
    ) -> Option<Name> {
        let mut text = String::new();
        for piece in pieces {
            match (piece, within) {
                (Piece::Literal(literal), _) => text.push_str(literal),
                (Piece::Value(value), Within::Address) => {
                    let value = self.shown_value(place, pinned, value)?;
                    // As a segment these would lead to another path, encoded or not.
                    if matches!(&*value, "." | "..") {
                        return None;
                    }
                    encode(&value, &mut text);
                }
                (Piece::Value(value), Within::Header) => {
                    let value = self.shown_value(place, pinned, value)?;
                    text.extend(value.chars().filter(|c| !c.is_control()));
                }
            }
        }
        Some(text.into())
    }

    fn shown_value(&self, place: usize, pinned: &Pinned, value: &Condition) -> Option<Name> {
        match self.run_value(place, pinned, value)? {
            Value::Null => None,
            value => Some(key_text(&value)),
        }
    }

    fn body(&self, place: usize, pinned: &Pinned, body: &Body) -> Option<Value> {
        Some(match body {
            Body::Value(value) => self.run_value(place, pinned, value)?,
            Body::Map(entries) => Value::Map(
                entries
                    .iter()
                    .filter_map(|(name, value)| {
                        Some((name.clone(), self.body(place, pinned, value)?))
                    })
                    .collect(),
            ),
            Body::List(items) => Value::List(
                items.iter().filter_map(|item| self.body(place, pinned, item)).collect(),
            ),
        })
    }

    /// An answer: goes on with the run that waits for it. One that comes too late, or twice, does
    /// nothing.
    pub(crate) fn call_answered(&mut self, event: &EventView<'_>) {
        let answered = match event.name {
            event_names::CALL_ANSWERED => true,
            event_names::CALL_FAILED => false,
            _ => return,
        };
        let Some(id) = self.answered_run(event) else { return };
        let place = self.profile.run_place(id).expect("found just now");
        let run = &self.profile.runs[place];
        let index = StepIndex(run.step);
        let Some(pinned) = self.pinned(run) else { return };
        let step = pinned.journey.step(index);
        let StepKind::Call(call) = &step.kind else { return };
        self.profile.runs[place].continued = self.pass;
        if !answered {
            self.call_over(id, call, step.next);
            return;
        }
        if call.name.is_some() {
            let properties = Fields { all: false, names: vec![ANSWER.into()] };
            let kept = event.keep(&EventFields { properties, ..EventFields::default() });
            let run = &mut self.profile.runs[place];
            run.events.retain(|entry| entry.0 != step.id);
            run.events.push((step.id.clone(), kept));
        }
        self.advance(id, step.next);
    }

    /// The run that waits for an answer: the one that its action names, else the person's latest at
    /// the journey's step.
    fn answered_run(&self, event: &EventView<'_>) -> Option<RunId> {
        let waiting =
            self.profile.runs.iter().filter(|run| {
                matches!(run.state, RunState::Call { .. }) && run.continued != self.pass
            });
        if let Some(action) = event.properties.text_of("action_id") {
            let action: ActionId = action.parse().ok()?;
            return waiting.into_iter().find(|run| run.candidate() == action.0).map(super::Run::id);
        }
        let journey = event.properties.text_of("journey")?;
        let step = event.properties.text_of("step")?;
        let at_step = waiting.filter(|run| {
            let pinned = self.pinned(run);
            run.journey == journey
                && pinned.is_some_and(|p| p.journey.step(StepIndex(run.step)).id == step)
        });
        at_step.max_by_key(|run| (run.armed, run.order())).map(super::Run::id)
    }

    /// A call failed, or nobody answered in time.
    pub(crate) fn call_over(&mut self, id: RunId, call: &Call, next: Option<StepIndex>) {
        match call_failed(call, next) {
            Flow::End(end) => self.end(id, &end),
            _ => self.advance(id, next),
        }
    }

    /// The time for an answer is over.
    pub(crate) fn fire_call(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) {
        let step = pinned.journey.step(index);
        let StepKind::Call(call) = &step.kind else { unreachable!("only a call waits so") };
        self.take_back_call(id, Reason::Expired);
        self.call_over(id, call, step.next);
    }

    /// Nobody waits for the answer any more: the dispatcher need not ask.
    pub(crate) fn take_back_call(&mut self, id: RunId, reason: Reason) {
        let Some(place) = self.profile.run_place(id) else { return };
        let run = &self.profile.runs[place];
        if matches!(run.state, RunState::Call { .. }) {
            let (profile, action) = (self.profile.id, ActionId(run.candidate()));
            self.effects.push(Effect::Cancel { profile, action, reason });
        }
    }
}

fn call_failed(call: &Call, next: Option<StepIndex>) -> Flow {
    if call.exit { Flow::End(End::CallFailed) } else { Flow::Go(next) }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode(value: &str, out: &mut String) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_leaves_its_place_in_the_address() {
        let mut out = String::new();
        encode("../a b?c=d&e#f@é", &mut out);
        assert_eq!(out, "..%2Fa%20b%3Fc%3Dd%26e%23f%40%C3%A9");
    }
}
