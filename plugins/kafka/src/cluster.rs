//! The cluster: which brokers, how we log in, and the properties of librdkafka.
//!
//! Nobody's options may weaken what the sink promises, so only those on a list are taken.

use std::net::IpAddr;

use leadgate_plugin::{Problem, Problems, Secret, net, pointer_segment};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::settings::Settings;

/// Properties that `options` may set: how it is sent, never whether it arrives.
pub(crate) const ALLOWED: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "client.id",
    "compression.codec",
    "connections.max.idle.ms",
    "linger.ms",
    "message.max.bytes",
    "metadata.max.age.ms",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "topic.metadata.refresh.interval.ms",
];
/// Longest name of a topic.
const LONGEST: usize = 249;

/// How the cluster is reached.
pub(crate) struct Cluster {
    brokers: Vec<String>,
    login: Option<(String, Secret)>,
    options: Vec<(String, String)>,
    allow_plain: bool,
}

impl Cluster {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if settings.brokers.is_empty() {
            let problem = Problem::at("/brokers", "there is no broker to begin with");
            problems.push(problem.help("brokers = [\"127.0.0.1:9092\"]"));
        }
        for (number, broker) in settings.brokers.iter().enumerate() {
            if let Err(mut problem) = check_broker(broker, settings.allow_plain) {
                problem.path = format!("/brokers/{number}");
                problems.push(problem);
            }
        }
        problems.extend(wrong_topic(&settings.topic));
        let login = match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (Some(_), None) => {
                let problem = Problem::at("/username", "a user without `password`");
                problems.push(problem.help("password = \"env:KAFKA_PASSWORD\""));
                None
            }
            (None, Some(_)) => {
                problems.push(Problem::at("/password", "a password without `username`"));
                None
            }
            (None, None) => None,
        };
        for (name, value) in &settings.options {
            problems.extend(wrong_option(name, &value.to_string()));
        }
        let options = settings.options.iter();
        problems.into_result(Self {
            brokers: settings.brokers.clone(),
            login,
            options: options
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect(),
            allow_plain: settings.allow_plain,
        })
    }

    /// The brokers, for a person.
    pub(crate) fn name(&self) -> String {
        self.brokers.join(", ")
    }

    /// The first of `hosts`, where the cluster says that its brokers are, that leads must not
    /// be sent to.
    pub(crate) fn forbidden<'a>(&self, hosts: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let mut hosts = hosts.into_iter();
        let host = hosts.find(|host| !self.allow_plain && !net::is_loopback(host));
        host.map(str::to_owned)
    }

    /// Properties of a producer whose records end within `timeout_ms`.
    pub(crate) fn properties(&self, timeout_ms: u128) -> ClientConfig {
        let mut properties = ClientConfig::new();
        properties.set("client.id", "leadgate");
        for (name, value) in &self.options {
            properties.set(name, value);
        }
        properties
            .set("bootstrap.servers", self.brokers.join(","))
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", timeout_ms.to_string());
        if let Some((user, password)) = &self.login {
            properties
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.mechanism", "PLAIN")
                .set("sasl.username", user)
                .set("sasl.password", password.expose());
        }
        properties
    }
}

fn check_broker(text: &str, allow_plain: bool) -> Result<(), Problem> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && text.parse::<IpAddr>().is_err() => {
            (host, port.parse::<u16>().ok().filter(|port| *port > 0))
        }
        _ => (text, Some(9092)),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._:".contains(letter);
    if port.is_none() || bare.is_empty() || !bare.chars().all(fits) {
        let problem = Problem::at("", "not the address of a broker");
        return Err(problem.help("host and port: \"127.0.0.1:9092\""));
    }
    if !allow_plain && !net::is_loopback(host) {
        let problem = Problem::at("", "leads would cross the network unencrypted");
        let help = "this plugin has no TLS: send through a TLS proxy on this machine; or, if nobody else can listen there, allow_plain = true";
        return Err(problem.help(help));
    }
    Ok(())
}

fn wrong_topic(topic: &str) -> Option<Problem> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if ["{{", "{%", "{#"].iter().any(|mark| topic.contains(mark)) {
        let problem = Problem::at("/topic", "a lead must not choose the topic");
        Some(problem.help("for topics by store make a sink for each, with `when`"))
    } else if topic.is_empty()
        || topic.len() > LONGEST
        || matches!(topic, "." | "..")
        || !topic.chars().all(fits)
    {
        let problem = Problem::at("/topic", "not a name that a topic can have");
        Some(problem.help("1 to 249 of the letters a to z and A to Z, digits, `.`, `_` and `-`"))
    } else {
        None
    }
}

fn wrong_option(name: &str, value: &str) -> Option<Problem> {
    let at = format!("/options{}", pointer_segment(name));
    if !ALLOWED.contains(&name) {
        let help = match name {
            "bootstrap.servers" | "metadata.broker.list" => "use `brokers`".to_owned(),
            "sasl.username" | "sasl.password" => "use `username` and `password`".to_owned(),
            name if name.starts_with("ssl.") || name == "security.protocol" => {
                "this plugin is built without TLS".to_owned()
            }
            _ => format!("allowed are: {}", ALLOWED.join(", ")),
        };
        return Some(Problem::at(at, "not an option that can be set here").help(help));
    }
    let error = ClientConfig::new()
        .set(name, value)
        .create_native_config()
        .err()?;
    let why = match error {
        KafkaError::ClientConfig(_, why, _, _) => why,
        other => other.to_string(),
    };
    Some(Problem::at(at, why))
}
