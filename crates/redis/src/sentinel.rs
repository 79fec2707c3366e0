//! Which server of a Sentinel's service is the master just now.
//!
//! Sentinels are asked one after another, each within the longest wait for a connection, and the
//! server that one names is asked for its role: right after a fail-over a sentinel may still name the
//! old master, which comes back as a replica, or will when it wakes up. Only a server that says itself
//! that it is the master is taken; so a replica is never read as if it were the state.

use redis::{Client, Connection, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, Value};
use std::time::Duration;

/// A service of several sentinels.
pub(crate) struct Sentinels {
    /// The sentinels, each with its own log-in.
    pub(crate) sentinels: Vec<Client>,
    /// Name of the service.
    pub(crate) service: String,
    /// How its servers are spoken to; the address is put in.
    pub(crate) server: Client,
}

impl Sentinels {
    /// A connection to the master, and what stood against every other answer.
    pub(crate) fn connect(&self, wait: Duration) -> Result<Connection, RedisError> {
        let mut told = Vec::new();
        for sentinel in &self.sentinels {
            match self.master_by(sentinel, wait) {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    told.push(format!("{}: {error}", sentinel.get_connection_info().addr()));
                }
            }
        }
        let what = "no sentinel leads to a master";
        Err(RedisError::from((ErrorKind::Io, what, told.join("; "))))
    }

    fn master_by(&self, sentinel: &Client, wait: Duration) -> Result<Connection, RedisError> {
        let mut asked = sentinel.get_connection_with_timeout(wait)?;
        asked.set_read_timeout(Some(wait))?;
        asked.set_write_timeout(Some(wait))?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let Some((host, port)) = command.query::<Option<(String, u16)>>(&mut asked)? else {
            let what = "it watches no service of the name";
            return Err(RedisError::from((ErrorKind::Io, what, self.service.clone())));
        };
        let master = Client::open(self.at(host, port))?;
        let address = master.get_connection_info().addr();
        let named = |error: RedisError| {
            let what = "the master that it names";
            RedisError::from((error.kind(), what, format!("{address}: {error}")))
        };
        let mut connection = master.get_connection_with_timeout(wait).map_err(named)?;
        connection.set_read_timeout(Some(wait))?;
        connection.set_write_timeout(Some(wait))?;
        let role: Value = redis::cmd("ROLE").query(&mut connection).map_err(named)?;
        if !is_master(&role) {
            let what = "the server that it names is a replica by now";
            return Err(RedisError::from((ErrorKind::Io, what, address.to_string())));
        }
        Ok(connection)
    }

    /// How the server at `host` and `port` is spoken to.
    fn at(&self, host: String, port: u16) -> ConnectionInfo {
        let info = self.server.get_connection_info().clone();
        let addr = match info.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        info.set_addr(addr)
    }
}

/// `ROLE` answers with a list that begins with the role.
fn is_master(role: &Value) -> bool {
    let Value::Array(words) = role else { return false };
    match words.first() {
        Some(Value::BulkString(word)) => word == b"master",
        Some(Value::SimpleString(word)) => word == "master",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_master_is_one() {
        let role = |word: &str| Value::Array(vec![Value::BulkString(word.into()), Value::Int(0)]);
        assert!(is_master(&role("master")));
        assert!(!is_master(&role("slave")) && !is_master(&role("sentinel")));
        assert!(!is_master(&Value::Nil));
    }
}
