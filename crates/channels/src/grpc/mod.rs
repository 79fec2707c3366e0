//! Any process that implements `ChannelService`.
//!
//! `endpoint`: `http://host:port`, or `https://host:port` for TLS. Optional: `in_flight` (default: what
//! the process says, else 256), `timeout` (for one answer, default 30s); with TLS `ca` (file of the
//! authorities that signed the process's certificate; default: the well-known ones) and `certificate`
//! with `key` (files of our own, where the process asks for one).
//!
//! One connection, one bidirectional stream, a window of messages in flight; answers are matched by
//! action id. When the stream breaks, everything that had been put into it is *unknown*; what had
//! not is *retry*. The connection comes back by itself, with a growing pause.

mod session;

use crate::channel::{Channel, ChannelError, Description, Outgoing, answer};
use crate::settings::{SettingError, Settings};
use futures::future::BoxFuture;
use session::Session;
use sojourn_model::Name;
use sojourn_proto::channel::channel_service_client::ChannelServiceClient;
use sojourn_proto::channel::{DeliverResponse, DeliveryOutcome, DescribeRequest, ForgetRequest};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(30);
const IN_FLIGHT_DEFAULT: u32 = 256;
/// Messages in flight over one stream (LIM-1).
pub const IN_FLIGHT_MAX: u32 = 4_096;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The channel of kind `grpc`.
pub struct Grpc {
    endpoint: Endpoint,
    in_flight: Option<u32>,
    answer_max: Duration,
    link: Mutex<Link>,
}

/// The connection, or when to try again.
#[derive(Default)]
struct Link {
    session: Option<(Arc<Session>, Description)>,
    failures: u32,
    not_before: Option<Instant>,
    problem: String,
}

impl Grpc {
    /// Reads the settings; connects at the first message.
    pub fn new(settings: &Settings<'_>, folder: &Path) -> Result<Self, SettingError> {
        let mut endpoint = Endpoint::from_shared(settings.need("endpoint")?)
            .map_err(|error| settings.error("endpoint", format!("not an address: {error}")))?
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .tcp_nodelay(true);
        let tls = tls(settings, folder)?;
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(tls.unwrap_or_else(|| ClientTlsConfig::new().with_webpki_roots()))
                .map_err(|error| settings.error("certificate", words(&error)))?;
        } else if tls.is_some() {
            return Err(settings.error("endpoint", "certificates are for TLS: write https://"));
        }
        let in_flight = match settings.get("in_flight")? {
            Some(_) => Some(settings.count("in_flight", IN_FLIGHT_DEFAULT, IN_FLIGHT_MAX)?),
            None => None,
        };
        let answer_max = settings.duration("timeout", ANSWER_MAX)?;
        Ok(Self { endpoint, in_flight, answer_max, link: Mutex::default() })
    }

    /// The open session, or a new one when the pause after the last failure is over.
    async fn session(&self) -> Result<(Arc<Session>, Description), String> {
        let mut link = self.link.lock().await;
        if let Some((session, description)) = &link.session
            && session.is_open()
        {
            return Ok((Arc::clone(session), description.clone()));
        }
        link.session = None;
        if link.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(link.problem.clone());
        }
        match timeout(CONNECT_MAX * 2, self.open())
            .await
            .unwrap_or_else(|_| Err("no answer".into()))
        {
            Ok((session, description)) => {
                *link = Link {
                    session: Some((session.clone(), description.clone())),
                    ..Link::default()
                };
                Ok((session, description))
            }
            Err(problem) => {
                let pause = BACKOFF_FIRST * 2u32.saturating_pow(link.failures.min(16));
                link.failures = link.failures.saturating_add(1);
                link.not_before = Some(Instant::now() + pause.min(BACKOFF_MAX));
                link.problem = format!("not connected: {problem}");
                Err(link.problem.clone())
            }
        }
    }

    async fn open(&self) -> Result<(Arc<Session>, Description), String> {
        let connection = self.endpoint.connect().await.map_err(|error| words(&error))?;
        let mut client = ChannelServiceClient::new(connection);
        let said = client
            .describe(DescribeRequest {})
            .await
            .map_err(|status| format!("describe: {}", status.code()))?
            .into_inner();
        let asked = if said.in_flight == 0 { IN_FLIGHT_DEFAULT } else { said.in_flight };
        let in_flight = self.in_flight.unwrap_or(asked).clamp(1, IN_FLIGHT_MAX);
        let description = Description {
            channels: said.channels.iter().map(|name| Name::from(name.as_str())).collect(),
            idempotency_window: Duration::from_secs(said.idempotency_window_s),
            status_lookup: said.status_lookup,
            in_flight,
        };
        let session = Session::open(client, in_flight as usize);
        Ok((session, description))
    }
}

/// Certificates of the connection; `None`: no setting names one.
fn tls(settings: &Settings<'_>, folder: &Path) -> Result<Option<ClientTlsConfig>, SettingError> {
    let file = |key: &str, name: Option<String>| -> Result<Option<Vec<u8>>, SettingError> {
        let Some(name) = name else { return Ok(None) };
        let path = folder.join(name);
        let content = std::fs::read(&path).map_err(|error| {
            settings.error(key, format!("cannot read {}: {error}", path.display()))
        })?;
        Ok(Some(content))
    };
    let ca = file("ca", settings.get("ca")?)?;
    let certificate = file("certificate", settings.get("certificate")?)?;
    let key = file("key", settings.get("key")?)?;
    if certificate.is_some() != key.is_some() {
        return Err(settings.error("certificate", "`certificate` and `key` go together: name both"));
    }
    if ca.is_none() && certificate.is_none() {
        return Ok(None);
    }
    let mut config = ClientTlsConfig::new();
    config = match ca {
        Some(ca) => config.ca_certificate(Certificate::from_pem(ca)),
        None => config.with_webpki_roots(),
    };
    if let Some((certificate, key)) = certificate.zip(key) {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    Ok(Some(config))
}

/// An error with what lies beneath it: the transport's own words say nothing of a certificate.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        below = error.source();
    }
    words
}

impl Channel for Grpc {
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>> {
        Box::pin(async { self.session().await.map(|(_, said)| said).map_err(ChannelError) })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, DeliverResponse> {
        Box::pin(async move {
            let id = outgoing.request.action_id.clone();
            match self.session().await {
                Ok((session, _)) => session.deliver(outgoing, self.answer_max).await,
                Err(problem) => answer(&id, DeliveryOutcome::Retry, &problem),
            }
        })
    }

    fn forget<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let (session, said) = self.session().await.map_err(ChannelError)?;
            for channel in &said.channels {
                let request =
                    ForgetRequest { channel: channel.to_string(), endpoint: endpoint.to_owned() };
                timeout(self.answer_max, session.client().forget(request))
                    .await
                    .map_err(|_| ChannelError("forgetting: no answer".into()))?
                    .map_err(|status| ChannelError(format!("forgetting: {}", status.code())))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
