//! A node: any set of roles in one process, on any backend.

use crate::backend::Backend;
use crate::definitions::{DefinitionStore, Published, compiled, describe, resolved_for};
use crate::health::Health;
use crate::positions::Positions;
use crate::queries::Queries;
use crate::role::{Role, Roles};
use crate::roles::{IdentityMail, Settles, Shared};
use crate::secrets;
use crate::serve::{self, Addresses};
use crate::tenure::Tenure;
use crate::workspace::read_workspace;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use parking_lot::Mutex;
use sojourn_channels::Prompts;
use sojourn_gateway::{Gateway, People, Sizes};
use sojourn_identity::IdentityRules;
use sojourn_model::{Identifier, ProfileId, Record, Timestamp, Transition, VersionId};
use sojourn_ports::{Append, Clock, IdentityGraph, Log, MarkKeeper, ReadLimit, Topic};
use sojourn_proto::encode_profile_record;
use sojourn_rules::{Definitions, Files};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Looks for a record that was just appended, and the pause between two.
const STAMP_READS: u32 = 20;
const STAMP_WAIT: Duration = Duration::from_millis(500);

/// How to run a node.
pub struct NodeOptions {
    /// Folder of the workspace.
    pub dir: PathBuf,
    /// What this process does.
    pub roles: Roles,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How much faster than the wall the clock runs.
    pub speed: f64,
    /// Address of the gateway, or of health and metrics where there is no gateway; `None`: what
    /// sojourn.yaml says under `listen`, else 127.0.0.1:8080, or any free port without a gateway.
    pub listen: Option<SocketAddr>,
    /// Where another process serves the channels: `http://host:port`. `None`: the dispatcher has them
    /// in its own process.
    pub channels: Option<String>,
    /// Take another port when the wanted one is in use.
    pub any_port: bool,
}

impl NodeOptions {
    /// Every role of the workspace in `dir` on the wall's clock.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            roles: Roles::all(),
            clock: Arc::new(crate::WallClock::real()),
            speed: 1.0,
            listen: None,
            channels: None,
            any_port: false,
        }
    }
}

/// Longest wait for the roles to reach the end of the log before a question is answered.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// Pause between two requests to checkpoint, while the store is waited for.
const NUDGE: Duration = Duration::from_millis(50);
/// How often a process looks for a new version, on shared storage. The engine needs no look: it finds
/// the version in the log, at the place from which it holds.
const FOLLOW: Duration = Duration::from_secs(1);
/// How long a process without a gateway waits for the first version to be published.
const FIRST_VERSION_MAX: Duration = Duration::from_secs(60);

/// A running node.
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) leases: Vec<(Arc<Tenure>, JoinHandle<()>)>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) addresses: Addresses,
}

/// What the admin service and the node share.
pub(crate) struct Inner {
    pub(crate) shared: Shared,
    pub(crate) backend: Arc<Backend>,
    pub(crate) roles: Roles,
    pub(crate) queries: Queries,
    pub(crate) definitions: Arc<DefinitionStore>,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) gate: Arc<dyn MarkKeeper>,
    pub(crate) mail: Arc<IdentityMail>,
    pub(crate) began: std::time::Instant,
    pub(crate) settles: Arc<Settles>,
    /// The version that the roles of this process go by that do not read it in the log.
    pub(crate) running: Mutex<Arc<Definitions>>,
    /// Held by whoever publishes.
    pub(crate) publishing: Mutex<()>,
}

struct KnownPeople(Arc<dyn IdentityGraph>);

impl People for KnownPeople {
    fn profile(&self, identifiers: &[Identifier]) -> Option<ProfileId> {
        identifiers.iter().find_map(|one| sojourn_identity::find(&*self.0, one).ok().flatten())
    }
}

