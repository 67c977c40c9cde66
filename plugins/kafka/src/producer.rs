//! The producer: librdkafka's, idempotent, and how a record is handed over.
//!
//! It is made at the first record and used by all, and made again after an error that it does
//! not survive. Before a record is sent where the last one failed, or where a connection was lost
//! since, the topic is looked for: so while the cluster is away, attempts end knowing that
//! nothing was sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use leadgate_plugin::template::Message;
use leadgate_plugin::{Host, Level};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::{MetadataBroker, MetadataTopic};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use crate::classify;
use crate::cluster::Cluster;

/// The header with the delivery's id.
pub(crate) const ID: &str = "leadgate-delivery-id";
/// How much sooner than the attempt librdkafka gives a record up.
const EARLIER: Duration = Duration::from_millis(100);
/// Brokers that make topics by themselves say at first that there is none: so many looks, so
/// far apart.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// A cluster is looked at again after this, also while all is well: it may have moved to where
/// leads must not go unencrypted.
const FRESH: Duration = Duration::from_mins(1);
/// How often it is asked whether the login was refused.
const GLANCE: Duration = Duration::from_millis(50);
/// The least that librdkafka gets.
const LEAST: Duration = Duration::from_millis(100);

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No producer, or no broker that knows the topic; nothing was sent.
    Unreachable(String),
    /// The cluster has a broker on another machine, which is not allowed; nothing was sent.
    Elsewhere(String),
    /// The login was refused; nothing was sent.
    Login,
    /// The topic is not there.
    NoTopic,
    /// What librdkafka or the broker says of the record.
    Said(Code),
    /// No answer in time.
    Silent,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What is produced.
pub(crate) struct Record<'a> {
    pub(crate) key: Option<&'a str>,
    /// The delivery's.
    pub(crate) id: &'a str,
    pub(crate) message: &'a Message,
}

/// A cluster, seen by one topic.
pub(crate) struct Producer {
    pub(crate) cluster: Cluster,
    topic: String,
    host: Host,
    /// Locked while the topic is looked for: nothing that comes after a record was handed over
    /// may wait for it.
    known: tokio::sync::Mutex<Option<Known>>,
}

/// What librdkafka said beside answers: its code and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble(Code, String);

#[derive(Clone)]
struct Known {
    producer: FutureProducer<Ear>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    /// Whether the last record arrived.
    works: Arc<AtomicBool>,
    /// When the topic and its cluster were looked at.
    seen: Instant,
}

impl Producer {
    pub(crate) fn new(cluster: Cluster, topic: String, host: Host) -> Self {
        Self {
            cluster,
            topic,
            host,
            known: tokio::sync::Mutex::new(None),
        }
    }

    /// Produces `message` under `id`, in any case within `patience`, which is always the same.
    pub(crate) async fn produce(
        &self,
        key: Option<&str>,
        id: &str,
        message: &Message,
        patience: Duration,
    ) -> Result<Place, Failure> {
        let record = Record { key, id, message };
        let mut all = self.produce_all(&[record], patience).await;
        all.pop().unwrap_or(Err(Failure::Silent))
    }

