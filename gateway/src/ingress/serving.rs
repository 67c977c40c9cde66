//! Serving: the public listener, from its first connection to its last answer.
//!
//! It stops without refusing anyone it can still hear: each answer is the last of its
//! connection, then those are let go that no answer is owed, and only then is nothing more
//! accepted. What comes after that waits in the socket, if a service manager keeps it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_rt::net::TcpStream;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::{App, web};
use tokio::task::JoinHandle;

use super::connections::Connections;
use super::stream::JsonStream;
use super::tls::{Shown, Tls};
use super::{Ingress, answer, workers};

/// Connections that a worker takes beyond its share, so that the newest can be let in for
/// the oldest.
const SPARE: usize = 4;
/// Between two looks at whether all connections have ended.
const LOOK: Duration = Duration::from_millis(5);
/// So long nothing may be left before it is believed: a connection that was accepted is on its
/// way to a worker for a moment, and is not known before; on a busy machine a long one.
const SETTLED: Duration = Duration::from_millis(100);

/// A public listener that is open.
pub struct Serving {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
    ingress: Arc<Ingress>,
    shown: Option<Arc<Shown>>,
}

/// Serves pushes on `listener` until it is stopped. Must be called inside a tokio runtime.
pub fn serve(ingress: Arc<Ingress>, listener: TcpListener) -> std::io::Result<Serving> {
    let address = listener.local_addr()?;
    let limits = ingress.receiving.get().limits.clone();
    let workers = workers();
    let share = limits.max_connections.div_ceil(workers);
    let tls = limits.tls.as_ref();
    let tls = tls.map(|certificate| Tls::new(certificate, limits.header_timeout));
    let tls = tls.transpose()?;
    let shown = tls.as_ref().map(|tls| Arc::clone(tls.shown()));
    let (shared, greets) = (Arc::clone(&ingress), tls);
    // What `HttpServer` does, with our own stream between the socket and HTTP.
    let factory = move || {
        let app = App::new()
            .app_data(web::Data::from(Arc::clone(&shared)))
            .default_service(web::to(answer))
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .keep_alive(KeepAlive::Timeout(limits.keep_alive))
            .client_request_timeout(limits.header_timeout)
            .on_connect_ext(|stream: &JsonStream, data| {
                data.insert(Arc::clone(&stream.ticket().connection));
            })
            .h1(map_config(app, |()| AppConfig::default()));
        let (shared, tls) = (Arc::clone(&shared), greets.clone());
        fn_service(move |socket: TcpStream| {
            let (shared, tls) = (Arc::clone(&shared), tls.clone());
            async move {
                let peer = socket.peer_addr().ok();
                let address = peer.map(|peer| peer.ip());
                let stream = match shared.admit(address) {
                    Some(ticket) => shared.greet(socket, ticket, tls.as_ref()).await,
                    None => None,
                };
                let refused = || DispatchError::Io(ErrorKind::ConnectionRefused.into());
                stream.map(|stream| (stream, peer)).ok_or_else(refused)
            }
        })
        .and_then(http)
    };
    let server: Server = Server::build()
        .workers(workers)
        .max_concurrent_connections(share + SPARE)
        .disable_signals()
        .listen("public", listener, factory)?
        .run();
    let handle = server.handle();
    let beside = Arc::clone(&ingress);
    let task = tokio::spawn(async move { beside.state.tally.beside(server).await });
    Ok(Serving {
        address,
        handle,
        task,
        ingress,
        shown,
    })
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that it shows, if it speaks TLS, which another can take the place of.
    pub fn shown(&self) -> Option<&Arc<Shown>> {
        self.shown.as_ref()
    }

    /// From now on each answer is the last of its connection, so that few are open when it
    /// stops. Pushes are taken as before.
    pub fn leave(&self) {
        self.connections().leave();
    }

    /// Answers what is on open connections, closes the listener, and waits until all has ended.
    pub async fn stop(self) {
        self.leave();
        // A push that has just been taken may need all of it, and a moment to be answered.
        let deadline = self.ingress.receiving.get().limits.ack_deadline;
        let by = tokio::time::Instant::now() + deadline + Duration::from_secs(1);
        // While others still come: who is here already may take his time.
        let here = self.connections().next();
        self.emptied(here, Duration::ZERO, by).await;
        self.handle.pause().await;
        self.emptied(u64::MAX, SETTLED, by).await;
        self.handle.stop(false).await;
        let _ = self.task.await;
    }

    fn connections(&self) -> &Connections {
        &self.ingress.state.connections
    }

    /// Waits until none before `number` is left for a while, or until `by`.
    async fn emptied(&self, number: u64, settled: Duration, by: tokio::time::Instant) {
        let mut empty_since = None;
        loop {
            let now = Instant::now();
            if self.connections().let_go(number, now) > 0 {
                empty_since = None;
            } else if now.duration_since(*empty_since.get_or_insert(now)) >= settled {
                return;
            }
            if tokio::time::Instant::now() >= by {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::watch;

    use super::super::tests::{ingress, push_on_the_wire};
    use super::*;
    use crate::outbox::{Accepted, Arrival, Intake, Quarantined, QuarantinedPush, Refusal};

    /// A store that accepts when it may.
    struct Slow {
        came: watch::Sender<usize>,
        may: watch::Sender<bool>,
    }

    impl Slow {
        fn new(may: bool) -> Arc<Self> {
            Arc::new(Self {
                came: watch::Sender::new(0),
                may: watch::Sender::new(may),
            })
        }

        async fn has(&self, count: usize) {
            let mut came = self.came.subscribe();
            let came = came.wait_for(|came| *came == count);
            let came = tokio::time::timeout(Duration::from_secs(30), came).await;
            drop(came.expect("it comes").expect("the store is there"));
        }
    }

    impl Intake for Slow {
        fn accept(&self, _: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
            self.came.send_modify(|came| *came += 1);
            let mut may = self.may.subscribe();
            Box::pin(async move {
                drop(may.wait_for(|may| *may).await);
                Ok(Accepted::Deferred)
            })
        }
        fn quarantine(
            &self,
            _: QuarantinedPush,
        ) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
            Box::pin(std::future::ready(Err(Refusal::Full)))
        }
    }

    fn listener() -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("is set");
        listener
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.expect("connects")
    }

    /// All that comes until the connection ends.
    async fn rest(socket: &mut TcpStream) -> String {
        let mut text = String::new();
        let read = socket.read_to_string(&mut text);
        let read = tokio::time::timeout(Duration::from_secs(30), read).await;
        read.expect("it ends").expect("it ends cleanly");
        text
    }

    /// One answer; the connection goes on.
    async fn answer(socket: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"}") {
            let read = socket.read_buf(&mut text);
            let read = tokio::time::timeout(Duration::from_secs(30), read).await;
            assert!(read.expect("it answers").expect("it reads") > 0);
        }
        String::from_utf8(text).expect("text")
    }

    fn is_success(answer: &str) -> bool {
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"success\":true")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stop_answers_what_is_on_open_connections() {
        let store = Slow::new(false);
        let outbox = Arc::clone(&store) as Arc<dyn Intake>;
        let serving = serve(ingress(outbox, None), listener()).expect("serves");
        let address = serving.address();
        // One waits for its answer, one has sent half a request, one nothing.
        let mut waiting = connect(address).await;
        waiting.write_all(&push_on_the_wire()).await.expect("sent");
        store.has(1).await;
        let push = push_on_the_wire();
        let (first, second) = push.split_at(push.len() - 9);
        let mut half = connect(address).await;
        half.write_all(first).await.expect("sent");
        let mut silent = connect(address).await;
        // Who comes later may take longer.
        let here = async {
            while serving.connections().next() < 3 {
                tokio::time::sleep(LOOK).await;
            }
        };
        let here = tokio::time::timeout(Duration::from_secs(30), here).await;
        here.expect("all three are here");
        let stopped = tokio::spawn(serving.stop());
        half.write_all(second).await.expect("sent");
        store.has(2).await;
        assert_eq!(
            rest(&mut silent).await,
            "",
            "nobody waits for who says nothing"
        );
        store.may.send_replace(true);
        for socket in [&mut waiting, &mut half] {
            let answer = rest(socket).await;
            assert!(is_success(&answer), "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
        }
        stopped.await.expect("no panic");
        assert!(TcpStream::connect(address).await.is_err(), "it is closed");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn idle_connections_are_told_to_end_and_end() {
        let store = Slow::new(true);
        let serving = serve(ingress(store, None), listener()).expect("serves");
        let (mut idle, mut busy) = (
            connect(serving.address()).await,
            connect(serving.address()).await,
        );
        for socket in [&mut idle, &mut busy] {
            socket.write_all(&push_on_the_wire()).await.expect("sent");
            let answer = answer(socket).await;
            assert!(
                is_success(&answer) && !answer.contains("connection: close"),
                "{answer}"
            );
        }
        serving.leave();
        busy.write_all(&push_on_the_wire()).await.expect("sent");
        let last = rest(&mut busy).await;
        assert!(
            is_success(&last) && last.contains("connection: close"),
            "{last}"
        );
        serving.stop().await;
        assert_eq!(rest(&mut idle).await, "");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_between_two_servers_of_one_socket_is_answered_by_the_second() {
        let kept = listener();
        let passed = || kept.try_clone().expect("another handle of the socket");
        let store = Slow::new(true);
        let serving = serve(ingress(store, None), passed()).expect("serves");
        let address = serving.address();
        serving.stop().await;
        let mut early = connect(address).await;
        early.write_all(&push_on_the_wire()).await.expect("sent");
        let store = Slow::new(true);
        let serving = serve(ingress(store, None), passed()).expect("serves");
        let early = answer(&mut early).await;
        assert!(is_success(&early), "{early}");
        serving.stop().await;
    }
}
