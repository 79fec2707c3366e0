//! One SMTP server: a small pool of connections, and one submission step by step.
//!
//! lettre's own transport sends MAIL to the final dot in one call and reports one error for all of
//! it; here the steps are separate, because before DATA nothing has gone out and after it nobody
//! knows.

use super::{Mail, bounce};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use sojourn_ports::Permit;
use sojourn_proto::channel::Bounce;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Time to connect, negotiate TLS and log in.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Time for the answer to one command.
const COMMAND_MAX: Duration = Duration::from_secs(15);
/// Time for the server's word after the final dot (RFC 5321 4.5.3.2.6 grants ten minutes; a
/// revocation does not wait for it).
const DATA_MAX: Duration = Duration::from_secs(120);
/// A connection unused for longer is not used again.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Messages over one connection; servers close chatty ones.
const MESSAGES_MAX: u32 = 100;

/// How a submission ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Submission {
    /// 250 after the final dot.
    Accepted(String),
    /// Refused for good: the recipient or the content.
    Refused(String, Bounce),
    /// Not taken; may be tried again.
    NotTaken(String, Bounce),
    /// The data went out and no answer came.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    None,
    Wrapper,
    Start,
}

/// An SMTP server with its pool.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    tls_parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    smtp: AsyncSmtpConnection,
    used: Instant,
    messages: u32,
    fresh: bool,
}

