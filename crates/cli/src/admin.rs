//! The way to the running server: AdminService at the address that `SOJOURN_ADMIN` names, or that a
//! gateway on this machine left in its data folder.

use crate::exit::{negative, unreachable};
use crate::workspace;
use anyhow::{Context, Result};
use serde_json::Value;
pub(crate) use sojourn_proto::admin::PublishRequest;
use sojourn_proto::admin::admin_service_client::AdminServiceClient;
use sojourn_proto::admin::import_service_client::ImportServiceClient;
use sojourn_proto::admin::{
    DoctorRequest, GetDecisionRequest, GetPersonRequest, ImportRequest, ImportResponse,
    LedgerRequest, OrderRequest, SnapshotRequest, SnapshotResponse, TailRequest,
};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

/// File in the data folder whose first line is the server's address.
pub(crate) const ADDRESS_FILE: &str = "admin.addr";
/// Names the admin service of a gateway on another machine (`listen.admin` of its sojourn.yaml).
const ADDRESS_VARIABLE: &str = "SOJOURN_ADMIN";
/// Files, where the administration service speaks TLS: the authorities that signed its certificate, and
/// our own certificate with its key, where it asks for one.
const CA_VARIABLE: &str = "SOJOURN_ADMIN_CA";
const CERTIFICATE_VARIABLE: &str = "SOJOURN_ADMIN_CERTIFICATE";
const KEY_VARIABLE: &str = "SOJOURN_ADMIN_KEY";
/// A server on the same machine answers sooner than this, or it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read: a long timeline.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A connection to the server of a workspace.
pub(crate) struct Admin {
    runtime: Runtime,
    client: AdminServiceClient<Channel>,
    channel: Channel,
}

impl Admin {
    /// Connects to what runs on `dir`. Nothing running is an error that says how to start it.
    pub(crate) fn connect(dir: &Path) -> Result<Self> {
        let nothing = || {
            unreachable(format!(
                "nothing is running on {}: start it with `sojourn up {}`",
                dir.display(),
                dir.display()
            ))
        };
        if !dir.join("sojourn.yaml").is_file() {
            return Err(unreachable(format!(
                "{} is no workspace (no sojourn.yaml): name its folder, or make one with `sojourn init`",
                dir.display()
            )));
        }
        if let Ok(address) = std::env::var(ADDRESS_VARIABLE) {
            return Self::at(&address).map_err(|error| {
                unreachable(format!("{ADDRESS_VARIABLE} is {address}: {error:#}"))
            });
        }
        let file = workspace::data_dir(dir).join(ADDRESS_FILE);
        let Ok(content) = std::fs::read_to_string(file) else { return Err(nothing()) };
        let address = content.lines().next().unwrap_or("").trim();
        // A file that a killed server left behind names an address where nobody listens.
        Self::at(address).map_err(|error| {
            if address.starts_with("https://") {
                unreachable(format!(
                    "no answer from {address}: {error:#}; {CA_VARIABLE} names the authorities of its \
                     certificate, {CERTIFICATE_VARIABLE} and {KEY_VARIABLE} your own"
                ))
            } else {
                nothing()
            }
        })
    }

