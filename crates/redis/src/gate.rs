//! The gate of many processes (CON-2).
//!
//! Marks and permits lie in the store, under one tag. One script looks at the marks and takes the
//! permit; one script sets marks and names the permits they concern. Scripts run one after the other,
//! so for every mark and permit either the mark was first, and the permit was refused, or the permit
//! was, and the mark knows it and waits until it is given back.
//!
//! A permit belongs to a *session*, one per process, whose lease (a minute, renewed while permits are
//! out) is longer than any call to a provider: a mark waits at most that long for a process that died.
//! A process that is stopped for longer than its lease between a permit and its call is the bound of
//! this argument.
//!
//! Marks are cached log, too, but a gate that has lost them must not stay open: the marks have a
//! *life* (set when the first process joins, gone when the store is emptied) and a ticket that only
//! grows. A process whose life is over, or that has seen a higher ticket than the store has, answers
//! [`GateVerdict::Unreachable`] until [`RedisGate::reopen`] is called by whoever has let identity and
//! engine catch up with the log anew. A fail-over that loses marks whose ticket no asking process has
//! seen yet is not noticed; `min-replicas-to-write` narrows that window.

use crate::client::Client;
use crate::limits::{LEASE, LOOK, RELEASE_BATCH, RELEASE_RETRY, RENEW};
use crate::{script, state};
use parking_lot::{Condvar, Mutex};
use sojourn_model::{KillTarget, Timestamp};
use sojourn_ports::{Clock, Gate, GateMark, GateQuery, GateVerdict, MarkKeeper, Permit};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Purpose that a revocation "of any purpose" spares.
const SERVICE: &str = "service";
const TAG: &str = "gate";
/// Reasons of the fields that stop whatever the instant of approval, in the order of [`fields`].
const STOPS: [&str; 6] = ["erased", "killed", "killed", "killed", "killed", "cancelled"];

/// A gate whose marks and permits are shared by every process on the same store.
pub struct RedisGate {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    client: Arc<Client>,
    lease: Duration,
    state: Mutex<State>,
    /// Rung when there is something to give back, or at the end.
    wake: Condvar,
}

struct State {
    life: String,
    session: String,
    /// Highest ticket seen.
    ticket: u64,
    next_permit: u64,
    held: usize,
    /// Permits to be given back, with their session.
    released: Vec<(String, String)>,
    /// The store has said that marks are gone, and nobody has reopened the gate since.
    lost: bool,
    stop: bool,
}

/// Fields of a value under which a revocation may stand.
fn revocations(found: &mut Vec<String>, kind: &str, value: &str, query: &GateQuery) {
    for channel in [Some(&*query.channel), None] {
        found.push(revocation(kind, value, channel, Some(&query.purpose)));
        if &*query.purpose != SERVICE {
            found.push(revocation(kind, value, channel, None));
        }
    }
}

fn revocation(kind: &str, value: &str, channel: Option<&str>, purpose: Option<&str>) -> String {
    // Absent and empty differ: a name may be the empty string.
    let part = |name: Option<&str>| name.map_or_else(|| "*".to_owned(), |name| format!("={name}"));
    format!("{kind}\0{value}\0{}\0{}", part(channel), part(purpose))
}

/// A kill switch; the script keeps when it was taken back under `r` instead of `k`.
fn kill(target: &KillTarget) -> String {
    match target {
        KillTarget::All => "k\0all".to_owned(),
        KillTarget::Class(purpose) => format!("k\0class\0{purpose}"),
        KillTarget::Channel(channel) => format!("k\0channel\0{channel}"),
        KillTarget::Journey(journey) => format!("k\0journey\0{journey}"),
    }
}

/// The fields of all marks that could stop a query: first those of [`STOPS`], then revocations.
fn fields(query: &GateQuery) -> Vec<String> {
    let mut found = vec![
        format!("x\0{}", query.profile),
        kill(&KillTarget::All),
        kill(&KillTarget::Class(query.purpose.clone())),
        kill(&KillTarget::Channel(query.channel.clone())),
        kill(&KillTarget::Journey(query.journey.clone())),
        format!("c\0{}", query.action),
    ];
    revocations(&mut found, "p", &query.profile.to_string(), query);
    revocations(&mut found, "e", &query.endpoint, query);
    for value in query.identifiers.iter().filter(|value| **value != query.endpoint) {
        revocations(&mut found, "e", value, query);
    }
    found
}

