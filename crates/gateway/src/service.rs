//! The gateway itself: options, shared state, and the one way into the log that all edges take.

use crate::keys::{KeyError, Keys, Secrets};
use crate::limits;
use crate::message::{Converted, Converter, Envelope, Rejected};
use crate::metric::{self, Stopwatch};
use crate::refusal::Refusal;
use crate::revocation;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sojourn_channels::Prompts;
use sojourn_channels::token::Signer;
use sojourn_model::{Identifier, IdentifierKind, Name, ProfileId, Timestamp};
use sojourn_ports::{Append, Clock, Gate, GateMark, Log, LogError, Topic};
use sojourn_proto::DeadLetter;
use sojourn_rules::Definitions;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Knows who somebody was when identity last heard of them.
pub trait People: Send + Sync {
    /// The profile that holds the strongest known of these identifiers. May be stale.
    fn profile(&self, identifiers: &[Identifier]) -> Option<ProfileId>;
}

/// Limits that an operator may set; the rest are constants in [`limits`].
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// Bytes of a batch.
    pub batch_bytes_max: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            batch_bytes_max: limits::BATCH_BYTES_MAX,
        }
    }
}

/// What a gateway is built from.
pub struct Options {
    /// Where touchpoints go.
    pub log: Arc<dyn Log>,
    /// Closed before a revocation is acknowledged.
    pub gate: Arc<dyn Gate>,
    /// Tells when something was received.
    pub clock: Arc<dyn Clock>,
    /// Sources, tracking plan, policy.
    pub definitions: Arc<Definitions>,
    /// Resolved secrets of the sources.
    pub secrets: Secrets,
    /// Verifies the links of messages.
    pub signer: Signer,
    /// In-store prompts, when there is such a channel.
    pub prompts: Option<Arc<dyn Prompts>>,
    /// Address of the preference centre, without the token; `None`: there is none.
    pub portal_url: Option<String>,
    /// Sizes of bodies.
    pub sizes: Sizes,
}

/// The gateway. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Gateway(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) signer: Signer,
    pub(crate) prompts: Option<Arc<dyn Prompts>>,
    pub(crate) people: OnceLock<Arc<dyn People>>,
    pub(crate) portal_url: Option<String>,
    pub(crate) sizes: Sizes,
    current: RwLock<Arc<Current>>,
    draining: AtomicBool,
    requests: AtomicUsize,
    bodies: AtomicUsize,
    idle: Notify,
    /// Browser signals already recorded today.
    signals: Mutex<HashSet<u64>>,
}

/// What a publish changes, as one.
pub(crate) struct Current {
    pub(crate) converter: Converter,
    pub(crate) keys: Keys,
}

impl Current {
    pub(crate) fn definitions(&self) -> &Definitions {
        self.converter.definitions()
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("requests", &self.0.requests).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Builds a gateway; nothing is opened or spawned.
    pub fn new(options: Options) -> Result<Self, KeyError> {
        let keys = Keys::new(&options.definitions.workspace, &options.secrets)?;
        let current = Current { converter: Converter::new(&options.definitions), keys };
        Ok(Self(Arc::new(Shared {
            log: options.log,
            gate: options.gate,
            clock: options.clock,
            signer: options.signer,
            prompts: options.prompts,
            people: OnceLock::new(),
            portal_url: options.portal_url,
            sizes: options.sizes,
            current: RwLock::new(Arc::new(current)),
            draining: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            idle: Notify::new(),
            signals: Mutex::default(),
        })))
    }

    /// Lets check-ins look up prompts that were decided before the person came to the store. Without
    /// it they get those only that the visit itself causes. The first call counts.
    pub fn know_people(&self, people: Arc<dyn People>) {
        let _ = self.0.people.set(people);
    }

    /// Takes a published version up; requests under way end with the one they began with.
    pub fn define(
        &self,
        definitions: &Arc<Definitions>,
        secrets: &Secrets,
    ) -> Result<(), KeyError> {
        let keys = Keys::new(&definitions.workspace, secrets)?;
        *self.0.current.write() =
            Arc::new(Current { converter: Converter::new(definitions), keys });
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.0.current.read())
    }

