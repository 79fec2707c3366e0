//! E-mail over SMTP.
//!
//! `url`: `smtp://`, `smtps://` or `smtp+starttls://user:password@host:port`; `from`: the sender.
//! Optional: `reply_to`, `unsubscribe_mailto`, `hello` (name in EHLO), `connections` (default 8).
//!
//! One attempt writes a message's data at most once. Whatever fails before the server has asked for
//! the data is *retry* or *failed*; whatever fails afterwards without the server's word is *unknown*.
//! A refusal that is about the recipient says so (`bounce`).

mod bounce;
mod compose;
mod smtp;

pub use compose::{Composer, Mail};

#[cfg(test)]
pub(crate) use compose::tests as compose_tests;

use crate::channel::{Channel, ChannelError, Description, Outgoing, answer};
use crate::settings::{SettingError, Settings};
use futures::future::BoxFuture;
use smtp::{Server, Submission};
use sojourn_ports::Clock;
use sojourn_proto::channel::{DeliverResponse, DeliveryOutcome};
use std::sync::Arc;
use std::time::Duration;

/// SMTP connections that a channel opens at most (LIM-1).
pub const CONNECTIONS_MAX: u32 = 64;
const CONNECTIONS_DEFAULT: u32 = 8;

/// The channel of kind `smtp`.
pub struct Email {
    composer: Composer,
    server: Server,
    connections: u32,
}

impl Email {
    /// Reads the settings; connects at the first message.
    pub fn new(settings: &Settings<'_>, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let composer = Composer::new(settings, clock)?;
        let hello = settings.get("hello")?.unwrap_or_else(|| composer.host().to_owned());
        let connections = settings.count("connections", CONNECTIONS_DEFAULT, CONNECTIONS_MAX)?;
        let server = Server::new(&settings.need("url")?, &hello, connections as usize)
            .map_err(|problem| settings.error("url", problem))?;
        Ok(Self { composer, server, connections })
    }
}

impl Channel for Email {
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>> {
        Box::pin(async {
            Ok(Description {
                channels: Vec::new(),
                idempotency_window: Duration::ZERO,
                status_lookup: false,
                in_flight: self.connections * 4,
            })
        })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, DeliverResponse> {
        Box::pin(async move {
            let Outgoing { request, permit } = outgoing;
            let id = request.action_id.clone();
            if request.lookup_only {
                return answer(&id, DeliveryOutcome::Unknown, "SMTP cannot be asked");
            }
            let mail = match self.composer.compose(&request) {
                Ok(mail) => mail,
                Err(problem) => return answer(&id, DeliveryOutcome::Failed, &problem),
            };
            match self.server.submit(&mail, permit).await {
                Submission::Accepted(reply) => answer(&id, DeliveryOutcome::Sent, &reply),
                Submission::Refused(reply, bounce) => DeliverResponse {
                    bounce: bounce.into(),
                    ..answer(&id, DeliveryOutcome::Failed, &reply)
                },
                Submission::NotTaken(reply, bounce) => DeliverResponse {
                    bounce: bounce.into(),
                    ..answer(&id, DeliveryOutcome::Retry, &reply)
                },
                Submission::Unknown(reply) => answer(&id, DeliveryOutcome::Unknown, &reply),
            }
        })
    }

    fn forget<'a>(&'a self, _endpoint: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async { Ok(()) }) // nothing is kept
    }
}
