//! `sojourn demo`: a sample shop comes to life in the terminal.
//!
//! Everything is real but the people: the whole product in this process on its embedded log, events
//! over HTTP, messages into a folder. Only the clock runs faster.

mod cast;
mod clock;
mod feeder;
mod ledger;
mod screen;
mod script;
mod summary;

use super::Globals;
use super::init;
use crate::admin::Admin;
use crate::exit::{Exit, unreachable, usage};
use crate::lines::Memory;
use crate::pace::instant;
use crate::server::{self, Server};
use crate::term::{self, Ink, paint};
use crate::{when, workspace};
use anyhow::{Context, Result};
use chrono::TimeZone;
use clap::Args;
use clock::StoryClock;
use feeder::{Feeder, Keys, Reaction, Told};
use ledger::Ledger;
use screen::Screen;
use serde_json::Value;
use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::Clock;
use sojourn_rules::Definitions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// A sample shop comes to life: customers on every channel, decisions and why
#[derive(Debug, Args)]
#[command(after_help = "Examples: sojourn demo
          sojourn demo --speed 1200 --seconds 30

After the story it keeps serving, and names three commands to try. Ctrl-C ends it.")]
pub(crate) struct Demo {
    /// How much faster the shop's clock runs: at 600, ten minutes pass in a second
    #[arg(long, default_value_t = 600.0)]
    speed: f64,
    /// Length of the story in seconds of yours
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Port of the gateway; another one is taken when it is in use
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Another seed tells another story
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End after the summary instead of serving on
    #[arg(long)]
    exit: bool,
    /// Write the story as a file for `sojourn simulate` instead of telling it
    #[arg(long, value_name = "FILE.jsonl")]
    events: Option<PathBuf>,
}

/// A record of the tail.
type Record = (String, Value);

/// How often the screen looks for something new.
const TURN: Duration = Duration::from_millis(30);
/// The first second of the story: Tuesday 3 March 2026, noon in York.
const BEGINS: (i32, u32, u32, u32) = (2026, 3, 3, 12);
/// Share of people who open a message, of openers who click, and of openers who unsubscribe.
const OPEN_PERCENT: u32 = 55;
const CLICK_PERCENT: u32 = 35;
const UNSUBSCRIBE_PERCENT: u32 = 6;

impl Demo {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        if !(1.0..=100_000.0).contains(&self.speed) {
            return Err(usage("--speed is a number from 1 to 100000"));
        }
        if self.seconds == 0 {
            return Err(usage("--seconds is at least 1"));
        }
        if let Some(path) = &self.events {
            return self.write_events(path);
        }
        let folder = tempfile::Builder::new()
            .prefix("sojourn-demo-")
            .tempdir()
            .context("cannot make a folder for the sample shop")?;
        let shop = folder.path().join("shop");
        init::write(&shop, init::find("shop")?)?;
        let definitions = workspace::definitions(&shop)?;
        let zone: chrono_tz::Tz =
            definitions.workspace.time_zone.parse().unwrap_or(chrono_tz::Tz::UTC);
        let noon = noon(zone)?;
        let clock = Arc::new(StoryClock::new(noon, self.speed));
        server::log_lines(globals.log, "error");
        let options = server::demo_options(&shop, self.port, clock.clone(), self.speed);
        // The story listens for Ctrl-C itself; before it there is nothing to save.
        let Some(server) = Server::start(options, &AtomicBool::new(false))? else {
            return Ok(Exit::Done);
        };
        let outcome = Story {
            args: &self,
            shop: &shop,
            definitions: &definitions,
            zone,
            clock,
            server: &server,
        }
        .tell(globals);
        server.stop()?;
        outcome
    }

    /// The story with the times at which the gateway would have got it.
    fn write_events(&self, path: &Path) -> Result<Exit> {
        let noon = noon(chrono_tz::Europe::London)?;
        let people = cast::people(self.seed);
        let mut lines = String::new();
        let steps = script::write(self.seed, &people);
        for (number, step) in steps.iter().enumerate() {
            lines.push_str(&step.line(noon, self.seed, number + 1).to_string());
            lines.push('\n');
        }
        std::fs::write(path, lines)
            .map_err(|error| unreachable(format!("cannot write {}: {error}", path.display())))?;
        term::line(&format!(
            "{} {} touchpoints of {} people to {}",
            paint(Ink::Good, "wrote"),
            steps.len(),
            people.len(),
            path.display()
        ));
        Ok(Exit::Done)
    }
}

