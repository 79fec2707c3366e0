//! All channels of a workspace, built from `sojourn.yaml`.

use crate::channel::{Channel, Description, Outgoing};
use crate::settings::{Lookup, SettingError, Settings};
use crate::{answer, email, file, grpc, in_store::InStore, webhook};
use sojourn_model::Name;
use sojourn_ports::Clock;
use sojourn_proto::channel::{DeliverResponse, DeliveryOutcome};
use sojourn_rules::Workspace;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What building needs beside the definitions.
pub struct Context<'a> {
    /// File that errors name, such as `sojourn.yaml`.
    pub file: &'a str,
    /// Folder that relative paths start from.
    pub folder: &'a Path,
    /// Resolves `${NAME}`.
    pub lookup: Lookup<'a>,
    /// Time for signatures, dates and expiry.
    pub clock: Arc<dyn Clock>,
}

/// One channel, ready.
#[derive(Clone)]
pub struct Built {
    /// The adapter.
    pub adapter: Arc<dyn Channel>,
    /// Messages per second; `None`: unlimited.
    pub rate_per_second: Option<f64>,
}

/// Every channel of a workspace by name.
#[derive(Clone, Default)]
pub struct Channels {
    by_name: BTreeMap<Name, Built>,
    prompts: Option<Arc<InStore>>,
}

impl Channels {
    /// Builds every channel; all errors at once. Needs a tokio runtime (connections live in it).
    pub fn build(workspace: &Workspace, context: &Context<'_>) -> Result<Self, Vec<SettingError>> {
        let mut channels = Self::default();
        let mut errors = Vec::new();
        for (name, channel) in &workspace.channels {
            let settings = Settings::new(channel, context.file, context.lookup);
            match channels.one(&settings, context) {
                Ok(adapter) => channels.insert(name.clone(), adapter, channel.rate_per_second),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(channels) } else { Err(errors) }
    }

    fn one(
        &mut self,
        settings: &Settings<'_>,
        context: &Context<'_>,
    ) -> Result<Arc<dyn Channel>, SettingError> {
        let clock = Arc::clone(&context.clock);
        Ok(match settings.kind() {
            "smtp" => Arc::new(email::Email::new(settings, clock)?),
            "webhook" => Arc::new(webhook::Webhook::new(settings, clock)?),
            "grpc" => Arc::new(grpc::Grpc::new(settings, context.folder)?),
            "file" => Arc::new(file::File::new(settings, context.folder, clock)?),
            "in_store" => {
                let prompts = self.prompts.get_or_insert_with(|| Arc::new(InStore::new(clock)));
                Arc::clone(prompts) as Arc<dyn Channel>
            }
            other => {
                return Err(settings.error(
                    "kind",
                    format!("unknown kind {other}: write smtp, webhook, in_store, grpc or file"),
                ));
            }
        })
    }

    /// Adds or replaces a channel.
    pub fn insert(&mut self, name: Name, adapter: Arc<dyn Channel>, rate_per_second: Option<f64>) {
        self.by_name.insert(name, Built { adapter, rate_per_second });
    }

    /// The channel `name`.
    pub fn get(&self, name: &str) -> Option<&Built> {
        self.by_name.get(name)
    }

    /// Every channel by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Built)> {
        self.by_name.iter()
    }

    /// Where a till's check-in finds its prompt; `None` when no channel is of kind `in_store`.
    pub fn prompts(&self) -> Option<Arc<InStore>> {
        self.prompts.clone()
    }

    /// Delivers through the channel that the request names.
    pub async fn deliver(&self, outgoing: Outgoing) -> DeliverResponse {
        let request = &outgoing.request;
        match self.by_name.get(&*request.channel) {
            Some(built) => built.adapter.deliver(outgoing).await,
            None => answer(
                &request.action_id,
                DeliveryOutcome::Failed,
                &format!("no channel {} in this workspace", request.channel),
            ),
        }
    }

    /// What all channels together can do, as one `ChannelService` would say: the least of each.
    pub async fn describe(&self) -> Description {
        let mut all = Description {
            channels: self.by_name.keys().cloned().collect(),
            idempotency_window: std::time::Duration::MAX,
            status_lookup: true,
            in_flight: 0,
        };
        for built in self.by_name.values() {
            match built.adapter.describe().await {
                Ok(one) => {
                    all.idempotency_window = all.idempotency_window.min(one.idempotency_window);
                    all.status_lookup &= one.status_lookup;
                    all.in_flight = all.in_flight.saturating_add(one.in_flight);
                }
                Err(_) => {
                    all.idempotency_window = std::time::Duration::ZERO;
                    all.status_lookup = false;
                }
            }
        }
        if self.by_name.is_empty() {
            all.idempotency_window = std::time::Duration::ZERO;
            all.status_lookup = false;
        }
        all
    }
}
