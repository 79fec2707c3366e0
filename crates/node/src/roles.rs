//! Roles on threads: each drives the turns of its state machines and says where it stands.

use crate::health::Health;
use crate::index::Indexer;
use crate::positions::Positions;
use crate::tenure::Tenure;
use parking_lot::Mutex;
use sojourn_dispatcher::{DispatchError, Dispatcher, Phase};
use sojourn_identity::{IdentityError, IdentityRules, IdentityShard};
use sojourn_model::Timestamp;
use sojourn_ports::{Clock, Log, StateStore, Topic};
use sojourn_worker::{OwnerError, PartitionOwner, Progress, Settle};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest sleep of a role that has nothing to do.
pub(crate) const IDLE: Duration = Duration::from_millis(20);
/// Pause between two looks for answers while the dispatcher drains, and how many there are at most
/// (20 s: a webhook's time-out and some).
const DRAIN_WAIT: Duration = Duration::from_millis(10);
const DRAIN_WAITS_MAX: u32 = 2_000;
/// Sleep of a dispatcher that waits for answers of channels.
const ANSWERS: Duration = Duration::from_millis(1);
/// Pause of the index after rows were stored, while nobody asks for them.
const INDEX_REST: Duration = Duration::from_millis(200);
/// Longest sleep of a role that has a checkpoint on its way.
const SAVING: Duration = Duration::from_millis(2);
/// Pause after an error, doubled up to the limit.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Lets the machine do something else: a role's thread has nothing to do until then.
#[expect(clippy::disallowed_methods, reason = "threads of roles are driven here and nowhere else")]
pub(crate) fn nap(time: Duration) {
    std::thread::sleep(time);
}

