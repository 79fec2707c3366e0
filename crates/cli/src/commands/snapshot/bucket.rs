//! `s3://BUCKET/PATH`: a snapshot's files in an object store that speaks S3.
//!
//! A file goes up in parts of [`PART_BYTES`], so that memory is bounded; it is there when the upload is
//! completed, whole or not at all. The environment names the store as other tools have it.

use crate::exit::{unreachable, usage};
use anyhow::{Context, Result};
use reqwest::{Client, Response, StatusCode, Url};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, GetObject, PutObject,
    S3Action as _, UploadPart,
};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use sojourn_node::snapshots::{Draft, Shelf};
use std::io::{self, Read, Write};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Bytes of one part of an upload; a file may have 10,000 (160 GB).
const PART_BYTES: usize = 16 << 20;
/// How long a signed request is valid.
const SIGNED: Duration = Duration::from_secs(3600);
/// A request with its answer's head may take so long: a part over a slow line.
const REQUEST: Duration = Duration::from_secs(120);
/// Attempts at a request that the store or the network refused for now, and the first pause.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// Bytes of an answer that are shown.
const SHOWN: usize = 300;

/// A place in an object store.
pub(super) struct BucketShelf {
    runtime: Runtime,
    client: Client,
    bucket: Bucket,
    credentials: Credentials,
    /// Begin of the names, ends in `/` unless it is empty.
    prefix: String,
    place: String,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl BucketShelf {
    /// The place that an address beginning with `s3://` names.
    pub(super) fn open(address: &str) -> Result<Self> {
        let rest = address.strip_prefix("s3://").unwrap_or(address);
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        if name.is_empty() {
            return Err(usage(format!("{address} names no bucket: write s3://BUCKET/PATH")));
        }
        let needed = |name: &str| {
            variable(name).ok_or_else(|| {
                usage(format!(
                    "{address} needs {name} in the environment, with the right to write there"
                ))
            })
        };
        let (key, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        let credentials = match variable("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let region = variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let (endpoint, style) =
            match variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")) {
                Some(url) => (url, UrlStyle::Path),
                None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
            };
        let url: Url = endpoint
            .parse()
            .map_err(|error| usage(format!("AWS_ENDPOINT_URL {endpoint}: {error}")))?;
        let bucket = Bucket::new(url, style, name.to_owned(), region)
            .map_err(|error| usage(format!("{address}: {error}")))?;
        // Another part of the program may have been quicker.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(Duration::from_secs(10)).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Ok(Self { runtime, client, bucket, credentials, prefix, place: address.to_owned() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sends until it is answered for good; `make` signs anew each time.
    fn send(
        &self,
        make: &dyn Fn(&Client) -> reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Response)> {
        self.runtime.block_on(async {
            let mut pause = PAUSE;
            for attempt in 1.. {
                let answer = tokio::time::timeout(REQUEST, make(&self.client).send()).await;
                let reason = match answer {
                    Ok(Ok(response)) => {
                        let status = response.status();
                        let later = status.is_server_error()
                            || status == StatusCode::TOO_MANY_REQUESTS
                            || status == StatusCode::REQUEST_TIMEOUT;
                        if !later || attempt == ATTEMPTS {
                            return Ok((status, response));
                        }
                        status.to_string()
                    }
                    // The address is signed: it is not to be shown.
                    Ok(Err(error)) => format!("{:#}", anyhow::Error::new(error.without_url())),
                    Err(_) => format!("no answer within {} s", REQUEST.as_secs()),
                };
                if attempt == ATTEMPTS {
                    return Err(unreachable(format!("{}: {reason}", self.place)));
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            unreachable!("the last attempt returns")
        })
    }

    /// The text of an answer that must be a success.
    fn answered(&self, what: &str, (status, response): (StatusCode, Response)) -> Result<String> {
        if !status.is_success() {
            return Err(self.refused(what, status, response));
        }
        let text = self.runtime.block_on(response.text()).unwrap_or_default();
        // To complete an upload may be answered with 200 and an error.
        if text.contains("<Error>") {
            return Err(self.said(what, status, &text));
        }
        Ok(text)
    }

    fn refused(&self, what: &str, status: StatusCode, response: Response) -> anyhow::Error {
        let text = self.runtime.block_on(response.text()).unwrap_or_default();
        self.said(what, status, &text)
    }

    fn said(&self, what: &str, status: StatusCode, text: &str) -> anyhow::Error {
        let shown: String = text.chars().take(SHOWN).collect();
        unreachable(format!("{}: {what} is answered {status}: {shown}", self.place))
    }
}

impl Shelf for BucketShelf {
    fn create(&self, name: &str) -> Result<Box<dyn Draft + '_>> {
        let (key, part, upload) = (self.key(name), Vec::new(), None);
        Ok(Box::new(Upload { shelf: self, key, part, upload, etags: Vec::new(), done: false }))
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let key = self.key(name);
        let get = |client: &Client| {
            client.get(GetObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED))
        };
        let (status, response) = self.send(&get)?;
        if status == StatusCode::NOT_FOUND {
            let text = self.runtime.block_on(response.text()).unwrap_or_default();
            if text.contains("NoSuchBucket") {
                return Err(unreachable(format!("{}: there is no such bucket", self.place)));
            }
            return Ok(None);
        }
        if !status.is_success() {
            return Err(self.refused(&key, status, response));
        }
        Ok(Some(Box::new(Download { shelf: self, response, rest: bytes::Bytes::new() })))
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

/// A file that goes up.
struct Upload<'a> {
    shelf: &'a BucketShelf,
    key: String,
    part: Vec<u8>,
    /// Its id, from the first part on.
    upload: Option<String>,
    etags: Vec<String>,
    done: bool,
}

impl Upload<'_> {
    fn put_part(&mut self) -> Result<()> {
        let Self { shelf, key, .. } = &*self;
        let id = match &self.upload {
            Some(id) => id.clone(),
            None => {
                let create = |client: &Client| {
                    let action =
                        CreateMultipartUpload::new(&shelf.bucket, Some(&shelf.credentials), key);
                    client.post(action.sign(SIGNED))
                };
                let text = shelf.answered(key, shelf.send(&create)?)?;
                let answer = CreateMultipartUpload::parse_response(&text)
                    .with_context(|| format!("{}: the answer to an upload", shelf.place))?;
                answer.upload_id().to_owned()
            }
        };
        let body = bytes::Bytes::from(std::mem::take(&mut self.part));
        let number = self.etags.len() as u16 + 1;
        let Self { shelf, key, .. } = &*self;
        let put = |client: &Client| {
            let action = UploadPart::new(&shelf.bucket, Some(&shelf.credentials), key, number, &id);
            client.put(action.sign(SIGNED)).body(body.clone())
        };
        let (status, response) = shelf.send(&put)?;
        let etag = response.headers().get("etag").and_then(|value| value.to_str().ok());
        let etag = etag.map(str::to_owned);
        shelf.answered(key, (status, response))?;
        let etag = etag.with_context(|| format!("{}: a part has no ETag", shelf.place))?;
        self.etags.push(etag);
        self.upload = Some(id);
        Ok(())
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..take]);
        if self.part.len() == PART_BYTES {
            self.put_part().map_err(|error| io::Error::other(format!("{error:#}")))?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for Upload<'_> {
    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.upload.is_some() && !self.part.is_empty() {
            self.put_part()?;
        }
        let Self { shelf, key, etags, .. } = &*self;
        let answer = match &self.upload {
            Some(id) => {
                let etags = || etags.iter().map(String::as_str);
                let complete = |client: &Client| {
                    let (bucket, credentials) = (&shelf.bucket, Some(&shelf.credentials));
                    let action =
                        CompleteMultipartUpload::new(bucket, credentials, key, id, etags());
                    client.post(action.sign(SIGNED)).body(action.body())
                };
                shelf.send(&complete)?
            }
            None => {
                let put = |client: &Client| {
                    let action = PutObject::new(&shelf.bucket, Some(&shelf.credentials), key);
                    client.put(action.sign(SIGNED)).body(self.part.clone())
                };
                shelf.send(&put)?
            }
        };
        shelf.answered(key, answer)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let (Some(id), false) = (&self.upload, self.done) else { return };
        let Self { shelf, key, .. } = self;
        let abort = |client: &Client| {
            let (bucket, credentials) = (&shelf.bucket, Some(&shelf.credentials));
            client.delete(AbortMultipartUpload::new(bucket, credentials, key, id).sign(SIGNED))
        };
        if let Err(error) = shelf.send(&abort) {
            tracing::warn!(%error, key, "parts of an upload that broke off are left behind");
        }
    }
}

/// A file that comes down.
struct Download<'a> {
    shelf: &'a BucketShelf,
    response: Response,
    rest: bytes::Bytes,
}

impl Read for Download<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let next = async { tokio::time::timeout(REQUEST, self.response.chunk()).await };
            match self.shelf.runtime.block_on(next) {
                Ok(Ok(Some(chunk))) => self.rest = chunk,
                Ok(Ok(None)) => return Ok(0),
                Ok(Err(error)) => return Err(io::Error::other(error.without_url())),
                Err(_) => return Err(io::Error::other("the object store sends nothing more")),
            }
        }
        let take = into.len().min(self.rest.len());
        into[..take].copy_from_slice(&self.rest.split_to(take));
        Ok(take)
    }
}
