//! Kafka: librdkafka's mock cluster, and what its topics hold, read by a real consumer.
//!
//! There is no broker of Kafka that a test could install without a Java machine; this one
//! speaks the protocol on real sockets and fails on demand.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

use crate::PATIENCE;

/// A cluster of one broker; it ends with this value.
pub struct Kafka {
    /// The cluster itself, for errors on demand.
    pub cluster: MockCluster<'static, DefaultProducerContext>,
}

/// A record that a consumer has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it was.
    pub offset: i64,
    /// Its key as text.
    pub key: Option<String>,
    /// Its headers as text.
    pub headers: Vec<(String, String)>,
    /// Its value as text.
    pub value: String,
}

impl Kafka {
    /// Starts one with a topic of one partition.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(topic: &str) -> Self {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(topic, 1, 1).expect("a topic");
        Self { cluster }
    }

    /// Host and port of the broker.
    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// The first `count` records of a topic.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn read(&self, topic: &str, count: usize) -> Vec<Record> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(topic, 0, Offset::Beginning)
            .expect("an offset");
        consumer.assign(&all).expect("assigned");
        (0..count)
            .map(|_| {
                let message = consumer.poll(PATIENCE).expect("a record").expect("reads");
                let text = |bytes: Option<&[u8]>| {
                    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"))
                };
                let headers = message.headers().map(|headers| {
                    let headers = headers.iter();
                    headers
                        .map(|one| (one.key.to_owned(), text(one.value).unwrap_or_default()))
                        .collect()
                });
                Record {
                    offset: message.offset(),
                    key: text(message.key()),
                    headers: headers.unwrap_or_default(),
                    value: text(message.payload()).unwrap_or_default(),
                }
            })
            .collect()
    }

    /// How many records the topic holds.
    ///
    /// # Panics
    ///
    /// If the broker does not say.
    pub fn count(&self, topic: &str) -> i64 {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .create()
            .expect("a consumer");
        let (low, high) = consumer
            .fetch_watermarks(topic, 0, Duration::from_secs(10))
            .expect("watermarks");
        high - low
    }
}