/// The instant at which the story begins.
fn noon(zone: chrono_tz::Tz) -> Result<Timestamp> {
    let (year, month, day, hour) = BEGINS;
    let noon = zone.with_ymd_and_hms(year, month, day, hour, 0, 0).earliest();
    Ok(Timestamp(noon.context("noon exists")?.timestamp_millis()))
}

/// Everything that telling the story needs.
struct Story<'a> {
    args: &'a Demo,
    shop: &'a Path,
    definitions: &'a Definitions,
    zone: chrono_tz::Tz,
    clock: Arc<StoryClock>,
    server: &'a Server,
}

impl Story<'_> {
    fn tell(&self, globals: &Globals) -> Result<Exit> {
        let people = cast::people(self.args.seed);
        let stop = server::stop_on_signal()?;
        let records = self.follow()?;
        let (react, reactions) = channel();
        let (told, tellings) = channel();
        let feeder = Feeder {
            base: self.server.front_url(),
            keys: self.keys()?,
            clock: Arc::clone(&self.clock),
            seed: self.args.seed,
            steps: script::write(self.args.seed, &people).into(),
            reactions,
            told,
            stop: Arc::clone(&stop),
        };
        let feeder = std::thread::Builder::new()
            .name("feeder".into())
            .spawn(move || feeder.run())
            .context("cannot start a thread")?;
        let mut audience = Audience {
            screen: Screen::new(&people, cast::directory(&people), self.zone, self.outbox()),
            ledger: Ledger::default(),
            memory: Memory::default(),
            react,
            outbox: self.outbox(),
            seed: self.args.seed,
            people: people.len(),
            stop,
        };
        if !globals.json {
            self.introduce();
        }
        let outcome = self.watch(&mut audience, &records, &tellings, globals);
        audience.stop.store(true, Ordering::Relaxed);
        drop(audience);
        // The feeder sees the flag within a turn; its own error came through the channel.
        let _ = feeder.join();
        outcome
    }

    /// Follows everything from the beginning, on a thread of its own.
    fn follow(&self) -> Result<Receiver<Record>> {
        let (sender, receiver) = channel();
        let mut admin = Admin::at(&self.server.admin_address())?;
        std::thread::Builder::new()
            .name("tail".into())
            .spawn(move || {
                // Ends with the server, or when nobody listens any more.
                let _ = admin.tail("", "", true, &mut |kind, record| {
                    sender.send((kind.to_owned(), record)).is_ok()
                });
            })
            .context("cannot start a thread")?;
        Ok(receiver)
    }

    fn keys(&self) -> Result<Keys> {
        let secret = |id: &str| {
            let sources = &self.definitions.workspace.sources;
            let source = sources.iter().find(|source| *source.id == *id)?;
            source.secrets.values().next().map(|(value, _)| value.to_string())
        };
        let missing = "the sample shop has its sources";
        Ok(Keys {
            site: secret("site").context(missing)?,
            till: secret("till").context(missing)?,
            insta: secret("insta").context(missing)?,
        })
    }

    fn outbox(&self) -> PathBuf {
        self.shop.join("data/outbox")
    }

    fn introduce(&self) {
        let bold = |text: &str| paint(Ink::Bold, text);
        term::line(&format!(
            "{}: a web shop, a shop in Mill Lane, e-mail and Instagram; {} customers.",
            bold(&self.definitions.workspace.company.name),
            cast::PEOPLE
        ));
        term::line(&format!(
            "It is {}; one second of yours is {} in the shop. Nothing is really sent.",
            when::long(self.clock.now(), self.zone),
            pace(self.args.speed),
        ));
        term::line(&paint(
            Ink::Dim,
            &format!("gateway {}   folder {}", self.server.front_url(), self.shop.display()),
        ));
        term::line("");
    }

    /// The loop: records to ledger and screen until the story is over, then on until Ctrl-C.
    fn watch(
        &self,
        audience: &mut Audience,
        records: &Receiver<Record>,
        tellings: &Receiver<Told>,
        globals: &Globals,
    ) -> Result<Exit> {
        let mut began: Option<Instant> = None;
        let mut over = false;
        while !audience.stop.load(Ordering::Relaxed) {
            match records.recv_timeout(TURN) {
                Ok((kind, record)) => {
                    audience.take(&kind, record, self.clock.now());
                    while let Ok((kind, record)) = records.try_recv() {
                        audience.take(&kind, record, self.clock.now());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(unreachable("the server ended the stream of what happens"));
                }
            }
            while let Ok(told) = tellings.try_recv() {
                match told {
                    Told::Begins(at) => {
                        began = Some(instant());
                        audience.screen.begin(at);
                    }
                    Told::Prompt { at, who, text } => audience.screen.prompt(at, who, &text),
                    Told::Ended => {}
                    Told::Failed(text) => return Err(unreachable(text)),
                }
            }
            if !globals.json {
                audience.screen.turn();
            }
            let length = Duration::from_secs(self.args.seconds);
            if !over && began.is_some_and(|began| began.elapsed() >= length) {
                over = true;
                if !globals.json {
                    audience.screen.finish();
                }
                let faults = self.summarise(audience, globals)?;
                if faults > 0 {
                    return Ok(Exit::Internal);
                }
                if self.args.exit || globals.json {
                    return Ok(Exit::Done);
                }
            }
        }
        Ok(Exit::Done)
    }

    /// Shows the summary; gives the number of faults that the second look found.
    fn summarise(&self, audience: &mut Audience, globals: &Globals) -> Result<usize> {
        let check = audience.ledger.check(&self.definitions.policy);
        if globals.json {
            term::json(&summary::json(&audience.ledger, &check))?;
            return Ok(check.faults.len());
        }
        let now = self.clock.now();
        let passed = pace(self.args.speed * self.args.seconds as f64);
        let title = format!(
            "It is {} in the shop: {passed} in {} seconds of yours.",
            when::long(now, self.zone),
            self.args.seconds
        );
        for line in summary::page(&title, &audience.ledger, &check) {
            term::line(&line);
        }
        if !self.args.exit {
            for line in summary::next(
                self.shop,
                &self.server.front_url(),
                audience.screen.telling.as_deref(),
            ) {
                term::line(&line);
            }
        }
        Ok(check.faults.len())
    }
}

