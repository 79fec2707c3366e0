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
                current
                    .converter
                    .convert(&text, &envelope)
                    .map(|converted| load.push(converted, current.definitions()))
                    .inspect_err(|reason| {
                        load.reject(reason, source_id, envelope.received_at, &text);
                    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, bench};
    use sojourn_proto::ingest::ingest_service_client::IngestServiceClient;
    use std::time::Duration;
    use tokio_stream::StreamExt;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::{Channel, Server};

    async fn connect(bench: &Bench) -> IngestServiceClient<Channel> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_service(bench.gateway.grpc());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        IngestServiceClient::connect(address).await.unwrap()
    }

    fn request(sequence: u64, json: &str) -> PublishRequest {
        PublishRequest { sequence, message_json: json.to_string().into() }
    }

    fn track(sequence: u64) -> PublishRequest {
        let json =
            format!(r#"{{"type":"track","event":"E","userId":"u","messageId":"m{sequence}"}}"#);
        request(sequence, &json)
    }

    /// Sends requests and ends the stream; gives the last position, the rejected ones, the error.
    async fn publish(
        bench: &Bench,
        key: &str,
        requests: Vec<PublishRequest>,
    ) -> (u64, Vec<WireRejected>, Option<Status>) {
        let mut client = connect(bench).await;
        let mut request = Request::new(tokio_stream::iter(requests));
        let bearer = format!("Bearer {key}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut answers = match client.publish(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return (0, Vec::new(), Some(status)),
        };
        let (mut acknowledged, mut rejected) = (0, Vec::new());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => {
                    assert!(answer.acknowledged > acknowledged, "positions ascend");
                    acknowledged = answer.acknowledged;
                    rejected.extend(answer.rejected);
                }
                Err(status) => return (acknowledged, rejected, Some(status)),
            }
        }
        (acknowledged, rejected, None)
    }

    #[tokio::test]
    async fn a_stream_is_acknowledged_to_its_end() {
        let bench = bench(None);
        let mut requests: Vec<_> = (1..=5_000).map(track).collect();
        requests[9] = request(10, "{}");
        requests[10] = PublishRequest { sequence: 11, message_json: vec![0xff].into() };
        let (acknowledged, rejected, error) = publish(&bench, "tk", requests).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(acknowledged, 5_000);
        let rejected: Vec<_> = rejected.iter().map(|r| (r.sequence, &*r.field)).collect();
        assert_eq!(rejected, [(10, "type"), (11, "message_json")]);
        let stored = bench.touchpoints();
        assert_eq!(stored.len(), 4_998);
        assert!(stored.iter().all(|t| t.source == "till"));
    }

    #[tokio::test]
    async fn what_was_taken_before_an_error_is_acknowledged() {
        let bench = bench(None);
        let (acknowledged, _, error) =
            publish(&bench, "wk", vec![track(1), track(2), track(2)]).await;
        assert_eq!(error.map(|status| status.code()), Some(tonic::Code::InvalidArgument));
        assert_eq!(acknowledged as usize, bench.touchpoints().len(), "LOG-1");
        let (_, _, error) = publish(&bench, "nobody", vec![track(1)]).await;
        assert_eq!(error.map(|status| status.code()), Some(tonic::Code::Unauthenticated));
        bench.log.set_full(true);
        let (_, _, error) = publish(&bench, "wk", vec![track(1)]).await;
        assert_eq!(error.map(|status| status.code()), Some(tonic::Code::ResourceExhausted));
    }

    #[tokio::test]
    async fn nothing_is_acknowledged_before_it_is_durable() {
        let bench = bench(None);
        bench.log.set_sync_mode(sojourn_memory::SyncMode::Manual);
        let mut answers = Box::pin(publish(&bench, "wk", vec![track(1)]));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut answers).await;
        assert!(early.is_err() && bench.log.unsynced() == 1, "LOG-1");
        bench.log.sync_some(1);
        assert_eq!(answers.await.0, 1);
    }
}
