//! What need not be looked at again: segments and entries by time that a record does not concern.
//!
//! A segment reads the person and their history and nothing else, and time alone changes it only
//! where an event leaves a window, which is a timer. So after a record only those segments can
//! have another answer that ask for its event, or all when the person changed. The same holds for
//! the next entries by time. What was found stays in memory beside the person and is never stored:
//! without it everything is looked at, with the same answers (DET-1; builds with debug assertions
//! look twice and compare).

use crate::installed::Installed;
use crate::step::Step;
use sojourn_model::VersionId;

/// As of which state of a person something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AsOf {
    version: VersionId,
    revision: u32,
    personal: bool,
}

/// What is known to be as it would be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The segments that the person is in.
    pub(crate) segments: Option<AsOf>,
    /// The next entries by time.
    pub(crate) entries: Option<AsOf>,
}

impl Step<'_> {
    /// The person's state as segments and entries by time depend on it.
    pub(crate) fn as_of(&self, installed: &Installed) -> AsOf {
        AsOf {
            version: installed.definitions.version,
            revision: self.profile.revision.0,
            personal: self.personal(),
        }
    }
}
