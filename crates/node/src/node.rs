//! A node: every role in one process, on any backend.

use crate::admin::Admin;
use crate::backend::Backend;
use crate::definitions::{DefinitionStore, Published, describe, resolved};
use crate::health::{self, Health};
use crate::index::Indexer;
use crate::queries::Queries;
use crate::roles::{self, IdentityMail, Positions, Shared};
use crate::secrets;
use crate::workspace::{read_workspace, secret};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use parking_lot::Mutex;
use sojourn_channels::render::{LinkBase, Links, Renderer};
use sojourn_channels::token::Signer;
use sojourn_channels::{Channels, Prompts};
use sojourn_dispatcher::{ChannelOptions, ChannelTransport, Dispatcher};
use sojourn_gateway::{Gateway, People, Sizes};
use sojourn_identity::{IdentityRules, IdentityShard, ShardOptions};
use sojourn_model::{DurationMs, Identifier, ProfileId, Record, Transition, VersionId};
use sojourn_ports::{Append, Clock, Gate, IdentityGraph, Log, MarkKeeper, StateStore, Topic};
use sojourn_proto::encode_profile_record;
use sojourn_rules::{Definitions, Files, Workspace};
use sojourn_worker::{DefinitionsSource, OwnerOptions, PartitionOwner, Settle};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How to run a node.
pub struct NodeOptions {
    /// Folder of the workspace.
    pub dir: PathBuf,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How much faster than the wall the clock runs.
    pub speed: f64,
    /// Address of the gateway; `None`: `listen.gateway` of sojourn.yaml, else 127.0.0.1:8080.
    pub gateway: Option<SocketAddr>,
    /// Take another port when the wanted one is in use.
    pub any_port: bool,
}

impl NodeOptions {
    /// A node of the workspace in `dir` on the wall's clock.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            clock: Arc::new(crate::WallClock::real()),
            speed: 1.0,
            gateway: None,
            any_port: false,
        }
    }
}

/// Address when nothing else is said.
const GATEWAY_DEFAULT: &str = "127.0.0.1:8080";
/// Checkpoints and commits come at the latest after so long, in wall time.
const CHECKPOINT_EVERY_MS: f64 = 500.0;
/// Longest wait for the roles to reach the end of the log before a question is answered.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// A running node.
pub struct Node {
    inner: Arc<Inner>,
    runtime: Option<Runtime>,
    threads: Vec<JoinHandle<()>>,
    backend: Backend,
    gateway_address: SocketAddr,
    admin_address: SocketAddr,
}

/// What the admin service and the node share.
pub(crate) struct Inner {
    pub(crate) shared: Shared,
    pub(crate) queries: Queries,
    pub(crate) definitions: Arc<DefinitionStore>,
    pub(crate) gateway: Gateway,
    pub(crate) gate: Arc<dyn MarkKeeper>,
    pub(crate) mail: Arc<IdentityMail>,
    pub(crate) began: std::time::Instant,
    settles: Vec<Settle>,
    /// Held by whoever publishes.
    pub(crate) publishing: Mutex<()>,
}

struct Source(Arc<DefinitionStore>);

impl DefinitionsSource for Source {
    fn get(&self, version: VersionId) -> Result<Arc<Definitions>, String> {
        self.0.get(version).map_err(|error| format!("{error:#}"))
    }
}

struct KnownPeople(Arc<dyn IdentityGraph>);

impl People for KnownPeople {
    fn profile(&self, identifiers: &[Identifier]) -> Option<ProfileId> {
        identifiers.iter().find_map(|one| sojourn_identity::find(&*self.0, one).ok().flatten())
    }
}