impl Node {
    /// Starts the roles. Returns when they run; `/readyz` says when they have caught up.
    pub fn start(options: NodeOptions) -> Result<Self> {
        let files = read_workspace(&options.dir)?;
        let draft = compiled(&files)?;
        let backend = Backend::open(&options.dir, &draft.workspace.storage, options.clock.clone())?;
        let backend = Arc::new(backend);
        let roles = options.roles;
        match backend.shared() {
            Some(_) if options.speed != 1.0 => {
                bail!("brokers keep the time of the wall: a faster clock needs embedded storage")
            }
            None if !roles.is_all() => bail!(
                "on embedded storage one process runs every role; several need `storage: {{ kind: kafka+redis, … }}`"
            ),
            _ => {}
        }
        let (log, store, graph) =
            (backend.log.clone(), backend.store.clone(), backend.graph.clone());
        let kept = backend.shared().map(|_| log.clone());
        let definitions = Arc::new(DefinitionStore::open(store.clone(), kept));
        let current = first_version(&definitions, &*log, &*options.clock, &files, roles)?;
        let workspace = resolved_for(&current, roles)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("edge")
            .enable_all()
            .build()?;
        let listeners = serve::Listeners::bind(&runtime, &options, &workspace)?;
        let signer = match backend.shared() {
            Some(_) => secrets::shared_signer(&*store, &backend.data)?,
            None => secrets::signer(&backend.data)?,
        };
        let channels = Arc::new(serve::channels(&runtime, &workspace, &options)?);
        let gateway = if roles.has(Role::Gateway) {
            let gateway = Gateway::new(sojourn_gateway::Options {
                log: log.clone(),
                gate: backend.gate.clone(),
                clock: options.clock.clone(),
                definitions: current.clone(),
                secrets: secrets::of_sources(&workspace),
                signer: signer.clone(),
                prompts: channels.prompts().map(|prompts| prompts as Arc<dyn Prompts>),
                portal_url: None,
                sizes: Sizes::default(),
            })?;
            gateway.know_people(Arc::new(KnownPeople(graph.clone())));
            Some(gateway)
        } else {
            None
        };
        let shared = Shared {
            positions: Arc::new(Positions::new(
                log.partitions(Topic::Profiles),
                backend.shared().is_some(),
            )),
            log: log.clone(),
            clock: options.clock.clone(),
            health: Health::default(),
            stop: Arc::default(),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "uptime is the wall's, however fast the clock"
        )]
        let began = std::time::Instant::now();
        let inner = Arc::new(Inner {
            queries: Queries::new(log, store, graph, definitions.clone()),
            backend: backend.clone(),
            roles,
            definitions,
            gateway,
            gate: backend.gate.clone(),
            mail: Arc::default(),
            began,
            settles: Arc::default(),
            running: Mutex::new(current),
            publishing: Mutex::default(),
            shared,
        });
        let addresses = listeners.addresses.clone();
        let mut node = Self {
            inner,
            runtime: Some(runtime),
            threads: Vec::new(),
            leases: Vec::new(),
            backend,
            addresses,
        };
        let links = serve::links(&workspace, &node.addresses, &signer);
        node.spawn_roles(&options, channels.clone(), links)?;
        node.serve(listeners, signer, channels)?;
        Ok(node)
    }

    /// Where this process can be reached.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Address of the gateway, or of health and metrics.
    pub fn gateway_address(&self) -> SocketAddr {
        self.addresses.front
    }

    /// What the roles say of themselves.
    pub fn health(&self) -> &Health {
        &self.inner.shared.health
    }

    /// A view of a person as `person` shows it, of everything that was acknowledged before.
    pub fn view(&self, person: &str, view: &str) -> Result<serde_json::Value> {
        self.settle();
        self.inner.queries.view(person, view, 0)
    }

    /// Why a decision was taken, in a sentence and as a row.
    pub fn explain(&self, id: &str, for_customer: bool) -> Result<(String, serde_json::Value)> {
        self.settle();
        self.inner.queries.explain(id, for_customer)
    }

    fn settle(&self) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(self.inner.settled());
        }
    }

    /// Drains: no new requests, what was taken is finished as far as it goes at once, every role
    /// checkpoints, leases are given back.
    pub fn stop(mut self) -> Result<()> {
        self.inner.shared.health.drain();
        let runtime = self.runtime.take().context("stopped once")?;
        if let Some(gateway) = &self.inner.gateway {
            runtime.block_on(gateway.drain());
        }
        if self.inner.roles.is_all() {
            runtime.block_on(self.inner.settled());
        }
        self.inner.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a role has panicked");
            }
        }
        for (tenure, thread) in self.leases.drain(..) {
            tenure.leave();
            if thread.join().is_err() {
                tracing::error!("the thread of a lease has panicked");
            }
        }
        runtime.shutdown_timeout(Duration::from_secs(2));
        if self.inner.gateway.is_some() {
            let _ = std::fs::remove_file(self.backend.data.join(serve::ADDRESS_FILE));
        }
        self.backend.close();
        Ok(())
    }
}

