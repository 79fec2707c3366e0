//! Roles on threads: each drives the turns of one state machine and says where it stands.

use crate::health::Health;
use crate::index::Indexer;
use parking_lot::Mutex;
use sojourn_dispatcher::{DispatchError, Dispatcher, Phase};
use sojourn_identity::{IdentityRules, IdentityShard};
use sojourn_model::Timestamp;
use sojourn_ports::{Clock, Log, MarkKeeper, Topic};
use sojourn_worker::{PartitionOwner, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Longest sleep of a role that has nothing to do.
const IDLE: Duration = Duration::from_millis(20);
/// Pause between two looks for answers while the dispatcher drains, and how many there are at most
/// (20 s: a webhook's time-out and some).
const DRAIN_WAIT: Duration = Duration::from_millis(10);
const DRAIN_WAITS_MAX: u32 = 2_000;
/// Sleep of a dispatcher that waits for answers of channels.
const ANSWERS: Duration = Duration::from_millis(1);
/// Pause after an error, doubled up to the limit.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Merges in a chain whose records pass from owner to owner before a mark may be taken back.
const FORWARD_ROUNDS: u32 = 6;
/// How often the log may drop what everyone has read.
const TRIM: Duration = Duration::from_secs(60);

/// Where the roles of a process stand; 0: not known yet, else offset + 1.
pub(crate) struct Positions {
    pub(crate) identity: AtomicU64,
    pub(crate) identity_committed: AtomicU64,
    pub(crate) owners: Vec<AtomicU64>,
    pub(crate) owners_committed: Vec<AtomicU64>,
    pub(crate) index: Mutex<Vec<(Topic, u16, u64)>>,
    /// Where the dispatcher reads `actions`.
    pub(crate) actions: Mutex<Vec<(Topic, u16, u64)>>,
}

impl Positions {
    pub(crate) fn new(partitions: u16) -> Self {
        let zeros = || (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Self {
            identity: AtomicU64::new(0),
            identity_committed: AtomicU64::new(0),
            owners: zeros(),
            owners_committed: zeros(),
            index: Mutex::default(),
            actions: Mutex::default(),
        }
    }

    fn set(slot: &AtomicU64, position: Option<u64>) {
        slot.store(position.map_or(0, |offset| offset + 1), Ordering::Release);
    }

    /// Offset that a slot stands for.
    pub(crate) fn get(slot: &AtomicU64) -> Option<u64> {
        slot.load(Ordering::Acquire).checked_sub(1)
    }

    pub(crate) fn identity_reached(&self, end: u64) -> bool {
        Self::get(&self.identity).is_some_and(|at| at >= end)
    }

    /// Whether the dispatcher has read `actions` so far.
    pub(crate) fn actions_reached(&self, ends: &[u64]) -> bool {
        let read = self.actions.lock();
        !read.is_empty() && read.iter().all(|(_, p, at)| *at >= ends[usize::from(*p)])
    }

    pub(crate) fn owners_reached(&self, ends: &[u64]) -> bool {
        self.owners.iter().zip(ends).all(|(at, end)| Self::get(at).is_some_and(|at| at >= *end))
    }
}

/// Lets the machine do something else: a role's thread has nothing to do until then.
#[expect(clippy::disallowed_methods, reason = "threads of roles are driven here and nowhere else")]
fn nap(time: Duration) {
    std::thread::sleep(time);
}

/// Waits, a little longer after each failure in a row.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(RETRY)
    }
    fn failed(&mut self) {
        nap(self.0);
        self.0 = (self.0 * 2).min(RETRY_MAX);
    }
    fn worked(&mut self) {
        self.0 = RETRY;
    }
}

/// What every role shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) positions: Arc<Positions>,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn until(&self, wake: Option<Timestamp>) -> Duration {
        wake.map_or(IDLE, |wake| self.clock.wall(wake.0 - self.clock.now().0 + 1).min(IDLE))
    }
}

/// Rules that a publish hands to identity, and requests to commit now.
#[derive(Default)]
pub(crate) struct IdentityMail {
    pub(crate) rules: Mutex<Option<IdentityRules>>,
    pub(crate) commit: AtomicBool,
}

pub(crate) fn identity(shared: &Shared, mut shard: IdentityShard, mail: &IdentityMail) {
    let mut backoff = Backoff::new();
    let positions = &shared.positions;
    while !shared.stopping() {
        if let Some(rules) = mail.rules.lock().take() {
            shard.set_rules(rules);
        }
        let turned = shard.turn().and_then(|progress| {
            if mail.commit.swap(false, Ordering::AcqRel) {
                shard.finish()?;
            }
            Ok(progress)
        });
        Positions::set(&positions.identity, shard.position());
        Positions::set(&positions.identity_committed, shard.committed());
        match turned {
            Ok(sojourn_identity::Progress::Idle) => {
                shared.health.ready("identity");
                backoff.worked();
                let at = shard.position().unwrap_or(0);
                shared.log.wait(&[(Topic::Touchpoints, 0, at)], false, IDLE);
            }
            Ok(_) => backoff.worked(),
            Err(error) => {
                tracing::error!(%error, "identity");
                shared.health.failed("identity", error.to_string());
                backoff.failed();
            }
        }
    }
    if let Err(error) = shard.finish() {
        tracing::warn!(%error, "identity could not commit at the end; it replays at the next start");
    }
    Positions::set(&positions.identity_committed, shard.committed());
}