impl Node {
    /// Starts every role. Returns when they run; `/readyz` says when they have caught up.
    pub fn start(options: NodeOptions) -> Result<Self> {
        let files = read_workspace(&options.dir)?;
        let draft = crate::definitions::compiled(&files)?;
        let backend = Backend::open(&options.dir, &draft.workspace.storage, options.clock.clone())?;
        if backend.shared().is_some() && options.speed != 1.0 {
            bail!("brokers keep the time of the wall: a faster clock needs embedded storage");
        }
        let Backend { log, store, graph, gate, .. } = &backend;
        let (log, store, graph, gate) = (log.clone(), store.clone(), graph.clone(), gate.clone());
        let definitions = Arc::new(DefinitionStore::open(store.clone())?);
        let current = take_up(&definitions, &*log, &*options.clock, &files)?;
        let workspace = resolved(&current)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("edge")
            .enable_all()
            .build()?;
        let wanted = gateway_address(&options, &workspace)?;
        let listener = runtime.block_on(bind(wanted, options.any_port))?;
        let gateway_address = listener.local_addr()?;
        let public = match workspace.settings.get("public_url") {
            Some((url, _)) => url.to_string(),
            None => format!("http://{gateway_address}"),
        };
        let signer = secrets::signer(&backend.data)?;
        let channels = Arc::new(build_channels(&runtime, &workspace, &options)?);
        let gateway = Gateway::new(sojourn_gateway::Options {
            log: log.clone(),
            gate: gate.clone(),
            clock: options.clock.clone(),
            definitions: current.clone(),
            secrets: secrets::of_sources(&workspace),
            signer: signer.clone(),
            prompts: channels.prompts().map(|prompts| prompts as Arc<dyn Prompts>),
            portal_url: None,
            sizes: Sizes::default(),
        })?;
        gateway.know_people(Arc::new(KnownPeople(graph.clone())));
        let partitions = log.partitions(Topic::Profiles);
        let shared = Shared {
            log: log.clone(),
            clock: options.clock.clone(),
            health: Health::default(),
            stop: Arc::default(),
            positions: Arc::new(Positions::new(partitions)),
        };
        let owners = owners(&options, &shared, &store, &gate, &definitions);
        let settles = owners.iter().map(|(_, owner)| owner.settle()).collect();
        #[expect(
            clippy::disallowed_methods,
            reason = "uptime is the wall's, however fast the clock"
        )]
        let began = std::time::Instant::now();
        let inner = Arc::new(Inner {
            queries: Queries::new(log.clone(), store.clone(), graph.clone(), definitions.clone()),
            definitions: definitions.clone(),
            gateway: gateway.clone(),
            gate: gate.clone(),
            mail: Arc::default(),
            began,
            settles,
            publishing: Mutex::default(),
            shared,
        });
        let base = LinkBase { gateway: public.clone(), portal: public };
        let links = Links::new(base, signer.clone());
        let mut node = Self {
            inner,
            runtime: Some(runtime),
            threads: Vec::new(),
            gateway_address,
            admin_address: gateway_address,
            backend,
        };
        node.spawn_roles(&options, &current, (store, graph), owners, (channels, links))?;
        node.serve(listener, signer)?;
        Ok(node)
    }

    /// Address of the gateway.
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway_address
    }

    /// Address of the admin service.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
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
    /// checkpoints.
    pub fn stop(mut self) -> Result<()> {
        self.inner.shared.health.drain();
        let runtime = self.runtime.take().context("stopped once")?;
        runtime.block_on(self.inner.gateway.drain());
        runtime.block_on(self.inner.settled());
        self.inner.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a role has panicked");
            }
        }
        runtime.shutdown_timeout(Duration::from_secs(2));
        let _ = std::fs::remove_file(self.backend.data.join("admin.addr"));
        self.backend.close();
        Ok(())
    }

    fn spawn_roles(
        &mut self,
        options: &NodeOptions,
        current: &Arc<Definitions>,
        (store, graph): (Arc<dyn StateStore>, Arc<dyn IdentityGraph>),
        owners: Vec<(u16, PartitionOwner)>,
        (channels, links): (Arc<Channels>, Links),
    ) -> Result<()> {
        let shared = self.inner.shared.clone();
        for role in ["identity", "engine", "dispatcher"] {
            shared.health.expect(role);
        }
        let mut shard_options = ShardOptions::new(0, IdentityRules::of(current));
        shard_options.commit_every = scaled(options.speed);
        let shard =
            IdentityShard::new(shared.log.clone(), graph, shared.clock.clone(), shard_options)?;
        let (s, mail) = (shared.clone(), self.inner.mail.clone());
        self.spawn("identity", move || roles::identity(&s, shard, &mail))?;

        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(owners.len());
        let mut shares: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
        for (place, owner) in owners.into_iter().enumerate() {
            shares[place % threads].push(owner);
        }
        for share in shares {
            let s = shared.clone();
            self.spawn("engine", move || roles::engine(&s, share))?;
        }

        let ready = Arc::new(AtomicBool::new(false));
        let (s, gate, flag) = (shared.clone(), self.inner.gate.clone(), ready.clone());
        let every = self.backend.keep_every();
        self.spawn("keeper", move || roles::keeper(&s, &*gate, &flag, every))?;

        let indexer = Indexer::open(shared.log.clone(), store.clone())?;
        let s = shared.clone();
        self.spawn("index", move || roles::index(&s, indexer))?;

        let definitions = self.inner.definitions.clone();
        let versions = Arc::new(move |version| definitions.get(version).ok());
        let renderer = Arc::new(Renderer::new(versions, links));
        let handle = self.runtime.as_ref().context("running")?.handle().clone();
        let gate: Arc<dyn Gate> = self.inner.gate.clone();
        let make = {
            let s = shared.clone();
            move || {
                let transport = ChannelTransport::new(
                    channels.clone(),
                    renderer.clone(),
                    handle.clone(),
                    Arc::new(|| {}),
                );
                let named = channels.iter().map(|(name, built)| {
                    let rate_per_second = built.rate_per_second;
                    (name.clone(), ChannelOptions { rate_per_second, in_flight: None })
                });
                let options = sojourn_dispatcher::Options {
                    partitions: (0..s.log.partitions(Topic::Actions)).collect(),
                    channels: named.collect(),
                };
                let ports = sojourn_dispatcher::Ports {
                    log: s.log.clone(),
                    store: store.clone(),
                    gate: gate.clone(),
                    clock: s.clock.clone(),
                    ready: ready.clone(),
                };
                Dispatcher::new(ports, options, Box::new(transport))
            }
        };
        self.spawn("dispatcher", move || roles::dispatcher(&shared, make))
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Serves the gateway on `listener` and the admin service on a loopback port of its own.
    fn serve(&mut self, listener: TcpListener, signer: Signer) -> Result<()> {
        let runtime = self.runtime.as_ref().context("running")?;
        let health = self.inner.shared.health.clone();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sojourn_proto::DESCRIPTORS)
            .build_v1()?;
        let reflection_alpha = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sojourn_proto::DESCRIPTORS)
            .build_v1alpha()?;
        let (_, grpc_health) = tonic_health::server::health_reporter();
        let router = self
            .inner
            .gateway
            .router()
            .merge(health::router(health))
            .merge(crate::pages::router(self.inner.clone(), signer))
            .route_service("/sojourn.ingest.v1.IngestService/{*rest}", self.inner.gateway.grpc())
            .route_service("/grpc.reflection.v1.ServerReflection/{*rest}", reflection)
            .route_service("/grpc.reflection.v1alpha.ServerReflection/{*rest}", reflection_alpha)
            .route_service("/grpc.health.v1.Health/{*rest}", grpc_health);
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the gateway stopped serving");
            }
        });
        let admin = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        self.admin_address = admin.local_addr()?;
        let file = self.backend.data.join("admin.addr");
        std::fs::write(&file, format!("{}\n{}\n", self.admin_address, self.gateway_address))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let server = tonic::transport::Server::builder()
            .add_service(Admin::service(self.inner.clone()))
            .add_service(self.inner.gateway.import())
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(admin));
        runtime.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the admin service stopped serving");
            }
        });
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
            let workspace = resolved(definitions)?;
            append_publish(&*self.shared.log, definitions.version, transition)?;
            self.definitions.set_current(definitions.version)?;
            self.gateway.define(definitions, &secrets::of_sources(&workspace))?;
            *self.mail.rules.lock() = Some(IdentityRules::of(definitions));
        }
        Ok(published)
    }

    /// Waits until what the log holds now has been applied, stored and indexed, for at most
    /// [`SETTLE_MAX`]: then a question sees what was answered 200 before it.
    pub(crate) async fn settled(&self) {
        let _ = tokio::time::timeout(SETTLE_MAX, self.settle()).await;
    }

    async fn settle(&self) {
        let log = &self.shared.log;
        let ends = |topic: Topic| -> Vec<u64> {
            (0..log.partitions(topic)).map(|p| log.bounds(topic, p).map_or(0, |b| b.next)).collect()
        };
        let positions = &self.shared.positions;
        let touchpoints = ends(Topic::Touchpoints)[0];
        until(|| positions.identity_reached(touchpoints)).await;
        self.mail.commit.store(true, Ordering::Release);
        until(|| !self.mail.commit.load(Ordering::Acquire)).await;
        for _ in 0..2 {
            let profiles = ends(Topic::Profiles);
            until(|| positions.owners_reached(&profiles)).await;
        }
        let waits: Vec<_> = self
            .settles
            .iter()
            .filter_map(|settle| {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                // Who asked may have gone away meanwhile.
                let tell = move || {
                    let _ = sender.send(());
                };
                settle.ask(tell).then_some(receiver)
            })
            .collect();
        for wait in waits {
            let _ = wait.await;
        }
        let wanted: Vec<_> = [Topic::Profiles, Topic::Decisions, Topic::Dispatch]
            .into_iter()
            .flat_map(|topic| {
                ends(topic).into_iter().enumerate().map(move |(p, end)| (topic, p, end))
            })
            .collect();
        until(|| {
            let index = positions.index.lock();
            wanted.iter().all(|(topic, partition, end)| {
                index
                    .iter()
                    .any(|(t, p, at)| t == topic && usize::from(*p) == *partition && at >= end)
            })
        })
        .await;
    }
}

