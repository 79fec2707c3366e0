//! What the words of the client library and of the server say about a connection.

use sojourn_ports::LinkTrouble::{
    self, ClientCertificate, Expired, LogIn, Permission, PlainPort, Silent, TlsPort,
    UnknownAuthority, WrongName,
};

/// Words of rustls and of servers, the telling ones first.
const WORDS: &[(&str, LinkTrouble)] = &[
    ("UnknownIssuer", UnknownAuthority),
    ("BadSignature", UnknownAuthority),
    ("CaUsedAsEndEntity", UnknownAuthority),
    ("certificate expired", Expired),
    ("Expired", Expired),
    ("NotValidYet", Expired),
    ("certificate not valid yet", Expired),
    ("NotValidForName", WrongName),
    ("not valid for name", WrongName),
    ("CertificateRequired", ClientCertificate),
    ("HandshakeFailure", ClientCertificate),
    ("UnknownCA", ClientCertificate),
    ("BadCertificate", ClientCertificate),
    ("InvalidContentType", PlainPort),
    ("corrupt message", PlainPort),
    ("NOPERM", Permission),
    ("no permissions", Permission),
    ("WRONGPASS", LogIn),
    ("NOAUTH", LogIn),
    ("AuthenticationFailed", LogIn),
    ("Password authentication failed", LogIn),
    ("Authentication required", LogIn),
    ("AUTH failed", LogIn),
    ("unexpected end of file", TlsPort),
    ("early eof", TlsPort),
    ("Connection reset", TlsPort),
    ("Server closed connection", TlsPort),
];

/// What an error of [`crate::OpenError`] comes from.
pub fn trouble(text: &str) -> LinkTrouble {
    WORDS.iter().find(|(words, _)| text.contains(words)).map_or(Silent, |(_, trouble)| *trouble)
}
