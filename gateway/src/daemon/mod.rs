//! The daemon: everything, built from a checked configuration, started and stopped in order.
//!
//! Start: outbox, sinks, delivery, then the listeners, so that nothing is accepted that could
//! not be kept. Stop: delivery first, then the public listener, so that pushes are taken as
//! long as attempts in flight keep the process; the outbox, which both need, after them.

mod announce;
mod lookout;
mod sink_state;
mod sweeper;
mod timekeeper;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::task::JoinHandle;

use self::lookout::Lookout;
use self::sink_state::Rooms;
use self::sweeper::Sweeper;
use crate::admin::{self, Admin, Guesses, PushedAt, Reread};
use crate::bulk::{self, Runner};
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Crash, Crashes, Dispatcher, InFlight, Target};
use crate::ingress::{self, Health, Ingress, Refusing};
use crate::outbox::sled::{OpenError, Options, SledOutbox};
use crate::outbox::{Outbox, Queue, SinkPolicy};
use crate::plugin::{Children, Plugins, SinkConfig};
use crate::route::Routes;
use crate::source::{RawPush, Registry};
use crate::telemetry::metrics::Metrics;

/// Connections the kernel may hold for us before we take them.
const BACKLOG: i32 = 1024;

/// A running daemon.
pub struct Daemon {
    public: Listener,
    admin: Listener,
    dispatcher: Dispatcher,
    sweeper: Sweeper,
    runner: Runner,
    lookout: Lookout,
    children: Children,
    outbox: Arc<dyn Outbox>,
    /// Whether there was no outbox before.
    is_new: bool,
    in_flight: Option<Arc<InFlight>>,
    stopping: Arc<AtomicBool>,
    patience: Duration,
}