/// A mark as the script takes it: what, field, instant.
fn encoded(mark: &GateMark, now: Timestamp) -> [String; 3] {
    let (what, field, at) = match mark {
        GateMark::Revoked { endpoint, channel, purpose, at } => {
            ("revoke", revocation("e", endpoint, channel.as_deref(), purpose.as_deref()), *at)
        }
        GateMark::PersonRevoked { profile, channel, purpose, at } => {
            let profile = profile.to_string();
            ("revoke", revocation("p", &profile, channel.as_deref(), purpose.as_deref()), *at)
        }
        GateMark::Cancelled(action) => ("stop", format!("c\0{action}"), now),
        GateMark::Erased(profile) => ("stop", format!("x\0{profile}"), now),
        GateMark::Killed { target, on, at } => {
            (if *on { "kill" } else { "free" }, kill(target), *at)
        }
    };
    [what.to_owned(), field, at.0.to_string()]
}

impl RedisGate {
    pub(crate) fn open(client: Arc<Client>, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Self::with_lease(client, clock, LEASE)
    }

    fn with_lease(
        client: Arc<Client>,
        clock: Arc<dyn Clock>,
        lease: Duration,
    ) -> Result<Self, String> {
        let (life, session, ticket) = join(&client)?;
        let state = State {
            life,
            session,
            ticket,
            next_permit: 0,
            held: 0,
            released: Vec::new(),
            lost: false,
            stop: false,
        };
        let wake = Condvar::new();
        let shared = Arc::new(Shared { client, lease, state: Mutex::new(state), wake });
        let of_thread = shared.clone();
        let keeper = std::thread::Builder::new()
            .name("gate-lease".to_owned())
            .spawn(move || of_thread.keep())
            .map_err(|error| error.to_string())?;
        Ok(Self { clock, shared, keeper: Some(keeper) })
    }

    /// Takes the store's marks as they are now for the whole: the caller vouches that identity and
    /// engine have applied everything the log held when the gate answered `Unreachable`, so that every
    /// mark has been set anew.
    pub fn reopen(&self) -> Result<(), String> {
        let (life, session, ticket) = join(&self.shared.client)?;
        let mut state = self.shared.state.lock();
        (state.life, state.session, state.ticket) = (life, session, ticket);
        state.lost = false;
        Ok(())
    }

    /// Stamp of the last marks set by any process: to be given to [`Self::settle`] later. Marks that are
    /// set after it have a higher one, also when the store is emptied in between.
    pub fn ticket(&self) -> Result<u64, String> {
        let mut command = redis::cmd("HGET");
        command.arg(self.shared.key("head")).arg("stamp");
        let stamp: Option<u64> = self.shared.client.ask(&command)?;
        Ok(stamp.unwrap_or(0))
    }

    /// Takes back revocations without an end that were set up to `ticket`; the caller vouches for what
    /// the keeper of a single process does: the engine has applied every record that the log held when
    /// `ticket` was taken.
    pub fn settle(&self, ticket: u64) -> Result<(), String> {
        let end = Timestamp::MAX.0;
        self.forget(&|field, [at, set, _]| {
            is_revocation(field) && at == end && set <= signed(ticket)
        })
    }

    /// Forgets marks that can concern nobody any more (LIM-1): the caller vouches that every action
    /// approved before `horizon` has been handed over or given up, and that the engine has applied
    /// every record before it. Orders about kill switches stay.
    pub fn forget_before(&self, horizon: Timestamp) -> Result<(), String> {
        self.forget(&|field, [at, _, came]| match field.first() {
            Some(b'k' | b'r') => false,
            Some(b'c' | b'x') => came < horizon.0,
            _ => at < horizon.0,
        })
    }

