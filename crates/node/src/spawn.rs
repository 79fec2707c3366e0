//! The roles of a process on their threads.

use crate::backend::Backend;
use crate::definitions::DefinitionStore;
use crate::index::Indexer;
use crate::keeper::Keeper;
use crate::node::{Node, NodeOptions};
use crate::positions;
use crate::role::Role;
use crate::roles::{self, Shared};
use crate::tenure::Tenure;
use crate::workspace::secret;
use crate::writers::Writers;
use anyhow::{Context, Result};
use sojourn_channels::Channels;
use sojourn_channels::calls::Caller;
use sojourn_channels::render::{Links, Renderer};
use sojourn_dispatcher::{ChannelOptions, ChannelTransport, Dispatcher, Tenancy};
use sojourn_identity::{IdentityRules, IdentityShard, ShardOptions};
use sojourn_model::{DurationMs, VersionId};
use sojourn_ports::{Gate, Topic};
use sojourn_rules::Definitions;
use sojourn_worker::{DefinitionsSource, OwnerOptions, PartitionOwner};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Checkpoints and commits come at the latest after so long, in wall time.
const CHECKPOINT_EVERY_MS: f64 = 500.0;

struct Source(Arc<DefinitionStore>);

impl DefinitionsSource for Source {
    fn get(&self, version: VersionId) -> Result<Arc<Definitions>, String> {
        self.0.get(version).map_err(|error| format!("{error:#}"))
    }
}

impl Node {
    /// Starts the threads of the roles of this process.
    pub(crate) fn spawn_roles(
        &mut self,
        options: &NodeOptions,
        channels: Arc<Channels>,
        links: Links,
    ) -> Result<()> {
        let roles = options.roles;
        for role in [Role::Identity, Role::Engine, Role::Dispatcher] {
            if roles.has(role) {
                self.inner.shared.health.coming(role.as_str(), "starting");
            }
        }
        if self.backend.shared().is_some() {
            let (shared, backend) = (self.inner.shared.clone(), self.backend.clone());
            self.spawn("positions", move || {
                positions::watch(&shared, &*backend.store, &*backend.graph);
            })?;
            let inner = self.inner.clone();
            self.spawn("definitions", move || inner.follow())?;
        }
        if roles.has(Role::Identity) || roles.has(Role::Engine) {
            let partitions = self.backend.log.partitions(Topic::Profiles);
            let (writers, threads) = Writers::new(usize::from(partitions) + 1);
            for thread in threads {
                self.spawn("checkpoint", thread)?;
            }
            if roles.has(Role::Identity) {
                self.spawn_identity(options.speed, writers.clone())?;
            }
            if roles.has(Role::Engine) {
                self.spawn_engine(options.speed, writers)?;
            }
        }
        if roles.has(Role::Dispatcher) {
            self.spawn_dispatcher(channels, links)?;
        }
        Ok(())
    }

    fn spawn_identity(&mut self, speed: f64, writers: Arc<Writers>) -> Result<()> {
        let tenure = self.tenure("identity", 1)?;
        let (inner, backend) = (self.inner.clone(), self.backend.clone());
        let make = move || {
            let rules = IdentityRules::of(&inner.running.lock());
            let mut options = ShardOptions::new(0, rules);
            options.commit_every = scaled(speed);
            let (log, clock) = (backend.log.clone(), inner.shared.clock.clone());
            let shard = IdentityShard::new(log, backend.graph.clone(), clock, options)?;
            Ok(shard.with_aside(writers.clone()))
        };
        let (shared, mail) = (self.inner.shared.clone(), self.inner.mail.clone());
        self.spawn("identity", move || roles::identity(&shared, &tenure, &mail, make))
    }

    fn spawn_engine(&mut self, speed: f64, writers: Arc<Writers>) -> Result<()> {
        let partitions = self.backend.log.partitions(Topic::Profiles);
        let tenure = self.tenure("engine", partitions)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = u16::try_from(cores).unwrap_or(u16::MAX).min(partitions);
        for thread in 0..threads {
            let (backend, shared) = (self.backend.clone(), self.inner.shared.clone());
            let source: Arc<dyn DefinitionsSource> =
                Arc::new(Source(self.inner.definitions.clone()));
            let of_owners = shared.clone();
            let writers = writers.clone();
            let make = move |partition| {
                owner(&backend, &of_owners, &source, partition, speed).with_aside(writers.clone())
            };
            let (tenure, settles) = (tenure.clone(), self.inner.settles.clone());
            self.spawn("engine", move || {
                roles::engine(&shared, &tenure, (thread, threads), &settles, make);
            })?;
        }
        let tenure = self.tenure("index", partitions)?;
        let (backend, shared) = (self.backend.clone(), self.inner.shared.clone());
        self.spawn("index", move || {
            let store = backend.store.clone();
            roles::index(&shared, &tenure, &*store, |partition| {
                let only = partition..partition + 1;
                Indexer::open(backend.log.clone(), &*store, only)
            });
        })
    }