    /// Refuses everything from now on (503, `Retry-After`) and returns when the requests under way
    /// have been answered, or after [`limits::DRAIN_TIME_MAX`].
    pub async fn drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
        let _ = tokio::time::timeout(limits::DRAIN_TIME_MAX, async {
            loop {
                let notified = self.0.idle.notified();
                if self.0.requests.load(Ordering::SeqCst) == 0 {
                    return;
                }
                notified.await;
            }
        })
        .await;
    }

    /// Whether [`Gateway::drain`] has been called: for `/readyz`.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Lets a request of at most `bytes` in, or says why not (LIM-1).
    pub(crate) fn admit(&self, bytes: usize) -> Result<Admitted, Refusal> {
        let requests = self.0.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let bodies = self.0.bodies.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let admitted = Admitted { gateway: self.clone(), bytes };
        metrics::gauge!(metric::IN_FLIGHT).set(requests as f64);
        if self.is_draining() {
            return Err(Refusal::Unavailable("the gateway is shutting down".into()));
        }
        if requests > limits::REQUESTS_MAX || bodies > limits::BODIES_BYTES_MAX {
            return Err(Refusal::Busy("too many requests at once".into()));
        }
        Ok(admitted)
    }

    /// Envelope of a message that just came in from `source`.
    pub(crate) fn envelope<'m>(&self, source: usize) -> Envelope<'m> {
        Envelope {
            source,
            received_at: self.0.clock.now(),
            sent_at: None,
            context: "",
            call: None,
            imported: false,
            make_id: &new_message_id,
        }
    }

    /// Makes a load durable and closes the gate for what it takes back. When this returns `Ok` the
    /// client may be told so (LOG-1, CON-2).
    pub(crate) async fn commit(&self, load: Load) -> Result<(), Refusal> {
        let started = Stopwatch::start();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let finished = self.append(load, move |result| {
            // Nobody listens any more when the request has timed out.
            let _ = sender.send(result);
        })?;
        let Some(pending) = finished else { return Ok(()) };
        let durable = tokio::time::timeout(limits::APPEND_TIME_MAX, receiver).await;
        let result = match durable {
            Ok(Ok(result)) => result,
            _ => Err(LogError::Unknown { reason: "not durable in time".into() }),
        };
        metrics::histogram!(metric::APPEND_SECONDS).record(started.elapsed());
        self.settle(result, pending).await
    }

    /// Appends a load; `done` is called when it is durable or has failed. `None`: it was empty.
    pub(crate) fn append(
        &self,
        load: Load,
        done: impl FnOnce(Result<(), LogError>) + Send + 'static,
    ) -> Result<Option<Pending>, Refusal> {
        if load.ends.is_empty() && load.letters.is_empty() {
            return Ok(None);
        }
        let shards = self.0.log.partitions(Topic::Touchpoints);
        let (appends, pending) = load.into_appends(shards);
        let done = Box::new(move |result: Result<Vec<u64>, LogError>| done(result.map(|_| ())));
        self.0.log.append(appends, Some(done)).map_err(|error| fail(&error))?;
        Ok(Some(pending))
    }

    /// What is left to do when an append is durable: close the gate, count.
    pub(crate) async fn settle(
        &self,
        result: Result<(), LogError>,
        pending: Pending,
    ) -> Result<(), Refusal> {
        result.map_err(|error| fail(&error))?;
        for (channel, count) in &pending.accepted {
            metrics::counter!(metric::ACCEPTED, "channel" => channel.to_string()).increment(*count);
        }
        self.close_gate(pending.marks).await
    }

    /// Marks in the gate, on a thread that may wait for messages being handed over right now.
    async fn close_gate(&self, marks: Vec<GateMark>) -> Result<(), Refusal> {
        if marks.is_empty() {
            return Ok(());
        }
        metrics::counter!(metric::REVOCATIONS).increment(marks.len() as u64);
        let gate = Arc::clone(&self.0.gate);
        let marked = tokio::task::spawn_blocking(move || gate.mark(&marks)).await;
        match marked {
            Ok(Ok(())) => Ok(()),
            // Recorded, but not yet enforced: the client must not be told that it is.
            _ => Err(Refusal::Unavailable("the gate does not answer".into())),
        }
    }

    /// Whether a person's browser signal has to be recorded; true once a day and person.
    pub(crate) fn signal_is_new(&self, key: u64) -> bool {
        let mut signals = self.0.signals.lock();
        if signals.len() >= limits::SIGNALS_MAX {
            // Recording one twice does no harm: its message id is the same all day.
            signals.clear();
        }
        signals.insert(key)
    }
}

fn fail(error: &LogError) -> Refusal {
    let reason = match error {
        LogError::Full { .. } => "full",
        LogError::Stopped { .. } => "stopped",
        LogError::Unknown { .. } => "unknown",
        LogError::Unavailable { .. } => "unavailable",
        LogError::Limit { .. } => "limit",
        LogError::OutOfRange { .. } | LogError::Damaged { .. } => "damaged",
    };
    metrics::counter!(metric::APPENDS_FAILED, "reason" => reason).increment(1);
    tracing::warn!(reason, %error, "append failed");
    Refusal::from(error.clone())
}

/// An id for a message that came without one.
pub(crate) fn new_message_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A request that was let in; leaves when dropped.
pub(crate) struct Admitted {
    gateway: Gateway,
    bytes: usize,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gateway.0.bodies.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.gateway.0.requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.gateway.0.idle.notify_waiters();
        }
    }
}

/// What is left to do with a load after it has become durable.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    marks: Vec<GateMark>,
    accepted: Vec<(Name, u64)>,
}

