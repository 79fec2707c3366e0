//! From a rendered message to a MIME message.

use crate::settings::{SettingError, Settings};
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use sojourn_ports::Clock;
use sojourn_proto::channel::DeliverRequest;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// A composed message.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Envelope sender.
    pub from: Address,
    /// Envelope recipient.
    pub to: Address,
    /// Headers and body.
    pub bytes: Vec<u8>,
}

/// Composes messages of one sender.
pub struct Composer {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    unsubscribe_mailto: Address,
    clock: Arc<dyn Clock>,
}

impl Composer {
    /// Reads `from`, `reply_to` and `unsubscribe_mailto` (default: the reply address).
    pub fn new(settings: &Settings<'_>, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let mailbox = |key: &str, text: &str| {
            text.parse::<Mailbox>().map_err(|error| {
                settings.error(key, format!("{error}: write Name <name@host.example>"))
            })
        };
        let from = mailbox("from", &settings.need("from")?)?;
        let reply_to = settings.get("reply_to")?.map(|text| mailbox("reply_to", &text));
        let reply_to = reply_to.transpose()?;
        let unsubscribe_mailto = match settings.get("unsubscribe_mailto")? {
            Some(text) => mailbox("unsubscribe_mailto", &text)?.email,
            None => reply_to.as_ref().unwrap_or(&from).email.clone(),
        };
        Ok(Self { from, reply_to, unsubscribe_mailto, clock })
    }

    /// Host of the sender's address.
    pub fn host(&self) -> &str {
        self.from.email.domain()
    }

    /// The message; an error says what of it cannot be sent.
    pub fn compose(&self, request: &DeliverRequest) -> Result<Mail, String> {
        let message = request.message.as_ref().ok_or("content: nothing was rendered")?;
        let to: Address = request
            .endpoint
            .parse()
            .map_err(|_| "recipient: the endpoint is not an e-mail address".to_owned())?;
        if [&message.subject, &request.action_id].iter().any(|text| text.contains(['\r', '\n'])) {
            return Err("content: a line break in a header".into());
        }
        let now = Duration::from_millis(self.clock.now().0.try_into().unwrap_or(0));
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(&message.subject)
            .date(UNIX_EPOCH + now)
            .message_id(Some(format!("<{}@{}>", request.action_id, self.host())));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        for (name, value) in self.extra_headers(request)? {
            builder = builder.raw_header(value_of(name, value));
        }
        let text = || SinglePart::builder().header(ContentType::TEXT_PLAIN);
        let mail = match (message.html.as_str(), message.text.as_str()) {
            ("", "") => return Err("content: the message is empty".into()),
            ("", plain) => builder.singlepart(text().body(plain.to_owned())),
            (html, plain) => builder.multipart(
                MultiPart::alternative().singlepart(text().body(plain.to_owned())).singlepart(
                    SinglePart::builder().header(ContentType::TEXT_HTML).body(html.to_owned()),
                ),
            ),
        };
        let mail = mail.map_err(|error| format!("content: {error}"))?;
        Ok(Mail { from: self.from.email.clone(), to, bytes: mail.formatted() })
    }

    /// Unsubscribe (RFC 2369, RFC 8058) and tracing; nothing about the person.
    fn extra_headers(
        &self,
        request: &DeliverRequest,
    ) -> Result<Vec<(&'static str, String)>, String> {
        let mut headers = vec![
            ("X-Sojourn-Action", request.action_id.clone()),
            ("X-Sojourn-Trace", request.traceparent.clone()),
        ];
        let url = request.message.as_ref().map_or("", |message| message.unsubscribe_url.as_str());
        if !url.is_empty() {
            let mailto = &self.unsubscribe_mailto;
            let id = &request.action_id;
            headers.push((
                "List-Unsubscribe",
                format!("<{url}>,\r\n <mailto:{mailto}?subject=unsubscribe%20{id}>"),
            ));
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into()));
        }
        headers.retain(|(_, value)| !value.is_empty());
        for (name, value) in &headers {
            let printable = |c: char| c.is_ascii_graphic() || c == ' ';
            if !value.replace("\r\n ", "").chars().all(printable) {
                return Err(format!("content: header {name} is not printable ASCII"));
            }
        }
        Ok(headers)
    }
}