pub(crate) fn engine(shared: &Shared, mut owners: Vec<(u16, PartitionOwner)>) {
    let mut backoff = Backoff::new();
    let mut failed = None;
    while !shared.stopping() {
        let mut worked = false;
        for (partition, owner) in &mut owners {
            let place = usize::from(*partition);
            match owner.turn() {
                Ok(progress) => worked |= !matches!(progress, Progress::Idle),
                Err(error) => failed = Some(error.to_string()),
            }
            Positions::set(&shared.positions.owners[place], owner.position());
            Positions::set(&shared.positions.owners_committed[place], owner.committed());
        }
        if let Some(error) = failed.take() {
            tracing::error!(%error, "engine");
            shared.health.failed("engine", error);
            backoff.failed();
        } else if !worked {
            shared.health.ready("engine");
            backoff.worked();
            let wake = owners.iter().filter_map(|(_, owner)| owner.next_wake()).min();
            let at: Vec<_> = owners
                .iter()
                .map(|(p, owner)| (Topic::Profiles, *p, owner.position().unwrap_or(0)))
                .collect();
            shared.log.wait(&at, false, shared.until(wake));
        }
    }
    for (partition, owner) in &mut owners {
        if let Err(error) = owner.finish() {
            tracing::warn!(%error, "a partition could not checkpoint at the end; it replays at the next start");
        }
        let place = usize::from(*partition);
        Positions::set(&shared.positions.owners_committed[place], owner.committed());
    }
}

pub(crate) fn dispatcher(
    shared: &Shared,
    mut make: impl FnMut() -> Result<Dispatcher, DispatchError>,
) {
    let mut backoff = Backoff::new();
    let mut running = None;
    while !shared.stopping() {
        let turned = match &mut running {
            Some(dispatcher) => Dispatcher::turn(dispatcher),
            None => make().and_then(|made| running.insert(made).turn()),
        };
        let Some(dispatcher) = &running else {
            if let Err(error) = turned {
                tracing::error!(%error, "dispatcher");
                shared.health.failed("dispatcher", error.to_string());
            }
            backoff.failed();
            continue;
        };
        match turned {
            Ok(progress) => {
                backoff.worked();
                *shared.positions.actions.lock() = dispatcher.waits_for();
                if dispatcher.phase() == Phase::Running {
                    shared.health.ready("dispatcher");
                }
                if !progress.worked {
                    let longest = if progress.in_flight > 0 { ANSWERS } else { IDLE };
                    let timeout = shared.until(progress.wake_at).min(longest);
                    shared.log.wait(&dispatcher.waits_for(), true, timeout);
                }
            }
            Err(error) => {
                tracing::error!(%error, "dispatcher");
                shared.health.failed("dispatcher", error.to_string());
                backoff.failed();
                running = None;
            }
        }
    }
    if let Some(Err(error)) = running.as_mut().map(|dispatcher| drain(shared, dispatcher)) {
        tracing::warn!(%error, "the dispatcher could not save at the end; it recovers at the next start");
    }
}

/// Waits for the calls in flight: what is not answered now would be unknown after the restart.
fn drain(shared: &Shared, dispatcher: &mut Dispatcher) -> Result<(), DispatchError> {
    dispatcher.drain();
    for _ in 0..DRAIN_WAITS_MAX {
        if dispatcher.turn()?.in_flight == 0 {
            break;
        }
        // Nothing is announced by this partition: a pause of exactly this length.
        shared.log.wait(&[], true, DRAIN_WAIT);
    }
    dispatcher.save()
}

pub(crate) fn index(shared: &Shared, mut indexer: Indexer) {
    let mut backoff = Backoff::new();
    while !shared.stopping() {
        match indexer.turn() {
            Ok(0) => {
                backoff.worked();
                shared.log.wait(&indexer.cursors(), true, IDLE);
            }
            Ok(_) => backoff.worked(),
            Err(error) => {
                tracing::error!(%error, "index");
                backoff.failed();
            }
        }
        *shared.positions.index.lock() = indexer.cursors();
    }
}