/// `10 minutes`, `10 hours`: a span of the shop's time, from seconds.
fn pace(seconds: f64) -> String {
    let (number, unit) = match seconds {
        s if s >= 2.0 * 86_400.0 => (s / 86_400.0, "day"),
        s if s >= 3_600.0 => (s / 3_600.0, "hour"),
        s if s >= 60.0 => (s / 60.0, "minute"),
        s => (s, "second"),
    };
    let number = (number * 10.0).round() / 10.0;
    format!("{number} {unit}{}", if (number - 1.0).abs() < f64::EPSILON { "" } else { "s" })
}

/// Those who see what happens: the reader, the book-keeper, and the people who get messages.
struct Audience {
    screen: Screen,
    ledger: Ledger,
    memory: Memory,
    react: Sender<Reaction>,
    outbox: PathBuf,
    seed: u64,
    people: usize,
    stop: Arc<AtomicBool>,
}

impl Audience {
    fn take(&mut self, kind: &str, mut record: Value, now: Timestamp) {
        self.memory.complete(kind, &mut record);
        self.ledger.take(kind, &record);
        if kind == "delivery" && record["outcome"] == "sent" && record["channel"] == "email" {
            self.read_mail(&record, now);
        }
        self.screen.take(kind, record);
    }

    /// The person opens the message, perhaps clicks, perhaps unsubscribes: through the very links
    /// that stand in it.
    fn read_mail(&self, record: &Value, now: Timestamp) {
        let Some(action) = record["action_id"].as_str() else { return };
        let Ok(bytes) = std::fs::read(self.outbox.join(format!("{action}.json"))) else { return };
        let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = &message["data"]["message"];
        let who = self.screen.who(record["profile"].as_str().unwrap_or("")).unwrap_or(self.people);
        let name = cast::FEATURED.get(who).copied();
        let seed = action
            .bytes()
            .fold(self.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut chance = sojourn_node::chance::Chance::new(seed);
        let template = record["template"].as_str().unwrap_or("");
        let (opens, clicks, leaves) = match (name, template) {
            (Some("Emre"), "welcome") => (true, false, true),
            (Some("Omar"), "cart-reminder") => (true, true, false),
            (Some(_), _) => (chance.percent(OPEN_PERCENT), false, false),
            (None, _) => {
                let opens = chance.percent(OPEN_PERCENT);
                let leaves = opens && chance.percent(UNSUBSCRIBE_PERCENT);
                (opens, opens && !leaves && chance.percent(CLICK_PERCENT), leaves)
            }
        };
        let html = message["html"].as_str().unwrap_or("");
        let text = message["text"].as_str().unwrap_or("");
        let link = |mark: &str| link(html, mark).or_else(|| link(text, mark));
        let minutes = DurationMs(chance.between(3, 25) * 60_000);
        let go = |path: Option<String>, after: i64, post: bool| {
            if let Some(path) = path {
                let at = now.plus(minutes).plus(DurationMs::seconds(after));
                // The feeder is gone only when everything ends.
                let _ = self.react.send(Reaction { at, path, post });
            }
        };
        if opens {
            go(link("/o/"), 0, false);
        }
        if clicks {
            go(link("/c/"), 20, false);
        }
        if leaves {
            go(link("/u/"), 40, true);
        }
    }
}

/// The first link of `text` whose path begins with `mark`: its path.
fn link(text: &str, mark: &str) -> Option<String> {
    let start = text.match_indices(mark).map(|(place, _)| place).find(|place| {
        let before = &text[..*place];
        // The path of an absolute URL: a host stands before it.
        before.rfind("://").is_some_and(|scheme| !before[scheme + 3..].contains('/'))
    })?;
    let end = text[start..]
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')'))
        .unwrap_or(text.len() - start);
    Some(text[start..start + end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_model::{Decision, Note};
    use sojourn_node::{rows, simulate};

    /// Hands what a simulation tells to the ledger and the screen, as the tail would.
    struct Spectator<'a> {
        ledger: Ledger,
        screen: Screen,
        definitions: &'a Definitions,
    }

    impl Spectator<'_> {
        fn take(&mut self, kind: &str, record: Value) {
            self.ledger.take(kind, &record);
            self.screen.take(kind, record);
        }
    }

    impl simulate::Watch for Spectator<'_> {
        fn decision(&mut self, decision: &Decision) -> Result<()> {
            let record = rows::decision(decision, Some(self.definitions));
            self.take("decision", record);
            Ok(())
        }
        fn note(&mut self, note: &Note) -> Result<()> {
            let record = rows::note(note);
            self.take("note", record);
            Ok(())
        }
    }

    /// The whole story, through the same engine: the second look agrees with it, and would not
    /// if it had allowed one message more.
    #[test]
    fn the_second_look_agrees_with_the_engine_over_the_whole_story() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        init::write(&shop, init::find("shop").unwrap()).unwrap();
        let (files, compiled) = workspace::compile(&shop).unwrap();
        let definitions = compiled.definitions.unwrap();
        let zone = chrono_tz::Europe::London;
        let people = cast::people(1);
        let begins = noon(zone).unwrap();
        let mut lines = String::new();
        for (number, step) in script::write(1, &people).iter().enumerate() {
            lines.push_str(&step.line(begins, 1, number + 1).to_string());
            lines.push('\n');
        }
        let mut spectator = Spectator {
            ledger: Ledger::default(),
            screen: Screen::new(&people, cast::directory(&people), zone, shop.join("data/outbox")),
            definitions: &definitions,
        };
        let until = begins.plus(DurationMs::days(3));
        let simulation = simulate::Simulation::new(&files, &shop).unwrap();
        let summary = simulation.run(&mut lines.as_bytes(), Some(until), &mut spectator).unwrap();
        assert!(summary.merges > 5, "{}", summary.merges);
        let check = spectator.ledger.check(&definitions.policy);
        assert_eq!(check.faults, Vec::<String>::new());
        assert!(check.windows > 100, "{}", check.windows);

        let mut stricter = definitions.policy.clone();
        for cap in &mut stricter.caps {
            cap.at_most = 0;
        }
        assert!(!spectator.ledger.check(&stricter).faults.is_empty());
    }

    #[test]
    fn links_are_found_by_their_path() {
        let html = r#"<a href="https://x.example/c/deep">a</a> <a href="http://127.0.0.1:8080/c/t0ken-_">b</a>"#;
        assert_eq!(link(html, "/c/").as_deref(), Some("/c/deep"));
        assert_eq!(link(html, "/u/"), None);
        let text = "Unsubscribe: http://127.0.0.1:8080/u/abc\nbye";
        assert_eq!(link(text, "/u/").as_deref(), Some("/u/abc"));
        assert_eq!(link("http://h/a/c/x", "/c/"), None);
    }

    #[test]
    fn spans_read_well() {
        assert_eq!(pace(600.0), "10 minutes");
        assert_eq!(pace(3_600.0), "1 hour");
        assert_eq!(pace(36_000.0), "10 hours");
        assert_eq!(pace(1.0), "1 second");
    }
}
