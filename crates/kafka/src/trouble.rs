//! What the words of the client library say about a connection to the brokers.

use sojourn_ports::LinkTrouble::{
    self, ClientCertificate, Expired, LogIn, Permission, PlainPort, Silent, TlsPort,
    UnknownAuthority, WrongName,
};

/// Words of librdkafka, of OpenSSL and of brokers, the telling ones first.
const WORDS: &[(&str, LinkTrouble)] = &[
    ("certificate has expired", Expired),
    ("certificate is not yet valid", Expired),
    ("certificate expired", Expired),
    ("mismatch", WrongName),
    ("connecting to a PLAINTEXT broker listener", PlainPort),
    ("wrong version number", PlainPort),
    ("connecting to a SSL listener", TlsPort),
    ("certificate required", ClientCertificate),
    ("bad certificate", ClientCertificate),
    ("alert unknown ca", ClientCertificate),
    ("certificate verify failed", UnknownAuthority),
    ("unable to get local issuer", UnknownAuthority),
    ("self-signed certificate", UnknownAuthority),
    ("Authentication failed", LogIn),
    ("authentication error", LogIn),
    ("SASL", LogIn),
    ("uthorization failed", Permission),
];

/// What an error of [`crate::KafkaFault`] comes from.
pub fn trouble(text: &str) -> LinkTrouble {
    WORDS.iter().find(|(words, _)| text.contains(words)).map_or(Silent, |(_, trouble)| *trouble)
}
