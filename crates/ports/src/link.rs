//! What stands between us and a server of a port, as far as its library's words tell it.

/// Why a connection did not come about. Implementations recognise it, whoever reads the settings
/// names the one to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTrouble {
    /// The server's certificate was signed by nobody we know.
    UnknownAuthority,
    /// The server's certificate has expired, or holds from later on.
    Expired,
    /// The server's certificate is for another name or address.
    WrongName,
    /// We speak TLS, the server does not.
    PlainPort,
    /// The server speaks TLS, we do not.
    TlsPort,
    /// The server wants a certificate of ours, or does not take the one that it got.
    ClientCertificate,
    /// User or password is wrong or missing, or the way to log in is not the server's.
    LogIn,
    /// The user may not do what is needed.
    Permission,
    /// Nobody answers, or nothing that tells more.
    Silent,
}
