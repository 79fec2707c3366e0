//! Signed tokens of the links in messages: unsubscribe, click, open, preferences, why.
//!
//! A token carries everything that its endpoint needs, so that no store is asked and no redirect
//! goes to an address that we did not write ourselves (the URL of a click is inside). It is
//! `base64url(payload ‖ tag)` without padding: payload = version, kind, then the fields with their
//! lengths; tag = the first 16 bytes of HMAC-SHA256 over the payload. The kind is signed too: an
//! open pixel's token does not unsubscribe anybody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sojourn_model::{ActionId, Name, ProfileId};

/// Longest token taken; a URL of [`URL_BYTES_MAX`] fits in with room to spare.
pub const TOKEN_CHARS_MAX: usize = 8192;
/// Longest URL that a click token may carry.
pub const URL_BYTES_MAX: usize = 4096;
/// Keys that one signer knows: the current one and those before it (rotation).
pub const KEYS_MAX: usize = 8;

const VERSION: u8 = 1;
const TAG_BYTES: usize = 16;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// `/u/{token}`: one-click unsubscribe.
    Unsubscribe,
    /// `/c/{token}`: a tracked link.
    Click,
    /// `/o/{token}`: the open pixel.
    Open,
    /// The preference centre of the portal.
    Preferences,
    /// "Why did I get this?".
    Why,
}

impl TokenKind {
    const ALL: [Self; 5] =
        [Self::Unsubscribe, Self::Click, Self::Open, Self::Preferences, Self::Why];

    fn ordinal(self) -> u8 {
        match self {
            Self::Unsubscribe => 1,
            Self::Click => 2,
            Self::Open => 3,
            Self::Preferences => 4,
            Self::Why => 5,
        }
    }
}

/// Contents of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is good for.
    pub kind: TokenKind,
    /// The action whose message carries the link.
    pub action: ActionId,
    /// The person it went to.
    pub profile: ProfileId,
    /// Address, number or device it went to.
    pub endpoint: Name,
    /// Channel it went through.
    pub channel: Name,
    /// Purpose of the message.
    pub purpose: Name,
    /// Topic of the message.
    pub topic: Option<Name>,
    /// Where a click goes (absolute http or https URL); `None` for the other kinds.
    pub url: Option<Name>,
}

/// Why a token was not taken or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not base64url, cut short, or longer than the limit.
    #[error("the link is incomplete: open it again from the message")]
    Malformed,
    /// No known key made it.
    #[error("the link was not made by this workspace, or its key has been retired")]
    Forged,
    /// Made for another purpose than it was used for.
    #[error("the link is of another kind")]
    WrongKind,
    /// A field is over its limit.
    #[error("{field} of a link token is over the limit of {limit} bytes")]
    TooLong {
        /// Which.
        field: &'static str,
        /// Limit in bytes.
        limit: usize,
    },
    /// A click's URL is not absolute http or https.
    #[error("a tracked link must be an absolute http or https URL")]
    BadUrl,
    /// No key, or too many.
    #[error("a signer needs 1 to {KEYS_MAX} keys of at least 16 bytes")]
    BadKeys,
}

/// Mints and verifies tokens. The first key signs; all verify.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

impl Signer {
    /// A signer of `keys`, the current one first.
    pub fn new(keys: &[impl AsRef<[u8]>]) -> Result<Self, TokenError> {
        if keys.is_empty() || keys.len() > KEYS_MAX || keys.iter().any(|k| k.as_ref().len() < 16) {
            return Err(TokenError::BadKeys);
        }
        let keys = keys
            .iter()
            .map(|key| Hmac::new_from_slice(key.as_ref()).map_err(|_| TokenError::BadKeys))
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The token as text for a URL path.
    pub fn mint(&self, token: &Token) -> Result<String, TokenError> {
        if let Some(url) = &token.url
            && !is_web_url(url)
        {
            return Err(TokenError::BadUrl);
        }
        let mut payload = Vec::with_capacity(160);
        payload.extend([VERSION, token.kind.ordinal()]);
        payload.extend(token.profile.0.to_be_bytes());
        put(&mut payload, "action", Some(&token.action.to_string()), 255)?;
        put(&mut payload, "endpoint", Some(&token.endpoint), 1024)?;
        put(&mut payload, "channel", Some(&token.channel), 255)?;
        put(&mut payload, "purpose", Some(&token.purpose), 255)?;
        put(&mut payload, "topic", token.topic.as_deref(), 255)?;
        put(&mut payload, "url", token.url.as_deref(), URL_BYTES_MAX)?;
        let tag = self.keys[0].clone().chain_update(&payload).finalize().into_bytes();
        payload.extend_from_slice(&tag[..TAG_BYTES]);
        Ok(URL_SAFE_NO_PAD.encode(payload))
    }

    /// Checks `text` and reads it. The tag is compared in constant time, before anything is read.
    pub fn verify(&self, kind: TokenKind, text: &str) -> Result<Token, TokenError> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)?;
        let split = bytes.len().checked_sub(TAG_BYTES).ok_or(TokenError::Malformed)?;
        let (payload, tag) = bytes.split_at(split);
        let genuine = self
            .keys
            .iter()
            .any(|key| key.clone().chain_update(payload).verify_truncated_left(tag).is_ok());
        if !genuine {
            return Err(TokenError::Forged);
        }
        let token = read(payload).ok_or(TokenError::Malformed)?;
        if token.kind == kind { Ok(token) } else { Err(TokenError::WrongKind) }
    }
}