impl Inner {
    /// Publishes files: content into the store, then a record to every partition, then the roles
    /// that do not read the log.
    /// One at a time: the caller holds `publishing`.
    pub(crate) fn publish(&self, files: &Files, transition: Transition) -> Result<Published> {
        let published = self.definitions.store(files)?;
        if let Published::Version(definitions, _) = &published {
            resolved_for(definitions, self.roles)?;
            append_publish(&*self.shared.log, definitions.version, transition)?;
            self.definitions.set_current(definitions.version)?;
            self.take(definitions)?;
        }
        Ok(published)
    }

    /// Hands a version to the roles of this process that do not read it in the log.
    fn take(&self, definitions: &Arc<Definitions>) -> Result<()> {
        let workspace = resolved_for(definitions, self.roles)?;
        if let Some(gateway) = &self.gateway {
            gateway.define(definitions, &secrets::of_sources(&workspace))?;
        }
        *self.mail.rules.lock() = Some(IdentityRules::of(definitions));
        *self.running.lock() = Arc::clone(definitions);
        Ok(())
    }

    /// Looks for versions that another process has published, until the process ends.
    pub(crate) fn follow(&self) {
        let mut told = None;
        while !self.shared.stopping() {
            let looked = self.definitions.current().and_then(|current| match current {
                Some(version) if version != self.running.lock().version => {
                    self.take(&self.definitions.get(version)?)?;
                    tracing::info!(%version, "another process has published this version");
                    Ok(())
                }
                _ => Ok(()),
            });
            let trouble = looked.err().map(|error| format!("{error:#}"));
            if trouble != told {
                if let Some(error) = &trouble {
                    tracing::error!(error, "the current version cannot be taken up");
                }
                told = trouble;
            }
            let mut left = FOLLOW;
            while !self.shared.stopping() && !left.is_zero() {
                let part = left.min(crate::roles::IDLE);
                crate::roles::nap(part);
                left -= part;
            }
        }
    }

    /// Waits until what the log holds now has been applied, stored and indexed, for at most
    /// [`SETTLE_MAX`]: then a question sees what was answered 200 before it.
    pub(crate) async fn settled(&self) {
        let _ = tokio::time::timeout(SETTLE_MAX, self.settle()).await;
    }

    async fn settle(&self) {
        let log = self.shared.log.clone();
        // Asking brokers blocks.
        let ends = async |topic: Topic| -> Vec<u64> {
            let log = log.clone();
            let asked = tokio::task::spawn_blocking(move || {
                let end = |p| log.bounds(topic, p).map_or(0, |bounds| bounds.next);
                (0..log.partitions(topic)).map(end).collect()
            });
            asked.await.unwrap_or_default()
        };
        let positions = &self.shared.positions;
        let touchpoints = ends(Topic::Touchpoints).await.first().copied().unwrap_or(0);
        if self.backend.shared().is_some() {
            // Of other processes only what they have committed is known.
            until(|| self.nudged() && positions.identity_reached(touchpoints), NUDGE).await;
            for _ in 0..2 {
                let profiles = ends(Topic::Profiles).await;
                until(|| self.nudged() && positions.owners_reached(&profiles), NUDGE).await;
            }
        } else {
            until(|| positions.identity_reached(touchpoints), LOOK).await;
            self.mail.commit.store(true, Ordering::Release);
            until(|| !self.mail.commit.load(Ordering::Acquire), LOOK).await;
            for _ in 0..2 {
                let profiles = ends(Topic::Profiles).await;
                until(|| positions.owners_reached(&profiles), LOOK).await;
            }
            for wait in self.checkpoints() {
                let _ = wait.await;
            }
        }
        let mut wanted = Vec::new();
        for topic in [Topic::Profiles, Topic::Decisions, Topic::Dispatch] {
            wanted.extend((0..).zip(ends(topic).await).map(|(p, end)| (topic, p, end)));
        }
        until(|| positions.index_reached(&wanted), LOOK).await;
    }

    /// Asks the owners of this process to checkpoint what they have applied.
    fn checkpoints(&self) -> Vec<tokio::sync::oneshot::Receiver<()>> {
        let settles = self.settles.lock();
        let ask = |settle: &sojourn_worker::Settle| {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            // Who asked may have gone away meanwhile.
            let tell = move || {
                let _ = sender.send(());
            };
            settle.ask(tell).then_some(receiver)
        };
        settles.values().filter_map(ask).collect()
    }

