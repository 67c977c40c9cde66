//! The mail server: connections to it, and how one letter is handed over.
//!
//! All recipients are told to the server before the letter itself, and it goes out to those
//! whom the server takes. What failed is said with the stage it failed at, because until the
//! letter itself was sent nobody can have got it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use leadgate_plugin::{Probe, Secret, Stop};
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::classify;
use crate::letter::Letter;
use crate::named::Trusted;
use crate::redact::Redactor;
use crate::settings::{Settings, Tls};
use crate::trust::{Trust, Way, distrust};

/// Connections at once, if not said.
const CONNECTIONS: u32 = 4;
/// Longest wait for an answer, if not said.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that an unused connection is kept; servers close them after some minutes.
const KEPT: Duration = Duration::from_secs(30);
/// Longest wait for the goodbye of a server whose connection is not needed any more.
const GOODBYE: Duration = Duration::from_millis(200);

/// Where a transaction was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connecting, greeting, encrypting.
    Connect,
    /// Logging in.
    Login,
    /// The sender.
    Sender,
    /// The recipients.
    Recipients,
    /// Before the letter.
    Data,
    /// While the letter was sent, or before it was answered.
    Letter,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server's answer.
    Answer(u16, String),
    /// No answer in time.
    Silent,
    /// No connection, or none any more; what the system says.
    Lost(String),
    /// Encryption failed; why.
    Untrusted(String),
    /// The server cannot do what is needed.
    Unable(&'static str),
    /// The connection ended, or what came is no SMTP.
    Garbled,
    /// All connections were in use.
    Busy,
}

/// A transaction that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) fault: Fault,
}

/// A letter that was taken.
pub(crate) struct Taken {
    /// The server's answer.
    pub(crate) code: u16,
    pub(crate) text: String,
    pub(crate) told: Told,
}

/// What the server said of the recipients.
#[derive(Default)]
pub(crate) struct Told {
    /// Those whom it takes.
    pub(crate) taken: Vec<Address>,
    /// Those whom it refuses for good.
    pub(crate) refused: Vec<Refused>,
    /// Those whom it refuses for now.
    pub(crate) later: Vec<Refused>,
}

/// A recipient who was refused, and the answer.
pub(crate) struct Refused {
    pub(crate) recipient: Address,
    pub(crate) code: u16,
    pub(crate) text: String,
}