/// A header that is folded and checked already: encoding a long URL would break it.
fn value_of(name: &'static str, value: String) -> HeaderValue {
    let raw = value.replace("\r\n ", " ");
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), raw, value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::settings::tests::channel;
    use sojourn_model::Timestamp;
    use sojourn_proto::channel::Message;

    /// A clock that stands.
    pub(crate) struct Fixed(pub(crate) i64);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(self.0)
        }
        fn wall(&self, span_ms: i64) -> Duration {
            Duration::from_millis(span_ms.unsigned_abs())
        }
    }

    pub(crate) fn request(action_id: &str) -> DeliverRequest {
        DeliverRequest {
            action_id: action_id.into(),
            channel: "email".into(),
            endpoint: "ann@example.com".into(),
            attempt: 1,
            traceparent: "00-aa-bb-01".into(),
            message: Some(Message {
                subject: "Dzień dobry ☕".into(),
                html: "<p>żółw</p>".into(),
                text: "żółw".into(),
                unsubscribe_url: format!("https://go.example/u/{}", "t".repeat(300)),
                ..Message::default()
            }),
            ..DeliverRequest::default()
        }
    }

    fn composer() -> Composer {
        let channel = channel("smtp", &[("from", "Marlow Bakery <hello@marlow.example>")]);
        let none = |_: &str| None;
        Composer::new(&Settings::new(&channel, "f", &none), Arc::new(Fixed(1_772_000_000_000)))
            .unwrap()
    }

    #[test]
    fn a_message_has_both_parts_and_the_headers_of_rfc_8058() {
        let mail = composer().compose(&request("a1-2-3-0")).unwrap();
        let text = String::from_utf8(mail.bytes).unwrap();
        let unfolded = text.replace("\r\n ", " ");
        assert!(unfolded.contains("Message-ID: <a1-2-3-0@marlow.example>\r\n"), "{text}");
        let link = "t".repeat(300);
        assert!(
            unfolded.contains(&format!(
                "List-Unsubscribe: <https://go.example/u/{link}>, \
                 <mailto:hello@marlow.example?subject=unsubscribe%20a1-2-3-0>\r\n"
            )),
            "{text}"
        );
        assert!(text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
        assert!(text.contains("multipart/alternative"));
        assert!(text.contains("Date: Wed, 25 Feb 2026 06:13:20 +0000\r\n"), "{text}");
        let plain = text.find("text/plain").unwrap();
        assert!(plain < text.find("text/html").unwrap(), "the richest part stands last");
        assert!(text.lines().all(|line| line.is_ascii()));
    }

    #[test]
    fn service_messages_carry_no_list_header() {
        let mut service = request("a1");
        service.message.as_mut().unwrap().unsubscribe_url.clear();
        let text = String::from_utf8(composer().compose(&service).unwrap().bytes).unwrap();
        assert!(!text.contains("List-Unsubscribe"));
    }

    #[test]
    fn what_cannot_be_a_header_is_refused() {
        let mut bad = request("a1");
        bad.message.as_mut().unwrap().subject = "x\r\nBcc: all@example.com".into();
        assert!(composer().compose(&bad).unwrap_err().starts_with("content:"));
        let mut bad = request("a1");
        bad.message.as_mut().unwrap().unsubscribe_url = "https://x/\r\nBcc: y".into();
        assert!(composer().compose(&bad).is_err());
        let mut bad = request("a1");
        bad.endpoint = "ann@example.com>, <bob@example.com".into();
        assert!(composer().compose(&bad).unwrap_err().starts_with("recipient:"));
    }
}