    /// Produces all `records` at once, in any case within `patience`; what became of each.
    pub(crate) async fn produce_all(
        &self,
        records: &[Record<'_>],
        patience: Duration,
    ) -> Vec<Result<Place, Failure>> {
        let ends = Instant::now() + patience;
        let known = timeout_at(ends, self.ready(patience, ends)).await;
        let known =
            known.unwrap_or_else(|_| Err(Failure::Unreachable("no connection in time".to_owned())));
        let known = match known {
            Ok(known) => known,
            Err(failure) => return vec![Err(failure); records.len()],
        };
        // All are handed over before the first is waited for: librdkafka sends them together.
        let handed: Vec<_> = records
            .iter()
            .map(|record| self.hand(&known, record))
            .collect();
        let results = join_all(handed.into_iter().map(|handed| async {
            match timeout_at(ends, handed?).await {
                Ok(Ok(Ok(place))) => Ok(Place {
                    partition: place.partition,
                    offset: place.offset,
                }),
                Ok(Ok(Err((error, _)))) => Err(known.failure(&error)),
                // Dropped by librdkafka, or still on its way.
                Ok(Err(_)) | Err(_) => Err(Failure::Silent),
            }
        }));
        let results = results.await;
        known
            .works
            .store(results.iter().all(Result::is_ok), Ordering::Relaxed);
        results
    }

    /// Hands a record to librdkafka.
    fn hand(&self, known: &Known, record: &Record<'_>) -> Result<DeliveryFuture, Failure> {
        let Record { key, id, message } = record;
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len() + 1);
        let own = [(ID, *id)];
        let given = message.headers.iter();
        let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
        for (key, value) in given.chain(own) {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        let mut record = FutureRecord::<str, [u8]>::to(&self.topic)
            .payload(&message.body)
            .headers(headers);
        record.key = *key;
        let handed = known.producer.send_result(record);
        handed.map_err(|(error, _)| known.failure(&error))
    }

    /// Connects, logs in and looks for the topic.
    pub(crate) async fn try_login(&self, ends: Instant) -> Result<(), Failure> {
        let left = ends.saturating_duration_since(Instant::now());
        self.ready(left, ends).await.map(drop)
    }

    /// The producer, after it was seen that the topic can be reached.
    async fn ready(&self, patience: Duration, ends: Instant) -> Result<Known, Failure> {
        let mut slot = self.known.lock().await;
        let mut known = match &*slot {
            Some(known) if known.is_lost() => self.make(patience)?,
            Some(known) if known.is_well() => return Ok(known.clone()),
            Some(known) => known.clone(),
            None => self.make(patience)?,
        };
        *slot = Some(known.clone());
        *known.trouble() = None;
        let mut tries = 1;
        while let Err(failure) = self.look(&known, ends).await {
            if failure != Failure::NoTopic || tries == TRIES || Instant::now() + PAUSE >= ends {
                return Err(failure);
            }
            tries += 1;
            sleep(PAUSE).await;
        }
        known.works.store(true, Ordering::Relaxed);
        known.seen = Instant::now();
        *slot = Some(known.clone());
        Ok(known)
    }

    /// Whether the topic is there, and where its cluster is.
    async fn look(&self, known: &Known, ends: Instant) -> Result<(), Failure> {
        let left = ends.saturating_duration_since(Instant::now());
        let left = left.saturating_sub(EARLIER);
        let (producer, topic) = (known.producer.clone(), self.topic.clone());
        let looking = tokio::task::spawn_blocking(move || {
            producer.client().fetch_metadata(Some(&topic), left)
        });
        // librdkafka would try a login that was refused until the end.
        let refused = async {
            while !known.is_refused() {
                sleep(GLANCE).await;
            }
        };
        let looked = tokio::select! {
            looked = looking => looked,
            () = refused => return Err(Failure::Login),
        };
        let looked =
            looked.map_err(|_| Failure::Unreachable("the look for the topic failed".to_owned()))?;
        let metadata = looked.map_err(|error| known.unreachable(&error))?;
        let brokers = metadata.brokers().iter().map(MetadataBroker::host);
        if let Some(host) = self.cluster.forbidden(brokers) {
            return Err(Failure::Elsewhere(host));
        }
        let topic = metadata.topics().first();
        match topic.and_then(MetadataTopic::error).map(Code::from) {
            None => Ok(()),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Err(Failure::NoTopic),
            Some(code) => Err(Failure::Said(code)),
        }
    }

    fn make(&self, patience: Duration) -> Result<Known, Failure> {
        let timeout = patience.saturating_sub(EARLIER).max(LEAST);
        let trouble = Arc::default();
        let ear = Ear {
            host: self.host.clone(),
            trouble: Arc::clone(&trouble),
        };
        let properties = self.cluster.properties(timeout.as_millis());
        let producer = FutureProducer::from_config_and_context(&properties, ear);
        let producer = producer.map_err(|error| Failure::Unreachable(error.to_string()))?;
        Ok(Known {
            producer,
            trouble,
            works: Arc::default(),
            seen: Instant::now(),
        })
    }
}

impl Known {
    /// Whether it will never send anything again.
    fn is_lost(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    /// Whether nothing speaks against sending a record at once.
    fn is_well(&self) -> bool {
        self.works.load(Ordering::Relaxed)
            && self.seen.elapsed() < FRESH
            && self.trouble().is_none()
    }

    /// Whether a broker refused the login.
    fn is_refused(&self) -> bool {
        let said = self.trouble();
        said.as_ref().is_some_and(|said| is_about_login(said.0))
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it means that a record was not taken.
    fn failure(&self, error: &KafkaError) -> Failure {
        match error.rdkafka_error_code() {
            // What may have been written is in doubt, whatever became of the producer.
            Some(code) if classify::is_in_doubt(code) => Failure::Said(code),
            _ if self.is_lost() => Failure::Said(Code::Fatal),
            code => Failure::Said(code.unwrap_or(Code::Unknown)),
        }
    }

    /// What it means that the topic cannot be looked for.
    fn unreachable(&self, error: &KafkaError) -> Failure {
        let said = self.trouble().clone();
        let code = said.as_ref().map(|said| said.0);
        match (code.or(error.rdkafka_error_code()), said) {
            (Some(code), _) if is_about_login(code) => Failure::Login,
            // Which broker, and what the system says; of a login only the code is told.
            (Some(Code::BrokerTransportFailure | Code::Resolve), Some(Trouble(_, words))) => {
                Failure::Unreachable(one_line(&words))
            }
            (Some(code), _) => Failure::Unreachable(code.to_string()),
            (None, _) => Failure::Unreachable(error.to_string()),
        }
    }
}

/// Hears what librdkafka says beside answers.
struct Ear {
    host: Host,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

impl ClientContext for Ear {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        let fields = json!({"facility": facility, "text": text});
        self.host
            .log(Level::Debug, "librdkafka said something", &fields);
    }

    fn error(&self, error: KafkaError, words: &str) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down is said after why.
        let code = error.rdkafka_error_code();
        if code != Some(Code::AllBrokersDown) || trouble.is_none() {
            *trouble = code.map(|code| Trouble(code, words.to_owned()));
        }
    }
}

fn is_about_login(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed)
}

/// What librdkafka says, short and on one line.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(200));
    line
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;

