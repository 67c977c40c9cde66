//! The supervisor: sees to it that there is a program when there is a lead.
//!
//! A persistent program is started with the first lead, and again with the first one after it
//! ended, once the backoff is over. A program for each lead is started for each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leadgate_plugin::child::Backoff;
use leadgate_plugin::{Delivery, Health, Host, Level, Outcome};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::flight::Handing;
use crate::line;
use crate::session::{Handle, Manner, Report, Session};
use crate::start::Starter;

/// How long the end of a session is waited for beyond an attempt's time. The host does not wait
/// so long, and then says itself how the attempt ended.
const ENDING: Duration = Duration::from_secs(5);

/// Hands attempts to programs.
pub(crate) struct Supervisor {
    starter: Arc<Starter>,
    manner: Manner,
    host: Host,
    /// The running program, for one that is persistent.
    current: tokio::sync::Mutex<Option<Handle>>,
    past: Arc<Mutex<Past>>,
}

/// What is known of the programs before.
#[derive(Default)]
struct Past {
    backoff: Backoff,
    not_before: Option<Instant>,
    /// How the last one ended.
    reason: String,
}

impl Past {
    fn ended(&mut self, now: Instant, answered: bool, reason: String) {
        // One that answered was well, however short its life was.
        let lived = if answered {
            Duration::MAX
        } else {
            Duration::ZERO
        };
        self.not_before = Some(now + self.backoff.after(lived));
        self.reason = reason;
    }

    /// How long no other may be started.
    fn wait(&self, now: Instant) -> Duration {
        let not_before = self.not_before.unwrap_or(now);
        not_before.saturating_duration_since(now)
    }
}

/// Tells the session that nobody waits any more, if it is dropped before there is an outcome.
struct Waiting<'a>(&'a Handle);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

impl Supervisor {
    pub(crate) fn new(starter: Starter, manner: Manner, host: &Host) -> Self {
        Self {
            starter: Arc::new(starter),
            manner,
            host: host.clone(),
            current: tokio::sync::Mutex::default(),
            past: Arc::default(),
        }
    }

    pub(crate) fn starter(&self) -> &Arc<Starter> {
        &self.starter
    }

    /// Whether the program gets so far as to answer.
    pub(crate) fn health(&self) -> Health {
        let past = self.past();
        if past.backoff.failures() < 2 {
            return Health::Ok;
        }
        Health::Failed(format!("the program does not stay: {}", past.reason))
    }

    /// One attempt.
    pub(crate) async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Instant::now() + line::time(delivery);
        let outcome = if self.manner.once {
            self.deliver_once(delivery, ends).await
        } else {
            self.deliver_to_current(delivery, ends).await
        };
        let outcome = outcome.unwrap_or_else(|outcome| outcome);
        if outcome.request.is_empty() {
            let shown = &self.starter.program.shown;
            return outcome.request(format!("a line to the stdin of `{shown}`"));
        }
        outcome
    }

    async fn deliver_once(&self, delivery: &Delivery, ends: Instant) -> Result<Outcome, Outcome> {
        let (session, handle) = self.start().await?;
        let task = tokio::spawn(session.run());
        let outcome = self.hand(&handle, delivery, ends).await;
        drop(handle);
        // So that there are never more processes than attempts.
        let _ = timeout_at(ends, task).await;
        outcome
    }

    async fn deliver_to_current(
        &self,
        delivery: &Delivery,
        ends: Instant,
    ) -> Result<Outcome, Outcome> {
        let handle = self.current(ends).await?;
        self.hand(&handle, delivery, ends).await
    }

    /// Gives an attempt to a session and waits for what becomes of it.
    async fn hand(
        &self,
        handle: &Handle,
        delivery: &Delivery,
        ends: Instant,
    ) -> Result<Outcome, Outcome> {
        let waiting = Waiting(handle);
        let (done, outcome) = oneshot::channel();
        let handing = Handing {
            delivery: delivery.clone(),
            ends,
            done,
        };
        let sent = timeout_at(ends, handle.inbox.send(handing)).await;
        if !matches!(sent, Ok(Ok(()))) {
            let reason = "the program ended before it could get this lead";
            return Err(Outcome::retry(None, reason).rule("program-ended"));
        }
        let outcome = timeout_at(ends + ENDING, outcome).await;
        drop(waiting);
        match outcome {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(Outcome::ambiguous("the program's session was lost").rule("lost")),
            Err(_) => Err(Outcome::ambiguous("the program gave no answer in time").rule("timeout")),
        }
    }

    /// The running program; one is started if there is none.
    async fn current(&self, ends: Instant) -> Result<Handle, Outcome> {
        let late =
            |_| Outcome::retry(None, "another attempt is starting the program").rule("not-started");
        let mut current = timeout_at(ends, self.current.lock()).await.map_err(late)?;
        if let Some(handle) = current.as_ref().filter(|handle| !handle.inbox.is_closed()) {
            return Ok(handle.clone());
        }
        *current = None;
        let (wait, reason) = {
            let past = self.past();
            (past.wait(Instant::now()), past.reason.clone())
        };
        let now = Instant::now();
        if now + wait > now + ends.saturating_duration_since(now) / 2 {
            let reason = format!(
                "the program is not running, and is started again in {}: {reason}",
                words(wait)
            );
            return Err(Outcome::retry(Some(wait), reason).rule("not-started"));
        }
        sleep(wait).await;
        let (session, handle) = self.start().await?;
        let past = Arc::clone(&self.past);
        tokio::spawn(async move {
            let Report { answered, reason } = session.run().await;
            let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
            past.ended(Instant::now(), answered, reason);
        });
        *current = Some(handle.clone());
        Ok(handle)
    }

    async fn start(&self) -> Result<(Session, Handle), Outcome> {
        let starter = Arc::clone(&self.starter);
        let started = tokio::task::spawn_blocking(move || starter.start(&[])).await;
        let started = started.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match started {
            Ok(running) => {
                let level = if self.manner.once {
                    Level::Debug
                } else {
                    Level::Info
                };
                let fields =
                    json!({"pid": running.child.id(), "command": self.starter.program.shown});
                self.host.log(level, "a program was started", &fields);
                Ok(Session::new(
                    Arc::clone(&self.starter),
                    running,
                    self.manner,
                    &self.host,
                ))
            }
            Err(error) => {
                let reason = format!("{}: {error}", self.starter.program.path.display());
                self.past().ended(Instant::now(), false, reason.clone());
                let message = "a program could not be started";
                self.host
                    .log(Level::Error, message, &json!({"reason": reason}));
                let reason = format!("the program could not be started: {reason}");
                Err(Outcome::retry(None, reason).rule("not-started"))
            }
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait for people.
fn words(wait: Duration) -> String {
    format!("{:.1} s", wait.as_secs_f64())
}
