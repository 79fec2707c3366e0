//! From an accepted touchpoint to `Deliver`, by open loop: requests leave at their scheduled time,
//! whatever the answers do, so that a slow moment is seen by everything that came during it.
//!
//! The job's touchpoints make the load; among them go *probes*: an event whose journey sends a
//! `service` message at once, with the probe's number in its text. This process serves the channel.

use crate::broker::{self, Brokers};
use crate::http;
use crate::j1::{Generator, Message, Settings, files};
use crate::process::Sojourn;
use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt as _};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use sojourn_node::{Backend, WallClock};
use sojourn_ports::{ReadLimit, Topic};
use sojourn_proto::channel::channel_service_server::{ChannelService, ChannelServiceServer};
use sojourn_proto::channel::{
    DeliverRequest, DeliverResponse, DeliveryOutcome, DescribeRequest, DescribeResponse,
    ForgetRequest, ForgetResponse,
};
use sojourn_proto::{ActionRecord, decode_action_record};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::{Request, Response, Status, Streaming};

/// What to run.
pub struct Run {
    /// The program `sojourn`.
    pub program: PathBuf,
    /// Touchpoints per second.
    pub rate: u32,
    /// Touchpoints per request.
    pub batch: usize,
    /// Seconds of load.
    pub seconds: u32,
    /// Connections.
    pub connections: usize,
    /// The job's people.
    pub settings: Settings,
    /// Over the brokers of the environment, with so many partitions; otherwise on embedded storage.
    pub brokers: Option<u16>,
}

/// One touchpoint in so many is a probe.
const PROBE_ONE_IN: usize = 20;
/// Load before the first probe counts: connections, caches and the first segments are warm then.
const WARM: Duration = Duration::from_secs(3);
/// How long the last probes may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// When each probe was scheduled, answered 200 and delivered.
#[derive(Default, Clone, Copy)]
struct Times {
    scheduled: Option<Instant>,
    accepted: Option<Instant>,
    /// Its action could be read from the log by another process; looked at over brokers only.
    readable: Option<Instant>,
    delivered: Option<Instant>,
}

type Probes = Arc<Mutex<Vec<Times>>>;