    /// Marks held, for metrics and `doctor`.
    pub fn marks(&self) -> Result<u64, String> {
        self.shared.client.ask(redis::cmd("HLEN").arg(self.shared.key("marks")))
    }

    /// Takes back the marks that `which` names, unless they change meanwhile.
    fn forget(&self, which: &dyn Fn(&[u8], [i64; 3]) -> bool) -> Result<(), String> {
        let hash = self.shared.key("marks");
        let mut found = Vec::new();
        state::pages(&self.shared.client, &hash, &mut |field, value| {
            if parsed(&value).is_some_and(|numbers| which(&field, numbers)) {
                found.extend([field, value]);
            }
        })?;
        for batch in found.chunks(2 * RELEASE_BATCH) {
            let args: Vec<&[u8]> = batch.iter().map(|part| &part[..]).collect();
            let keys = std::slice::from_ref(&hash);
            let _: Vec<String> = self.shared.client.run_again(&script::GATE_FORGET, keys, &args)?;
        }
        Ok(())
    }

    /// Sets marks and names the permits they concern.
    fn set(&self, marks: &[GateMark]) -> Result<Vec<String>, String> {
        let now = self.clock.now();
        let mut args = vec![now.0.to_string()];
        args.extend(marks.iter().flat_map(|mark| encoded(mark, now)));
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let keys = self.shared.keys();
        let mut answer: Vec<String> =
            self.shared.client.run_again(&script::GATE_MARK, &keys, &args)?;
        if answer.is_empty() {
            return Err("the gate gave no ticket".to_owned());
        }
        let permits = answer.split_off(1);
        let ticket = answer[0].parse().map_err(|_| "the gate's ticket is no number".to_owned())?;
        let mut state = self.shared.state.lock();
        state.ticket = state.ticket.max(ticket);
        Ok(permits)
    }
}

fn is_revocation(field: &[u8]) -> bool {
    matches!(field.first(), Some(b'e' | b'p'))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Instant, stamp and time of a stored mark.
fn parsed(value: &[u8]) -> Option<[i64; 3]> {
    let mut numbers = std::str::from_utf8(value).ok()?.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// Life of the marks, a session, the last ticket.
fn join(client: &Client) -> Result<(String, String, u64), String> {
    let keys = [client.key(TAG, "head")];
    let (life, session, ticket): (String, String, String) =
        client.run_again(&script::GATE_OPEN, &keys, &[])?;
    let ticket = ticket.parse().map_err(|_| "the gate's ticket is no number".to_owned())?;
    Ok((life, session, ticket))
}

impl Shared {
    fn key(&self, rest: &str) -> String {
        self.client.key(TAG, rest)
    }

    /// Header, marks, permits, sessions.
    fn keys(&self) -> [String; 4] {
        ["head", "marks", "permits", "sessions"].map(|rest| self.key(rest))
    }

    fn release(&self, session: String, permit: String) {
        let mut state = self.state.lock();
        state.held = state.held.saturating_sub(1);
        state.released.push((session, permit));
        self.wake.notify_all();
    }

    /// Gives permits back and renews the lease while some are out, until the gate is dropped. What
    /// cannot be given back is kept and tried again: a permit that stayed would hold marks up. The
    /// list is bounded, as a store that does not answer gives no new permits.
    fn keep(&self) {
        let mut state = self.state.lock();
        loop {
            let idle = state.released.is_empty() && !state.stop;
            let timed_out = idle && self.wake.wait_for(&mut state, self.renew()).timed_out();
            let take = state.released.len().min(RELEASE_BATCH);
            let batch: Vec<_> = state.released.drain(..take).collect();
            let renew = timed_out && state.held > 0;
            let stop = state.stop;
            if batch.is_empty() && !renew {
                if stop {
                    return;
                }
                continue;
            }
            let lease = if renew { self.lease.as_millis().to_string() } else { "0".to_owned() };
            let session = state.session.clone();
            drop(state);
            let mut args = vec![session.as_bytes(), lease.as_bytes()];
            args.extend(batch.iter().map(|(_, permit)| permit.as_bytes()));
            let keys = [self.key("permits"), self.key("sessions")];
            let done =
                self.client.run_again::<Vec<String>>(&script::GATE_RENEW, &keys, &args).is_ok();
            state = self.state.lock();
            if !done {
                if stop {
                    return; // The lease ends by itself.
                }
                state.released.extend(batch);
                self.wake.wait_for(&mut state, RELEASE_RETRY);
            }
        }
    }

    fn renew(&self) -> Duration {
        RENEW.min(self.lease / 4)
    }
}

impl Drop for RedisGate {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.wake.notify_all();
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            tracing::error!("the thread that renews the gate's lease has panicked");
        }
    }
}

