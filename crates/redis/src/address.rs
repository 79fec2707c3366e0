//! Where and how to connect: one server, a cluster, or what Sentinel says.

use crate::limits::CLUSTER_RETRIES;
use crate::sentinel::Sentinels;
use redis::cluster::ClusterClient;
use redis::{ClientTlsConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo};
use redis::{RedisError, TlsCertificates};
use std::fmt;
use std::time::Duration;

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host:port[/db]`, `redis+cluster://host:port,host:port,…` with some
    /// nodes of a Redis Cluster, or `redis+sentinel://host:port,…/service[/db]` with some sentinels;
    /// `rediss` instead of `redis` is the same over TLS.
    pub url: String,
    /// User and password, instead of those in the address.
    pub login: Login,
    /// User and password at the sentinels, where they ask for any.
    pub sentinel_login: Login,
    /// Certificates of TLS; `None`: the roots that everybody knows, and no certificate of our own.
    pub tls: Option<RedisTls>,
    /// First part of every key: several workspaces may share a server.
    pub prefix: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer; a write that has none by then is *unknown*.
    pub response_timeout: Duration,
}

/// Who we are to a server.
#[derive(Clone, Default)]
pub struct Login {
    /// User; `None`: `default`.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, password: _ } = self;
        f.debug_struct("Login").field("username", username).finish_non_exhaustive()
    }
}

/// Certificates of a connection over TLS, in PEM.
#[derive(Clone, Default)]
pub struct RedisTls {
    /// The authorities that signed the servers' certificates.
    pub authorities: Option<Vec<u8>>,
    /// Our own certificate and its key, where servers ask for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls").finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// The usual settings for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            login: Login::default(),
            sentinel_login: Login::default(),
            tls: None,
            prefix: "sojourn".to_owned(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(10),
        }
    }
}

/// Who is connected to.
pub(crate) enum Kind {
    Single(redis::Client),
    Cluster(ClusterClient),
    Sentinel(Sentinels),
}

/// Reads the address.
pub(crate) fn kind(options: &RedisOptions) -> Result<Kind, RedisError> {
    let refused = |text: &'static str| RedisError::from((ErrorKind::InvalidClientConfig, text));
    let Some((scheme, rest)) = options.url.split_once("://") else {
        return Err(refused("the address must begin with redis:// or rediss://"));
    };
    let (plain, shape) = match scheme.split_once('+') {
        Some((plain, shape)) => (plain, shape),
        None => (scheme, ""),
    };
    if !matches!(plain, "redis" | "rediss") || !matches!(shape, "" | "cluster" | "sentinel") {
        return Err(refused(
            "the scheme must be redis, redis+cluster or redis+sentinel, with rediss for TLS",
        ));
    }
    if options.tls.is_some() && plain != "rediss" {
        return Err(refused("certificates are for TLS: write rediss instead of redis"));
    }
    if shape.is_empty() {
        return client(&options.url, &options.login, options.tls.as_ref()).map(Kind::Single);
    }
    // Credentials stand once, before the first host; a password may hold any character but `@`.
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((credentials, rest)) => (format!("{credentials}@"), rest),
        None => (String::new(), rest),
    };
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = hosts.split(',').filter(|host| !host.is_empty());
    if shape == "cluster" {
        let nodes =
            hosts.map(|host| info(&format!("{plain}://{credentials}{host}"), &options.login));
        let builder = ClusterClient::builder(nodes.collect::<Result<Vec<_>, _>>()?)
            .connection_timeout(options.connect_timeout)
            .response_timeout(options.response_timeout)
            .retries(CLUSTER_RETRIES);
        let builder = match &options.tls {
            Some(tls) => builder.certs(certificates(tls)),
            None => builder,
        };
        return builder.build().map(Kind::Cluster);
    }
    let (service, db) = path.split_once('/').unwrap_or((path, "0"));
    if service.is_empty() {
        return Err(refused(
            "the address names no service: write redis+sentinel://host:26379,host:26379/mymaster",
        ));
    }
    let tls = options.tls.as_ref();
    let sentinels = hosts
        .map(|host| client(&format!("{plain}://{host}"), &options.sentinel_login, tls))
        .collect::<Result<_, _>>()?;
    // The host is put in when a sentinel has named it.
    let server = client(&format!("{plain}://{credentials}master/{db}"), &options.login, tls)?;
    Ok(Kind::Sentinel(Sentinels { sentinels, service: service.to_owned(), server }))
}

fn info(url: &str, login: &Login) -> Result<ConnectionInfo, RedisError> {
    let info = url.into_connection_info()?;
    let mut settings = info.redis_settings().clone();
    if let Some(username) = &login.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    Ok(info.set_redis_settings(settings))
}

fn client(url: &str, login: &Login, tls: Option<&RedisTls>) -> Result<redis::Client, RedisError> {
    let info = info(url, login)?;
    match tls {
        Some(tls) => redis::Client::build_with_tls(info, certificates(tls)),
        None => redis::Client::open(info),
    }
}

fn certificates(tls: &RedisTls) -> TlsCertificates {
    let identity = tls.identity.clone();
    TlsCertificates {
        client_tls: identity
            .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
        root_cert: tls.authorities.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |url: &str| kind(&RedisOptions::new(url));
        let text = |url: &str| read(url).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(matches!(read("redis://h:1"), Ok(Kind::Single(_))));
        assert!(matches!(read("rediss+cluster://u:p@h:1,i:2"), Ok(Kind::Cluster(_))));
        let Ok(Kind::Sentinel(found)) = read("rediss+sentinel://u:p@h:1,i:2/shop/3") else {
            panic!("no sentinels")
        };
        assert_eq!((found.sentinels.len(), &*found.service), (2, "shop"));
        let server = found.server.get_connection_info().redis_settings();
        assert_eq!((server.db(), server.username(), server.password()), (3, Some("u"), Some("p")));
        let sentinel = found.sentinels[0].get_connection_info().redis_settings();
        assert_eq!(sentinel.password(), None, "the server's log-in is not the sentinels'");
        assert!(text("redis+sentinel://h:1").contains("names no service"));
        assert!(text("http://h").contains("redis+sentinel") && text("h:1").contains("rediss://"));
    }

    #[test]
    fn a_log_in_of_its_own_goes_before_the_address() {
        let login = Login { username: Some("app".into()), password: Some("p@ss:/wörd".into()) };
        let options = RedisOptions { login: login.clone(), ..RedisOptions::new("redis://u:p@h:1") };
        let Ok(Kind::Single(client)) = kind(&options) else { panic!("no client") };
        let settings = client.get_connection_info().redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("app"), Some("p@ss:/wörd")));
        assert!(!format!("{login:?}").contains("ss:/"));
        let plain = RedisOptions { tls: Some(RedisTls::default()), ..options };
        assert!(kind(&plain).is_err_and(|error| error.to_string().contains("write rediss")));
    }
}