/// Runs and prints the distribution.
pub fn run(folder: &Path, run: &Run) -> Result<()> {
    let probes: Probes = Arc::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("channel")
        .enable_all()
        .build()?;
    let channel = runtime.block_on(serve(probes.clone()))?;
    let storage = match run.brokers {
        Some(_) => Some(Brokers::from_env()?.storage(&broker::own_name())),
        None => None,
    };
    write_workspace(folder, &channel, storage.as_deref())?;
    if let Some(partitions) = run.brokers {
        broker::make_topics(&run.program, folder, partitions)?;
    }
    let server = Sojourn::start(&run.program, &["up"], folder)?;
    server.ready()?;
    if run.brokers.is_some() {
        watch_actions(folder, probes.clone())?;
    }
    let (known, load) = prepare(run)?;
    http::post_all(server.address(), &known).context("making the people known")?;
    probes.lock().resize(load.iter().map(|request| request.probes.len()).sum(), Times::default());
    let (cpu_began, began) = (server.cpu()?, Instant::now());
    std::thread::scope(|scope| {
        let posts: Vec<_> = (0..run.connections)
            .map(|place| {
                let own = load.iter().skip(place).step_by(run.connections);
                let (address, probes) = (server.address(), &probes);
                scope.spawn(move || post(address, own, began, probes))
            })
            .collect();
        posts.into_iter().try_for_each(|post| post.join().expect("no panic"))
    })?;
    let wall = began.elapsed();
    let cpu = server.cpu()? - cpu_began;
    let waited = Instant::now();
    while probes.lock().iter().any(|probe| probe.delivered.is_none()) {
        if waited.elapsed() > PATIENCE {
            bail!("not every probe was delivered within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = load.len() * run.batch;
    println!(
        "{sent} touchpoints in {wall:.2?}: {:.0} per second ({} wanted), {} per request, {} connections",
        sent as f64 / wall.as_secs_f64(),
        run.rate,
        run.batch,
        run.connections
    );
    println!("server's CPU  {:.0} % of one core", 100.0 * cpu.as_secs_f64() / wall.as_secs_f64());
    report(&probes.lock(), began + WARM)
}

fn report(probes: &[Times], from: Instant) -> Result<()> {
    let mut rows = [
        ("scheduled → 200", Histogram::<u64>::new(3)?),
        ("200 → Deliver", Histogram::<u64>::new(3)?),
        ("scheduled → Deliver", Histogram::<u64>::new(3)?),
        ("scheduled → action readable", Histogram::<u64>::new(3)?),
    ];
    for probe in probes {
        let (Some(scheduled), Some(accepted), Some(delivered)) =
            (probe.scheduled, probe.accepted, probe.delivered)
        else {
            bail!("a probe was lost");
        };
        if scheduled < from {
            continue;
        }
        // A message may leave before the answer does: both wait for the same fsync.
        let times = [
            Some(accepted - scheduled),
            Some(delivered.saturating_duration_since(accepted)),
            Some(delivered - scheduled),
            probe.readable.map(|readable| readable - scheduled),
        ];
        for ((_, histogram), time) in rows.iter_mut().zip(times) {
            let Some(time) = time else { continue };
            histogram.record(u64::try_from(time.as_micros())?)?;
        }
    }
    println!("{} probes after {WARM:?} of load", rows[0].1.len());
    for (name, histogram) in rows.iter().filter(|(_, histogram)| !histogram.is_empty()) {
        let at = |share: f64| histogram.value_at_quantile(share) as f64 / 1e3;
        println!(
            "{name:<28} p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            at(0.5),
            at(0.99),
            at(0.999),
            histogram.max() as f64 / 1e3
        );
    }
    Ok(())
}

/// One request of the load: when it leaves after the begin, and the probes in it.
struct Scheduled {
    after: Duration,
    bytes: Vec<u8>,
    probes: Vec<usize>,
}

/// The requests that make the people known, and the load.
fn prepare(run: &Run) -> Result<(Vec<Vec<u8>>, Vec<Scheduled>)> {
    let mut generator = Generator::new(run.settings);
    let mut known: Vec<Message> = Vec::new();
    while let Some(messages) = generator.prelude() {
        known.extend(messages);
    }
    let known = known
        .chunks(200)
        .map(|share| {
            http::request("bench", &share.iter().map(|m| m.json.clone()).collect::<Vec<_>>())
        })
        .collect();
    let requests = (run.rate as usize * run.seconds as usize).div_ceil(run.batch);
    let pause = Duration::from_secs(1).mul_f64(run.batch as f64 / f64::from(run.rate));
    let (mut made, mut probes) = (0, 0);
    let mut load = Vec::with_capacity(requests);
    for place in 0..requests {
        let mut own = Vec::new();
        let mut messages = Vec::with_capacity(run.batch);
        for _ in 0..run.batch {
            made += 1;
            if made % PROBE_ONE_IN == 0 {
                let person = probes % run.settings.people as usize;
                messages.push(format!(
                    r#"{{"type":"track","event":"Probe","messageId":"probe-{probes}","userId":"u{person}","properties":{{"n":"{probes}"}}}}"#
                ));
                own.push(probes);
                probes += 1;
            } else {
                messages.push(generator.next().context("the generator ends early")?.json);
            }
        }
        load.push(Scheduled {
            after: pause.mul_f64(place as f64),
            bytes: http::request("bench", &messages),
            probes: own,
        });
    }
    Ok((known, load))
}

/// Posts a share of the load on one connection, each request at its time or as soon as it can.
fn post<'a>(
    address: &str,
    load: impl Iterator<Item = &'a Scheduled>,
    began: Instant,
    probes: &Probes,
) -> Result<()> {
    let mut connection = http::Connection::open(address)?;
    for request in load {
        let scheduled = began + request.after;
        std::thread::sleep(scheduled.saturating_duration_since(Instant::now()));
        connection.post(&request.bytes)?;
        let accepted = Instant::now();
        let mut probes = probes.lock();
        for probe in &request.probes {
            probes[*probe].scheduled = Some(scheduled);
            probes[*probe].accepted = Some(accepted);
        }
    }
    Ok(())
}

/// Reads the topic of actions as a dispatcher in another process would, until the process ends.
fn watch_actions(folder: &Path, probes: Probes) -> Result<()> {
    let definitions = sojourn_node::compiled(&sojourn_node::read_workspace(folder)?)?;
    let clock = Arc::new(WallClock::real());
    let log = Backend::open(folder, &definitions.workspace.storage, clock)?.log;
    let mut at = Vec::new();
    for partition in 0..log.partitions(Topic::Actions) {
        at.push((Topic::Actions, partition, log.bounds(Topic::Actions, partition)?.next));
    }
    let limit = ReadLimit { records: 1_000, bytes: 1 << 20, durable_only: true };
    std::thread::spawn(move || {
        let mut entries = Vec::new();
        loop {
            log.wait(&at, true, Duration::from_millis(100));
            for (topic, partition, next) in &mut at {
                entries.clear();
                if let Err(error) = log.read(*topic, *partition, *next, limit, &mut entries) {
                    eprintln!("the topic of actions: {error}");
                    return;
                }
                let now = Instant::now();
                for entry in &entries {
                    *next = entry.offset + 1;
                    let Ok((_, ActionRecord::Action(action))) = decode_action_record(&entry.value)
                    else {
                        continue;
                    };
                    let number = action.cause.strip_prefix("probe-").map(str::parse::<usize>);
                    if let Some(Ok(number)) = number
                        && let Some(probe) = probes.lock().get_mut(number)
                    {
                        probe.readable.get_or_insert(now);
                    }
                }
            }
        }
    });
    Ok(())
}

fn write_workspace(folder: &Path, channel: &str, storage: Option<&str>) -> Result<()> {
    let mut files = files(3_600).0;
    let settings = files.get_mut("sojourn.yaml").context("there is one")?;
    *settings = settings.replace("http://127.0.0.1:9101", channel);
    if let Some(storage) = storage {
        *settings = broker::with_storage(settings, storage);
    }
    let plan = files.get_mut("tracking-plan.yaml").context("there is one")?;
    *plan = plan.replace(
        "attributes:\n",
        "  Probe:\n    channel: web\n    properties:\n      n: { type: string, purposes: [service] }\nattributes:\n",
    );
    let mut put = |path: &str, text: &str| files.insert(path.to_owned(), text.to_owned());
    put(
        "journeys/probe.yaml",
        "journey: probe\npurpose: service\nentry: { on: Probe, reentry: always }\nsteps:\n  - id: tell\n    send: { template: probe, channels: [email] }\n",
    );
    put("templates/probe/en.yaml", "subject: \"Probe\"\nbody: en.txt\n");
    put("templates/probe/en.txt", "probe {{ event.properties.n }} end\n");
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().context("below the folder")?)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// The channel: notes when a probe arrives and says *sent*.
#[derive(Clone)]
struct Receiver(Probes);

async fn serve(probes: Probes) -> Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let service = ChannelServiceServer::new(Receiver(probes));
    tokio::spawn(
        tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    Ok(address)
}

#[tonic::async_trait]
impl ChannelService for Receiver {
    type DeliverStream = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

    async fn describe(
        &self,
        _: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        Ok(Response::new(DescribeResponse {
            channels: vec!["email".into(), "push".into()],
            idempotency_window_s: 3_600,
            status_lookup: false,
            in_flight: 256,
        }))
    }

    async fn deliver(
        &self,
        request: Request<Streaming<DeliverRequest>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        let probes = self.0.clone();
        let answers = request.into_inner().map(move |request| {
            let request = request?;
            let now = Instant::now();
            let text = request.message.map(|message| message.text).unwrap_or_default();
            let number = text.strip_prefix("probe ").and_then(|rest| rest.split(' ').next());
            if let Some(Ok(number)) = number.map(str::parse::<usize>)
                && let Some(probe) = probes.lock().get_mut(number)
            {
                probe.delivered.get_or_insert(now);
            }
            Ok(DeliverResponse {
                action_id: request.action_id,
                outcome: DeliveryOutcome::Sent.into(),
                ..DeliverResponse::default()
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn forget(&self, _: Request<ForgetRequest>) -> Result<Response<ForgetResponse>, Status> {
        Ok(Response::new(ForgetResponse {}))
    }
}