    /// Asks identity and owners of this process to commit and waits for nothing. Always true.
    fn nudged(&self) -> bool {
        self.mail.commit.store(true, Ordering::Release);
        drop(self.checkpoints());
        true
    }
}

/// Pause between two looks at a position.
const LOOK: Duration = Duration::from_millis(2);

async fn until(reached: impl Fn() -> bool, pause: Duration) {
    while !reached() {
        tokio::time::sleep(pause).await;
    }
}

/// The version to begin with. A process with every role takes the folder up; on shared storage one
/// with a gateway does where nothing was published yet, the others wait for it.
fn first_version(
    store: &DefinitionStore,
    log: &dyn Log,
    clock: &dyn Clock,
    files: &Files,
    roles: Roles,
) -> Result<Arc<Definitions>> {
    if roles.is_all() {
        return take_up(store, log, clock, files);
    }
    let mut waited = Duration::ZERO;
    loop {
        if let Some(version) = store.current()? {
            if version != files.version() && roles.has(Role::Gateway) {
                tracing::warn!(%version, "the folder differs from the published version; `sojourn publish` makes it the running one");
            }
            return store.get(version);
        }
        if roles.has(Role::Gateway) {
            return take_up(store, log, clock, files);
        }
        if waited >= FIRST_VERSION_MAX {
            bail!(
                "nothing is published here yet: start a process with the role gateway first, which publishes its folder"
            );
        }
        crate::roles::nap(FOLLOW);
        waited += FOLLOW;
    }
}

/// The definitions to run with: the folder's, published if they are new.
fn take_up(
    store: &DefinitionStore,
    log: &dyn Log,
    clock: &dyn Clock,
    files: &Files,
) -> Result<Arc<Definitions>> {
    let draft = files.version();
    if let Some(current) = store.current()? {
        let running = store.get(current)?;
        if current == draft {
            return Ok(running);
        }
        if running.policy.approvals_publish > 1 {
            tracing::warn!(version = %current, "the folder differs from the published version; `sojourn publish` needs a second person");
            return Ok(running);
        }
    }
    match store.store(files)? {
        Published::Refused(findings) => {
            let lines: Vec<_> = findings.iter().map(describe).collect();
            bail!("the definitions have errors:\n{}", lines.join("\n"))
        }
        Published::Version(definitions, _) => {
            append_publish(log, definitions.version, Transition::default())?;
            store.set_current(definitions.version)?;
            let entry = serde_json::json!({
                "what": "start",
                "version": definitions.version.to_string(),
                "said": "the folder's files are taken up at the start",
            });
            crate::audit::record(log, clock, "start", &entry)?;
            Ok(definitions)
        }
    }
}

/// Appends `Publish` to every partition and waits until it is durable.
fn append_publish(log: &dyn Log, version: VersionId, transition: Transition) -> Result<()> {
    append_to_all(log, &Record::Publish { version, transition }).map(drop)
}

/// Appends a record to every partition of `profiles`, durable on return. The instant at which the
/// first of them has it.
pub(crate) fn append_to_all(log: &dyn Log, record: &Record<'_>) -> Result<Timestamp> {
    let mut bytes = Vec::new();
    encode_profile_record(None, false, record, &mut bytes);
    let bytes = Bytes::from(bytes);
    let appends = (0..log.partitions(Topic::Profiles))
        .map(|partition| Append { topic: Topic::Profiles, partition, values: vec![bytes.clone()] })
        .collect();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let done = Box::new(move |offsets| {
        let _ = tell.send(offsets); // nobody listens when the log has failed
    });
    log.append(appends, Some(done))?;
    log.sync()?;
    let offsets: Vec<u64> =
        told.recv().context("the log does not say where the record stands")??;
    let offset = *offsets.first().context("the log has no partitions")?;
    let limit = ReadLimit { records: 1, bytes: 1, durable_only: false };
    let mut found = Vec::new();
    for _ in 0..STAMP_READS {
        log.read(Topic::Profiles, 0, offset, limit, &mut found)?;
        if let Some(entry) = found.first() {
            return Ok(entry.log_time);
        }
        log.wait(&[(Topic::Profiles, 0, offset)], false, STAMP_WAIT);
    }
    bail!("the log has the record but does not show it")
}