/// A mail server.
pub(crate) struct Server {
    host: String,
    port: u16,
    way: Way,
    login: Option<(String, Secret)>,
    hello: ClientId,
    patience: Duration,
    /// One permit for each connection that may be in use.
    free: Semaphore,
    /// At most as many as there are permits.
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Server {
    /// `domain` is what we greet with: that of the sender.
    pub(crate) fn new(settings: &Settings, way: Way, domain: &str) -> Self {
        let port = match settings.tls {
            Tls::Tls => 465,
            Tls::Starttls => 587,
            Tls::None => 25,
        };
        let connections = settings.connections.unwrap_or(CONNECTIONS).max(1);
        let login = settings.username.clone().zip(settings.password.clone());
        Self {
            host: settings.host.clone(),
            port: settings.port.unwrap_or(port),
            way,
            login,
            hello: ClientId::Domain(domain.to_owned()),
            patience: settings.timeout.map_or(PATIENCE, |given| given.0),
            free: Semaphore::new(connections as usize),
            idle: Mutex::default(),
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Hands `letter` over for `to`, in any case until `ends`. With `all`, only if nobody is
    /// refused for now.
    pub(crate) async fn send(
        &self,
        letter: &Letter,
        to: &[Address],
        all: bool,
        ends: Instant,
    ) -> Result<Taken, Failure> {
        let busy = Failure {
            stage: Stage::Connect,
            fault: Fault::Busy,
        };
        let Ok(Ok(_permit)) = timeout_at(ends, self.free.acquire()).await else {
            return Err(busy);
        };
        if let Some(mut kept) = self.kept() {
            match self.transaction(&mut kept, letter, to, all, ends).await {
                // The server had closed it meanwhile, most likely; nothing was sent.
                Err(Failure {
                    stage: Stage::Sender,
                    fault: Fault::Lost(_) | Fault::Garbled | Fault::Silent | Fault::Answer(421, _),
                }) => {}
                done => return self.finish(kept, done).await,
            }
        }
        let mut fresh = self.connect(ends).await?;
        let done = self.transaction(&mut fresh, letter, to, all, ends).await;
        self.finish(fresh, done).await
    }

    fn kept(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < KEPT);
        idle.pop().map(|(connection, _)| connection)
    }

    /// Keeps the connection after a good end, and says goodbye after another.
    async fn finish(
        &self,
        mut connection: AsyncSmtpConnection,
        done: Result<Taken, Failure>,
    ) -> Result<Taken, Failure> {
        match &done {
            Ok(_) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push((connection, Instant::now()));
            }
            Err(Failure {
                fault: Fault::Answer(..),
                ..
            }) => {
                let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
            }
            Err(_) => {}
        }
        done
    }

    /// A connection to a server whose certificate the merchant named.
    async fn named(
        &self,
        named: &Trusted,
        server: (&str, u16),
        hello: Option<&str>,
        ends: Instant,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let stage = Stage::Connect;
        let until = ends.min(Instant::now() + self.patience);
        let stream = match timeout_at(until, named.connect(server, hello)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(fault)) => return Err(Failure { stage, fault }),
            Err(_) => {
                let fault = Fault::Silent;
                return Err(Failure { stage, fault });
            }
        };
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &self.hello);
        self.step(stage, ends, greeting).await
    }

    /// Walks to the server and logs in, without a letter.
    pub(crate) async fn walk(&self, probe: &Probe) -> Result<(), Stop> {
        probe.reach(&self.host, self.port).await.map(drop)?;
        let nobody = Redactor::default();
        let why = |failure: &Failure| classify::outcome(failure, &nobody).reason;
        let first = match self.way {
            Way::Plain => "greeting",
            Way::Tls(_) | Way::Starttls(_) => "tls",
        };
        let opened = probe.step(first, async {
            self.open(probe.ends())
                .await
                .map_err(|failure| why(&failure))
        });
        let mut connection = Box::pin(opened).await?;
        let proved = if self.login.is_some() {
            let proving = async {
                let proved = self.prove(&mut connection, probe.ends()).await;
                proved.map_err(|failure| why(&failure))
            };
            probe.step("login", proving).await
        } else {
            Ok(())
        };
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        proved
    }

    async fn connect(&self, ends: Instant) -> Result<AsyncSmtpConnection, Failure> {
        let mut connection = self.open(ends).await?;
        self.prove(&mut connection, ends).await?;
        Ok(connection)
    }

    /// A connection, encrypted as it must be.
    async fn open(&self, ends: Instant) -> Result<AsyncSmtpConnection, Failure> {
        let server = (self.host.as_str(), self.port);
        let mut connection = match &self.way {
            Way::Tls(Trust::Named(named)) => self.named(named, server, None, ends).await?,
            Way::Starttls(Trust::Named(named)) => {
                let hello = self.hello.to_string();
                self.named(named, server, Some(&hello), ends).await?
            }
            way => {
                let tls = match way {
                    Way::Tls(Trust::System(trust)) => Some(trust.clone()),
                    _ => None,
                };
                let connecting =
                    AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, tls, None);
                self.step(Stage::Connect, ends, connecting).await?
            }
        };
        if let Way::Starttls(Trust::System(trust)) = &self.way {
            if !connection.can_starttls() {
                return Err(Failure {
                    stage: Stage::Connect,
                    fault: Fault::Unable("the server does not offer STARTTLS"),
                });
            }
            let upgrading = connection.starttls(trust.clone(), &self.hello);
            self.step(Stage::Connect, ends, upgrading).await?;
        }
        Ok(connection)
    }

    /// Logs in, if there is a login.
    async fn prove(
        &self,
        connection: &mut AsyncSmtpConnection,
        ends: Instant,
    ) -> Result<(), Failure> {
        if let Some((user, password)) = &self.login {
            if connection
                .server_info()
                .get_auth_mechanism(DEFAULT_MECHANISMS)
                .is_none()
            {
                return Err(Failure {
                    stage: Stage::Login,
                    fault: Fault::Unable("the server offers neither AUTH PLAIN nor AUTH LOGIN"),
                });
            }
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let proving = connection.auth(DEFAULT_MECHANISMS, &credentials);
            self.step(Stage::Login, ends, proving).await?;
        }
        Ok(())
    }

    async fn transaction(
        &self,
        connection: &mut AsyncSmtpConnection,
        letter: &Letter,
        to: &[Address],
        all: bool,
        ends: Instant,
    ) -> Result<Taken, Failure> {
        let fail = |stage, fault| Err(Failure { stage, fault });
        let mut parameters = Vec::new();
        if !is_ascii(&letter.from, to) {
            let info = connection.server_info();
            if !info.supports_feature(Extension::SmtpUtfEight) {
                let why = "the server does not take addresses beyond ASCII";
                return fail(Stage::Recipients, Fault::Unable(why));
            }
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let sender = Mail::new(Some(letter.from.clone()), parameters);
        self.step(Stage::Sender, ends, connection.command(sender))
            .await?;
        let told = self.recipients(connection, to, all, ends).await?;
        let ready = self
            .step(Stage::Data, ends, connection.command(Data))
            .await?;
        if !ready.has_code(354) {
            return fail(Stage::Data, Fault::Garbled);
        }
        // The answer may take a while, and not to wait for it would make doubt of it.
        let sending = connection.message(letter.written.as_bytes());
        let answer = match timeout_at(ends, sending).await {
            Ok(answer) => answer.map_err(|error| Failure {
                stage: Stage::Letter,
                fault: Fault::of(&error),
            })?,
            Err(_) => return fail(Stage::Letter, Fault::Silent),
        };
        let code = u16::from(answer.code());
        if !(200..300).contains(&code) {
            return fail(Stage::Letter, Fault::Garbled);
        }
        let text = answer.message().collect::<Vec<_>>().join(" ");
        Ok(Taken { code, text, told })
    }

    /// Tells the recipients. An error if none of them is taken, or, with `all`, if one is
    /// refused for now.
    async fn recipients(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipients: &[Address],
        all: bool,
        ends: Instant,
    ) -> Result<Told, Failure> {
        let mut told = Told::default();
        for recipient in recipients {
            let command = Rcpt::new(recipient.clone(), Vec::new());
            let answer = self
                .step(Stage::Recipients, ends, connection.command(command))
                .await;
            let refused = |code, text| Refused {
                recipient: recipient.clone(),
                code,
                text,
            };
            match answer {
                Ok(_) => told.taken.push(recipient.clone()),
                Err(failure) => match failure.fault {
                    // It hangs up, or wants another login: nothing about this recipient.
                    Fault::Answer(421 | 530 | 534 | 535 | 538, _) => return Err(failure),
                    Fault::Answer(code @ 500.., text) => told.refused.push(refused(code, text)),
                    Fault::Answer(code, text) if !all => told.later.push(refused(code, text)),
                    _ => return Err(failure),
                },
            }
        }
        if !told.taken.is_empty() {
            return Ok(told);
        }
        // Who is refused for now may be taken later: that decides before who never will be.
        let Told { refused, later, .. } = told;
        match later.into_iter().chain(refused).next() {
            Some(Refused { code, text, .. }) => Err(Failure {
                stage: Stage::Recipients,
                fault: Fault::Answer(code, text),
            }),
            None => Ok(Told::default()),
        }
    }

    /// One exchange with the server, with our patience.
    async fn step<T>(
        &self,
        stage: Stage,
        ends: Instant,
        exchange: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let until = ends.min(Instant::now() + self.patience);
        let fault = match timeout_at(until, exchange).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Fault::of(&error),
            Err(_) => Fault::Silent,
        };
        Err(Failure { stage, fault })
    }
}

impl Fault {
    fn of(error: &Error) -> Self {
        let said = || {
            let source = std::error::Error::source(error);
            source.map(ToString::to_string).unwrap_or_default()
        };
        if let Some(why) = distrust(error) {
            return Self::Untrusted(why);
        }
        match error.status() {
            Some(code) => Self::Answer(code.into(), said()),
            // Its text quotes what came.
            None if error.is_response() => Self::Garbled,
            None if error.is_client() => Self::Unable("the server cannot do what is needed"),
            None if error.is_tls() => Self::Untrusted(said()),
            None => Self::Lost(said()),
        }
    }
}

fn is_ascii(from: &Address, to: &[Address]) -> bool {
    let ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    ascii(from) && to.iter().all(ascii)
}
