//! The stream: one connection to the servers, and how a message is handed to JetStream.
//!
//! A publication is a request that the stream answers when it has stored the message. The
//! connection is made at the first one, shared, and made again after it is lost, one at a
//! time. What failed is said with how far it came: until a message was sent nobody has it.

use std::error::Error;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, Event, HeaderMap, RequestErrorKind, ServerError};
use leadgate_plugin::template::Message;
use leadgate_plugin::tls::distrust;
use serde::Deserialize;
use tokio::sync::{Mutex, broadcast};
use tokio::time::{Instant, sleep, timeout_at};

use crate::servers::Servers;

/// Longest wait for one server to take a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// A stream that changes its leader is not there for a moment: so many tries, so far apart.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);
/// A connection that is silent for twice as long is lost.
const PING: Duration = Duration::from_secs(10);
/// Events that a waiting attempt may be behind.
const NEWS: usize = 64;

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection; nothing was sent.
    Unreachable(String),
    /// The login was refused, or cannot be used.
    Login(String),
    /// We may not publish to the subject.
    Forbidden,
    /// No stream is bound to the subject.
    NoStream,
    /// Something that is no stream answered.
    Stranger,
    /// The message is larger than the server takes.
    TooLarge,
    /// JetStream refused it: code, number of the error, description.
    Refused(u16, u32, String),
    /// The connection ended before the answer.
    Lost,
    /// No answer in time.
    Silent,
}

/// A message that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Stored {
    pub(crate) stream: String,
    pub(crate) seq: u64,
    /// It had been stored before, under the same id.
    #[serde(default)]
    pub(crate) duplicate: bool,
}

#[derive(Deserialize)]
struct Refusal {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// What the servers say beside answers.
#[derive(Clone)]
enum News {
    Lost,
    Said(String),
}

struct Connection {
    client: Client,
    news: broadcast::Sender<News>,
}

/// The stream, as far as we know it.
pub(crate) struct Stream {
    pub(crate) servers: Servers,
    connection: Mutex<Option<Connection>>,
}

impl Stream {
    pub(crate) fn new(servers: Servers) -> Self {
        Self {
            servers,
            connection: Mutex::new(None),
        }
    }

    /// Publishes `message` under `id`, in any case until `ends`.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        id: &str,
        message: &Message,
        ends: Instant,
    ) -> Result<Stored, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.append(name.as_str(), value.as_str());
        }
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        let mut tries = 0;
        loop {
            let (client, news) = self.connected(ends).await?;
            let request = async_nats::Request::new()
                .headers(headers.clone())
                .payload(message.body.clone().into())
                .timeout(None);
            let answer = tokio::select! {
                answer = timeout_at(ends, client.send_request(subject.to_owned(), request)) => {
                    answer.map_err(|_| Failure::Silent)?
                }
                failure = refused(news, subject) => return Err(failure),
            };
            let failure = match answer {
                Ok(answer) => return read(&answer.payload),
                Err(error) => match error.kind() {
                    RequestErrorKind::NoResponders => Failure::NoStream,
                    RequestErrorKind::MaxPayloadExceeded => Failure::TooLarge,
                    RequestErrorKind::TimedOut => Failure::Silent,
                    RequestErrorKind::InvalidSubject | RequestErrorKind::Other => Failure::Lost,
                },
            };
            tries += 1;
            if failure != Failure::NoStream || tries == TRIES || Instant::now() + PAUSE >= ends {
                return Err(failure);
            }
            sleep(PAUSE).await;
        }
    }

    /// Connects and logs in.
    pub(crate) async fn try_login(&self, ends: Instant) -> Result<(), Failure> {
        self.connected(ends).await.map(drop)
    }

    /// The connection, made anew if there is none any more.
    async fn connected(
        &self,
        ends: Instant,
    ) -> Result<(Client, broadcast::Receiver<News>), Failure> {
        let late = || Failure::Unreachable("no connection in time".to_owned());
        let mut slot = timeout_at(ends, self.connection.lock())
            .await
            .map_err(|_| late())?;
        if let Some(known) = &*slot
            && known.client.connection_state() == State::Connected
        {
            return Ok((known.client.clone(), known.news.subscribe()));
        }
        // Those who still wait on the old one are told by it, or by their deadline.
        *slot = None;
        let fresh = timeout_at(ends, self.connect())
            .await
            .map_err(|_| late())??;
        let parts = (fresh.client.clone(), fresh.news.subscribe());
        *slot = Some(fresh);
        Ok(parts)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let options = self.servers.options();
        let options = options.map_err(|error| Failure::Login(error.to_string()))?;
        let (news, _) = broadcast::channel(NEWS);
        let told = news.clone();
        let client = options
            .connection_timeout(PATIENCE)
            .ping_interval(PING)
            // They may be on machines that the settings do not allow, or without TLS.
            .ignore_discovered_servers()
            // One round of the servers after a loss; then the next attempt connects anew.
            .max_reconnects(self.servers.addresses.len())
            .event_callback(move |event| {
                let news = match event {
                    Event::Disconnected | Event::Closed => Some(News::Lost),
                    Event::ServerError(ServerError::Other(text)) => Some(News::Said(text)),
                    _ => None,
                };
                if let Some(news) = news {
                    // Nobody may be waiting.
                    let _ = told.send(news);
                }
                std::future::ready(())
            })
            .connect(self.servers.addresses.as_slice())
            .await;
        match client {
            Ok(client) => Ok(Connection { client, news }),
            Err(error) => Err(match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    Failure::Login("the server refused the login".to_owned())
                }
                kind => {
                    Failure::Unreachable(distrust(&error, "ca", "servers").unwrap_or_else(|| {
                        let source = error.source().map(ToString::to_string);
                        one_line(&source.unwrap_or_else(|| kind.to_string()))
                    }))
                }
            }),
        }
    }
}

