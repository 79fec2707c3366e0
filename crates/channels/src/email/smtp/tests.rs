//! Against a server that speaks SMTP over a socket and follows a script.

use super::*;
use parking_lot::Mutex as SyncMutex;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What the server answers.
#[derive(Clone, Copy)]
struct Script {
    mail: &'static str,
    rcpt: &'static str,
    data: &'static str,
    /// Empty: closes the connection after the data.
    end: &'static str,
    /// Closes after this many messages, between two.
    messages: usize,
}

const GOOD: Script =
    Script { mail: "250 ok", rcpt: "250 ok", data: "354 go", end: "250 queued as 7", messages: 99 };

/// What the server saw.
#[derive(Default)]
struct Seen {
    connections: usize,
    data: Vec<String>,
}

async fn serve(script: Script) -> (Server, Arc<SyncMutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let seen = Arc::new(SyncMutex::new(Seen::default()));
    let saw = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            saw.lock().connections += 1;
            tokio::spawn(talk(socket, script, Arc::clone(&saw)));
        }
    });
    (Server::new(&url, "test.example", 2).unwrap(), seen)
}

async fn talk(socket: tokio::net::TcpStream, script: Script, seen: Arc<SyncMutex<Seen>>) {
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut messages = 0;
    write.write_all(b"220 hi\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.split_whitespace().next().unwrap_or("").to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => "250-test\r\n250 8BITMIME",
            "MAIL" => script.mail,
            "RCPT" => script.rcpt,
            "DATA" => script.data,
            _ => "250 ok",
        };
        write.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
        if verb == "DATA" && reply.starts_with("354") {
            let mut text = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "." {
                    break;
                }
                text.push_str(&line);
                text.push('\n');
            }
            seen.lock().data.push(text);
            if script.end.is_empty() {
                return;
            }
            write.write_all(format!("{}\r\n", script.end).as_bytes()).await.unwrap();
            messages += 1;
            if messages >= script.messages {
                return;
            }
        }
    }
}

fn mail() -> Mail {
    Mail {
        from: "hello@marlow.example".parse().unwrap(),
        to: "ann@example.com".parse().unwrap(),
        bytes: b"Subject: x\r\n\r\nhi\r\n.dot\r\n".to_vec(),
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (server, seen) = serve(GOOD).await;
    for _ in 0..3 {
        let got = server.submit(&mail(), None).await;
        assert_eq!(got, Submission::Accepted("queued as 7".into()));
    }
    let seen = seen.lock();
    assert_eq!((seen.connections, seen.data.len()), (1, 3));
    assert!(seen.data[0].contains("..dot"), "dots are stuffed");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_nothing() {
    let (server, seen) = serve(Script { messages: 1, ..GOOD }).await;
    for _ in 0..3 {
        assert!(matches!(server.submit(&mail(), None).await, Submission::Accepted(_)));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = seen.lock();
    assert_eq!((seen.connections, seen.data.len()), (3, 3), "each message's data went once");
}

#[tokio::test]
async fn answers_are_judged_by_where_they_come() {
    use Bounce::{Hard, Soft, Unspecified as No};
    let cases = [
        (Script { rcpt: "552 5.2.2 mailbox full", ..GOOD }, "refused", "recipient:", Soft),
        (Script { rcpt: "550 5.7.1 blocked", ..GOOD }, "refused", "recipient:", No),
        (Script { rcpt: "450 mailbox busy", ..GOOD }, "retry", "", Soft),
        (Script { rcpt: "550 5.1.1 no such user", ..GOOD }, "refused", "recipient:", Hard),
        (Script { rcpt: "451 4.7.1 greylisted", ..GOOD }, "retry", "", No),
        (Script { mail: "550 sender refused", ..GOOD }, "retry", "sender:", No),
        (Script { mail: "421 going away", ..GOOD }, "retry", "", No),
        (Script { data: "554 no", ..GOOD }, "refused", "content:", No),
        (Script { end: "554 5.7.1 spam", ..GOOD }, "refused", "content:", No),
        (Script { end: "452 4.2.2 full", ..GOOD }, "retry", "", Soft),
        (Script { end: "", ..GOOD }, "unknown", "lost after the data", No),
    ];
    for (script, wanted, words, of) in cases {
        let (server, seen) = serve(script).await;
        let (outcome, detail, bounce) = match server.submit(&mail(), None).await {
            Submission::Accepted(detail) => ("sent", detail, No),
            Submission::Refused(detail, bounce) => ("refused", detail, bounce),
            Submission::NotTaken(detail, bounce) => ("retry", detail, bounce),
            Submission::Unknown(detail) => ("unknown", detail, No),
        };
        assert_eq!((outcome, bounce), (wanted, of), "{detail}");
        assert!(detail.starts_with(words), "{detail}");
        assert!(seen.lock().data.len() <= 1, "never a second DATA for one attempt");
    }
}

#[tokio::test]
async fn no_server_is_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::new(&url, "test.example", 1).unwrap();
    assert!(matches!(server.submit(&mail(), None).await, Submission::NotTaken(..)));
}

#[test]
fn urls_are_read_and_passwords_are_not_told() {
    let server = Server::new("smtp+starttls://me:p%40ss@mail.example", "h", 1).unwrap();
    assert_eq!((server.port, server.tls), (587, Tls::Start));
    assert_eq!(Server::new("smtps://mail.example", "h", 1).unwrap().port, 465);
    let error = Server::new("imap://me:secret@mail.example", "h", 1).err().unwrap();
    assert!(error.contains("unknown scheme imap") && !error.contains("secret"), "{error}");
}