/// Whether a browser may be sent there.
fn is_web_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !url.chars().any(|c| c.is_control() || c == ' ' || c == '\\')
}

/// Appends a field: its length + 1 in two bytes (0: absent), then its bytes.
fn put(
    out: &mut Vec<u8>,
    field: &'static str,
    value: Option<&str>,
    limit: usize,
) -> Result<(), TokenError> {
    let Some(value) = value else {
        out.extend([0, 0]);
        return Ok(());
    };
    if value.len() > limit {
        return Err(TokenError::TooLong { field, limit });
    }
    let length = u16::try_from(value.len() + 1).expect("limits are below 64 KiB");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

fn read(payload: &[u8]) -> Option<Token> {
    let (&[version, kind], mut rest) = payload.split_first_chunk::<2>()?;
    if version != VERSION {
        return None;
    }
    let kind = TokenKind::ALL.into_iter().find(|candidate| candidate.ordinal() == kind)?;
    let (profile, after) = rest.split_first_chunk::<8>()?;
    let profile = ProfileId(u64::from_be_bytes(*profile));
    rest = after;
    let mut next = || -> Option<Option<&str>> {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(length) = length.checked_sub(1) else {
            rest = after;
            return Some(None);
        };
        let (value, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Some(std::str::from_utf8(value).ok()?))
    };
    let action = next()??.parse().ok()?;
    let endpoint = next()??.into();
    let channel = next()??.into();
    let purpose = next()??.into();
    let topic = next()?.map(Name::from);
    let url = next()?.map(Name::from);
    Some(Token { kind, action, profile, endpoint, channel, purpose, topic, url })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_model::CandidateId;

    const OLD: &[u8] = b"a key of thirty-two bytes, old..";
    const NEW: &[u8] = b"a key of thirty-two bytes, new..";

    fn token(kind: TokenKind) -> Token {
        let profile = ProfileId::created_at(3, 77);
        Token {
            kind,
            action: ActionId(CandidateId { profile, run: 1, step: 2, visit: 0 }),
            profile,
            endpoint: "ann@example.com".into(),
            channel: "email".into(),
            purpose: "marketing".into(),
            topic: Some("offers".into()),
            url: (kind == TokenKind::Click).then(|| "https://shop.example/a?b=c".into()),
        }
    }

    #[test]
    fn reads_what_it_minted_also_after_a_rotation() {
        let old = Signer::new(&[OLD]).unwrap();
        let rotated = Signer::new(&[NEW, OLD]).unwrap();
        for kind in TokenKind::ALL {
            let text = old.mint(&token(kind)).unwrap();
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            assert_eq!(rotated.verify(kind, &text), Ok(token(kind)));
            let text = rotated.mint(&token(kind)).unwrap();
            assert_eq!(old.verify(kind, &text), Err(TokenError::Forged));
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let signer = Signer::new(&[NEW]).unwrap();
        let text = signer.mint(&token(TokenKind::Click)).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(signer.verify(TokenKind::Click, &changed), Err(TokenError::Forged));
        }
        for end in 0..text.len() {
            assert!(signer.verify(TokenKind::Click, &text[..end]).is_err());
        }
    }

    #[test]
    fn a_token_is_good_for_its_kind_only() {
        let signer = Signer::new(&[NEW]).unwrap();
        let open = signer.mint(&token(TokenKind::Open)).unwrap();
        assert_eq!(signer.verify(TokenKind::Unsubscribe, &open), Err(TokenError::WrongKind));
    }

    #[test]
    fn only_web_urls_are_minted() {
        let signer = Signer::new(&[NEW]).unwrap();
        let bad =
            ["javascript:alert(1)", "//evil.example", "https://", "https:///x", "http://a\nb"];
        for url in bad {
            let token = Token { url: Some(url.into()), ..token(TokenKind::Click) };
            assert_eq!(signer.mint(&token), Err(TokenError::BadUrl), "{url}");
        }
    }

    #[test]
    fn keys_must_be_long_enough() {
        assert_eq!(Signer::new(&[b"short"]).unwrap_err(), TokenError::BadKeys);
        assert_eq!(Signer::new(&[] as &[&[u8]]).unwrap_err(), TokenError::BadKeys);
    }
}
