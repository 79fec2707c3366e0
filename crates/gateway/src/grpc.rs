//! gRPC `IngestService.Publish`: back ends and tills stream touchpoints, acknowledged in order.
//!
//! What is ready on the stream is appended together; several appends are under way at once, so
//! that the wait for the disk of one hides behind the next. An answer names the highest sequence
//! up to which everything is durable or listed as rejected (LOG-1).

use crate::limits::{STREAM_APPENDS_MAX, STREAM_CHUNK_BYTES_MAX, STREAM_CHUNK_MAX};
use crate::message::{Rejected, repair_surrogates};
use crate::refusal::Refusal;
use crate::service::{Gateway, Load, Pending};
use sojourn_ports::LogError;
use sojourn_proto::ingest::ingest_service_server::{IngestService, IngestServiceServer};
use sojourn_proto::ingest::{PublishRequest, PublishResponse, Rejected as WireRejected};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The service behind [`Gateway::grpc`].
#[derive(Debug, Clone)]
pub struct IngestGrpc(Gateway);

impl Gateway {
    /// The gRPC service, to be added to a tonic router.
    pub fn grpc(&self) -> IngestServiceServer<IngestGrpc> {
        IngestServiceServer::new(IngestGrpc(self.clone()))
            .max_decoding_message_size(self.0.sizes.message_bytes_max + 1_024)
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Unauthorized | Refusal::BadSignature(_) => Self::unauthenticated(message),
            Refusal::Busy(_) => Self::resource_exhausted(message),
            Refusal::Unavailable(_) | Refusal::TooSlow => Self::unavailable(message),
            Refusal::NotFound => Self::not_found(message),
            Refusal::NotImplemented(_) | Refusal::Method(_) => Self::unimplemented(message),
            Refusal::Rejected(_) | Refusal::TooLarge { .. } => Self::invalid_argument(message),
        }
    }
}

/// An append under way, in the order of the stream.
struct Chunk {
    last: u64,
    rejected: Vec<WireRejected>,
    durable: Option<(oneshot::Receiver<Result<(), LogError>>, Pending)>,
}

#[tonic::async_trait]
impl IngestService for IngestGrpc {
    type PublishStream = Pin<Box<dyn Stream<Item = Result<PublishResponse, Status>> + Send>>;

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let gateway = self.0.clone();
        let current = gateway.current();
        let headers = request.metadata().clone().into_headers();
        let source = current.keys.by_header(&headers).ok_or(Refusal::Unauthorized)?;
        let source = current.definitions().workspace.sources[source].id.clone();
        drop(current);
        let (answers, receiver) = mpsc::channel(STREAM_APPENDS_MAX);
        let (chunks, appended) = mpsc::channel(STREAM_APPENDS_MAX);
        tokio::spawn(acknowledge(gateway.clone(), appended, answers));
        tokio::spawn(async move {
            let stream = request.into_inner();
            if let Err(status) = take_in(&gateway, &source, stream, &chunks).await {
                // What was appended before is still acknowledged; then the stream ends with this.
                let _ = chunks.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Reads the stream to its end, appending what is ready.
async fn take_in(
    gateway: &Gateway,
    source_id: &str,
    mut stream: Streaming<PublishRequest>,
    chunks: &mpsc::Sender<Result<Chunk, Status>>,
) -> Result<(), Status> {
    let mut highest = None;
    while let Some(first) = stream.message().await? {
        let _admitted = gateway.admit(0)?;
        let current = gateway.current();
        // A publish may have taken the source away while the stream was open.
        let source = current.converter.source(source_id).ok_or(Refusal::Unauthorized)?;
        let envelope = gateway.envelope(source);
        let mut load = Load::default();
        let mut rejected = Vec::new();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(request) = next {
            if highest.is_some_and(|highest| request.sequence <= highest) {
                return Err(Status::invalid_argument("sequence does not ascend"));
            }
            highest = Some(request.sequence);
            taken += 1;
            let text = std::str::from_utf8(&request.message_json).map_err(|error| {
                let reason = format!("is not UTF-8 at byte {}", error.valid_up_to());
                Rejected::new("message_json", reason, "send JSON in UTF-8")
            });
            let result = text.map(repair_surrogates).and_then(|text| {
                let converted = current.converter.convert(&text, &envelope);
                converted.map(|converted| load.push(converted, current.definitions())).map_err(
                    |reason| {
                        load.reject(&reason, source_id, envelope.received_at, &text);
                        reason
                    },
                )
            });
            if let Err(reason) = result {
                let Rejected { field, reason, remedy } = reason;
                let reason = format!("{reason}: {remedy}");
                rejected.push(WireRejected { sequence: request.sequence, field, reason });
            }
            let full = taken >= STREAM_CHUNK_MAX || load.bytes() >= STREAM_CHUNK_BYTES_MAX;
            next = if full { None } else { ready(&mut stream).await? };
        }
        let (sender, receiver) = oneshot::channel();
        tracing::debug!(source = source_id, messages = load.len(), "append of a stream");
        let pending = gateway.append(load, move |result| {
            // The stream may have ended.
            let _ = sender.send(result);
        })?;
        let durable = pending.map(|pending| (receiver, pending));
        let last = highest.unwrap_or_default();
        if chunks.send(Ok(Chunk { last, rejected, durable })).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The next message, when it is here already.
async fn ready(stream: &mut Streaming<PublishRequest>) -> Result<Option<PublishRequest>, Status> {
    let polled = poll_fn(|context| match Pin::new(&mut *stream).poll_next(context) {
        Poll::Ready(next) => Poll::Ready(next),
        Poll::Pending => Poll::Ready(None),
    });
    polled.await.transpose()
}

/// Answers appends in their order, as they become durable.
async fn acknowledge(
    gateway: Gateway,
    mut chunks: mpsc::Receiver<Result<Chunk, Status>>,
    answers: mpsc::Sender<Result<PublishResponse, Status>>,
) {
    while let Some(chunk) = chunks.recv().await {
        let answer = match chunk {
            Ok(chunk) => settle(&gateway, chunk).await,
            Err(status) => Err(status),
        };
        let failed = answer.is_err();
        if answers.send(answer).await.is_err() || failed {
            return;
        }
    }
}

async fn settle(gateway: &Gateway, chunk: Chunk) -> Result<PublishResponse, Status> {
    let Chunk { last, rejected, durable } = chunk;
    if let Some((receiver, pending)) = durable {
        let closed = || LogError::Unknown { reason: "the log is closed".into() };
        let result = receiver.await.unwrap_or_else(|_| Err(closed()));
        gateway.settle(result, pending).await?;
    }
    Ok(PublishResponse { acknowledged: last, rejected })
}
