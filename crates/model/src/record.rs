//! Records of the `profiles` log: the engine's only input.

use crate::{Command, Identifier, MergeId, ProfileId, Touchpoint, Transition, VersionId};

/// One record of the `profiles` log.
#[derive(Debug, Clone)]
pub enum Record<'a> {
    /// A touchpoint of a known person.
    Touchpoint {
        /// The person.
        profile: ProfileId,
        /// What happened.
        touchpoint: Touchpoint<'a>,
    },
    /// An identifier left this profile for another, which made the newer claim (semantics 2).
    /// The owner answers with [`Record::Inherit`] when the identifier is an endpoint.
    Release {
        /// Profile that loses it.
        profile: ProfileId,
        /// Profile that gains it.
        to: ProfileId,
        /// What moves.
        identifier: Identifier,
    },
    /// Denials, bounces and complaints of an endpoint that moved here; never a grant (CON-3).
    Inherit {
        /// The new holder.
        profile: ProfileId,
        /// postcard of `engine::Inheritance`.
        inheritance: &'a [u8],
    },
    /// To the absorbed profile's partition: hand your state to the survivor.
    Merge {
        /// Which union.
        id: MergeId,
        /// The absorbed profile.
        from: ProfileId,
        /// The survivor.
        into: ProfileId,
    },
    /// To the survivor's partition, before anything that happened after the union: hold this
    /// profile's records until [`Record::Absorb`] of the same union has come.
    Await {
        /// Which union.
        id: MergeId,
        /// The survivor.
        into: ProfileId,
        /// The absorbed profile.
        from: ProfileId,
    },
    /// The absorbed profile's state.
    Absorb {
        /// Which union.
        id: MergeId,
        /// The survivor.
        into: ProfileId,
        /// The absorbed profile.
        from: ProfileId,
        /// The absorbed profile's state, in the engine's own format.
        state: &'a [u8],
    },
    /// A command about one person.
    PersonCommand {
        /// The person.
        profile: ProfileId,
        /// What to do.
        command: Command,
    },
    /// A command to the whole engine; one copy in every partition.
    Command(Command),
    /// From here on new runs use this version of the definitions; one copy in every partition.
    Publish {
        /// The version; its content is in the store.
        version: VersionId,
        /// What becomes of the runs that are on their way.
        transition: Transition,
    },
    /// Moves time and nothing else.
    Tick,
}

impl Record<'_> {
    /// A version goes live, and whoever is on their way keeps the one they are on.
    pub fn publish(version: VersionId) -> Self {
        Self::Publish { version, transition: Transition::default() }
    }

    /// The profile whose state this record needs, if any.
    pub fn profile(&self) -> Option<ProfileId> {
        match self {
            Self::Touchpoint { profile, .. }
            | Self::Release { profile, .. }
            | Self::Inherit { profile, .. }
            | Self::PersonCommand { profile, .. } => Some(*profile),
            Self::Merge { from, .. } => Some(*from),
            Self::Await { into, .. } | Self::Absorb { into, .. } => Some(*into),
            Self::Command(_) | Self::Publish { .. } | Self::Tick => None,
        }
    }
}