/// Touchpoints and dead letters that are appended together, encoded one after the other.
#[derive(Debug, Default)]
pub(crate) struct Load {
    records: Vec<u8>,
    /// End of each record in `records`, and the hash that chooses its shard.
    ends: Vec<(usize, u64)>,
    letters: Vec<Bytes>,
    pending: Pending,
}

impl Load {
    /// Takes a touchpoint in.
    pub(crate) fn push(&mut self, mut touchpoint: Converted<'_>, definitions: &Definitions) {
        // Without an end: whoever knows how far the engine is takes the mark back when it has seen
        // the record itself. Only then is a decision known to heed it.
        let marks = revocation::marks(&touchpoint, definitions, Timestamp::MAX);
        self.pending.marks.extend(marks);
        let hash = shard_hash(&touchpoint.identifiers, &touchpoint.message_id);
        if tracing::enabled!(tracing::Level::TRACE) {
            // The trace id goes with the message to the channel that delivers it.
            let trace_id = sojourn_channels::trace::trace_id(&touchpoint.message_id);
            tracing::trace!(trace_id, source = touchpoint.source, "touchpoint taken");
        }
        if touchpoint.identifiers.is_empty() && touchpoint.profile.is_none() {
            metrics::counter!(metric::NO_IDENTIFIER).increment(1);
        }
        if touchpoint.left_out > 0 {
            let left_out = touchpoint.left_out as u64;
            metrics::counter!(metric::IDENTIFIERS_LEFT_OUT).increment(left_out);
        }
        touchpoint.encode(&mut self.records);
        self.ends.push((self.records.len(), hash));
        match self.pending.accepted.iter_mut().find(|(name, _)| **name == *touchpoint.channel) {
            Some((_, count)) => *count += 1,
            None => self.pending.accepted.push((touchpoint.channel.into(), 1)),
        }
    }

    /// Records a message that could not be taken: kept for the operator with its reason.
    pub(crate) fn reject(&mut self, rejected: &Rejected, source: &str, at: Timestamp, body: &str) {
        let field = rejected.field.split('.').next().unwrap_or_default();
        metrics::counter!(metric::REJECTED, "field" => field.to_string()).increment(1);
        self.letters.push(sojourn_proto::dead_letter(&DeadLetter {
            reason: "invalid_message".into(),
            source: source.into(),
            at,
            body: Bytes::copy_from_slice(body.as_bytes()),
            detail: rejected.to_string().into(),
        }));
    }

    /// Touchpoints in it.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes in it.
    pub(crate) fn bytes(&self) -> usize {
        self.records.len()
    }

    fn into_appends(self, shards: u16) -> (Vec<Append>, Pending) {
        let records = Bytes::from(self.records);
        let mut by_shard: Vec<Vec<Bytes>> = vec![Vec::new(); usize::from(shards)];
        let mut start = 0;
        for (end, hash) in self.ends {
            by_shard[usize::from(shard(hash, shards))].push(records.slice(start..end));
            start = end;
        }
        let mut appends: Vec<Append> = (0..shards)
            .zip(by_shard)
            .filter(|(_, values)| !values.is_empty())
            .map(|(partition, values)| Append { topic: Topic::Touchpoints, partition, values })
            .collect();
        if !self.letters.is_empty() {
            let values = self.letters;
            appends.push(Append { topic: Topic::DeadLetters, partition: 0, values });
        }
        (appends, self.pending)
    }
}

/// The shard of a touchpoint: by its strongest identifier, so that a retry meets its first try, or
/// by its message id when it names nobody.
pub fn shard_of(identifiers: &[Identifier], message_id: &str, shards: u16) -> u16 {
    shard(shard_hash(identifiers, message_id), shards)
}

fn shard(hash: u64, shards: u16) -> u16 {
    // The upper bits of a multiplication spread better than a remainder of FNV's lower ones.
    let mixed = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    u16::try_from(mixed % u64::from(shards.max(1))).expect("a remainder of a u16")
}

fn shard_hash(identifiers: &[Identifier], message_id: &str) -> u64 {
    match identifiers.first() {
        Some(Identifier { kind, value }) => {
            let (kind, name): (&[u8], &str) = match kind {
                IdentifierKind::CustomerId => (b"customer_id", ""),
                IdentifierKind::Email => (b"email", ""),
                IdentifierKind::Phone => (b"phone", ""),
                IdentifierKind::LoyaltyId => (b"loyalty_id", ""),
                IdentifierKind::AnonymousId => (b"anonymous_id", ""),
                IdentifierKind::DeviceId => (b"device_id", ""),
                IdentifierKind::Social(network) => (b"social", network),
                IdentifierKind::Custom(name) => (b"custom", name),
            };
            let kind = fnv(fnv(FNV_SEED, kind) ^ 0xff, name.as_bytes());
            fnv(kind ^ 0xff, value.as_bytes())
        }
        None => fnv(FNV_SEED, message_id.as_bytes()),
    }
}

pub(crate) const FNV_SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: stable over versions and machines, which the standard hasher is not.
pub(crate) fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
