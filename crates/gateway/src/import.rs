//! gRPC `ImportService`: history from `sojourn import`. It enters timelines and aggregates, and
//! never triggers (semantics 1); a grant in it cannot lift a deny (CON-3). It stands on the admin
//! address, where no key is asked.

use crate::limits::{IMPORT_BYTES_MAX, IMPORT_MESSAGES_MAX};
use crate::message::{Envelope, Rejected, repair_surrogates};
use crate::service::{Gateway, Load};
use sojourn_proto::admin::import_service_server::{ImportService, ImportServiceServer};
use sojourn_proto::admin::{ImportRejected, ImportRequest, ImportResponse};
use tonic::{Request, Response, Status};

/// The service behind [`Gateway::import`].
#[derive(Debug, Clone)]
pub struct ImportGrpc(Gateway);

impl Gateway {
    /// The gRPC service, to be added to the router of the admin address.
    pub fn import(&self) -> ImportServiceServer<ImportGrpc> {
        ImportServiceServer::new(ImportGrpc(self.clone()))
            .max_decoding_message_size(IMPORT_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl ImportService for ImportGrpc {
    async fn import(
        &self,
        request: Request<ImportRequest>,
    ) -> Result<Response<ImportResponse>, Status> {
        let ImportRequest { source, messages } = request.into_inner();
        if messages.len() > IMPORT_MESSAGES_MAX {
            let text = format!("an import request has at most {IMPORT_MESSAGES_MAX} messages");
            return Err(Status::invalid_argument(text));
        }
        let gateway = &self.0;
        let bytes = messages.iter().map(Vec::len).sum();
        let _admitted = gateway.admit(bytes)?;
        let current = gateway.current();
        let index = current.converter.source(&source).ok_or_else(|| {
            Status::invalid_argument(format!("`{source}` is no source of the running version"))
        })?;
        let envelope = Envelope { imported: true, ..gateway.envelope(index) };
        let mut load = Load::default();
        let mut rejected = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let text = std::str::from_utf8(message).map_err(|error| {
                let reason = format!("is not UTF-8 at byte {}", error.valid_up_to());
                Rejected::new("message", reason, "send JSON in UTF-8")
            });
            let result = text.map(repair_surrogates).and_then(|text| {
                let converted = current.converter.convert(&text, &envelope)?;
                load.push(converted, current.definitions());
                Ok(())
            });
            if let Err(Rejected { field, reason, remedy }) = result {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                rejected.push(ImportRejected {
                    index,
                    field,
                    reason: format!("{reason}: {remedy}"),
                });
            }
        }
        let taken = load.len() as u64;
        gateway.commit(load).await?;
        Ok(Response::new(ImportResponse { taken, rejected }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bench;
    use sojourn_ports::{Log, ReadLimit, Topic};
    use sojourn_proto::decode_touchpoint_record;

    #[tokio::test]
    async fn history_is_marked_and_what_is_wrong_is_named() {
        let bench = bench(None);
        let gateway = bench.gateway.clone();
        let messages = vec![
            br#"{"type":"track","event":"Order","userId":"u1","messageId":"m1"}"#.to_vec(),
            br#"{"type":"track","userId":"u1"}"#.to_vec(),
        ];
        let request = ImportRequest { source: "till".into(), messages };
        let answer = ImportGrpc(gateway.clone()).import(Request::new(request)).await.unwrap();
        let ImportResponse { taken, rejected } = answer.into_inner();
        assert_eq!(taken, 1);
        assert_eq!((rejected[0].index, rejected[0].field.as_str()), (1, "event"));
        let mut marks = Vec::new();
        for partition in 0..bench.log.partitions(Topic::Touchpoints) {
            let limit = ReadLimit { records: 10, bytes: 1 << 20, durable_only: true };
            let mut entries = Vec::new();
            bench.log.read(Topic::Touchpoints, partition, 0, limit, &mut entries).unwrap();
            for entry in entries {
                let record = decode_touchpoint_record(&entry.value).unwrap();
                let sojourn_proto::TouchpointRecord::Touchpoint(touchpoint) = record else {
                    continue;
                };
                marks.push(touchpoint.imported);
            }
        }
        assert_eq!(marks, [true]);
        let unknown = ImportRequest { source: "nobody".into(), messages: Vec::new() };
        let refused = ImportGrpc(gateway).import(Request::new(unknown)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
}