async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::time::sleep(Duration::from_millis(2)).await;
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
    append_to_all(log, &Record::Publish { version, transition })
}

/// Appends a record to every partition of `profiles`, durable on return.
pub(crate) fn append_to_all(log: &dyn Log, record: &Record<'_>) -> Result<()> {
    let mut bytes = Vec::new();
    encode_profile_record(None, false, record, &mut bytes);
    let bytes = Bytes::from(bytes);
    let appends = (0..log.partitions(Topic::Profiles))
        .map(|partition| Append { topic: Topic::Profiles, partition, values: vec![bytes.clone()] })
        .collect();
    log.append(appends, None)?;
    log.sync()?;
    Ok(())
}

fn owners(
    options: &NodeOptions,
    shared: &Shared,
    store: &Arc<dyn StateStore>,
    gate: &Arc<dyn MarkKeeper>,
    definitions: &Arc<DefinitionStore>,
) -> Vec<(u16, PartitionOwner)> {
    let source: Arc<dyn DefinitionsSource> = Arc::new(Source(definitions.clone()));
    (0..shared.log.partitions(Topic::Profiles))
        .map(|partition| {
            let mut owner = OwnerOptions::new(partition);
            owner.checkpoint_every = scaled(options.speed);
            let owner = PartitionOwner::new(
                shared.log.clone(),
                store.clone(),
                gate.clone(),
                shared.clock.clone(),
                source.clone(),
                owner,
            );
            (partition, owner)
        })
        .collect()
}

