//! `tail`: touchpoints, decisions, notes and deliveries as they become durable.

use crate::admin::response;
use crate::node::Inner;
use crate::roles::nap;
use crate::rows;
use crate::seen::Seen;
use serde_json::Value;
use sojourn_model::{ProfileId, Record, Timestamp};
use sojourn_ports::{Entry, LogError, ReadLimit, Topic};
use sojourn_proto::admin::{TailRequest, TailResponse};
use sojourn_proto::decode_profile_record;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tonic::Status;

/// Records of one partition taken at once.
const READ_RECORDS_MAX: usize = 1_024;
const READ_BYTES_MAX: usize = 4 << 20;
/// Longest sleep while nothing comes.
const IDLE: Duration = Duration::from_millis(50);
/// Pause before brokers that do not answer are asked again.
const UNAVAILABLE: Duration = Duration::from_secs(1);
const TOPICS: [Topic; 3] = [Topic::Profiles, Topic::Decisions, Topic::Dispatch];

/// Sends rows until the other side goes away or the node stops.
pub(crate) fn run(
    inner: &Inner,
    request: &TailRequest,
    sender: &Sender<Result<TailResponse, Status>>,
) {
    if let Err(error) = follow(inner, request, sender) {
        let _ = sender.blocking_send(Err(Status::failed_precondition(format!("{error:#}"))));
    }
}

fn follow(
    inner: &Inner,
    request: &TailRequest,
    sender: &Sender<Result<TailResponse, Status>>,
) -> anyhow::Result<()> {
    let log = &inner.shared.log;
    let person = match request.person.as_str() {
        "" => None,
        named => Some(inner.queries.person(named)?),
    };
    let mut cursors = Vec::new();
    let mut seen = Vec::new();
    for topic in TOPICS {
        for partition in 0..log.partitions(topic) {
            let bounds = log.bounds(topic, partition)?;
            let from = if request.from_start { bounds.first } else { bounds.durable };
            cursors.push((topic, partition, from));
            seen.push(Seen::default());
        }
    }
    while !inner.shared.stop.load(Ordering::Acquire) && !sender.is_closed() {
        let mut rows: Vec<(Timestamp, u8, &'static str, Value)> = Vec::new();
        let mut unavailable = false;
        for ((topic, partition, next), seen) in cursors.iter_mut().zip(&mut seen) {
            let mut entries = Vec::new();
            let limit =
                ReadLimit { records: READ_RECORDS_MAX, bytes: READ_BYTES_MAX, durable_only: true };
            match log.read(*topic, *partition, *next, limit, &mut entries) {
                Err(LogError::OutOfRange { first, .. }) => *next = first,
                // Brokers come back, and who watches does not want to begin again.
                Err(error @ LogError::Unavailable { .. }) => {
                    tracing::debug!(%error, "tail waits");
                    unavailable = true;
                }
                other => other?,
            }
            for entry in &entries {
                *next = entry.offset + 1;
                if !seen.admit(*topic, entry) {
                    continue;
                }
                if let Some((kind, row)) = row(inner, *topic, entry)?
                    && wanted(&row, person, &request.journey)
                {
                    rows.push((entry.log_time, *topic as u8, kind, row));
                }
            }
        }
        // One round in the order of time; of one instant cause before effect.
        rows.sort_by_key(|(at, topic, _, _)| (*at, *topic));
        if unavailable {
            // An error counts as news: waiting for news would not wait.
            nap(UNAVAILABLE);
        } else if rows.is_empty() {
            log.wait(&cursors, true, IDLE);
        }
        for (_, _, kind, row) in rows {
            if sender.blocking_send(Ok(response(kind, &row))).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn row(
    inner: &Inner,
    topic: Topic,
    entry: &Entry,
) -> anyhow::Result<Option<(&'static str, Value)>> {
    Ok(match topic {
        Topic::Profiles => {
            let decoded = decode_profile_record(&entry.value)?;
            match &decoded.record {
                // What an owner forwarded was shown when it came.
                Record::Touchpoint { profile, touchpoint } if !decoded.from_owner => {
                    Some(("touchpoint", rows::touchpoint(*profile, entry.log_time, touchpoint)))
                }
                _ => None,
            }
        }
        Topic::Decisions => {
            let row = inner.queries.decided(entry)?;
            let kind = if row["kind"] == "decision" { "decision" } else { "note" };
            Some((kind, row))
        }
        _ => inner.queries.delivered(entry)?.map(|row| ("delivery", row)),
    })
}

fn wanted(row: &Value, person: Option<ProfileId>, journey: &str) -> bool {
    let of_person = person.is_none_or(|person| row["profile"] == person.to_string().as_str());
    // A touchpoint is nobody's journey.
    let of_journey = journey.is_empty() || row["journey"] == journey;
    of_person && of_journey
}
