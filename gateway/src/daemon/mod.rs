//! The daemon: everything, built from a checked configuration, started and stopped in order.
//!
//! Start: the public listener, sinks, the outbox, delivery, the operators' listener. An early
//! push waits for the outbox, and none is acknowledged before that has it. Stop: delivery
//! first, then the public listener, so that pushes are taken as long as attempts in flight keep
//! the process; the outbox, which both need, after them.

mod announce;
mod lookout;
mod opening;
mod reload;
pub mod service;
mod sink_state;
mod socket;
mod sockets;
mod sweeper;
mod targets;
mod timekeeper;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::ServerHandle;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::lookout::Lookout;
use self::opening::Opening;
use self::reload::{Reloader, Running};
use self::sink_state::Rooms;
use self::socket::SocketFile;
pub use self::sockets::Sockets;
use self::sweeper::{Keep, Sweeper};
use self::targets::{Made, Workshop};
use crate::admin::{self, Admin, Configured, Guesses, NotReloaded, PushedAt, Reload, Reread};
use crate::bulk::{self, Runner};
use crate::clock::Clock;
use crate::config::Config;
use crate::console;
use crate::delivery::{Crash, Crashes, Dispatcher, InFlight};
use crate::ingress::{self, Health, Ingress, Receiving, Refusing, Shown};
use crate::lang::Text;
use crate::lead::Tables;
use crate::outbox::sled::{OpenError, Options, SledOutbox};
use crate::outbox::{Intake, Orphaned, Outbox, Queue, SinkPolicy};
use crate::plugin::{Children, Plugins};
use crate::route::Routes;
use crate::source::RawPush;
use crate::swap::Swap;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pushes::Pushes;

/// A running daemon.
pub struct Daemon {
    public: ingress::Serving,
    behind: Behind,
    children: Children,
}

/// What stands behind the public listener.
struct Behind {
    admin: Listener,
    socket: Option<SocketFile>,
    dispatcher: Arc<Dispatcher>,
    reloader: Arc<Reloader>,
    sweeper: Sweeper,
    runner: Runner,
    lookout: Lookout,
    outbox: Arc<dyn Outbox>,
    /// Whether there was no outbox before.
    is_new: bool,
    in_flight: Option<Arc<InFlight>>,
    stopping: Arc<AtomicBool>,
}