/// [`CHECKPOINT_EVERY_MS`] of wall time on a clock that runs `speed` times faster.
fn scaled(speed: f64) -> DurationMs {
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second, scaled")]
    let ms = (CHECKPOINT_EVERY_MS * speed) as i64;
    DurationMs(ms)
}

fn build_channels(
    runtime: &Runtime,
    workspace: &Workspace,
    options: &NodeOptions,
) -> Result<Channels> {
    let _inside = runtime.enter();
    // TLS of SMTP and webhooks; a second installation is refused, and that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = sojourn_channels::Context {
        file: "sojourn.yaml",
        folder: &options.dir,
        lookup: &secret,
        clock: options.clock.clone(),
    };
    Channels::build(workspace, &context).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}

fn gateway_address(options: &NodeOptions, workspace: &Workspace) -> Result<SocketAddr> {
    if let Some(address) = options.gateway {
        return Ok(address);
    }
    let (text, line) = match workspace.settings.get("listen.gateway") {
        Some((text, line)) => (text.to_string(), *line),
        None => (GATEWAY_DEFAULT.to_owned(), 0),
    };
    text.parse().with_context(|| {
        format!("sojourn.yaml:{line}: listen.gateway `{text}` is no address; write 127.0.0.1:8080")
    })
}

async fn bind(wanted: SocketAddr, any_port: bool) -> Result<TcpListener> {
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(error) if any_port && error.kind() == std::io::ErrorKind::AddrInUse => {
            Ok(TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).await?)
        }
        Err(error) => Err(error).with_context(|| {
            format!("cannot listen on {wanted}: set listen.gateway in sojourn.yaml, or stop what uses it")
        }),
    }
}