impl Gate for RedisGate {
    fn mark(&self, marks: &[GateMark]) -> Result<(), String> {
        let mut permits = self.set(marks)?;
        let keys = [self.shared.key("permits"), self.shared.key("sessions")];
        while !permits.is_empty() {
            let mut state = self.shared.state.lock();
            // Rung by a permit of our own; those of others are only seen by looking.
            self.shared.wake.wait_for(&mut state, LOOK);
            drop(state);
            let args: Vec<&[u8]> = permits.iter().map(|permit| permit.as_bytes()).collect();
            permits = self.shared.client.run_again(&script::GATE_STILL, &keys, &args)?;
        }
        Ok(())
    }

    fn post(&self, marks: &[GateMark]) -> Result<(), String> {
        self.set(marks).map(drop)
    }

    fn ask(&self, query: &GateQuery) -> GateVerdict {
        let (life, session, ticket, permit) = {
            let mut state = self.shared.state.lock();
            state.next_permit += 1;
            state.held += 1;
            let permit = format!("{}:{}", state.session, state.next_permit);
            (state.life.clone(), state.session.clone(), state.ticket, permit)
        };
        let fields = fields(query);
        let mut args = vec![life, ticket.to_string(), session.clone(), permit.clone()];
        args.push(self.shared.lease.as_millis().to_string());
        args.push(query.approved_at.0.to_string());
        args.push(STOPS.len().to_string());
        let args: Vec<&[u8]> = args.iter().chain(&fields).map(|arg| arg.as_bytes()).collect();
        let answer = self.shared.client.run_again::<(String, String, u64)>(
            &script::GATE_ASK,
            &self.shared.keys(),
            &args,
        );
        let held = Held { session, permit, shared: self.shared.clone() };
        // Whatever is not `open` drops `held`: nobody knows whether a failed call has left a permit.
        let (verdict, detail, ticket) = match answer {
            Ok(answer) => answer,
            Err(error) => return GateVerdict::Unreachable(error),
        };
        {
            let mut state = self.shared.state.lock();
            if verdict == "lost" {
                state.lost = true;
            } else {
                state.ticket = state.ticket.max(ticket);
            }
        }
        match &*verdict {
            "open" => GateVerdict::Open(Permit::new(held)),
            "closed" => {
                let place = detail.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
                let reason = place.and_then(|place| STOPS.get(place)).copied();
                GateVerdict::Closed(reason.unwrap_or("revoked"))
            }
            _ => GateVerdict::Unreachable(
                "the store has lost marks; they are set anew from the log first".to_owned(),
            ),
        }
    }
}

impl MarkKeeper for RedisGate {
    fn ticket(&self) -> Result<u64, String> {
        Self::ticket(self)
    }

    fn settle(&self, ticket: u64) -> Result<(), String> {
        Self::settle(self, ticket)
    }

    fn forget_before(&self, horizon: Timestamp) -> Result<(), String> {
        Self::forget_before(self, horizon)
    }

    fn has_lost(&self) -> bool {
        self.shared.state.lock().lost
    }

    fn reopen(&self) -> Result<(), String> {
        Self::reopen(self)
    }

    fn held(&self) -> Result<u64, String> {
        self.marks()
    }
}

/// Behind a permit.
struct Held {
    session: String,
    permit: String,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (session, permit) =
            (std::mem::take(&mut self.session), std::mem::take(&mut self.permit));
        self.shared.release(session, permit);
    }
}