/// Waits, a little longer after each failure in a row.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(RETRY)
    }
    pub(crate) fn failed(&mut self) {
        nap(self.0);
        self.0 = (self.0 * 2).min(RETRY_MAX);
    }
    pub(crate) fn worked(&mut self) {
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
    pub(crate) fn stopping(&self) -> bool {
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

/// The identity shard, while it is this process's.
pub(crate) fn identity(
    shared: &Shared,
    tenure: &Tenure,
    mail: &IdentityMail,
    mut make: impl FnMut() -> Result<IdentityShard, IdentityError>,
) {
    const SHARD: u16 = 0;
    let mut backoff = Backoff::new();
    let positions = &shared.positions;
    let mut running: Option<(u64, IdentityShard)> = None;
    while !shared.stopping() {
        let granted = tenure.wanted().get(&SHARD).copied();
        if let Some((grant, mut shard)) = running.take_if(|(grant, _)| granted != Some(*grant)) {
            tracing::info!(grant, "identity is somebody else's from now on");
            finish_identity(tenure, &mut shard);
            tenure.ended(SHARD);
        }
        let Some(grant) = granted else {
            stand_by(shared, tenure);
            mail.commit.store(false, Ordering::Release);
            continue;
        };
        if running.is_none() && !tenure.begin(SHARD, grant) {
            continue;
        }
        let shard = match &mut running {
            Some((_, shard)) => shard,
            None => match make() {
                Ok(made) => &mut running.insert((grant, made)).1,
                Err(error) => {
                    shared.health.failed("identity", error.to_string());
                    tenure.ended(SHARD);
                    backoff.failed();
                    continue;
                }
            },
        };
        if let Some(rules) = mail.rules.lock().take() {
            shard.set_rules(rules);
        }
        let turned = shard.turn().and_then(|progress| {
            if mail.commit.swap(false, Ordering::AcqRel) {
                shard.finish()?;
            }
            Ok(progress)
        });
        positions.note_identity(shard.position(), shard.committed());
        match turned {
            Ok(progress) => {
                // It serves from its first turn on, however far behind it is: `doctor` says that.
                shared.health.ready("identity");
                tenure.say(String::new());
                backoff.worked();
                if progress != sojourn_identity::Progress::Idle {
                    continue;
                }
                let at = shard.position().unwrap_or(0);
                let longest = if shard.is_saving() { SAVING } else { IDLE };
                shared.log.wait(&[(Topic::Touchpoints, SHARD, at)], false, longest);
            }
            Err(error) => {
                tracing::error!(%error, "identity");
                shared.health.failed("identity", error.to_string());
                tenure.say(error.to_string());
                backoff.failed();
            }
        }
    }
    if let Some((_, mut shard)) = running {
        finish_identity(tenure, &mut shard);
        positions.note_identity(shard.position(), shard.committed());
        tenure.ended(SHARD);
    }
}

fn finish_identity(tenure: &Tenure, shard: &mut IdentityShard) {
    // Whose lease is over leaves the rest to its successor.
    if tenure.holds()
        && let Err(error) = shard.finish()
    {
        tracing::warn!(%error, "identity could not commit at the end; it replays at the next start");
    }
}

/// Nothing is this process's work at the moment: it is ready to take over.
fn stand_by(shared: &Shared, tenure: &Tenure) {
    match tenure.standing() {
        Ok(()) => shared.health.ready(tenure.role()),
        Err(reason) => shared.health.failed(tenure.role(), reason),
    }
    nap(IDLE);
}

/// Requests to the owners of this process to checkpoint.
pub(crate) type Settles = Mutex<BTreeMap<u16, Settle>>;

/// Owners of partitions on one of `threads` threads, while the partitions are this process's.
pub(crate) fn engine(
    shared: &Shared,
    tenure: &Tenure,
    (thread, threads): (u16, u16),
    settles: &Settles,
    make: impl Fn(u16) -> PartitionOwner,
) {
    let mut backoff = Backoff::new();
    let mut owners: BTreeMap<u16, (u64, PartitionOwner)> = BTreeMap::new();
    while !shared.stopping() {
        let mut wanted = tenure.wanted();
        wanted.retain(|partition, _| partition % threads == thread);
        let gone = |(partition, (grant, _)): (&u16, &(u64, PartitionOwner))| {
            (wanted.get(partition) != Some(grant)).then_some(*partition)
        };
        for partition in owners.iter().filter_map(gone).collect::<Vec<_>>() {
            if let Some((_, mut owner)) = owners.remove(&partition) {
                tracing::info!(partition, "the partition is somebody else's from now on");
                finish_owner(shared, tenure, partition, &mut owner);
            }
            settles.lock().remove(&partition);
            tenure.ended(partition);
        }
        for (&partition, &grant) in &wanted {
            if !owners.contains_key(&partition) && tenure.begin(partition, grant) {
                let owner = make(partition);
                settles.lock().insert(partition, owner.settle());
                owners.insert(partition, (grant, owner));
            }
        }
        if owners.is_empty() {
            stand_by(shared, tenure);
            continue;
        }
        let mut worked = false;
        let mut failed: Option<OwnerError> = None;
        for (partition, (_, owner)) in &mut owners {
            match owner.turn() {
                Ok(progress) => worked |= !matches!(progress, Progress::Idle),
                Err(error) => failed = Some(error),
            }
            shared.positions.note_owner(*partition, owner.position(), owner.committed());
        }
        if let Some(error) = failed {
            tracing::error!(%error, "engine");
            shared.health.failed("engine", error.to_string());
            tenure.say(error.to_string());
            backoff.failed();
            continue;
        }
        // It serves from its first turn on, however far behind it is: `doctor` says that.
        shared.health.ready("engine");
        tenure.say(String::new());
        backoff.worked();
        if !worked {
            let wake = owners.values().filter_map(|(_, owner)| owner.next_wake()).min();
            let at: Vec<_> = owners
                .iter()
                .map(|(p, (_, owner))| (Topic::Profiles, *p, owner.position().unwrap_or(0)))
                .collect();
            let saving = owners.values().any(|(_, owner)| owner.is_saving());
            let longest = if saving { SAVING } else { IDLE };
            shared.log.wait(&at, false, shared.until(wake).min(longest));
        }
    }
    for (partition, (_, owner)) in &mut owners {
        finish_owner(shared, tenure, *partition, owner);
        tenure.ended(*partition);
    }
}

fn finish_owner(shared: &Shared, tenure: &Tenure, partition: u16, owner: &mut PartitionOwner) {
    if tenure.holds()
        && let Err(error) = owner.finish()
    {
        tracing::warn!(%error, "a partition could not checkpoint at the end; it replays at the next start");
    }
    shared.positions.note_owner(partition, owner.position(), owner.committed());
}

/// The dispatcher of this process's partitions. When these change it is drained, saved and made anew.
pub(crate) fn dispatcher(
    shared: &Shared,
    tenure: &Tenure,
    ready: &AtomicBool,
    mut make: impl FnMut(BTreeMap<u16, u64>) -> Result<Dispatcher, DispatchError>,
) {
    let mut backoff = Backoff::new();
    let mut running: Option<(BTreeMap<u16, u64>, Dispatcher)> = None;
    while !shared.stopping() {
        let wanted = tenure.wanted();
        if let Some((held, mut dispatcher)) = running.take_if(|(held, _)| *held != wanted) {
            tracing::info!(from = held.len(), to = wanted.len(), "other partitions to dispatch");
            end_dispatcher(shared, tenure, &held, &mut dispatcher);
            // Marks and cancels are gathered anew before the next call (CON-2).
            ready.store(false, Ordering::Release);
        }
        if wanted.is_empty() {
            tenure.say(note::write(None, 0));
            stand_by(shared, tenure);
            continue;
        }
        if running.is_none() {
            // Whoever lost one of them between the look and now looks again.
            if !wanted.iter().all(|(place, grant)| tenure.begin(*place, *grant)) {
                wanted.keys().for_each(|place| tenure.ended(*place));
                continue;
            }
            match make(wanted.clone()) {
                Ok(made) => running = Some((wanted, made)),
                Err(error) => {
                    tracing::error!(%error, "dispatcher");
                    shared.health.failed("dispatcher", error.to_string());
                    wanted.keys().for_each(|place| tenure.ended(*place));
                    backoff.failed();
                    continue;
                }
            }
        }
        let Some((held, dispatcher)) = &mut running else { continue };
        match dispatcher.turn() {
            Ok(progress) => {
                backoff.worked();
                shared.positions.note_actions(dispatcher.waits_for());
                let newest = held.values().copied().max().unwrap_or(0);
                tenure.say(note::write(dispatcher.oldest_pending(), newest));
                match dispatcher.phase() {
                    Phase::Running => shared.health.ready("dispatcher"),
                    // Marks and cancels that the log holds must be known before the first call.
                    _ => shared.health.coming("dispatcher", "reading what happened meanwhile"),
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
                tenure.say(error.to_string());
                if let Some((held, _)) = running.take() {
                    held.keys().for_each(|place| tenure.ended(*place));
                }
                backoff.failed();
            }
        }
    }
    if let Some((held, mut dispatcher)) = running {
        end_dispatcher(shared, tenure, &held, &mut dispatcher);
    }
}

/// What a dispatcher tells the others.
pub(crate) mod note {
    use super::Timestamp;

    /// What it holds.
    pub(crate) struct Note {
        /// When the oldest action that it holds was approved; `None`: it holds none.
        pub(crate) oldest: Option<Timestamp>,
        /// The newest grant that this counts in.
        pub(crate) grant: u64,
    }

    pub(crate) fn write(oldest: Option<Timestamp>, grant: u64) -> String {
        let oldest = oldest.map_or_else(|| "none".to_owned(), |at| at.0.to_string());
        format!("oldest={oldest} grant={grant}")
    }

    /// `None`: it says something else, such as an error, or nothing yet.
    pub(crate) fn read(text: &str) -> Option<Note> {
        let (oldest, grant) = text.strip_prefix("oldest=")?.split_once(" grant=")?;
        let oldest = match oldest {
            "none" => None,
            number => Some(Timestamp(number.parse().ok()?)),
        };
        Some(Note { oldest, grant: grant.parse().ok()? })
    }
}

fn end_dispatcher(
    shared: &Shared,
    tenure: &Tenure,
    held: &BTreeMap<u16, u64>,
    dispatcher: &mut Dispatcher,
) {
    if tenure.holds()
        && let Err(error) = drain(shared, dispatcher)
    {
        tracing::warn!(%error, "the dispatcher could not save at the end; it recovers at the next start");
    }
    held.keys().for_each(|place| tenure.ended(*place));
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

/// Rests after rows were stored, unless somebody waits for the index: a commit costs an fsync that
/// the checkpoints of the other roles share.
fn rest(shared: &Shared) {
    const PARTS: u32 = 20;
    for _ in 0..PARTS {
        if shared.stopping() || shared.positions.index_wanted() {
            return;
        }
        nap(INDEX_REST / PARTS);
    }
}

/// The index of this process's partitions.
pub(crate) fn index(
    shared: &Shared,
    tenure: &Tenure,
    store: &dyn StateStore,
    make: impl Fn(u16) -> anyhow::Result<Indexer>,
) {
    let mut backoff = Backoff::new();
    let mut indexers: BTreeMap<u16, (u64, Indexer)> = BTreeMap::new();
    while !shared.stopping() {
        let wanted = tenure.wanted();
        indexers.retain(|partition, (grant, _)| {
            let stays = wanted.get(partition) == Some(grant);
            if !stays {
                tenure.ended(*partition);
            }
            stays
        });
        let mut count = 0;
        let mut failed = None;
        for (&partition, &grant) in &wanted {
            if !indexers.contains_key(&partition) && tenure.begin(partition, grant) {
                match make(partition) {
                    Ok(made) => {
                        indexers.insert(partition, (grant, made));
                    }
                    Err(error) => {
                        tenure.ended(partition);
                        failed = Some(error);
                    }
                }
            }
        }
        let mut broken = Vec::new();
        let mut gathered = Vec::new();
        for (partition, (_, indexer)) in &mut indexers {
            match indexer.gather() {
                Ok(checkpoints) => gathered.extend(checkpoints),
                Err(error) => {
                    broken.push(*partition);
                    failed = Some(error);
                }
            }
        }
        // A broken one has no checkpoints among them: it is opened anew.
        indexers.retain(|partition, _| !broken.contains(partition));
        let mut outcomes = store.checkpoint_each(gathered).into_iter();
        for (partition, (_, indexer)) in &mut indexers {
            match indexer.stored(&mut outcomes) {
                Ok(records) => count += records,
                Err(error) => {
                    broken.push(*partition);
                    failed = Some(error);
                }
            }
        }
        // Opened anew, where the store says it stands.
        for partition in broken {
            indexers.remove(&partition);
            tenure.ended(partition);
        }
        let cursors: Vec<_> = indexers.values().flat_map(|(_, one)| one.cursors()).collect();
        if let Some(error) = failed {
            tracing::error!(%error, "index");
            backoff.failed();
        } else {
            backoff.worked();
            shared.positions.note_index(cursors.clone());
            if count == 0 {
                shared.log.wait(&cursors, true, IDLE);
            } else {
                rest(shared);
            }
        }
    }
    indexers.keys().for_each(|partition| tenure.ended(*partition));
}
