//! The probe: how far the way to a destination goes, step by step, without a lead.
//!
//! [`Sink::connect`](crate::Sink::connect) walks it; each step is told with how long it took,
//! and the first that fails ends the walk.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A step that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// `dns`, `tcp`, `tls`, `login`, `token` or another short word.
    pub name: String,
    /// Whether it went well.
    pub ok: bool,
    /// Why it failed, or what was found. Never a secret.
    pub note: String,
    /// How long it took.
    pub took: Duration,
}

/// Why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// A step failed, and was told.
    Failed,
    /// The sink cannot tell.
    Unsupported,
}

/// Where steps are told.
pub struct Probe {
    ends: Instant,
    told: Arc<Mutex<Vec<Step>>>,
    tell: Box<dyn Fn(&Step) + Send + Sync>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Probe {
    pub(crate) fn new(patience: Duration, tell: Box<dyn Fn(&Step) + Send + Sync>) -> Self {
        Self {
            ends: Instant::now() + patience,
            told: Arc::default(),
            tell,
        }
    }

    /// A probe that tells nobody, for a sink's own tests; see [`Probe::steps`].
    pub fn detached(patience: Duration) -> Self {
        Self::new(patience, Box::new(|_| {}))
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When the walk must be over.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// Makes a step and tells it. An error is why it failed, in words and without secrets.
    pub async fn step<T>(
        &self,
        name: &str,
        doing: impl Future<Output = Result<T, String>>,
    ) -> Result<T, Stop> {
        self.noted(name, async { Ok((doing.await?, String::new())) })
            .await
    }

    /// [`Probe::step`] with a word about what was found.
    pub async fn noted<T>(
        &self,
        name: &str,
        doing: impl Future<Output = Result<(T, String), String>>,
    ) -> Result<T, Stop> {
        let began = Instant::now();
        let done = timeout_at(self.ends, doing).await;
        let done = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let (made, note) = match done {
            Ok((made, note)) => (Ok(made), note),
            Err(why) => (Err(Stop::Failed), why),
        };
        let step = Step {
            name: name.to_owned(),
            ok: made.is_ok(),
            note,
            took: began.elapsed(),
        };
        (self.tell)(&step);
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(step);
        made
    }

    /// The addresses of a host: the step `dns`.
    pub async fn dns(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Stop> {
        // Addresses of version 6 stand in brackets in URLs.
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        self.noted("dns", async move {
            let found = tokio::net::lookup_host((bare.as_str(), port)).await;
            let found = found.map_err(|error| format!("{bare} has no address: {error}"))?;
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                return Err(format!("{bare} has no address"));
            }
            let shown: Vec<String> = found
                .iter()
                .take(3)
                .map(|one| one.ip().to_string())
                .collect();
            Ok((found, shown.join(", ")))
        })
        .await
    }

    /// A connection to the first of the addresses that takes one: the step `tcp`.
    pub async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Stop> {
        self.noted("tcp", async move {
            let mut why = "there is no address".to_owned();
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok((stream, address.to_string())),
                    Err(error) => why = format!("{address}: {error}"),
                }
            }
            Err(why)
        })
        .await
    }

    /// The steps `dns` and `tcp`.
    pub async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, Stop> {
        let addresses = self.dns(host, port).await?;
        self.tcp(&addresses).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn steps_are_told_in_order_and_the_failed_one_is_the_last() {
        let probe = Probe::detached(PATIENCE);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("binds");
        let port = listener.local_addr().expect("bound").port();
        probe
            .reach("localhost", port)
            .await
            .expect("somebody listens");
        drop(listener);
        let failed = probe.reach("[127.0.0.1]", port).await;
        assert_eq!(failed.err(), Some(Stop::Failed));
        let steps = probe.steps();
        let told: Vec<_> = steps
            .iter()
            .map(|step| (step.name.as_str(), step.ok))
            .collect();
        assert_eq!(
            told,
            [("dns", true), ("tcp", true), ("dns", true), ("tcp", false)]
        );
        assert!(steps[3].note.contains("127.0.0.1"), "{steps:?}");
    }

    #[tokio::test]
    async fn a_name_without_an_address_says_so() {
        let probe = Probe::detached(PATIENCE);
        let failed = probe.dns("no-such-host.invalid", 443).await;
        assert_eq!(failed, Err(Stop::Failed));
        assert!(
            probe.steps()[0]
                .note
                .starts_with("no-such-host.invalid has no address")
        );
    }

    #[tokio::test]
    async fn a_step_that_hangs_ends_in_time() {
        let probe = Probe::detached(Duration::from_millis(20));
        let hung = probe
            .step("login", std::future::pending::<Result<(), String>>())
            .await;
        assert_eq!(hung, Err(Stop::Failed));
        assert_eq!(probe.steps()[0].note, "no answer in time");
    }
}