/// What is there before the sinks and the outbox are.
struct Early {
    metrics: Metrics,
    pushes: Arc<Pushes>,
    children: Children,
    opening: Opening,
    ingress: Arc<Ingress>,
    /// The certificate of the public listener, if it speaks TLS.
    shown: Option<Arc<Shown>>,
    operators: TcpListener,
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
    /// What the service manager passed.
    #[error("LISTEN_FDS: {0}")]
    Sockets(String),
    /// The local socket.
    #[error("admin.socket: {path} cannot be used: {source}")]
    Socket {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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
    /// Starts everything, on `sockets` where there are some. Must be called inside a tokio
    /// runtime, on a thread that may block.
    pub async fn start(
        config: &Config,
        plugins: &Plugins,
        clock: &Arc<dyn Clock>,
        mut sockets: Sockets,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let children = plugins.children().clone();
        let delivery = &metrics.delivery;
        children.count(&delivery.plugin_restarts, &delivery.plugin_faults);
        let routes =
            Routes::new(config.sinks.iter(), &config.tables).map_err(StartError::Configuration)?;
        ingress::make_room(config.server.max_connections).map_err(StartError::Configuration)?;
        let public = sockets.public(config.server.listen)?;
        let operators = sockets.admin(config.admin.listen)?;
        let opening = Opening::new();
        let refusing = Arc::new(Refusing::default());
        let pushes = Arc::new(Pushes::default());
        let receiving = Receiving::new(&config.sources, &config.server, routes, &config.tables);
        let ingress = Arc::new(Ingress {
            outbox: Arc::new(opening.clone()),
            clock: Arc::clone(clock),
            refusing,
            health: opening.health(),
            state: ingress::State::new(&receiving, &metrics.ingest, clock, &pushes),
            receiving: Swap::new(receiving),
        });
        // Before the sinks and the outbox, which may take a while: what comes now waits.
        let public =
            ingress::serve(Arc::clone(&ingress), public).map_err(|source| StartError::Listen {
                what: "server",
                address: config.server.listen,
                source,
            })?;
        tracing::debug!(listener = "public", address = %public.address(), "listener opened");
        let early = Early {
            metrics,
            pushes,
            children: children.clone(),
            opening: opening.clone(),
            ingress,
            shown: public.shown().cloned(),
            operators,
        };
        match early.start(config, plugins, clock) {
            Ok(behind) => Ok(Self {
                public,
                behind,
                children,
            }),
            Err(error) => {
                opening.failed();
                public.stop().await;
                Err(error)
            }
        }
    }

    /// Where pushes go.
    pub fn public_address(&self) -> SocketAddr {
        self.public.address()
    }

    /// Where operators go.
    pub fn admin_address(&self) -> SocketAddr {
        self.behind.admin.address
    }

    /// The store.
    pub fn outbox(&self) -> &Arc<dyn Outbox> {
        &self.behind.outbox
    }

    /// Reads the configuration's files again and puts what changed in the place of what runs; see
    /// [`Reload`].
    pub fn reloading(&self) -> Arc<Reload> {
        reload(&self.behind.reloader)
    }

    /// The notes of what runs, to be forgotten by whoever ends the process on purpose.
    pub fn in_flight(&self) -> Option<Arc<InFlight>> {
        self.behind.in_flight.clone()
    }

    /// Stops: says that it is not ready, lets attempts in flight end or records them as
    /// ambiguous, takes no more pushes, and closes the store. Until attempts have ended,
    /// pushes are taken and stored: whoever sends them may not know of another gateway yet.
    /// If the future is dropped, what is in flight stays waiting.
    pub async fn stop(self) {
        self.behind.stopping.store(true, Ordering::Release);
        self.public.leave();
        self.behind.sweeper.stop().await;
        self.behind.runner.stop().await;
        let receiving = self.behind.reloader.ingress.receiving.get();
        let patience = receiving.limits.shutdown_timeout;
        self.behind.dispatcher.stop(patience).await;
        self.children.close().await;
        self.public.stop().await;
        self.behind.lookout.stop().await;
        if let Some(socket) = &self.behind.socket {
            socket.remove();
        }
        let outbox = Arc::clone(&self.behind.outbox);
        let closed = tokio::task::spawn_blocking(move || outbox.close()).await;
        if let Err(error) = closed {
            tracing::error!(error = %error, "outbox was not closed cleanly");
        }
        self.behind.admin.stop().await;
        tracing::info!("stopped");
    }
}

impl Early {
    /// Makes the sinks, opens the outbox, lets in who waits for it, and starts all the rest.
    fn start(
        self,
        config: &Config,
        plugins: &Plugins,
        clock: &Arc<dyn Clock>,
    ) -> Result<Behind, StartError> {
        let Self {
            metrics,
            pushes,
            children,
            opening,
            ingress,
            shown,
            operators,
        } = self;
        let rooms = Rooms::default();
        let mut workshop = Workshop {
            metrics: metrics.clone(),
            rooms: rooms.clone(),
            in_flight: None,
        };
        let made = make(config, plugins, &workshop)?;
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
        warn_of_orphans(&orphaned(config, &*outbox));
        let (in_flight, crashes) = crashes(config, &*outbox);
        workshop.in_flight.clone_from(&in_flight);
        let target = |name: &String| workshop.target(config, plugins, name, &made);
        let targets = config.sinks.keys().filter_map(target).collect();
        let (retention, keep) = watch::channel(Keep::of(&config.outbox));
        // Before anything is tried: it looks at the clock, by which things grow old.
        let sweeper = Sweeper::start(
            Arc::clone(&outbox),
            Arc::clone(clock),
            keep,
            &metrics.outbox,
        );
        let queue: Arc<dyn Queue> = Arc::clone(&outbox) as Arc<dyn Outbox>;
        let dispatcher = Dispatcher::start(targets, &queue, clock, &metrics.delivery);
        let dispatcher = Arc::new(dispatcher);
        // Not before the sweeper has seen the clock: an early push says what time it is.
        let look = health(&outbox);
        opening.opened(Arc::clone(&outbox) as Arc<dyn Intake>, look);

        let guesses = Arc::new(Guesses::new(metrics.admin.wrong_tokens.clone()));
        let lookout = Lookout::start({
            let (ingress, guesses) = (Arc::clone(&ingress), Arc::clone(&guesses));
            let clock = Arc::clone(clock);
            Arc::new(move || {
                let now = clock.monotonic();
                ingress.refusing.look(now, &(ingress.health)());
                guesses.look(now);
            })
        });
        let bulk = bulk::Ground {
            outbox: Arc::clone(&outbox),
            clock: Arc::clone(clock),
            tables: tables(Arc::clone(&ingress)),
            reread: reread(Arc::clone(&ingress)),
            wake: Arc::default(),
            waits: Arc::default(),
        };
        let runner = Runner::start(bulk.clone());
        let stopping = Arc::new(AtomicBool::new(false));
        let loaded_at = clock.now();
        metrics.config.runs(config.revision.as_ref(), loaded_at);
        let configured = Arc::new(Swap::new(Configured::of(config, plugins, loaded_at, None)));
        let reloader = Arc::new(Reloader {
            outbox: Arc::clone(&outbox),
            dispatcher: Arc::clone(&dispatcher),
            ingress: Arc::clone(&ingress),
            shown,
            retention,
            configured: Arc::clone(&configured),
            workshop: Arc::new(workshop),
            clock: Arc::clone(clock),
            stopping: Arc::clone(&stopping),
            running: tokio::sync::Mutex::new(Running {
                config: Arc::new(config.clone()),
                plugins: Arc::new(plugins.clone()),
                made,
            }),
        });
        let operators_address = operators.local_addr();
        let (socket, socket_file) = socket::open(config)?.unzip();
        let (server, handle, address) = admin::serve(
            Arc::new(Admin {
                outbox: Arc::clone(&outbox),
                delivery: dispatcher.sinks(),
                configured,
                reload: reload(&reloader),
                reread: Arc::clone(&bulk.reread),
                bulk,
                pushed_at: pushed_at(Arc::clone(&ingress)),
                children: children.clone(),
                metrics: metrics.clone(),
                pushes,
                crashes,
                clock: Arc::clone(clock),
                started: clock.monotonic(),
                guesses,
                uses: admin::Uses::default(),
                stopping: Arc::clone(&stopping),
            }),
            operators,
            socket,
            console::pages(Arc::default()),
        )
        .map_err(|source| admin_error(operators_address.ok(), config, source))?;
        let admin = Listener {
            address,
            handle,
            task: tokio::spawn(server),
        };
        tracing::debug!(listener = "admin", address = %admin.address, "listener opened");
        Ok(Behind {
            admin,
            socket: socket_file,
            dispatcher,
            reloader,
            sweeper,
            runner,
            lookout,
            outbox,
            is_new,
            in_flight,
            stopping,
        })
    }
}

impl Listener {
    async fn stop(self) {
        self.handle.stop(true).await;
        let _ = self.task.await;
    }
}

/// How the store does, for whoever refuses pushes because of it.
fn health(outbox: &Arc<dyn Outbox>) -> Arc<dyn Fn() -> Health + Send + Sync> {
    let outbox = Arc::clone(outbox);
    Arc::new(move || Health {
        fault: outbox.fault(),
        short: outbox.short_of_space(),
        free: outbox.free(),
        wanted: outbox.min_free(),
    })
}

/// The lookup tables, as they are configured now.
fn tables(ingress: Arc<Ingress>) -> Arc<dyn Fn() -> Arc<Tables> + Send + Sync> {
    Arc::new(move || Arc::clone(&ingress.receiving.get().tables))
}

/// How a push in quarantine becomes the lead that a person says it is: read by its source
/// again, and routed as it would be now.
fn reread(ingress: Arc<Ingress>) -> Arc<Reread> {
    Arc::new(move |quarantined| {
        let receiving = ingress.receiving.get();
        let source = receiving.sources.named(&quarantined.source)?;
        let push = source.release(RawPush {
            query: &quarantined.query,
            content_type: &quarantined.content_type,
            body: &quarantined.body,
        });
        Some(ingress::arrival(
            push,
            &receiving.routes,
            &receiving.tables,
            quarantined.received_at,
        ))
    })
}

/// When a push in quarantine was sent, as its source reads it.
fn pushed_at(ingress: Arc<Ingress>) -> Arc<PushedAt> {
    Arc::new(move |quarantined| {
        let receiving = ingress.receiving.get();
        receiving
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

/// Each reload is a task of its own: whoever asked for it may go before it has ended.
fn reload(reloader: &Arc<Reloader>) -> Arc<Reload> {
    let reloader = Arc::clone(reloader);
    Arc::new(move || {
        let reloader = Arc::clone(&reloader);
        let task = tokio::spawn(reloader.reload());
        let broken = || Text::new("the reload was broken off", "重新加载中断");
        async move {
            task.await
                .unwrap_or_else(|_| Err(NotReloaded::Failed(broken())))
        }
        .boxed()
    })
}

/// Deliveries of sinks that are not configured any more.
fn orphaned(config: &Config, outbox: &dyn Outbox) -> Vec<Orphaned> {
    let configured = |sink: &str| config.sinks.contains_key(sink);
    outbox.totals().orphaned(configured)
}

/// Such deliveries stay where they are: say so.
fn warn_of_orphans<'a>(orphaned: impl IntoIterator<Item = &'a Orphaned>) {
    for one in orphaned {
        tracing::warn!(
            sink = one.sink,
            waiting = one.waiting,
            dead = one.dead,
            "deliveries of a sink that is not configured: they stay where they are until it is, or they are moved or cancelled; see `leadgate outbox orphaned`"
        );
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

/// Makes all sinks.
fn make(config: &Config, plugins: &Plugins, workshop: &Workshop) -> Result<Made, StartError> {
    let make = |name: &String| {
        let made = workshop.make(config, plugins, name).map_err(|problems| {
            let lines = problems.iter().map(|problem| {
                let path = problem.path.replace('/', ".");
                format!("sinks.{name}.settings{path}: {}", problem.message)
            });
            StartError::Configuration(lines.collect::<Vec<_>>().join("\n"))
        })?;
        Ok((name.clone(), made))
    };
    config.sinks.keys().map(make).collect()
}

fn admin_error(found: Option<SocketAddr>, config: &Config, source: std::io::Error) -> StartError {
    StartError::Listen {
        what: "admin",
        address: found.unwrap_or(config.admin.listen),
        source,
    }
}

#[cfg(test)]
mod tests;