/// Waits until the servers say that the connection is lost or that `subject` is not for us.
async fn refused(mut news: broadcast::Receiver<News>, subject: &str) -> Failure {
    loop {
        match news.recv().await {
            Ok(News::Lost) | Err(broadcast::error::RecvError::Closed) => return Failure::Lost,
            Ok(News::Said(text)) if is_violation(&text, subject) => return Failure::Forbidden,
            Ok(News::Said(_)) | Err(broadcast::error::RecvError::Lagged(_)) => {}
        }
    }
}

/// `Permissions Violation for Publish to "SUBJECT"`; some servers add more.
fn is_violation(text: &str, subject: &str) -> bool {
    text.to_ascii_lowercase()
        .starts_with("permissions violation for publish")
        && text.contains(&format!("\"{subject}\""))
}

fn read(answer: &[u8]) -> Result<Stored, Failure> {
    // One with an error is never a receipt, also if the error itself cannot be read.
    let answer: serde_json::Value =
        serde_json::from_slice(answer).map_err(|_| Failure::Stranger)?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let error = Refusal::deserialize(error).map_err(|_| Failure::Stranger)?;
        let said = one_line(&error.description);
        return Err(Failure::Refused(error.code, error.err_code, said));
    }
    let stored = Stored::deserialize(&answer).map_err(|_| Failure::Stranger)?;
    // The first message of a stream is number 1.
    if stored.stream.is_empty() || stored.seq == 0 {
        return Err(Failure::Stranger);
    }
    Ok(stored)
}

/// What others say, short and on one line.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(200));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_streams_are_read_and_others_are_not_taken_for_them() {
        let stored = |duplicate| Stored {
            stream: "LEADS".to_owned(),
            seq: 7,
            duplicate,
        };
        for (answer, expected) in [
            (r#"{"stream":"LEADS","seq":7}"#, Ok(stored(false))),
            (
                r#"{"stream":"LEADS","domain":"hub","seq":7,"duplicate":true}"#,
                Ok(stored(true)),
            ),
            (
                r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"LEADS","seq":0}"#,
                Err(Failure::Refused(
                    503,
                    10077,
                    "maximum bytes exceeded".to_owned(),
                )),
            ),
            (
                r#"{"error":null,"stream":"LEADS","seq":7}"#,
                Ok(stored(false)),
            ),
            (
                r#"{"error":"maximum bytes exceeded","stream":"LEADS","seq":7}"#,
                Err(Failure::Stranger),
            ),
            (
                r#"{"error":{"code":"503"},"stream":"LEADS","seq":7}"#,
                Err(Failure::Stranger),
            ),
            (r#"{"stream":"LEADS","seq":0}"#, Err(Failure::Stranger)),
            (r#"{"stream":"","seq":7}"#, Err(Failure::Stranger)),
            (r#"{"stream":"LEADS","seq":7"#, Err(Failure::Stranger)),
            ("+OK", Err(Failure::Stranger)),
            ("{}", Err(Failure::Stranger)),
            ("", Err(Failure::Stranger)),
        ] {
            assert_eq!(read(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn a_violation_counts_for_its_own_subject_only() {
        let said = "Permissions Violation for Publish to \"leads.7\"";
        assert!(is_violation(said, "leads.7"));
        assert!(!is_violation(said, "leads"));
        assert!(!is_violation(
            "Permissions Violation for Subscription to \"leads.7\"",
            "leads.7"
        ));
    }
}
