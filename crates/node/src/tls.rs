//! TLS of what this process serves, from the files that `tls` of sojourn.yaml names.
//!
//! Files are read at the start: a renewed certificate holds from the next start on.

use anyhow::{Context, Result, anyhow};
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sojourn_rules::Workspace;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// Longest time that a caller may take to agree on TLS.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Callers that agree on TLS at the same time (LIM-1); the others wait in the system's queue.
const HANDSHAKES_MAX: usize = 512;
/// Callers that have agreed and wait to be served (LIM-1).
const WAITING_MAX: usize = 64;
/// Pause after an error of the system, such as no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A file that a setting names, and where it is named.
struct File {
    at: String,
    path: PathBuf,
    content: Vec<u8>,
}

fn file(dir: &Path, workspace: &Workspace, key: &str) -> Result<Option<File>> {
    let Some((text, line)) = workspace.settings.get(key) else { return Ok(None) };
    let path = dir.join(&**text);
    let at = format!("sojourn.yaml:{line}: {key}");
    let content =
        std::fs::read(&path).with_context(|| format!("{at}: cannot read {}", path.display()))?;
    Ok(Some(File { at, path, content }))
}

/// Certificate and key of a role; `None`: it has none.
fn identity(dir: &Path, workspace: &Workspace, role: &str) -> Result<Option<(File, File)>> {
    let certificate = file(dir, workspace, &format!("tls.{role}.certificate"))?;
    let key = file(dir, workspace, &format!("tls.{role}.key"))?;
    let Some((certificate, key)) = certificate.zip(key) else { return Ok(None) };
    // Both are looked at here, where place and file can be named.
    certificates(&certificate)?;
    private_key(&key)?;
    Ok(Some((certificate, key)))
}

fn certificates(file: &File) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.content).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(anyhow!("{}: {} holds no certificate in PEM", file.at, file.path.display())),
    }
}

fn private_key(file: &File) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&file.content)
        .map_err(|_| anyhow!("{}: {} holds no private key in PEM", file.at, file.path.display()))
}

/// TLS of the gateway's own listener; `None`: it speaks plain HTTP.
pub(crate) fn gateway(dir: &Path, workspace: &Workspace) -> Result<Option<TlsAcceptor>> {
    let Some((certificate, key)) = identity(dir, workspace, "gateway")? else { return Ok(None) };
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates(&certificate)?, private_key(&key)?);
    let mut config = config.map_err(|error| {
        anyhow!(
            "{}: {} and {}: {error}",
            certificate.at,
            certificate.path.display(),
            key.path.display()
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// TLS of a gRPC service of this process, `admin` or `channels`; `None`: plain gRPC.
pub(crate) fn service(
    dir: &Path,
    workspace: &Workspace,
    name: &str,
) -> Result<Option<ServerTlsConfig>> {
    let Some((certificate, key)) = identity(dir, workspace, name)? else { return Ok(None) };
    let identity = Identity::from_pem(&certificate.content, &key.content);
    let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_MAX);
    let Some(clients) = file(dir, workspace, &format!("tls.{name}.clients"))? else {
        return Ok(Some(config));
    };
    certificates(&clients)?;
    Ok(Some(config.client_ca_root(Certificate::from_pem(clients.content))))
}

/// A listener whose callers have agreed on TLS. Handshakes run beside each other, each within
/// [`HANDSHAKE_MAX`]: somebody who connects and says nothing holds up nobody.
pub(crate) struct TlsListener {
    address: SocketAddr,
    agreed: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Takes callers from `listener` from now on; to be called inside a runtime.
    pub(crate) fn new(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, agreed) = mpsc::channel(WAITING_MAX);
        let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        tokio::spawn(async move {
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let (stream, from) = tokio::select! {
                    () = sender.closed() => return,
                    taken = listener.accept() => match taken {
                        Ok(taken) => taken,
                        Err(error) => {
                            tracing::warn!(%error, "a caller could not be taken");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                            continue;
                        }
                    },
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    let _ = stream.set_nodelay(true);
                    match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let _ = sender.send((stream, from)).await;
                        }
                        // Scanners and clients without our authority: many, and nobody's fault here.
                        Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS with a caller"),
                        Err(_) => tracing::debug!(%from, "a caller does not agree on TLS in time"),
                    }
                });
            }
        });
        Ok(Self { address, agreed })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.agreed.recv().await {
            Some(taken) => taken,
            // The runtime is ending: there is nobody to wait for.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
