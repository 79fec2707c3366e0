//! Writes each message into a folder: for the demo, for tests, for looking at what would go out.
//!
//! `path`: the folder. Every message gives `<action id>.json`; one to an e-mail address also
//! `<action id>.eml` when `from` is set. The same action id writes the same files, so that a second
//! delivery has no effect and the outcome can be looked up.

use crate::channel::{Channel, ChannelError, Description, Outgoing, answer};
use crate::email::Composer;
use crate::settings::{SettingError, Settings};
use crate::webhook::message_json;
use futures::future::BoxFuture;
use sojourn_ports::Clock;
use sojourn_proto::channel::{DeliverRequest, DeliverResponse, DeliveryOutcome};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const IN_FLIGHT: u32 = 64;
/// The files stay until somebody deletes them.
const WINDOW: Duration = Duration::from_secs(365 * 86_400);

/// The channel of kind `file`.
pub struct File {
    folder: PathBuf,
    composer: Option<Composer>,
    clock: Arc<dyn Clock>,
}

impl File {
    /// Reads the settings and makes the folder; a relative `path` starts from `base`.
    pub fn new(
        settings: &Settings<'_>,
        base: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingError> {
        let folder = base.join(settings.need("path")?);
        std::fs::create_dir_all(&folder)
            .map_err(|error| settings.error("path", error.to_string()))?;
        let composer = match settings.get("from")? {
            Some(_) => Some(Composer::new(settings, Arc::clone(&clock))?),
            None => None,
        };
        Ok(Self { folder, composer, clock })
    }

    async fn write(&self, request: &DeliverRequest) -> io::Result<()> {
        if let Some(composer) = &self.composer
            && request.endpoint.contains('@')
        {
            let mail = composer.compose(request).map_err(io::Error::other)?;
            self.put(&format!("{}.eml", request.action_id), &mail.bytes).await?;
        }
        let json = message_json(request, self.clock.now()).to_string();
        self.put(&format!("{}.json", request.action_id), json.as_bytes()).await
    }

    /// Writes a file whole or not at all.
    async fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = self.folder.join(format!(".{name}.part"));
        tokio::fs::write(&part, bytes).await?;
        tokio::fs::rename(&part, self.folder.join(name)).await
    }
}

impl Channel for File {
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>> {
        Box::pin(async {
            Ok(Description {
                channels: Vec::new(),
                idempotency_window: WINDOW,
                status_lookup: true,
                in_flight: IN_FLIGHT,
            })
        })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, DeliverResponse> {
        Box::pin(async move {
            let Outgoing { request, permit } = outgoing;
            let id = &request.action_id;
            if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return answer(id, DeliveryOutcome::Failed, "the action id is not a file name");
            }
            let there = tokio::fs::try_exists(self.folder.join(format!("{id}.json"))).await;
            let response = match (there, request.lookup_only) {
                (Ok(true), _) => answer(id, DeliveryOutcome::Sent, "written"),
                (Ok(false), true) => answer(id, DeliveryOutcome::Retry, "not written"),
                (Ok(false), false) => match self.write(&request).await {
                    Ok(()) => answer(id, DeliveryOutcome::Sent, "written"),
                    Err(error) => answer(id, DeliveryOutcome::Retry, &error.to_string()),
                },
                (Err(error), _) => answer(id, DeliveryOutcome::Unknown, &error.to_string()),
            };
            drop(permit);
            response
        })
    }

    /// Removes every file about `endpoint`.
    fn forget<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let failed = |error: io::Error| ChannelError(format!("forgetting: {error}"));
            let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(failed)?;
            while let Some(entry) = entries.next_entry().await.map_err(failed)? {
                let path = entry.path();
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                let bytes = tokio::fs::read(&path).await.map_err(failed)?;
                let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
                if json["data"]["endpoint"] == endpoint {
                    let _ = tokio::fs::remove_file(path.with_extension("eml")).await;
                    tokio::fs::remove_file(&path).await.map_err(failed)?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::compose_tests::{Fixed, request};
    use crate::settings::tests::channel;

    #[tokio::test]
    async fn the_same_action_is_written_once_and_can_be_looked_up_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let channel = channel("file", &[("path", "out"), ("from", "x@y.example")]);
        let none = |_: &str| None;
        let settings = Settings::new(&channel, "f", &none);
        let file = File::new(&settings, folder.path(), Arc::new(Fixed(1_000))).unwrap();
        let ask = |lookup_only| {
            let request = DeliverRequest { lookup_only, ..request("a1-2-3-0") };
            file.deliver(Outgoing { request, permit: None })
        };
        assert_eq!(ask(true).await.outcome(), DeliveryOutcome::Retry);
        assert_eq!(ask(false).await.outcome(), DeliveryOutcome::Sent);
        assert_eq!(ask(false).await.outcome(), DeliveryOutcome::Sent);
        assert_eq!(ask(true).await.outcome(), DeliveryOutcome::Sent);
        let out = folder.path().join("out");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2, "one .json and one .eml");
        file.forget("bob@example.com").await.unwrap();
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);
        file.forget("ann@example.com").await.unwrap();
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_action_id_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let channel = channel("file", &[("path", "out")]);
        let none = |_: &str| None;
        let settings = Settings::new(&channel, "f", &none);
        let file = File::new(&settings, folder.path(), Arc::new(Fixed(1_000))).unwrap();
        let request = request("../../x");
        let got = file.deliver(Outgoing { request, permit: None }).await;
        assert_eq!(got.outcome(), DeliveryOutcome::Failed);
    }
}