    /// Connects to the server at `address` (`127.0.0.1:4321`).
    pub(crate) fn at(address: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let tls = address.starts_with("https://");
        let url = if tls { address.to_owned() } else { format!("http://{address}") };
        let mut endpoint = Endpoint::from_shared(url)
            .context("the admin address is not one")?
            .connect_timeout(CONNECT_TIMEOUT);
        if tls {
            endpoint = endpoint.tls_config(tls_of_environment()?).context("TLS to the server")?;
        }
        let channel = runtime.block_on(endpoint.connect()).context("cannot connect")?;
        let client =
            AdminServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { runtime, client, channel })
    }

    /// A view of a person (`show`, `timeline`, `decisions`, `consents`).
    pub(crate) fn person(&mut self, person: &str, view: &str, limit: u32) -> Result<Value> {
        self.get_person(GetPersonRequest {
            person: person.to_owned(),
            view: view.to_owned(),
            limit,
            journey: String::new(),
        })
    }

    /// Why a person did not get a journey.
    pub(crate) fn why_not(&mut self, person: &str, journey: &str) -> Result<Value> {
        self.get_person(GetPersonRequest {
            person: person.to_owned(),
            view: "why_not".to_owned(),
            limit: 0,
            journey: journey.to_owned(),
        })
    }

    fn get_person(&mut self, request: GetPersonRequest) -> Result<Value> {
        let answer = self.runtime.block_on(self.client.get_person(request)).map_err(fault)?;
        serde_json::from_slice(&answer.into_inner().json).context("the server's answer is no JSON")
    }

    /// The sentence and the record of a decision.
    pub(crate) fn decision(&mut self, id: &str, for_customer: bool) -> Result<(String, Value)> {
        let request = GetDecisionRequest { id: id.to_owned(), for_customer };
        let answer =
            self.runtime.block_on(self.client.get_decision(request)).map_err(fault)?.into_inner();
        let json = if answer.json.is_empty() { b"{}".as_slice() } else { &answer.json };
        let decision = serde_json::from_slice(json).context("the server's answer is no JSON")?;
        Ok((answer.sentence, decision))
    }

    /// Gives an order; the answer comes when it is durable.
    pub(crate) fn order(&mut self, order: &Value, actor: &str) -> Result<String> {
        let request =
            OrderRequest { command_json: order.to_string().into_bytes(), actor: actor.to_owned() };
        let answer = self.runtime.block_on(self.client.order(request)).map_err(fault)?;
        Ok(answer.into_inner().answer)
    }

    /// Publishes, rolls back or approves, or tells what that would change.
    pub(crate) fn publish(&mut self, request: PublishRequest) -> Result<(String, Value)> {
        let answer =
            self.runtime.block_on(self.client.publish(request)).map_err(fault)?.into_inner();
        let report = serde_json::from_slice(&answer.report_json)
            .context("the server's answer is no JSON")?;
        Ok((answer.version, report))
    }

    /// Rows of the audit log (`audit`), of the versions or of the proposals, oldest first.
    pub(crate) fn ledger(&mut self, view: &str, limit: u32) -> Result<Vec<Value>> {
        let request = LedgerRequest { view: view.to_owned(), limit };
        let answer = self.runtime.block_on(self.client.ledger(request)).map_err(fault)?;
        let answer: Value = serde_json::from_slice(&answer.into_inner().json)
            .context("the server's answer is no JSON")?;
        Ok(answer["rows"].as_array().cloned().unwrap_or_default())
    }

    /// Hands every record to `take` until it says no or the server ends the stream.
    pub(crate) fn tail(
        &mut self,
        person: &str,
        journey: &str,
        from_start: bool,
        take: &mut dyn FnMut(&str, Value) -> bool,
    ) -> Result<()> {
        let request =
            TailRequest { person: person.to_owned(), journey: journey.to_owned(), from_start };
        self.runtime.block_on(async {
            let mut stream = self.client.tail(request).await.map_err(fault)?.into_inner();
            while let Some(record) = stream.message().await.map_err(fault)? {
                let json = serde_json::from_slice(&record.json)
                    .context("the server sent a record that is no JSON")?;
                if !take(&record.kind, json) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Hands history over, as messages of the Segment specification.
    pub(crate) fn import(
        &mut self,
        source: &str,
        messages: Vec<Vec<u8>>,
    ) -> Result<ImportResponse> {
        let mut client = ImportServiceClient::new(self.channel.clone());
        let request = ImportRequest { source: source.to_owned(), messages };
        let answer = self.runtime.block_on(client.import(request)).map_err(fault)?;
        Ok(answer.into_inner())
    }

    /// Writes a snapshot to the file `path` on the server's machine.
    pub(crate) fn snapshot(&mut self, path: &Path) -> Result<SnapshotResponse> {
        let path = path.to_str().context("the path is no text")?.to_owned();
        let answer = self.runtime.block_on(self.client.snapshot(SnapshotRequest { path }));
        Ok(answer.map_err(fault)?.into_inner())
    }

    /// Whether the server answers at all: a small question, with `timeout`.
    pub(crate) fn answers(&mut self, timeout: Duration) -> Result<()> {
        let question = self.client.ledger(LedgerRequest { view: "versions".to_owned(), limit: 1 });
        let answer = self.runtime.block_on(async { tokio::time::timeout(timeout, question).await });
        let late = || format!("no answer within {} s", timeout.as_secs());
        match answer.with_context(late)? {
            // It answers, whatever it says.
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::Unavailable => Err(fault(status)),
            Err(_) => Ok(()),
        }
    }

    /// What the server says of itself.
    pub(crate) fn doctor(&mut self) -> Result<Value> {
        let answer = self.runtime.block_on(self.client.doctor(DoctorRequest {})).map_err(fault)?;
        serde_json::from_slice(&answer.into_inner().json).context("the server's answer is no JSON")
    }
}

/// Certificates of a connection to a server whose administration service speaks TLS.
fn tls_of_environment() -> Result<ClientTlsConfig> {
    let file = |name: &str| -> Result<Option<Vec<u8>>> {
        let Ok(path) = std::env::var(name) else { return Ok(None) };
        let content = std::fs::read(&path).with_context(|| format!("{name}: cannot read {path}"));
        content.map(Some)
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = match file(CA_VARIABLE)? {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
        None => ClientTlsConfig::new().with_webpki_roots(),
    };
    match (file(CERTIFICATE_VARIABLE)?, file(KEY_VARIABLE)?) {
        (Some(certificate), Some(key)) => {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        (None, None) => {}
        _ => anyhow::bail!("{CERTIFICATE_VARIABLE} and {KEY_VARIABLE} go together: set both"),
    }
    Ok(config)
}

/// What a status means for the person at the terminal.
fn fault(status: Status) -> anyhow::Error {
    let message = status.message().to_owned();
    match status.code() {
        Code::NotFound | Code::FailedPrecondition => negative(message),
        Code::InvalidArgument => crate::exit::usage(message),
        Code::Unavailable => unreachable(format!("the server went away: {message}")),
        Code::Unimplemented => negative(format!("the server cannot do that yet: {message}")),
        code => anyhow::anyhow!("the server answered {code:?}: {message}"),
    }
}
