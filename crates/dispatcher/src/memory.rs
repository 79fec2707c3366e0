//! What the dispatcher keeps in the store: one row per pending action, one row per lane.

use crate::DispatchError;
use crate::pending::{History, Pending, State};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sojourn_model::{ActionId, LogPosition, Name, Timestamp};
use sojourn_proto::{ActionRecord, Origin, Sources, action_record, decode_action_record};

/// Prefix of the rows of pending actions, and where they end.
pub(crate) const PENDING_PREFIX: &[u8] = b"pending/";
pub(crate) const PENDING_END: &[u8] = b"pending0";
/// Key of the lane's row.
pub(crate) const LANE_KEY: &[u8] = b"lane";

/// The lane's row.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedLane {
    /// Records of `dispatch` below this are part of what was saved.
    pub(crate) dispatch_next: u64,
    /// What has been seen of each owner that publishes there.
    pub(crate) sources: Sources,
    /// Cancels of actions that had not been read.
    pub(crate) early: Vec<(ActionId, Name)>,
}

#[derive(Serialize, Deserialize)]
struct SavedAction {
    position: LogPosition,
    history: History,
    wake: Option<Timestamp>,
    unresolved: Option<Timestamp>,
    lookup_next: bool,
    cancelled: Option<Name>,
}

/// Key of a pending action.
pub(crate) fn pending_key(id: ActionId) -> Bytes {
    [PENDING_PREFIX, id.to_string().as_bytes()].concat().into()
}

/// Row of a pending action: length and JSON of its state, then its record.
pub(crate) fn encode_pending(pending: &Pending) -> Bytes {
    let saved = SavedAction {
        position: pending.position,
        history: pending.history,
        wake: match pending.state {
            State::Sleeping(until) => Some(until),
            State::Ready | State::InFlight => None,
        },
        unresolved: pending.unresolved,
        lookup_next: pending.lookup_next,
        cancelled: pending.cancelled.clone(),
    };
    let json = serde_json::to_vec(&saved).expect("plain data");
    let origin = Origin { partition: 0, epoch: 0, offset: 0, index: 0 }; // not read again
    let record = action_record(origin, &pending.action);
    let length = u32::try_from(json.len()).expect("a small row");
    [&length.to_be_bytes()[..], &json, &record].concat().into()
}

/// Reads a row of a pending action.
pub(crate) fn decode_pending(owner: &str, row: &[u8]) -> Result<Pending, DispatchError> {
    let damaged = |reason: String| DispatchError::Damaged {
        what: "a pending action",
        owner: owner.to_owned(),
        reason,
    };
    let (length, rest) = row.split_first_chunk::<4>().ok_or_else(|| damaged("cut short".into()))?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let (json, record) =
        rest.split_at_checked(length).ok_or_else(|| damaged("cut short".into()))?;
    let saved: SavedAction =
        serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
    match decode_action_record(record) {
        Ok((_, ActionRecord::Action(action))) => {
            let mut pending = Pending::new(*action, saved.position, saved.history);
            if let Some(until) = saved.wake {
                pending.state = State::Sleeping(until);
            }
            pending.unresolved = saved.unresolved;
            pending.lookup_next = saved.lookup_next;
            pending.cancelled = saved.cancelled;
            Ok(pending)
        }
        Ok(_) => Err(damaged("a cancel where an action should be".into())),
        Err(error) => Err(damaged(error.to_string())),
    }
}
