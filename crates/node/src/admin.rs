//! gRPC `AdminService`: what the command line asks of a running node.

use crate::node::{Inner, append_to_all};
use crate::roles::nap;
use crate::simulate::{CommandLine, Order, named};
use crate::{publishing, tail};
use bytes::Bytes;
use serde_json::json;
use sojourn_gateway::message::Converter;
use sojourn_model::{Command, KillTarget, Record};
use sojourn_ports::{Append, GateMark, Topic};
use sojourn_proto::admin::admin_service_server::{AdminService, AdminServiceServer};
use sojourn_proto::admin::{
    DoctorRequest, DoctorResponse, GetDecisionRequest, GetDecisionResponse, GetPersonRequest,
    GetPersonResponse, LedgerRequest, LedgerResponse, OrderRequest, OrderResponse, PublishRequest,
    PublishResponse, SnapshotRequest, SnapshotResponse, TailRequest, TailResponse,
};
use sojourn_proto::{IdentifiedCommand, encode_identified_command};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Bytes of a published workspace and of an answer (LIM-1).
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// An order about a kill switch is answered so long after its instant at the earliest: of two that
/// are given one after the other, the log says which was later (it counts milliseconds).
const ORDERS_APART: Duration = Duration::from_millis(2);

/// The service.
pub(crate) struct Admin(Arc<Inner>);

