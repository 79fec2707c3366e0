//! The edges of a process: gateway or health over HTTP, the admin service, the channels over gRPC.

use crate::admin::Admin;
use crate::health;
use crate::node::{Node, NodeOptions};
use crate::role::Role;
use crate::tls::{self, TlsListener};
use crate::workspace::secret;
use anyhow::{Context, Result};
use sojourn_channels::Channels;
use sojourn_channels::render::{LinkBase, Links};
use sojourn_channels::serve::Serve;
use sojourn_channels::token::Signer;
use sojourn_model::Name;
use sojourn_rules::{Channel, Workspace};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Server, ServerTlsConfig};

/// Address of a gateway when nothing else is said.
const GATEWAY_DEFAULT: &str = "127.0.0.1:8080";
/// Any free port of this machine.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// File in the data folder that names the admin service; with `https://` before it where that speaks
/// TLS.
pub(crate) const ADDRESS_FILE: &str = "admin.addr";

/// Where a process can be reached.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The gateway with health and metrics, or these alone.
    pub front: SocketAddr,
    /// Whether it speaks TLS.
    pub front_tls: bool,
    /// The admin service, where there is a gateway.
    pub admin: Option<SocketAddr>,
    /// The channels, where this process serves them to others.
    pub channels: Option<SocketAddr>,
    /// Whether they are served over TLS.
    pub channels_tls: bool,
}

impl Addresses {
    /// `https://127.0.0.1:8443`
    pub fn front_url(&self) -> String {
        format!("{}://{}", scheme(self.front_tls), self.front)
    }

    /// Where dispatchers reach the channels: `--channels`.
    pub fn channels_url(&self) -> Option<String> {
        Some(format!("{}://{}", scheme(self.channels_tls), self.channels?))
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// Bound, and not serving yet.
pub(crate) struct Listeners {
    pub(crate) addresses: Addresses,
    front: TcpListener,
    admin: Option<TcpListener>,
    channels: Option<TcpListener>,
    front_tls: Option<TlsAcceptor>,
    channels_tls: Option<ServerTlsConfig>,
    admin_tls: Option<ServerTlsConfig>,
}

impl Listeners {
    pub(crate) fn bind(
        runtime: &Runtime,
        options: &NodeOptions,
        workspace: &Workspace,
    ) -> Result<Self> {
        let roles = options.roles;
        let gateway = roles.has(Role::Gateway);
        crypto();
        // Health of another role stands on the own network and says nothing of anybody.
        let front_tls = if gateway { tls::gateway(&options.dir, workspace)? } else { None };
        let channels_tls = tls::service(&options.dir, workspace, "channels")?;
        let admin_tls = tls::service(&options.dir, workspace, "admin")?;
        let wanted = match (options.listen, gateway) {
            (Some(address), _) => address,
            (None, true) => gateway_address(workspace)?,
            (None, false) => declared(workspace, "metrics")?.unwrap_or(ANY),
        };
        let front = runtime.block_on(bind(wanted, options.any_port))?;
        let beside = |name: &str, here: bool| -> Result<Option<TcpListener>> {
            if !here {
                return Ok(None);
            }
            let wanted = declared(workspace, name)?.unwrap_or(ANY);
            runtime.block_on(bind(wanted, options.any_port)).map(Some)
        };
        let admin = beside("admin", gateway)?;
        // Who has every role in one process serves the channels to nobody.
        let channels = beside("channels", roles.has(Role::Channels) && !roles.is_all())?;
        let address = |listener: &Option<TcpListener>| {
            listener.as_ref().map(TcpListener::local_addr).transpose()
        };
        let addresses = Addresses {
            front: front.local_addr()?,
            front_tls: front_tls.is_some(),
            admin: address(&admin)?,
            channels: address(&channels)?,
            channels_tls: channels_tls.is_some(),
        };
        Ok(Self { addresses, front, admin, channels, front_tls, channels_tls, admin_tls })
    }
}

impl Node {
    /// Serves what the roles of this process serve.
    pub(crate) fn serve(
        &mut self,
        listeners: Listeners,
        signer: Signer,
        channels: Arc<Channels>,
    ) -> Result<()> {
        let runtime = self.runtime.as_ref().context("running")?;
        let health = health::router(self.inner.shared.health.clone());
        let router = match &self.inner.gateway {
            Some(gateway) => gateway
                .router()
                .merge(health)
                .merge(crate::pages::router(self.inner.clone(), signer))
                .route_service("/sojourn.ingest.v1.IngestService/{*rest}", gateway.grpc())
                .route_service(
                    "/grpc.reflection.v1.ServerReflection/{*rest}",
                    reflection().build_v1()?,
                )
                .route_service(
                    "/grpc.reflection.v1alpha.ServerReflection/{*rest}",
                    reflection().build_v1alpha()?,
                )
                .route_service(
                    "/grpc.health.v1.Health/{*rest}",
                    tonic_health::server::health_reporter().1,
                ),
            None => health,
        };
        let front_tls = listeners.front_tls;
        runtime.spawn(async move {
            let served = match front_tls {
                Some(acceptor) => match TlsListener::new(listeners.front, acceptor) {
                    Ok(listener) => axum::serve(listener, router).await,
                    Err(error) => Err(error),
                },
                None => axum::serve(listeners.front, router).await,
            };
            if let Err(error) = served {
                tracing::error!(%error, "HTTP is not served any more");
            }
        });
        if let (Some(listener), Some(gateway)) = (listeners.admin, &self.inner.gateway) {
            let (admin, front) = (listener.local_addr()?, self.addresses.front);
            let file = self.backend.data.join(ADDRESS_FILE);
            let tls = if listeners.admin_tls.is_some() { "https://" } else { "" };
            std::fs::write(&file, format!("{tls}{admin}\n{front}\n"))
                .with_context(|| format!("cannot write {}", file.display()))?;
            let mut server = Server::builder();
            if let Some(config) = listeners.admin_tls {
                server = server.tls_config(config).context("tls.admin of sojourn.yaml")?;
            }
            let server = server
                .add_service(Admin::service(self.inner.clone()))
                .add_service(gateway.import())
                .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
            runtime.spawn(async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "the admin service stopped serving");
                }
            });
        }
        if let Some(listener) = listeners.channels {
            let mut server = Server::builder();
            if let Some(config) = listeners.channels_tls {
                server = server.tls_config(config).context("tls.channels of sojourn.yaml")?;
            }
            let server = server
                .add_service(Serve::new(channels))
                .add_service(tonic_health::server::health_reporter().1)
                .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
            let health = self.inner.shared.health.clone();
            health.ready("channels");
            runtime.spawn(async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "the channels are not served any more");
                    health.failed("channels", error.to_string());
                }
            });
        }
        Ok(())
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sojourn_proto::DESCRIPTORS)
}

