//! `ChannelService` over gRPC: the built-in channels as any other process would offer them.

use crate::{Channels, Outgoing};
use futures::{Stream, StreamExt};
use sojourn_proto::channel::channel_service_server::{ChannelService, ChannelServiceServer};
use sojourn_proto::channel::{
    DeliverRequest, DeliverResponse, DescribeRequest, DescribeResponse, ForgetRequest,
    ForgetResponse,
};
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// Messages that one stream works on at the same time (LIM-1); the next is read when one is done.
pub const STREAM_IN_FLIGHT_MAX: usize = 256;

/// Serves a workspace's channels.
#[derive(Clone)]
pub struct Serve(Arc<Channels>);

impl Serve {
    /// The service, to be added to a tonic server.
    pub fn new(channels: Arc<Channels>) -> ChannelServiceServer<Self> {
        ChannelServiceServer::new(Self(channels))
    }
}

#[tonic::async_trait]
impl ChannelService for Serve {
    type DeliverStream = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

    async fn describe(
        &self,
        _request: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        let described = self.0.describe().await;
        Ok(Response::new(DescribeResponse {
            channels: described.channels.iter().map(ToString::to_string).collect(),
            idempotency_window_s: described.idempotency_window.as_secs(),
            status_lookup: described.status_lookup,
            in_flight: described.in_flight.min(STREAM_IN_FLIGHT_MAX as u32),
        }))
    }

    async fn deliver(
        &self,
        request: Request<Streaming<DeliverRequest>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        let channels = Arc::clone(&self.0);
        let answers = request
            .into_inner()
            .map(move |request| {
                let channels = Arc::clone(&channels);
                async move {
                    let outgoing = Outgoing { request: request?, permit: None };
                    // In its own task: a caller who goes away does not stop a delivery half-way.
                    tokio::spawn(async move { channels.deliver(outgoing).await })
                        .await
                        .map_err(|_| Status::internal("the delivery ended without an answer"))
                }
            })
            .buffer_unordered(STREAM_IN_FLIGHT_MAX);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn forget(
        &self,
        request: Request<ForgetRequest>,
    ) -> Result<Response<ForgetResponse>, Status> {
        let ForgetRequest { channel, endpoint } = request.into_inner();
        let built = self
            .0
            .get(&channel)
            .ok_or_else(|| Status::not_found(format!("no channel {channel}")))?;
        match built.adapter.forget(&endpoint).await {
            Ok(()) => Ok(Response::new(ForgetResponse {})),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }
}