impl Server {
    /// Reads the URL; the error says what is wrong with it (never the password).
    pub(super) fn new(url: &str, hello: &str, connections: usize) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("not a URL: {error}"))?;
        let (tls, port) = match url.scheme() {
            "smtp" => (Tls::None, 25),
            "smtps" => (Tls::Wrapper, 465),
            "smtp+starttls" => (Tls::Start, 587),
            other => {
                return Err(format!(
                    "unknown scheme {other}: write smtp://, smtps:// or smtp+starttls://"
                ));
            }
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("no host in the URL")?;
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = url
            .password()
            .map(|password| Credentials::new(decode(url.username()), decode(password)));
        let tls_parameters = match tls {
            Tls::None => None,
            _ => Some(TlsParameters::new(host.to_owned()).map_err(|error| error.to_string())?),
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(port),
            tls,
            tls_parameters,
            credentials,
            hello: ClientId::Domain(hello.to_owned()),
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
        })
    }

    /// Submits one message. `permit` is dropped when the server has asked for the data.
    pub(super) async fn submit(&self, mail: &Mail, permit: Option<Permit>) -> Submission {
        let Ok(_slot) = self.permits.acquire().await else {
            return Submission::NotTaken("the channel is closing".into(), Bounce::Unspecified);
        };
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(problem) => return Submission::NotTaken(problem, Bounce::Unspecified),
        };
        let mut asked = ask_for_data(&mut connection, mail).await;
        // An idle connection may have been closed by the server meanwhile: once more with a new one.
        // Nothing has gone out yet.
        if matches!(asked, Err(Refusal::Broken(_))) && !connection.fresh {
            connection = match self.connect().await {
                Ok(connection) => connection,
                Err(problem) => return Submission::NotTaken(problem, Bounce::Unspecified),
            };
            asked = ask_for_data(&mut connection, mail).await;
        }
        match asked {
            Ok(()) => {}
            Err(Refusal::Broken(problem)) => {
                return Submission::NotTaken(problem, Bounce::Unspecified);
            }
            Err(Refusal::Said { outcome, reusable }) => {
                if reusable && command(&mut connection, Rset).await.is_ok() {
                    self.give_back(connection);
                }
                return outcome;
            }
        }
        drop(permit); // handed over: the server takes the data now (CON-2)
        match timeout(DATA_MAX, connection.smtp.message(&mail.bytes)).await {
            Ok(Ok(reply)) => {
                self.give_back(connection);
                Submission::Accepted(reply.first_line().unwrap_or("accepted").to_owned())
            }
            Ok(Err(error)) => match class(&error) {
                Class::Permanent => {
                    self.give_back(connection);
                    Submission::Refused(format!("content: {error}"), bounce::of(&error, false))
                }
                Class::Transient => {
                    self.give_back(connection);
                    Submission::NotTaken(error.to_string(), bounce::of(&error, false))
                }
                Class::Broken => Submission::Unknown(format!("lost after the data: {error}")),
            },
            Err(_) => Submission::Unknown("no answer to the data".into()),
        }
    }

    async fn connection(&self) -> Result<Connection, String> {
        loop {
            let Some(mut connection) = self.idle.lock().pop() else { break };
            if connection.used.elapsed() < IDLE_MAX && connection.messages < MESSAGES_MAX {
                connection.fresh = false;
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Connection, String> {
        let connecting = async {
            let wrapper = if self.tls == Tls::Wrapper { self.tls_parameters.clone() } else { None };
            let mut smtp = AsyncSmtpConnection::connect_tokio1(
                (self.host.as_str(), self.port),
                Some(CONNECT_MAX),
                &self.hello,
                wrapper,
                None,
            )
            .await?;
            if self.tls == Tls::Start
                && let Some(parameters) = &self.tls_parameters
            {
                smtp.starttls(parameters.clone(), &self.hello).await?;
            }
            if let Some(credentials) = &self.credentials {
                smtp.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
            }
            Ok::<_, Error>(smtp)
        };
        match timeout(CONNECT_MAX, connecting).await {
            Ok(Ok(smtp)) => Ok(Connection { smtp, used: Instant::now(), messages: 0, fresh: true }),
            Ok(Err(error)) => Err(format!("connect: {error}")),
            Err(_) => Err("connect: no answer".into()),
        }
    }

    fn give_back(&self, mut connection: Connection) {
        if connection.smtp.has_broken() {
            return;
        }
        connection.messages += 1;
        connection.used = Instant::now();
        self.idle.lock().push(connection); // at most one per slot, so bounded by the semaphore
    }
}

enum Refusal {
    /// The connection is of no use any more; nothing went out.
    Broken(String),
    /// The server said no.
    Said { outcome: Submission, reusable: bool },
}

/// MAIL, RCPT, DATA: up to the point where the server wants the data.
async fn ask_for_data(connection: &mut Connection, mail: &Mail) -> Result<(), Refusal> {
    let info = connection.smtp.server_info();
    let mut parameters = Vec::new();
    let international = !AsRef::<str>::as_ref(&mail.to).is_ascii();
    if international {
        if !info.supports_feature(Extension::SmtpUtfEight) {
            let reply = "recipient: the server takes no international address";
            let outcome = Submission::Refused(reply.into(), Bounce::Unspecified);
            return Err(Refusal::Said { outcome, reusable: true });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.bytes.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    // A refused sender is a matter of our settings, not of this recipient: try again, so that the
    // breaker opens and nothing is lost while somebody repairs it.
    step(connection, MailFrom::new(Some(mail.from.clone()), parameters), false, |reply, _| {
        Submission::NotTaken(format!("sender: {reply}"), Bounce::Unspecified)
    })
    .await?;
    step(connection, Rcpt::new(mail.to.clone(), Vec::new()), true, |reply, bounce| {
        Submission::Refused(format!("recipient: {reply}"), bounce)
    })
    .await?;
    step(connection, Data, false, |reply, bounce| {
        Submission::Refused(format!("content: {reply}"), bounce)
    })
    .await
}

/// One command; `recipient`: it names the recipient; `permanent` says what a 5xx means here.
async fn step(
    connection: &mut Connection,
    verb: impl std::fmt::Display,
    recipient: bool,
    permanent: impl FnOnce(String, Bounce) -> Submission,
) -> Result<(), Refusal> {
    let error = match command(connection, verb).await {
        Ok(()) => return Ok(()),
        Err(Some(error)) => error,
        Err(None) => return Err(Refusal::Broken("no answer to a command".into())),
    };
    match class(&error) {
        Class::Permanent => {
            let outcome = permanent(error.to_string(), bounce::of(&error, recipient));
            Err(Refusal::Said { outcome, reusable: true })
        }
        Class::Transient => {
            // 421: the server is going away.
            let reusable = error.status().is_some_and(|code| u16::from(code) != 421);
            if reusable {
                let bounce = bounce::of(&error, recipient);
                let outcome = Submission::NotTaken(error.to_string(), bounce);
                return Err(Refusal::Said { outcome, reusable });
            }
            Err(Refusal::Broken(error.to_string()))
        }
        Class::Broken => Err(Refusal::Broken(error.to_string())),
    }
}

async fn command(
    connection: &mut Connection,
    verb: impl std::fmt::Display,
) -> Result<(), Option<Error>> {
    match timeout(COMMAND_MAX, connection.smtp.command(verb)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Some(error)),
        Err(_) => Err(None),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Permanent,
    Transient,
    Broken,
}

fn class(error: &Error) -> Class {
    if error.is_permanent() {
        Class::Permanent
    } else if error.is_transient() {
        Class::Transient
    } else {
        Class::Broken
    }
}

#[cfg(test)]
mod tests;