/// The channels that this process delivers through: built here, or those of another process.
pub(crate) fn channels(
    runtime: &Runtime,
    workspace: &Workspace,
    options: &NodeOptions,
) -> Result<Channels> {
    let _inside = runtime.enter();
    crypto();
    let context = sojourn_channels::Context {
        file: "sojourn.yaml",
        folder: &options.dir,
        lookup: &secret,
        clock: options.clock.clone(),
    };
    let elsewhere = options.channels.as_deref().filter(|_| !options.roles.has(Role::Channels));
    // What `tls.dispatcher` says holds for the process that `--channels` names.
    let said: BTreeMap<_, _> = ["ca", "certificate", "key"]
        .into_iter()
        .filter_map(|key| {
            let named = workspace.settings.get(&*format!("tls.dispatcher.{key}"))?;
            Some((key.into(), named.clone()))
        })
        .collect();
    let mut workspace = workspace.clone();
    for channel in workspace.channels.values_mut().filter(|channel| &*channel.kind != "grpc") {
        if let Some(url) = elsewhere {
            *channel = remote(channel, url, &said);
        } else if &*channel.kind == "in_store" && !options.roles.has(Role::Gateway) {
            tracing::warn!(
                channel = %channel.name,
                "a till is shown its prompts by the gateway's process: give it the role channels, \
                 and start this one with --channels and its address"
            );
        }
    }
    Channels::build(&workspace, &context).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}

/// The same channel in another process.
fn remote(channel: &Channel, url: &str, tls: &BTreeMap<Name, (Name, u32)>) -> Channel {
    let line = channel.settings.values().map(|(_, line)| *line).min().unwrap_or(0);
    let mut settings = tls.clone();
    settings.insert("endpoint".into(), (url.into(), line));
    Channel { kind: "grpc".into(), settings, ..channel.clone() }
}

/// Links in messages: `public_url`, or the gateway's own address.
pub(crate) fn links(workspace: &Workspace, addresses: &Addresses, signer: &Signer) -> Links {
    let public = match workspace.settings.get("public_url") {
        Some((url, _)) => url.to_string(),
        None if addresses.admin.is_some() => addresses.front_url(),
        // The gateway is another process.
        None => {
            let listen = workspace.settings.get("listen.gateway");
            let address = listen.map_or(GATEWAY_DEFAULT, |(text, _)| text);
            let tls = workspace.settings.contains_key("tls.gateway.certificate");
            format!("{}://{address}", scheme(tls))
        }
    };
    Links::new(LinkBase { gateway: public.clone(), portal: public }, signer.clone())
}

/// Makes ring the cryptography of every TLS connection; a second installation is refused, and that is
/// fine.
pub(crate) fn crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn gateway_address(workspace: &Workspace) -> Result<SocketAddr> {
    match declared(workspace, "gateway")? {
        Some(address) => Ok(address),
        None => Ok(GATEWAY_DEFAULT.parse()?),
    }
}

/// `listen.NAME` of sojourn.yaml.
fn declared(workspace: &Workspace, name: &str) -> Result<Option<SocketAddr>> {
    let Some((text, line)) = workspace.settings.get(&*format!("listen.{name}")) else {
        return Ok(None);
    };
    let address = text.parse().with_context(|| {
        format!("sojourn.yaml:{line}: listen.{name} `{text}` is no address; write 127.0.0.1:8080")
    })?;
    Ok(Some(address))
}

async fn bind(wanted: SocketAddr, any_port: bool) -> Result<TcpListener> {
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(error) if any_port && error.kind() == std::io::ErrorKind::AddrInUse => {
            Ok(TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).await?)
        }
        Err(error) => Err(error).with_context(|| {
            format!("cannot listen on {wanted}: set `listen` in sojourn.yaml, or stop what uses it")
        }),
    }
}
