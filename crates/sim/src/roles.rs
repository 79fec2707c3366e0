//! Turns of the roles, what breaks them, and how they begin anew.

use crate::provider::FakeProvider;
use crate::world::{PARTITIONS, Versions, World};
use crate::zombies::Zombie;
use anyhow::{Result, bail};
use sojourn_dispatcher::{ChannelOptions, Dispatcher};
use sojourn_identity::{IdentityRules, IdentityShard, ShardOptions};
use sojourn_memory::MemoryGate;
use sojourn_model::DurationMs;
use sojourn_ports::{Clock, Log, Topic};
use sojourn_worker::{OwnerOptions, PartitionOwner};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many times in a row a role may fail before the run gives up on it.
const FAILURES_MAX: u32 = 200;

impl World {
    /// Begins every role.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        self.start_identity()?;
        for partition in 0..PARTITIONS {
            self.start_owner(partition)?;
        }
        self.start_dispatcher()
    }

    fn start_identity(&mut self) -> Result<()> {
        let rules = IdentityRules::of(self.converter.definitions());
        let mut options = ShardOptions::new(0, rules);
        options.commit_records = 1 + self.random.below(60) as u64;
        options.commit_every = DurationMs(self.random.below(60_000) as i64);
        let shard =
            IdentityShard::new(self.log.clone(), self.store.clone(), self.clock.clone(), options)?;
        let shard = shard.with_aside(self.aside.clone());
        self.identity = Some(shard);
        Ok(())
    }

    fn start_owner(&mut self, partition: u16) -> Result<()> {
        let mut options = OwnerOptions::new(partition);
        options.checkpoint_records = 1 + self.random.below(80) as u64;
        options.checkpoint_every = DurationMs(self.random.below(60_000) as i64);
        options.resident_profiles = self.random.below(8);
        let owner = PartitionOwner::new(
            self.log.clone(),
            self.store.clone(),
            self.gate.clone(),
            self.clock.clone(),
            Arc::new(Versions(Arc::clone(&self.versions))),
            options,
        );
        self.owners[usize::from(partition)] = Some(owner.with_aside(self.aside.clone()));
        Ok(())
    }

    fn start_dispatcher(&mut self) -> Result<()> {
        self.ready = Arc::new(AtomicBool::new(false));
        self.ready_after = None;
        let random = self.random.fork();
        let provider = FakeProvider::new(self.seen.clone(), random, self.clock.clone());
        let ports = sojourn_dispatcher::Ports {
            log: self.log.clone(),
            store: self.store.clone(),
            gate: self.gate.clone(),
            clock: self.clock.clone(),
            ready: self.ready.clone(),
        };
        let options = sojourn_dispatcher::Options {
            partitions: (0..PARTITIONS).collect(),
            channels: ["email", "push"]
                .map(|name| (name.into(), ChannelOptions::default()))
                .into_iter()
                .collect(),
        };
        match Dispatcher::new(ports, options, Box::new(provider)) {
            Ok(dispatcher) => self.dispatcher = Some(dispatcher),
            Err(error) => self.failed("dispatcher", &error.to_string())?,
        }
        Ok(())
    }

    /// A turn of identity.
    pub(crate) fn turn_identity(&mut self) -> Result<()> {
        let Some(shard) = &mut self.identity else { return self.start_identity() };
        let result = shard.turn();
        if let Err(error) = result {
            self.failed("identity", &error.to_string())?;
        }
        self.keep_gate();
        Ok(())
    }

    /// A turn of one owner of `profiles`.
    pub(crate) fn turn_owner(&mut self, partition: usize) -> Result<()> {
        let Some(owner) = &mut self.owners[partition] else {
            return self.start_owner(partition as u16);
        };
        let result = owner.turn();
        if let Err(error) = result {
            self.failed("engine", &error.to_string())?;
        }
        self.keep_gate();
        Ok(())
    }

    /// A turn of the dispatcher; a broken one is made anew.
    pub(crate) fn turn_dispatcher(&mut self) -> Result<()> {
        self.become_ready();
        let Some(dispatcher) = &mut self.dispatcher else { return self.start_dispatcher() };
        let result = dispatcher.turn();
        if let Err(error) = result {
            self.failed("dispatcher", &error.to_string())?;
            self.dispatcher = None;
        }
        Ok(())
    }

    fn failed(&mut self, role: &'static str, error: &str) -> Result<()> {
        self.failures += 1;
        self.say(|| format!("{role}: {error}"));
        self.sight("a role failed and recovered");
        if self.failures > FAILURES_MAX && !self.seen.lock().expect("one thread").faulty {
            bail!("{role} does not recover: {error}");
        }
        Ok(())
    }

    /// Where identity and the owners stand: at least everything below these positions is applied.
    fn applied(&self) -> Option<(u64, Vec<u64>)> {
        let identity = self.identity.as_ref()?.position()?;
        let owners =
            self.owners.iter().map(|owner| owner.as_ref()?.position()).collect::<Option<_>>()?;
        Some((identity, owners))
    }

    fn ends(&self) -> (u64, Vec<u64>) {
        let next = |topic, partition| self.log.bounds(topic, partition).map_or(0, |b| b.next);
        (next(Topic::Touchpoints, 0), (0..PARTITIONS).map(|p| next(Topic::Profiles, p)).collect())
    }

    /// The dispatcher may call once identity and engine have reached the ends that the log had when
    /// it started (CON-2).
    fn become_ready(&mut self) {
        let ends = self.ends();
        let touchpoints = ends.0;
        self.ready_after.get_or_insert_with(|| (touchpoints, Vec::new(), 1));
        let Some((identity, owners)) = self.applied() else { return };
        let target = self.ready_after.as_mut().expect("just set");
        // Two rounds over the owners: what they forward to each other counts.
        match target.2 {
            1 if identity >= target.0 => (target.1, target.2) = (ends.1, 2),
            2 if reached(&owners, &target.1) => (target.1, target.2) = (ends.1, 3),
            3 if reached(&owners, &target.1) => self.ready.store(true, Ordering::SeqCst),
            _ => {}
        }
    }

    /// Takes back marks of the gate whose revocations the engine has applied.
    fn keep_gate(&mut self) {
        let Some((identity, owners)) = self.applied() else { return };
        let ends = self.ends();
        match &mut self.keeper {
            None => self.keeper = Some((self.gate.ticket(), ends.0, Vec::new(), 1)),
            Some((_, target, rounds, stage @ 1)) if identity >= *target => {
                (*rounds, *stage) = (ends.1, 2);
            }
            Some((_, _, rounds, stage @ 2)) if reached(&owners, rounds) => {
                (*rounds, *stage) = (ends.1, 3);
            }
            Some((ticket, _, rounds, 3)) if reached(&owners, rounds) => {
                self.gate.settle(*ticket);
                self.keeper = None;
            }
            Some(_) => {}
        }
    }

    /// Perhaps something breaks.
    pub(crate) fn break_something(&mut self) -> Result<()> {
        let faults = self.faults;
        let random = &mut self.random;
        let mut hits = |often: usize| often > 0 && random.one_in(often);
        let (crash, restart, back, empty) =
            (hits(faults.crash), hits(faults.restart), hits(faults.roll_back), hits(faults.empty));
        if crash {
            self.crash(back, empty)?;
        } else if restart {
            match self.random.below(5) {
                0 => {
                    let shard = self.identity.take().map(Box::new);
                    self.replaced(shard.map(Zombie::Identity));
                }
                1 => self.dispatcher = None,
                _ => {
                    let partition = self.random.below(usize::from(PARTITIONS));
                    let owner = self.owners[partition].take().map(Box::new);
                    self.replaced(owner.map(|owner| Zombie::Owner(partition as u16, owner)));
                }
            }
            self.sight("a role restarted");
            self.say(|| "a role begins anew".to_owned());
        } else if back && faults.distributed {
            self.stale_replica();
        }
        Ok(())
    }

    /// The machine goes down: unsynced records are lost. The store may come back older or empty.
    fn crash(&mut self, back: bool, empty: bool) -> Result<()> {
        self.identity = None;
        self.owners.iter_mut().for_each(|owner| *owner = None);
        self.dispatcher = None;
        self.zombies.clear();
        self.lose_checkpoints();
        let lost = self.log.crash();
        self.sight("the machine crashed");
        if lost > 0 {
            self.sight("a crash lost records that were not durable");
        }
        if empty {
            self.store.empty();
            self.sight("the store came back empty");
        } else if back {
            let steps = 1 + self.random.below(12);
            self.store.roll_back(steps);
            self.sight("the store came back older");
        }
        // The gate lives in the process.
        self.gate = Arc::new(MemoryGate::new(self.clock.clone()));
        self.keeper = None;
        self.say(|| format!("crash: {lost} appends lost, back: {back}, empty: {empty}"));
        self.start_all()
    }

    /// The faults stop; everything runs until nothing is due any more.
    pub(crate) fn heal(&mut self) -> Result<()> {
        /// Rounds of turns per hop of time.
        const ROUNDS_MAX: u32 = 2_000;
        self.faults.crash = 0;
        self.faults.restart = 0;
        self.zombies.clear();
        self.aside.hold_no_more();
        self.sight_appends();
        self.seen.lock().expect("one thread").faulty = false;
        self.set_flaky(false);
        self.resume_all()?;
        self.failures = 0;
        // Hops of time: short ones first, so that retries and waits come in order.
        let hops = [1, 60_000, 600_000].into_iter().chain(std::iter::repeat_n(3_600_000, 24 * 10));
        for hop in hops.chain(std::iter::repeat_n(86_400_000, 30)) {
            self.clock.advance(DurationMs(hop));
            let mut rounds = 0;
            loop {
                let before = (self.ends(), self.applied(), self.progress());
                self.log.sync_some(usize::MAX);
                self.turn_identity()?;
                for partition in 0..usize::from(PARTITIONS) {
                    self.turn_owner(partition)?;
                }
                self.turn_dispatcher()?;
                self.log.sync_some(usize::MAX);
                if before == (self.ends(), self.applied(), self.progress()) {
                    break;
                }
                rounds += 1;
                if rounds > ROUNDS_MAX {
                    bail!("the system does not come to rest at {:?}", self.clock.now());
                }
            }
        }
        Ok(())
    }

    /// Grows whenever the dispatcher did something.
    fn progress(&self) -> (u64, usize) {
        let seen = self.seen.lock().expect("one thread");
        let dispatch = (0..PARTITIONS)
            .map(|p| self.log.bounds(Topic::Dispatch, p).map_or(0, |bounds| bounds.next))
            .sum();
        (dispatch, seen.calls.len())
    }
}

fn reached(owners: &[u64], targets: &[u64]) -> bool {
    owners.iter().zip(targets).all(|(at, target)| at >= target)
}