    use super::*;

    fn producer() -> Producer {
        let settings = json!({"brokers": ["127.0.0.1:1"], "topic": "leads"});
        let settings = serde_json::from_value(settings).expect("settings");
        let cluster = Cluster::new(&settings).expect("valid");
        let host = Host::detached("kafka", Tables::new());
        Producer::new(cluster, "leads".to_owned(), host)
    }

    #[test]
    fn after_a_connection_was_lost_the_topic_is_looked_for_before_a_record_is_sent() {
        let mut known = producer().make(LEAST).expect("a producer");
        // Nobody else writes to this one.
        known.trouble = Arc::default();
        assert!(!known.is_well(), "it was never seen to work");
        known.works.store(true, Ordering::Relaxed);
        assert!(known.is_well());
        let lost = Trouble(Code::BrokerTransportFailure, "broker:9092: gone".to_owned());
        *known.trouble() = Some(lost);
        assert!(!known.is_well());
        let error = KafkaError::MetadataFetch(Code::OperationTimedOut);
        let why = Failure::Unreachable("broker:9092: gone".to_owned());
        assert_eq!(known.unreachable(&error), why);
        let refused = Trouble(Code::Authentication, "of t0p".to_owned());
        *known.trouble() = Some(refused);
        assert_eq!(known.unreachable(&error), Failure::Login);
    }
}
