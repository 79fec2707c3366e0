//! Bodies: read raw whatever the content type says, within limits on the wire and unpacked.

use crate::limits::{BODY_TIME_MAX, DISCARDED_BYTES_MAX};
use crate::message::Rejected;
use crate::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use std::io::Read;

/// Reads a body of at most `limit` bytes, packed and unpacked.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let read = tokio::time::timeout(BODY_TIME_MAX, collect(headers, body, limit));
    let bytes = read.await.map_err(|_| Refusal::TooSlow)??;
    let encoding = headers.get(header::CONTENT_ENCODING).map_or("", |v| v.to_str().unwrap_or("?"));
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(bytes),
        "gzip" | "x-gzip" => unpack(&bytes, limit),
        _ => {
            Err(Rejected::new("content-encoding", "is not supported", "send gzip or nothing")
                .into())
        }
    }
}

async fn collect(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let mut bytes = Vec::with_capacity(stated.unwrap_or(0usize).min(limit));
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // The connection broke; nobody will read the answer.
            return Err(Refusal::TooSlow);
        };
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit || discarded > 0 {
            bytes = Vec::new();
            discarded += data.len();
            if discarded > DISCARDED_BYTES_MAX {
                break;
            }
            continue;
        }
        bytes.extend_from_slice(data);
    }
    if discarded > 0 { Err(Refusal::TooLarge { limit }) } else { Ok(bytes) }
}

/// Unpacks gzip, stopping one byte after the limit: a bomb costs no more than a large body.
fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::with_capacity((packed.len() * 4).min(limit));
    let mut decoder = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    if decoder.read_to_end(&mut unpacked).is_err() {
        let remedy = "send the body as gzip or without content-encoding";
        return Err(Rejected::new("body", "is not gzip", remedy).into());
    }
    if unpacked.len() > limit {
        return Err(Refusal::TooLarge { limit });
    }
    Ok(unpacked)
}

/// A body as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Rejected> {
    std::str::from_utf8(bytes).map_err(|error| {
        let reason = format!("is not UTF-8 at byte {}", error.valid_up_to());
        Rejected::new("body", reason, "send JSON in UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn check(body: Vec<u8>, encoding: &str, expected: Result<usize, u16>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        let read = read(&headers, Body::from(body), 1_000).await;
        assert_eq!(read.map(|b| b.len()).map_err(|r| r.status().as_u16()), expected, "{encoding}");
    }

    #[tokio::test]
    async fn limits_hold_on_the_wire_and_unpacked() {
        check(vec![b'x'; 1_000], "", Ok(1_000)).await;
        check(vec![b'x'; 1_001], "identity", Err(413)).await;
        check(gzip(&[b'x'; 1_000]), "gzip", Ok(1_000)).await;
        check(gzip(&vec![b'x'; 50_000_000]), "gzip", Err(413)).await;
        check(b"not gzip".to_vec(), "gzip", Err(400)).await;
        check(gzip(&[b'x'; 9])[..12].to_vec(), "gzip", Err(400)).await;
        check(b"x".to_vec(), "br", Err(400)).await;
    }
}
