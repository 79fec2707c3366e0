//! The gate: the last check before a message leaves the house (CON-2).
//!
//! The gateway closes the gate for a revocation *before* it acknowledges it; the engine closes it
//! for cancelled actions and kill switches; the dispatcher asks for a [`Permit`] and holds it while
//! it hands the message to the provider. A mark waits for permits that it concerns, so no provider
//! call begins after a revocation was acknowledged.

use sojourn_model::{ActionId, KillTarget, Name, ProfileId, Timestamp};

/// Something that stops messages.
#[derive(Debug, Clone, PartialEq)]
pub enum GateMark {
    /// A revocation: no message on `channel` (`None`: any) of `purpose` (`None`: any but service)
    /// to this endpoint that was approved before `at`.
    Revoked {
        /// Address, number or device; or an identifier value of the person when no endpoint is named.
        endpoint: Name,
        /// Channel.
        channel: Option<Name>,
        /// Purpose.
        purpose: Option<Name>,
        /// Log time of the revocation. Decisions at or after it have seen it themselves.
        at: Timestamp,
    },
    /// As `Revoked`, for every endpoint of a known profile.
    PersonRevoked {
        /// The person.
        profile: ProfileId,
        /// Channel.
        channel: Option<Name>,
        /// Purpose.
        purpose: Option<Name>,
        /// Log time of the revocation.
        at: Timestamp,
    },
    /// This action must not go out any more.
    Cancelled(ActionId),
    /// A person was erased: nothing approved before goes out.
    Erased(ProfileId),
    /// A kill switch, on or off. Of two orders about one target the later one holds, whichever comes
    /// first; of the same instant, the one that stops.
    Killed {
        /// What.
        target: KillTarget,
        /// On (true) or taken back.
        on: bool,
        /// Log time of the order.
        at: Timestamp,
    },
}

/// What the dispatcher asks for.
#[derive(Debug, Clone)]
pub struct GateQuery {
    /// The action.
    pub action: ActionId,
    /// The person, as far as the action knows.
    pub profile: ProfileId,
    /// Endpoint.
    pub endpoint: Name,
    /// Values of the identifiers the profile held when it was decided.
    pub identifiers: Vec<Name>,
    /// Channel.
    pub channel: Name,
    /// Purpose.
    pub purpose: Name,
    /// Journey.
    pub journey: Name,
    /// When the decision approved it (log time).
    pub approved_at: Timestamp,
}

/// The gate's answer.
pub enum GateVerdict {
    /// Go: the permit must live until the provider has been handed the message.
    Open(Permit),
    /// Stop, with the reason.
    Closed(&'static str),
    /// The store behind the gate does not answer: no call (CON-2).
    Unreachable(String),
}

/// Held while a message is being handed over. Dropping it lets marks that wait for it go on.
pub struct Permit(#[expect(dead_code, reason = "its drop is its meaning")] Box<dyn Send>);

impl Permit {
    /// A permit that releases `guard` when dropped.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

/// The gate.
///
/// - `mark` returns when the mark holds for every later `ask`, and every permit given before for an
///   action that the mark concerns has been dropped.
/// - `ask` never waits for other asks.
pub trait Gate: Send + Sync {
    /// Closes (or, for a released kill switch, opens) the gate.
    fn mark(&self, marks: &[GateMark]) -> Result<(), String>;
    /// As `mark`, but need not wait for permits: for marks that nobody was promised (the engine's
    /// own cancellations). They hold for every later `ask`.
    fn post(&self, marks: &[GateMark]) -> Result<(), String> {
        self.mark(marks)
    }
    /// Asks for a permit.
    fn ask(&self, query: &GateQuery) -> GateVerdict;
}

/// What whoever takes marks back needs of a gate. Marks are cached log: once the engine has applied
/// what they announced they may go (LIM-1), and where they were lost they are set anew.
pub trait MarkKeeper: Gate {
    /// Number of the last marks set, by anybody: to be given to [`Self::settle`] later.
    fn ticket(&self) -> Result<u64, String>;

    /// Takes back revocations that were set up to `ticket` without an end (`at` is
    /// [`Timestamp::MAX`]). The caller vouches that the engine has applied every record that the log
    /// held when `ticket` was taken (CON-2).
    fn settle(&self, ticket: u64) -> Result<(), String>;

    /// Forgets marks that can concern nobody any more. The caller vouches that every action approved
    /// before `horizon` has been handed over or given up, and that the engine has applied every
    /// record before it. Kill switches stay, and so does when they were taken back.
    fn forget_before(&self, horizon: Timestamp) -> Result<(), String>;

    /// Whether marks may have been lost: the gate answers [`GateVerdict::Unreachable`] until
    /// [`Self::reopen`].
    fn has_lost(&self) -> bool {
        false
    }

    /// Takes the marks as they are now for the whole. The caller vouches that every mark that still
    /// matters has been set anew.
    fn reopen(&self) -> Result<(), String> {
        Ok(())
    }

    /// Marks held, for `doctor`.
    fn held(&self) -> Result<u64, String>;
}
