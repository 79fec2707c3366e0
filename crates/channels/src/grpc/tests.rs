//! Against a process that serves `ChannelService`, also one that breaks.

use super::*;
use crate::settings::tests::channel;
use futures::{Stream, StreamExt};
use sojourn_proto::channel::channel_service_server::{ChannelService, ChannelServiceServer};
use sojourn_proto::channel::{DeliverRequest, DescribeResponse, ForgetResponse};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use tonic::{Request, Response, Status, Streaming};

/// Answers in reverse order of arrival by twos; breaks the stream at the endpoint `break`; never
/// answers `silent`.
#[derive(Clone, Default)]
struct Process(Arc<AtomicU32>);

#[tonic::async_trait]
impl ChannelService for Process {
    type DeliverStream = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

    async fn describe(
        &self,
        _: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(DescribeResponse {
            channels: vec!["push".into()],
            idempotency_window_s: 60,
            status_lookup: true,
            in_flight: 8,
        }))
    }

    async fn deliver(
        &self,
        request: Request<Streaming<DeliverRequest>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        let answers = request.into_inner().filter_map(|request| async move {
            let request = request.ok()?;
            match request.endpoint.as_str() {
                "break" => Some(Err(Status::aborted("broken"))),
                "silent" => None,
                "slow" => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Some(Ok(answer(&request.action_id, DeliveryOutcome::Sent, "slow")))
                }
                _ => Some(Ok(answer(&request.action_id, DeliveryOutcome::Sent, &request.endpoint))),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn forget(&self, _: Request<ForgetRequest>) -> Result<Response<ForgetResponse>, Status> {
        Ok(Response::new(ForgetResponse {}))
    }
}

async fn serve() -> (String, Process) {
    let process = Process::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let service = ChannelServiceServer::new(process.clone());
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    (address, process)
}

fn client(address: &str) -> Grpc {
    let channel = channel("grpc", &[("endpoint", address), ("timeout", "300ms")]);
    let none = |_: &str| None;
    Grpc::new(&Settings::new(&channel, "f", &none), Path::new(".")).unwrap()
}

fn outgoing(id: &str, endpoint: &str) -> Outgoing {
    let request = DeliverRequest {
        action_id: id.into(),
        endpoint: endpoint.into(),
        ..DeliverRequest::default()
    };
    Outgoing { request, permit: None }
}

#[tokio::test]
async fn answers_find_their_action() {
    let (address, process) = serve().await;
    let grpc = client(&address);
    let all = (0..100).map(|n| {
        let grpc = &grpc;
        async move {
            let got = grpc.deliver(outgoing(&format!("a{n}"), &format!("e{n}"))).await;
            assert_eq!((got.outcome(), got.detail), (DeliveryOutcome::Sent, format!("e{n}")));
        }
    });
    futures::future::join_all(all).await;
    assert_eq!(process.0.load(Ordering::Relaxed), 1, "described once, one stream");
    let said = grpc.describe().await.unwrap();
    assert_eq!((said.in_flight, said.status_lookup), (8, true));
    assert_eq!(said.idempotency_window, Duration::from_secs(60));
}

#[tokio::test]
async fn a_broken_stream_leaves_the_unknown_and_comes_back() {
    let (address, process) = serve().await;
    let grpc = client(&address);
    let (silent, broken) = tokio::join!(grpc.deliver(outgoing("a1", "silent")), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        grpc.deliver(outgoing("a2", "break")).await
    });
    assert_eq!(silent.outcome(), DeliveryOutcome::Unknown, "{silent:?}");
    assert_eq!(broken.outcome(), DeliveryOutcome::Unknown, "{broken:?}");
    let again = grpc.deliver(outgoing("a3", "x")).await;
    assert_eq!(again.outcome(), DeliveryOutcome::Sent, "{again:?}");
    assert_eq!(process.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_process_that_is_away_is_a_retry() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let grpc = client(&address);
    for _ in 0..3 {
        let got = grpc.deliver(outgoing("a1", "x")).await;
        assert_eq!(got.outcome(), DeliveryOutcome::Retry);
    }
    assert!(grpc.describe().await.is_err());
}

#[tokio::test]
async fn silence_is_unknown_and_the_permit_is_not_held_for_it() {
    struct Flag(Arc<AtomicU32>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(1, Ordering::SeqCst);
        }
    }
    let (address, _) = serve().await;
    let grpc = client(&address);
    let dropped = Arc::new(AtomicU32::new(0));
    let permit = sojourn_ports::Permit::new(Flag(Arc::clone(&dropped)));
    let message = Outgoing { permit: Some(permit), ..outgoing("a1", "silent") };
    let (got, ()) = tokio::join!(grpc.deliver(message), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "handed over before the answer");
    });
    assert_eq!(got.outcome(), DeliveryOutcome::Unknown);
}
