//! HTTP ingest: keep-alive connections that post batches as fast as they are answered.

use crate::cpu;
use crate::j1::{Generator, Settings};
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use hdrhistogram::Histogram;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Threads of a node that work for the gateway: the HTTP edge, and the journal's writer and keeper
/// (which write what the other roles append as well).
const GATEWAY_THREADS: [&str; 2] = ["edge", "journal"];

/// What to post.
pub struct Load {
    /// Address of the gateway.
    pub address: String,
    /// Write key.
    pub key: String,
    /// Process of the gateway.
    pub pid: u32,
    /// Touchpoints per request; 1 posts single calls.
    pub batch: usize,
    /// Requests.
    pub requests: usize,
    /// Connections.
    pub connections: usize,
}

/// Posts and prints touchpoints per second of wall time and of the server's CPU time.
pub fn run(load: &Load, settings: Settings) -> Result<()> {
    let requests = prepare(load, settings)?;
    let cpu_began = cpu::of_process(load.pid).context("no such process")?;
    let threads_began = cpu::of_threads(load.pid).context("no such process")?;
    let began = Instant::now();
    let share = requests.len().div_ceil(load.connections);
    let latencies = std::thread::scope(|scope| {
        let posts: Vec<_> = requests
            .chunks(share)
            .map(|share| scope.spawn(move || post_all(&load.address, share)))
            .collect();
        posts.into_iter().map(|post| post.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    let wall = began.elapsed();
    let cpu = cpu::of_process(load.pid).context("the server has gone")? - cpu_began;
    let threads = cpu::of_threads(load.pid).context("the server has gone")?;
    let mut all = Histogram::<u64>::new(3)?;
    for histogram in &latencies {
        all.add(histogram)?;
    }
    let count = (requests.len() * load.batch) as f64;
    println!("{} requests of {} on {} connections", requests.len(), load.batch, load.connections);
    println!("wall          {wall:.2?}  {:.0} touchpoints per second", count / wall.as_secs_f64());
    println!(
        "server's CPU  {cpu:.2?}  {:.0} touchpoints per core-second (all roles)",
        count / cpu.as_secs_f64()
    );
    let mut gateway = Duration::ZERO;
    for (name, time) in &threads {
        let time = time.saturating_sub(threads_began.get(name).copied().unwrap_or_default());
        if GATEWAY_THREADS.iter().any(|own| name.starts_with(own)) {
            gateway += time;
        }
        println!("  {name:<18}{time:.2?}");
    }
    println!(
        "gateway alone {gateway:.2?}  {:.0} touchpoints per core-second ({})",
        count / gateway.as_secs_f64(),
        GATEWAY_THREADS.join(", ")
    );
    println!(
        "answered in   p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        all.value_at_quantile(0.5) as f64 / 1e3,
        all.value_at_quantile(0.99) as f64 / 1e3,
        all.max() as f64 / 1e3
    );
    Ok(())
}

fn prepare(load: &Load, settings: Settings) -> Result<Vec<Vec<u8>>> {
    let mut generator = Generator::new(settings);
    let mut requests = Vec::with_capacity(load.requests);
    for _ in 0..load.requests {
        let messages: Vec<_> = generator.by_ref().take(load.batch).map(|m| m.json).collect();
        if messages.len() < load.batch {
            break;
        }
        requests.push(request(&load.key, &messages));
    }
    Ok(requests)
}

/// A request with these messages: a single call, or a batch of several.
pub(crate) fn request(key: &str, messages: &[String]) -> Vec<u8> {
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
    let (path, body) = match messages {
        [one] => ("track", one.clone()),
        _ => ("batch", format!(r#"{{"batch":[{}]}}"#, messages.join(","))),
    };
    format!(
        "POST /v1/{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {auth}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Posts as fast as it is answered, on one connection.
pub(crate) fn post_all(address: &str, requests: &[Vec<u8>]) -> Result<Histogram<u64>> {
    let mut connection = Connection::open(address)?;
    let mut latencies = Histogram::new(3)?;
    for request in requests {
        let began = Instant::now();
        connection.post(request)?;
        latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(latencies)
}

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Posts one request and waits for its 200.
    pub(crate) fn post(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        let status = read_answer(&mut self.reader)?;
        if status != 200 {
            bail!("the gateway answered {status}");
        }
        Ok(())
    }
}

fn read_answer(reader: &mut impl BufRead) -> Result<u16> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("no status line")?.parse()?;
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(status)
}
