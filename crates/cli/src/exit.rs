//! Exit codes, and the errors that carry one.

use std::fmt;

/// How a command ended. Stable: scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked; the answer is yes.
    Done,
    /// It worked; there are findings, or the answer is no.
    Negative,
    /// The command was asked wrongly.
    Usage,
    /// Something that it needs cannot be reached or opened.
    Unreachable,
    /// A defect or an unexpected failure.
    Internal,
}

/// For `--help`.
pub(crate) const HELP: &str = "Exit codes: 0 done; 1 findings, or the answer is no; 2 asked \
wrongly; 3 a file, a workspace or a server cannot be opened or reached; 4 anything unexpected.";

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Negative => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Internal => 4,
        }
    }

    /// What an error means for the caller; an error that says nothing of it is unexpected.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Fault>() {
            Some(fault) => fault.exit,
            None => Self::Internal,
        }
    }
}

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct Fault {
    exit: Exit,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// The command was asked wrongly.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Fault { exit: Exit::Usage, text: text.into() }.into()
}

/// Something cannot be reached or opened.
pub(crate) fn unreachable(text: impl Into<String>) -> anyhow::Error {
    Fault { exit: Exit::Unreachable, text: text.into() }.into()
}

/// The answer is no, and this is why.
pub(crate) fn negative(text: impl Into<String>) -> anyhow::Error {
    Fault { exit: Exit::Negative, text: text.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_survives_context() {
        let error = unreachable("no such file").context("cannot read it");
        assert_eq!(Exit::of(&error), Exit::Unreachable);
        assert_eq!(Exit::of(&anyhow::anyhow!("x")), Exit::Internal);
    }
}