impl Admin {
    pub(crate) fn service(inner: Arc<Inner>) -> AdminServiceServer<Self> {
        AdminServiceServer::new(Self(inner))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Runs something that reads disks, off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Inner) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || run(&inner))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| Status::failed_precondition(format!("{error:#}")))
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_person(&self, request: Request<GetPersonRequest>) -> Answer<GetPersonResponse> {
        let request = request.into_inner();
        self.0.settled().await;
        let json = self
            .blocking(move |inner| {
                let limit = usize::try_from(request.limit)?;
                let view = if request.view == "why_not" {
                    inner.queries.why_not(&request.person, &request.journey)?
                } else {
                    inner.queries.view(&request.person, &request.view, limit)?
                };
                Ok(serde_json::to_vec(&view)?)
            })
            .await?;
        Ok(Response::new(GetPersonResponse { json }))
    }

    async fn get_decision(
        &self,
        request: Request<GetDecisionRequest>,
    ) -> Answer<GetDecisionResponse> {
        let GetDecisionRequest { id, for_customer } = request.into_inner();
        self.0.settled().await;
        let answer = self
            .blocking(move |inner| {
                let (sentence, row) = inner.queries.explain(&id, for_customer)?;
                Ok(GetDecisionResponse { sentence, json: serde_json::to_vec(&row)? })
            })
            .await?;
        Ok(Response::new(answer))
    }

    async fn order(&self, request: Request<OrderRequest>) -> Answer<OrderResponse> {
        let OrderRequest { command_json, actor } = request.into_inner();
        let answer = self.blocking(move |inner| order(inner, &command_json, &actor)).await?;
        Ok(Response::new(OrderResponse { answer }))
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Answer<PublishResponse> {
        let request = request.into_inner();
        self.0.settled().await;
        let answer = self.blocking(move |inner| publishing::answer(inner, request)).await?;
        Ok(Response::new(answer))
    }

    async fn ledger(&self, request: Request<LedgerRequest>) -> Answer<LedgerResponse> {
        let LedgerRequest { view, limit } = request.into_inner();
        self.0.settled().await;
        let json = self
            .blocking(move |inner| {
                let rows = inner.ledger(&view, usize::try_from(limit)?)?;
                Ok(serde_json::to_vec(&json!({ "rows": rows }))?)
            })
            .await?;
        Ok(Response::new(LedgerResponse { json }))
    }

    type TailStream = ReceiverStream<Result<TailResponse, Status>>;

    async fn tail(&self, request: Request<TailRequest>) -> Answer<Self::TailStream> {
        let request = request.into_inner();
        let inner = self.0.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(256);
        tokio::task::spawn_blocking(move || tail::run(&inner, &request, &sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn doctor(&self, _: Request<DoctorRequest>) -> Answer<DoctorResponse> {
        let json =
            self.blocking(|inner| Ok(serde_json::to_vec(&crate::doctor::report(inner)?)?)).await?;
        Ok(Response::new(DoctorResponse { json }))
    }

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Answer<SnapshotResponse> {
        let path = PathBuf::from(request.into_inner().path);
        if !path.is_absolute() {
            return Err(Status::invalid_argument(format!(
                "{} is no absolute path",
                path.display()
            )));
        }
        let info = self
            .blocking(move |inner| inner.backend.snapshot(&path, inner.shared.clock.now()))
            .await?;
        Ok(Response::new(SnapshotResponse {
            created_ms: info.created.0,
            keys: info.keys,
            segments: info.segments,
            bytes: info.bytes,
        }))
    }
}

/// Carries an order out; answers when it is durable.
fn order(inner: &Inner, json: &[u8], actor: &str) -> anyhow::Result<String> {
    let line = CommandLine::parse(std::str::from_utf8(json)?)?;
    tracing::info!(command = line.command, actor, "an operator orders");
    match line.order()? {
        Order::All(command) => {
            let mark = match &command {
                Command::Kill { target } => Some((target.clone(), true)),
                Command::Release { target } => Some((target.clone(), false)),
                _ => None,
            };
            let said = describe(&command);
            let at = append_to_all(&*inner.shared.log, &Record::Command(command))?;
            if let Some((target, on)) = mark {
                // A kill holds at the dispatcher before the engine has read it.
                let mark = GateMark::Killed { target, on, at };
                inner.gate.mark(&[mark]).map_err(anyhow::Error::msg)?;
                // The next order has a later instant in every partition.
                nap(ORDERS_APART);
            }
            ordered(inner, actor, &said)?;
            Ok(said)
        }
        Order::Person(person, command) => {
            let version = inner
                .definitions
                .current()?
                .ok_or_else(|| anyhow::anyhow!("nothing is published"))?;
            let converter = Converter::new(&inner.definitions.get(version)?);
            let (identifier, profile) = named(&converter, &person)?;
            inner.queries.person(&person)?;
            let mut bytes = Vec::new();
            encode_identified_command(
                &IdentifiedCommand { identifier, profile, command },
                &mut bytes,
            );
            let values = vec![Bytes::from(bytes)];
            inner
                .shared
                .log
                .append(vec![Append { topic: Topic::Touchpoints, partition: 0, values }], None)?;
            inner.shared.log.sync()?;
            // Of an erased person nothing is written, not even that it was they.
            let whom = if line.command == "erase" { "a person" } else { &*person };
            ordered(inner, actor, &format!("{} is ordered for {whom}", line.command))?;
            Ok(format!("{} is ordered for {person}", line.command))
        }
        Order::Publish(..) => anyhow::bail!("publish by `sojourn publish`"),
    }
}

/// Keeps in the audit log who ordered what.
fn ordered(inner: &Inner, actor: &str, said: &str) -> anyhow::Result<()> {
    let entry = json!({ "what": "order", "said": said });
    crate::audit::record(&*inner.shared.log, &*inner.shared.clock, actor, &entry)
}

fn describe(command: &Command) -> String {
    let target = |target: &KillTarget| match target {
        KillTarget::All => "every message".to_owned(),
        KillTarget::Class(name) => format!("messages of purpose {name}"),
        KillTarget::Channel(name) => format!("messages on {name}"),
        KillTarget::Journey(name) => format!("messages of {name}"),
    };
    match command {
        Command::Pause { journey } => {
            format!("{journey} is paused: people hold at their next step")
        }
        Command::Resume { journey } => format!("{journey} goes on"),
        Command::Stop { journey } => format!("{journey} is stopped: its runs end"),
        Command::Kill { target: what } => format!("{} are stopped", target(what)),
        Command::Release { target: what } => format!("{} may go out again", target(what)),
        other => format!("{other:?}"),
    }
}

/// A row of the tail.
pub(crate) fn response(kind: &str, row: &serde_json::Value) -> TailResponse {
    TailResponse { kind: kind.to_owned(), json: serde_json::to_vec(row).unwrap_or_default() }
}