struct Listener {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Outbox(#[from] OpenError),
    /// A sink or route that only now turned out to be unusable.
    #[error("{0}")]
    Configuration(String),
    /// An address.
    #[error("{what}.listen: {address} cannot be used: {source}")]
    Listen {
        /// `server` or `admin`.
        what: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Daemon {
    /// Starts everything. Must be called inside a tokio runtime.
    pub fn start(
        config: &Config,
        plugins: &Plugins,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let children = plugins.children().clone();
        let delivery = &metrics.delivery;
        children.count(&delivery.plugin_restarts, &delivery.plugin_faults);
        let rooms = Rooms::default();
        let mut targets = targets(config, plugins, &metrics, &rooms)?;
        let routes =
            Routes::new(config.sinks.iter(), &config.tables).map_err(StartError::Configuration)?;
        ingress::make_room(config.server.max_connections).map_err(StartError::Configuration)?;
        let public = bind("server", config.server.listen)?;
        let operators = bind("admin", config.admin.listen)?;
        let is_new = !config.outbox.path.join("journal").exists();
        let outbox: Arc<dyn Outbox> = Arc::new(SledOutbox::open(Options {
            path: &config.outbox.path,
            queue: config.outbox.queue,
            cache: config.outbox.cache,
            keys: &config.outbox.keys,
            sinks: policies(config),
            min_free: config.outbox.min_free,
            metrics: metrics.outbox.clone(),
        })?);
        rooms.open(&outbox);
        if config.outbox.keys.is_empty() {
            tracing::warn!(
                "leads are stored unencrypted; to encrypt them, set outbox.key to what `openssl rand -hex 32` gives"
            );
        }
        warn_of_orphans(config, &*outbox);
        let (in_flight, crashes) = crashes(config, &*outbox);
        note_in(in_flight.as_ref(), &mut targets, plugins);
        // Before anything is tried: it looks at the clock, by which things grow old.
        let sweeper = Sweeper::start(
            Arc::clone(&outbox),
            Arc::clone(clock),
            &config.outbox,
            &metrics.outbox,
        );
        let queue: Arc<dyn Queue> = Arc::clone(&outbox) as Arc<dyn Outbox>;
        let dispatcher = Dispatcher::start(targets, &queue, clock, &metrics.delivery);

        let refusing = Arc::new(Refusing::default());
        let guesses = Arc::new(Guesses::new(metrics.admin.wrong_tokens.clone()));
        let health = health(&outbox, config.outbox.min_free);
        let lookout = Lookout::start({
            let (refusing, guesses) = (Arc::clone(&refusing), Arc::clone(&guesses));
            let (health, clock) = (Arc::clone(&health), Arc::clone(clock));
            Arc::new(move || {
                let now = clock.monotonic();
                refusing.look(now, &health());
                guesses.look(now);
            })
        });
        let ingress = Arc::new(Ingress {
            sources: Registry::new(&config.sources, &config.server),
            routes,
            outbox: Arc::clone(&outbox) as Arc<dyn Outbox>,
            tables: config.tables.clone(),
            clock: Arc::clone(clock),
            refusing,
            health,
            limits: config.server.clone(),
            state: ingress::State::new(&config.sources, &config.server, &metrics.ingest),
        });
        let tables = config.tables.clone();
        let bulk = bulk::Ground {
            outbox: Arc::clone(&outbox),
            clock: Arc::clone(clock),
            tables: Arc::new(move || tables.clone()),
            reread: reread(Arc::clone(&ingress)),
            wake: Arc::default(),
        };
        let runner = Runner::start(bulk.clone());
        let stopping = Arc::new(AtomicBool::new(false));
        let operators_address = operators.local_addr();
        let (server, handle, address) = admin::serve(
            Arc::new(Admin {
                outbox: Arc::clone(&outbox),
                delivery: dispatcher.sinks(),
                sinks: config
                    .sinks
                    .iter()
                    .map(|(name, sink)| (name.clone(), sink.plugin.clone()))
                    .collect(),
                sources: config.sources.keys().cloned().collect(),
                source: config.sources.keys().next().cloned().unwrap_or_default(),
                tables: config.tables.clone(),
                reread: Arc::clone(&bulk.reread),
                bulk,
                pushed_at: pushed_at(Arc::clone(&ingress)),
                revision: config.revision.clone(),
                loaded_at: clock.now(),
                plugins: plugins.iter().map(|(_, plugin)| plugin.listed()).collect(),
                children: children.clone(),
                metrics: metrics.clone(),
                crashes,
                clock: Arc::clone(clock),
                token: config.admin.token.clone(),
                open: config.admin.allow_without_token,
                guesses,
                stopping: Arc::clone(&stopping),
            }),
            operators,
        )
        .map_err(|source| listen_error("admin", operators_address, config.admin.listen, source))?;
        let admin = Listener {
            address,
            handle,
            task: tokio::spawn(server),
        };
        let (server, handle, address) = ingress::serve(ingress, public).map_err(|source| {
            listen_error(
                "server",
                Ok(config.server.listen),
                config.server.listen,
                source,
            )
        })?;
        let public = Listener {
            address,
            handle,
            task: tokio::spawn(server),
        };
        tracing::info!(listener = "admin", address = %admin.address, "listener opened");
        tracing::info!(listener = "public", address = %public.address, "listener opened");
        Ok(Self {
            public,
            admin,
            dispatcher,
            sweeper,
            runner,
            lookout,
            children,
            outbox,
            is_new,
            in_flight,
            stopping,
            patience: config.server.shutdown_timeout,
        })
    }

    /// Where pushes go.
    pub fn public_address(&self) -> SocketAddr {
        self.public.address
    }

    /// Where operators go.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// The store.
    pub fn outbox(&self) -> &Arc<dyn Outbox> {
        &self.outbox
    }

    /// The notes of what runs, to be forgotten by whoever ends the process on purpose.
    pub fn in_flight(&self) -> Option<Arc<InFlight>> {
        self.in_flight.clone()
    }

    /// Stops: says that it is not ready, lets attempts in flight end or records them as
    /// ambiguous, takes no more pushes, and closes the store. Until attempts have ended,
    /// pushes are taken and stored: whoever sends them may not know of another gateway yet.
    /// If the future is dropped, what is in flight stays waiting.
    pub async fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.sweeper.stop().await;
        self.runner.stop().await;
        self.dispatcher.stop(self.patience).await;
        self.children.close().await;
        self.public.stop().await;
        self.lookout.stop().await;
        let outbox = Arc::clone(&self.outbox);
        let closed = tokio::task::spawn_blocking(move || outbox.close()).await;
        if let Err(error) = closed {
            tracing::error!(error = %error, "outbox was not closed cleanly");
        }
        self.admin.stop().await;
        tracing::info!("stopped");
    }
}

impl Listener {
    async fn stop(self) {
        self.handle.stop(true).await;
        let _ = self.task.await;
    }
}

/// How the store does, for whoever refuses pushes because of it.
fn health(outbox: &Arc<dyn Outbox>, wanted: u64) -> Arc<dyn Fn() -> Health + Send + Sync> {
    let outbox = Arc::clone(outbox);
    Arc::new(move || Health {
        fault: outbox.fault(),
        short: outbox.short_of_space(),
        free: outbox.free(),
        wanted,
    })
}

/// How a push in quarantine becomes the lead that a person says it is: read by its source
/// again, and routed as it would be now.
fn reread(ingress: Arc<Ingress>) -> Arc<Reread> {
    Arc::new(move |quarantined| {
        let source = ingress.sources.named(&quarantined.source)?;
        let push = source.release(RawPush {
            query: &quarantined.query,
            content_type: &quarantined.content_type,
            body: &quarantined.body,
        });
        Some(ingress::arrival(
            push,
            &ingress.routes,
            &ingress.tables,
            quarantined.received_at,
        ))
    })
}

/// When a push in quarantine was sent, as its source reads it.
fn pushed_at(ingress: Arc<Ingress>) -> Arc<PushedAt> {
    Arc::new(move |quarantined| {
        ingress
            .sources
            .named(&quarantined.source)?
            .pushed_at(RawPush {
                query: &quarantined.query,
                content_type: &quarantined.content_type,
                body: &quarantined.body,
            })
    })
}

/// Who was at work when the last process ended without stopping. Without the notes the daemon
/// works as well, only the next crash names nobody.
fn crashes(
    config: &Config,
    outbox: &dyn Outbox,
) -> (Option<Arc<InFlight>>, BTreeMap<String, Crash>) {
    match Crashes::look(&config.outbox.path) {
        Ok(crashes) => {
            crashes.act(outbox);
            (Some(crashes.file), crashes.by_sink)
        }
        Err(error) => {
            tracing::warn!(error = %error, "attempts cannot be noted; a crash would name no sink");
            (None, BTreeMap::new())
        }
    }
}

/// The attempts of what runs in this process are noted.
fn note_in(file: Option<&Arc<InFlight>>, targets: &mut [Target], plugins: &Plugins) {
    for target in targets {
        let plugin = plugins.get(&target.config.plugin);
        target.notes = file
            .zip(plugin)
            .map(|(file, plugin)| file.notes(plugin.is_library()));
    }
}

/// Deliveries of a sink that is not configured any more stay where they are: say so.
fn warn_of_orphans(config: &Config, outbox: &dyn Outbox) {
    for (sink, totals) in outbox.totals().sinks {
        let dead = totals.dead_letters();
        if totals.waiting + dead > 0 && !config.sinks.contains_key(&sink) {
            tracing::warn!(
                sink,
                waiting = totals.waiting,
                dead,
                "deliveries of a sink that is not configured: they stay where they are until it is, or they are cancelled; see `leadgate outbox orphaned`"
            );
        }
    }
}

pub(crate) fn policies(config: &Config) -> Vec<SinkPolicy> {
    let policy = |(name, sink): (&String, &crate::config::Sink)| SinkPolicy {
        name: name.clone(),
        on_update: sink.on_update,
        on_dead: sink.on_dead.clone(),
    };
    config.sinks.iter().map(policy).collect()
}

/// Makes all sinks. The plugins' own checks have passed before; what fails now is the world.
fn targets(
    config: &Config,
    plugins: &Plugins,
    metrics: &Metrics,
    rooms: &Rooms,
) -> Result<Vec<Target>, StartError> {
    let mut targets = Vec::new();
    for (name, sink) in &config.sinks {
        let plugin = plugins.get(&sink.plugin).ok_or_else(|| {
            StartError::Configuration(format!("sinks.{name}.plugin: no plugin `{}`", sink.plugin))
        })?;
        let of = SinkConfig {
            name,
            settings: &sink.settings,
            tables: &config.tables,
        };
        let made = plugin
            .create_with(&of, Some(rooms.of(name)))
            .map_err(|problems| {
                let lines = problems.iter().map(|problem| {
                    format!(
                        "sinks.{name}.settings{}: {}",
                        problem.path.replace('/', "."),
                        problem.message
                    )
                });
                StartError::Configuration(lines.collect::<Vec<_>>().join("\n"))
            })?
            .masking(config.secrets_of(name))
            .kept();
        metrics
            .delivery
            .plugin_info
            .with_label_values(&[plugin.name(), plugin.version(), &plugin.abi()])
            .set(1);
        targets.push(Target {
            name: Arc::from(name.as_str()),
            config: sink.clone(),
            sink: Box::new(made),
            notes: None,
        });
    }
    Ok(targets)
}

fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    use socket2::{Domain, Socket, Type};
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restart must not wait for connections of the last run to time out.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|source| StartError::Listen {
        what,
        address,
        source,
    })
}

fn listen_error(
    what: &'static str,
    found: std::io::Result<SocketAddr>,
    wanted: SocketAddr,
    source: std::io::Error,
) -> StartError {
    StartError::Listen {
        what,
        address: found.unwrap_or(wanted),
        source,
    }
}