    fn spawn_dispatcher(&mut self, channels: Arc<Channels>, links: Links) -> Result<()> {
        let tenure = self.tenure("dispatcher", self.backend.log.partitions(Topic::Actions))?;
        let ready = Arc::new(AtomicBool::new(false));
        {
            let (shared, backend) = (self.inner.shared.clone(), self.backend.clone());
            let (tenure, ready) = (tenure.clone(), ready.clone());
            self.spawn("keeper", move || {
                let keeper = Keeper {
                    shared: &shared,
                    gate: &*backend.gate,
                    store: &*backend.store,
                    tenure: &tenure,
                    ready: &ready,
                    pause: backend.keep_every(),
                };
                keeper.run();
            })?;
        }
        let definitions = self.inner.definitions.clone();
        let versions = Arc::new(move |version| definitions.get(version).ok());
        let renderer = Arc::new(Renderer::new(versions, links));
        let handle = self.runtime.as_ref().context("running")?.handle().clone();
        let calls = {
            let workspace = &self.inner.running.lock().workspace;
            Caller::new(workspace, &secret, self.inner.shared.clock.clone())
        };
        let calls = Arc::new(calls.map_err(anyhow::Error::msg)?);
        let longest = self.backend.shared().map(|shared| shared.longest_call);
        let gate: Arc<dyn Gate> = self.backend.gate.clone();
        let (shared, backend) = (self.inner.shared.clone(), self.backend.clone());
        let (of_calls, is_ready) = (tenure.clone(), ready.clone());
        let make = move |held: BTreeMap<u16, u64>| {
            let transport = ChannelTransport::new(
                channels.clone(),
                renderer.clone(),
                handle.clone(),
                Arc::new(|| {}),
            )
            .with_calls(calls.clone());
            let named = channels.iter().map(|(name, built)| {
                let rate_per_second = built.rate_per_second;
                (name.clone(), ChannelOptions { rate_per_second, in_flight: None })
            });
            let options = sojourn_dispatcher::Options {
                partitions: held.keys().copied().collect(),
                channels: named.collect(),
            };
            let ports = sojourn_dispatcher::Ports {
                log: backend.log.clone(),
                store: backend.store.clone(),
                gate: gate.clone(),
                clock: shared.clock.clone(),
                ready: is_ready.clone(),
            };
            let Some(longest) = longest else {
                return Dispatcher::new(ports, options, Box::new(transport));
            };
            let transport = Box::new(transport.answers_within(longest));
            let of_calls = of_calls.clone();
            let tenancy = Tenancy {
                may_call: Arc::new(move || of_calls.keeps(&held)),
                patience: DurationMs(i64::try_from(longest.as_millis()).unwrap_or(i64::MAX)),
            };
            Dispatcher::among_others(ports, options, transport, tenancy)
        };
        let shared = self.inner.shared.clone();
        self.spawn("dispatcher", move || roles::dispatcher(&shared, &tenure, &ready, make))
    }

    /// What this process works on of a role; on shared storage with a thread that keeps the leases.
    fn tenure(&mut self, role: &'static str, places: u16) -> Result<Arc<Tenure>> {
        let Some(shared) = self.backend.shared() else {
            return Ok(Tenure::everything(role, places));
        };
        let tenure = Tenure::leased(role, places);
        let (leases, member) = (shared.redis.leases(), shared.member.clone());
        let (of_thread, lease) = (tenure.clone(), shared.takeover);
        let thread = std::thread::Builder::new()
            .name(format!("lease-{role}"))
            .spawn(move || of_thread.tend(&leases, &member, lease))?;
        self.leases.push((tenure.clone(), thread));
        Ok(tenure)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }
}

fn owner(
    backend: &Backend,
    shared: &Shared,
    source: &Arc<dyn DefinitionsSource>,
    partition: u16,
    speed: f64,
) -> PartitionOwner {
    let mut options = OwnerOptions::new(partition);
    options.checkpoint_every = scaled(speed);
    PartitionOwner::new(
        backend.log.clone(),
        backend.store.clone(),
        backend.gate.clone(),
        shared.clock.clone(),
        source.clone(),
        options,
    )
}

/// [`CHECKPOINT_EVERY_MS`] of wall time on a clock that runs `speed` times faster.
fn scaled(speed: f64) -> DurationMs {
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second, scaled")]
    let ms = (CHECKPOINT_EVERY_MS * speed) as i64;
    DurationMs(ms)
}
