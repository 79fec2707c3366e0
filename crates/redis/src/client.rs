//! Connections: a pool of them, time-outs, and what an error says about a write.

use crate::address::{Kind, RedisOptions, kind};
use crate::limits::IDLE_CONNECTIONS_MAX;
use crate::script::Source;
use parking_lot::Mutex;
use redis::{Cmd, ConnectionLike, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use std::time::Duration;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address or prefix makes no sense.
    #[error("redis: {0}")]
    Address(String),
    /// Nobody answers there.
    #[error("redis: no answer: {0}")]
    Unreachable(String),
    /// Its settings would lose data.
    #[error("redis: {0}")]
    Unfit(String),
}

type Connection = Box<dyn ConnectionLike + Send>;

/// A pool of connections.
pub(crate) struct Client {
    kind: Kind,
    prefix: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    idle: Mutex<Vec<Connection>>,
}

/// A call that went wrong.
pub(crate) struct CallError {
    /// What the library said.
    pub(crate) text: String,
    /// The server has certainly not run it.
    pub(crate) not_done: bool,
}

impl Client {
    pub(crate) fn open(options: &RedisOptions) -> Result<Self, OpenError> {
        if options.prefix.is_empty() || options.prefix.contains(['{', '}']) {
            let prefix = &options.prefix;
            return Err(OpenError::Address(format!("prefix {prefix:?} is empty or has a brace")));
        }
        let kind = kind(options).map_err(|error| OpenError::Address(error.to_string()))?;
        let client = Self {
            kind,
            prefix: options.prefix.clone(),
            connect_timeout: options.connect_timeout,
            response_timeout: options.response_timeout,
            idle: Mutex::default(),
        };
        let first = client.connect().map_err(|error| OpenError::Unreachable(error.to_string()))?;
        client.idle.lock().push(first);
        Ok(client)
    }

    /// Whether it is a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    /// A key of `tag`: all keys of one tag lie in one slot.
    pub(crate) fn key(&self, tag: &str, rest: &str) -> String {
        format!("{}:{{{tag}}}:{rest}", self.prefix)
    }

    fn connect(&self) -> Result<Connection, RedisError> {
        match &self.kind {
            Kind::Single(client) => {
                let connection = client.get_connection_with_timeout(self.connect_timeout)?;
                connection.set_read_timeout(Some(self.response_timeout))?;
                connection.set_write_timeout(Some(self.response_timeout))?;
                Ok(Box::new(connection))
            }
            Kind::Cluster(client) => Ok(Box::new(client.get_connection()?)),
            Kind::Sentinel(sentinels) => {
                let connection = sentinels.connect(self.connect_timeout)?;
                connection.set_read_timeout(Some(self.response_timeout))?;
                connection.set_write_timeout(Some(self.response_timeout))?;
                Ok(Box::new(connection))
            }
        }
    }

    fn on<T>(
        &self,
        fresh: bool,
        call: &dyn Fn(&mut dyn ConnectionLike) -> Result<T, RedisError>,
    ) -> Result<T, (RedisError, bool)> {
        let pooled = if fresh { None } else { self.idle.lock().pop() };
        let mut connection = match pooled {
            Some(connection) => connection,
            None => self.connect().map_err(|error| (error, false))?,
        };
        let result = call(&mut *connection);
        let broken = matches!(&result, Err(error) if !is_answer(error) || is_demoted(error));
        let mut idle = self.idle.lock();
        if broken {
            // The others lead to the same server and are likely dead, too.
            idle.clear();
        } else if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        result.map_err(|error| (error, true))
    }

    /// Something that may be done twice: tried again on a new connection when one breaks.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, String> {
        let call = |connection: &mut dyn ConnectionLike| command.query(connection);
        match self.on(false, &call) {
            Err((error, true)) if !is_answer(&error) && !error.is_timeout() => {
                self.on(true, &call).map_err(|(error, _)| error.to_string())
            }
            result => result.map_err(|(error, _)| error.to_string()),
        }
    }

    /// Runs a script once.
    pub(crate) fn run<T: FromRedisValue>(
        &self,
        script: &Source,
        keys: &[String],
        args: &[&[u8]],
    ) -> Result<T, CallError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len());
            for key in keys {
                command.arg(key);
            }
            for arg in args {
                command.arg(*arg);
            }
            command
        };
        let by_hash = command("EVALSHA", &script.hash);
        let call = |connection: &mut dyn ConnectionLike| match by_hash.query(connection) {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                // Also loads it: the server has been restarted, or is new in the cluster.
                command("EVAL", script.code).query(connection)
            }
            result => result,
        };
        self.on(false, &call).map_err(|(error, sent)| CallError {
            text: error.to_string(),
            // A cluster client tries again by itself: an earlier attempt may have been run.
            not_done: !sent || (is_answer(&error) && !self.is_cluster()),
        })
    }

    /// Runs a script that may be run twice.
    pub(crate) fn run_again<T: FromRedisValue>(
        &self,
        script: &Source,
        keys: &[String],
        args: &[&[u8]],
    ) -> Result<T, String> {
        match self.run(script, keys, args) {
            Err(error) if !error.not_done => self.run(script, keys, args),
            result => result,
        }
        .map_err(|error| error.text)
    }
}

/// Whether the server is the master no more: the next connection finds the new one.
fn is_demoted(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether the server itself has refused.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}
