//! Appends: an idempotent producer and the thread that takes the brokers' answers.

use crate::asker::Asker;
use crate::bell::Bell;
use crate::book::{Book, Load, Marked, Settled};
use crate::context::{Complaint, complain, tell};
use crate::options::KafkaOptions;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use sha2::{Digest, Sha256};
use sojourn_ports::{Append, Done, LogError, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the thread that takes answers looks whether the log is closed.
const ANSWERS_POLL: Duration = Duration::from_millis(50);

/// Hands answers on. Runs on the thread that polls.
pub(crate) struct Answers {
    book: Arc<Book>,
    asker: Arc<Asker>,
    bell: Arc<Bell>,
    complaint: Complaint,
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&self.complaint, &error, reason);
    }
}

impl ProducerContext for Answers {
    /// Number of a mark in the book; zero: none.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: usize) {
        match result {
            Ok(message) => {
                let offset = u64::try_from(message.offset()).unwrap_or(0);
                if let Some((index, next)) = self.book.stored(mark, offset) {
                    self.asker.saw_next(index, next);
                    self.bell.ring();
                }
            }
            Err((error, message)) => {
                let (topic, partition) = (message.topic(), message.partition());
                let what = format!("{topic}/{partition}: {error}");
                self.book.stop(&self.complaint.beside(&what));
                self.bell.ring();
            }
        }
    }
}

/// See the module.
pub(crate) struct Appender {
    producer: Arc<BaseProducer<Answers>>,
    pub(crate) book: Arc<Book>,
    asker: Arc<Asker>,
    complaint: Complaint,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    close_wait: Duration,
}

impl Appender {
    pub(crate) fn new(
        options: &KafkaOptions,
        asker: Arc<Asker>,
        bell: Arc<Bell>,
    ) -> Result<Self, KafkaError> {
        let book = Arc::new(Book::new(options.layout.total()));
        let complaint = Complaint::default();
        let answers = Answers {
            book: Arc::clone(&book),
            asker: Arc::clone(&asker),
            bell,
            complaint: complaint.clone(),
        };
        let producer: BaseProducer<Answers> = options.producer().create_with_context(answers)?;
        let producer = Arc::new(producer);
        let closed = Arc::new(AtomicBool::new(false));
        let thread = {
            let (producer, book, closed) =
                (Arc::clone(&producer), Arc::clone(&book), Arc::clone(&closed));
            let run = move || take_answers(&producer, &book, &closed);
            let named = std::thread::Builder::new().name("kafka-answers".to_owned());
            named.spawn(run).map_err(|error| KafkaError::ClientCreation(error.to_string()))?
        };
        let (thread, close_wait) = (Some(thread), options.sync_timeout);
        Ok(Self { producer, book, asker, complaint, closed, thread, close_wait })
    }

    /// Enqueues a call whose limits were checked. `known` are the offsets of appends without
    /// records, zero for the others.
    pub(crate) fn append(
        &self,
        appends: &[Append],
        loads: &[Load],
        known: Vec<u64>,
        done: Option<Done>,
        deadline: Instant,
    ) -> Result<(), LogError> {
        let bytes = loads.iter().map(|load| load.bytes).sum();
        self.book.admit(bytes, deadline).map_err(|error| self.explained(error))?;
        let marked = self.book.open(loads, known, done)?;
        for ((append, load), marked) in appends.iter().zip(loads).zip(&marked) {
            let place = &self.asker.places[load.index];
            if let Err(error) = self.send(append, place, marked) {
                // Part of the call may be on its way.
                self.book.stop(&error.to_string());
                let reason = error.to_string();
                return Err(LogError::Unknown { reason });
            }
        }
        Ok(())
    }

    fn send(
        &self,
        append: &Append,
        (name, partition): &(String, i32),
        marked: &Marked,
    ) -> Result<(), KafkaError> {
        let count = append.values.len();
        for (nth, value) in append.values.iter().enumerate() {
            let mark = match nth {
                0 => marked.first,
                _ if nth + 1 == count => marked.last,
                _ => 0,
            };
            let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(name, mark)
                .partition(*partition)
                .payload(&value[..]);
            let sent = if append.topic == Topic::Definitions {
                // Compaction keeps one of equal contents.
                let key = Sha256::digest(value);
                self.producer.send(record.key(&key[..])).map_err(|(error, _)| error)
            } else {
                self.producer.send(record).map_err(|(error, _)| error)
            };
            sent?;
        }
        Ok(())
    }

    /// Returns when everything appended before is stored.
    pub(crate) fn sync(&self, deadline: Instant) -> Result<(), LogError> {
        match self.book.settle(None, deadline) {
            Settled::All => Ok(()),
            Settled::Stopped(error) => Err(error),
            Settled::Late => {
                let reason = self.complaint.beside("the brokers have not answered in time");
                Err(LogError::Unknown { reason })
            }
        }
    }

    /// Waits for answers of one partition, so that its end covers what was appended here.
    pub(crate) fn settle(&self, index: usize, deadline: Instant) -> Result<(), LogError> {
        match self.book.settle(Some(index), deadline) {
            Settled::All | Settled::Stopped(_) => Ok(()),
            Settled::Late => {
                let reason = self.complaint.beside("appended records are not acknowledged yet");
                Err(LogError::Unavailable { reason })
            }
        }
    }

    fn explained(&self, error: LogError) -> LogError {
        match error {
            LogError::Unavailable { reason } => {
                LogError::Unavailable { reason: self.complaint.beside(&reason) }
            }
            other => other,
        }
    }

    /// Waits for what is on its way, then ends.
    #[expect(clippy::disallowed_methods, reason = "an edge: it waits for the brokers")]
    fn close(&mut self) {
        self.book.close();
        if self.book.settle(None, Instant::now() + self.close_wait) == Settled::Late {
            let reason = self.complaint.beside("the log was closed before the brokers answered");
            self.book.stop(&reason);
        }
        self.closed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that takes the brokers' answers has panicked");
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.close();
    }
}

fn take_answers(producer: &BaseProducer<Answers>, book: &Arc<Book>, closed: &AtomicBool) {
    /// A panic in a `done` must not leave others waiting for ever.
    struct StopOnPanic(Arc<Book>);
    impl Drop for StopOnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.stop("a thread has panicked");
            }
        }
    }
    let _guard = StopOnPanic(Arc::clone(book));
    let mut purged = false;
    while !closed.load(Ordering::SeqCst) {
        producer.poll(ANSWERS_POLL);
        if !purged && book.is_stopped() {
            // Nothing that stands behind the failed record may still go out.
            producer.purge(PurgeConfig::default().queue().inflight());
            purged = true;
        }
    }
}