/// Takes back marks of the gate once the engine has applied what they announced, lets the dispatcher
/// begin once identity and engine have caught up, and trims the log. Looks after every `pause`.
pub(crate) fn keeper(shared: &Shared, gate: &dyn MarkKeeper, ready: &AtomicBool, pause: Duration) {
    let mut since_trim = Duration::ZERO;
    let mut round = Round::default();
    let mut backoff = Backoff::new();
    while !shared.stopping() {
        match round.run(shared, gate, ready, pause) {
            Ok(()) => backoff.worked(),
            Err(error) => {
                tracing::warn!(error, "marks of the gate cannot be taken back; they go on holding");
                backoff.failed();
            }
        }
        nap(pause);
        since_trim += pause;
        if since_trim >= TRIM {
            since_trim = Duration::ZERO;
            trim(shared);
        }
    }
}

/// What the keeper remembers from look to look.
#[derive(Default)]
struct Round {
    /// The ticket up to which revocations were taken back.
    settled: Option<u64>,
    /// Cancels are in `actions` too: once the dispatcher has read them it needs no mark (LIM-1).
    told: Option<(Timestamp, Vec<u64>)>,
}

impl Round {
    fn run(
        &mut self,
        shared: &Shared,
        gate: &dyn MarkKeeper,
        ready: &AtomicBool,
        pause: Duration,
    ) -> Result<(), String> {
        let now = shared.clock.now();
        let lost = gate.has_lost();
        // Marks are set after their record is appended: whatever the log holds now covers them.
        let ticket = gate.ticket()?;
        if self.settled != Some(ticket) || lost || !ready.load(Ordering::Acquire) {
            let Some(()) = catch_up(shared, pause)? else { return Ok(()) };
            if lost {
                // Cancels stand in `actions`; the dispatcher must have read them.
                let actions = ends(shared, Topic::Actions)?;
                if !wait(shared, pause, &|| shared.positions.actions_reached(&actions)) {
                    return Ok(());
                }
                tracing::warn!("the gate had lost marks; they are set anew from the log");
                gate.reopen()?;
            }
            gate.settle(ticket)?;
            self.settled = Some(ticket);
            ready.store(true, Ordering::Release);
            if self.told.is_none() {
                self.told = Some((now, ends(shared, Topic::Actions)?));
            }
        }
        if let Some((since, read)) = &self.told
            && shared.positions.actions_reached(read)
        {
            gate.forget_before(*since)?;
            self.told = None;
        }
        Ok(())
    }
}

/// Waits until identity and every owner have applied what the log holds now; `None`: the process ends.
fn catch_up(shared: &Shared, pause: Duration) -> Result<Option<()>, String> {
    let touchpoints = ends(shared, Topic::Touchpoints)?;
    if !wait(shared, pause, &|| shared.positions.identity_reached(touchpoints[0])) {
        return Ok(None);
    }
    // Several rounds: what owners forward to each other counts, also along a chain of merges.
    let mut before = None;
    for _ in 0..FORWARD_ROUNDS {
        let profiles = ends(shared, Topic::Profiles)?;
        if !wait(shared, pause, &|| shared.positions.owners_reached(&profiles)) {
            return Ok(None);
        }
        // Nothing has come since the last round: nothing was forwarded.
        if before.as_ref() == Some(&profiles) {
            break;
        }
        before = Some(profiles);
    }
    Ok(Some(()))
}

/// Where every partition of a topic ends.
fn ends(shared: &Shared, topic: Topic) -> Result<Vec<u64>, String> {
    (0..shared.log.partitions(topic))
        .map(|partition| shared.log.bounds(topic, partition).map(|bounds| bounds.next))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// False: the process ends.
fn wait(shared: &Shared, pause: Duration, reached: &dyn Fn() -> bool) -> bool {
    while !reached() {
        if shared.stopping() {
            return false;
        }
        nap(pause.min(IDLE));
    }
    !shared.stopping()
}

/// Allows the log to drop what every reader has behind it, subject to retention.
fn trim(shared: &Shared) {
    let positions = &shared.positions;
    let mut below = Vec::new();
    if let Some(at) = Positions::get(&positions.identity_committed) {
        below.push((Topic::Touchpoints, 0, at));
    }
    for (topic, partition, at) in positions.index.lock().iter() {
        let at = match topic {
            Topic::Profiles => {
                let committed = &positions.owners_committed[usize::from(*partition)];
                Positions::get(committed).unwrap_or(0).min(*at)
            }
            _ => *at,
        };
        below.push((*topic, *partition, at));
    }
    below.extend(positions.actions.lock().iter().copied());
    // Nobody reads these twice; retention alone decides.
    for topic in [Topic::Definitions, Topic::DeadLetters] {
        below.push((topic, 0, shared.log.bounds(topic, 0).map_or(0, |bounds| bounds.next)));
    }
    if let Err(error) = shared.log.trim(&below) {
        tracing::warn!(%error, "the log could not be trimmed");
    }
}
