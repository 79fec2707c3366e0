//! Whether a server's refusal is about the recipient's mailbox.
//!
//! The enhanced status code (RFC 3463) decides where there is one: `x.1.y` is about the address
//! (`x.1.7` and `x.1.8` about the sender's), `x.2.y` about the mailbox. A 550 without one may as well
//! be a matter of policy: the address is not given up for it.

use lettre::transport::smtp::Error;
use sojourn_proto::channel::Bounce;
use std::error::Error as _;

/// What an error answer says of the recipient; `recipient`: it answers the command that names it.
pub(super) fn of(error: &Error, recipient: bool) -> Bounce {
    let code = error.status().map_or(0, u16::from);
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    judge(code, &words, recipient)
}

fn judge(code: u16, words: &str, recipient: bool) -> Bounce {
    match (code / 100, enhanced(words)) {
        (5, Some((5, 1, detail))) if !matches!(detail, 7 | 8) => Bounce::Hard,
        (4 | 5, Some((_, 2, _))) => Bounce::Soft,
        (4, Some((4, 1, detail))) if !matches!(detail, 7 | 8) => Bounce::Soft,
        (4, None) if recipient => Bounce::Soft,
        (5, None) if code == 552 && recipient => Bounce::Soft,
        _ => Bounce::Unspecified,
    }
}

/// The enhanced status code that a reply's text begins with.
fn enhanced(words: &str) -> Option<(u8, u16, u16)> {
    let mut parts = words.split_whitespace().next()?.split('.');
    let mut next = || parts.next().filter(|part| (1..=3).contains(&part.len()))?.parse().ok();
    let (class, subject, detail): (u16, u16, u16) = (next()?, next()?, next()?);
    let known = parts.next().is_none() && matches!(class, 2 | 4 | 5);
    known.then_some((u8::try_from(class).ok()?, subject, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_judged_by_its_code() {
        for (code, words, recipient, wanted) in [
            (550, "5.1.1 no such user", true, Bounce::Hard),
            (550, "5.1.10 null MX", true, Bounce::Hard),
            (550, "5.1.1 no such user", false, Bounce::Hard),
            (550, "5.1.8 bad sender", true, Bounce::Unspecified),
            (550, "5.7.1 blocked", true, Bounce::Unspecified),
            (550, "no", true, Bounce::Unspecified),
            (552, "5.2.2 mailbox full", true, Bounce::Soft),
            (552, "5.2.2 mailbox full", false, Bounce::Soft),
            (552, "mailbox full", true, Bounce::Soft),
            (552, "message too big", false, Bounce::Unspecified),
            (552, "5.3.4 message too big", true, Bounce::Unspecified),
            (450, "mailbox busy", true, Bounce::Soft),
            (452, "4.2.2 full", false, Bounce::Soft),
            (451, "4.7.1 greylisted", true, Bounce::Unspecified),
            (451, "local error", false, Bounce::Unspecified),
        ] {
            assert_eq!(judge(code, words, recipient), wanted, "{code} {words}");
        }
        assert_eq!(enhanced("5.1 short"), None);
        assert_eq!(enhanced("5.1.1.1 long"), None);
        assert_eq!(enhanced("127.0.0.1 said no"), None);
        assert_eq!(enhanced(""), None);
    }
}
