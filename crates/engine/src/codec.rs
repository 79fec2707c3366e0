//! Bytes of stored state: a version byte, then postcard. A new layout is always a new version, with
//! a migration from the one before; golden files of every released version stay readable.

use crate::DecodeError;
use serde::{Serialize, de::DeserializeOwned};

/// Layout of everything that is stored.
const VERSION: u8 = 1;

/// Encodes a value of the state.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let bytes = vec![VERSION];
    postcard::to_extend(value, bytes).expect("state has no map of unknown length")
}

/// Decodes it. The bytes come from the store or another partition: an error, never a panic.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(DecodeError(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(DecodeError(error.to_string())),
        },
        Some((version, _)) => Err(DecodeError(format!(
            "layout {version} is not known here; this build reads layout {VERSION}"
        ))),
        None => Err(DecodeError("no bytes".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profile, Stored};
    use sojourn_model::ProfileId;

    /// A person with attributes, consent, a suppression, sends, runs and history, as version 1 wrote
    /// them: stays readable for ever.
    #[test]
    fn golden_profile() {
        let hex: String = include_str!("../golden/profile-v1.hex").split_whitespace().collect();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let stored: Stored = decode(&bytes).unwrap();
        assert_eq!(encode(&stored), bytes);
        let Stored::Live(profile) = stored else { panic!("a live person") };
        assert_eq!(profile.identifiers.len(), 4);
        assert_eq!(profile.attribute("points"), Some(&sojourn_model::Value::Number(3.5)));
        assert_eq!(profile.sends.as_slice().len(), 2);
        assert_eq!(profile.runs.len(), 2);
        assert_eq!(profile.suppressions.entries().len(), 1);
    }

    #[test]
    fn bad_bytes_are_errors() {
        let good = encode(&Stored::Live(Box::new(Profile::new(ProfileId(7)))));
        assert!(decode::<Stored>(&good).is_ok());
        assert!(decode::<Stored>(&[]).is_err());
        assert!(decode::<Stored>(&[9, 0]).is_err());
        let mut long = good.clone();
        long.push(0);
        assert!(decode::<Stored>(&long).is_err());
        for cut in 0..good.len() {
            assert!(decode::<Stored>(&good[..cut]).is_err(), "{cut}");
        }
    }
}
